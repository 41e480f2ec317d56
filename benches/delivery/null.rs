//! A world without a kernel: connections that take everything at once and do nothing with it, and a runtime that never
//! waits. What is left of a delivery's cost is the server's own.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::runtime::executor::Executor;
use millstream::runtime::timer::{SharedTimers, Sleep};
use millstream::runtime::{Conn, Rng, Runtime, SocketAddr, Task};
use millstream::time::{Duration, Instant, WallTime};

/// What goes back and forth on a connection whose client is here.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) to_server: VecDeque<u8>,
    pub(crate) from_server: Vec<u8>,
    reader: Option<Waker>,
}

/// The client's end of such a connection.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<Line>>);

impl Feed {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `bytes` to the server.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let reader = {
            let line = &mut *self.lock();
            line.to_server.extend(bytes);
            line.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }
}

/// An accepted connection: one with a client, or one that says what it was told to say and is silent then.
pub(crate) enum NullSocket {
    Fed(Feed),
    Scripted(Arc<[u8]>),
}

/// The connection on its shard.
pub(crate) struct NullConn {
    socket: NullSocket,
    read: Cell<usize>,
    tally: Rc<Tally>,
}

/// What all scripted connections took.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) writes: Cell<u64>,
    pub(crate) bytes: Cell<u64>,
}

impl Conn for NullConn {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let len = match &self.socket {
            NullSocket::Fed(feed) => {
                let line = &mut *feed.lock();
                let (first, _) = line.to_server.as_slices();
                let len = buf.len().min(first.len());
                buf[..len].copy_from_slice(&first[..len]);
                line.to_server.drain(..len);
                len
            }
            NullSocket::Scripted(script) => {
                let rest = &script[self.read.get()..];
                let len = buf.len().min(rest.len());
                buf[..len].copy_from_slice(&rest[..len]);
                self.read.set(self.read.get() + len);
                len
            }
        };
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(len)
    }

    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = bufs.iter().map(|buf| buf.len()).sum();
        match &self.socket {
            NullSocket::Fed(feed) => {
                let line = &mut *feed.lock();
                bufs.iter()
                    .for_each(|buf| line.from_server.extend_from_slice(buf));
            }
            NullSocket::Scripted(_) => {
                self.tally.writes.set(self.tally.writes.get() + 1);
                self.tally.bytes.set(self.tally.bytes.get() + taken as u64);
            }
        }
        Ok(taken)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            NullSocket::Fed(feed) => {
                let line = &mut *feed.lock();
                if line.to_server.is_empty() {
                    line.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
            NullSocket::Scripted(script) if self.read.get() == script.len() => {
                return Poll::Pending;
            }
            NullSocket::Scripted(_) => {}
        }
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn abort(&self) {}
}

/// The runtime of all of it, on the caller's thread. Its clock moves when it is told to; timers are kept and never fire.
#[derive(Clone, Default)]
pub(crate) struct NullRuntime(Rc<Inner>);

struct Inner {
    executor: Executor,
    timers: SharedTimers,
    now: Cell<Instant>,
    door: RefCell<Door>,
    tally: Rc<Tally>,
}

#[derive(Default)]
struct Door {
    waiting: VecDeque<NullSocket>,
    porter: Option<Waker>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            executor: Executor::fifo(),
            timers: SharedTimers::default(),
            now: Cell::new(Instant::from_micros(1)),
            door: RefCell::default(),
            tally: Rc::default(),
        }
    }
}

impl NullRuntime {
    pub(crate) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// A connection comes in.
    pub(crate) fn dial(&self, socket: NullSocket) {
        let porter = {
            let door = &mut *self.0.door.borrow_mut();
            door.waiting.push_back(socket);
            door.porter.take()
        };
        porter.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn pass_time(&self, time: Duration) {
        self.0.now.set(self.0.now.get() + time);
    }

    /// Runs until nobody has anything to do.
    pub(crate) fn settle(&self) {
        while self.0.executor.turn() {}
    }
}

impl Runtime for NullRuntime {
    type Socket = NullSocket;
    type Conn = NullConn;
    type Listener = ();
    type Disk = millstream::runtime::disk::NoDisk;

    async fn accept(&self, (): &()) -> io::Result<(NullSocket, SocketAddr)> {
        let socket = poll_fn(|cx| {
            let door = &mut *self.0.door.borrow_mut();
            match door.waiting.pop_front() {
                Some(socket) => Poll::Ready(socket),
                None => {
                    door.porter = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        Ok((socket.await, ([127, 0, 0, 1], 1).into()))
    }

    fn adopt(&self, socket: NullSocket) -> io::Result<NullConn> {
        Ok(NullConn {
            socket,
            read: Cell::new(0),
            tally: Rc::clone(&self.0.tally),
        })
    }

    fn disk(&self) -> millstream::runtime::disk::NoDisk {
        millstream::runtime::disk::NoDisk
    }
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        Sleep::new(&self.0.timers, at)
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.0.executor.spawn(name, future)
    }

    /// Always the same, so that what one client said is right for every connection.
    fn entropy(&self, _: &'static str) -> Rng {
        Rng::with_seed(1)
    }
}
