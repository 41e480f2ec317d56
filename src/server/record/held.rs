//! What the recordings of a shard hold until their disk takes it, beside what its streams keep for players: made bytes that
//! wait, and frames of streams that have ended.

use crate::limits;
use crate::media::ring::Tally;
use crate::runtime::Runtime;
use crate::server::shard::Shard;

/// Bytes that are held in one place, counted with those of all others of the shard until it goes.
pub(super) struct Held {
    tally: Tally,
    bytes: usize,
}

impl Held {
    pub(super) fn new(tally: Tally) -> Self {
        Self { tally, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// It is so many now.
    pub(super) fn set(&mut self, bytes: usize) {
        self.tally.take(self.bytes);
        self.tally.add(bytes);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl<R: Runtime> Shard<R> {
    /// A place for what a recording holds.
    pub(super) fn held(&self) -> Held {
        Held::new(self.meters().record_held.clone())
    }

    /// Bytes that may be held beyond those that are.
    pub(super) fn room_for_tail(&self) -> usize {
        self.room(limits::RECORD_SHARE)
    }

    /// Bytes that `out` may hold, which holds some already: beside it, half of what there is is for tails, of which
    /// something is lost where there is none. Who may hold little writes it in small pieces, and loses nothing by that.
    pub(super) fn room_for_out(&self, out: &Held) -> usize {
        let least = usize::try_from(limits::RECORD_BUFFER_MIN).unwrap_or(usize::MAX);
        let room = self.room(2 * limits::RECORD_SHARE);
        room.saturating_add(out.bytes()).max(least)
    }

    /// Of one part in so many of what the shard may hold, what is left.
    fn room(&self, share: u64) -> usize {
        self.media_part().map_or(usize::MAX, |part| {
            let most = usize::try_from(part / share).unwrap_or(usize::MAX);
            most.saturating_sub(self.meters().record_held.bytes())
        })
    }
}
