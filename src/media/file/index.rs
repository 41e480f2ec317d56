//! Where one may begin in a file: keyframes, by time and place.

/// A place where one may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sync {
    /// Milliseconds since the file's beginning.
    pub time: u64,
    /// The byte at which to begin reading.
    pub offset: u64,
}

/// Places in the order of the file, never more than there is room for: where they are too many, every second one goes,
/// and from then on only every second, fourth, eighth … is kept. They stay evenly spread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncIndex {
    entries: Vec<Sync>,
    room: usize,
    /// Every so many-th place is kept.
    stride: u64,
    /// Places that came.
    seen: u64,
}

impl SyncIndex {
    /// An empty index of at most `room` places (at least 2).
    pub fn new(room: usize) -> Self {
        Self {
            entries: Vec::new(),
            room: room.max(2),
            stride: 1,
            seen: 0,
        }
    }

    /// The same places, if those that were pushed were already but one of `step`.
    #[must_use]
    pub fn thinned_by(mut self, step: u64) -> Self {
        self.stride = self.stride.saturating_mul(step.max(1));
        self
    }

    /// A further place. One that is not behind the last one kept (a clock that stepped back) is left out.
    pub fn push(&mut self, sync: Sync) {
        let is_next = |last: &Sync| last.offset < sync.offset && last.time <= sync.time;
        if !self.entries.last().is_none_or(is_next) {
            return;
        }
        if self.entries.len() >= self.room && self.seen.is_multiple_of(self.stride) {
            let mut odd = true;
            self.entries.retain(|_| {
                odd = !odd;
                !odd
            });
            self.stride *= 2;
        }
        if self.seen.is_multiple_of(self.stride) {
            self.entries.push(sync);
        }
        self.seen += 1;
    }

    /// Forgets all places.
    pub fn clear(&mut self) {
        *self = Self::new(self.room);
    }

    /// The places.
    pub fn entries(&self) -> &[Sync] {
        &self.entries
    }

    /// How many places there are for one that is kept: 1 if none was left out.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The last place at or before `time`, and the one behind it. Whether others lie between them, [`SyncIndex::stride`] says.
    pub fn around(&self, time: u64) -> (Option<Sync>, Option<Sync>) {
        let behind = self.entries.partition_point(|sync| sync.time <= time);
        let before = behind.checked_sub(1).and_then(|at| self.entries.get(at));
        (before.copied(), self.entries.get(behind).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(n: u64) -> Sync {
        Sync {
            time: n * 1_000,
            offset: 13 + n * 100,
        }
    }

    #[test]
    fn too_many_are_thinned_evenly() {
        for room in [2, 3, 8, 9] {
            let mut index = SyncIndex::new(room);
            for n in 0..1_000 {
                index.push(sync(n));
                let stride = index.stride();
                let due = (0..=n).step_by(stride as usize).map(sync);
                assert_eq!(index.entries(), due.collect::<Vec<_>>());
                assert!(index.entries().len() <= room);
                assert!(stride == 1 || 2 * index.entries().len() > room);
            }
        }
    }

    #[test]
    fn around_a_time_are_the_place_before_and_the_one_behind() {
        let mut index = SyncIndex::new(10);
        assert_eq!(index.around(5), (None, None));
        (1..4).for_each(|n| index.push(sync(n)));
        index.push(sync(2));
        assert_eq!(index.entries().len(), 3, "back is not kept");
        assert_eq!(index.around(999), (None, Some(sync(1))));
        assert_eq!(index.around(1_000), (Some(sync(1)), Some(sync(2))));
        assert_eq!(index.around(9_999), (Some(sync(3)), None));
    }
}
