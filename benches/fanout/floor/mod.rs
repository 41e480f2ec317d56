//! The floor: what delivery costs a program that does nothing else.
//!
//! One thread, one epoll. Connections are set up with replies made once; from there on the bytes of a publisher's chunks
//! go to the players as they came. It knows what the load sends (every message one chunk with a format 0 header),
//! has no timeouts, and drops whom it cannot serve: it is a yardstick, no server.

mod guest;
mod stream;

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SocketFlags, accept_with};
use slab::Slab;
use std::os::fd::OwnedFd;

use crate::clock::{self, MILLI, SECOND};
use crate::schedule::HEADER;
use crate::system;
use guest::{Guest, Replies, Wish};
use stream::{Mode, Stream};

/// The listener's key.
const LISTENER: u64 = u64::MAX;
/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;

enum Peer {
    Guest(Box<Guest>),
    Publisher {
        socket: TcpStream,
        stream: usize,
        /// The beginning of a message whose rest has not come.
        partial: Vec<u8>,
    },
    Player {
        stream: usize,
        place: usize,
    },
    /// Between two roles.
    Gone,
}

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    peers: Slab<Peer>,
    streams: Vec<Stream>,
    mode: Mode,
    replies: Replies,
    scratch: Vec<u8>,
}

/// Serves on `port=N`; `mode=each` (the default), `mode=backlog` or `merge=MS`.
///
/// # Errors
/// An argument makes no sense, or the system refuses.
pub(crate) fn run(arguments: &[String]) -> io::Result<()> {
    system::die_with_parent()?;
    system::raise_descriptors()?;
    let mut port = 0;
    let mut mode = Mode::Each;
    let wrong = |argument: &str| io::Error::other(format!("cannot use {argument:?}"));
    for argument in arguments {
        match argument.split_once('=') {
            Some(("port", value)) => port = value.parse().map_err(|_| wrong(argument))?,
            Some(("mode", "each")) => mode = Mode::Each,
            Some(("mode", "backlog")) => mode = Mode::Backlog,
            Some(("merge", value)) => {
                let millis: u64 = value.parse().map_err(|_| wrong(argument))?;
                mode = Mode::Merge(millis * MILLI);
            }
            _ => return Err(wrong(argument)),
        }
    }
    Floor::new(port, mode)?.serve()
}

impl Floor {
    fn new(port: u16, mode: Mode) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        // Whom it accepts inherits it.
        set_tcp_nodelay(&listener, true)?;
        // A larger backlog than the standard library's 128.
        rustix::net::listen(&listener, 4_096)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, data, EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            peers: Slab::new(),
            streams: Vec::new(),
            mode,
            replies: Replies::new(),
            scratch: vec![0; READ_BYTES],
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(1_024);
        loop {
            let timeout = self.timeout();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for Event { flags, data } in events.drain(..) {
                match data.u64() {
                    LISTENER => self.accept()?,
                    key => self.on_event(key as usize, flags),
                }
            }
            if let Mode::Merge(_) = self.mode {
                let now = clock::now();
                for stream in &mut self.streams {
                    if stream.due.is_some_and(|due| due <= now) {
                        stream.due = None;
                        stream.flush();
                    }
                }
            }
        }
    }

    /// Until the first stream is due.
    fn timeout(&self) -> Option<Timespec> {
        let Mode::Merge(_) = self.mode else {
            return None;
        };
        let due = self.streams.iter().filter_map(|stream| stream.due).min()?;
        let left = due.saturating_sub(clock::now());
        Some(Timespec {
            tv_sec: (left / SECOND) as i64,
            tv_nsec: (left % SECOND) as i64,
        })
    }

    /// One connection; the listener tells of the next by itself.
    fn accept(&mut self) -> io::Result<()> {
        let Ok(socket) = accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
        else {
            return Ok(());
        };
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let entry = self.peers.vacant_entry();
        let data = EventData::new_u64(entry.key() as u64);
        epoll::add(&self.epoll, &socket, data, interest)?;
        entry.insert(Peer::Guest(Box::new(Guest::new(socket.into()))));
        Ok(())
    }

    fn on_event(&mut self, key: usize, flags: EventFlags) {
        let ended = EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP;
        let readable = flags.intersects(EventFlags::IN | ended);
        let alive = match self.peers.get_mut(key) {
            None | Some(Peer::Gone) => return,
            Some(Peer::Guest(_)) => !readable || self.greet(key),
            Some(Peer::Publisher { .. }) => !readable || self.take(key),
            Some(Peer::Player { stream, place }) => {
                let stream = &mut self.streams[*stream];
                if flags.contains(EventFlags::OUT) {
                    stream.on_writable(*place, self.mode);
                }
                !readable || stream.discard_input(*place, &mut self.scratch)
            }
        };
        // What came before the end has been read by now.
        if (!alive || flags.intersects(ended))
            && let Peer::Player { stream, place } = self.peers.remove(key)
        {
            self.streams[stream].players.remove(place);
        }
    }

    /// Sets a connection up; false if it is over.
    fn greet(&mut self, key: usize) -> bool {
        let Some(Peer::Guest(guest)) = self.peers.get_mut(key) else {
            return false;
        };
        let wish = match guest.read(&mut self.scratch, &mut self.replies) {
            Ok(None) => return true,
            Ok(Some(wish)) => wish,
            Err(_) => return false,
        };
        let Peer::Guest(guest) = std::mem::replace(&mut self.peers[key], Peer::Gone) else {
            return false;
        };
        let socket = guest.socket;
        let (Wish::Publish(name) | Wish::Play(name)) = &wish;
        let known = self.streams.iter().position(|stream| stream.name == *name);
        let stream = known.unwrap_or_else(|| {
            self.streams.push(Stream::new(name.clone()));
            self.streams.len() - 1
        });
        self.peers[key] = match wish {
            Wish::Publish(_) => Peer::Publisher {
                socket,
                stream,
                partial: Vec::new(),
            },
            Wish::Play(_) => Peer::Player {
                stream,
                place: self.streams[stream].join(socket, self.mode),
            },
        };
        true
    }

    /// Reads a publisher's messages and hands them out; false if it is over.
    fn take(&mut self, key: usize) -> bool {
        let Some(Peer::Publisher {
            socket,
            stream,
            partial,
        }) = self.peers.get_mut(key)
        else {
            return false;
        };
        let stream = &mut self.streams[*stream];
        loop {
            let taken = match socket.read(&mut self.scratch) {
                Ok(0) => return false,
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            };
            let mut bytes = &self.scratch[..taken];
            while !bytes.is_empty() {
                let wanted = missing(partial, bytes);
                let (mine, rest) = bytes.split_at(wanted.min(bytes.len()));
                partial.reserve_exact(wanted);
                partial.extend_from_slice(mine);
                bytes = rest;
                if missing(partial, &[]) == 0 {
                    stream.push(std::mem::take(partial), self.mode);
                }
            }
            if let Mode::Backlog = self.mode {
                stream.flush();
            }
            if taken < READ_BYTES {
                return true;
            }
        }
    }
}

/// Bytes that `partial` needs to be a whole message, as far as it and what comes behind it tell.
fn missing(partial: &[u8], behind: &[u8]) -> usize {
    let mut header = partial.iter().chain(behind).skip(4);
    let mut next = || header.next().copied().map(usize::from);
    match (next(), next(), next()) {
        (Some(a), Some(b), Some(c)) => (a << 16 | b << 8 | c) + HEADER - partial.len(),
        _ => HEADER - partial.len().min(HEADER - 1),
    }
}
