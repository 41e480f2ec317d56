//! A track of a file, and what it sends over RTMP.

use core::ops::Range;

use bytes::Bytes;

use super::boxes::{Fields, Kind, child, children};
use super::config::{Config, config};
use super::entry::Coding;
use super::error::Mp4Error;
use super::moof::{Defaults, Sample};
use super::survey::Ends;
use super::table::Table;
use crate::limits;
use crate::media::frame::codec::FourCc;
use crate::rtmp::amf::amf0::{self, Value};
use crate::rtmp::wire::MediaKind;

/// A track that RTMP can carry.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: u32,
    pub(super) defaults: Defaults,
    pub(super) config: Config,
    pub(super) table: Table,
    timescale: u64,
    /// What edit lists add to the times of its samples, in its own units.
    shift: i64,
    /// Its id in Enhanced RTMP.
    number: u8,
    pub(super) duration: u64,
}

/// What `moov` says.
#[derive(Debug, Default)]
pub(super) struct Movie {
    /// Video first.
    pub(super) sources: Vec<Source>,
    /// Milliseconds, or 0.
    pub(super) duration: u64,
    /// The samples are in fragments.
    pub(super) is_fragmented: bool,
    /// Where durations of 64 bits stand that a recorder fills in: of the file, or of the track with this id.
    pub(super) places: Vec<(u64, Option<u32>)>,
    /// What is added to all times: edits may move a track's first picture before the beginning.
    base: i64,
}

impl Movie {
    /// Makes all times positive.
    pub(super) fn set_base(&mut self) {
        let early = self.sources.iter().map(|source| -source.due(0));
        self.base = early.fold(0, i64::max);
    }

    /// What fragments are read with: the tracks by their ids.
    pub(super) fn known(&self) -> Vec<(u32, Defaults)> {
        let known = self.sources.iter().map(|s| (s.id, s.defaults));
        known.collect()
    }

    /// Whether there are samples in tables, too: before the fragments, if there are any.
    pub(super) fn has_tables(&self) -> bool {
        self.sources.iter().any(|source| source.table.samples > 0)
    }

    /// Where the tracks end before the first fragment. `bytes`: the body of `moov`.
    pub(super) fn begin(&self, bytes: &[u8]) -> Ends {
        let ends = self.sources.iter().map(|source| source.table.end(bytes));
        ends.map(|end| Some(end.unwrap_or(0))).collect()
    }

    /// In the middle of a file nothing is known of what came before.
    pub(super) fn unknown(&self) -> Ends {
        self.sources.iter().map(|_| None).collect()
    }

    /// The milliseconds of the file at which a source's own `time` is due.
    pub(super) fn due(&self, source: usize, time: u64) -> u64 {
        let due = self
            .sources
            .get(source)
            .map_or(0, |source| source.due(time));
        u64::try_from(due + self.base).unwrap_or(0)
    }

    /// A time in units of `timescale` in those of a source; none: there is no such timescale, or source.
    pub(super) fn own_units(&self, source: usize, time: u64, timescale: u32) -> Option<u64> {
        let own = u128::from(self.sources.get(source)?.timescale);
        let time = (u128::from(time) * own).checked_div(timescale.into())?;
        u64::try_from(time).ok()
    }

    /// The last time of a source's own that is due at or before `due`.
    pub(super) fn own_time(&self, source: &Source, due: u64) -> u64 {
        source.own_time(i64::try_from(due).unwrap_or(i64::MAX / 2) - self.base)
    }

    /// `onMetaData` for a viewer.
    pub(super) fn metadata(&self, duration: Option<u64>) -> Bytes {
        let mut properties = Vec::new();
        let mut set = |name: &str, value| properties.push((name.to_owned(), value));
        if let Some(duration) = duration {
            set("duration", Value::Number(duration as f64 / 1_000.0));
        }
        let first = |video| {
            let is = move |source: &&Source| source.config.coding.is_video() == video;
            self.sources.iter().find(is)
        };
        if let Some(video) = first(true) {
            let (width, height) = video.config.size;
            set("width", Value::Number(width.into()));
            set("height", Value::Number(height.into()));
            set("videocodecid", Value::Number(video.codec_id().into()));
        }
        if let Some(sound) = first(false) {
            let (rate, channels) = sound.config.sound;
            set("audiocodecid", Value::Number(sound.codec_id().into()));
            set("audiosamplerate", Value::Number(rate.into()));
            set("stereo", Value::Boolean(channels > 1));
        }
        let values = [Value::string("onMetaData"), Value::EcmaArray(properties)];
        amf0::encode_all(&values).into()
    }
}

/// Reads the body of `moov`, which lies at `base` in the file.
pub(super) fn movie(bytes: &[u8], base: u64) -> Result<Movie, Mp4Error> {
    let mut movie = Movie::default();
    let mut found = String::new();
    let mut timescale = 0;
    let whole = 0..bytes.len();
    let extends = child(bytes, whole.clone(), *b"mvex");
    movie.is_fragmented = extends.is_some();
    let mut tracks = 0;
    for next in children(bytes, whole, base) {
        let (kind, range) = next?;
        match &kind {
            b"mvhd" => {
                let (scale, duration, place) = timed(bytes, range, 16, 8).unwrap_or_default();
                timescale = scale;
                movie.duration = milliseconds(duration.into(), scale.into()) as u64;
                movie
                    .places
                    .extend(place.map(|at| (base + at as u64, None)));
            }
            b"trak" => {
                tracks += 1;
                if tracks > limits::MP4_TRACKS {
                    return Err(Mp4Error::TooMany {
                        offset: base + range.start as u64,
                        what: "tracks",
                        limit: limits::MP4_TRACKS as u64,
                    });
                }
                track(bytes, range, base, timescale, &mut movie, &mut found)?;
            }
            _ => {}
        }
    }
    if let Some(extends) = extends {
        fragmented(bytes, extends, base, timescale, &mut movie);
    }
    if movie.sources.is_empty() {
        return Err(Mp4Error::NoTrack { found });
    }
    movie
        .sources
        .sort_by_key(|source| !source.config.coding.is_video());
    let (mut video, mut sound) = (0, 0);
    for source in &mut movie.sources {
        let next = if source.config.coding.is_video() {
            &mut video
        } else {
            &mut sound
        };
        source.number = *next;
        *next += 1;
    }
    movie.base = movie
        .sources
        .iter()
        .map(|source| -source.due(0))
        .fold(0, i64::max);
    Ok(movie)
}

/// Timescale and duration of `mvhd` and `mdhd`, and where the duration stands if it has 64 bits.
fn timed(
    bytes: &[u8],
    range: Range<usize>,
    long: usize,
    short: usize,
) -> Option<(u32, u64, Option<usize>)> {
    let mut fields = Fields::new(bytes.get(range.clone())?);
    let (version, _) = fields.full()?;
    fields.skip(if version == 0 { short } else { long })?;
    let scale = fields.u32()?;
    let place = (version > 0).then_some(range.start + 4 + long + 4);
    let duration = fields.sized(version)?;
    let unknown = [u64::MAX, u64::from(u32::MAX)].contains(&duration);
    Some((scale, if unknown { 0 } else { duration }, place))
}

fn fragmented(bytes: &[u8], range: Range<usize>, base: u64, timescale: u32, movie: &mut Movie) {
    for (kind, range) in children(bytes, range, base).map_while(Result::ok) {
        let mut fields = Fields::new(bytes.get(range.clone()).unwrap_or_default());
        let Some((version, _)) = fields.full() else {
            continue;
        };
        if kind == *b"mehd" {
            let duration = fields.sized(version).unwrap_or(0);
            let duration = milliseconds(duration.into(), timescale.into()) as u64;
            movie.duration = movie.duration.max(duration);
            if version > 0 {
                movie.places.push((base + range.start as u64 + 4, None));
            }
        }
        if kind == *b"trex" {
            let mut next = || fields.u32().unwrap_or(0);
            let (id, _) = (next(), next());
            let defaults = Defaults {
                duration: next(),
                size: next(),
                flags: next(),
            };
            for source in movie.sources.iter_mut().filter(|source| source.id == id) {
                source.defaults = defaults;
            }
        }
    }
}

/// Takes a `trak` if RTMP can carry it; otherwise notes what it is.
fn track(
    bytes: &[u8],
    range: Range<usize>,
    base: u64,
    movie_scale: u32,
    movie: &mut Movie,
    found: &mut String,
) -> Result<(), Mp4Error> {
    let wrong = |what| Mp4Error::Malformed {
        offset: base + range.start as u64,
        kind: *b"trak",
        what,
    };
    let inner = |range: &Range<usize>, kind: Kind| child(bytes, range.clone(), kind);
    let tkhd = inner(&range, *b"tkhd").ok_or(wrong("no track header (tkhd)"))?;
    let (id, place) = header(bytes, tkhd).ok_or(wrong("a track header (tkhd) that is cut off"))?;
    let mdia = inner(&range, *b"mdia").ok_or(wrong("no media (mdia)"))?;
    let mdhd = inner(&mdia, *b"mdhd").ok_or(wrong("no media header (mdhd)"))?;
    let (timescale, duration, media_place) =
        timed(bytes, mdhd, 16, 8).ok_or(wrong("a media header (mdhd) that is cut off"))?;
    let places = [place, media_place].into_iter().flatten();
    let places = places.map(|at| (base + at as u64, Some(id)));
    movie.places.extend(places);
    let stbl = inner(&mdia, *b"minf").and_then(|minf| inner(&minf, *b"stbl"));
    let Some((stbl, stsd)) = stbl.and_then(|stbl| {
        let stsd = inner(&stbl, *b"stsd")?;
        Some((stbl, stsd))
    }) else {
        return Ok(()); // neither sound nor pictures
    };
    let entries = children(bytes, stsd.start.saturating_add(8)..stsd.end, base);
    let mut configured = None;
    for (kind, range) in entries.map_while(Result::ok).take(limits::MP4_TRACKS) {
        configured = configured.or_else(|| config(bytes, range, kind));
        if configured.is_none() && found.len() < limits::NAME_BYTES {
            let comma = if found.is_empty() { "" } else { ", " };
            found.push_str(&format!("{comma}{}", kind.escape_ascii()));
        }
    }
    let Some(config) = configured else {
        return Ok(());
    };
    if timescale == 0 {
        return Err(wrong("a timescale of 0"));
    }
    let edits = inner(&range, *b"edts").and_then(|edts| inner(&edts, *b"elst"));
    let shift = edits.and_then(|elst| edited(bytes.get(elst)?, movie_scale, timescale));
    let table = Table::new(bytes, stbl).ok_or(wrong("a sample table is missing or cut off"))?;
    movie.sources.push(Source {
        id,
        defaults: Defaults::default(),
        config,
        table,
        timescale: timescale.into(),
        shift: shift.unwrap_or(0),
        number: 0,
        duration: milliseconds(duration.into(), timescale.into()) as u64,
    });
    Ok(())
}

/// The id in `tkhd`, and where its duration stands if it has 64 bits.
fn header(bytes: &[u8], range: Range<usize>) -> Option<(u32, Option<usize>)> {
    let mut fields = Fields::new(bytes.get(range.clone())?);
    let (version, _) = fields.full()?;
    fields.skip(if version == 0 { 8 } else { 16 })?;
    let id = fields.u32()?;
    fields.skip(4)?;
    fields.sized(version)?;
    Some((id, (version > 0).then_some(range.start + 28)))
}

/// What an edit list adds to times (§8.6.6): empty edits at its beginning delay the track, and the first other one says
/// which time of the media comes first. What follows cannot be played over RTMP without decoding.
fn edited(elst: &[u8], movie_scale: u32, timescale: u32) -> Option<i64> {
    let mut fields = Fields::new(elst);
    let (version, _) = fields.full()?;
    let mut empty = 0u64;
    for _ in 0..fields.u32()?.min(limits::MP4_EDITS) {
        let duration = fields.sized(version)?;
        let media = match version {
            0 => i64::from(fields.u32()? as i32),
            _ => fields.u64()? as i64,
        };
        fields.skip(4)?;
        if media >= 0 {
            let delay = i128::from(empty) * i128::from(timescale) / i128::from(movie_scale.max(1));
            return i64::try_from(delay).ok()?.checked_sub(media);
        }
        empty = empty.saturating_add(duration);
    }
    None
}

/// Rounded to the nearest.
fn milliseconds(time: i128, timescale: i128) -> i64 {
    let timescale = timescale.max(1);
    let rounded = (time * 2_000 + timescale).div_euclid(2 * timescale);
    rounded.clamp(0 - (1 << 60), 1 << 60) as i64
}

impl Source {
    pub(super) fn kind(&self) -> MediaKind {
        match self.config.coding.is_video() {
            true => MediaKind::Video,
            false => MediaKind::Audio,
        }
    }

    /// When something at `time` of its own is due, milliseconds of the file; before the shift that makes all positive.
    pub(super) fn due(&self, time: u64) -> i64 {
        milliseconds(i128::from(time) + self.decoded(), self.timescale.into())
    }

    /// What is added to times of decoding.
    fn decoded(&self) -> i128 {
        i128::from(self.shift) - i128::from(self.table.late)
    }

    /// The last time of its own that is due at or before `due`.
    pub(super) fn own_time(&self, due: i64) -> u64 {
        // Half a millisecond more, less a unit: what is rounded down to it counts.
        let halves = i128::from(due) * 2 + 1;
        let time = (halves * i128::from(self.timescale) - 1).div_euclid(2_000);
        u64::try_from((time - self.decoded()).max(0)).unwrap_or(u64::MAX)
    }

    fn composition(&self, sample: &Sample) -> i32 {
        let shown = i128::from(sample.time) + i128::from(sample.shown_after);
        let shown = milliseconds(shown + i128::from(self.shift), self.timescale.into());
        let after = shown - self.due(sample.time);
        after.clamp(-0x80_0000, 0x7F_FFFF) as i32
    }

    /// As `onMetaData` says it.
    fn codec_id(&self) -> u32 {
        match (self.config.coding, self.number) {
            (Coding::Avc, 0) => 7,
            (Coding::Aac, 0) => 10,
            (Coding::Mp3, 0) => 2,
            _ => u32::from_be_bytes(self.four_cc().0),
        }
    }

    fn four_cc(&self) -> FourCc {
        match self.config.coding {
            Coding::Avc => FourCc::AVC,
            Coding::Hevc => FourCc::HEVC,
            Coding::Av1 => FourCc::AV1,
            Coding::Vp9 => FourCc::VP9,
            Coding::Aac => FourCc::AAC,
            Coding::Opus => FourCc::OPUS,
            Coding::Mp3 => FourCc::MP3,
            Coding::Flac => FourCc::FLAC,
            Coding::Ac3 => FourCc::AC3,
            Coding::Eac3 => FourCc::EAC3,
        }
    }

    /// The first bytes of a message: packet type and FourCC, and for a further track its id.
    fn head(&self, frame_type: u8, packet_type: u8, out: &mut Vec<u8>) {
        const VIDEO_MULTITRACK: u8 = 6;
        const AUDIO_MULTITRACK: u8 = 5;
        let (first, multitrack) = match self.kind() {
            MediaKind::Video => (0x80 | frame_type << 4, VIDEO_MULTITRACK),
            _ => (0x90, AUDIO_MULTITRACK),
        };
        if self.number == 0 {
            out.push(first | packet_type);
            out.extend(self.four_cc().0);
        } else {
            out.extend([first | multitrack, packet_type]); // one track
            out.extend(self.four_cc().0);
            out.push(self.number);
        }
    }

    /// The sequence header; none for codecs that have none. First tracks of old codecs in FLV's own form: every player
    /// knows it.
    pub(super) fn header(&self) -> Option<Bytes> {
        let mut out = Vec::new();
        match (self.config.coding, self.number) {
            (Coding::Avc, 0) => out.extend([0x17, 0, 0, 0, 0]),
            (Coding::Aac, 0) => out.extend([0xAF, 0]),
            (Coding::Mp3, _) => return None,
            _ => self.head(1, 0, &mut out),
        }
        out.extend(&self.config.header);
        Some(out.into())
    }

    /// What stands before a sample's bytes in its message.
    pub(super) fn before(&self, sample: &Sample, out: &mut Vec<u8>) {
        let frame_type = if sample.is_sync { 1 } else { 2 };
        let composition = self.composition(sample);
        let [_, c0, c1, c2] = composition.to_be_bytes();
        match (self.config.coding, self.number) {
            (Coding::Avc, 0) => out.extend([frame_type << 4 | 7, 1, c0, c1, c2]),
            (Coding::Avc | Coding::Hevc, _) if composition != 0 => {
                self.head(frame_type, 1, out);
                out.extend([c0, c1, c2]);
            }
            (Coding::Avc | Coding::Hevc, _) => self.head(frame_type, 3, out),
            (Coding::Aac, 0) => out.extend([0xAF, 1]),
            (Coding::Mp3, 0) => {
                let (rate, channels) = self.config.sound;
                let rate = match rate {
                    0..=11_025 => 1,
                    11_026..=22_050 => 2,
                    _ => 3,
                };
                out.push(0x22 | rate << 2 | u8::from(channels > 1));
            }
            _ => self.head(frame_type, 1, out),
        }
    }
}
