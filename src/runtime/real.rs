//! What the two production backends share: the clock, the timers, the executor, entropy, and how a socket is set up.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::task::Waker;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::SystemTime;

use socket2::SockRef;

use super::executor::Executor;
use super::timer::{SharedTimers, Sleep};
use super::{Rng, SocketAddr, Task};
use crate::limits;
use crate::time::{Duration, Instant, WallTime};

/// When the process first asked: the zero of all threads' clocks, so that their instants can be compared.
static START: OnceLock<std::time::Instant> = OnceLock::new();

/// Reads the clock.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn read_clock() -> Instant {
    let now = std::time::Instant::now();
    let start = *START.get_or_init(|| now);
    Instant::ZERO + now.saturating_duration_since(start)
}

/// Our instant on the system's clock; `None` if that cannot tell it.
pub(super) fn to_system(at: Instant) -> Option<std::time::Instant> {
    START.get()?.checked_add(at.since(Instant::ZERO))
}

/// The state of one thread's runtime that needs no driver.
pub(super) struct Core {
    pub(super) executor: Executor,
    timers: SharedTimers,
    now: Cell<Instant>,
    /// Kept for its capacity.
    due: RefCell<Vec<Waker>>,
    /// Seeded once: every connection wants numbers, and asking the system is a call each time.
    entropy: RefCell<Rng>,
}

impl Core {
    pub(super) fn new() -> Self {
        let now = read_clock();
        let timers = SharedTimers::default();
        timers.borrow_mut().fire(now, &mut Vec::new());
        Self {
            executor: Executor::fifo(),
            timers,
            now: Cell::new(now),
            due: RefCell::default(),
            entropy: RefCell::new(entropy()),
        }
    }

    /// One round: reads the clock, wakes who is due, runs a turn; true if more is due. The driver has said
    /// [`Executor::resume`] before.
    pub(super) fn turn(&self) -> bool {
        let now = read_clock();
        self.now.set(now);
        let mut due = self.due.take();
        self.timers.borrow_mut().fire(now, &mut due);
        due.drain(..).for_each(Waker::wake);
        self.due.replace(due);
        self.executor.turn()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.borrow().next_deadline()
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep::new(&self.timers, at)
    }

    /// A generator of its own.
    pub(super) fn fork_entropy(&self) -> Rng {
        self.entropy.borrow_mut().fork()
    }

    /// Spawns the future that `run` is for: the flag says whether it came to its end.
    pub(super) fn spawn_main(
        &self,
        future: impl Future<Output = ()> + 'static,
    ) -> (Task<()>, Rc<Cell<bool>>) {
        let completed = Rc::new(Cell::new(false));
        let flag = Rc::clone(&completed);
        let task = self.executor.spawn("main", async move {
            future.await;
            flag.set(true);
        });
        (task, completed)
    }
}

/// Clears the executor at the end of `run`, however it ends.
pub(super) struct ClearOnDrop<'a>(pub(super) &'a Executor);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// What `run` returns once its future has ended.
pub(super) fn main_result(completed: bool) -> io::Result<()> {
    if completed {
        Ok(())
    } else {
        Err(io::Error::other("the thread's main task panicked"))
    }
}

/// The wall clock. Before 1970 it shows 1970.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn wall() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A generator seeded by the operating system; should that have no entropy (it always has, once booted), by the clock.
fn entropy() -> Rng {
    let seed =
        getrandom::u64().unwrap_or_else(|_| wall().0 ^ read_clock().as_micros().rotate_left(32));
    Rng::with_seed(seed)
}

/// An accepted socket on its way to the shard that serves it.
#[derive(Debug)]
pub struct Socket {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// A connection that was dialled: it is made what accepted ones are.
impl TryFrom<TcpStream> for Socket {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        set_options(SockRef::from(&stream))?;
        let peer = stream.peer_addr()?;
        Ok(Self { stream, peer })
    }
}

/// Begins to connect to `to`, without waiting. Once the socket is writable, its pending error tells how it went.
///
/// # Errors
/// The attempt failed at once: no route, no port, no descriptor; on some systems, nobody listens.
pub(super) fn begin_connect(to: SocketAddr) -> io::Result<Socket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(to),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    set_options(SockRef::from(&socket))?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
        Err(error) => return Err(error),
    }
    let stream = TcpStream::from(socket);
    Ok(Socket { stream, peer: to })
}

/// EINPROGRESS, which the standard library has no stable kind for.
#[cfg(target_os = "linux")]
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
/// EINPROGRESS of the BSDs and macOS, which the standard library has no stable kind for.
#[cfg(all(unix, not(target_os = "linux")))]
const IN_PROGRESS: i32 = 36;

/// How a connect ended whose socket has become writable.
///
/// # Errors
/// It failed.
pub(super) fn connected(stream: &TcpStream) -> io::Result<()> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Makes a listening socket ready for [`accept`]. On Linux whatever is set here holds for the sockets it accepts, which
/// saves four system calls a connection.
///
/// # Errors
/// The socket is dead already.
pub(super) fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    set_options(SockRef::from(listener))
}

fn set_options(socket: SockRef<'_>) -> io::Result<()> {
    // Replies are gathered in one write each, and none shall wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(limits::NOTSENT_LOWAT)?;
        socket.set_tcp_user_timeout(Some(limits::USER_TIMEOUT))?;
    }
    Ok(())
}

/// Takes a connection from a listener that is [prepared](prepare); never waits.
///
/// # Errors
/// `WouldBlock` when none is there.
#[cfg(target_os = "linux")]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(Socket, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    // Nobody without an address connects by TCP; one who is gone already may have none.
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    let stream = TcpStream::from(socket);
    Ok((Socket { stream, peer }, peer))
}

/// Takes a connection from a listener that is [prepared](prepare); never waits.
///
/// # Errors
/// `WouldBlock` when none is there.
#[cfg(not(target_os = "linux"))]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(Socket, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    set_options(SockRef::from(&stream))?;
    Ok((Socket { stream, peer }, peer))
}

/// Makes the coming close of the socket send RST.
pub(super) fn reset_on_close(stream: &TcpStream) {
    // It fails only on a socket that is dead, which needs no RST.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Whether a failed accept concerns only the connection that was to be accepted, so that the next may be tried.
pub(super) fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted
            | K::ConnectionReset
            | K::Interrupted
            | K::ConnectionRefused
            | K::TimedOut
    )
}
