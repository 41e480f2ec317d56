//! What a publisher sends, and when.

use serde::{Deserialize, Serialize};

use crate::clock::SECOND;

/// Chunk size that publishers announce: every message is one chunk.
pub(crate) const CHUNK_SIZE: u32 = 4 << 20;
/// Bytes before the payload: a format 0 header.
pub(crate) const HEADER: usize = 12;

const VIDEO: u8 = 9;
const AUDIO: u8 = 8;
/// Payload bytes of an audio message: AAC at 120 kbit/s.
const AUDIO_BYTES: usize = 350;
/// A keyframe is so many times as large as another frame.
const KEYFRAME: usize = 6;
/// Seconds from keyframe to keyframe.
const GOP_SECONDS: usize = 2;

/// The pace of one publisher.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// Bits a second, payloads of video and audio.
    pub(crate) bits: u64,
    /// Video messages a second.
    pub(crate) video: u64,
    /// Audio messages a second.
    pub(crate) audio: u64,
}

impl Pace {
    /// 30 video and 43 audio messages a second.
    pub(crate) const fn of(bits: u64) -> Self {
        Self {
            bits,
            video: 30,
            audio: 43,
        }
    }
}

/// One publisher's messages, in order.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    /// Payload bytes of a frame that is no keyframe.
    frame: usize,
    videos: u64,
    audios: u64,
    headers: u8,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// When it is due, nanoseconds from the schedule's start.
    pub(crate) due: u64,
    video: bool,
    /// Sequence header.
    header: bool,
    key: bool,
    bytes: usize,
}

impl Schedule {
    pub(crate) fn new(pace: Pace) -> Self {
        let group = pace.bits as usize / 8 * GOP_SECONDS;
        let audio = pace.audio as usize * GOP_SECONDS * AUDIO_BYTES;
        let shares = pace.video as usize * GOP_SECONDS + KEYFRAME - 1;
        Self {
            pace,
            frame: (group.saturating_sub(audio) / shares).max(64),
            videos: 0,
            audios: 0,
            headers: 0,
        }
    }

    /// The next message; two sequence headers come first.
    pub(crate) fn peek(&self) -> Message {
        if self.headers < 2 {
            return Message {
                due: 0,
                video: self.headers == 0,
                header: true,
                key: self.headers == 0,
                bytes: 48,
            };
        }
        let video = self.videos * SECOND / self.pace.video;
        // Between two frames, as nothing makes an encoder send both at once.
        let audio = (self.audios * 2 + 1) * SECOND / (self.pace.audio * 2);
        if video <= audio {
            let key = self
                .videos
                .is_multiple_of(self.pace.video * GOP_SECONDS as u64);
            Message {
                due: video,
                video: true,
                header: false,
                key,
                bytes: self.frame * if key { KEYFRAME } else { 1 },
            }
        } else {
            Message {
                due: audio,
                video: false,
                header: false,
                key: false,
                bytes: AUDIO_BYTES,
            }
        }
    }

    /// Goes on to the message behind the next.
    pub(crate) fn advance(&mut self) {
        let next = self.peek();
        match next {
            Message { header: true, .. } => self.headers += 1,
            Message { video: true, .. } => self.videos += 1,
            _ => self.audios += 1,
        }
    }
}

impl Message {
    /// Appends the message in one chunk on message stream `stream`; `stamp` goes into the payload. `filler` is at least
    /// as long as the longest payload.
    pub(crate) fn write(&self, to: &mut Vec<u8>, stream: u32, stamp: u64, filler: &[u8]) {
        let (csid, type_id) = if self.video { (6, VIDEO) } else { (4, AUDIO) };
        let millis = (self.due / 1_000_000) as u32;
        let [_, t0, t1, t2] = millis.to_be_bytes();
        let [_, l0, l1, l2] = (self.bytes as u32).to_be_bytes();
        to.extend_from_slice(&[csid, t0, t1, t2, l0, l1, l2, type_id]);
        to.extend_from_slice(&stream.to_le_bytes());
        let begin = to.len();
        if self.video {
            let frame = if self.key { 0x17 } else { 0x27 };
            to.extend_from_slice(&[frame, u8::from(!self.header), 0, 0, 0]);
            to.extend_from_slice(&(self.bytes as u32 - 9).to_be_bytes());
        } else {
            to.extend_from_slice(&[0xAF, u8::from(!self.header)]);
        }
        to.extend_from_slice(&stamp.to_be_bytes());
        let rest = self.bytes - (to.len() - begin);
        to.extend_from_slice(filler.get(..rest).unwrap_or(filler));
    }

    /// Payload bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The stamp in a payload, and whether it is video that is no sequence header.
pub(crate) fn stamp(payload: &[u8], video: bool) -> Option<(u64, bool)> {
    let at = if video { 9 } else { 2 };
    let stamp = payload.get(at..at + 8)?.try_into().ok()?;
    let frame = video && payload.get(1) == Some(&1);
    Some((u64::from_be_bytes(stamp), frame))
}

/// Whether a raw chunk (header and payload) begins a group of pictures.
pub(crate) fn is_keyframe(chunk: &[u8]) -> bool {
    chunk.get(7) == Some(&VIDEO) && matches!(chunk.get(HEADER..HEADER + 2), Some([0x17, 1]))
}
