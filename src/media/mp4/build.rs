//! Writing boxes: their sizes are filled in once they are known.

use super::boxes::Kind;

/// Appends a box to `out`, with what `body` appends as its body.
pub(super) fn boxed(out: &mut Vec<u8>, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    body(out);
    let size = (out.len() - start) as u32;
    set_u32(out, start, size);
}

/// Appends a full box: with version and flags.
pub(super) fn full(
    out: &mut Vec<u8>,
    kind: Kind,
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        u32(out, u32::from(version) << 24 | flags);
        body(out);
    });
}

/// Writes `value` over the four bytes at `at`, if they are there.
pub(super) fn set_u32(out: &mut [u8], at: usize, value: u32) {
    let place = out.get_mut(at..).and_then(|out| out.first_chunk_mut());
    if let Some(place) = place {
        *place = value.to_be_bytes();
    }
}

pub(super) fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}

pub(super) fn u32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_be_bytes());
}

pub(super) fn u64(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_be_bytes());
}

pub(super) fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}
