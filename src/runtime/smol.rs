//! Production on smol's async-io: the portable backend, and the control thread's.
//!
//! The same executor and timers as everywhere; `async_io::block_on` drives them. A connection is tried on the
//! socket first and waits through async-io, which re-arms its interest with every wait.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;

use async_io::{Async, Timer};

use super::disk::RealDisk;
use super::real::{self, ClearOnDrop, Core, Socket};
use super::{Conn, Dial, Load, Rng, Runtime, SocketAddr, Task};
use crate::time::{Instant, WallTime};

/// The runtime of one thread on async-io.
#[derive(Clone)]
pub struct SmolRuntime {
    core: Rc<Core>,
}

/// Runs `start`'s future on the calling thread, with everything it spawns, until it is done; what is still
/// running then is dropped.
///
/// # Errors
/// The future panicked.
pub fn run<F, Fut>(start: F) -> io::Result<()>
where
    F: FnOnce(SmolRuntime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    let core = Rc::new(Core::new());
    let _clear = ClearOnDrop(&core.executor);
    let runtime = SmolRuntime {
        core: Rc::clone(&core),
    };
    let (main, completed) = core.spawn_main(start(runtime));
    let mut alarm = Alarm {
        timer: Timer::never(),
        at: None,
    };
    async_io::block_on(poll_fn(|cx| {
        core.executor.set_parker(cx.waker().clone());
        core.executor.resume();
        let more = core.turn();
        if main.is_finished() {
            return Poll::Ready(real::main_result(completed.get()));
        }
        if more || !core.executor.may_park() || alarm.poll(core.next_deadline(), cx).is_ready() {
            // `block_on` looks at I/O without waiting, and comes back.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }))
}

/// The one timer async-io knows of: the next of ours.
struct Alarm {
    timer: Timer,
    at: Option<Instant>,
}

impl Alarm {
    /// Ready when `next` has come.
    fn poll(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at != next {
            match next.and_then(real::to_system) {
                Some(at) => self.timer.set_at(at),
                None => self.timer.clear(),
            }
            self.at = next;
        }
        ready!(Pin::new(&mut self.timer).poll(cx));
        self.at = None;
        Poll::Ready(())
    }
}

impl SmolRuntime {
    /// Registers a listening socket.
    ///
    /// # Errors
    /// The socket is dead, or the kernel has no room for it.
    pub fn listen(&self, listener: TcpListener) -> io::Result<SmolListener> {
        real::prepare(&listener)?;
        let listener = Async::new_nonblocking(listener)?;
        Ok(SmolListener { listener })
    }

    /// The executor, for its counters.
    pub fn executor(&self) -> &super::executor::Executor {
        &self.core.executor
    }
}

impl Runtime for SmolRuntime {
    type Socket = Socket;
    type Conn = SmolConn;
    type Listener = SmolListener;
    type Disk = RealDisk;

    async fn accept(&self, listener: &SmolListener) -> io::Result<(Socket, SocketAddr)> {
        loop {
            match real::accept(listener.listener.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.listener.readable().await?;
                }
                Err(error) if real::concerns_one_peer(&error) => {}
                result => return result,
            }
        }
    }

    fn adopt(&self, socket: Socket) -> io::Result<SmolConn> {
        let Socket { stream, peer } = socket;
        Ok(SmolConn {
            stream: Async::new_nonblocking(stream)?,
            peer,
            readable: Cell::new(true),
            writable: Cell::new(true),
        })
    }

    fn now(&self) -> Instant {
        self.core.now()
    }

    fn wall(&self) -> WallTime {
        real::wall()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        self.core.sleep_until(at)
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.core.executor.spawn(name, future)
    }

    fn disk(&self) -> RealDisk {
        RealDisk::default()
    }

    fn load(&self) -> Load {
        self.core.executor.load()
    }

    fn entropy(&self, _purpose: &'static str) -> Rng {
        self.core.fork_entropy()
    }
}

impl Dial for SmolRuntime {
    async fn dial(&self, to: SocketAddr) -> io::Result<SmolConn> {
        let conn = self.adopt(real::begin_connect(to)?)?;
        conn.stream.writable().await?;
        real::connected(conn.stream.get_ref())?;
        Ok(conn)
    }
}

/// A listening socket. Dropping it closes the socket.
pub struct SmolListener {
    listener: Async<TcpListener>,
}

/// A connection. Dropping it closes the socket.
///
/// async-io tells the level, not the edge, so a flag may be cleared at any time: the next wait finds out. For the
/// same reason nothing sets it but that wait, and so `try_*` ask the socket whatever it says.
pub struct SmolConn {
    stream: Async<TcpStream>,
    peer: SocketAddr,
    readable: Cell<bool>,
    writable: Cell<bool>,
}

/// Tries until a signal does not interrupt, and notes in `ready` whether trying again is worth it.
fn attempt(
    ready: &Cell<bool>,
    wanted: usize,
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        let result = call();
        match &result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => ready.set(error.kind() != io::ErrorKind::WouldBlock),
            // Reading 0 is the end, which stays.
            Ok(n) => ready.set(*n == 0 || *n == wanted),
        }
        return result;
    }
}

impl Conn for SmolConn {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.stream.get_ref();
        attempt(&self.readable, buf.len(), || socket.read(buf))
    }

    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = self.stream.get_ref();
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        attempt(&self.writable, offered, || socket.write_vectored(bufs))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.readable.get() {
            ready!(self.stream.poll_readable(cx))?;
            self.readable.set(true);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.writable.get() {
            ready!(self.stream.poll_writable(cx))?;
            self.writable.set(true);
        }
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn abort(&self) {
        real::reset_on_close(self.stream.get_ref());
    }
}
