//! How long players wait for their first frame.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::server::meters::Meters;
use crate::time::Instant;

/// Players that have not had their first frame yet, and since when they wait for it: since they came, or since the
/// publisher did.
pub(in crate::server) struct Joiners {
    since: BTreeMap<usize, Instant>,
    pub(in crate::server) meters: Rc<Meters>,
}

impl Joiners {
    pub(in crate::server) fn new(meters: Rc<Meters>) -> Self {
        Self {
            since: BTreeMap::new(),
            meters,
        }
    }

    /// A player has come.
    pub(super) fn came(&mut self, slot: usize, now: Instant) {
        self.since.insert(slot, now);
    }

    /// A player has gone.
    pub(super) fn left(&mut self, slot: usize) {
        self.since.remove(&slot);
    }

    /// A publisher has come: nobody was late before.
    pub(in crate::server) fn begin_anew(&mut self, now: Instant) {
        self.since.values_mut().for_each(|since| *since = now);
    }

    pub(super) fn begun(&mut self, slot: usize, now: Instant) {
        if let Some(since) = self.since.remove(&slot) {
            let micros = now.as_micros().saturating_sub(since.as_micros());
            self.meters.first_frame.observe(micros, 1);
        }
    }
}
