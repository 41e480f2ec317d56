//! The extended timestamp of a continuing fmt 3 header: there or not?
//!
//! The errata (§5.1) want it on every fmt 3 header while the chunk stream's last header had one; a text of 2009 said
//! never. FFmpeg, SRS, nginx-rtmp and OBS since 2024 repeat the value; older OBS and some hardware leave it out;
//! gortmplib writes zero. So the four bytes where it would stand are looked at before they are taken.

use crate::time::Timestamp;

/// What this connection was seen to do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habit {
    /// Always take it; look at nothing.
    pub(super) strict: bool,
    /// It was missing the last time it was told apart.
    omits: bool,
}

impl Habit {
    /// Decides for a continuation whose chunk stream's last extended field was `field`, and whose message has
    /// `timestamp`. Returns the habit learnt and how many bytes of `rest` are the field: 0 or 4. `None`: more bytes
    /// are needed to tell.
    ///
    /// Misled only by payload that looks like the field: 2^-32 per chunk, a little more for zeros.
    pub(super) fn continuation(
        self,
        field: u32,
        timestamp: Timestamp,
        rest: &[u8],
    ) -> Option<(Self, usize)> {
        if self.strict {
            return (rest.len() >= 4).then_some((self, 4));
        }
        let omits = |omits| Self { omits, ..self };
        let repeats = [field, timestamp.0, timestamp.0 & 0x7FFF_FFFF];
        if let Some(&seen) = rest.first_chunk() {
            let seen = u32::from_be_bytes(seen);
            return Some(match seen {
                _ if repeats.contains(&seen) => (omits(false), 4),
                0 if !self.omits => (self, 4),
                _ => (omits(true), 0),
            });
        }
        // Fewer than four: what cannot become the field any more is payload, so that a message's last bytes from a
        // sender that omits do not wait for the next message.
        let open = |value: u32| value.to_be_bytes().starts_with(rest);
        let possible = repeats.into_iter().any(open) || (!self.omits && open(0));
        (!possible).then_some((omits(true), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp(0x8123_4567);

    #[test]
    fn told_apart_by_value() {
        let habit = Habit::default();
        let take = |habit: Habit, field: u32, rest: &[u8]| {
            let (habit, len) = habit.continuation(field, TIME, rest).unwrap();
            (habit.omits, len)
        };
        let omitter = Habit {
            omits: true,
            ..habit
        };
        // The field again, the message's time, the time in 31 bits, zero.
        assert_eq!(take(habit, 0x0100_0000, &[1, 0, 0, 0, 9]), (false, 4));
        assert_eq!(take(omitter, 0x0100_0000, &[1, 0, 0, 0]), (false, 4));
        assert_eq!(take(habit, 1, &[0x81, 0x23, 0x45, 0x67]), (false, 4));
        assert_eq!(take(habit, 1, &[0x01, 0x23, 0x45, 0x67]), (false, 4));
        assert_eq!(take(habit, 1, &[0, 0, 0, 0]), (false, 4));
        assert_eq!(take(omitter, 1, &[0, 0, 0, 0]), (true, 0));
        assert_eq!(take(habit, 1, &[0, 0, 0, 2]), (true, 0));
    }

    #[test]
    fn strict_always_takes() {
        let strict = Habit {
            strict: true,
            ..Habit::default()
        };
        let taken = strict.continuation(1, TIME, &[7, 7, 7, 7]);
        assert_eq!(taken.map(|(_, len)| len), Some(4));
        assert!(strict.continuation(1, TIME, &[7, 7, 7]).is_none());
    }

    #[test]
    fn a_prefix_decides_as_the_whole_would() {
        for omits in [false, true] {
            let habit = Habit {
                strict: false,
                omits,
            };
            for word in [
                0u32,
                1,
                2,
                0x0123_4567,
                0x8123_4567,
                0x8123_4568,
                0x0100_0000,
            ] {
                let bytes = word.to_be_bytes();
                let whole = habit.continuation(0x0100_0000, TIME, &bytes).unwrap();
                for n in 0..4 {
                    if let Some(early) = habit.continuation(0x0100_0000, TIME, &bytes[..n]) {
                        assert_eq!((early.0.omits, early.1), (whole.0.omits, whole.1));
                    }
                }
            }
        }
    }
}
