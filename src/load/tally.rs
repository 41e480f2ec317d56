//! What a run has counted so far.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::histogram::Histogram;
use crate::limits;
use crate::time::{Duration, Instant};

/// The counters of one run, shared by its tasks on their one thread.
pub(crate) type Shared = Rc<RefCell<Tally>>;

/// Every counter of a run; publishers and players each use their part.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections that were begun.
    pub(crate) begun: u64,
    /// Of these, those that were let in to publish or play.
    pub(crate) started: u64,
    /// Of the begun, those that have ended, for good or bad.
    pub(crate) ended: u64,
    /// Why connections failed, and how many.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Bytes read from or written to the sockets.
    pub(crate) bytes: u64,
    pub(crate) video: u64,
    pub(crate) audio: u64,
    /// Sent: how late messages left, by their own clock. Received: how old marked pictures were.
    pub(crate) delays: Histogram,
    /// The same, of the current second.
    pub(crate) latest: Histogram,
    /// Pictures that bore a marker.
    pub(crate) marked: u64,
    /// Marked pictures that never came.
    pub(crate) lost: u64,
    /// Steps of a clock that are longer than what is called a stall.
    pub(crate) jumps: u64,
    /// Marked pictures from the future.
    pub(crate) ahead: u64,
    /// How late our own alarms were, ten times a second: every delay that is measured may be that much ours.
    pub(crate) alarms: Histogram,
    /// From the first packet to the first picture or sound.
    pub(crate) first_frame: Histogram,
    /// From the first packet to the first keyframe.
    pub(crate) first_key: Histogram,
    /// Players that got anything.
    pub(crate) served: u64,
    pub(crate) stalls: u64,
    pub(crate) longest_stall: Duration,
    pub(crate) stalled: Duration,
    /// What the server did wrong, and how often.
    pub(crate) wrong: BTreeMap<&'static str, u64>,
    /// The most bytes that waited for a server, of one stream.
    pub(crate) unsent_most: usize,
    /// Bytes that wait for the server now, of all streams.
    pub(crate) unsent: usize,
}

impl Tally {
    /// Counts a failure; of more than [`limits::LOAD_REASONS`] reasons the rest are one.
    pub(crate) fn fail(&mut self, reason: String) {
        let known = self.failures.contains_key(&reason);
        let reason = match known || self.failures.len() + 1 < limits::LOAD_REASONS {
            true => reason,
            false => "others".to_owned(),
        };
        *self.failures.entry(reason).or_default() += 1;
    }

    pub(crate) fn wrong(&mut self, what: &'static str) {
        *self.wrong.entry(what).or_default() += 1;
    }

    pub(crate) fn delay(&mut self, delay: Duration) {
        self.delays.add(delay);
        self.latest.add(delay);
    }

    /// Nothing came between two moments.
    pub(crate) fn stall(&mut self, since: Instant, until: Instant) {
        let gap = until.since(since);
        self.stalls += 1;
        self.stalled += gap;
        self.longest_stall = self.longest_stall.max(gap);
    }

    /// A stream's bytes that wait for the server are `now` that many; whether so many may.
    pub(crate) fn waits(&mut self, before: usize, now: usize) -> bool {
        self.unsent_most = self.unsent_most.max(now);
        self.unsent = self.unsent.saturating_sub(before) + now;
        now <= limits::LOAD_UNSENT_BYTES && self.unsent <= limits::LOAD_UNSENT_TOTAL
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_for_each_and_for_all() {
        let each = limits::LOAD_UNSENT_BYTES;
        let mut tally = Tally::default();
        assert!(tally.waits(0, each) && !tally.waits(each, each + 1));
        assert!(tally.waits(each + 1, 0));
        let streams = limits::LOAD_UNSENT_TOTAL / each;
        assert!((0..streams).all(|_| tally.waits(0, each)));
        assert!(!tally.waits(0, 1));
        tally.waits(1, 0);
        assert!(tally.waits(each, each), "room again: one has gone");
        assert_eq!(
            (tally.unsent, tally.unsent_most),
            (limits::LOAD_UNSENT_TOTAL, each + 1)
        );
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = Tally::default();
        for n in 0..100 {
            tally.fail(format!("reason {n}"));
            tally.fail("reason 3".to_owned());
        }
        assert_eq!(tally.failures.len(), limits::LOAD_REASONS);
        assert_eq!(
            tally.failures["others"],
            100 - (limits::LOAD_REASONS as u64 - 1)
        );
        assert_eq!(tally.failed(), 200);
    }
}
