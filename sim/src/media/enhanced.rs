//! Enhanced RTMP v2: its tracks, and its messages, written by the specification and not by the server's own hand.

use super::samples::{avc_config, has_place, opus_head};
use super::{Body, Broadcast, Piece, Sort, Tracks};

/// Bytes of a `ModEx` that is longer than anybody peeks.
const LONG_MOD_EX: usize = 300;
const MOD_EX: u8 = 7;
/// How much later than decoded pictures are shown that say so.
const COMPOSITION_MS: u16 = 40;
const VIDEO_MULTITRACK: u8 = 6;
const AUDIO_MULTITRACK: u8 = 5;

impl Broadcast {
    fn audio_tracks(&self) -> &'static [u8] {
        match self.shape.tracks {
            Tracks::Legacy
            | Tracks::Single
            | Tracks::LateZero
            | Tracks::ZeroStops
            | Tracks::ZeroPauses => &[0],
            Tracks::OneTrack | Tracks::MoreKeys => &[0, 1],
            Tracks::ManyTracks | Tracks::ManyCodecs => &[0, 1, 2],
            Tracks::TrackOne => &[1],
        }
    }

    fn video_tracks(&self) -> &'static [u8] {
        match self.shape.tracks {
            Tracks::LateZero if self.pictures < self.shape.gop => &[1],
            Tracks::ZeroStops if self.pictures >= self.shape.gop => &[1],
            Tracks::ZeroPauses if (self.pictures / self.shape.gop) % 2 == 1 => &[1],
            Tracks::LateZero | Tracks::ZeroStops | Tracks::ZeroPauses => &[0, 1],
            _ => self.audio_tracks(),
        }
    }

    /// As messages: all tracks in one, or one each, lowest first.
    fn pieces(&self, sort: Sort, tracks: &[u8]) -> Vec<Piece> {
        match self.shape.tracks {
            Tracks::ManyTracks | Tracks::ManyCodecs => vec![(sort, tracks.to_vec())],
            _ => tracks.iter().map(|track| (sort, vec![*track])).collect(),
        }
    }

    /// What a broadcast begins with.
    pub(super) fn opening(&self) -> Vec<Piece> {
        let mut opening = vec![(Sort::Metadata, vec![0])];
        let enhanced = !self.shape.tracks.is_legacy();
        let (video, audio) = (self.video_tracks(), self.audio_tracks());
        opening.extend(self.pieces(Sort::VideoHeader, video));
        if enhanced {
            opening.extend(self.pieces(Sort::Colours, video));
        }
        opening.extend(self.pieces(Sort::AudioHeader, audio));
        if enhanced {
            opening.extend(self.pieces(Sort::Speakers, audio));
        }
        opening
    }

    /// A picture of every track. A track that begins later has its headers just before.
    pub(super) fn pictures(&self, sort: Sort) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.shape.tracks == Tracks::LateZero && self.pictures == self.shape.gop {
            pieces.extend([(Sort::VideoHeader, vec![0]), (Sort::Colours, vec![0])]);
        }
        if self.shape.tracks == Tracks::ZeroStops
            && self.pictures == self.shape.gop
            && self.identity.is_multiple_of(2)
        {
            pieces.push((Sort::End, vec![]));
        }
        if self.shape.tracks == Tracks::ZeroPauses
            && self.pictures % (2 * self.shape.gop) == self.shape.gop
        {
            pieces.push((Sort::End, vec![]));
        }
        if self.shape.tracks == Tracks::MoreKeys
            && self.pictures % self.shape.gop == self.shape.gop / 2
        {
            pieces.extend([(sort, vec![0]), (Sort::Key, vec![1])]);
        } else {
            pieces.extend(self.pieces(sort, self.video_tracks()));
        }
        if !self.shape.tracks.is_legacy() && self.pictures % 8 == 5 {
            pieces.push((Sort::Unknown, vec![]));
        }
        pieces
    }

    /// Sound of every track.
    pub(super) fn sounds(&self) -> Vec<Piece> {
        self.pieces(Sort::Audio, self.audio_tracks())
    }

    /// A header that changes: of every track, or of one alone, the first or the last.
    pub(super) fn change(&self) -> Vec<Piece> {
        let legacy = [Sort::Metadata, Sort::VideoHeader, Sort::AudioHeader];
        if self.shape.tracks.is_legacy() {
            return vec![(legacy[self.changes as usize % 3], vec![0])];
        }
        // Each broadcast begins elsewhere: most end early.
        let turn = u64::from(self.changes).wrapping_add(self.identity);
        let sort = match turn % 6 {
            0 | 3 => Sort::VideoHeader,
            1 => Sort::AudioHeader,
            2 => Sort::Colours,
            4 => Sort::Speakers,
            _ => return vec![(Sort::Metadata, vec![0])],
        };
        let tracks = match sort {
            Sort::AudioHeader | Sort::Speakers => self.audio_tracks(),
            _ => self.video_tracks(),
        };
        match (turn >> 8) % 3 + turn % 2 {
            0 | 3 => self.pieces(sort, tracks),
            1 => self.pieces(sort, &tracks[..1]),
            _ => self.pieces(sort, &tracks[tracks.len() - 1..]),
        }
    }

    /// The message, and where in it what MP4 has a place for lies.
    pub(super) fn enhanced_payload(&self, sort: Sort, tracks: &[u8]) -> (Vec<u8>, Vec<Body>) {
        if let Some(whole) = self.without_tracks(sort) {
            return (whole, Vec::new());
        }
        let video = !matches!(sort, Sort::AudioHeader | Sort::Speakers | Sort::Audio);
        let frame_type = match sort {
            Sort::Inter => 2,
            _ => 1,
        };
        let packet_type = match sort {
            Sort::Colours | Sort::Speakers => 4,
            Sort::Audio => 1,
            Sort::Key | Sort::Inter => self.picture_type(),
            _ => 0,
        };
        let many = match self.shape.tracks {
            Tracks::ManyTracks if tracks.len() > 1 => Some(1),
            Tracks::ManyCodecs if tracks.len() > 1 => Some(2),
            _ if tracks != [0] => Some(0),
            _ => None,
        };
        let multitrack = if video {
            VIDEO_MULTITRACK
        } else {
            AUDIO_MULTITRACK
        };
        let base = if video { 8 | frame_type } else { 9 } << 4;
        let outer = many.map_or(packet_type, |_| multitrack);
        let mut out = self.first_bytes(base, outer);
        let codecs = self.codecs(video);
        let codec = |track: u8| codecs[usize::from(track) % codecs.len()];
        let shared = codec(tracks[0]);
        if let Some(layout) = many {
            out.push(layout << 4 | packet_type);
        }
        if many != Some(2) {
            out.extend(shared);
        }
        let mut bodies = Vec::new();
        for track in tracks {
            let codec = if many == Some(2) {
                codec(*track)
            } else {
                shared
            };
            let body = self.body(sort, *track, video && packet_type == 1, codec);
            if many == Some(2) {
                out.extend(codec);
            }
            if many.is_some() {
                out.push(*track);
            }
            if many > Some(0) {
                out.extend(&(body.len() as u32).to_be_bytes()[1..]);
            }
            let head = if has_composition(codec, video && packet_type == 1) {
                3
            } else {
                0
            };
            let from = out.len() + head;
            out.extend(body);
            if packet_type != 4 && has_place(codec) {
                bodies.push((*track, from..out.len()));
            }
        }
        (out, bodies)
    }

    /// What MP4 has no place for, however many tracks there are.
    fn without_tracks(&self, sort: Sort) -> Option<Vec<u8>> {
        match sort {
            Sort::Metadata => Some(self.metadata()),
            Sort::Unknown => Some(self.unknown()),
            Sort::End if self.shape.decodable => Some(self.filled(b"\x92avc1", 12)),
            Sort::End => Some(self.filled(b"\x92av01", 12)),
            _ => None,
        }
    }

    /// CodedFrames or CodedFramesX.
    fn picture_type(&self) -> u8 {
        [1, 3][self.index as usize % 2]
    }

    /// How much later than decoded the next message is shown.
    pub(super) fn shown_after(&self, sort: Sort) -> u16 {
        let says_so = !self.shape.tracks.is_legacy() && self.picture_type() == 1;
        match sort.is_picture() && says_so {
            true => COMPOSITION_MS,
            false => 0,
        }
    }

    /// The first byte and, on some messages, `ModEx`: a nanosecond offset, and one of a type nobody knows.
    fn first_bytes(&self, base: u8, packet_type: u8) -> Vec<u8> {
        let (nanos, long) = (self.index.is_multiple_of(3), self.index % 5 == 1);
        if !nanos && !long {
            return vec![base | packet_type];
        }
        let mut out = vec![base | MOD_EX];
        if nanos {
            let next = if long { MOD_EX } else { packet_type };
            let [_, a, b, c] = (self.index * 7_919 % 1_000_000).to_be_bytes();
            out.extend([2, a, b, c, next]);
        }
        if long {
            out.push(255);
            out.extend((LONG_MOD_EX as u16 - 1).to_be_bytes());
            out.extend([0xEE; LONG_MOD_EX]);
            out.push(0x90 | packet_type);
        }
        out
    }

    fn codecs(&self, video: bool) -> &'static [&'static [u8; 4]] {
        if self.shape.decodable {
            return match (self.shape.tracks, video) {
                (Tracks::ManyCodecs, true) => &[b"avc1", b"new!", b"avc1"],
                (Tracks::ManyCodecs, false) => &[b"mp4a", b"Opus", b"mp4a"],
                (_, true) => &[b"avc1"],
                (_, false) => &[b"mp4a"],
            };
        }
        match (self.shape.tracks, video) {
            (Tracks::Legacy | Tracks::OneTrack | Tracks::MoreKeys, true) => &[b"avc1"],
            (Tracks::Legacy | Tracks::OneTrack | Tracks::MoreKeys, false) => &[b"mp4a"],
            (Tracks::Single | Tracks::ManyTracks, true) => &[b"hvc1"],
            (Tracks::Single | Tracks::ManyTracks, false) => &[b"Opus"],
            (Tracks::ManyCodecs, true) => &[b"vvc1", b"av01", b"new!"],
            (Tracks::ManyCodecs, false) => &[b"mp4a", b"ac-3", b".mp3"],
            (Tracks::TrackOne, true) => &[b"vp09"],
            (Tracks::TrackOne, false) => &[b"fLaC"],
            (Tracks::LateZero | Tracks::ZeroStops | Tracks::ZeroPauses, true) => {
                &[b"av01", b"vp08"]
            }
            (Tracks::LateZero | Tracks::ZeroStops | Tracks::ZeroPauses, false) => &[b"ec-3"],
        }
    }

    fn body(&self, sort: Sort, track: u8, coded: bool, codec: &[u8; 4]) -> Vec<u8> {
        let mut head = Vec::new();
        if has_composition(codec, coded) {
            head.extend([0, 0, COMPOSITION_MS as u8]);
        }
        head.push(track);
        match sort {
            Sort::VideoHeader | Sort::AudioHeader if self.shape.decodable => {
                head.extend(self.id());
                match codec {
                    b"avc1" => avc_config(&head),
                    b"Opus" => opus_head(&head),
                    _ => [&[0x12, 0x10], &head[..]].concat(), // AAC; or of a codec that nobody knows
                }
            }
            Sort::Colours => {
                head.clear();
                head.extend(b"\x02\x00\x09colorInfo");
                // Every other one resets; what follows is nobody's.
                head.push(if self.index.is_multiple_of(2) { 6 } else { 5 });
                self.filled(&head, 12)
            }
            Sort::Speakers => {
                head.clear();
                head.extend([1, 2, 0, 0, 0, 3]);
                self.filled(&head, 12)
            }
            Sort::Key => {
                let most = self.shape.picture_bytes;
                self.filled(&head, 16 + most / 2 + self.size_below(most / 2))
            }
            Sort::Inter => {
                let most = self.shape.picture_bytes / 4;
                self.filled(&head, 16 + self.size_below(most))
            }
            _ => self.filled(&head, 16 + self.size_below(300)),
        }
    }

    /// Packet type 12, or a command with more behind it than there should be.
    fn unknown(&self) -> Vec<u8> {
        let head: &[u8] = match self.index % 2 {
            0 => b"\x9Cnew!",
            _ => b"\xD1\x01",
        };
        self.filled(head, 20)
    }
}

/// Whether a message of coded frames says when they are shown.
fn has_composition(codec: &[u8; 4], coded: bool) -> bool {
    coded && [b"avc1", b"hvc1", b"vvc1"].contains(&codec)
}
