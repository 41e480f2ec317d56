//! A message taken apart: what it says of which track.

use core::ops::Range;

use smallvec::SmallVec;

use crate::media::frame::Payload;
use crate::media::frame::classify::{self, Class, HeaderPart, classify};
use crate::media::frame::codec::Codec;
use crate::media::frame::enhanced::{EnhancedAudio, EnhancedVideo, Track, VideoPacketType};
use crate::rtmp::wire::{MediaKind, WireMessage};

/// One track's part of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) track: u8,
    pub(super) codec: Codec,
    /// A decoder configuration; otherwise a frame.
    pub(super) is_header: bool,
    /// It can be decoded by itself.
    pub(super) is_sync: bool,
    /// Milliseconds from decoding to presentation.
    pub(super) shown_after: i32,
    /// Where it lies in the payload.
    pub(super) body: Range<usize>,
}

/// The parts of a message; none of what configures no decoder and is no frame.
pub(super) fn parts(message: &WireMessage) -> SmallVec<[Part; 1]> {
    let mut parts = SmallVec::new();
    let (is_header, is_sync) = match classify(message.kind(), message) {
        Class::Header(HeaderPart::VideoConfig | HeaderPart::AudioConfig, _) => (true, false),
        Class::Picture { key, .. } => (false, key),
        Class::Sound(_) => (false, true),
        _ => return parts,
    };
    let size = message.payload_len();
    let mut codec = None;
    classify::codecs(message.kind(), message, |_, found| codec = Some(found));
    match codec {
        Some(Codec::Enhanced(_)) => {
            enhanced(message, |track| {
                parts.push(Part {
                    track: track.id,
                    codec: Codec::Enhanced(track.four_cc),
                    is_header,
                    is_sync,
                    shown_after: track.composition_time,
                    body: track.body,
                });
            });
        }
        Some(codec) => {
            let (head, shown_after) = legacy(codec, message);
            parts.push(Part {
                track: 0,
                codec,
                is_header,
                is_sync,
                shown_after,
                body: head.min(size)..size,
            });
        }
        None => {}
    }
    parts
}

fn enhanced(message: &WireMessage, note: impl FnMut(Track)) {
    match message.kind() {
        MediaKind::Video => {
            // A descriptor of transport streams configures no decoder of ours.
            if let Ok(view) = EnhancedVideo::parse(message)
                && view.packet_type != VideoPacketType::Mpeg2TsSequenceStart
            {
                view.tracks().for_each(note);
            }
        }
        MediaKind::Audio => {
            if let Ok(view) = EnhancedAudio::parse(message) {
                view.tracks().for_each(note);
            }
        }
        MediaKind::Data => {}
    }
}

/// Bytes of the legacy head, and the composition time in it (FLV 10.1 annex E.4.3.2).
fn legacy(codec: Codec, message: &WireMessage) -> (usize, i32) {
    match codec {
        Codec::LegacyVideo(7 | 12) => {
            let [a, b, c] = message.read(2).unwrap_or_default();
            (5, i32::from_be_bytes([a, b, c, 0]) >> 8)
        }
        Codec::LegacyAudio(10) => (2, 0),
        _ => (1, 0),
    }
}

/// The bytes of a part.
pub(super) fn body(message: &WireMessage, range: &Range<usize>, out: &mut Vec<u8>) {
    let mut at = 0;
    for slice in message.payload() {
        let from = range.start.saturating_sub(at).min(slice.len());
        let to = range.end.saturating_sub(at).min(slice.len());
        out.extend(slice.get(from..to).unwrap_or_default());
        at += slice.len();
        if at >= range.end {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn message(kind: MediaKind, payload: &[u8]) -> WireMessage {
        WireMessage::new(kind, Timestamp(0), payload, 3)
    }

    #[test]
    fn parts_of_legacy_and_enhanced_messages() {
        let avc = message(MediaKind::Video, &[0x27, 1, 0xFF, 0xFF, 0xFE, 7, 8, 9]);
        let expected = Part {
            track: 0,
            codec: Codec::LegacyVideo(7),
            is_header: false,
            is_sync: false,
            shown_after: -2,
            body: 5..8,
        };
        assert_eq!(parts(&avc).as_slice(), core::slice::from_ref(&expected));
        let mut bytes = Vec::new();
        body(&avc, &expected.body, &mut bytes);
        assert_eq!(bytes, [7, 8, 9]);
        let two = message(MediaKind::Audio, b"\x95\x11Opus\x01\0\0\x02ab\x02\0\0\x01c");
        let found = parts(&two);
        let bodies: Vec<_> = found.iter().map(|p| (p.track, p.body.clone())).collect();
        assert_eq!(bodies, [(1, 10..12), (2, 16..17)]);
        assert!(found.iter().all(|part| part.is_sync && !part.is_header));
        assert!(parts(&message(MediaKind::Data, b"\x02\0\0")).is_empty());
        assert!(parts(&message(MediaKind::Video, b"\x17\x02\0\0\0")).is_empty());
    }
}
