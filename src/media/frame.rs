//! What a payload is: sequence header, keyframe, inter frame, audio, data; and of which track.
//!
//! Read from the first bytes of the message only (FLV 10.1 annex E.4; Enhanced RTMP v2 "Enhanced Audio" and
//! "Enhanced Video"). What is unknown is forwarded as an ordinary frame: never an error.

use crate::rtmp::wire::{MediaKind, WireMessage};

/// How many bytes of a payload [`Frame::new`] looks at: enough for `ModEx` with a nanosecond offset, a
/// multitrack header and a FourCC.
const HEAD: usize = 32;

/// What a message is to the players of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// `onMetaData`, kept for late joiners.
    Metadata,
    /// Any other data message: passed on, not kept.
    Data,
    /// A decoder configuration, kept for late joiners under its slot.
    Header(HeaderSlot),
    /// A picture of the default track that needs no other: where a GOP begins.
    Keyframe,
    /// A picture that needs others, a picture of another track, or a video message without a picture.
    Inter,
    /// Sound.
    Audio,
}

/// Which kept header a [`FrameKind::Header`] replaces. In the order late joiners get them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HeaderSlot {
    /// What it configures.
    pub part: HeaderPart,
    /// Enhanced RTMP track id; 0 without multitrack.
    pub track: u8,
}

/// The parts of a stream that are configured by a message of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HeaderPart {
    /// avcC, hvcC, av1C …
    VideoConfig,
    /// Enhanced RTMP video packet type 4: HDR colour information.
    VideoMetadata,
    /// AudioSpecificConfig, OpusHead …
    AudioConfig,
    /// Enhanced RTMP audio packet type 4.
    MultichannelConfig,
}

/// A message and what it is.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The message as it leaves.
    pub message: WireMessage,
    /// What it is.
    pub kind: FrameKind,
}

impl Frame {
    /// Classifies `message` by its first bytes.
    pub fn new(message: WireMessage) -> Self {
        let mut head = [0; HEAD];
        let len = message.peek(&mut head);
        let head = &head[..len];
        let kind = match message.kind() {
            MediaKind::Video => classify_video(head),
            MediaKind::Audio => classify_audio(head),
            MediaKind::Data => classify_data(head),
        };
        Self { message, kind }
    }
}

/// AMF0 string marker, length 10, `onMetaData` (AMF0 §2.4).
const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";

fn classify_data(head: &[u8]) -> FrameKind {
    if head.starts_with(ON_METADATA) {
        FrameKind::Metadata
    } else {
        FrameKind::Data
    }
}

/// FLV frame type 1 (bits 4..6 of the first byte, in both the legacy and the enhanced form).
const FRAME_TYPE_KEY: u8 = 1;
/// FLV frame type 5: a command, no picture.
const FRAME_TYPE_COMMAND: u8 = 5;
/// FLV codec ids whose second byte is a packet type: 7 AVC, and 12, HEVC as Chinese encoders sent it before Enhanced RTMP.
const CODECS_WITH_PACKET_TYPE: [u8; 2] = [7, 12];

fn classify_video(head: &[u8]) -> FrameKind {
    let Some(&first) = head.first() else {
        return FrameKind::Inter; // an empty video message carries no picture
    };
    let frame_type = first >> 4 & 7;
    if first & 0x80 != 0 {
        return classify_enhanced_video(head, frame_type);
    }
    if CODECS_WITH_PACKET_TYPE.contains(&(first & 0x0F)) {
        match head.get(1) {
            Some(0) => return header(HeaderPart::VideoConfig, 0),
            Some(1) => {}
            _ => return FrameKind::Inter, // end of sequence
        }
    }
    picture(frame_type)
}

fn picture(frame_type: u8) -> FrameKind {
    if frame_type == FRAME_TYPE_KEY {
        FrameKind::Keyframe
    } else {
        FrameKind::Inter
    }
}

fn header(part: HeaderPart, track: u8) -> FrameKind {
    FrameKind::Header(HeaderSlot { part, track })
}

fn classify_enhanced_video(head: &[u8], frame_type: u8) -> FrameKind {
    let Some(packet) = enhanced_packet(head, 6, frame_type == FRAME_TYPE_COMMAND) else {
        return FrameKind::Inter;
    };
    match packet.packet_type {
        0 | 5 => header(HeaderPart::VideoConfig, packet.track),
        1 | 3 if packet.track == 0 => picture(frame_type),
        4 => header(HeaderPart::VideoMetadata, packet.track),
        _ => FrameKind::Inter,
    }
}

fn classify_audio(head: &[u8]) -> FrameKind {
    let Some(&first) = head.first() else {
        return FrameKind::Audio; // an empty audio message marks silence (FLV)
    };
    match first >> 4 {
        10 if head.get(1) == Some(&0) => header(HeaderPart::AudioConfig, 0),
        9 => match enhanced_packet(head, 5, false) {
            Some(EnhancedPacket {
                packet_type: 0,
                track,
            }) => header(HeaderPart::AudioConfig, track),
            Some(EnhancedPacket {
                packet_type: 4,
                track,
            }) => header(HeaderPart::MultichannelConfig, track),
            _ => FrameKind::Audio,
        },
        _ => FrameKind::Audio,
    }
}

struct EnhancedPacket {
    packet_type: u8,
    track: u8,
}

/// Packet type 7 in audio and video: a prefix that modifies what follows.
const PACKET_TYPE_MOD_EX: u8 = 7;

/// Walks over `ModEx` prefixes and the multitrack header (Enhanced RTMP v2, "ExVideoTagHeader" and
/// "ExAudioTagHeader") to the real packet type and the first track's id. `None` for a command or when the
/// head ends too early.
fn enhanced_packet(head: &[u8], multitrack: u8, command: bool) -> Option<EnhancedPacket> {
    let mut packet_type = head.first()? & 0x0F;
    let mut at = 1;
    while packet_type == PACKET_TYPE_MOD_EX {
        let mut size = usize::from(*head.get(at)?) + 1;
        at += 1;
        if size == 256 {
            size = usize::from(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?])) + 1;
            at += 2;
        }
        at += size;
        packet_type = head.get(at)? & 0x0F;
        at += 1;
    }
    if command && packet_type != 4 {
        return None;
    }
    if packet_type != multitrack {
        return Some(EnhancedPacket {
            packet_type,
            track: 0,
        });
    }
    let modes = *head.get(at)?;
    // OneTrack, ManyTracks: FourCC, then the track id. ManyTracksManyCodecs: the same, FourCC per track.
    let track = *head.get(at + 5)?;
    Some(EnhancedPacket {
        packet_type: modes & 0x0F,
        track,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn kind(media: MediaKind, payload: &[u8]) -> FrameKind {
        Frame::new(WireMessage::new(media, Timestamp(0), payload, 60_000)).kind
    }
    fn video(payload: &[u8]) -> FrameKind {
        kind(MediaKind::Video, payload)
    }
    fn audio(payload: &[u8]) -> FrameKind {
        kind(MediaKind::Audio, payload)
    }

    #[test]
    fn legacy_video() {
        assert_eq!(
            video(&[0x17, 0, 0, 0, 0, 1]),
            header(HeaderPart::VideoConfig, 0)
        );
        assert_eq!(video(&[0x17, 1, 0, 0, 40]), FrameKind::Keyframe);
        assert_eq!(video(&[0x27, 1, 0, 0, 0]), FrameKind::Inter);
        assert_eq!(
            video(&[0x17, 2, 0, 0, 0]),
            FrameKind::Inter,
            "end of sequence is no picture"
        );
        assert_eq!(
            video(&[0x1C, 0, 0, 0, 0]),
            header(HeaderPart::VideoConfig, 0)
        );
        assert_eq!(
            video(&[0x12]),
            FrameKind::Keyframe,
            "H.263 has no packet type"
        );
        assert_eq!(video(&[]), FrameKind::Inter);
        assert_eq!(
            video(&[0x17]),
            FrameKind::Inter,
            "xop read past this one-byte message"
        );
    }

    #[test]
    fn enhanced_video() {
        assert_eq!(video(b"\x90hvc1\x01"), header(HeaderPart::VideoConfig, 0));
        assert_eq!(video(b"\x91hvc1\x00\x00\x28"), FrameKind::Keyframe);
        assert_eq!(video(b"\x93hvc1\x00"), FrameKind::Keyframe);
        assert_eq!(video(b"\xA1av01\x00"), FrameKind::Inter);
        assert_eq!(video(b"\x94hvc1\x02"), header(HeaderPart::VideoMetadata, 0));
        assert_eq!(
            video(b"\x97\x02\x07\xA1\x20\x01hvc1\x00\x00\x00"),
            FrameKind::Keyframe,
            "ModEx: 500,000 ns"
        );
        assert_eq!(
            video(b"\x96\x00avc1\x01\x00"),
            header(HeaderPart::VideoConfig, 1)
        );
        assert_eq!(
            video(b"\x96\x01avc1\x01\x00\x00\x00"),
            FrameKind::Inter,
            "track 1 starts no GOP"
        );
        assert_eq!(video(b"\x96\x01avc1\x00\x00\x00\x00"), FrameKind::Keyframe);
        assert_eq!(video(b"\xD1\x00"), FrameKind::Inter, "command frame");
        assert_eq!(video(b"\x97\xFF"), FrameKind::Inter, "cut off inside ModEx");
    }

    #[test]
    fn sound() {
        assert_eq!(
            audio(&[0xAF, 0, 0x12, 0x10]),
            header(HeaderPart::AudioConfig, 0)
        );
        assert_eq!(audio(&[0xAF, 1, 1]), FrameKind::Audio);
        assert_eq!(audio(&[0xAF]), FrameKind::Audio);
        assert_eq!(audio(&[]), FrameKind::Audio);
        assert_eq!(audio(&[0x2F, 0]), FrameKind::Audio, "MP3 has no header");
        assert_eq!(
            audio(b"\x90OpusOpusHead"),
            header(HeaderPart::AudioConfig, 0)
        );
        assert_eq!(audio(b"\x91Opus\x01"), FrameKind::Audio);
        assert_eq!(
            audio(b"\x94Opus\x01\x06"),
            header(HeaderPart::MultichannelConfig, 0)
        );
        assert_eq!(
            audio(b"\x95\x00mp4a\x01\x12\x10"),
            header(HeaderPart::AudioConfig, 1)
        );
    }

    #[test]
    fn data() {
        assert_eq!(
            kind(MediaKind::Data, b"\x02\x00\x0aonMetaData\x08"),
            FrameKind::Metadata
        );
        assert_eq!(
            kind(MediaKind::Data, b"\x02\x00\x0aonTextData"),
            FrameKind::Data
        );
    }
}
