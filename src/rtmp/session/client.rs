//! The client's side: publish and play. Used by the simulator, tests, benches, and later by relays.

use super::MessageStreamId;
use super::server::SessionError;
use crate::rtmp::wire::MediaKind;
use crate::time::{Instant, Timestamp};

/// How a client introduces itself.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Application (may hold a query).
    pub app: String,
    /// Sent as tcUrl.
    pub tc_url: String,
    /// Sent as flashVer.
    pub flash_ver: String,
    /// Chunk size we announce and send with; 128 sends no SetChunkSize.
    pub chunk_size: u32,
    /// Use the digest handshake (schema 1) instead of the simple one.
    pub digest: bool,
}

/// What the server did.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Handshake done.
    Established,
    /// NetConnection.Connect.Success.
    Connected,
    /// createStream answered.
    StreamCreated {
        /// its number
        stream: MessageStreamId,
    },
    /// `_error` or onStatus of level error.
    Refused {
        /// code
        code: String,
        /// description
        description: String,
    },
    /// onStatus.
    Status {
        /// message stream
        stream: MessageStreamId,
        /// level
        level: String,
        /// code
        code: String,
        /// description
        description: String,
    },
    /// User control StreamBegin (0), StreamEOF (1), StreamDry (2), StreamIsRecorded (4).
    Control {
        /// event type
        event: u16,
        /// message stream
        stream: MessageStreamId,
    },
    /// A media or data message.
    Media {
        /// message stream
        stream: MessageStreamId,
        /// kind
        kind: MediaKind,
        /// time
        timestamp: Timestamp,
        /// payload
        payload: bytes::Bytes,
    },
    /// The server's new chunk size.
    ChunkSize(u32),
    /// An acknowledgement's sequence number.
    Acknowledged(u32),
}

/// A client's protocol state. Methods queue bytes in `output`; nothing is sent by itself but acks, pongs and C2.
pub struct ClientSession {}

impl ClientSession {
    /// C0 and C1 are in the output at once.
    pub fn new(config: ClientConfig, nonce: u64) -> Self {
        let _ = (config, nonce);
        todo!()
    }
    /// Takes all of `input`. # Errors: the server broke the protocol.
    /// # Errors
    /// The server broke the protocol or a bound.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<(), SessionError> {
        let _ = (now, input);
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        todo!()
    }
    /// What is to be written.
    pub fn output(&self) -> &[u8] {
        todo!()
    }
    /// Takes all pending output, appending it to `to`.
    pub fn take_output(&mut self, to: &mut Vec<u8>) {
        let _ = to;
        todo!()
    }
    /// Sends connect (allowed any time; pipelined behind C2 if the handshake is not done).
    pub fn connect(&mut self) {
        todo!()
    }
    /// releaseStream + FCPublish + createStream + (on its answer, by itself) publish.
    pub fn publish(&mut self, name: &str) {
        let _ = name;
        todo!()
    }
    /// createStream + (on its answer) SetBufferLength + play.
    pub fn play(&mut self, name: &str) {
        let _ = name;
        todo!()
    }
    /// One media or data message on the published stream. Chunk formats chosen for fewest bytes.
    pub fn send_media(&mut self, kind: MediaKind, timestamp: Timestamp, payload: &[u8]) {
        let _ = (kind, timestamp, payload);
        todo!()
    }
    /// FCUnpublish (publisher) + deleteStream.
    pub fn close_stream(&mut self) {
        todo!()
    }
    /// pause.
    pub fn pause(&mut self, paused: bool, position_ms: f64) {
        let _ = (paused, position_ms);
        todo!()
    }
    /// A SetChunkSize, and use it from the next chunk on.
    pub fn set_chunk_size(&mut self, size: u32) {
        let _ = size;
        todo!()
    }
    /// Bytes a test wants on the wire unaltered.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!()
    }
}
