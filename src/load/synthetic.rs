//! The built-in stream: grey H.264 and silent AAC that decoders take, filled up to a bitrate.
//!
//! 320×180 at 30 pictures a second, a keyframe every 2 s: an IDR picture whose macroblocks are all predicted grey, then
//! pictures that skip all of theirs. Filler data (NAL unit type 12, H.264 §7.3.2.7) brings them to their size, keyframes
//! to eight times that of the others.

use bytes::Bytes;

use super::clip::{Clip, ClipError};
use crate::media::flv::FlvTag;
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Macroblocks of 16×16, the last row cropped.
const COLUMNS: u32 = WIDTH / 16;
const ROWS: u32 = HEIGHT.div_ceil(16);
const PICTURES_PER_SECOND: u32 = 30;
const GOP: u32 = 2 * PICTURES_PER_SECOND;
/// After 8 s pictures and sound (375 frames of 1,024 samples at 48 kHz) end together.
const SECONDS: u32 = 8;
const SAMPLE_RATE: u32 = 48_000;
const SAMPLES: u32 = 1_024;
/// What a keyframe is worth in other pictures.
const KEY_WEIGHT: u64 = 8;
/// AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 §1.6.2.1).
const AUDIO_CONFIG: &[u8] = &[0xAF, 0, 0x11, 0x90];
/// A frame of silence in stereo.
const SILENCE: &[u8] = &[
    0xAF, 1, 0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80,
];

/// The built-in stream at `kbits` kbit/s, sound included.
///
/// # Errors
/// None: its clocks are in order.
pub fn clip(kbits: u64) -> Result<Clip, ClipError> {
    let sound = u64::from(SAMPLE_RATE.div_ceil(SAMPLES)) * SILENCE.len() as u64 * 2;
    let per_gop = (kbits * 1_000 / 8 * 2).saturating_sub(sound);
    let inter = per_gop / (u64::from(GOP) - 1 + KEY_WEIGHT);
    let key = picture(0, (inter * KEY_WEIGHT) as usize);
    // frame_num counts modulo 16: so many pictures differ, and share their bytes.
    let inters: Vec<Bytes> = (0..16).map(|n| picture_after(n, inter as usize)).collect();
    let mut tags = vec![
        (MediaKind::Data, 0, metadata(kbits)),
        (MediaKind::Video, 0, video_config()),
        (MediaKind::Audio, 0, Bytes::from_static(AUDIO_CONFIG)),
    ];
    let mut sounds = 0;
    for n in 0..SECONDS * PICTURES_PER_SECOND {
        let at = n * 1_000 / PICTURES_PER_SECOND;
        let of_gop = n % GOP;
        let payload = match (of_gop, inters.get(of_gop as usize % 16)) {
            (0, _) | (_, None) => key.clone(),
            (_, Some(inter)) => inter.clone(),
        };
        tags.push((MediaKind::Video, at, payload));
        while sounds * SAMPLES < (n + 1) * (SAMPLE_RATE / PICTURES_PER_SECOND) {
            let at = (u64::from(sounds * SAMPLES) * 1_000 / u64::from(SAMPLE_RATE)) as u32;
            tags.push((MediaKind::Audio, at, Bytes::from_static(SILENCE)));
            sounds += 1;
        }
    }
    let tag = |(kind, at, payload)| FlvTag {
        offset: 0,
        kind,
        timestamp: Timestamp(at),
        payload,
    };
    Clip::new(tags.into_iter().map(tag).collect())
}

fn metadata(kbits: u64) -> Bytes {
    let number = |n: u32| Value::Number(f64::from(n));
    let properties = Value::object([
        ("width", number(WIDTH)),
        ("height", number(HEIGHT)),
        ("framerate", number(PICTURES_PER_SECOND)),
        ("videocodecid", number(7)),
        ("videodatarate", Value::Number(kbits as f64)),
        ("audiocodecid", number(10)),
        ("audiosamplerate", number(SAMPLE_RATE)),
        ("stereo", Value::Boolean(true)),
        ("encoder", Value::string("millstream load")),
    ]);
    amf0::encode_all(&[Value::string("onMetaData"), properties]).into()
}

/// A sequence header: avcC (ISO/IEC 14496-15 §5.2.4.1) with our two parameter sets.
fn video_config() -> Bytes {
    let (sps, pps) = (sequence_parameters(), picture_parameters());
    let mut payload = vec![0x17, 0, 0, 0, 0, 1];
    payload.extend_from_slice(sps.get(1..4).unwrap_or_default());
    payload.extend_from_slice(&[0xFF, 0xE1]);
    for set in [&sps, &pps] {
        payload.extend_from_slice(&(set.len() as u16).to_be_bytes());
        payload.extend_from_slice(set);
        if core::ptr::eq(set, &sps) {
            payload.push(1);
        }
    }
    payload.into()
}

/// Baseline profile, level 3 (H.264 §7.3.2.1.1).
fn sequence_parameters() -> Vec<u8> {
    let mut bits = Bits::new(&[0x67, 66, 0xC0, 30]);
    // Id, log2_max_frame_num − 4, order as decoded (type 2), one reference picture, no gaps.
    bits.ue(0).ue(0).ue(2).ue(1).put(0, 1);
    bits.ue(COLUMNS - 1).ue(ROWS - 1);
    // Frames only, direct_8x8_inference; cropping in units of two lines; no VUI.
    bits.put(0b111, 3)
        .ue(0)
        .ue(0)
        .ue(0)
        .ue((ROWS * 16 - HEIGHT) / 2)
        .put(0, 1);
    bits.finish()
}

/// CAVLC, one slice group, nothing weighted, no deltas (H.264 §7.3.2.2).
fn picture_parameters() -> Vec<u8> {
    let mut bits = Bits::new(&[0x68]);
    bits.ue(0).ue(0).put(0, 2).ue(0).ue(0).ue(0).put(0, 3);
    bits.ue(0).ue(0).ue(0).put(0, 3);
    bits.finish()
}

/// A keyframe: an IDR slice (H.264 §7.3.3) of grey.
fn picture(frame_num: u32, size: usize) -> Bytes {
    let mut bits = Bits::new(&[0x65]);
    bits.ue(0)
        .ue(7)
        .ue(0)
        .put(frame_num, 4)
        .ue(0)
        .put(0, 2)
        .ue(0);
    for _ in 0..COLUMNS * ROWS {
        // I_16x16 predicted as DC without coefficients, chroma as DC, the same QP, and an empty DC block.
        bits.ue(3).ue(0).ue(0).put(1, 1);
    }
    message(0x17, bits.finish(), size)
}

/// A picture that looks like the one before it.
fn picture_after(frame_num: u32, size: usize) -> Bytes {
    let mut bits = Bits::new(&[0x41]);
    bits.ue(0).ue(5).ue(0).put(frame_num, 4).put(0, 3).ue(0);
    bits.ue(COLUMNS * ROWS); // mb_skip_run
    message(0x27, bits.finish(), size)
}

/// An AVC message of one slice, filled up to `size` bytes where it is smaller.
fn message(head: u8, slice: Vec<u8>, size: usize) -> Bytes {
    let mut payload = vec![head, 1, 0, 0, 0];
    payload.extend_from_slice(&(slice.len() as u32).to_be_bytes());
    payload.extend_from_slice(&slice);
    // A filler is at least its length, its type and its stop bit.
    if let Some(filler) = size.checked_sub(payload.len() + 4).filter(|n| *n >= 2) {
        payload.extend_from_slice(&(filler as u32).to_be_bytes());
        payload.push(0x0C);
        payload.resize(payload.len() + filler - 2, 0xFF);
        payload.push(0x80);
    }
    payload.into()
}

/// Bits to bytes, with Exp-Golomb codes (H.264 §9.1). Our pictures hold no three bytes that would need emulation
/// prevention (§7.4.1); a test looks.
struct Bits {
    bytes: Vec<u8>,
    /// Of the last byte, how many bits are used; 8 after whole bytes.
    used: u32,
}

impl Bits {
    fn new(begin: &[u8]) -> Self {
        Self {
            bytes: begin.to_vec(),
            used: 8,
        }
    }

    /// The low `count` bits of `value`.
    fn put(&mut self, value: u32, count: u32) -> &mut Self {
        for bit in (0..count).rev() {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.used);
            }
            self.used += 1;
        }
        self
    }

    /// ue(v); and se(v) of 0.
    fn ue(&mut self, value: u32) -> &mut Self {
        let bits = (value + 1).ilog2();
        self.put(0, bits).put(value + 1, bits + 1)
    }

    /// Behind the stop bit.
    fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip::Script;
    use super::*;
    use crate::limits;
    use std::rc::Rc;

    #[test]
    fn it_has_the_bitrate_that_was_asked_for() {
        for kbits in [limits::LOAD_KBITS_MIN, 4_000, limits::LOAD_KBITS_MAX] {
            let mut script = Script::new(Rc::new(clip(kbits).unwrap()));
            let mut bytes = 0;
            while script.due().as_secs() < 80 {
                bytes += script.next().unwrap().payload.len() as u64;
            }
            let got = bytes / 10_000;
            assert!(
                got * 100 >= kbits * 98 && got * 100 <= kbits * 102,
                "{kbits}: {got}"
            );
        }
    }

    #[test]
    fn clocks_run_evenly_across_the_loop() {
        let clip = clip(500).unwrap();
        assert!(clip.takes_markers());
        let mut script = Script::new(Rc::new(clip));
        let mut last = [None; 2];
        while script.due().as_secs() < 20 {
            let cue = script.next().unwrap();
            let (index, step) = match cue.kind {
                MediaKind::Video => (0, 33..=34),
                MediaKind::Audio => (1, 21..=22),
                MediaKind::Data => continue,
            };
            if cue.payload.get(1) == Some(&0) {
                continue; // headers
            }
            if let Some(last) = last[index] {
                assert!(step.contains(&cue.timestamp.since(last)), "{cue:?}");
            }
            last[index] = Some(cue.timestamp);
        }
    }

    #[test]
    fn no_start_code_is_emulated() {
        let sets = [sequence_parameters(), picture_parameters()];
        let pictures = (0..16).map(|n| picture_after(n, 0)[9..].to_vec());
        let all = sets.into_iter().chain(pictures);
        for nal in all.chain([picture(0, 0)[9..].to_vec()]) {
            let emulates = |three: &[u8]| matches!(three, [0, 0, ..=3]);
            assert!(!nal.windows(3).any(emulates), "{nal:02x?}");
        }
    }
}
