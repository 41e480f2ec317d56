//! The server's side of a session: bytes in, events out; decisions in, bytes out.
//!
//! * `input`: what comes, from handshake to media.
//! * `commands`: what clients ask, and what is answered without asking the shell.
//! * `answers`: the shell's decisions.
//! * `streams`: the message streams and their roles.
//! * `queue`: the events that wait for the shell.
//! * `notices`: what all players of a stream are told, as bytes made once.

use std::collections::VecDeque;

use super::MessageStreamId;
use super::link::Link;
use crate::limits;
use crate::rtmp::control::UserControl;
use crate::rtmp::handshake::ServerHandshake;
use crate::time::{Duration, Instant};

mod answers;
mod commands;
mod event;
mod input;
mod notices;
mod queue;
mod streams;
#[cfg(test)]
mod tests;

pub use super::error::{Fault, SessionError};
pub use crate::rtmp::command::{ConnectRequest, Enhanced, PlayStart, PublishKind, Transition};
pub use event::Event;
pub use notices::{
    play_completed, play_failed, play_stopped, play_switched, publisher_began, publisher_ended,
};

/// What the server tells and asks every peer.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Chunk size of everything we send, 1..=65,536.
    pub chunk_size: u32,
    /// Whether every format 3 chunk must carry the extended timestamp where the errata (§5.1) want it, instead of
    /// looking whether this sender leaves it out.
    pub strict_extended_timestamps: bool,
    /// Window Acknowledgement Size we announce, bytes.
    pub window_ack_size: u32,
    /// Set Peer Bandwidth we announce, bytes.
    pub peer_bandwidth: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            chunk_size: limits::CHUNK_SIZE_DEFAULT,
            strict_extended_timestamps: false,
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            peer_bandwidth: limits::PEER_BANDWIDTH_DEFAULT,
        }
    }
}

/// One connection's protocol state.
#[derive(Debug)]
pub struct ServerSession {
    config: SessionConfig,
    /// None once it is done.
    handshake: Option<ServerHandshake>,
    connection: Connection,
    link: Link,
    events: queue::Queue,
    streams: streams::Streams,
    /// The number of the last publish or play.
    last_role: queue::RoleId,
    /// Names of FCPublish, whose senders expect onFCPublish.
    announced: VecDeque<String>,
    /// Bytes that came before `connect` was accepted.
    before_connect: usize,
    /// Those of them behind `connect`.
    held: Vec<u8>,
    /// The clock's last reading.
    now: Instant,
    /// Whether `connect` said that the client knows ReconnectRequest.
    can_reconnect: bool,
    /// When the ping left that has not been answered.
    pinged: Option<Instant>,
    /// Whole messages that came, those of the protocol itself left out.
    messages: u64,
    round_trip: Option<Duration>,
    fault: Option<SessionError>,
}

/// How far `connect` has got.
#[derive(Debug, Clone, Copy)]
enum Connection {
    Expected,
    Requested {
        transaction: f64,
        object_encoding: u8,
        enhanced: bool,
    },
    Accepted,
    Rejected,
}

impl ServerSession {
    /// `nonce` fills S1 and S2 (expanded deterministically; the runtime provides the entropy).
    pub fn new(mut config: SessionConfig, nonce: u64) -> Self {
        config.chunk_size = config.chunk_size.clamp(1, limits::CHUNK_SIZE_SEND_MAX);
        let mut link = Link::new(config.chunk_size);
        link.decoder
            .set_strict_extended(config.strict_extended_timestamps);
        Self {
            handshake: Some(ServerHandshake::new(nonce)),
            connection: Connection::Expected,
            link,
            config,
            events: queue::Queue::default(),
            streams: streams::Streams::default(),
            last_role: 0,
            announced: VecDeque::new(),
            before_connect: 0,
            held: Vec::new(),
            now: Instant::ZERO,
            can_reconnect: false,
            pinged: None,
            messages: 0,
            round_trip: None,
            fault: None,
        }
    }

    /// Takes all of `input`; events and replies queue up. After an error the session takes nothing more,
    /// but `output()` may hold last words.
    ///
    /// # Errors
    /// The peer broke the protocol or a bound.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<(), SessionError> {
        self.now = now;
        let result = match self.fault {
            Some(fault) => Err(fault),
            None => self.take_input(input),
        };
        self.fault = result.err();
        result
    }

    /// Why the session takes nothing more. Held back bytes may break it in [`Self::accept_connect`], too.
    pub fn fault(&self) -> Option<SessionError> {
        self.fault
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Replies to be written, whole messages.
    pub fn output(&self) -> &[u8] {
        &self.link.output.bytes
    }

    /// Takes all pending output away, appending it to `to`.
    pub fn take_output(&mut self, to: &mut Vec<u8>) {
        self.link.output.take(to);
    }

    /// Handshake finished?
    pub fn is_established(&self) -> bool {
        self.handshake.is_none()
    }

    /// connect accepted?
    pub fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Accepted)
    }

    /// A ping (user control 6) with our clock.
    pub fn ping(&mut self, now: Instant) {
        let millis = now.as_millis() as u32;
        self.link.output.user(UserControl::PingRequest(millis));
        self.pinged = Some(now);
    }

    /// From the last answered [`Self::ping`] to its answer; an answer that nobody waits for is none. OBS and others
    /// answer none while they publish.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whole messages that came: commands, data and media, but nothing that the protocol answers by itself.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes held for partly received messages and unanswered replies (for budgets and the census).
    pub fn buffered_bytes(&self) -> usize {
        self.link.decoder.buffered_bytes() + self.link.output.bytes.capacity() + self.held.len()
    }

    /// How long the player on `stream` buffers, if it has said so (SetBufferLength): a recording may be sent so far
    /// ahead of its time.
    pub fn buffer_length(&self, stream: MessageStreamId) -> Option<Duration> {
        let millis = self.streams.buffer(stream)?;
        Some(Duration::from_millis(millis.into()))
    }

    /// Ends `stream`'s role, if it has one, and says so.
    fn close_role(&mut self, stream: MessageStreamId) -> streams::Role {
        self.close_role_for(stream, false)
    }

    /// The same; `append`: for a play that is to follow what plays there.
    fn close_role_for(&mut self, stream: MessageStreamId, append: bool) -> streams::Role {
        let (role, id) = self.streams.set_role(stream, streams::Role::Idle, 0);
        if role != streams::Role::Idle {
            let append = append && matches!(role, streams::Role::Play { .. });
            self.events.push(id, Event::StreamClosed { stream, append });
        }
        role
    }

    /// Gives `stream` a new role, which the shell is to decide on.
    fn open_role(&mut self, stream: MessageStreamId, role: streams::Role, request: Event) {
        self.last_role += 1;
        self.streams.set_role(stream, role, self.last_role);
        self.events.push(self.last_role, request);
    }
}
