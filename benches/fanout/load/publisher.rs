//! A publisher.

use std::io::{self, Write};
use std::net::TcpStream;

use crate::clock;
use crate::schedule::Schedule;

pub(super) struct Publisher {
    socket: TcpStream,
    /// Message stream.
    id: u32,
    schedule: Schedule,
    /// When the schedule began.
    began: u64,
    unsent: Vec<u8>,
    sent: usize,
    pub(super) published: u64,
    pub(super) bytes: u64,
}

impl Publisher {
    pub(super) fn new(socket: TcpStream, id: u32, schedule: Schedule) -> Self {
        Self {
            socket,
            id,
            schedule,
            began: 0,
            unsent: Vec::new(),
            sent: 0,
            published: 0,
            bytes: 0,
        }
    }

    /// The schedule begins at `at`, or goes on there; what was published before is not counted.
    pub(super) fn begin(&mut self, at: u64) {
        self.began = at.saturating_sub(self.schedule.peek().due);
        self.published = 0;
        self.bytes = 0;
    }

    /// Sends what is due by `now`, each stamped with the moment it was due; tells when the next is.
    ///
    /// # Errors
    /// The server has cut the connection.
    pub(super) fn send_due(&mut self, now: u64, filler: &[u8]) -> io::Result<u64> {
        loop {
            let next = self.schedule.peek();
            let due = self.began + next.due;
            if due > now {
                break;
            }
            self.add(due, filler);
        }
        self.flush()?;
        Ok(self.began + self.schedule.peek().due)
    }

    /// Sends the next `count` messages in one write, whenever they are due.
    ///
    /// # Errors
    /// The server has cut the connection.
    pub(super) fn send_burst(&mut self, count: usize, filler: &[u8]) -> io::Result<()> {
        let now = clock::now();
        for _ in 0..count {
            self.add(now, filler);
        }
        self.flush()
    }

    fn add(&mut self, stamp: u64, filler: &[u8]) {
        let message = self.schedule.peek();
        self.schedule.advance();
        message.write(&mut self.unsent, self.id, stamp, filler);
        self.published += 1;
        self.bytes += message.bytes() as u64;
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The server has cut the connection.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(taken) => self.sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The server is behind: what has left goes, so that the rest does not grow for ever.
                    if self.sent > 4 << 20 {
                        self.unsent.drain(..self.sent);
                        self.sent = 0;
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }

    /// Whether all has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }
}
