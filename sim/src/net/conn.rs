//! One end of a simulated connection.
//!
//! Both ends of every connection are a [`SimConn`], so turmoil only carries tagged segments with their
//! latency and in their order; what TCP means by them is decided here. That gives what turmoil lacks (byte
//! windows, partial reads and writes, resets at will) and steps around its two defects: the capacity
//! counted in segments is set out of reach, so no FIN is ever stranded behind a full queue; and whoever
//! waits in either direction keeps pulling arrivals, so a reset wakes a blocked writer.

use core::cell::RefCell;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use bytes::{Buf, BytesMut};
use millstream::limits;
use millstream::runtime::{Conn, SocketAddr};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;
use turmoil::net::TcpStream;

use super::line::{Line, Path};
use super::window::Window;
use super::{End, Net, Token};
use crate::faults::{ConnFaults, Ending, Fault};
use crate::memory::{self, outside};

/// A segment's first byte: what it is.
const DATA: u8 = 0;
const FIN: u8 = 1;
const RST: u8 = 2;

/// The largest segment the dice may give, and its tag.
const SEGMENT_ROOM: usize = 16 * 1_024 + 1;

/// One end of a connection; see [`Conn`] for the contract.
pub struct SimConn {
    side: RefCell<Side>,
    waiters: Arc<Waiters>,
    net: Net,
    /// The client's address, for the journal.
    client: SocketAddr,
    end: End,
    peer: SocketAddr,
    local: SocketAddr,
    line: Rc<Line>,
    /// Counts the server's open sockets.
    _token: Option<Token>,
}

struct Side {
    end: End,
    stream: TcpStream,
    /// Arrived and not yet read.
    inbox: BytesMut,
    /// What ended the peer's sending.
    ended: Option<Ended>,
    fin_sent: bool,
    abort: bool,
    incoming: Window,
    outgoing: Window,
    faults: ConnFaults,
    /// A read or write that could have gone on said `WouldBlock`: the next poll wakes itself.
    dodged_read: bool,
    /// A read was cut short, and the checkers know.
    cut_short: bool,
    dodged_write: bool,
    stall: Option<Alarm>,
    /// Until when what has arrived waits for more, and how many segments there are.
    gather: Option<(Alarm, usize)>,
    /// When the kernel gives up a connection whose path loses what is sent.
    give_up: Option<Alarm>,
    line: Rc<Line>,
}

type Alarm = Pin<Box<Sleep>>;

/// None outside of a host: it crashes, and its clock with it, while the server's tasks are dropped.
fn alarm(time: core::time::Duration) -> Option<Alarm> {
    tokio::runtime::Handle::try_current().ok()?;
    Some(Box::pin(tokio::time::sleep(time)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Fin,
    Reset,
    /// The kernel gave up.
    TimedOut,
}

impl Ended {
    /// What reads and writes fail with.
    fn error(self) -> Option<io::Error> {
        match self {
            Self::Fin => None,
            Self::Reset => Some(ErrorKind::ConnectionReset.into()),
            Self::TimedOut => Some(ErrorKind::TimedOut.into()),
        }
    }
}

/// turmoil keeps one waker a stream; reader and writer may be different tasks.
#[derive(Default)]
pub(super) struct Waiters {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Waiters {
    pub(super) fn wake_both(&self) {
        for slot in [&self.reader, &self.writer] {
            let waker = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn keep(slot: &Mutex<Option<Waker>>, cx: &Context<'_>) {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_both();
    }
}

/// Everything a new end needs.
pub(super) struct Parts {
    pub(super) stream: TcpStream,
    pub(super) incoming: Window,
    pub(super) outgoing: Window,
    pub(super) faults: ConnFaults,
    pub(super) end: End,
    pub(super) line: Rc<Line>,
    pub(super) token: Option<Token>,
}

impl SimConn {
    pub(super) fn new(net: Net, parts: Parts) -> io::Result<Self> {
        let (peer, local) = (parts.stream.peer_addr()?, parts.stream.local_addr()?);
        let waiters = Arc::default();
        parts.line.add_end(&waiters);
        Ok(Self {
            waiters,
            line: parts.line.clone(),
            peer,
            local,
            net,
            client: match parts.end {
                End::Client => local,
                End::Server => peer,
            },
            end: parts.end,
            side: RefCell::new(Side {
                end: parts.end,
                stream: parts.stream,
                inbox: BytesMut::new(),
                ended: None,
                fin_sent: false,
                abort: false,
                incoming: parts.incoming,
                outgoing: parts.outgoing,
                faults: parts.faults,
                dodged_read: false,
                cut_short: false,
                dodged_write: false,
                stall: None,
                gather: None,
                give_up: None,
                line: parts.line,
            }),
            _token: parts.token,
        })
    }

    /// For the journal: whoever publishes here holds nothing any more. (A client's own end is its script's to report.)
    fn server_closes(&self) {
        if self.end == End::Server {
            self.net.lets_go(self.client, "the server closed");
        }
    }

    /// The waker that turmoil keeps: it wakes whoever waits in either direction.
    fn waker(&self) -> Waker {
        Waker::from(self.waiters.clone())
    }
}

impl Side {
    /// Takes in every segment that has arrived, and what has become of the path.
    fn pull(&mut self, waker: &Waker) {
        self.take_in(waker);
        let cx = &mut Context::from_waker(waker);
        if let Some(stall) = &mut self.stall
            && stall.as_mut().poll(cx).is_ready()
        {
            self.stall = None;
        }
        if let Some((patience, segments)) = &mut self.gather
            && (self.ended.is_some() || patience.as_mut().poll(cx).is_ready())
        {
            if *segments > 1 {
                self.faults.count(Fault::Coalesced);
            }
            self.gather = None;
        }
        self.feel_path(waker);
    }

    fn feel_path(&mut self, waker: &Waker) {
        if self.is_broken() {
            return;
        }
        match self.line.path() {
            Path::Whole => {}
            Path::Lost if self.outgoing.under_way() > 0 => self.wait_for_ack(waker),
            Path::Lost => self.give_up_in_time(waker),
            Path::Vanished if self.end == End::Client => self.breaks(Ended::Reset),
            Path::Forgotten if self.end == End::Client && self.outgoing.under_way() > 0 => {
                self.breaks(Ended::Reset);
            }
            Path::Vanished => {
                if self.outgoing.under_way() > 0 {
                    self.wait_for_ack(waker);
                }
                self.give_up_in_time(waker);
            }
            Path::Forgotten => {}
        }
    }

    /// Something is sent that no acknowledgement will come for.
    fn wait_for_ack(&mut self, waker: &Waker) {
        if self.give_up.is_none() {
            self.give_up = alarm(limits::USER_TIMEOUT);
        }
        self.give_up_in_time(waker);
    }

    fn give_up_in_time(&mut self, waker: &Waker) {
        let cx = &mut Context::from_waker(waker);
        if let Some(give_up) = &mut self.give_up
            && give_up.as_mut().poll(cx).is_ready()
        {
            self.faults.count(Fault::KernelGaveUp);
            self.breaks(Ended::TimedOut);
            waker.wake_by_ref();
        }
    }

    /// This end is broken; nobody is told.
    fn breaks(&mut self, how: Ended) {
        self.inbox.clear();
        self.stall = None;
        self.gather = None;
        self.give_up = None;
        self.ended = Some(how);
        self.fin_sent = true;
    }

    fn take_in(&mut self, waker: &Waker) {
        let cx = &mut Context::from_waker(waker);
        // Not zeroed: this runs at every poll.
        let mut raw = [MaybeUninit::uninit(); SEGMENT_ROOM];
        while self.ended.is_none() {
            let mut segment = ReadBuf::uninit(&mut raw);
            match Pin::new(&mut self.stream).poll_read(cx, &mut segment) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => self.ended = Some(Ended::Reset),
                Poll::Ready(Ok(())) => match segment.filled().split_first() {
                    Some((&DATA, bytes)) => {
                        let alone = self.inbox.is_empty();
                        self.inbox.extend_from_slice(bytes);
                        self.may_stall();
                        self.may_gather(alone);
                    }
                    Some((&RST, _)) => self.ended = Some(Ended::Reset),
                    // A bare end is an end that was dropped before it became a `SimConn`.
                    Some(_) | None => self.ended = Some(Ended::Fin),
                },
            }
        }
    }

    fn may_stall(&mut self) {
        if self.stall.is_none()
            && let Some(ms) = self.faults.stalls()
        {
            self.stall = alarm(core::time::Duration::from_millis(ms));
        }
    }

    /// A segment has arrived: it is gathered with others, or waits for some if it is `alone`.
    fn may_gather(&mut self, alone: bool) {
        if let Some((_, segments)) = &mut self.gather {
            *segments += 1;
        } else if alone && let Some(ms) = self.faults.gathers() {
            self.gather = alarm(core::time::Duration::from_millis(ms)).map(|alarm| (alarm, 1));
        }
    }

    fn is_readable(&self) -> bool {
        self.stall.is_none()
            && self.gather.is_none()
            && (!self.inbox.is_empty() || self.ended.is_some())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.is_readable() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.faults.dodges() {
            self.dodged_read = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let there = self.inbox.len().min(buf.len());
        if there == 0 {
            return self.ended.and_then(Ended::error).map_or(Ok(0), Err);
        }
        let n = self.faults.read_size(there);
        self.inbox.copy_to_slice(&mut buf[..n]);
        self.incoming.drain(n);
        Ok(n)
    }

    /// Writes what there is room for; with it, whether the sending side has ended by that.
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<(usize, Option<Ending>)> {
        if let Some(error) = self.ended.and_then(Ended::error) {
            return Err(error);
        }
        if self.fin_sent {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        let room = self.outgoing.room().min(wanted);
        if room < wanted {
            self.faults.count(Fault::FullWindow);
        }
        if room == 0 && wanted > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.faults.dodges() {
            self.dodged_write = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = self.faults.write_size(room);
        let ending = self.faults.ends_within(n);
        let n = ending.map_or(n, |(sent, _)| sent);
        let mut bytes = Vec::with_capacity(n);
        for buf in bufs {
            let left = n - bytes.len();
            bytes.extend_from_slice(&buf[..buf.len().min(left)]);
        }
        let most = self.faults.segment.min(SEGMENT_ROOM - 1);
        if n > most {
            self.faults.count(Fault::Segmented);
        }
        for segment in bytes.chunks(most) {
            self.send(DATA, segment)?;
        }
        self.outgoing.fill(n);
        if let Some((_, how)) = ending {
            self.fin_sent = true;
            self.send(FIN, &[])?;
            if how == Ending::Gone {
                self.breaks(Ended::Reset);
            }
        }
        Ok((n, ending.map(|(_, how)| how)))
    }

    fn send(&self, tag: u8, bytes: &[u8]) -> io::Result<()> {
        let mut segment = Vec::with_capacity(bytes.len() + 1);
        segment.push(tag);
        segment.extend_from_slice(bytes);
        self.stream.try_write(&segment).map(|_| ())
    }

    /// Both directions end here and now, as if the path had sent a RST to each side.
    fn reset(&mut self) {
        if !self.is_broken() {
            // The peer may be gone already; then there is nobody to tell.
            let _ = self.send(RST, &[]);
        }
        self.breaks(Ended::Reset);
    }

    /// Nobody is there to be told anything.
    fn is_broken(&self) -> bool {
        self.ended.is_some_and(|ended| ended.error().is_some())
    }
}

impl SimConn {
    fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        let side = &mut *self.side.borrow_mut();
        side.pull(&self.waker());
        let there = side.inbox.len().min(buf.len());
        let n = side.read(buf)?;
        if n < there && self.end == End::Server && !core::mem::replace(&mut side.cut_short, true) {
            self.net.cuts_short(self.peer);
        }
        if side.faults.panics_after(n) {
            self.net
                .injects(self.client, "the task that serves it panics");
            // Not by `panic!`: the hook would print it.
            std::panic::resume_unwind(Box::new("injected by the simulator"));
        }
        if side.faults.resets_after(n) {
            side.reset();
            self.net.injects(self.client, "the connection is reset");
            self.net.lets_go(self.client, "reset");
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(n)
    }

    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let side = &mut *self.side.borrow_mut();
        side.pull(&self.waker());
        let (n, ending) = side.write(bufs)?;
        side.feel_path(&self.waker());
        if ending.is_some() {
            self.net
                .injects(self.client, "the client's sending side ends");
            self.net.lets_go(self.client, "can send no more");
        }
        Ok(n)
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Waiters::keep(&self.waiters.reader, cx);
        let side = &mut *self.side.borrow_mut();
        side.pull(&self.waker());
        if core::mem::take(&mut side.dodged_read) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if side.is_readable() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Waiters::keep(&self.waiters.writer, cx);
        let side = &mut *self.side.borrow_mut();
        side.pull(&self.waker());
        if core::mem::take(&mut side.dodged_write) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if side.outgoing.is_writable() || side.is_broken() || side.fin_sent {
            return Poll::Ready(Ok(()));
        }
        side.outgoing.set_writer(self.waker());
        Poll::Pending
    }

    fn end_writing(&self) -> io::Result<()> {
        let side = &mut *self.side.borrow_mut();
        if side.fin_sent || side.is_broken() {
            return Err(ErrorKind::NotConnected.into());
        }
        side.fin_sent = true;
        let sent = side.send(FIN, &[]);
        self.server_closes();
        sent
    }
}

/// What the network does for the server's tasks is on nobody's account.
impl Conn for SimConn {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let n = outside(|| self.read_now(buf))?;
        memory::fed(n);
        Ok(n)
    }

    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        outside(|| self.write_now(bufs))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside(|| self.poll_read(cx))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside(|| self.poll_write(cx))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        outside(|| self.end_writing())
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn abort(&self) {
        self.side.borrow_mut().abort = true;
    }
}

impl Drop for SimConn {
    /// Closes as a kernel does: a RST if asked for or if input is thrown away unread, otherwise a FIN.
    fn drop(&mut self) {
        let waker = self.waker();
        self.net.forget(self.local, self.peer);
        if self.end == End::Client {
            self.line.client_leaves();
        }
        if !turmoil::in_simulation() {
            return;
        }
        let side = self.side.get_mut();
        // No timers: the host may be crashing, and its clock with it.
        side.take_in(&waker);
        let tag = if side.abort || !side.inbox.is_empty() {
            RST
        } else {
            FIN
        };
        // After a reset nobody is left to tell, and after a FIN there is none to be sent again.
        let told = side.is_broken() || (tag == FIN && side.fin_sent);
        if !told {
            // Fails only if the peer is gone, and then it need not know.
            let _ = side.send(tag, &[]);
            self.server_closes();
        }
    }
}
