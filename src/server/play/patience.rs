//! How often a player may lose frames.

use crate::planted::{Bug, planted};
use crate::time::{Duration, Instant};

/// How often a player has lost frames in the running minute.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    jumps: u32,
    since: Instant,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            jumps: 0,
            since: now,
        }
    }

    /// It jumps; true if that was once too often.
    pub(super) fn ends(&mut self, most: u32, now: Instant) -> bool {
        if now.since(self.since) >= MINUTE {
            (self.jumps, self.since) = (0, now);
        }
        self.jumps += 1;
        most > 0 && self.jumps > most && !planted(Bug::JumpsForEver)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
