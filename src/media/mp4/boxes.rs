//! Reading boxes (ISO/IEC 14496-12 §4.2): headers, children, fields. Nothing here recurses, and nothing is reserved for
//! what a box only claims to hold.

use core::ops::Range;

use super::error::Mp4Error;

/// A box's type.
pub(super) type Kind = [u8; 4];

/// Bytes of the longest box header: size, type, and a size of 64 bits.
pub(super) const HEADER_MAX: usize = 16;
/// Bytes of the short one.
pub(super) const HEADER: usize = 8;

/// A box's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Its type.
    pub(super) kind: Kind,
    /// Bytes of the header: 8 or 16.
    pub(super) header: u64,
    /// Bytes of the whole box; none: it reaches to the end of the file.
    pub(super) size: Option<u64>,
}

impl Head {
    /// The header that `bytes` begins with, which lies at `offset` in the file; none: `bytes` ends within it.
    pub(super) fn parse(bytes: &[u8], offset: u64) -> Result<Option<Self>, Mp4Error> {
        let mut fields = Fields::new(bytes);
        let (Some(short), Some(kind)) = (fields.u32(), fields.array()) else {
            return Ok(None);
        };
        let (header, size) = match short {
            0 => (8, None),
            1 => match fields.u64() {
                Some(long) => (16, Some(long)),
                None => return Ok(None),
            },
            short => (8, Some(u64::from(short))),
        };
        if size.is_some_and(|size| size < header) {
            let size = size.unwrap_or_default();
            return Err(Mp4Error::BoxSize { offset, kind, size });
        }
        let head = Self { kind, header, size };
        Ok(Some(head))
    }
}

/// The boxes that `bytes[range]` consists of: the type and the place of the body of each, in order.
///
/// Up to three zero bytes at the end (QuickTime ends some lists with a zero size) are passed over.
pub(super) fn children(
    bytes: &[u8],
    range: Range<usize>,
    base: u64,
) -> impl Iterator<Item = Result<(Kind, Range<usize>), Mp4Error>> + '_ {
    let mut at = range.start;
    let end = range.end.min(bytes.len());
    core::iter::from_fn(move || {
        let rest = bytes.get(at..end)?;
        if rest.len() < HEADER {
            return None;
        }
        let offset = base + at as u64;
        let head = match Head::parse(rest, offset) {
            Ok(Some(head)) => head,
            Ok(None) => return None,
            Err(error) => {
                at = end;
                return Some(Err(error));
            }
        };
        let size = head.size.unwrap_or(rest.len() as u64);
        if size > rest.len() as u64 {
            at = end;
            let kind = head.kind;
            return Some(Err(Mp4Error::BoxSize { offset, kind, size }));
        }
        let body = at + head.header as usize..at + size as usize;
        at = body.end;
        Some(Ok((head.kind, body)))
    })
}

/// The first child of type `kind`, if there is one before anything that cannot be read.
pub(super) fn child(bytes: &[u8], range: Range<usize>, kind: Kind) -> Option<Range<usize>> {
    children(bytes, range, 0)
        .map_while(Result::ok)
        .find(|(found, _)| *found == kind)
        .map(|(_, body)| body)
}

/// Big-endian fields from front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self) -> Option<u32> {
        let [a, b, c] = self.array()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Version and flags of a full box.
    pub(super) fn full(&mut self) -> Option<(u8, u32)> {
        Some((self.u8()?, self.u24()?))
    }

    /// 32 bits in version 0 of a box, 64 in version 1.
    pub(super) fn sized(&mut self, version: u8) -> Option<u64> {
        match version {
            0 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Vec<Result<(Kind, Range<usize>), Mp4Error>> {
        children(bytes, 0..bytes.len(), 100).collect()
    }

    #[test]
    fn short_long_and_endless_boxes() {
        let bytes = [
            b"\0\0\0\x09free!".as_slice(),
            b"\0\0\0\x01wide\0\0\0\0\0\0\0\x11?",
            b"\0\0\0\0mdatrest",
        ]
        .concat();
        let expected = [(*b"free", 8..9), (*b"wide", 25..26), (*b"mdat", 34..38)];
        assert_eq!(kinds(&bytes), expected.map(Ok));
        assert_eq!(child(&bytes, 0..bytes.len(), *b"mdat"), Some(34..38));
        assert_eq!(child(&bytes, 0..bytes.len(), *b"moov"), None);
    }

    #[test]
    fn sizes_that_cannot_be() {
        let error = |offset, kind: &Kind, size| {
            let kind = *kind;
            Some(Err(Mp4Error::BoxSize { offset, kind, size }))
        };
        let too_long = kinds(b"\0\0\0\x08free\0\0\0\x09trak");
        assert_eq!(too_long.last().cloned(), error(108, b"trak", 9));
        let too_short = kinds(b"\0\0\0\x07trak\0\0\0\x08free");
        assert_eq!(too_short.last().cloned(), error(100, b"trak", 7));
        let long = kinds(b"\0\0\0\x01trak\0\0\0\0\0\0\0\x0f");
        assert_eq!(long.last().cloned(), error(100, b"trak", 15));
        let huge = kinds(b"\0\0\0\x01trak\xff\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(huge.last().cloned(), error(100, b"trak", u64::MAX));
        assert_eq!(kinds(b"\0\0\0"), []);
    }
}
