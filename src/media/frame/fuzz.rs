//! The parser of Enhanced RTMP on arbitrary bytes: a body for fuzzers and property tests.

use super::classify::{Class, HeaderPart, classify};
use super::codec::FourCc;
use super::enhanced::{EnhancedAudio, EnhancedVideo, Layout, Track, Tracks};
use super::payload::Payload;
use super::tracks::TrackSet;
use crate::limits;
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::Timestamp;

/// Reads `data` as video and as audio: no panic, tracks in order inside the payload, and the same classification
/// whatever chunks the message is cut into. Then takes it for the recipe of a message, and reads that back.
#[doc(hidden)]
pub fn fuzz_enhanced(data: &[u8]) {
    check_arbitrary(data);
    let mut forced = data.to_vec();
    for first in [0x80, 0x90] {
        if let (Some(byte), Some(given)) = (forced.first_mut(), data.first()) {
            *byte = first | given & 0x7F;
        }
        check_arbitrary(&forced);
    }
    let recipe = Recipe::draw(&mut data.iter().copied());
    recipe.check();
    // Cut off anywhere it is still what it is: no panic, and nothing behind the end.
    let message = recipe.encode();
    let cut = usize::from(data.last().copied().unwrap_or(0)) * message.len() / 256;
    check_arbitrary(message.get(..cut).unwrap_or_default());
}

fn check_arbitrary(payload: &[u8]) {
    if let Ok(view) = EnhancedVideo::parse(payload) {
        check_tracks(view.tracks(), payload.len());
        assert!(view.nano_offset.is_none_or(|nanos| nanos < 1_000_000));
        assert!(view.command.is_none() || view.tracks().next().is_none());
    }
    if let Ok(view) = EnhancedAudio::parse(payload) {
        check_tracks(view.tracks(), payload.len());
    }
    for kind in [MediaKind::Video, MediaKind::Audio, MediaKind::Data] {
        let whole = classify(kind, payload);
        for (chunk_size, at) in [(1, 0), (7, 0x0100_0000), (128, 0), (60_000, u32::MAX)] {
            // A message in a hundred thousand chunks shows no more than one in a thousand, and takes its time.
            if payload.len() / chunk_size as usize > 1_000 {
                continue;
            }
            let message = WireMessage::new(kind, Timestamp(at), payload, chunk_size);
            assert_eq!(classify(kind, &message), whole, "chunks of {chunk_size}");
        }
    }
}

fn check_tracks<P: Payload + ?Sized>(tracks: Tracks<'_, P>, size: usize) {
    let mut at = 1; // behind the first byte
    let mut count = 0;
    for track in tracks {
        assert!(at <= track.body.start && track.body.start <= track.body.end);
        assert!(track.body.end <= size);
        at = track.body.end;
        count += 1;
    }
    assert!(count <= limits::MESSAGE_TRACKS);
}

/// An enhanced message to be made.
#[derive(Debug)]
struct Recipe {
    video: bool,
    frame_type: u8,
    packet_type: u8,
    /// Type and data, 1 to 65,536 bytes.
    mod_ex: Vec<(u8, Vec<u8>)>,
    layout: Layout,
    tracks: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    four_cc: FourCc,
    id: u8,
    composition_time: i32,
    body: Vec<u8>,
}

const VIDEO_CODECS: [FourCc; 7] = [
    FourCc::AVC,
    FourCc::HEVC,
    FourCc::VVC,
    FourCc::AV1,
    FourCc::VP8,
    FourCc::VP9,
    FourCc(*b"new!"),
];
const AUDIO_CODECS: [FourCc; 7] = [
    FourCc::AC3,
    FourCc::EAC3,
    FourCc::OPUS,
    FourCc::MP3,
    FourCc::FLAC,
    FourCc::AAC,
    FourCc([0xFF; 4]),
];
const MOD_EX_SIZES: [usize; 8] = [1, 2, 3, 4, 255, 256, 257, 65_536];

impl Recipe {
    fn draw(bytes: &mut impl Iterator<Item = u8>) -> Self {
        let mut byte = || bytes.next().unwrap_or(0);
        let choice = byte();
        let video = choice & 1 == 0;
        let layout = match choice >> 1 & 3 {
            0 => Layout::Single,
            1 => Layout::OneTrack,
            2 => Layout::ManyTracks,
            _ => Layout::ManyTracksManyCodecs,
        };
        let many = matches!(layout, Layout::ManyTracks | Layout::ManyTracksManyCodecs);
        let packets: &[u8] = if video {
            &[0, 1, 2, 3, 4, 5, 8, 15]
        } else {
            &[0, 1, 2, 4, 3, 6, 8, 15]
        };
        let packet_type = packets[usize::from(choice >> 3 & 7)];
        let frame_type = match byte() & 7 {
            // A command has no tracks. In multitrack, that it is metadata stands behind the command.
            5 if packet_type != 4 || layout != Layout::Single => 1,
            other => other,
        };
        let mod_ex = (0..byte() & 3)
            .map(|_| {
                let (choice, fill) = (byte(), byte());
                let size = MOD_EX_SIZES[usize::from(choice & 7)];
                (choice >> 4, vec![fill; size])
            })
            .collect();
        let codecs = if video { VIDEO_CODECS } else { AUDIO_CODECS };
        let shared = codecs[usize::from(byte()) % codecs.len()];
        let count = if many { byte() & 7 } else { 1 };
        let timed = video && packet_type == 1;
        let tracks = (0..count).map(|_| {
            let four_cc = match layout {
                Layout::ManyTracksManyCodecs => codecs[usize::from(byte()) % codecs.len()],
                _ => shared,
            };
            let composition_time = if timed && four_cc.has_composition_time() {
                i32::from_be_bytes([byte(), byte(), byte(), 0]) >> 8
            } else {
                0
            };
            Part {
                four_cc,
                id: if layout == Layout::Single { 0 } else { byte() },
                composition_time,
                body: vec![0xA5; byte().into()],
            }
        });
        Self {
            video,
            frame_type,
            packet_type,
            mod_ex,
            layout,
            tracks: tracks.collect(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let multitrack = if self.video { 6 } else { 5 };
        let packet_type = match self.layout {
            Layout::Single => self.packet_type,
            _ => multitrack,
        };
        let base = if self.video {
            0x80 | self.frame_type << 4
        } else {
            0x90
        };
        let first_type = if self.mod_ex.is_empty() {
            packet_type
        } else {
            7
        };
        let mut out = vec![base | first_type];
        for (n, (kind, data)) in self.mod_ex.iter().enumerate() {
            match data.len() {
                short @ 1..=255 => out.push((short - 1) as u8),
                long => {
                    out.push(255);
                    out.extend(((long - 1) as u16).to_be_bytes());
                }
            }
            out.extend(data);
            let last = n + 1 == self.mod_ex.len();
            out.push(kind << 4 | if last { packet_type } else { 7 });
        }
        let shared = self.tracks.first().map_or(FourCc::AVC, |part| part.four_cc);
        match self.layout {
            Layout::Single => {}
            Layout::OneTrack => out.push(self.packet_type),
            Layout::ManyTracks => out.push(0x10 | self.packet_type),
            Layout::ManyTracksManyCodecs => out.push(0x20 | self.packet_type),
        }
        if self.layout != Layout::ManyTracksManyCodecs {
            out.extend(shared.0);
        }
        for part in &self.tracks {
            self.encode_track(part, &mut out);
        }
        out
    }

    fn has_composition_time(&self, part: &Part) -> bool {
        self.video && self.packet_type == 1 && part.four_cc.has_composition_time()
    }

    fn encode_track(&self, part: &Part, out: &mut Vec<u8>) {
        if self.layout == Layout::ManyTracksManyCodecs {
            out.extend(part.four_cc.0);
        }
        if self.layout != Layout::Single {
            out.push(part.id);
        }
        let mut body = Vec::<u8>::new();
        if self.has_composition_time(part) {
            body.extend(&part.composition_time.to_be_bytes()[1..]);
        }
        body.extend(&part.body);
        if matches!(
            self.layout,
            Layout::ManyTracks | Layout::ManyTracksManyCodecs
        ) {
            out.extend(&(body.len() as u32).to_be_bytes()[1..]);
        }
        out.extend(body);
    }

    fn nano_offset(&self) -> Option<u32> {
        let mut offsets = self
            .mod_ex
            .iter()
            .filter_map(|(kind, data)| match data[..] {
                [a, b, c, ..] if *kind == 0 => Some(u32::from_be_bytes([0, a, b, c])),
                _ => None,
            });
        offsets.rfind(|nanos| *nanos < 1_000_000)
    }

    fn class(&self) -> Class {
        let tracks: TrackSet = self.tracks.iter().map(|part| part.id).collect();
        let header = |part| match tracks.is_empty() {
            true => Class::Other,
            false => Class::Header(part, tracks),
        };
        match (self.video, self.packet_type) {
            (true, 0 | 5) => header(HeaderPart::VideoConfig),
            (true, 1 | 3) if tracks.is_empty() => Class::Other,
            (true, 1 | 3) => Class::Picture {
                key: self.frame_type == 1,
                tracks,
            },
            (true, 2) => Class::VideoEnd(tracks),
            (true, 4) => header(HeaderPart::VideoMetadata),
            (false, 0) => header(HeaderPart::AudioConfig),
            (false, 1) => Class::Sound(tracks),
            (false, 4) => header(HeaderPart::MultichannelConfig),
            _ => Class::Other,
        }
    }

    /// What was put in is read out.
    fn check(&self) {
        let message = self.encode();
        let payload = message.as_slice();
        check_arbitrary(payload);
        let kind = if self.video {
            let view = EnhancedVideo::parse(payload);
            assert!(view.is_ok(), "{view:?}");
            if let Ok(view) = view {
                assert_eq!(view.frame_type, self.frame_type);
                assert_eq!((view.command, view.layout), (None, self.layout));
                assert_eq!(view.nano_offset, self.nano_offset());
                self.check_tracks(payload, view.tracks());
            }
            MediaKind::Video
        } else {
            let view = EnhancedAudio::parse(payload);
            assert!(view.is_ok(), "{view:?}");
            if let Ok(view) = view {
                assert_eq!(view.layout, self.layout);
                assert_eq!(view.nano_offset, self.nano_offset());
                self.check_tracks(payload, view.tracks());
            }
            MediaKind::Audio
        };
        assert_eq!(classify(kind, payload), self.class());
    }

    fn check_tracks(&self, payload: &[u8], tracks: Tracks<'_, [u8]>) {
        let tracks: Vec<Track> = tracks.collect();
        assert_eq!(tracks.len(), self.tracks.len());
        for (track, part) in tracks.iter().zip(&self.tracks) {
            assert_eq!((track.id, track.four_cc), (part.id, part.four_cc));
            assert_eq!(track.composition_time, part.composition_time);
            assert_eq!(payload.get(track.body.clone()), Some(part.body.as_slice()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_messages(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz_enhanced(&data);
        }

        #[test]
        fn likely_messages(
            first in prop::sample::select(vec![0x96, 0x97, 0x90, 0x91, 0x95, 0xD1, 0xA6]),
            data in proptest::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..100),
        ) {
            fuzz_enhanced(&[&[first], data.as_slice()].concat());
        }
    }
}
