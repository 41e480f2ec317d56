//! Production on our own edge-triggered reactor: the fast backend, the default on Linux.
//!
//! One thread runs [`run`]; nothing in it is `Send` but the wakers of its tasks. Its loop: read the clock, wake who
//! is due, run what is queued, then one `epoll_wait`: without waiting if more is due, otherwise until the next
//! timer. A shard without timers and traffic never wakes.

mod conn;
mod reactor;

use core::future::{Future, poll_fn};
use core::task::Poll;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;

pub use conn::{ShardConn, ShardListener};

use super::disk::RealDisk;
use super::real::{self, ClearOnDrop, Core, Socket};
use super::{Conn as _, Dial, Load, Rng, Runtime, SocketAddr, Task};
use crate::time::{Duration, Instant, WallTime};
use reactor::Reactor;

/// The runtime of one data shard.
#[derive(Clone)]
pub struct ShardRuntime {
    world: Rc<World>,
}

/// What a shard's tasks, connections and listeners share.
struct World {
    core: Core,
    reactor: Reactor,
}

/// Runs `start`'s future on the calling thread, with everything it spawns, until it is done; what is still
/// running then is dropped.
///
/// # Errors
/// The kernel has no epoll or eventfd to give, or the future panicked.
pub fn run<F, Fut>(start: F) -> io::Result<()>
where
    F: FnOnce(ShardRuntime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    let world = Rc::new(World {
        core: Core::new(),
        reactor: Reactor::new()?,
    });
    let executor = &world.core.executor;
    executor.set_parker(world.reactor.waker());
    let _clear = ClearOnDrop(executor);
    let runtime = ShardRuntime {
        world: Rc::clone(&world),
    };
    let (main, completed) = world.core.spawn_main(start(runtime));
    loop {
        let more = world.core.turn();
        if main.is_finished() {
            return real::main_result(completed.get());
        }
        let timeout = if more || !executor.may_park() {
            Some(Duration::ZERO)
        } else {
            // The turn took its time, so the clock is read once more.
            let left = |at: Instant| at.since(real::read_clock());
            world.core.next_deadline().map(left)
        };
        world.reactor.wait(timeout, || executor.resume())?;
    }
}

impl ShardRuntime {
    /// Registers a listening socket with this shard.
    ///
    /// # Errors
    /// The socket is dead, or the kernel has no room for it.
    pub fn listen(&self, listener: TcpListener) -> io::Result<ShardListener> {
        real::prepare(&listener)?;
        ShardListener::new(&self.world, listener)
    }

    /// Connections and listeners registered.
    pub fn registered(&self) -> usize {
        self.world.reactor.len()
    }

    /// The executor, for its counters.
    pub fn executor(&self) -> &super::executor::Executor {
        &self.world.core.executor
    }
}

impl Runtime for ShardRuntime {
    type Socket = Socket;
    type Conn = ShardConn;
    type Listener = ShardListener;
    type Disk = RealDisk;

    async fn accept(&self, listener: &ShardListener) -> io::Result<(Socket, SocketAddr)> {
        poll_fn(|cx| {
            loop {
                match listener.try_accept() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if real::concerns_one_peer(&error) => continue,
                    result => return Poll::Ready(result),
                }
                if listener.poll_acceptable(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn adopt(&self, socket: Socket) -> io::Result<ShardConn> {
        ShardConn::new(&self.world, socket)
    }

    fn now(&self) -> Instant {
        self.world.core.now()
    }

    fn wall(&self) -> WallTime {
        real::wall()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        self.world.core.sleep_until(at)
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.world.core.executor.spawn(name, future)
    }

    fn disk(&self) -> RealDisk {
        RealDisk::default()
    }

    fn load(&self) -> Load {
        self.world.core.executor.load()
    }

    fn entropy(&self, _purpose: &'static str) -> Rng {
        self.world.core.fork_entropy()
    }
}

impl Dial for ShardRuntime {
    async fn dial(&self, to: SocketAddr) -> io::Result<ShardConn> {
        let conn = ShardConn::connecting(&self.world, real::begin_connect(to)?)?;
        poll_fn(|cx| conn.poll_writable(cx)).await?;
        conn.connected()?;
        Ok(conn)
    }
}
