//! A track that is being written: what its header says, and the samples of the fragment that is not written yet.

use super::entry::{Coding, Entry};
use super::sound;
use crate::media::frame::codec::Codec;

/// One sample of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sample {
    /// When it is decoded, milliseconds since the file's beginning.
    pub(super) time: u64,
    /// Until the next one; of the newest not known yet.
    pub(super) duration: u32,
    pub(super) size: u32,
    /// Milliseconds from decoding to presentation.
    pub(super) shown_after: i32,
    pub(super) is_sync: bool,
}

/// A track of the file.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) coding: Coding,
    header: Vec<u8>,
    /// Known as soon as the header, and for some codecs a frame, came.
    pub(super) entry: Option<Entry>,
    /// Those of the fragment that is not written yet, and their bytes.
    pub(super) samples: Vec<Sample>,
    pub(super) data: Vec<u8>,
    /// The time of the newest sample, in the file or not.
    newest: Option<u64>,
    /// The last duration that was known.
    duration: u32,
    /// Composition time of its first sync sample.
    pub(super) delay: i32,
}

impl Track {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            header: Vec::new(),
            entry: None,
            samples: Vec::new(),
            data: Vec::new(),
            newest: None,
            duration: 0,
            delay: 0,
        }
    }

    /// Whether a header brings nothing new. FFmpeg ends FLAC with a header that has the length and the checksum of what was
    /// sent: it decodes the same.
    pub(super) fn has_header(&self, codec: Codec, header: &[u8]) -> bool {
        let format = |header| sound::flac_stream_info(header).and_then(sound::of_flac);
        Coding::of(codec) == Some(self.coding)
            && match self.coding {
                Coding::Flac if self.entry.is_some() => format(&self.header) == format(header),
                _ => self.header == header,
            }
    }

    /// Whether nothing depends on its header yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.newest.is_none()
    }

    /// Takes a header, or a frame for those codecs that have none.
    pub(super) fn set_header(&mut self, header: &[u8]) {
        self.header = header.to_vec();
        self.entry = Entry::new(self.coding, header, &[]);
    }

    /// Whether a frame can be taken: looks at it if the header did not say enough.
    pub(super) fn is_ready_with(&self, frame: &[u8]) -> Option<Entry> {
        Entry::new(self.coding, &self.header, frame)
    }

    /// Takes the place behind the bytes that were appended to `data`. `time` must not lie before the newest sample's: MP4
    /// cannot say so. Where a clock stepped back, the sample is decoded later and shown when it should be.
    pub(super) fn push(&mut self, time: u64, size: u32, shown_after: i32, is_sync: bool) {
        let decoded = time.max(self.newest.unwrap_or(0));
        let late = i32::try_from(decoded - time).unwrap_or(i32::MAX);
        if self.newest.is_none() {
            self.delay = shown_after;
        }
        self.next_is_at(decoded);
        self.newest = Some(decoded);
        self.samples.push(Sample {
            time: decoded,
            duration: self.duration,
            size,
            shown_after: shown_after.saturating_sub(late),
            is_sync,
        });
    }

    /// The newest sample lasts until `time`.
    pub(super) fn next_is_at(&mut self, time: u64) {
        let Some(newest) = self.newest else { return };
        self.duration = u32::try_from(time.saturating_sub(newest)).unwrap_or(u32::MAX);
        if let Some(last) = self.samples.last_mut() {
            last.duration = self.duration;
        }
    }

    /// Where its last sample ends, as far as that is known; none if there was none.
    pub(super) fn end(&self) -> Option<u64> {
        Some(self.newest? + u64::from(self.duration))
    }

    /// The fragment was written.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.data.clear();
        // A keyframe of megabytes must not hold its memory for as long as the stream lasts.
        self.data.shrink_to(crate::limits::MP4_FRAGMENT_KEPT_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_from_the_next_sample_and_a_clock_that_steps_back_keeps_the_picture_in_time() {
        let mut track = Track::new(Coding::Avc);
        for (time, shown_after) in [(10, 80), (50, 40), (40, 40), (90, 0)] {
            track.push(time, 1, shown_after, false);
        }
        let times: Vec<_> = track.samples.iter().map(|s| (s.time, s.duration)).collect();
        assert_eq!(times, [(10, 40), (50, 0), (50, 40), (90, 40)]);
        assert_eq!(track.samples[2].shown_after, 30);
        assert_eq!(
            track.end(),
            Some(130),
            "the last is taken to be as long as the one before"
        );
        track.clear();
        track.push(140, 1, 0, true);
        assert_eq!((track.samples[0].duration, track.delay), (50, 80));
    }
}
