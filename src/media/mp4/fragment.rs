//! A fragment as it is written: `moof`, then `mdat` with the bytes of one track behind those of the other; and at the end
//! of the file `mfra`, which says where fragments are that one can begin at.

use super::build::{boxed, full, set_u32, u32, u64};
use super::movie::{NO_SYNC, SYNC};
use super::track::{Sample, Track};
use crate::media::file::{Sync, SyncIndex};
use crate::planted::{Bug, planted};

/// Flags of `tfhd`: places are counted from the beginning of `moof`.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// Flags of `trun` (ISO/IEC 14496-12 §8.8.8).
pub(super) const DATA_OFFSET: u32 = 0x001;
pub(super) const FIRST_FLAGS: u32 = 0x004;
pub(super) const DURATION: u32 = 0x100;
pub(super) const SIZE: u32 = 0x200;
pub(super) const FLAGS: u32 = 0x400;
pub(super) const COMPOSITION: u32 = 0x800;

/// Bytes at the end of each fragment's `mdat`, in no sample: the fragment's number. A write that was torn by a power loss
/// lacks them, though the next one may be there: its samples are zeros in part, and nothing else says so.
pub(super) const SEAL: u64 = 4;

/// Appends a fragment of the tracks' samples: tracks by their ids in the file.
pub(super) fn fragment<'a>(
    out: &mut Vec<u8>,
    sequence: u32,
    tracks: impl Iterator<Item = (u32, &'a Track)> + Clone,
) {
    let start = out.len();
    let tracks = tracks.filter(|(_, track)| !track.samples.is_empty());
    let mut places = Vec::new();
    boxed(out, *b"moof", |out| {
        full(out, *b"mfhd", 0, 0, |out| u32(out, sequence));
        for (id, track) in tracks.clone() {
            boxed(out, *b"traf", |out| {
                full(out, *b"tfhd", 0, BASE_IS_MOOF, |out| u32(out, id));
                full(out, *b"tfdt", 1, 0, |out| {
                    u64(out, track.samples.first().map_or(0, |first| first.time));
                });
                run(out, track, &mut places);
            });
        }
    });
    let mut offset = out.len() - start + 8;
    for (place, (_, track)) in places.into_iter().zip(tracks.clone()) {
        set_u32(out, place, offset as u32);
        offset += track.data.len();
    }
    boxed(out, *b"mdat", |out| {
        for (_, track) in tracks {
            out.extend(&track.data);
        }
        u32(out, sequence);
    });
}

/// `trun`: all samples of the track. Notes where its data offset stands.
fn run(out: &mut Vec<u8>, track: &Track, places: &mut Vec<usize>) {
    let has_composition = |sample: &Sample| sample.shown_after != 0;
    let is_video = track.coding.is_video();
    let mut flags = DATA_OFFSET | DURATION | SIZE;
    if is_video {
        flags |= FLAGS;
    }
    let with_composition =
        track.samples.iter().any(has_composition) && !planted(Bug::CompositionLost);
    if with_composition {
        flags |= COMPOSITION;
    }
    // Version 1: composition times may be negative.
    full(out, *b"trun", 1, flags, |out| {
        u32(out, track.samples.len() as u32);
        places.push(out.len());
        u32(out, 0);
        for sample in &track.samples {
            u32(out, sample.duration);
            u32(out, sample.size);
            if is_video {
                u32(out, if sample.is_sync { SYNC } else { NO_SYNC });
            }
            if with_composition {
                u32(out, sample.shown_after as u32);
            }
        }
    });
}

/// Appends `mfra`: where the track `id` has sync samples that begin a fragment. `delay`: what their presentation times lie
/// behind the times in `index`.
pub(super) fn index(out: &mut Vec<u8>, id: u32, delay: i32, index: &SyncIndex) {
    let start = out.len();
    boxed(out, *b"mfra", |out| {
        full(out, *b"tfra", 1, 0, |out| {
            u32(out, id);
            u32(out, 0); // numbers of one byte each
            u32(out, index.entries().len() as u32);
            for Sync { time, offset } in index.entries() {
                u64(out, time.saturating_add_signed(delay.into()));
                u64(out, *offset);
                out.extend([1, 1, 1]); // first track fragment, first run, first sample
            }
        });
        full(out, *b"mfro", 0, 0, |out| u32(out, 0));
    });
    let (size, place) = ((out.len() - start) as u32, out.len().saturating_sub(4));
    set_u32(out, place, size);
}
