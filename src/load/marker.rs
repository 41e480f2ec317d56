//! The marker that a load publisher puts into its pictures, so that a load player can tell how old they are.
//!
//! An SEI message "user data unregistered" (H.264 annex D.1.7) in a NAL unit of its own, in front of the picture's slices:
//! decoders pass over those whose UUID they do not know, which is what it is for. Behind the UUID stand three numbers, most
//! significant group first, seven bits in a byte whose top bit is set, so that no start code is ever emulated
//! (H.264 §7.4.1):
//!
//! | bytes | what |
//! |---|---|
//! | 5 | run: drawn when the publisher began, so that another one is not taken for losses |
//! | 5 | sequence: counts the marked pictures of the run from 0, modulo 2^32 |
//! | 8 | when it was handed to the socket, by the publisher's wall clock: microseconds since 1970 |
//!
//! Players on the same machine, or on one with the same time, get the delivery latency from the last of them.

use crate::time::{Duration, WallTime};

/// NAL unit type 6, SEI; payload type 5, user data unregistered; 34 bytes of it; and our UUID,
/// `8f3a1d6c-52e7-4b91-a4d8-7e15c936b25f`.
const PREFIX: [u8; 19] = [
    0x06, 0x05, 34, 0x8F, 0x3A, 0x1D, 0x6C, 0x52, 0xE7, 0x4B, 0x91, 0xA4, 0xD8, 0x7E, 0x15, 0xC9,
    0x36, 0xB2, 0x5F,
];
/// Bytes of the three numbers.
const NUMBERS: usize = 18;
/// The stop bit and its alignment (H.264 §7.3.2.11).
const STOP: u8 = 0x80;
/// Bytes of the NAL unit.
const NAL: usize = PREFIX.len() + NUMBERS + 1;
/// How far into a picture's message a marker is looked for: it is the first NAL unit, or stands behind a delimiter.
const REACH: usize = 64;

/// Which picture of which run, and when it left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marker {
    pub(crate) run: u32,
    pub(crate) sequence: u32,
    pub(crate) sent: WallTime,
}

impl Marker {
    /// Appends the NAL unit, behind its length in `length_bytes` (1, 2 or 4) bytes.
    pub(crate) fn write(&self, length_bytes: usize, to: &mut Vec<u8>) {
        let length = (NAL as u32).to_be_bytes();
        let skipped = length.len().saturating_sub(length_bytes);
        to.extend_from_slice(length.get(skipped..).unwrap_or_default());
        to.extend_from_slice(&PREFIX);
        groups(u64::from(self.run), 5, to);
        groups(u64::from(self.sequence), 5, to);
        groups(self.sent.0, 8, to);
        to.push(STOP);
    }

    /// The marker of a video message, if it has one.
    pub(crate) fn find(payload: &[u8]) -> Option<Self> {
        let head = payload.get(..(REACH + NAL).min(payload.len()))?;
        let at = head.windows(PREFIX.len()).position(|w| w == PREFIX)?;
        let numbers: &[u8; NUMBERS] = head.get(at + PREFIX.len()..)?.first_chunk()?;
        let (run, rest) = numbers.split_at(5);
        let (sequence, sent) = rest.split_at(5);
        Some(Self {
            run: number(run) as u32,
            sequence: number(sequence) as u32,
            sent: WallTime(number(sent)),
        })
    }

    /// How old the picture is at `now`; none if it comes from the future, as another machine's clock is ahead of ours.
    pub(crate) fn age(&self, now: WallTime) -> Option<Duration> {
        now.0.checked_sub(self.sent.0).map(Duration::from_micros)
    }
}

fn groups(number: u64, bytes: u32, to: &mut Vec<u8>) {
    let groups = (0..bytes).rev();
    to.extend(groups.map(|group| 0x80 | (number >> (7 * group)) as u8 & 0x7F));
}

fn number(groups: &[u8]) -> u64 {
    let join = |number, byte: &u8| number << 7 | u64::from(byte & 0x7F);
    groups.iter().fold(0, join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found_and_emulates_no_start_code() {
        for (run, sequence, sent) in [(0, 0, 0), (u32::MAX, u32::MAX, (1 << 56) - 1), (7, 256, 1)] {
            let marker = Marker {
                run,
                sequence,
                sent: WallTime(sent),
            };
            for length_bytes in [1, 2, 4] {
                let mut payload = vec![0x27, 1, 0, 0, 0];
                marker.write(length_bytes, &mut payload);
                assert_eq!(payload.len(), 5 + length_bytes + NAL);
                assert_eq!(payload[4 + length_bytes], NAL as u8);
                assert_eq!(Marker::find(&payload), Some(marker));
                let nal = &payload[5 + length_bytes..];
                assert!(!nal.windows(2).any(|pair| pair == [0, 0]), "{nal:?}");
                assert_eq!(usize::from(nal[2]), NAL - 4, "the size it says");
                for end in 0..payload.len() - 1 {
                    assert_eq!(Marker::find(&payload[..end]), None);
                }
            }
        }
    }

    #[test]
    fn age_is_told_unless_the_clocks_disagree() {
        let marker = Marker {
            run: 1,
            sequence: 2,
            sent: WallTime(1_000),
        };
        assert_eq!(
            marker.age(WallTime(1_500)),
            Some(Duration::from_micros(500))
        );
        assert_eq!(marker.age(WallTime(999)), None);
        assert_eq!(Marker::find(&[0x27, 1, 0, 0, 0]), None);
        assert_eq!(Marker::find(&[]), None);
    }
}
