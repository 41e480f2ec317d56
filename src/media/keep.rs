//! What a stream keeps of the past, and how much of it players are given.

use super::ring::Ring;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::{Duration, Instant};

/// What a stream keeps of the past, and how much of it players are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Frames of the ring, at least 1: a player that is further behind jumps.
    pub frames: usize,
    /// Bytes of the ring, likewise; one frame stays whatever its size.
    pub bytes: u64,
    /// Frames a joiner may be given from the past; 0: it begins at the next keyframe.
    pub joiner_frames: usize,
    /// Bytes of the same; 0: whatever the ring holds.
    pub joiner_bytes: u64,
    /// How old the oldest of them may be; zero: as old as the ring's oldest.
    pub joiner_age: Duration,
    /// A joiner begins at the newest keyframe that is at least so old, or the oldest there is; zero: at the newest.
    pub behind: Duration,
    /// A player that is further behind jumps to where a joiner would begin, if that is later; zero: as far behind as
    /// the ring reaches.
    pub latency_max: Duration,
}

impl Keep {
    /// A ring of the default size, of which joiners may have `joiner_frames`.
    pub fn frames(joiner_frames: usize) -> Self {
        Self {
            frames: limits::RING_FRAMES_DEFAULT.max(joiner_frames),
            bytes: limits::RING_BYTES,
            joiner_frames,
            joiner_bytes: 0,
            joiner_age: Duration::ZERO,
            behind: Duration::ZERO,
            latency_max: Duration::ZERO,
        }
    }

    /// The keyframe that one goes on at who may have anything in `ring`.
    pub(super) fn key(&self, ring: &Ring, now: Instant) -> Option<u64> {
        if self.behind.is_zero() {
            return ring.newest_key();
        }
        let late_enough =
            |key: &u64| (ring.pushed_at(*key)).is_some_and(|at| now.since(at) >= self.behind);
        ring.keys()
            .rev()
            .find(late_enough)
            .or_else(|| ring.keys().next())
    }

    /// The keyframe that a joiner begins at: within what it may be given.
    pub(super) fn joiners_key(&self, ring: &Ring, now: Instant) -> Option<u64> {
        let from = self.key(ring, now)?;
        let keys = ring.keys().rev().take_while(|&key| key >= from);
        keys.filter(|&key| self.admits(ring, key, now)).last()
    }

    fn admits(&self, ring: &Ring, key: u64, now: Instant) -> bool {
        let fits = self.joiner_bytes == 0 || ring.bytes_from(key) <= self.joiner_bytes;
        let is_fresh = self.joiner_age.is_zero()
            || planted(Bug::CacheAgeIgnored)
            || (ring.pushed_at(key)).is_some_and(|at| now.since(at) <= self.joiner_age);
        ring.head() - key <= self.joiner_frames as u64 && fits && is_fresh
    }

    /// Players that stand before this are too late, and do better elsewhere; 0 if nobody is.
    pub(super) fn floor(&self, ring: &Ring, has_video: bool, now: Instant) -> u64 {
        if self.latency_max.is_zero() {
            return 0;
        }
        let patience = (self.latency_max + self.behind).as_micros();
        let oldest = u128::from(now.as_micros()).saturating_sub(patience);
        let oldest = Instant::from_micros(u64::try_from(oldest).unwrap_or(u64::MAX));
        let fresh = ring.first_since(oldest);
        match self.key(ring, now) {
            Some(key) => fresh.min(key),
            // Without a keyframe to go to a picture that comes late is better than none until the next one.
            None if has_video => 0,
            None => fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{Frame, FrameKind};
    use crate::media::ring::Item;
    use crate::rtmp::wire::{MediaKind, WireMessage};
    use crate::time::Timestamp;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// A keyframe each second and nine pictures between them, a hundred milliseconds and about 1,000 bytes each.
    fn ring(frames: u64) -> Ring {
        let mut ring = Ring::new(1_000);
        for n in 0..frames {
            let kind = match n % 10 {
                0 => FrameKind::Keyframe,
                _ => FrameKind::Inter,
            };
            let message = WireMessage::new(MediaKind::Video, Timestamp(0), &[0x17; 988], 60_000);
            assert_eq!(message.bytes().len(), 1_000);
            ring.push(Item::Frame(Frame { message, kind }), at(n * 100));
        }
        ring
    }

    #[test]
    fn a_joiner_begins_where_it_is_told_to() {
        let ring = ring(45); // the newest keyframe is 40; it is 4.4 s
        let now = at(4_400);
        let keep = |behind| Keep {
            behind: Duration::from_millis(behind),
            ..Keep::frames(1_000)
        };
        for (behind, key) in [
            (0, 40),
            (100, 40),
            (400, 40),
            (401, 30),
            (1_400, 30),
            (2_000, 20),
            (9_000, 0),
        ] {
            assert_eq!(keep(behind).joiners_key(&ring, now), Some(key), "{behind}");
        }
        assert_eq!(keep(100).joiners_key(&Ring::new(10), now), None);
    }

    #[test]
    fn what_a_joiner_is_given_is_bounded_in_frames_bytes_and_time() {
        let ring = ring(45);
        let now = at(4_400);
        let any = Keep::frames(1_000);
        let key = |keep: Keep| keep.joiners_key(&ring, now);
        for (bytes, expected) in [(0, Some(40)), (5_000, Some(40)), (4_999, None)] {
            let keep = Keep {
                joiner_bytes: bytes,
                ..any
            };
            assert_eq!(key(keep), expected, "{bytes} bytes");
        }
        for (millis, expected) in [(0, Some(40)), (400, Some(40)), (399, None)] {
            let joiner_age = Duration::from_millis(millis);
            assert_eq!(key(Keep { joiner_age, ..any }), expected, "{millis} ms");
        }
        assert_eq!(
            key(Keep {
                joiner_frames: 4,
                ..any
            }),
            None
        );
        // Further behind, but not further than it may be given.
        let behind = Duration::from_millis(2_000);
        let within = Keep {
            behind,
            joiner_bytes: 15_000,
            ..any
        };
        assert_eq!(key(within), Some(30));
        let none = Keep {
            behind,
            joiner_bytes: 1_000,
            ..any
        };
        assert_eq!(key(none), None);
    }

    #[test]
    fn the_late_jump_only_where_it_helps() {
        let now = at(4_400);
        let floor = |latency, behind, ring: &Ring, has_video| {
            let keep = Keep {
                latency_max: Duration::from_millis(latency),
                behind: Duration::from_millis(behind),
                ..Keep::frames(1_000)
            };
            keep.floor(ring, has_video, now)
        };
        let ring = ring(45);
        assert_eq!(floor(0, 0, &ring, true), 0, "as late as it likes");
        assert_eq!(
            floor(1_000, 0, &ring, true),
            34,
            "what came before 3.4 s is too late"
        );
        assert_eq!(
            floor(100, 0, &ring, true),
            40,
            "no further than to the newest keyframe"
        );
        assert_eq!(
            floor(500, 1_000, &ring, true),
            29,
            "nobody is late who began so"
        );
        assert_eq!(floor(9_000, 0, &ring, true), 0);
        let mut without = ring;
        without.forget_keys();
        assert_eq!(
            floor(1_000, 0, &without, true),
            0,
            "a late picture is better than none"
        );
        assert_eq!(
            floor(1_000, 0, &without, false),
            34,
            "sound goes on anywhere"
        );
    }
}
