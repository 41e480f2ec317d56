//! How a file lies: its header, and a tag's.

use super::FlvError;
use crate::limits;
use crate::media::frame::Payload;
use crate::media::frame::classify::{Class, classify};
use crate::rtmp::message;
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

/// Bytes of the file header (annex E.2), as far as version 1 knows it.
pub(super) const FILE_HEADER: usize = 9;
/// Bytes of a tag header (annex E.4.1).
pub(super) const TAG_HEADER: usize = 11;
/// Bytes of the field PreviousTagSize (annex E.3).
pub(super) const TRAILER: usize = 4;
/// The bit of a tag's type that says that it is encrypted (annex E.4.1, "Filter").
const FILTER: u8 = 0x20;

/// A tag's header. `kind` is none for reserved types, whose tags are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) kind: Option<MediaKind>,
    /// Bytes of the body.
    pub(super) length: u32,
    pub(super) timestamp: Timestamp,
    /// "Always 0" (annex E.4.1); some foreign writers do not know.
    pub(super) stream: u32,
}

impl Head {
    /// Reads a header of 11 bytes; the tag begins at byte `offset` of the file.
    pub(super) fn read(held: &[u8], offset: u64) -> Result<Self, FlvError> {
        let &[tag, l0, l1, l2, t1, t2, t3, t0, s0, s1, s2, ..] = held else {
            return Err(FlvError::Truncated { offset });
        };
        if tag & FILTER != 0 {
            return Err(FlvError::Encrypted { offset });
        }
        let got = u32::from_be_bytes([0, l0, l1, l2]);
        if got > limits::MESSAGE_BYTES {
            return Err(FlvError::TagTooLong { offset, got });
        }
        let kind = match tag & 0x1F {
            message::AUDIO => Some(MediaKind::Audio),
            message::VIDEO => Some(MediaKind::Video),
            message::DATA_AMF0 => Some(MediaKind::Data),
            _ => None,
        };
        Ok(Self {
            kind,
            length: got,
            timestamp: Timestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            stream: u32::from_be_bytes([0, s0, s1, s2]),
        })
    }

    /// As [`Head::read`], where anything may stand: none unless it is one that a sane writer has written.
    pub(super) fn guess(held: &[u8]) -> Option<Self> {
        let head = Self::read(held, 0).ok()?;
        (head.kind.is_some() && head.stream == 0).then_some(head)
    }

    /// Where the body of a tag that begins at `offset` ends.
    pub(super) fn body_end(&self, offset: u64) -> u64 {
        offset + TAG_HEADER as u64 + u64::from(self.length)
    }

    /// Bytes of the body that tell what it is.
    pub(super) fn glance(&self) -> usize {
        limits::FLV_GLANCE.min(self.length as usize)
    }
}

/// Appends a tag. `payload`: at most [`limits::MESSAGE_BYTES`] in all.
pub(super) fn write<'a>(
    kind: MediaKind,
    time: u32,
    length: usize,
    payload: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) {
    let [_, l0, l1, l2] = (length as u32).to_be_bytes();
    let [t0, t1, t2, t3] = time.to_be_bytes();
    out.reserve(TAG_HEADER + length + TRAILER);
    out.extend_from_slice(&[kind.type_id(), l0, l1, l2, t1, t2, t3, t0, 0, 0, 0]);
    for slice in payload {
        out.extend_from_slice(slice);
    }
    out.extend_from_slice(&((TAG_HEADER + length) as u32).to_be_bytes());
}

/// Bytes of the whole file header, by its first nine.
pub(super) fn file_header(held: &[u8]) -> Result<usize, FlvError> {
    let &[f, l, v, version, _, d0, d1, d2, d3, ..] = held else {
        return Err(FlvError::Truncated { offset: 0 });
    };
    if [f, l, v] != *b"FLV" {
        return Err(FlvError::NotFlv([f, l, v]));
    }
    if version != 1 {
        return Err(FlvError::Version { got: version });
    }
    let got = u32::from_be_bytes([d0, d1, d2, d3]);
    if !(FILE_HEADER as u32..=limits::FLV_HEADER_BYTES).contains(&got) {
        return Err(FlvError::HeaderLength { got });
    }
    Ok(got as usize)
}

/// Whether PreviousTagSize is what the specification says.
pub(super) fn trailer_is_true(length: u32, got: u32) -> bool {
    got == length + TAG_HEADER as u32
}

/// Some writers leave PreviousTagSize 0, or count the body alone; anything else means that one of the two is no tag.
pub(super) fn check_trailer(length: u32, got: u32, offset: u64) -> Result<(), FlvError> {
    if trailer_is_true(length, got) || [length, 0].contains(&got) {
        return Ok(());
    }
    Err(FlvError::PreviousTagSize {
        offset,
        expected: length + TAG_HEADER as u32,
        got,
    })
}

/// The beginning of a payload, with the size of all of it: enough to tell what it is.
pub(super) struct Glance<'a> {
    pub(super) head: &'a [u8],
    pub(super) size: usize,
}

impl Payload for Glance<'_> {
    fn size(&self) -> usize {
        self.size
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.head.read(at)
    }
}

/// What a tag is, by the first [`limits::FLV_GLANCE`] bytes of its body. Of several tracks those that begin there: the
/// writer, the repair and the reader all look at no more, so that they agree.
pub(super) fn class_of(kind: Option<MediaKind>, head: &[u8], size: usize) -> Class {
    let head = head.get(..limits::FLV_GLANCE).unwrap_or(head);
    kind.map_or(Class::Other, |kind| classify(kind, &Glance { head, size }))
}
