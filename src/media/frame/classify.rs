//! What a message is by itself, whatever came before it: FLV 10.1 annex E.4, and Enhanced RTMP v2.

use super::codec::Codec;
use super::enhanced::{
    AudioPacketType, EnhancedAudio, EnhancedVideo, FRAME_TYPE_COMMAND, Tracks, VideoPacketType,
};
use super::payload::Payload;
use super::tracks::TrackSet;
use crate::rtmp::wire::MediaKind;

/// What a message is by itself. What is unknown is [`Class::Other`]: passed on, never an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// `onMetaData`.
    Metadata,
    /// Any other data message.
    Data,
    /// It configures a part of these tracks.
    Header(HeaderPart, TrackSet),
    /// Pictures.
    Picture {
        /// Whether they need no others.
        key: bool,
        /// Of which tracks.
        tracks: TrackSet,
    },
    /// The video of these tracks is over.
    VideoEnd(TrackSet),
    /// Sound of these tracks.
    Sound(TrackSet),
    /// Commands, ends of sound, malformed messages, and what nobody has heard of.
    Other,
}

/// The parts of a stream that are configured by a message of their own. In the order late joiners get them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HeaderPart {
    /// avcC, hvcC, av1C …
    VideoConfig,
    /// Enhanced RTMP video packet type 4: HDR colour information. An empty one resets it, and is kept like any other:
    /// an older message for several tracks may still bear the old colours before it.
    VideoMetadata,
    /// AudioSpecificConfig, OpusHead …
    AudioConfig,
    /// Enhanced RTMP audio packet type 4.
    MultichannelConfig,
}

impl HeaderPart {
    /// Whether it is about video.
    pub fn is_video(self) -> bool {
        matches!(self, Self::VideoConfig | Self::VideoMetadata)
    }
}

/// What the message of `kind` with this payload is.
pub fn classify<P: Payload + ?Sized>(kind: MediaKind, payload: &P) -> Class {
    match kind {
        MediaKind::Video => classify_video(payload),
        MediaKind::Audio => classify_audio(payload),
        MediaKind::Data => classify_data(payload),
    }
}

/// Shows `note` every track of an audio or video message, and its codec.
pub fn codecs<P: Payload + ?Sized>(kind: MediaKind, payload: &P, mut note: impl FnMut(u8, Codec)) {
    let Some([first]) = payload.read(0) else {
        return;
    };
    let mut enhanced = |tracks: Tracks<'_, P>| {
        tracks.for_each(|track| note(track.id, Codec::Enhanced(track.four_cc)));
    };
    match kind {
        MediaKind::Video if is_enhanced_video(first) => {
            if let Ok(view) = EnhancedVideo::parse(payload) {
                enhanced(view.tracks());
            }
        }
        MediaKind::Audio if is_enhanced_audio(first) => {
            if let Ok(view) = EnhancedAudio::parse(payload) {
                enhanced(view.tracks());
            }
        }
        MediaKind::Video => note(0, Codec::LegacyVideo(first & 0x0F)),
        MediaKind::Audio => note(0, Codec::LegacyAudio(first >> 4)),
        MediaKind::Data => {}
    }
}

/// How the name `onMetaData` may begin a data message: as AMF0's string (§2.8) and long string (§2.14), and as an
/// AMF3 string (AMF3 §3.8) inside AMF0 (AMF0 §3.1), as Flash does in messages of type 15.
const ON_METADATA: [&[u8]; 3] = [
    b"\x02\x00\x0aonMetaData",
    b"\x0c\x00\x00\x00\x0aonMetaData",
    b"\x11\x06\x15onMetaData",
];

fn classify_data<P: Payload + ?Sized>(payload: &P) -> Class {
    let is = |name: &[u8]| {
        // A byte at a time: the message may end behind the shortest of them.
        name.iter()
            .enumerate()
            .all(|(at, byte)| payload.read(at) == Some([*byte]))
    };
    if ON_METADATA.into_iter().any(is) {
        Class::Metadata
    } else {
        Class::Data
    }
}

/// FLV frame type 1 (bits 4..6 of the first byte, in both the legacy and the enhanced form). Type 4, "generated
/// keyframe", is reserved for servers: no client begins to decode at one.
const FRAME_TYPE_KEY: u8 = 1;
/// FLV codec ids whose second byte is a packet type: 7 AVC, and 12, HEVC as Chinese encoders sent it before Enhanced
/// RTMP.
const CODECS_WITH_PACKET_TYPE: [u8; 2] = [7, 12];
/// Legacy media knows one track.
const LEGACY_TRACK: u8 = 0;

fn is_enhanced_video(first: u8) -> bool {
    first & 0x80 != 0
}

fn is_enhanced_audio(first: u8) -> bool {
    first >> 4 == 9
}

fn classify_video<P: Payload + ?Sized>(payload: &P) -> Class {
    let Some([first]) = payload.read(0) else {
        return Class::Other; // an empty video message carries no picture
    };
    if is_enhanced_video(first) {
        return match EnhancedVideo::parse(payload) {
            Ok(view) => classify_enhanced_video(&view),
            Err(_) => Class::Other,
        };
    }
    let legacy = TrackSet::of(LEGACY_TRACK);
    let frame_type = first >> 4;
    if CODECS_WITH_PACKET_TYPE.contains(&(first & 0x0F)) && frame_type != FRAME_TYPE_COMMAND {
        match payload.read(1) {
            Some([0]) => return Class::Header(HeaderPart::VideoConfig, legacy),
            Some([1]) => {}
            Some([2]) => return Class::VideoEnd(legacy),
            _ => return Class::Other, // xop read past a message of one byte
        }
    }
    picture(frame_type, legacy)
}

fn picture(frame_type: u8, tracks: TrackSet) -> Class {
    if frame_type == FRAME_TYPE_COMMAND || tracks.is_empty() {
        return Class::Other;
    }
    Class::Picture {
        key: frame_type == FRAME_TYPE_KEY,
        tracks,
    }
}

fn header(part: HeaderPart, tracks: TrackSet) -> Class {
    if tracks.is_empty() {
        Class::Other
    } else {
        Class::Header(part, tracks)
    }
}

fn ids<P: Payload + ?Sized>(tracks: Tracks<'_, P>) -> TrackSet {
    tracks.map(|track| track.id).collect()
}

fn classify_enhanced_video<P: Payload + ?Sized>(view: &EnhancedVideo<'_, P>) -> Class {
    if view.command.is_some() {
        return Class::Other;
    }
    let tracks = ids(view.tracks());
    match view.packet_type {
        VideoPacketType::SequenceStart | VideoPacketType::Mpeg2TsSequenceStart => {
            header(HeaderPart::VideoConfig, tracks)
        }
        VideoPacketType::CodedFrames | VideoPacketType::CodedFramesX => {
            picture(view.frame_type, tracks)
        }
        VideoPacketType::Metadata => header(HeaderPart::VideoMetadata, tracks),
        VideoPacketType::SequenceEnd => Class::VideoEnd(tracks),
        VideoPacketType::Unknown(_) => Class::Other,
    }
}

fn classify_audio<P: Payload + ?Sized>(payload: &P) -> Class {
    let legacy = TrackSet::of(LEGACY_TRACK);
    let Some([first]) = payload.read(0) else {
        return Class::Sound(legacy); // an empty audio message marks silence (FLV)
    };
    if is_enhanced_audio(first) {
        return match EnhancedAudio::parse(payload) {
            Ok(view) => classify_enhanced_audio(&view),
            Err(_) => Class::Other,
        };
    }
    match (first >> 4, payload.read(1)) {
        (10, Some([0])) => Class::Header(HeaderPart::AudioConfig, legacy),
        _ => Class::Sound(legacy),
    }
}

fn classify_enhanced_audio<P: Payload + ?Sized>(view: &EnhancedAudio<'_, P>) -> Class {
    let tracks = ids(view.tracks());
    match view.packet_type {
        AudioPacketType::SequenceStart => header(HeaderPart::AudioConfig, tracks),
        AudioPacketType::MultichannelConfig => header(HeaderPart::MultichannelConfig, tracks),
        AudioPacketType::CodedFrames => Class::Sound(tracks),
        AudioPacketType::SequenceEnd | AudioPacketType::Unknown(_) => Class::Other,
    }
}

#[cfg(test)]
mod tests;
