//! Basic and message headers as they stand on the wire (RTMP 1.0 §5.3.1), without any memory of earlier ones.

use super::EXTENDED;
use crate::planted::{Bug, planted};

/// The longest chunk header: basic 3, message 11, extended timestamp 4.
pub(super) const HEADER_MAX: usize = 18;
/// The largest csid the three forms can say.
pub(super) const CSID_MAX: u32 = 65_599;

/// A chunk's first one to three bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Basic {
    /// 0..=3
    pub(super) fmt: u8,
    /// 2..=65,599
    pub(super) csid: u32,
    /// Bytes read: 1, 2 or 3. Any form is good for any csid it can say, the shortest or not.
    pub(super) len: usize,
}

impl Basic {
    /// `None`: more bytes are needed.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let (csid, len) = match first & 0x3F {
            0 => (u32::from(*bytes.get(1)?) + 64, 2),
            // Little-endian, unlike nearly all else; some servers read it the other way round.
            1 if planted(Bug::LongCsidCut) => (u32::from(*bytes.get(1)?) + 64, 2),
            1 => (
                u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?) + 64,
                3,
            ),
            csid => (u32::from(csid), 1),
        };
        Some(Self {
            fmt: first >> 6,
            csid,
            len,
        })
    }

    /// The shortest form of `csid`, which must be 2..=65,599 (clamped).
    pub(super) fn write(out: &mut Vec<u8>, fmt: u8, csid: u32) {
        debug_assert!((2..=CSID_MAX).contains(&csid));
        let fmt = fmt << 6;
        match csid.clamp(2, CSID_MAX) {
            csid @ 2..64 => out.push(fmt | csid as u8),
            csid @ 64..320 => out.extend_from_slice(&[fmt, (csid - 64) as u8]),
            csid => {
                let [low, high, ..] = (csid - 64).to_le_bytes();
                out.extend_from_slice(&[fmt | 1, low, high]);
            }
        }
    }
}

/// A fmt 0, 1 or 2 message header with its extended timestamp. What the format leaves out is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fields {
    /// Absolute for fmt 0, else a delta; already the extended one if `extended`.
    pub(super) time: u32,
    /// Whether `time` came from the extended field.
    pub(super) extended: bool,
    /// Length and type id: fmt 0 and 1.
    pub(super) body: Option<(u32, u8)>,
    /// Message stream: fmt 0.
    pub(super) stream: Option<u32>,
    /// Bytes read.
    pub(super) len: usize,
}

impl Fields {
    /// Parses what follows the basic header. `None`: more bytes are needed.
    pub(super) fn parse(fmt: u8, bytes: &[u8]) -> Option<Self> {
        let &[t0, t1, t2, ref rest @ ..] = bytes else {
            return None;
        };
        let mut len = 3;
        let mut rest = rest;
        let mut body = None;
        let mut stream = None;
        if fmt < 2 {
            let &[l0, l1, l2, type_id, ref more @ ..] = rest else {
                return None;
            };
            body = Some((u32::from_be_bytes([0, l0, l1, l2]), type_id));
            rest = more;
            len += 4;
        }
        if fmt == 0 {
            let (&le, more) = rest.split_first_chunk()?;
            stream = Some(u32::from_le_bytes(le));
            rest = more;
            len += 4;
        }
        let mut time = u32::from_be_bytes([0, t0, t1, t2]);
        let extended = time == EXTENDED;
        if extended {
            time = u32::from_be_bytes(*rest.first_chunk()?);
            len += 4;
        }
        Some(Self {
            time,
            extended,
            body,
            stream,
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(bytes: &[u8]) -> Option<(u8, u32, usize)> {
        Basic::parse(bytes).map(|b| (b.fmt, b.csid, b.len))
    }

    #[test]
    fn csid_in_all_three_forms() {
        assert_eq!(basic(&[0x02]), Some((0, 2, 1)));
        assert_eq!(basic(&[0xFF]), Some((3, 63, 1)));
        assert_eq!(basic(&[0x00, 0x00]), Some((0, 64, 2)));
        assert_eq!(basic(&[0x00, 0xFF]), Some((0, 319, 2)));
        assert_eq!(basic(&[0x01, 0x00, 0x01]), Some((0, 320, 3)));
        assert_eq!(basic(&[0x41, 0xFF, 0xFF]), Some((1, 65_599, 3)));
        // Not the shortest form, and still 64.
        assert_eq!(basic(&[0x81, 0x00, 0x00]), Some((2, 64, 3)));
    }

    #[test]
    fn csid_needs_its_bytes() {
        assert_eq!(basic(&[]), None);
        assert_eq!(basic(&[0x00]), None);
        assert_eq!(basic(&[0x01, 0x05]), None);
    }

    #[test]
    fn every_csid_round_trips_in_the_shortest_form() {
        for csid in 2..=CSID_MAX {
            let mut out = Vec::new();
            Basic::write(&mut out, 1, csid);
            let len = match csid {
                2..64 => 1,
                64..320 => 2,
                _ => 3,
            };
            assert_eq!(basic(&out), Some((1, csid, len)));
        }
    }

    #[test]
    fn fields_of_each_format() {
        let bytes = [0, 0, 0x1A, 0, 0, 0x9D, 8, 1, 0, 0, 0];
        let fields = Fields::parse(0, &bytes).unwrap();
        assert_eq!(fields.time, 26);
        assert_eq!(fields.body, Some((157, 8)));
        assert_eq!(fields.stream, Some(1));
        assert_eq!(fields.len, 11);
        let fields = Fields::parse(1, &bytes).unwrap();
        assert_eq!((fields.body, fields.stream), (Some((157, 8)), None));
        assert_eq!(fields.len, 7);
        let fields = Fields::parse(2, &bytes).unwrap();
        assert_eq!((fields.body, fields.len), (None, 3));
        for (fmt, need) in [(0, 11), (1, 7), (2, 3)] {
            assert_eq!(Fields::parse(fmt, &bytes[..need - 1]), None);
        }
    }

    #[test]
    fn extended_timestamp_of_each_format() {
        let bytes = [0xFF, 0xFF, 0xFF, 0, 0, 0xC8, 9, 1, 0, 0, 0, 1, 0, 0, 0];
        let fields = Fields::parse(0, &bytes).unwrap();
        assert!(fields.extended);
        assert_eq!((fields.time, fields.len), (0x0100_0000, 15));
        assert_eq!(Fields::parse(0, &bytes[..14]), None);
        let fields = Fields::parse(2, &[0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0xFF]).unwrap();
        assert_eq!((fields.time, fields.len), (0x00FF_FFFF, 7));
        // One less stands for itself.
        let fields = Fields::parse(2, &[0xFF, 0xFF, 0xFE]).unwrap();
        assert_eq!(
            (fields.time, fields.extended, fields.len),
            (0x00FF_FFFE, false, 3)
        );
    }
}
