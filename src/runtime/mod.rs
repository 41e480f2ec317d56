//! The only room with a clock, a socket, a disk, entropy or a thread.
//!
//! The server is generic over [`Runtime`] and [`Conn`]. Three backends implement them: `shard` (our
//! edge-triggered reactor, Linux), `smol` (portable, and the control thread), and the simulator's, which
//! lives in the `sim` crate. All three drive the same [`executor::Executor`]; what parks it is the backend's.

use core::future::Future;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

/// The handle of a spawned task. Dropping it cancels the task; `detach` lets it run on; awaiting it gives the
/// result. Awaiting one that may have panicked or been cleared: through `fallible()`, or the awaiter panics too.
pub type Task<T> = async_task::Task<T, executor::TaskInfo>;

pub use core::net::SocketAddr;
pub use fastrand::Rng;
#[cfg(feature = "production")]
pub use real::Socket as RawSocket;

use crate::time::{Instant, WallTime};
use disk::Disk;

pub mod disk;
pub mod executor;
pub mod mailbox;
pub mod timer;

#[cfg(feature = "production")]
pub mod fetch;
#[cfg(feature = "production")]
pub mod launch;
#[cfg(feature = "production")]
mod real;
#[cfg(feature = "production")]
pub mod service;
#[cfg(all(feature = "production", target_os = "linux"))]
pub mod shard;
#[cfg(feature = "production")]
pub mod signals;
#[cfg(feature = "production")]
pub mod smol;

#[cfg(test)]
#[cfg(feature = "production")]
#[allow(
    clippy::disallowed_methods,
    reason = "tests make threads and plain sockets"
)]
mod backend_tests;

/// One shard's connection: it lives and dies on that shard, is never `Send`, and is used through `&self`
/// by its own task and by the pump of the stream it plays.
///
/// Readiness is cached: `try_*` that returns `WouldBlock` (or a short count) clears it, an event of the
/// reactor sets it. `poll_*` looks at the cache first; only one task may wait in each direction, and the
/// last waker registered is the one that is woken.
pub trait Conn: 'static {
    /// Reads what is there, never waits. `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; anything else is the connection's end.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes what the peer's window takes, never waits; may be short.
    ///
    /// # Errors
    /// `WouldBlock` when the window is full; anything else is the connection's end.
    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ready when `try_read` is worth a try (data, FIN or an error); otherwise the waker is kept.
    ///
    /// # Errors
    /// The backend could not register interest.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when `try_writev` is worth a try; otherwise the waker is kept.
    ///
    /// # Errors
    /// The backend could not register interest.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends FIN once what was written is out (half-close).
    ///
    /// # Errors
    /// The connection is gone already.
    fn shutdown_write(&self) -> io::Result<()>;

    /// The peer's address.
    fn peer(&self) -> SocketAddr;

    /// Makes the coming drop of this connection send RST instead of FIN.
    fn abort(&self);
}

/// What one thread's runtime has to do, and has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Polls of tasks since the start.
    pub polls: u64,
    /// Turns since the start: how often something was to be done.
    pub turns: u64,
    /// Panics of tasks since the start.
    pub panics: u64,
}

/// A runtime that can also dial: for what acts as a client. The server's own code does not need it.
pub trait Dial: Runtime {
    /// Connects to `to`, and waits for the peer's answer as long as the kernel does; drop the future to give up.
    ///
    /// # Errors
    /// Nobody listens there, the address cannot be reached, or there is no descriptor or port left.
    fn dial(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Conn>>;
}

/// A world's services to the code that runs on one shard (or on the control thread).
///
/// Cheap to clone; `!Send` in general. Everything the server does to the outside goes through it, so a
/// simulated world can answer every question from a seed.
pub trait Runtime: Clone + 'static {
    /// An accepted socket on its way from the control thread to a shard.
    type Socket: Send + 'static;
    /// An adopted connection.
    type Conn: Conn;
    /// A listening socket.
    type Listener: 'static;
    /// Its files.
    type Disk: Disk;

    /// Waits for the next connection.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>>;

    /// Registers an accepted socket with this shard.
    ///
    /// # Errors
    /// The socket is dead already, or the kernel has no room for it.
    fn adopt(&self, socket: Self::Socket) -> io::Result<Self::Conn>;

    /// Now, read once per turn.
    fn now(&self) -> Instant;

    /// The wall clock, for people to read.
    fn wall(&self) -> WallTime;

    /// Completes at the first turn at or after `at`.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static;

    /// Runs `future` on this shard. Dropping the [`Task`] cancels it; `detach` lets it run.
    /// A panic in it ends it alone, and is logged with `name`.
    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()>;

    /// The disk.
    fn disk(&self) -> Self::Disk;

    /// A generator for one purpose: in the simulator its numbers depend on seed and purpose, not on
    /// who drew before. Never for secrets in the simulator; seeded by the OS in production.
    fn entropy(&self, purpose: &'static str) -> Rng;

    /// Whether the seed wants something rare to happen at `site`. Constant `false` in production.
    fn buggify(&self, site: &'static str) -> bool {
        let _ = site;
        false
    }

    /// Lets the simulator reorder messages of *different* lanes in a mailbox batch (never within a lane), and keep
    /// the last so many back: it says how many, and until when. Nothing in production.
    fn arrange<T>(&self, batch: &mut Vec<(mailbox::Lane, T)>) -> Option<(usize, Instant)> {
        let _ = batch;
        None
    }

    /// What this thread has to do, and has done; nothing where nobody counts.
    fn load(&self) -> Load {
        Load::default()
    }

    /// What the server did, for the simulator's trace and checkers. Nothing in production, and never per frame.
    fn trace(&self, event: core::fmt::Arguments<'_>) {
        let _ = event;
    }
}
