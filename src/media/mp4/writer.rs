//! [`Mp4Writer`].

use std::collections::BTreeMap;

use super::entry::Coding;
use super::fragment;
use super::movie::{self, Place};
use super::parts::{Part, body, parts};
use super::track::Track;
use crate::limits;
use crate::media::file::{Muxer, Patch, Pushed, Sync, SyncIndex};
use crate::media::frame::codec::Codec;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::{MediaKind, WireMessage};

/// Which track of the stream: whether it is sound (so that video comes first), and its id in Enhanced RTMP.
type Key = (bool, u8);

/// Writes fragmented MP4: playable from its first fragment on, whatever happens to the rest.
///
/// A fragment begins at each keyframe of the leading video track, and once a second at the latest. `moov` is written with
/// the first of them: by then it is known which tracks there are. What comes later, or comes with another configuration,
/// needs a new file.
#[derive(Debug)]
pub struct Mp4Writer {
    tracks: BTreeMap<Key, Track>,
    /// The tracks of `moov`, in their order; empty before it is written.
    written: Vec<Key>,
    places: Vec<Place>,
    sequence: u32,
    /// Bytes of the file.
    offset: u64,
    /// Time of the first sample of the fragment that is not written yet.
    began: Option<u64>,
    /// Bytes and samples of it.
    held: usize,
    samples: usize,
    index: SyncIndex,
    scratch: Vec<u8>,
}

impl Default for Mp4Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mp4Writer {
    /// A writer at the beginning of a file.
    pub fn new() -> Self {
        Self {
            tracks: BTreeMap::new(),
            written: Vec::new(),
            places: Vec::new(),
            sequence: 0,
            offset: 0,
            began: None,
            held: 0,
            samples: 0,
            index: SyncIndex::new(limits::MP4_INDEX_ENTRIES),
            scratch: Vec::new(),
        }
    }

    /// Whether a track of this codec has a place in MP4; of any other, every message is left out.
    pub fn has_place_for(codec: Codec) -> bool {
        Coding::of(codec).is_some()
    }

    /// What is to become of a part, before anything is taken.
    fn judge(&mut self, key: Key, part: &Part, message: &WireMessage) -> Pushed {
        let Some(coding) = Coding::of(part.codec) else {
            return Pushed::LeftOut;
        };
        let is_closed = !self.written.is_empty();
        // Nearly every message is one of these, and is not looked at.
        if let Some(track) = self.tracks.get(&key)
            && (track.coding, part.is_header) == (coding, false)
            && track.entry.is_some()
            && (self.written.contains(&key) || !is_closed)
        {
            let is_empty = part.body.is_empty();
            return if is_empty {
                Pushed::LeftOut
            } else {
                Pushed::Taken
            };
        }
        self.scratch.clear();
        body(message, &part.body, &mut self.scratch);
        let Some(track) = self.tracks.get(&key) else {
            return match is_closed {
                false if self.tracks.len() < limits::MP4_TRACKS => Pushed::Taken,
                false => Pushed::LeftOut,
                // A frame of a track that no header announced says nothing, unless its codec needs none.
                true if part.is_header
                    || Track::new(coding).is_ready_with(&self.scratch).is_some() =>
                {
                    Pushed::NewSegment
                }
                true => Pushed::LeftOut,
            };
        };
        let is_bound = !track.is_fresh() || self.written.contains(&key);
        if part.is_header {
            let is_known = track.has_header(part.codec, &self.scratch);
            return match is_known {
                false if is_bound || is_closed => Pushed::NewSegment,
                _ => Pushed::Taken,
            };
        }
        if self.scratch.is_empty() {
            return Pushed::LeftOut;
        }
        if coding != track.coding && is_bound {
            return Pushed::NewSegment;
        }
        let is_ready = match track.entry {
            Some(_) => true,
            None => track.is_ready_with(&self.scratch).is_some(),
        };
        match is_ready {
            true if is_closed && !self.written.contains(&key) => Pushed::NewSegment,
            true => Pushed::Taken,
            false => Pushed::LeftOut,
        }
    }

    /// Takes a part that was judged. False: the frame does not say what its track is.
    fn take(&mut self, key: Key, part: &Part, message: &WireMessage, time: u64) -> bool {
        let Some(coding) = Coding::of(part.codec) else {
            return false;
        };
        let track = self.tracks.entry(key).or_insert_with(|| Track::new(coding));
        if track.coding != coding {
            *track = Track::new(coding);
        }
        if part.is_header {
            self.scratch.clear();
            body(message, &part.body, &mut self.scratch);
            if !track.has_header(part.codec, &self.scratch) || track.entry.is_none() {
                track.set_header(&self.scratch);
            }
            return true;
        }
        let before = track.data.len();
        body(message, &part.body, &mut track.data);
        let frame = track.data.get(before..).unwrap_or_default();
        if track.entry.is_none() {
            let entry = track.is_ready_with(frame);
            track.entry = entry;
        }
        if track.entry.is_none() {
            track.data.truncate(before);
            return false;
        }
        let size = frame.len();
        track.push(time, size as u32, part.shown_after, part.is_sync);
        self.held += size;
        self.samples += 1;
        self.began = self.began.or(Some(time));
        true
    }

    /// The track whose keyframes begin fragments: the first of video, or of sound if there is no video.
    fn leading(&self) -> Option<Key> {
        let ready = |(_, track): &(&Key, &Track)| track.entry.is_some();
        self.tracks.iter().find(ready).map(|(key, _)| *key)
    }

    /// Whether a fragment ends before these parts.
    fn ends_before(&self, parts: &[Part], is_sound: bool, size: usize, time: u64) -> bool {
        let Some(began) = self.began else {
            return false;
        };
        let span = time.saturating_sub(began);
        if span >= limits::MP4_FRAGMENT_MS
            || self.held + size > limits::MP4_FRAGMENT_BYTES
            || self.samples + parts.len() > limits::MP4_FRAGMENT_SAMPLES_WRITTEN
        {
            return true;
        }
        let Some(leading) = self.leading() else {
            return false;
        };
        let is_key = |part: &Part| part.is_sync && (is_sound, part.track) == leading;
        if leading.0 || !parts.iter().any(is_key) {
            return false;
        }
        // A fragment that has a keyframe begins with it: there a viewer is sent. Streams of keyframes alone have a few in
        // one.
        let first = self.tracks.get(&leading).and_then(|t| t.samples.first());
        first.is_some_and(|first| !first.is_sync || span >= limits::MP4_FRAGMENT_KEY_MS)
    }

    fn write_fragment(&mut self, out: &mut Vec<u8>) {
        if self.samples == 0 {
            return;
        }
        let start = out.len();
        if self.written.is_empty() {
            self.write_movie(out);
        }
        let moof = self.offset + (out.len() - start) as u64;
        let first = self.written.first().and_then(|key| self.tracks.get(key));
        if let Some(sample) = first.and_then(|track| track.samples.first())
            && sample.is_sync
        {
            self.index.push(Sync {
                time: sample.time,
                offset: moof,
            });
        }
        if planted(Bug::FragmentLosesSample) {
            let first = self
                .written
                .first()
                .and_then(|key| self.tracks.get_mut(key));
            first.and_then(|track| track.samples.pop());
        }
        let of_file = self.written.iter().zip(1..);
        let of_file = of_file.filter_map(|(key, id)| Some((id, self.tracks.get(key)?)));
        self.sequence = self.sequence.wrapping_add(1);
        fragment::fragment(out, self.sequence, of_file);
        self.offset += (out.len() - start) as u64;
        self.tracks.values_mut().for_each(Track::clear);
        (self.held, self.samples, self.began) = (0, 0, None);
    }

    fn write_movie(&mut self, out: &mut Vec<u8>) {
        let ready = |(key, track): (&Key, &Track)| track.entry.is_some().then_some(*key);
        self.written = self.tracks.iter().filter_map(ready).collect();
        let entries = self
            .tracks
            .values()
            .filter_map(|track| track.entry.as_ref());
        let entries: Vec<_> = entries.collect();
        self.places = movie::movie(out, self.offset, &entries);
    }
}

impl Muxer for Mp4Writer {
    fn begin(&mut self, prelude: &[WireMessage], out: &mut Vec<u8>) {
        let before = out.len();
        movie::file_type(out);
        self.offset += (out.len() - before) as u64;
        for message in prelude {
            for part in parts(message).iter().filter(|part| part.is_header) {
                let key = (message.kind() == MediaKind::Audio, part.track);
                if self.judge(key, part, message) == Pushed::Taken {
                    self.take(key, part, message, 0);
                }
            }
        }
    }

    fn push(&mut self, message: &WireMessage, time: u64, out: &mut Vec<u8>) -> Pushed {
        let is_sound = message.kind() == MediaKind::Audio;
        let parts = parts(message);
        let mut verdict = Pushed::LeftOut;
        for part in &parts {
            match self.judge((is_sound, part.track), part, message) {
                Pushed::NewSegment => return Pushed::NewSegment,
                Pushed::Taken => verdict = Pushed::Taken,
                Pushed::LeftOut => {}
            }
        }
        if verdict == Pushed::LeftOut {
            return verdict;
        }
        let frames = parts.iter().filter(|part| !part.is_header).count();
        if frames > 0 && self.ends_before(&parts, is_sound, message.payload_len(), time) {
            for part in &parts {
                if let Some(track) = self.tracks.get_mut(&(is_sound, part.track)) {
                    track.next_is_at(time);
                }
            }
            self.write_fragment(out);
        }
        let mut taken = false;
        for part in &parts {
            let key = (is_sound, part.track);
            if self.judge(key, part, message) == Pushed::Taken {
                taken |= self.take(key, part, message, time);
            }
        }
        if taken {
            Pushed::Taken
        } else {
            Pushed::LeftOut
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        self.write_fragment(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Vec<Patch> {
        self.write_fragment(out);
        let Some(first) = self.written.first().and_then(|key| self.tracks.get(key)) else {
            return Vec::new();
        };
        let before = out.len();
        fragment::index(out, 1, first.delay, &self.index);
        self.offset += (out.len() - before) as u64;
        let all = self.duration();
        let end = |key: &Key| self.tracks.get(key).and_then(Track::end);
        let patch = |place: &Place| {
            let track = place.track.map(|at| self.written.get(at).and_then(end));
            Patch {
                offset: place.offset,
                bytes: track
                    .map_or(all, Option::unwrap_or_default)
                    .to_be_bytes()
                    .into(),
            }
        };
        self.places.iter().map(patch).collect()
    }

    fn index(&self) -> &SyncIndex {
        &self.index
    }

    fn duration(&self) -> u64 {
        let ends = self.tracks.values().filter_map(Track::end);
        ends.max().unwrap_or(0)
    }
}
