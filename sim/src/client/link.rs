//! One connection of a script: moves bytes between the session and the socket, and nothing else.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use std::io::{ErrorKind, IoSlice};

use millstream::rtmp::session::client::{ClientEvent, ClientSession};
use millstream::runtime::Conn;
use millstream::time::{Duration, Instant};

use super::Stage;
use crate::checkers::tap::Tap;
use crate::scenario::ReadPace;

/// Bytes of one read of a client that is not told to read slowly.
const READ_BYTES: usize = 16 * 1_024;

/// How a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// The server's FIN.
    Fin,
    /// A RST, or an error of the socket.
    Broken,
    /// The server broke the protocol.
    Protocol(String),
}

/// A connection and its session.
pub(super) struct Link<S: Stage> {
    stage: S,
    pub(super) conn: S::Conn,
    pub(super) session: ClientSession,
    unsent: Vec<u8>,
    sent: usize,
    /// What one read brings.
    arrived: Box<[u8; READ_BYTES]>,
    over: Option<Over>,
    /// After a write that failed there is only reading.
    deaf: bool,
    pace: Option<ReadPace>,
    next_read: Instant,
    /// Bytes that may still leave, if it is to be cut off.
    cut_after: Option<u64>,
    /// No session: only raw bytes go out, and what comes is not looked at.
    raw: bool,
    tap: Option<Tap>,
    /// Bytes written, and when the last of them were.
    written: u64,
    last_write: Instant,
}

impl<S: Stage> Link<S> {
    pub(super) fn new(stage: S, conn: S::Conn, session: ClientSession, tap: Option<Tap>) -> Self {
        let now = stage.now();
        if let Some(tap) = &tap {
            tap.begins(now);
        }
        Self {
            tap,
            written: 0,
            last_write: now,
            next_read: now,
            stage,
            conn,
            session,
            unsent: Vec::new(),
            sent: 0,
            arrived: Box::new([0; READ_BYTES]),
            over: None,
            deaf: false,
            pace: None,
            cut_after: None,
            raw: false,
        }
    }

    /// Silences the session.
    pub(super) fn go_raw(&mut self) {
        self.session.take_output(&mut Vec::new());
        self.raw = true;
    }

    /// Whether no session speaks on it.
    pub(super) fn is_raw(&self) -> bool {
        self.raw
    }

    /// Lets `bytes` more leave, and no others.
    pub(super) fn cut_after(&mut self, bytes: u64) {
        self.cut_after = Some(bytes);
    }

    /// Whether all has left that may.
    pub(super) fn is_cut(&self) -> bool {
        self.cut_after == Some(0)
    }

    /// Says nothing any more, and goes on reading.
    pub(super) fn fall_silent(&mut self) {
        self.deaf = true;
        self.cut_after = None;
    }

    /// Whether nothing that is said now will be heard.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    pub(super) fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// Whether it reads so slowly that it is as good as not at all.
    pub(super) fn reads_nothing(&self) -> bool {
        self.pace
            .is_some_and(|pace| pace.bytes as u64 <= pace.every_ms / 1_000)
    }

    pub(super) fn read_slowly(&mut self, pace: ReadPace) {
        self.pace = Some(pace);
    }

    /// Bytes written and when the last of them were, if the connection stands as far as reading all that has come tells.
    pub(super) fn stands(&mut self) -> Option<(u64, Instant)> {
        while self.read() {}
        let read_all = self.next_read <= self.stage.now();
        let stands = read_all && self.over.is_none() && !self.deaf;
        stands.then_some((self.written, self.last_write))
    }

    /// Whether everything the session wanted to say is with the network.
    pub(super) fn is_flushed(&self) -> bool {
        self.deaf || (self.sent == self.unsent.len() && self.session.output().is_empty())
    }

    /// Moves bytes both ways once. True if anything moved.
    pub(super) fn step(&mut self) -> bool {
        let wrote = self.write();
        let read = self.read();
        wrote || read
    }

    fn write(&mut self) -> bool {
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
        self.session.take_output(&mut self.unsent);
        let rest = self.unsent.get(self.sent..).unwrap_or_default();
        let most = self.cut_after.map_or(usize::MAX, |left| left as usize);
        let rest = rest.get(..most).unwrap_or(rest);
        if rest.is_empty() || self.deaf || self.over.is_some() {
            return false;
        }
        match self.conn.try_writev(&[IoSlice::new(rest)]) {
            Ok(n) => {
                let now = self.stage.now();
                if let Some(tap) = &mut self.tap {
                    tap.sent(now, rest.get(..n).unwrap_or_default());
                }
                self.sent += n;
                self.written += n as u64;
                self.last_write = now;
                self.cut_after = self.cut_after.map(|left| left.saturating_sub(n as u64));
                n > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.deaf = true;
                true
            }
        }
    }

    fn read(&mut self) -> bool {
        let now = self.stage.now();
        if self.over.is_some() || now < self.next_read {
            return false;
        }
        let most = self
            .pace
            .map_or(READ_BYTES, |pace| pace.bytes.clamp(1, READ_BYTES));
        match self.conn.try_read(&mut self.arrived[..most]) {
            Ok(0) => self.over = Some(Over::Fin),
            Ok(n) => {
                if let Some(pace) = self.pace {
                    self.next_read = now + Duration::from_millis(pace.every_ms);
                }
                if let Some(tap) = &mut self.tap {
                    tap.received(now, &self.arrived[..n]);
                }
                if !self.raw
                    && let Err(error) = self.session.handle_input(now, &self.arrived[..n])
                {
                    self.over = Some(Over::Protocol(error.to_string()));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.over = Some(Over::Broken),
        }
        true
    }

    pub(super) fn poll_event(&mut self) -> Option<ClientEvent> {
        self.session.poll_event()
    }

    /// Waits until `step` may move something, or until `deadline`.
    pub(super) async fn ready(&self, deadline: Instant) {
        let alarm = if self.next_read > self.stage.now() {
            deadline.min(self.next_read)
        } else {
            deadline
        };
        let mut sleep = pin!(self.stage.sleep_until(alarm));
        poll_fn(|cx| {
            if self.poll_io(cx).is_ready() || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    fn poll_io(&self, cx: &mut Context<'_>) -> Poll<()> {
        let writes = !self.is_flushed() && self.over.is_none();
        if writes && self.conn.poll_writable(cx).is_ready() {
            return Poll::Ready(());
        }
        let reads = self.over.is_none() && self.next_read <= self.stage.now();
        if reads && self.conn.poll_readable(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
