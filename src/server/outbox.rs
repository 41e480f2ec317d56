//! What a connection has still to be written before the next frame: replies, a joiner's headers, the rest of a
//! torn write. Shared by the connection's task and by the pumps of the streams it plays, so that whole messages
//! never mix.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Waker};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::event::ConnectionId;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::wire::WireMessage;
use crate::runtime::Conn;
use crate::time::Instant;

/// A connection's way out, and the connection. In this order and in one piece, since a pass over thousands of players
/// finds none of it in the cache: what a write of frames looks at comes first, in two lines of 64 bytes.
#[repr(C)]
pub(super) struct Outbox<C> {
    blocked_since: Cell<Option<Instant>>,
    failed: Cell<Option<Failure>>,
    sent: Cell<u64>,
    pending: RefCell<VecDeque<Bytes>>,
    conn: C,
    /// Bytes of replies in `pending`, bounded; reset when it has run empty.
    replies: Cell<usize>,
    /// The same of headers for a player that begins or goes on.
    preludes: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    /// Whose it is.
    pub(super) connection: ConnectionId,
}

/// What one `writev` writes: at most [`limits::GATHER_SLICES`], and no more once they have
/// [`limits::GATHER_BYTES`].
#[derive(Default)]
pub(super) struct Slices<'a> {
    slices: SmallVec<[IoSlice<'a>; limits::GATHER_SLICES]>,
    bytes: usize,
}

impl<'a> Slices<'a> {
    /// Adds one; false if it is the last.
    pub(super) fn add(&mut self, bytes: &'a [u8]) -> bool {
        self.slices.push(IoSlice::new(bytes));
        self.bytes += bytes.len();
        self.slices.len() < limits::GATHER_SLICES && self.bytes < limits::GATHER_BYTES
    }

    /// As `writev` takes them.
    pub(super) fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices
    }

    /// Bytes in all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why nothing is written any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The socket's error.
    Io(io::ErrorKind),
    /// The peer is too slow for this rule.
    TooSlow(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// How a write went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flushed {
    /// So many bytes beyond `pending` (the caller's slices) were taken, and the socket may take more.
    Open(usize),
    /// So many bytes beyond `pending` were taken, and the socket is full or dead: the connection's own task is
    /// woken when there is something to do.
    Shut(usize),
}

impl<C: Conn> Outbox<C> {
    pub(super) fn new(connection: ConnectionId, conn: C) -> Self {
        Self {
            connection,
            conn,
            waker: RefCell::new(None),
            pending: RefCell::new(VecDeque::new()),
            replies: Cell::new(0),
            preludes: Cell::new(0),
            blocked_since: Cell::new(None),
            failed: Cell::new(None),
            sent: Cell::new(0),
        }
    }

    /// The connection.
    pub(super) fn conn(&self) -> &C {
        &self.conn
    }

    /// Who is woken when a full socket takes bytes again: the connection's task.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut mine = self.waker.borrow_mut();
        match &mut *mine {
            Some(known) => known.clone_from(waker),
            None => *mine = Some(waker.clone()),
        }
    }

    /// Queues a reply, behind everything that is queued.
    pub(super) fn reply(&self, bytes: Vec<u8>) {
        self.replies.set(self.replies.get() + bytes.len());
        self.queue(Bytes::from(bytes));
    }

    /// Notes that so many bytes of what is queued are a player's headers.
    pub(super) fn note_prelude(&self, bytes: usize) {
        self.preludes.set(self.preludes.get() + bytes);
    }

    /// False if the peer lets too much pile up of what it asked for.
    pub(super) fn is_within_bounds(&self) -> bool {
        let few = self.replies.get() <= limits::REPLY_BYTES;
        (few && self.preludes.get() <= limits::PRELUDE_BYTES) || planted(Bug::ReplyBoundIgnored)
    }

    /// Queues bytes of whole messages.
    pub(super) fn queue(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pending.borrow_mut().push_back(bytes);
        }
    }

    /// Queues `message` for a player on message stream `stream`.
    pub(super) fn queue_message(&self, stream: MessageStreamId, message: &WireMessage) {
        if stream == 1 {
            self.queue(message.shared(0));
        } else {
            let (header, len) = message.header_for(stream);
            self.queue(Bytes::copy_from_slice(header.get(..len).unwrap_or(&header)));
            self.queue(message.shared(message.header_len()));
        }
    }

    /// Queues the rest of a message that was cut by a short write: it goes before everything else.
    pub(super) fn queue_torn(&self, rest: Bytes) {
        debug_assert!(
            self.pending.borrow().is_empty(),
            "frames are written only behind an empty queue"
        );
        self.pending.borrow_mut().push_front(rest);
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    /// Whether a write is worth a try.
    pub(super) fn is_open(&self) -> bool {
        self.blocked_since.get().is_none() && self.failed.get().is_none()
    }

    /// Since when the socket has taken nothing, if it is full.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    /// The socket reported that it takes bytes again.
    pub(super) fn unblock(&self) {
        self.blocked_since.set(None);
    }

    /// Ends writing to a peer that is too slow: its task closes the connection.
    pub(super) fn condemn(&self, rule: &'static str) {
        self.fail(Failure::TooSlow(rule));
    }

    /// What ended writing.
    pub(super) fn failed(&self) -> Option<Failure> {
        self.failed.get()
    }

    /// Bytes written since the start.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Writes what is queued.
    pub(super) fn flush(&self, now: Instant) -> Flushed {
        loop {
            if self.is_empty() {
                return Flushed::Open(0);
            }
            match self.write(now, std::iter::empty()) {
                Flushed::Open(_) => {}
                shut @ Flushed::Shut(_) => return shut,
            }
        }
    }

    /// One `writev` of what is queued and, behind it, as much of `more` as fits into one.
    pub(super) fn write<'a>(&self, now: Instant, more: impl Iterator<Item = &'a [u8]>) -> Flushed {
        if !self.is_open() {
            return Flushed::Shut(0);
        }
        let mut pending = self.pending.borrow_mut();
        let (result, wanted) = {
            let mut slices = Slices::default();
            if pending.iter().all(|bytes| slices.add(bytes)) {
                let _ = { more }.all(|bytes| slices.add(bytes));
            }
            if slices.as_slice().is_empty() {
                return Flushed::Open(0); // nothing in there that the player wants
            }
            let result = self.conn.try_writev(slices.as_slice());
            (result, slices.bytes())
        };
        self.wrote(now, &mut pending, result, wanted)
    }

    /// One `writev` of `slices` alone; only for one that is open and has nothing queued.
    #[inline(always)] // 40 instructions a delivered frame
    pub(super) fn write_gathered(&self, now: Instant, slices: &Slices<'_>) -> Flushed {
        match self.conn.try_writev(slices.as_slice()) {
            Ok(taken) if taken == slices.bytes() => {
                self.sent.set(self.sent.get() + taken as u64);
                Flushed::Open(taken)
            }
            result => self.wrote(now, &mut self.pending.borrow_mut(), result, slices.bytes()),
        }
    }

    fn wrote(
        &self,
        now: Instant,
        pending: &mut VecDeque<Bytes>,
        result: io::Result<usize>,
        wanted: usize,
    ) -> Flushed {
        let mut taken = match result {
            Ok(_) if planted(Bug::WriteTakenForWriteAll) => wanted,
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Flushed::Open(0),
            Err(error) => {
                self.fail(Failure::Io(error.kind()));
                return Flushed::Shut(0);
            }
        };
        self.sent.set(self.sent.get() + taken as u64);
        let full = taken < wanted;
        while let Some(first) = pending.front_mut() {
            if first.len() > taken {
                first.advance(taken);
                taken = 0;
                break;
            }
            taken -= first.len();
            pending.pop_front();
        }
        if pending.is_empty() {
            self.replies.set(0);
            self.preludes.set(0);
        }
        if full && self.is_blocked(now) {
            Flushed::Shut(taken)
        } else {
            Flushed::Open(taken)
        }
    }

    /// After a short write: registers the connection's task for the writable edge, unless it has come already.
    fn is_blocked(&self, now: Instant) -> bool {
        let waker = self.waker.borrow();
        let waker = waker.as_ref().unwrap_or(Waker::noop());
        match self.conn.poll_writable(&mut Context::from_waker(waker)) {
            std::task::Poll::Ready(Ok(())) => false,
            std::task::Poll::Ready(Err(error)) => {
                self.fail(Failure::Io(error.kind()));
                true
            }
            std::task::Poll::Pending => {
                self.blocked_since.set(Some(now));
                true
            }
        }
    }

    fn fail(&self, failure: Failure) {
        self.failed.set(Some(failure));
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}
