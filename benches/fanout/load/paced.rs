//! A broadcast in its own time, and what came of it.

use std::io;

use super::client::Client;
use super::crowd::Crowd;
use super::guest::Purpose;
use super::report::{Quantiles, Report};
use super::sample::Sample;
use crate::clock::{self, MILLI, SECOND};

/// What is counted as the same number of bytes: less than the shortest message, more than a ping.
const SLACK: u64 = 256;
/// After so long without a byte nothing more comes.
const SILENCE: u64 = 2 * SECOND;
/// Late joiners wait for the first group of pictures.
const FIRST_JOINER: u64 = SECOND;

impl Crowd {
    /// What the plan says.
    ///
    /// # Errors
    /// The server cut a publisher off, or refused somebody.
    pub(super) fn perform(&mut self) -> io::Result<Report> {
        if self.plan.sessions > 0 {
            return self.visit();
        }
        if self.plan.lockstep > 0 {
            return self.step();
        }
        let stalled = self.plan.stalled;
        let silent = self.players().filter(|player| player.parser.is_none());
        for player in silent.take(stalled) {
            player.stalled = true;
        }
        let began = clock::now() + MILLI;
        self.broadcast(began)?;
        let last = self.drain()?;
        Ok(self.report(last - began))
    }

    /// Publishes for a while before anything is counted.
    ///
    /// # Errors
    /// The server cut a publisher off.
    pub(super) fn warm_up(&mut self) -> io::Result<()> {
        if self.plan.warm_millis == 0 {
            return Ok(());
        }
        let plan = self.plan.clone();
        self.plan.millis = plan.warm_millis;
        self.plan.join_every_millis = 0;
        self.plan.stall_millis = 0;
        self.broadcast(clock::now() + MILLI)?;
        self.drain()?;
        self.plan = plan;
        self.bytes = 0;
        for player in self.players() {
            player.bytes = 0;
            if let Some(parser) = &mut player.parser {
                parser.sample = Sample::default();
            }
        }
        Ok(())
    }

    fn broadcast(&mut self, began: u64) -> io::Result<()> {
        let end = began + self.plan.millis * MILLI;
        let count = self.publishers.len();
        for stream in 0..count {
            // Dealt over a frame's time, as independent publishers are.
            let offset = stream as u64 * SECOND / 30 / count as u64;
            if let Some(publisher) = self.publisher(stream) {
                publisher.begin(began + offset);
            }
        }
        let mut due = began;
        let mut join = match self.plan.join_every_millis {
            0 => u64::MAX,
            _ => began + FIRST_JOINER,
        };
        let mut resume = match self.plan.stall_millis {
            0 => u64::MAX,
            _ => began + self.plan.stall_millis * MILLI,
        };
        loop {
            let now = clock::now();
            if now >= end {
                break;
            }
            if now >= due {
                due = self.send_due(now)?;
            }
            if now >= join {
                join = now + self.plan.join_every_millis * MILLI;
                self.connect(Purpose::Join, 0)?;
            }
            if now >= resume {
                resume = u64::MAX;
                super::say("resumed", &serde_json::Value::Null)?;
                self.resume();
            }
            self.turn(0)?;
        }
        if resume != u64::MAX {
            self.resume();
        }
        Ok(())
    }

    /// Has every publisher send what is due; returns when the next is.
    fn send_due(&mut self, now: u64) -> io::Result<u64> {
        let mut due = u64::MAX;
        for &key in &self.publishers {
            if let Some(Client::Publisher(publisher)) = self.clients.get_mut(key) {
                due = due.min(publisher.send_due(now, &self.filler)?);
            }
        }
        Ok(due)
    }

    /// Reads until everybody has everything, or nothing comes any more; returns when the last byte came.
    fn drain(&mut self) -> io::Result<u64> {
        let deadline = clock::now() + self.plan.drain_millis * MILLI;
        let mut last = clock::now();
        let mut look = last;
        loop {
            let before = self.bytes;
            self.turn(0)?;
            let now = clock::now();
            if self.bytes > before {
                last = now;
            } else if now >= look {
                if self.is_complete() || now > last + SILENCE {
                    return Ok(last);
                }
                look = now + 5 * MILLI;
            }
            if now > deadline {
                return Ok(last);
            }
        }
    }

    /// What the publishers published, by stream.
    fn published(&mut self) -> Vec<u64> {
        let streams = 0..self.publishers.len();
        let published = streams.map(|stream| self.publisher(stream).map_or(0, |p| p.published));
        published.collect()
    }

    /// The most bytes a player got, by stream.
    fn most(&mut self) -> Vec<u64> {
        let mut most = vec![0; self.publishers.len()];
        for player in self.players() {
            if let Some(most) = most.get_mut(player.stream) {
                *most = player.bytes.max(*most);
            }
        }
        most
    }

    fn is_complete(&mut self) -> bool {
        let streams = 0..self.publishers.len();
        for stream in streams {
            if self.publisher(stream).is_none_or(|p| !p.is_flushed()) {
                return false;
            }
        }
        let (published, most) = (self.published(), self.most());
        let expected = |list: &[u64], stream: usize| list.get(stream).copied().unwrap_or(0);
        self.guests == 0
            && self.players().all(|player| {
                let parsed = player.parser.as_ref().map(|parser| parser.sample.messages);
                let messages = parsed.is_none_or(|m| m >= expected(&published, player.stream));
                let bytes = player.bytes + SLACK >= expected(&most, player.stream);
                player.over || player.was_stalled || (messages && bytes)
            })
    }

    /// What came of it, after `nanos`.
    pub(super) fn report(&mut self, nanos: u64) -> Report {
        let (published, most) = (self.published(), self.most());
        let mut report = Report {
            nanos,
            bytes: self.bytes,
            sessions: self.visits as u64,
            ..Report::default()
        };
        for stream in 0..published.len() {
            if let Some(publisher) = self.publisher(stream) {
                report.published += publisher.published;
                report.published_bytes += publisher.bytes;
            }
        }
        let mut latencies = Vec::new();
        for player in self.players() {
            let expected = published.get(player.stream).copied().unwrap_or(0);
            if player.was_stalled {
                report.cut_off += u64::from(player.over);
                continue;
            }
            report.messages += expected;
            let most = most.get(player.stream).copied().unwrap_or(0);
            report.lost_players += u64::from(player.over || player.bytes + SLACK < most);
            if let Some(parser) = &mut player.parser {
                report.sampled += expected;
                report.lost_samples += expected.saturating_sub(parser.sample.messages);
                latencies.append(&mut parser.sample.latencies);
            }
        }
        report.latency = Quantiles::of(latencies);
        report.join = Quantiles::of(self.joins.iter().map(|join| join.0).collect());
        report.join_play = Quantiles::of(self.joins.iter().map(|join| join.1).collect());
        report
    }
}
