//! The canary: a run that must fail, because a frame is altered on its way from the server to a checker's eyes.
//!
//! A simulator that finds nothing may be one that cannot find anything. Where a scenario has a canary, the world
//! flips one bit of one frame that a player gets, as no server may; whoever then reports success is broken.
//! The frames of the witnesses at the end are left alone: every world has those, and its scripts would not matter.

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;

use crate::checkers::WITNESS;
use crate::journal::Observation;

/// What the counts of faults call it.
pub const CANARY: &str = "canary";
/// The checker that must object.
pub const CHECKER: &str = "ordered selection";
/// Which audio or video message of the run is altered, from 0: late enough that headers and a keyframe are through.
const FRAME: u64 = 5;

/// Whether `seed` is one of those that have a canary in a sweep with canaries: one in a hundred.
pub fn in_seed(seed: u64) -> bool {
    seed % 100 == 99
}

/// Waits for its frame.
#[derive(Default)]
pub(crate) struct Canary {
    seen: u64,
}

impl Canary {
    /// Whether a frame was altered: if no player got that many, this run may pass.
    pub(crate) fn sang(&self) -> bool {
        self.seen > FRAME
    }

    /// What `who` observes in the place of `seen`, if this is the moment.
    pub(crate) fn altered(&mut self, who: &str, seen: &Observation) -> Option<Observation> {
        let Observation::Received {
            name,
            kind,
            timestamp,
            payload,
        } = seen
        else {
            return None;
        };
        if who == WITNESS || *kind == MediaKind::Data || payload.is_empty() {
            return None;
        }
        self.seen += 1;
        if self.seen != FRAME + 1 {
            return None;
        }
        let mut bytes = payload.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        Some(Observation::Received {
            name: name.clone(),
            kind: *kind,
            timestamp: *timestamp,
            payload: Bytes::from(bytes),
        })
    }
}
