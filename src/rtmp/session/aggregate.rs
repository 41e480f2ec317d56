//! Aggregate messages (type 22): FLV tags in a row (RTMP 1.0 §7.1.6, in the byte order all implementations use).
//!
//! ```text
//! type u8 | size u24 | time low u24, high u8 | stream u24 (ignored) | payload | back pointer u32 (ignored) …
//! ```

use crate::planted::{Bug, planted};
use crate::time::Timestamp;

/// One message of an aggregate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) type_id: u8,
    pub(super) timestamp: Timestamp,
    pub(super) payload: &'a [u8],
}

/// Writes one: `parts` at their own times, type, time and payload each. What is longer than its length field can say
/// is left out.
pub(super) fn encode(parts: &[(u8, Timestamp, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (type_id, timestamp, payload) in parts {
        let Some([0, s0, s1, s2]) = u32::try_from(payload.len()).ok().map(u32::to_be_bytes) else {
            continue;
        };
        let [t3, t0, t1, t2] = timestamp.0.to_be_bytes();
        out.extend_from_slice(&[*type_id, s0, s1, s2, t0, t1, t2, t3, 0, 0, 0]);
        out.extend_from_slice(payload);
        out.extend_from_slice(&(11 + payload.len() as u32).to_be_bytes());
    }
    out
}

/// The messages inside, at the aggregate's time plus their distance from the first. One that is cut short ends it.
pub(super) fn parts(outer: Timestamp, mut rest: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut first = None;
    core::iter::from_fn(move || {
        let (head, body) = rest.split_first_chunk::<11>()?;
        let [type_id, s0, s1, s2, t0, t1, t2, t3, ..] = *head;
        let size = u32::from_be_bytes([0, s0, s1, s2]);
        let (payload, behind) = body.split_at_checked(usize::try_from(size).ok()?)?;
        // The last back pointer is missing from some.
        rest = behind.get(4..).unwrap_or_default();
        let time = Timestamp(u32::from_be_bytes([t3, t0, t1, t2]));
        if planted(Bug::AggregateTimesLost) {
            first = None;
        }
        let base = *first.get_or_insert(time);
        Some(Part {
            type_id: type_id & 0x1F,
            timestamp: outer + time.0.wrapping_sub(base.0),
            payload,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn aggregates_round_trip(
            outer: u32, first: u32,
            messages in prop::collection::vec(
                (0u8..0x20, any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..9,
            ),
        ) {
            let messages: Vec<(u8, Timestamp, Vec<u8>)> = messages
                .into_iter()
                .enumerate()
                .map(|(n, (kind, time, payload))| (kind, Timestamp(if n == 0 { first } else { time }), payload))
                .collect();
            let written: Vec<(u8, Timestamp, &[u8])> =
                messages.iter().map(|(kind, time, payload)| (*kind, *time, &payload[..])).collect();
            let bytes = encode(&written);
            let read: Vec<_> = parts(Timestamp(outer), &bytes).collect();
            prop_assert_eq!(read.len(), written.len());
            for (part, (kind, time, payload)) in read.iter().zip(&written) {
                prop_assert_eq!(part.type_id, *kind);
                prop_assert_eq!(part.payload, *payload);
                prop_assert_eq!(part.timestamp, Timestamp(outer) + time.0.wrapping_sub(first));
            }
        }

        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parts(Timestamp(0), &bytes).count() <= bytes.len() / 11);
        }
    }

    #[test]
    fn times_count_from_the_first() {
        // The reference's example: outer time 1000.
        let bytes = b"\x08\0\0\x02\0\x13\x88\0\0\0\0\xAF\x01\0\0\0\x0D\
            \x09\0\0\x03\0\x13\xB0\0\0\0\0\x17\0\0\0\0\0\x0E";
        let found: Vec<_> = parts(Timestamp(1000), bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].type_id, found[0].timestamp), (8, Timestamp(1000)));
        assert_eq!(found[0].payload, [0xAF, 1]);
        assert_eq!((found[1].type_id, found[1].timestamp), (9, Timestamp(1040)));
        assert_eq!(found[1].payload, [0x17, 0, 0]);
        for n in 0..bytes.len() {
            let count = parts(Timestamp(0), &bytes[..n]).count();
            assert_eq!(
                count,
                usize::from(n >= 13) + usize::from(n >= 31),
                "{n} bytes"
            );
        }
    }
}
