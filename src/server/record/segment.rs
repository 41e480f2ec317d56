//! What becomes of a stream's frames in a file: their time, and where the file ends.

use crate::config::{AppSettings, Container};
use crate::limits;
use crate::media::file::{Muxer, Patch, Pushed};
use crate::media::flv::FlvWriter;
use crate::media::frame::{Frame, FrameKind};
use crate::media::mp4::Mp4Writer;
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::{Duration, Timestamp};

/// A stream's time without a wrap: milliseconds, 0 at the first message that was recorded. The stream's own clock is 32
/// bits wide and goes around in 49 days.
#[derive(Default)]
pub(super) struct LongTime {
    last: Option<Timestamp>,
    now: i64,
    /// The newest sound and picture.
    newest: [Option<i64>; 2],
}

impl LongTime {
    /// The time of `message`.
    pub(super) fn of(&mut self, message: &WireMessage) -> i64 {
        let stamp = message.timestamp();
        let since = self.last.map_or(0, |last| stamp.since(last));
        self.now = self.now.saturating_add(i64::from(since));
        self.last = Some(stamp);
        self.now
    }

    /// `message` of the time `time` was recorded.
    fn note(&mut self, message: &WireMessage, time: i64) {
        match message.kind() {
            MediaKind::Audio => self.newest[0] = Some(time),
            MediaKind::Video => self.newest[1] = Some(time),
            MediaKind::Data => {}
        }
    }

    /// Where a file begins whose first message has the time `time`: sound that follows may belong before the picture
    /// that it begins with, and no time in a file is less than zero.
    fn zero(&self, message: &WireMessage, time: i64) -> i64 {
        let other = match message.kind() {
            MediaKind::Audio => self.newest[1],
            MediaKind::Video | MediaKind::Data => self.newest[0],
        };
        let near = other.filter(|other| (0..=1_000).contains(&(time - other)));
        near.unwrap_or(time)
    }
}

/// Keyframes that even a short file's index has room for.
const KEYFRAMES_MIN: usize = 64;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It is in the file.
    Yes,
    /// The file's format has no place for it.
    LeftOut,
    /// It belongs to the next file.
    Cut,
}

/// One file, as far as its content goes.
pub(super) struct Segment {
    muxer: Box<dyn Muxer>,
    zero: i64,
    /// What its first message has for a time, milliseconds.
    pub(super) lead: i64,
    /// Bytes made so far.
    pub(super) bytes: u64,
    frames: u64,
    length: Option<i64>,
    most_bytes: u64,
}

/// Room for a keyframe a second is enough for a file whose length is known.
fn keyframes(settings: &AppSettings) -> usize {
    match usize::try_from(settings.segment_time.as_secs()) {
        Ok(seconds @ 1..) => seconds.clamp(KEYFRAMES_MIN, limits::RECORD_KEYFRAMES),
        _ => limits::RECORD_KEYFRAMES,
    }
}

fn muxer(settings: &AppSettings, container: Container) -> Box<dyn Muxer> {
    match container {
        Container::Mp4 => Box::new(Mp4Writer::new()),
        Container::Flv => Box::new(FlvWriter::new(keyframes(settings))),
    }
}

impl Segment {
    /// A file that begins with `first`; its beginning goes to `out`.
    pub(super) fn begin(
        settings: &AppSettings,
        container: Container,
        prelude: &[WireMessage],
        first: &WireMessage,
        clock: &mut LongTime,
        out: &mut Vec<u8>,
    ) -> Self {
        let time = clock.of(first);
        let whole = settings.segment_time;
        let zero = clock.zero(first, time);
        let mut segment = Self {
            muxer: muxer(settings, container),
            zero,
            lead: time - zero,
            bytes: 0,
            frames: 0,
            length: (!whole.is_zero())
                .then(|| i64::try_from(whole.as_millis()).unwrap_or(i64::MAX)),
            most_bytes: settings.segment_bytes,
        };
        let before = out.len();
        segment.muxer.begin(prelude, out);
        segment.bytes += (out.len() - before) as u64;
        segment
    }

    /// Takes a frame, unless the file ends before it.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        has_video: bool,
        clock: &mut LongTime,
        out: &mut Vec<u8>,
    ) -> Taken {
        let time = clock.of(&frame.message);
        if self.frames > 0 && self.ends_before(frame.kind, time, has_video) {
            return Taken::Cut;
        }
        let within = u64::try_from(time - self.zero).unwrap_or(0);
        let before = out.len();
        let pushed = self.muxer.push(&frame.message, within, out);
        self.bytes += (out.len() - before) as u64;
        match pushed {
            Pushed::NewSegment if self.frames > 0 => return Taken::Cut,
            Pushed::NewSegment | Pushed::LeftOut => return Taken::LeftOut,
            Pushed::Taken => {}
        }
        clock.note(&frame.message, time);
        // A header alone is nothing to keep a file for.
        self.frames += u64::from(frame.kind != FrameKind::Header);
        Taken::Yes
    }

    fn ends_before(&self, kind: FrameKind, time: i64, has_video: bool) -> bool {
        let can = match kind {
            FrameKind::Keyframe => true,
            FrameKind::Audio => !has_video,
            _ => false,
        };
        let long = self.length.is_some_and(|length| time - self.zero >= length);
        let large = self.most_bytes > 0 && self.bytes >= self.most_bytes;
        can && (long || large)
    }

    /// Everything taken is in `out`.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        self.muxer.flush(out);
        self.bytes += (out.len() - before) as u64;
    }

    /// The file is complete.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Vec<Patch> {
        let before = out.len();
        let patches = self.muxer.finish(out);
        self.bytes += (out.len() - before) as u64;
        patches
    }

    /// Whether it holds nothing of the stream: its format had no place for any of it.
    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// How long it is.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.muxer.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recorder begins a file with what comes behind the headers: should its format have no place for that, and a header
    /// be all that follows, there is nothing in it.
    #[test]
    fn a_file_that_holds_a_header_alone_is_empty() {
        const UNKNOWN: &[u8] = b"\x9Cnew!abc";
        const AUDIO_CONFIG: &[u8] = b"\xAF\x00\x12\x10";
        for (container, holds) in [(Container::Flv, true), (Container::Mp4, false)] {
            let (mut clock, mut out) = (LongTime::default(), Vec::new());
            let message = |kind, payload| WireMessage::new(kind, Timestamp(0), payload, 128);
            let first = message(MediaKind::Video, UNKNOWN);
            let settings = AppSettings::default();
            let mut segment =
                Segment::begin(&settings, container, &[], &first, &mut clock, &mut out);
            for (kind, message) in [
                (FrameKind::Other, first),
                (FrameKind::Header, message(MediaKind::Audio, AUDIO_CONFIG)),
            ] {
                let frame = Frame { kind, message };
                segment.take(&frame, true, &mut clock, &mut out);
            }
            assert_eq!(segment.is_empty(), !holds, "{container:?}");
        }
    }
}
