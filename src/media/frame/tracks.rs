//! Sets of track ids.

use core::fmt;

/// A set of Enhanced RTMP track ids, 0 to 255. Legacy media is track 0.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackSet([u128; 2]);

impl TrackSet {
    /// No track.
    pub const EMPTY: Self = Self([0; 2]);

    /// The set of `track` alone.
    pub fn of(track: u8) -> Self {
        let mut set = Self::EMPTY;
        set.insert(track);
        set
    }

    /// Adds `track`.
    pub fn insert(&mut self, track: u8) {
        let [low, high] = &mut self.0;
        *(if track < 128 { low } else { high }) |= 1 << (track & 127);
    }

    /// Whether `track` is in it.
    pub fn contains(&self, track: u8) -> bool {
        let [low, high] = self.0;
        (if track < 128 { low } else { high }) >> (track & 127) & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// How many there are, at most 256.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// The lowest id.
    pub fn first(&self) -> Option<u8> {
        self.iter().next()
    }

    /// The ids, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX).filter(|track| self.contains(*track))
    }

    /// What is in one of the two or in both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a & c, b & d])
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a & !c, b & !d])
    }
}

impl FromIterator<u8> for TrackSet {
    fn from_iter<I: IntoIterator<Item = u8>>(tracks: I) -> Self {
        let mut set = Self::EMPTY;
        for track in tracks {
            set.insert(track);
        }
        set
    }
}

impl fmt::Debug for TrackSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algebra_of_sets_over_both_halves() {
        let some: TrackSet = [0, 5, 127, 128, 255].into_iter().collect();
        let other: TrackSet = [5, 128, 200].into_iter().collect();
        assert_eq!((some.len(), some.first()), (5, Some(0)));
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 5, 127, 128, 255]);
        assert_eq!(some.without(&other), [0, 127, 255].into_iter().collect());
        assert_eq!(some.intersection(&other), [5, 128].into_iter().collect());
        assert_eq!(some.union(&other).len(), 6);
        assert!(some.contains(128) && !some.contains(1) && !TrackSet::EMPTY.contains(0));
        assert_eq!(TrackSet::EMPTY.first(), None);
    }
}
