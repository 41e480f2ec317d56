//! All connections of the load, and the loop that serves them.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use slab::Slab;

use super::client::{Client, Player};
use super::guest::{Guest, Purpose, Step};
use super::plan::Plan;
use super::publisher::Publisher;
use crate::clock::{self, MILLI, SECOND};
use crate::schedule::{CHUNK_SIZE, Pace, Schedule};

/// Connections that are being set up at once.
const GUESTS: usize = 64;
/// Events between two looks at the clock.
const EVENTS: usize = 64;
/// Events of the neighbour's players between two looks at everybody else: 10,000 of them take longer to read than what
/// is measured beside them.
const NEIGHBOURS: usize = 8;
/// Bytes of one read. Nobody writes so much at once, and what is thrown away needs no memory.
const READ_BYTES: usize = 1 << 20;
/// How long the set-up may take.
const GATHER: u64 = 60 * SECOND;

/// Whoever is measured goes before the neighbour's players.
#[derive(Clone, Copy)]
enum Half {
    Measured,
    Neighbours,
}

/// One epoll, and how many events are taken from it at once.
struct Interests {
    epoll: OwnedFd,
    /// Kept for its capacity.
    events: Vec<Event>,
}

impl Interests {
    fn new(events: usize) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(events),
        })
    }

    fn wait(&mut self, nanos: u64) -> io::Result<Vec<Event>> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: nanos as i64,
        };
        let mut events = std::mem::take(&mut self.events);
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(events),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) struct Crowd {
    pub(super) plan: Plan,
    halves: [Interests; 2],
    pub(super) clients: Slab<Client>,
    scratch: Vec<u8>,
    pub(super) filler: Vec<u8>,
    /// Connections that are being set up.
    pub(super) guests: usize,
    /// Keys of the publishers, in the order of their streams.
    pub(super) publishers: Vec<usize>,
    /// Bytes that players got since the count began.
    pub(super) bytes: u64,
    /// Late joiners: nanoseconds since connect, and since play.
    pub(super) joins: Vec<(u64, u64)>,
    /// Sessions that were granted a play and have left.
    pub(super) visits: usize,
}

impl Crowd {
    /// Nobody is connected yet.
    ///
    /// # Errors
    /// The system has no epoll.
    pub(super) fn new(plan: Plan) -> io::Result<Self> {
        Ok(Self {
            plan,
            halves: [Interests::new(EVENTS)?, Interests::new(NEIGHBOURS)?],
            clients: Slab::new(),
            scratch: vec![0; READ_BYTES],
            filler: vec![0x5A; CHUNK_SIZE as usize],
            guests: 0,
            publishers: Vec::new(),
            bytes: 0,
            joins: Vec::new(),
            visits: 0,
        })
    }

    /// Connects the players, then the publishers.
    ///
    /// # Errors
    /// The server refuses, or is too slow.
    pub(super) fn gather(&mut self) -> io::Result<()> {
        if self.plan.sessions > 0 {
            return Ok(());
        }
        let streams = self.plan.streams.max(1);
        let samples = (self.plan.samples / streams).max(1);
        let mut wanted = Vec::new();
        for player in 0..self.plan.players {
            let (place, stream) = (player / streams, player % streams);
            let audience = (self.plan.players - stream).div_ceil(streams);
            let purpose = match place * samples % audience < samples {
                true => Purpose::Sample,
                false => Purpose::Play,
            };
            wanted.push((purpose, stream));
        }
        let mut paces = vec![self.plan.pace; streams];
        if let Some(neighbour) = self.plan.neighbour {
            wanted.extend((0..neighbour.players).map(|_| (Purpose::Play, streams)));
            paces.push(neighbour.pace);
        }
        self.admit(&wanted)?;
        for (stream, pace) in paces.into_iter().enumerate() {
            self.admit(&[(Purpose::Publish, stream)])?;
            self.promote(stream, pace)?;
        }
        // What comes behind the set-up is none of the broadcast.
        let settled = clock::now() + 200 * MILLI;
        while clock::now() < settled {
            self.turn(MILLI)?;
        }
        self.bytes = 0;
        for (_, client) in &mut self.clients {
            if let Client::Player(player) = client {
                player.bytes = 0;
            }
        }
        Ok(())
    }

    /// Connects guests and waits for all of them.
    fn admit(&mut self, wanted: &[(Purpose, usize)]) -> io::Result<()> {
        let deadline = clock::now() + GATHER;
        let mut wanted = wanted.iter();
        // One after the other costs a server the same each time.
        let at_once = if self.plan.lockstep > 0 { 1 } else { GUESTS };
        loop {
            while self.guests < at_once
                && let Some(&(purpose, stream)) = wanted.next()
            {
                self.connect(purpose, stream)?;
            }
            if self.guests == 0 {
                return Ok(());
            }
            if clock::now() > deadline {
                return Err(io::Error::other(
                    "the server does not set everybody up in time",
                ));
            }
            self.turn(10 * MILLI)?;
        }
    }

    /// One more guest.
    pub(super) fn connect(&mut self, purpose: Purpose, stream: usize) -> io::Result<()> {
        let guest = Guest::new(self.plan.port, purpose, stream)?;
        let entry = self.clients.vacant_entry();
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(entry.key() as u64);
        let is_neighbour = purpose == Purpose::Play && stream >= self.plan.streams.max(1);
        let half = match is_neighbour {
            true => Half::Neighbours,
            false => Half::Measured,
        };
        epoll::add(
            &self.halves[half as usize].epoll,
            &guest.socket,
            data,
            interest,
        )?;
        entry.insert(Client::Guest(Box::new(guest)));
        self.guests += 1;
        Ok(())
    }

    /// The guest that was granted to publish `stream` becomes its publisher.
    fn promote(&mut self, stream: usize, pace: Pace) -> io::Result<()> {
        let found = self.clients.iter().find_map(|(key, client)| match client {
            Client::Guest(guest) if guest.stream == stream => Some((key, guest.session.stream())),
            _ => None,
        });
        let Some((key, Some(id))) = found else {
            return Err(io::Error::other("a publisher got no message stream"));
        };
        if let Client::Guest(guest) = std::mem::replace(&mut self.clients[key], Client::Gone) {
            let publisher = Publisher::new(guest.socket, id, Schedule::new(pace));
            self.clients[key] = Client::Publisher(Box::new(publisher));
            self.publishers.push(key);
        }
        Ok(())
    }

    /// Serves what there is, after waiting for at most `nanos`; false if nothing came.
    pub(super) fn turn(&mut self, nanos: u64) -> io::Result<bool> {
        if self.plan.neighbour.is_none() {
            return self.look(Half::Measured, nanos);
        }
        Ok(self.look(Half::Measured, 0)? || self.look(Half::Neighbours, nanos)?)
    }

    fn look(&mut self, half: Half, nanos: u64) -> io::Result<bool> {
        let mut events = self.halves[half as usize].wait(nanos)?;
        let any = !events.is_empty();
        for Event { flags, data } in events.drain(..) {
            self.on_event(data.u64() as usize, flags)?;
        }
        self.halves[half as usize].events = events;
        Ok(any)
    }

    fn on_event(&mut self, key: usize, flags: EventFlags) -> io::Result<()> {
        let ended = flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
        match self.clients.get_mut(key) {
            None | Some(Client::Gone) => {}
            Some(Client::Player(player)) => {
                self.bytes += player.read(&mut self.scratch);
                while ended && !player.over && !player.stalled {
                    self.bytes += player.read(&mut self.scratch);
                }
            }
            Some(Client::Publisher(publisher)) => {
                if ended {
                    return Err(io::Error::other("the server cut a publisher off"));
                }
                publisher.flush()?;
                while let Ok(1..) = publisher.socket().read(&mut self.scratch) {}
            }
            Some(Client::Guest(guest)) => {
                if guest.read(&mut self.scratch)? == Step::Ready {
                    self.guests -= 1;
                    self.seat(key);
                }
            }
        }
        Ok(())
    }

    /// A guest is what it came to be.
    fn seat(&mut self, key: usize) {
        let Some(Client::Guest(guest)) = self.clients.get(key) else {
            return;
        };
        match guest.purpose {
            // Its pace is known to who waits for it.
            Purpose::Publish => {}
            Purpose::Join => {
                let now = clock::now();
                self.joins.push((now - guest.began, now - guest.asked));
                self.clients.remove(key);
            }
            Purpose::Visit => {
                self.visits += 1;
                self.clients.remove(key);
            }
            purpose @ (Purpose::Play | Purpose::Sample) => {
                let samples = purpose == Purpose::Sample;
                let guest = std::mem::replace(&mut self.clients[key], Client::Gone);
                if let Client::Guest(guest) = guest {
                    self.clients[key] = Client::Player(Player::new(*guest, samples));
                }
            }
        }
    }

    /// Everybody who plays.
    pub(super) fn players(&mut self) -> impl Iterator<Item = &mut Player> {
        self.clients
            .iter_mut()
            .filter_map(|(_, client)| match client {
                Client::Player(player) => Some(player),
                _ => None,
            })
    }

    /// Who publishes `stream`.
    pub(super) fn publisher(&mut self, stream: usize) -> Option<&mut Publisher> {
        match self.clients.get_mut(*self.publishers.get(stream)?) {
            Some(Client::Publisher(publisher)) => Some(publisher),
            _ => None,
        }
    }

    /// The players' bytes, read by who has not been told of by an edge.
    pub(super) fn resume(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut bytes = 0;
        for player in self.players().filter(|player| player.stalled) {
            player.stalled = false;
            player.was_stalled = true;
            bytes += player.read(&mut scratch);
        }
        self.scratch = scratch;
        self.bytes += bytes;
    }
}
