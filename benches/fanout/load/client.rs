//! Whoever is connected.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use millstream::rtmp::session::client::{ClientEvent, ClientSession};
use millstream::time::Instant;
use rustix::net::{RecvFlags, recv};

use super::guest::Guest;
use super::publisher::Publisher;
use super::sample::Sample;

/// Whoever is connected.
pub(super) enum Client {
    Guest(Box<Guest>),
    Publisher(Box<Publisher>),
    Player(Player),
    /// Between two roles.
    Gone,
}

/// A player that is set up.
pub(super) struct Player {
    socket: TcpStream,
    pub(super) stream: usize,
    /// Bytes since the count began.
    pub(super) bytes: u64,
    /// Its connection has ended.
    pub(super) over: bool,
    /// It does not read.
    pub(super) stalled: bool,
    /// It has not read for a while, so that its count is not the others'.
    pub(super) was_stalled: bool,
    /// It parses what it gets.
    pub(super) parser: Option<Box<Parser>>,
}

pub(super) struct Parser {
    session: ClientSession,
    pub(super) sample: Sample,
}

impl Player {
    pub(super) fn new(guest: Guest, samples: bool) -> Self {
        let Guest {
            socket,
            session,
            sample,
            stream,
            ..
        } = guest;
        let parser = samples.then(|| Box::new(Parser { session, sample }));
        Self {
            socket,
            stream,
            bytes: 0,
            over: false,
            stalled: false,
            was_stalled: false,
            parser,
        }
    }

    /// Reads all there is; returns how many bytes.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> u64 {
        if self.stalled || self.over {
            return 0;
        }
        let before = self.bytes;
        loop {
            let taken = match &mut self.parser {
                Some(parser) => parser.read(&mut self.socket, scratch),
                // The kernel throws the bytes away: nothing is copied.
                None => recv(&self.socket, &mut *scratch, RecvFlags::TRUNC)
                    .map(|(_, taken)| taken)
                    .map_err(io::Error::from),
            };
            match &taken {
                Ok(0) => self.over = true,
                Ok(taken) => self.bytes += *taken as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.over = true,
            }
            // A short count means that there is no more, and the next byte comes with an edge of its own.
            if !matches!(taken, Ok(taken) if taken == scratch.len()) {
                return self.bytes - before;
            }
        }
    }
}

impl Parser {
    fn read(&mut self, socket: &mut TcpStream, scratch: &mut [u8]) -> io::Result<usize> {
        let taken = socket.read(scratch)?;
        let handled = self.session.handle_input(Instant::ZERO, &scratch[..taken]);
        handled.map_err(io::Error::other)?;
        while let Some(event) = self.session.poll_event() {
            if let ClientEvent::Media { kind, payload, .. } = event {
                self.sample.note(kind, &payload);
            }
        }
        if !self.session.output().is_empty() {
            let mut bytes = Vec::new();
            self.session.take_output(&mut bytes);
            socket.write_all(&bytes)?;
        }
        Ok(taken)
    }
}
