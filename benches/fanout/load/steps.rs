//! What goes step by step rather than in time: sessions, and messages in lock step.

use std::io;

use super::crowd::Crowd;
use super::guest::Purpose;
use super::report::Report;
use crate::clock::{self, SECOND};

/// Messages that begin a stream, sent without waiting: a server may keep headers back until a frame comes.
const BEGIN: usize = 8;
/// How long a step may take. Under valgrind a server is fifty times as slow.
const STEP: u64 = 30 * SECOND;

impl Crowd {
    /// Sessions from connect to play to close, some at once.
    pub(super) fn visit(&mut self) -> io::Result<Report> {
        let began = clock::now();
        let mut deadline = began + STEP;
        let mut left = self.plan.sessions;
        while self.visits < self.plan.sessions {
            while left > 0 && self.guests < self.plan.at_once {
                self.connect(Purpose::Visit, 0)?;
                left -= 1;
            }
            if self.turn(0)? {
                deadline = clock::now() + STEP;
            } else if clock::now() > deadline {
                return Err(io::Error::other("the server does not answer any more"));
            }
        }
        Ok(self.report(clock::now() - began))
    }

    /// Messages of the first stream; the next step only when every player has the last, so that how often a server has
    /// to turn does not depend on how fast it is.
    pub(super) fn step(&mut self) -> io::Result<Report> {
        let began = clock::now();
        let players = self.plan.players as u64;
        let bursts = std::iter::repeat_n(self.plan.burst, self.plan.lockstep / self.plan.burst);
        for burst in std::iter::once(BEGIN).chain(bursts) {
            let filler = std::mem::take(&mut self.filler);
            let publisher = self.publisher(0).ok_or(io::ErrorKind::NotFound)?;
            publisher.send_burst(burst, &filler)?;
            let published = publisher.published;
            self.filler = filler;
            let deadline = clock::now() + STEP;
            while !self.everybody_has(published, players) {
                self.turn(0)?;
                if clock::now() > deadline {
                    return Err(io::Error::other("a message is not delivered"));
                }
            }
        }
        Ok(self.report(clock::now() - began))
    }

    fn everybody_has(&mut self, published: u64, players: u64) -> bool {
        let bytes = self.bytes;
        let mut samples = self.players().filter_map(|player| {
            let parser = player.parser.as_ref()?;
            Some((parser.sample.messages, player.bytes))
        });
        samples.all(|(messages, each)| messages >= published && bytes >= each * players)
    }
}
