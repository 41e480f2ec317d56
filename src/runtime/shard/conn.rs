//! The sockets of a shard.

use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;

use super::World;
use super::reactor::Registration;
use crate::runtime::real::{self, Socket};
use crate::runtime::{Conn, SocketAddr};

/// A connection registered with its shard's reactor. Dropping it closes the socket.
///
/// In this order, since the first two are all that a write of frames looks at.
#[repr(C)]
pub struct ShardConn {
    stream: TcpStream,
    registration: Registration,
    world: Rc<World>,
    peer: SocketAddr,
}

impl ShardConn {
    pub(super) fn new(world: &Rc<World>, socket: Socket) -> io::Result<Self> {
        let Socket { stream, peer } = socket;
        let registration = world.reactor.register(&stream)?;
        Ok(Self {
            world: Rc::clone(world),
            registration,
            stream,
            peer,
        })
    }
}

/// Of a connection that was dialled.
impl ShardConn {
    /// A connection that is not there yet: it becomes writable when it is, or has failed.
    pub(super) fn connecting(world: &Rc<World>, socket: Socket) -> io::Result<Self> {
        let conn = Self::new(world, socket)?;
        // Events are noted at the thread's next wait only: what the kernel told in between is not lost.
        conn.registration.expect_writable();
        Ok(conn)
    }

    /// How that went.
    pub(super) fn connected(&self) -> io::Result<()> {
        real::connected(&self.stream)
    }
}

impl Conn for ShardConn {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.registration
            .try_read(buf.len(), || (&self.stream).read(buf))
    }

    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        self.registration
            .try_write(offered, || Ok(rustix::io::writev(&self.stream, bufs)?))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.registration.poll_readable(cx));
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.registration.poll_writable(cx));
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn abort(&self) {
        real::reset_on_close(&self.stream);
    }
}

impl Drop for ShardConn {
    fn drop(&mut self) {
        self.world.reactor.deregister(&self.registration);
    }
}

/// A listening socket registered with a shard's reactor. Dropping it closes the socket.
pub struct ShardListener {
    world: Rc<World>,
    registration: Registration,
    listener: TcpListener,
}

impl ShardListener {
    pub(super) fn new(world: &Rc<World>, listener: TcpListener) -> io::Result<Self> {
        let registration = world.reactor.register(&listener)?;
        Ok(Self {
            world: Rc::clone(world),
            registration,
            listener,
        })
    }

    pub(super) fn try_accept(&self) -> io::Result<(Socket, SocketAddr)> {
        self.registration
            .try_accept(|| real::accept(&self.listener))
    }

    pub(super) fn poll_acceptable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.registration.poll_readable(cx)
    }
}

impl Drop for ShardListener {
    fn drop(&mut self) {
        self.world.reactor.deregister(&self.registration);
    }
}
