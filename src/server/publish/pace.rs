//! How fast a publisher sends: its bitrate over some seconds, against what its application allows.

use std::cell::Cell;

use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Instant;

/// What a publisher has sent in the running window.
pub(super) struct Pace {
    /// Kilobits a second; 0 allows everything.
    most: u32,
    since: Cell<Instant>,
    bytes: Cell<u64>,
}

impl Pace {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self {
            most,
            since: Cell::new(now),
            bytes: Cell::new(0),
        }
    }

    /// It has sent so many bytes of a message.
    pub(super) fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Its bound in kilobits a second, if it has sent more in this window than a whole one allows.
    pub(super) fn excess(&self, now: Instant) -> Option<u32> {
        let elapsed = now.since(self.since.get());
        // kbit/s × ms = bits
        let allowed = u128::from(self.most) * elapsed.max(limits::BITRATE_WINDOW).as_millis() / 8;
        let beyond = self.most > 0 && u128::from(self.bytes.get()) > allowed;
        if elapsed >= limits::BITRATE_WINDOW {
            self.since.set(now);
            self.bytes.set(0);
        }
        (beyond && !planted(Bug::PaceIgnored)).then_some(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn a_burst_is_no_offence_and_a_window_full_is_one() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let pace = Pace::new(800, at(0));
        // 800 kbit/s are 500,000 bytes in 5 s.
        pace.count(500_000);
        assert_eq!(pace.excess(at(10)), None, "all of it at once");
        pace.count(1);
        assert_eq!(pace.excess(at(20)), Some(800));
        let free = Pace::new(0, at(0));
        free.count(usize::MAX / 2);
        assert_eq!(free.excess(at(20)), None, "no limit");
        let pace = Pace::new(800, at(0));
        for second in 0..60 {
            pace.count(100_000);
            let end = at((second + 1) * 1_000);
            assert_eq!(pace.excess(end), None, "second {second}");
        }
    }
}
