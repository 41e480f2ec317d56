//! The client's side: publish and play. Used by the simulator, tests, benches, and later by relays.

use std::collections::VecDeque;

use super::MessageStreamId;
use super::link::Link;
use super::server::SessionError;
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::chunk::{CSID_AUDIO, CSID_DATA, CSID_VIDEO};
use crate::rtmp::command::Command;
use crate::rtmp::control::{ProtocolControl, UserControl};
use crate::rtmp::handshake::ClientHandshake;
use crate::rtmp::wire::MediaKind;
use crate::time::{Instant, Timestamp};

mod event;
mod input;

pub use event::ClientEvent;

/// How long a player says it buffers, in milliseconds: FFmpeg's figure. Advisory.
const BUFFER_MILLIS: u32 = 3_000;

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

/// A client's protocol state. Methods queue bytes in `output`; nothing is sent by itself but acks, pongs, windows, C2,
/// and what was asked for too early.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    /// None once it is done.
    handshake: Option<ClientHandshake>,
    link: Link,
    events: VecDeque<ClientEvent>,
    progress: Progress,
    /// Publishes and plays waiting for `connect` to be answered.
    wishes: VecDeque<Wish>,
    /// Calls whose answer matters. Few: one `connect`, and a `createStream` for each wish.
    calls: Vec<(f64, Call)>,
    next_transaction: f64,
    /// The message stream we publish on, and the name.
    publishing: Option<(MessageStreamId, String)>,
    /// The message stream we play on.
    playing: Option<MessageStreamId>,
    fault: Option<SessionError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// `connect` has not been asked for.
    Idle,
    /// It is wanted or on its way.
    Connecting,
    /// It was accepted.
    Connected,
}

#[derive(Debug, Clone)]
enum Wish {
    Publish(String),
    Play(String),
}

#[derive(Debug)]
enum Call {
    Connect,
    CreateStream(Wish),
}

impl ClientSession {
    /// C0 and C1 are in the output at once. `nonce` fills C1 and C2.
    pub fn new(config: ClientConfig, nonce: u64) -> Self {
        // What comes is copied out at once: one chunk saves a step.
        let mut link = Link::new(limits::MESSAGE_BYTES);
        let handshake = ClientHandshake::new(nonce, config.digest, &mut link.output.bytes);
        Self {
            config,
            handshake: Some(handshake),
            link,
            events: VecDeque::new(),
            progress: Progress::Idle,
            wishes: VecDeque::new(),
            calls: Vec::new(),
            next_transaction: 1.0,
            publishing: None,
            playing: None,
            fault: None,
        }
    }

    /// Takes all of `input`. After an error it takes nothing more.
    ///
    /// # Errors
    /// The server broke the protocol or a bound.
    pub fn handle_input(&mut self, _now: Instant, input: &[u8]) -> Result<(), SessionError> {
        let result = match self.fault {
            Some(fault) => Err(fault),
            None => self.process(input),
        };
        self.fault = result.err();
        result
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// What is to be written.
    pub fn output(&self) -> &[u8] {
        &self.link.output.bytes
    }

    /// Takes all pending output, appending it to `to`.
    pub fn take_output(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.link.output.bytes);
    }

    /// Sends connect (allowed any time, once; it leaves right behind C2 if the handshake is not done).
    pub fn connect(&mut self) {
        if self.progress != Progress::Idle {
            return;
        }
        self.progress = Progress::Connecting;
        if self.handshake.is_none() {
            self.send_connect();
        }
    }

    /// releaseStream + FCPublish + createStream + (on its answer, by itself) publish. Waits for `connect` to be accepted.
    pub fn publish(&mut self, name: &str) {
        self.wish(Wish::Publish(name.to_owned()));
    }

    /// createStream + (on its answer) SetBufferLength + play. Waits for `connect` to be accepted.
    pub fn play(&mut self, name: &str) {
        self.wish(Wish::Play(name.to_owned()));
    }

    /// One media or data message on the published stream; nothing if there is none yet. Chunk formats chosen for fewest
    /// bytes.
    pub fn send_media(&mut self, kind: MediaKind, timestamp: Timestamp, payload: &[u8]) {
        let Some((stream, _)) = self.publishing else {
            return;
        };
        let csid = match kind {
            MediaKind::Audio => CSID_AUDIO,
            MediaKind::Video => CSID_VIDEO,
            MediaKind::Data => CSID_DATA,
        };
        let output = &mut self.link.output;
        output.message(csid, kind.type_id(), stream, timestamp, payload);
    }

    /// FCUnpublish (publisher) + deleteStream, for what is published and played.
    pub fn close_stream(&mut self) {
        if let Some((stream, name)) = self.publishing.take() {
            self.call(0, "FCUnpublish", vec![Value::String(name)]);
            self.delete(stream);
        }
        if let Some(stream) = self.playing.take() {
            self.delete(stream);
        }
    }

    /// pause, on the played stream.
    pub fn pause(&mut self, paused: bool, position_ms: f64) {
        if let Some(stream) = self.playing {
            let arguments = vec![Value::Boolean(paused), Value::Number(position_ms)];
            self.call(stream, "pause", arguments);
        }
    }

    /// A SetChunkSize, and use it from the next chunk on. Before the handshake is done: instead of the configured one.
    pub fn set_chunk_size(&mut self, size: u32) {
        if self.handshake.is_some() {
            self.config.chunk_size = size;
        } else {
            let size = size.clamp(1, limits::CHUNK_SIZE_RECEIVE_MAX);
            let output = &mut self.link.output;
            output.protocol(ProtocolControl::SetChunkSize(size));
        }
    }

    /// Bytes a test wants on the wire unaltered.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.link.output.bytes.extend_from_slice(bytes);
    }

    /// The message stream we publish or else play on, once the server has told its number.
    pub fn stream(&self) -> Option<MessageStreamId> {
        let publishing = self.publishing.as_ref().map(|(stream, _)| *stream);
        publishing.or(self.playing)
    }

    fn send_connect(&mut self) {
        if self.config.chunk_size != limits::CHUNK_SIZE_INITIAL {
            self.set_chunk_size(self.config.chunk_size);
        }
        let transaction = self.transaction();
        let command = Command {
            name: "connect".into(),
            transaction,
            object: Value::object([
                ("app", Value::string(self.config.app.as_str())),
                ("type", Value::string("nonprivate")),
                ("flashVer", Value::string(self.config.flash_ver.as_str())),
                ("tcUrl", Value::string(self.config.tc_url.as_str())),
                ("objectEncoding", Value::Number(0.0)),
            ]),
            arguments: Vec::new(),
        };
        self.calls.push((transaction, Call::Connect));
        self.send(0, &command);
    }

    fn wish(&mut self, wish: Wish) {
        if self.progress == Progress::Connected {
            self.begin(wish);
        } else {
            self.wishes.push_back(wish);
        }
    }

    /// Asks for a message stream to do it on.
    fn begin(&mut self, wish: Wish) {
        if let Wish::Publish(name) = &wish {
            let name = Value::string(name.as_str());
            self.call(0, "releaseStream", vec![name.clone()]);
            self.call(0, "FCPublish", vec![name]);
        }
        let transaction = self.call(0, "createStream", vec![]);
        self.calls.push((transaction, Call::CreateStream(wish)));
    }

    /// The message stream is there.
    fn fulfil(&mut self, wish: Wish, stream: MessageStreamId) {
        match wish {
            Wish::Publish(name) => {
                let arguments = vec![Value::string(name.as_str()), Value::string("live")];
                self.call(stream, "publish", arguments);
                self.publishing = Some((stream, name));
            }
            Wish::Play(name) => {
                let millis = BUFFER_MILLIS;
                let output = &mut self.link.output;
                output.user(UserControl::SetBufferLength { stream, millis });
                let arguments = vec![Value::String(name), Value::Number(-2_000.0)];
                self.call(stream, "play", arguments);
                self.playing = Some(stream);
            }
        }
    }

    fn delete(&mut self, stream: MessageStreamId) {
        let number = Value::Number(f64::from(stream));
        self.call(0, "deleteStream", vec![number]);
    }

    fn call(&mut self, stream: MessageStreamId, name: &str, arguments: Vec<Value>) -> f64 {
        let transaction = self.transaction();
        let command = Command {
            name: name.into(),
            transaction,
            object: Value::Null,
            arguments,
        };
        self.send(stream, &command);
        transaction
    }

    fn send(&mut self, stream: MessageStreamId, command: &Command) {
        self.link.output.command_payload(stream, &command.encode());
    }

    fn transaction(&mut self) -> f64 {
        let transaction = self.next_transaction;
        self.next_transaction += 1.0;
        transaction
    }
}
