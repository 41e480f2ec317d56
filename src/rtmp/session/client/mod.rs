//! The client's side: publish and play. Used by the simulator, tests, benches, and later by relays.
//!
//! A connection may carry several message streams, each publishing or playing; [`ClientSession::publish`] and
//! [`ClientSession::play`] make one each. What a method does without being told a stream, it does to every stream it
//! fits.

use std::collections::VecDeque;

use super::MessageStreamId;
use super::link::Link;
use super::server::SessionError;
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::command::{Enhanced, Play2, PlayOptions, PublishKind};
use crate::rtmp::handshake::{ClientHandshake, HandshakeKind};
use crate::time::{Duration, Instant};

mod calls;
mod event;
mod input;
mod media;

pub use event::ClientEvent;

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
    /// The handshake we begin with. A server may answer a digest handshake with the simple one.
    pub handshake: HandshakeKind,
    /// Whether to insist on an S2 that answers C1. Many servers send another.
    pub strict_handshake: bool,
    /// The AMF version asked for, 0 or 3. If the server grants 3, commands leave as type 17, their values in AMF0.
    pub object_encoding: u8,
    /// What we say of Enhanced RTMP, if anything.
    pub enhanced: Option<Enhanced>,
    /// How long a player says it buffers. Advisory.
    pub buffer: Duration,
    /// Whether what is asked for early leaves right behind `connect`, without waiting for its answer, as some gear does.
    pub pipelined: bool,
    /// Whether to acknowledge what comes. OBS, for one, does not.
    pub acknowledges: bool,
}

impl Default for ClientConfig {
    /// FFmpeg's buffer and chunk size, a simple handshake, and no application.
    fn default() -> Self {
        Self {
            app: String::new(),
            tc_url: String::new(),
            flash_ver: String::new(),
            chunk_size: 4_096,
            handshake: HandshakeKind::Simple,
            strict_handshake: false,
            object_encoding: 0,
            enhanced: None,
            buffer: Duration::from_millis(3_000),
            pipelined: false,
            acknowledges: true,
        }
    }
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
    /// What the server said of Enhanced RTMP.
    server: Option<Enhanced>,
    /// Whether commands leave as type 17.
    amf3: bool,
    /// Publishes and plays waiting for `connect` to be answered.
    wishes: VecDeque<Wish>,
    /// Calls whose answer matters: `connect`, one for each wish, and at most [`limits::OPEN_CALLS`] when the owner adds one.
    calls: Vec<(f64, Call)>,
    last_transaction: f64,
    /// What is published and played, in the order it began.
    streams: Vec<Stream>,
    /// Bytes of output that the server made us say, since the output was last taken.
    extorted: usize,
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
    /// It was refused.
    Refused,
}

#[derive(Debug, Clone)]
enum Wish {
    Publish(String, PublishKind),
    Play(String, PlayOptions),
}

#[derive(Debug)]
enum Call {
    Connect,
    CreateStream(Wish),
    /// The owner's own.
    Owners,
}

#[derive(Debug)]
struct Stream {
    id: MessageStreamId,
    /// The name that is published; none of a play.
    publishes: Option<String>,
}

impl ClientSession {
    /// C0 and C1 are in the output at once. `nonce` fills C1 and C2.
    pub fn new(config: ClientConfig, nonce: u64) -> Self {
        // What comes is copied out at once: one chunk saves a step.
        let mut link = Link::new(limits::MESSAGE_BYTES);
        let (kind, strict) = (config.handshake, config.strict_handshake);
        let handshake = ClientHandshake::with(nonce, kind, strict, &mut link.output.bytes);
        Self {
            config,
            handshake: Some(handshake),
            link,
            events: VecDeque::new(),
            progress: Progress::Idle,
            server: None,
            amf3: false,
            wishes: VecDeque::new(),
            calls: Vec::new(),
            last_transaction: 0.0,
            streams: Vec::new(),
            extorted: 0,
            fault: None,
        }
    }

    /// Takes all of `input`. After an error it takes nothing more.
    ///
    /// # Errors
    /// The server broke the protocol or a bound: more events than [`limits::SESSION_EVENTS`] that nobody polled, or
    /// more answers than [`limits::REPLY_BYTES`] that nobody took away.
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
        self.extorted = 0;
        self.link.output.take(to);
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

    /// What the server said of Enhanced RTMP when it accepted `connect`; none if nothing.
    pub fn server_caps(&self) -> Option<&Enhanced> {
        self.server.as_ref()
    }

    /// releaseStream + FCPublish + createStream + (on its answer, by itself) publish, live. Waits for `connect` to be
    /// accepted, unless [`ClientConfig::pipelined`].
    pub fn publish(&mut self, name: &str) {
        self.publish_as(name, PublishKind::Live);
    }

    /// The same, live, to be recorded, or to be appended to a recording.
    pub fn publish_as(&mut self, name: &str, kind: PublishKind) {
        self.wish(Wish::Publish(name.to_owned(), kind));
    }

    /// createStream + (on its answer) SetBufferLength + play. Waits for `connect` to be accepted.
    pub fn play(&mut self, name: &str) {
        self.play_with(name, PlayOptions::default());
    }

    /// The same, from somewhere, so long, or behind what plays.
    pub fn play_with(&mut self, name: &str, options: PlayOptions) {
        self.wish(Wish::Play(name.to_owned(), options));
    }

    /// play with `reset` false: one more recording behind those that `stream` plays. There is no answer but for a refusal;
    /// when its turn comes, the data message onPlayStatus NetStream.Play.Switch.
    pub fn play_next(&mut self, stream: MessageStreamId, name: &str, options: PlayOptions) {
        let options = PlayOptions {
            reset: false,
            ..options
        };
        self.ask_to_play(stream, name.to_owned(), options);
    }

    /// play2: another stream in place of the one that `stream` plays. onStatus NetStream.Play.Transition answers, and
    /// later the data message onPlayStatus.
    pub fn play2(&mut self, stream: MessageStreamId, play: &Play2) {
        self.notify(stream, "play2", vec![play.to_value()]);
    }

    /// FCUnpublish (publisher) + deleteStream, for what is published and played.
    pub fn close_stream(&mut self) {
        for stream in core::mem::take(&mut self.streams) {
            self.delete(stream);
        }
    }

    /// The same for one message stream; nothing if we do not have it.
    pub fn close(&mut self, stream: MessageStreamId) {
        if let Some(index) = self.streams.iter().position(|s| s.id == stream) {
            let stream = self.streams.remove(index);
            self.delete(stream);
        }
    }

    /// pause, on every played stream.
    pub fn pause(&mut self, paused: bool, position_ms: f64) {
        let arguments = [Value::Boolean(paused), Value::Number(position_ms)];
        self.tell_players("pause", &arguments);
    }

    /// seek, on every played stream.
    pub fn seek(&mut self, position_ms: f64) {
        self.tell_players("seek", &[Value::Number(position_ms)]);
    }

    /// receiveAudio, on every played stream.
    pub fn receive_audio(&mut self, wanted: bool) {
        self.tell_players("receiveAudio", &[Value::Boolean(wanted)]);
    }

    /// receiveVideo, on every played stream.
    pub fn receive_video(&mut self, wanted: bool) {
        self.tell_players("receiveVideo", &[Value::Boolean(wanted)]);
    }

    /// Any command, with a null command object. Its answer comes as [`ClientEvent::Answered`] with the number returned.
    /// None, and nothing sent, before `connect` is accepted, or if [`limits::OPEN_CALLS`] are open already.
    pub fn call(
        &mut self,
        stream: MessageStreamId,
        name: &str,
        arguments: Vec<Value>,
    ) -> Option<f64> {
        if self.progress != Progress::Connected || self.calls.len() >= limits::OPEN_CALLS {
            return None;
        }
        let transaction = self.send_call(stream, name, arguments);
        self.calls.push((transaction, Call::Owners));
        Some(transaction)
    }

    /// The message stream we publish on, or else the first we play on, once the server has told its number.
    pub fn stream(&self) -> Option<MessageStreamId> {
        let first = self.streams.first().map(|s| s.id);
        self.publishing().or(first)
    }

    /// The first message stream we publish on.
    fn publishing(&self) -> Option<MessageStreamId> {
        let mut publishing = self.streams.iter().filter(|s| s.publishes.is_some());
        publishing.next().map(|s| s.id)
    }
}
