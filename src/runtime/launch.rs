//! What a program does before and around its runtimes: threads, listening sockets, limits, its configuration file.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{TcpListener, ToSocketAddrs as _};
use std::path::Path;
use std::thread::JoinHandle;

use socket2::{Domain, Protocol, Socket, Type};

use super::SocketAddr;
use super::executor::panic_text;
use crate::limits;
use crate::time::Duration;

/// A thread that was started by [`spawn_thread`].
pub struct Thread<T> {
    handle: JoinHandle<T>,
}

/// Starts a thread. The name shows in debuggers, `top -H` and panic messages (Linux keeps 15 bytes of it).
///
/// # Errors
/// The operating system has no more threads to give.
#[allow(clippy::disallowed_methods, reason = "threads are made here")]
pub fn spawn_thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    let handle = builder.spawn(body)?;
    Ok(Thread { handle })
}

impl<T> Thread<T> {
    /// Waits for the thread's end and gives its result.
    ///
    /// # Errors
    /// The thread panicked; the error is what the panic said.
    pub fn join(self) -> Result<T, String> {
        self.handle
            .join()
            .map_err(|payload| panic_text(&*payload).to_owned())
    }

    /// Whether it has ended, so that `join` would not wait.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// How many threads the machine (or container) runs at once, at most [`limits::SHARDS_MAX`]; 1 if it won't tell.
pub fn parallelism() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.min(limits::SHARDS_MAX)
}

/// A listening socket that no runtime watches yet.
pub type RawListener = TcpListener;

/// Ends the process at once, with exit code `code`: what a second signal asks for.
pub fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}

/// Opens a listening socket. `[::]` hears IPv4 peers too, where the system can.
///
/// # Errors
/// The address is in use, not ours, or needs rights we don't have.
pub fn listen(addr: SocketAddr) -> io::Result<RawListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // So that a restart need not wait for old connections' TIME_WAIT. On Windows it would let others take the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        // Systems without dual-stack sockets refuse; they hear IPv6 then.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::from(limits::LISTEN_BACKLOG))?;
    Ok(socket.into())
}

/// Raises the number of files (so of connections) this process may open as far as it may; the new number,
/// `None` where there is none.
///
/// # Errors
/// The operating system refuses.
#[cfg(target_os = "linux")]
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current)
}

/// Raises the number of files this process may open; does nothing on this operating system.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    Ok(None)
}

/// The addresses of `host`, a name or an address, in the system's order of preference; at most
/// [`limits::LOAD_ADDRESSES`]. It asks the resolver and waits for it: not for a thread that serves.
///
/// # Errors
/// There is no such host, or nobody to ask.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = (host, port).to_socket_addrs()?;
    Ok(found.take(limits::LOAD_ADDRESSES).collect())
}

/// The processor time that this process has taken so far, all threads together; `None` if the system won't tell.
#[cfg(target_os = "linux")]
pub fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

/// The processor time that this process has taken so far: this operating system is not asked.
#[cfg(not(target_os = "linux"))]
pub fn cpu_time() -> Option<Duration> {
    None
}

/// Shows `visit` a file of at most `most` bytes, piece by piece.
///
/// # Errors
/// It cannot be opened or read, is longer, or `visit` has had enough.
#[allow(clippy::disallowed_methods, reason = "files are read here")]
pub fn read_pieces(
    path: &Path,
    most: u64,
    mut visit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    let (mut piece, mut total) = (vec![0; limits::SCRATCH_BYTES], 0);
    loop {
        let len = match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += len as u64;
        if total > most {
            let message = format!("longer than the {most} bytes allowed");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        visit(piece.get(..len).unwrap_or_default())?;
    }
}

/// Reads a text file of at most [`limits::FILE_BYTES`] bytes.
///
/// # Errors
/// It cannot be opened or read, is longer, or is not UTF-8.
#[allow(clippy::disallowed_methods, reason = "files are read here")]
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(limits::FILE_BYTES as u64 + 1);
    file.read_to_string(&mut text)?;
    if text.len() > limits::FILE_BYTES {
        let message = format!("longer than the {} bytes allowed", limits::FILE_BYTES);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests make threads, sockets and files"
)]
mod tests;
