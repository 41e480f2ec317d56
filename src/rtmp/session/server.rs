//! The server's side of a session: bytes in, events out; decisions in, bytes out.

use std::collections::VecDeque;

use super::MessageStreamId;
use crate::rtmp::wire::WireMessage;
use crate::time::Instant;

/// What the server tells and asks every peer.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Chunk size of everything we send, 1..=65,536.
    pub chunk_size: u32,
    /// Window Acknowledgement Size we announce, bytes.
    pub window_ack_size: u32,
    /// Set Peer Bandwidth we announce, bytes.
    pub peer_bandwidth: u32,
}

/// What `connect` said (§5.1 of the reference; unknown properties are ignored).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectRequest {
    /// Application, without query, slashes at the ends, or `_definst_`.
    pub app: String,
    /// The query behind the application, without `?`.
    pub query: String,
    /// As sent; empty if absent.
    pub tc_url: String,
    /// As sent; empty if absent.
    pub flash_ver: String,
    /// As sent; empty if absent.
    pub page_url: String,
    /// As sent; empty if absent.
    pub swf_url: String,
    /// The AMF version it asks for: 0 or 3.
    pub object_encoding: u8,
    /// Enhanced RTMP `capsEx` bits, 0 if absent.
    pub caps_ex: u32,
    /// Enhanced RTMP `fourCcList`.
    pub four_cc_list: Vec<String>,
}

/// `publish`'s second argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishKind {
    /// live
    Live,
    /// record
    Record,
    /// append
    Append,
}

/// What a client asked for, or sent.
#[derive(Clone, Debug)]
pub enum Event {
    /// Answer with [`ServerSession::accept_connect`] or [`ServerSession::reject_connect`].
    ConnectRequested(Box<ConnectRequest>),
    /// Answer with `accept_publish` or `reject_publish`.
    PublishRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Stream name, without query.
        name: String,
        /// Behind `?`.
        query: String,
        /// live, record, append.
        kind: PublishKind,
    },
    /// Answer with `accept_play` or `reject_play`.
    PlayRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Stream name, without query.
        name: String,
        /// Behind `?`.
        query: String,
        /// As sent: -2 live or recorded, -1 live, ≥0 recorded.
        start: f64,
    },
    /// Audio, video or data on a message stream that has asked to publish (also before it was accepted).
    Media {
        /// Message stream.
        stream: MessageStreamId,
        /// The message.
        message: WireMessage,
    },
    /// `@clearDataFrame`.
    MetadataCleared {
        /// Message stream.
        stream: MessageStreamId,
    },
    /// The stream's publish or play has ended: FCUnpublish of its name, closeStream, deleteStream, publish(false), play(false), or
    /// another publish/play on the same message stream. Sent once per accepted or requested role.
    StreamClosed {
        /// Message stream.
        stream: MessageStreamId,
    },
    /// pause(true/false).
    Paused {
        /// Message stream.
        stream: MessageStreamId,
        /// Hold, or go on.
        paused: bool,
        /// Milliseconds.
        position: f64,
    },
    /// seek(ms).
    SeekRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Milliseconds.
        position: f64,
    },
    /// receiveAudio / receiveVideo.
    Receive {
        /// Message stream.
        stream: MessageStreamId,
        /// None: unchanged.
        audio: Option<bool>,
        /// None: unchanged.
        video: Option<bool>,
    },
}

/// Why a session cannot go on. (rtmp owner: extend; Display names who is at fault, what was expected, what came)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Placeholder.
    #[error("peer: {0}")]
    Peer(String),
}

/// One connection's protocol state.
pub struct ServerSession {
    events: VecDeque<Event>,
}

impl ServerSession {
    /// `nonce` fills S1 and S2 (expanded deterministically; the runtime provides the entropy).
    pub fn new(config: SessionConfig, nonce: u64) -> Self {
        let _ = (config, nonce);
        todo!()
    }
    /// Takes all of `input`; events and replies queue up. After an error the session takes nothing more,
    /// but `output()` may hold last words.
    /// # Errors
    /// The peer broke the protocol or a bound.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<(), SessionError> {
        let _ = (now, input);
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// Replies to be written, whole messages.
    pub fn output(&self) -> &[u8] {
        todo!()
    }
    /// Takes all pending output away, appending it to `to`.
    pub fn take_output(&mut self, to: &mut Vec<u8>) {
        let _ = to;
        todo!()
    }
    /// Handshake finished?
    pub fn is_established(&self) -> bool {
        todo!()
    }
    /// connect accepted?
    pub fn is_connected(&self) -> bool {
        todo!()
    }
    /// WindowAck, SetPeerBandwidth, StreamBegin 0, SetChunkSize, _result (one write), onBWDone.
    pub fn accept_connect(&mut self) {
        todo!()
    }
    /// `_error` NetConnection.Connect.Rejected (or InvalidApp); the caller flushes and closes.
    pub fn reject_connect(&mut self, code: &str, description: &str) {
        let _ = (code, description);
        todo!()
    }
    /// StreamBegin, onStatus NetStream.Publish.Start, onFCPublish if FCPublish came.
    pub fn accept_publish(&mut self, stream: MessageStreamId) {
        let _ = stream;
        todo!()
    }
    /// onStatus error `code`, e.g. NetStream.Publish.BadName / Denied.
    pub fn reject_publish(&mut self, stream: MessageStreamId, code: &str, description: &str) {
        let _ = (stream, code, description);
        todo!()
    }
    /// StreamBegin, Play.Reset (if asked), Play.Start, |RtmpSampleAccess.
    pub fn accept_play(&mut self, stream: MessageStreamId) {
        let _ = stream;
        todo!()
    }
    /// onStatus error, e.g. NetStream.Play.StreamNotFound / Failed.
    pub fn reject_play(&mut self, stream: MessageStreamId, code: &str, description: &str) {
        let _ = (stream, code, description);
        todo!()
    }
    /// NetStream.Pause.Notify + StreamEOF / Unpause.Notify + StreamBegin.
    pub fn confirm_pause(&mut self, stream: MessageStreamId, paused: bool) {
        let _ = (stream, paused);
        todo!()
    }
    /// NetStream.Seek.Failed (live), Seek.Notify later.
    pub fn reject_seek(&mut self, stream: MessageStreamId, description: &str) {
        let _ = (stream, description);
        todo!()
    }
    /// Graceful stop, publisher's side: onStatus NetStream.Unpublish.Success on `stream`.
    pub fn end_publish(&mut self, stream: MessageStreamId, description: &str) {
        let _ = (stream, description);
        todo!()
    }
    /// Graceful stop: onStatus NetConnection.Connect.AppShutdown on message stream 0.
    pub fn announce_shutdown(&mut self, description: &str) {
        let _ = description;
        todo!()
    }
    /// A ping (user control 6) with our clock.
    pub fn ping(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
    /// Bytes held for partly received messages and unanswered replies (for budgets and the census).
    pub fn buffered_bytes(&self) -> usize {
        todo!()
    }
}

/// What a player on message stream `stream` is told when its publisher ends: StreamEOF + onStatus NetStream.Play.UnpublishNotify. Wire bytes.
pub fn publisher_ended(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let _ = (stream, name, chunk_size);
    todo!()
}
/// StreamBegin + NetStream.Play.PublishNotify. Wire bytes.
pub fn publisher_began(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let _ = (stream, name, chunk_size);
    todo!()
}
/// NetStream.Play.Stop + StreamEOF: the play itself is over (server stops). Wire bytes.
pub fn play_stopped(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let _ = (stream, name, chunk_size);
    todo!()
}
