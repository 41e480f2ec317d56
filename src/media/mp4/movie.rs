//! The boxes at the beginning of a file that is written: `ftyp`, and `moov` without samples, as fragments follow.

use super::boxes::Kind;
use super::build::{boxed, full, u16, u32, u64, zeros};
use super::entry::Entry;

/// Units of time of every track: RTMP's milliseconds, so that nothing is rounded.
pub(super) const TIMESCALE: u32 = 1_000;
/// `und`: not determined.
const LANGUAGE: u16 = 0x55C4;
/// Sample flags (ISO/IEC 14496-12 §8.8.3.1): it depends on no other; it depends on others and is no sync sample.
pub(super) const SYNC: u32 = 0x0200_0000;
pub(super) const NO_SYNC: u32 = 0x0101_0000;

/// A duration that is filled in when the file is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Of 64 bits, in the file.
    pub(super) offset: u64,
    /// Whose: the track at this place among the tracks; none: the whole file's.
    pub(super) track: Option<usize>,
}

/// What a file begins with.
pub(super) fn file_type(out: &mut Vec<u8>) {
    boxed(out, *b"ftyp", |out| {
        out.extend(b"iso6");
        u32(out, 0x200);
        out.extend(b"iso6iso5isommp41");
    });
}

/// Appends `moov`, which lies at `base` in the file, for tracks 1, 2, 3 …; returns where the durations stand.
pub(super) fn movie(out: &mut Vec<u8>, base: u64, entries: &[&Entry]) -> Vec<Place> {
    let start = out.len();
    let mut places = Vec::new();
    let place = |out: &Vec<u8>, track| Place {
        offset: base + (out.len() - start) as u64,
        track,
    };
    boxed(out, *b"moov", |out| {
        full(out, *b"mvhd", 1, 0, |out| {
            zeros(out, 16);
            u32(out, TIMESCALE);
            places.push(place(out, None));
            u64(out, 0);
            u32(out, 0x0001_0000); // rate
            u16(out, 0x0100); // volume
            zeros(out, 10);
            matrix(out);
            zeros(out, 24);
            u32(out, entries.len() as u32 + 1); // next_track_ID
        });
        for (at, entry) in entries.iter().enumerate() {
            boxed(out, *b"trak", |out| {
                header(out, at, entry, |out| places.push(place(out, Some(at))));
                boxed(out, *b"mdia", |out| {
                    full(out, *b"mdhd", 1, 0, |out| {
                        zeros(out, 16);
                        u32(out, TIMESCALE);
                        places.push(place(out, Some(at)));
                        u64(out, 0);
                        u16(out, LANGUAGE);
                        zeros(out, 2);
                    });
                    media(out, entry);
                });
            });
        }
        boxed(out, *b"mvex", |out| {
            full(out, *b"mehd", 1, 0, |out| {
                places.push(place(out, None));
                u64(out, 0);
            });
            for (at, entry) in entries.iter().enumerate() {
                full(out, *b"trex", 0, 0, |out| {
                    u32(out, at as u32 + 1);
                    u32(out, 1); // the only sample entry
                    zeros(out, 8);
                    u32(out, if entry.is_video() { NO_SYNC } else { SYNC });
                });
            }
        });
    });
    places
}

fn matrix(out: &mut Vec<u8>) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        u32(out, value);
    }
}

fn header(out: &mut Vec<u8>, at: usize, entry: &Entry, duration: impl FnOnce(&Vec<u8>)) {
    const ENABLED_IN_MOVIE: u32 = 3;
    full(out, *b"tkhd", 1, ENABLED_IN_MOVIE, |out| {
        zeros(out, 16);
        u32(out, at as u32 + 1);
        zeros(out, 4);
        duration(out);
        u64(out, 0);
        zeros(out, 10);
        u16(out, u16::from(!entry.is_video())); // alternate_group: of sound tracks one is heard
        u16(out, if entry.is_video() { 0 } else { 0x0100 }); // volume
        zeros(out, 2);
        matrix(out);
        let (width, height) = entry.size();
        u32(out, u32::from(width) << 16);
        u32(out, u32::from(height) << 16);
    });
}

fn media(out: &mut Vec<u8>, entry: &Entry) {
    let (handler, name) = match entry.is_video() {
        true => (*b"vide", b"VideoHandler\0"),
        false => (*b"soun", b"SoundHandler\0"),
    };
    full(out, *b"hdlr", 0, 0, |out| {
        zeros(out, 4);
        out.extend(handler);
        zeros(out, 12);
        out.extend(name);
    });
    boxed(out, *b"minf", |out| {
        if entry.is_video() {
            full(out, *b"vmhd", 0, 1, |out| zeros(out, 8));
        } else {
            full(out, *b"smhd", 0, 0, |out| zeros(out, 4));
        }
        boxed(out, *b"dinf", |out| {
            full(out, *b"dref", 0, 0, |out| {
                u32(out, 1);
                full(out, *b"url ", 0, 1, |_| {});
            });
        });
        boxed(out, *b"stbl", |out| {
            full(out, *b"stsd", 0, 0, |out| {
                u32(out, 1);
                entry.write(out);
            });
            // No samples here: they are in the fragments.
            for (kind, bytes) in [(*b"stts", 4), (*b"stsc", 4), (*b"stsz", 8), (*b"stco", 4)] {
                let kind: Kind = kind;
                full(out, kind, 0, 0, |out| zeros(out, bytes));
            }
        });
    });
}
