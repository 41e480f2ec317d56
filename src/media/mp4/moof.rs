//! Reading a fragment's description (ISO/IEC 14496-12 §8.8): which samples there are, and where.

use core::ops::Range;

use super::boxes::{Fields, child, children};
use super::error::Mp4Error;
use super::fragment::{COMPOSITION, DATA_OFFSET, DURATION, FIRST_FLAGS, FLAGS, SIZE};
use super::survey::Ends;
use crate::limits;

/// The user type of `tfxd`, with which Smooth Streaming says when a fragment begins ([MS-SSTR] §2.2.4.4).
const TFXD: [u8; 16] = *b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";

/// What `trex` says holds for samples where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// Where a sample lies, and when it is due; times in the track's units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) time: u64,
    pub(super) duration: u32,
    pub(super) shown_after: i32,
    pub(super) is_sync: bool,
}

/// The samples of one track in a fragment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Its place among the tracks that `defaults` knows.
    pub(super) track: usize,
    /// It says itself when it begins.
    pub(super) is_timed: bool,
    pub(super) samples: Vec<Sample>,
}

/// When a track's part of a fragment begins.
#[derive(Clone, Copy, Debug)]
enum Begin {
    /// When its first sample is decoded.
    Decoded(u64),
    /// When its first sample is shown.
    Shown(u64),
}

/// Reads the body of a `moof` that begins at `moof` in the file, its body at `body_at`. `defaults`: the tracks that are
/// wanted, by their ids, in the file's order. `ends`: where their samples end so far; those of this fragment follow there
/// if it does not say when it begins, which §8.8.12 leaves open.
pub(super) fn runs(
    body: &[u8],
    moof: u64,
    body_at: u64,
    defaults: &[(u32, Defaults)],
    ends: &mut Ends,
) -> Result<Vec<Run>, Mp4Error> {
    let mut runs = Vec::new();
    let mut left = limits::MP4_MOOF_SAMPLES;
    let mut data_end = moof;
    for found in children(body, 0..body.len(), body_at) {
        let (kind, range) = found?;
        if kind != *b"traf" {
            continue;
        }
        let wrong = |what| Mp4Error::Malformed {
            offset: body_at + range.start as u64,
            kind,
            what,
        };
        let header = child(body, range.clone(), *b"tfhd").and_then(|tfhd| body.get(tfhd));
        let mut header = header
            .and_then(|tfhd| header_of(tfhd, moof, data_end, defaults))
            .ok_or(wrong("no track header (tfhd)"))?;
        let mut samples = Vec::new();
        for found in children(body, range.clone(), body_at) {
            let (kind, range) = found?;
            if kind == *b"trun" {
                let fields = Fields::new(body.get(range).unwrap_or_default());
                run(fields, &mut header, &mut left, &mut samples)
                    .ok_or(wrong("a list of samples (trun) that ends within itself"))?;
                if left == 0 {
                    return Err(Mp4Error::TooMany {
                        offset: moof,
                        what: "samples in one fragment",
                        limit: limits::MP4_MOOF_SAMPLES as u64,
                    });
                }
            }
        }
        data_end = header.data;
        let Some(track) = header.track else {
            continue;
        };
        let said = begin(body, range.clone());
        let end = ends
            .get_mut(track)
            .ok_or(wrong("a track of another file"))?;
        let begin = said.or(end.map(Begin::Decoded));
        let begin = begin.ok_or(wrong("no time of decoding (tfdt), and nothing before it"))?;
        let time = set_times(&mut samples, begin);
        *end = Some(header.time.saturating_add(time));
        let is_timed = said.is_some();
        runs.push(Run {
            track,
            is_timed,
            samples,
        });
    }
    Ok(runs)
}

/// The number of a fragment (`mfhd`), of the body of its `moof`.
pub(super) fn sequence(body: &[u8]) -> Option<u32> {
    let mfhd = child(body, 0..body.len(), *b"mfhd")?;
    let mut fields = Fields::new(body.get(mfhd)?);
    fields.full()?;
    fields.u32()
}

/// Moves samples that were counted from 0 to where they begin; returns by how much.
fn set_times(samples: &mut [Sample], begin: Begin) -> u64 {
    let (time, sooner) = match begin {
        Begin::Decoded(time) => (time, 0),
        // As if it were decoded then, and all shown that much sooner.
        Begin::Shown(time) => (time, samples.first().map_or(0, |it| it.shown_after)),
    };
    for sample in samples {
        sample.time = sample.time.saturating_add(time);
        sample.shown_after = sample.shown_after.saturating_sub(sooner);
    }
    time
}

/// When the `traf` at this place says that it begins: with `tfdt`; otherwise with Smooth Streaming's `tfxd`, which is the
/// time its first sample is shown, as FFmpeg writes it.
fn begin(body: &[u8], range: Range<usize>) -> Option<Begin> {
    let mut shown = None;
    for (kind, range) in children(body, range, 0).map_while(Result::ok) {
        let mut fields = Fields::new(body.get(range).unwrap_or_default());
        if kind == *b"uuid" && fields.array() != Some(TFXD) || ![*b"tfdt", *b"uuid"].contains(&kind)
        {
            continue;
        }
        let Some(time) = fields.full().and_then(|(version, _)| fields.sized(version)) else {
            continue;
        };
        if kind == *b"tfdt" {
            return Some(Begin::Decoded(time));
        }
        shown = Some(Begin::Shown(time));
    }
    shown
}

struct Header {
    track: Option<usize>,
    defaults: Defaults,
    base: u64,
    /// Where the next sample lies if nothing else is said.
    data: u64,
    /// Of the next sample, from the first one on.
    time: u64,
}

fn header_of(tfhd: &[u8], moof: u64, data_end: u64, tracks: &[(u32, Defaults)]) -> Option<Header> {
    let mut fields = Fields::new(tfhd);
    let (_, flags) = fields.full()?;
    let id = fields.u32()?;
    let track = tracks.iter().position(|(of, _)| *of == id);
    let mut defaults = track
        .and_then(|at| tracks.get(at))
        .map_or_else(Defaults::default, |t| t.1);
    let base = match flags {
        flags if flags & 1 != 0 => fields.u64()?,
        flags if flags & 0x02_0000 != 0 => moof,
        _ => data_end,
    };
    if flags & 2 != 0 {
        fields.u32()?; // sample_description_index
    }
    for (flag, value) in [
        (0x08, &mut defaults.duration),
        (0x10, &mut defaults.size),
        (0x20, &mut defaults.flags),
    ] {
        if flags & flag != 0 {
            *value = fields.u32()?;
        }
    }
    Some(Header {
        track,
        defaults,
        base,
        data: base,
        time: 0,
    })
}

/// Appends the samples of a `trun`, as far as `left` of them go.
fn run(
    mut fields: Fields<'_>,
    header: &mut Header,
    left: &mut usize,
    samples: &mut Vec<Sample>,
) -> Option<()> {
    let (version, flags) = fields.full()?;
    let count = fields.u32()?;
    if flags & DATA_OFFSET != 0 {
        let offset = fields.u32()? as i32;
        header.data = header.base.saturating_add_signed(offset.into());
    }
    let mut first_flags = None;
    if flags & FIRST_FLAGS != 0 {
        first_flags = Some(fields.u32()?);
    }
    for _ in 0..count {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return Some(());
        }
        let mut field = |flag, default| match flags & flag {
            0 => Some(default),
            _ => fields.u32(),
        };
        let defaults = header.defaults;
        let duration = field(DURATION, defaults.duration)?;
        let size = field(SIZE, defaults.size)?;
        let is = field(FLAGS, first_flags.take().unwrap_or(defaults.flags))?;
        let shown_after = field(COMPOSITION, 0)?;
        samples.push(Sample {
            offset: header.data,
            size,
            time: header.time,
            duration,
            shown_after: match version {
                0 => i32::try_from(shown_after).unwrap_or(i32::MAX),
                _ => shown_after as i32,
            },
            is_sync: is & 0x0001_0000 == 0,
        });
        header.data = header.data.saturating_add(size.into());
        header.time = header.time.saturating_add(duration.into());
    }
    Some(())
}
