//! Made-up broadcasts whose every frame says which one it is.
//!
//! A payload is valid on the surface (FLV tag bodies with AVC and AAC, Enhanced RTMP with one track or several, an
//! `onMetaData`), carries an identity, and is filled with bytes derived from it. Whoever receives it can tell whose it
//! is, which one, and whether a single byte was changed.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;
use millstream::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::seed;

mod enhanced;
mod samples;

pub use samples::sample_of;

/// What role a frame has in its stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sort {
    /// `@setDataFrame` `onMetaData`.
    Metadata,
    /// Video decoder configuration.
    VideoHeader,
    /// Enhanced RTMP: HDR colours, or their reset.
    Colours,
    /// Audio decoder configuration.
    AudioHeader,
    /// Enhanced RTMP: which speaker each channel is for.
    Speakers,
    /// A video keyframe.
    Key,
    /// A video frame that needs the one before.
    Inter,
    /// An audio frame.
    Audio,
    /// A video message that no server has heard of.
    Unknown,
    /// Enhanced RTMP: the end of a track's video.
    End,
    /// `@clearDataFrame`: no message for players, but the metadata is no more.
    Cleared,
}

impl Sort {
    /// Metadata and sequence headers: what is repeated to whoever joins later.
    pub fn is_header(self) -> bool {
        matches!(
            self,
            Self::Metadata | Self::VideoHeader | Self::Colours | Self::AudioHeader | Self::Speakers
        )
    }

    /// Keyframes and inter frames.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Key | Self::Inter)
    }

    /// A short name for the trace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::VideoHeader => "avc header",
            Self::Colours => "colours",
            Self::AudioHeader => "aac header",
            Self::Speakers => "speakers",
            Self::Key => "keyframe",
            Self::Inter => "inter",
            Self::Audio => "audio",
            Self::Unknown => "unknown",
            Self::End => "end",
            Self::Cleared => "cleared metadata",
        }
    }
}

/// Which tracks a broadcast has, and how they are laid out in messages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracks {
    /// FLV's AVC and AAC.
    #[default]
    Legacy,
    /// Enhanced RTMP without multitrack.
    Single,
    /// Two of video and two of audio, each in messages of its own; track 0 without multitrack, as OBS does.
    OneTrack,
    /// Three of each in one message, of one codec.
    ManyTracks,
    /// Three of each in one message, each of its own codec.
    ManyCodecs,
    /// Track 1 alone.
    TrackOne,
    /// Track 1 of video at first; track 0 from the second GOP on.
    LateZero,
    /// Tracks 0 and 1 of video at first; track 1 alone from the second GOP on. Some say that track 0 has ended.
    ZeroStops,
    /// Tracks 0 and 1 of video; track 0 ends with every other GOP, and comes back with the next.
    ZeroPauses,
    /// As `OneTrack`, and track 1 has keyframes in the middle of track 0's GOPs besides.
    MoreKeys,
}

impl Tracks {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Legacy,
        Self::Single,
        Self::OneTrack,
        Self::ManyTracks,
        Self::ManyCodecs,
        Self::TrackOne,
        Self::LateZero,
        Self::ZeroStops,
        Self::ZeroPauses,
        Self::MoreKeys,
    ];

    /// Whether it is FLV's own, which knows no tracks.
    pub fn is_legacy(&self) -> bool {
        *self == Self::Legacy
    }
}

/// One message of a broadcast.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Its role.
    pub sort: Sort,
    /// The ids of the tracks it is about; 0 without multitrack.
    pub tracks: Vec<u8>,
    /// Its time.
    pub timestamp: Timestamp,
    /// How often its publisher's time has jumped before it.
    pub epoch: u32,
    /// Its time since the broadcast began, without those jumps.
    pub steady: u32,
    /// As it is published.
    pub payload: Bytes,
    /// What a file keeps of it that has tracks of samples (MP4): of each track the bytes behind all heads, sequence headers
    /// included. Empty where such a file has no place for it, or the broadcast's configurations are made up
    /// ([`Shape::decodable`]).
    pub samples: Vec<(u8, Bytes)>,
    /// Milliseconds from decoding to presentation, of those samples.
    pub shown_after: u16,
}

impl Frame {
    /// As a player must get it: metadata without its `@setDataFrame`.
    pub fn delivered(&self) -> Bytes {
        if self.sort == Sort::Metadata {
            self.payload.slice(SET_DATA_FRAME.len()..)
        } else {
            self.payload.clone()
        }
    }
}

impl Frame {
    /// What takes the metadata back, at `timestamp`.
    pub fn cleared(timestamp: Timestamp) -> Self {
        Self {
            kind: MediaKind::Data,
            sort: Sort::Cleared,
            tracks: vec![0],
            timestamp,
            epoch: 0,
            steady: 0,
            payload: Bytes::from_static(b"\x02\x00\x0f@clearDataFrame"),
            samples: Vec::new(),
            shown_after: 0,
        }
    }
}

/// The AMF0 string `@setDataFrame`.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// The shape of a broadcast.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    /// Pictures from one keyframe to the next, at least 1.
    pub gop: u32,
    /// Pictures of the first GOP that are left out; none with [`Tracks::MoreKeys`].
    pub phase: u32,
    /// Milliseconds between pictures, at least 1.
    pub picture_ms: u32,
    /// Milliseconds between audio frames; 0 for none.
    pub audio_ms: u32,
    /// The largest picture, bytes; keyframes are near it, inter frames well below.
    pub picture_bytes: usize,
    /// The first timestamp.
    pub start: u32,
    /// Pictures from one changed header to the next, wherever keyframes are; 0 for none.
    pub headers_every: u32,
    /// Its tracks.
    pub tracks: Tracks,
    /// Where its time jumps, in order; by nothing where there is none.
    pub jumps: [TimeJump; JUMPS],
    /// Whether headers in the middle of it come with time 0, as OBS and FFmpeg send them.
    pub zero_headers: bool,
    /// Decoder configurations are such as decoders take, in codecs that MP4 knows: H.264, AAC, Opus.
    pub decodable: bool,
}

/// Jumps of one broadcast.
pub const JUMPS: usize = 2;
/// Pictures further apart than this are no broadcast: each of them is a jump of its publisher's time.
const LEAP_MS: u32 = 5_000;

/// The time of a publisher jumps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeJump {
    /// When, milliseconds from the broadcast's start.
    pub at_ms: u32,
    /// By how much, milliseconds.
    pub by_ms: i32,
    /// How much later pictures do: each message of before then has the time of before.
    pub lag_ms: u32,
}

impl TimeJump {
    fn is_before(&self, kind: MediaKind, offset: u32) -> bool {
        let lag = if kind == MediaKind::Video {
            self.lag_ms
        } else {
            0
        };
        self.by_ms != 0 && offset >= self.at_ms.saturating_add(lag)
    }
}

/// Of which track a part of a message is, and where it lies.
type Body = (u8, core::ops::Range<usize>);

/// Bytes of the head of FLV's own messages.
fn legacy_head(sort: Sort) -> Option<usize> {
    match sort {
        Sort::VideoHeader | Sort::Key | Sort::Inter => Some(5),
        Sort::AudioHeader | Sort::Audio => Some(2),
        _ => None,
    }
}

/// What comes next: its role, and whose.
type Piece = (Sort, Vec<u8>);

/// An endless broadcast: metadata, headers, then pictures and audio in the order of time.
#[derive(Clone, Debug)]
pub struct Broadcast {
    shape: Shape,
    /// Who and which publication, hashed.
    identity: u64,
    index: u32,
    /// Pictures so far, those that were left out included.
    pictures: u32,
    sounds: u32,
    /// Headers changed since the first ones.
    changes: u32,
    /// What is due at once, with its time.
    due: VecDeque<(u32, Piece)>,
}

impl Broadcast {
    /// The `publication`th broadcast (from 0) of the client called `client`.
    pub fn new(shape: Shape, client: &str, publication: usize) -> Self {
        let gop = shape.gop.max(1);
        let shape = Shape {
            gop,
            phase: match shape.tracks {
                // Only one of its tracks would have had a keyframe.
                Tracks::MoreKeys => 0,
                _ => shape.phase % gop,
            },
            picture_ms: shape.picture_ms.max(1),
            ..shape
        };
        let mut broadcast = Self {
            shape,
            identity: seed::fnv(format!("{client}/{publication}").as_bytes()),
            index: 0,
            pictures: shape.phase,
            sounds: 0,
            changes: 0,
            due: VecDeque::new(),
        };
        let opening = broadcast.opening();
        broadcast.queue(0, opening);
        broadcast
    }

    /// Milliseconds from the broadcast's start to its next frame.
    pub fn next_offset(&self) -> u32 {
        let sound = self.sounds.saturating_mul(self.shape.audio_ms);
        if let Some((offset, _)) = self.due.front() {
            *offset
        } else if self.sound_is_next(sound) {
            sound
        } else {
            self.picture_due()
        }
    }

    /// Whether sound that is due at `offset` comes before the next picture. If both are due at once, a file of samples has
    /// them in the one order or the other: not in that of these broadcasts.
    fn sound_is_next(&self, offset: u32) -> bool {
        let picture = self.picture_due();
        let both = self.shape.decodable && offset == picture;
        self.shape.audio_ms > 0 && (offset < picture || both)
    }

    fn picture_due(&self) -> u32 {
        let sent = self.pictures - self.shape.phase;
        sent.saturating_mul(self.shape.picture_ms)
    }

    /// The time of the next frame, if that is sound.
    pub fn next_timestamp(&self) -> Timestamp {
        self.time_of(MediaKind::Audio, self.next_offset())
    }

    fn time_of(&self, kind: MediaKind, offset: u32) -> Timestamp {
        let jumped = self.shape.jumps.iter();
        let jumped = jumped.filter(|jump| jump.is_before(kind, offset));
        let by = jumped.fold(0_u32, |by, jump| by.wrapping_add_signed(jump.by_ms));
        Timestamp(self.shape.start.wrapping_add(by)) + offset
    }

    fn epoch_of(&self, kind: MediaKind, offset: u32) -> u32 {
        let jumped = self.shape.jumps.iter();
        let jumped = jumped.filter(|jump| jump.is_before(kind, offset)).count();
        let leapt = if self.leaps() {
            offset / self.shape.picture_ms
        } else {
            0
        };
        leapt + jumped as u32
    }

    fn leaps(&self) -> bool {
        self.shape.picture_ms > LEAP_MS
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> Frame {
        let offset = self.next_offset();
        if self.due.is_empty() {
            self.plan(offset);
        }
        // A plan is never empty.
        let (_, (sort, tracks)) = self
            .due
            .pop_front()
            .unwrap_or((offset, (Sort::Metadata, vec![0])));
        let (payload, bodies) = if self.shape.tracks.is_legacy() {
            let payload = self.payload(sort);
            let body = legacy_head(sort).map(|head| (0, head..payload.len()));
            (payload, Vec::from_iter(body))
        } else {
            self.enhanced_payload(sort, &tracks)
        };
        let payload = Bytes::from(payload);
        let bodies = bodies.into_iter().filter(|_| self.shape.decodable);
        let samples = bodies.map(|(track, body)| (track, payload.slice(body)));
        let kind = match sort {
            Sort::Metadata | Sort::Cleared => MediaKind::Data,
            Sort::AudioHeader | Sort::Speakers | Sort::Audio => MediaKind::Audio,
            _ => MediaKind::Video,
        };
        let zero = self.shape.zero_headers && sort.is_header() && offset > 0;
        let frame = Frame {
            kind,
            sort,
            tracks,
            timestamp: if zero {
                Timestamp(0)
            } else {
                self.time_of(kind, offset)
            },
            epoch: self.epoch_of(kind, offset),
            steady: if self.leaps() { 0 } else { offset },
            samples: samples.collect(),
            shown_after: self.shown_after(sort),
            payload,
        };
        self.index += 1;
        frame
    }

    fn queue(&mut self, offset: u32, pieces: Vec<Piece>) {
        self.due
            .extend(pieces.into_iter().map(|piece| (offset, piece)));
    }

    fn plan(&mut self, offset: u32) {
        let pieces = self.next_pieces(offset);
        self.queue(offset, pieces);
    }

    fn next_pieces(&mut self, offset: u32) -> Vec<Piece> {
        let sound = self.sounds.saturating_mul(self.shape.audio_ms);
        if sound == offset && self.sound_is_next(offset) {
            self.sounds += 1;
            return self.sounds();
        }
        let every = self.shape.headers_every;
        if every > 0 && self.pictures / every > self.changes {
            self.changes += 1;
            return self.change();
        }
        let first_of_gop = self.pictures.is_multiple_of(self.shape.gop);
        let pieces = self.pictures(if first_of_gop { Sort::Key } else { Sort::Inter });
        self.pictures += 1;
        pieces
    }

    fn payload(&self, sort: Sort) -> Vec<u8> {
        let id = self.id();
        match sort {
            Sort::Metadata => self.metadata(),
            Sort::VideoHeader if self.shape.decodable => {
                [&[0x17, 0, 0, 0, 0][..], &samples::avc_config(&id)].concat()
            }
            Sort::VideoHeader => {
                let mut out = vec![0x17, 0, 0, 0, 0];
                out.extend([1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 16, 0x67, 0x64, 0, 0x1f]);
                out.extend(id);
                out.extend([1, 0, 4, 0x68, 0xee, 0x3c, 0x80]);
                out
            }
            Sort::AudioHeader => [&[0xaf, 0, 0x12, 0x10][..], &id].concat(),
            Sort::Audio => self.filled(&[0xaf, 1], 16 + self.size_below(300)),
            Sort::Key => {
                let most = self.shape.picture_bytes;
                self.picture(
                    &[0x17, 1, 0, 0, 0],
                    0x65,
                    most / 2 + self.size_below(most / 2),
                )
            }
            _ => {
                let most = self.shape.picture_bytes / 4;
                self.picture(&[0x27, 1, 0, 0, 0], 0x41, self.size_below(most))
            }
        }
    }

    fn picture(&self, head: &[u8], nal: u8, size: usize) -> Vec<u8> {
        let size = size.max(16);
        let length = u32::try_from(size + 1).unwrap_or(u32::MAX).to_be_bytes();
        self.filled(&[head, &length, &[nal]].concat(), size)
    }

    /// `head`, then identity and filling, together `size` bytes behind it.
    fn filled(&self, head: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(head.len() + size);
        out.extend(head);
        out.extend(self.id());
        let mut fill = fastrand::Rng::with_seed(self.identity ^ u64::from(self.index));
        let from = out.len();
        out.resize((head.len() + size).max(from), 0);
        fill.fill(&mut out[from..]);
        out
    }

    fn size_below(&self, most: usize) -> usize {
        let mut rng = fastrand::Rng::with_seed(!self.identity ^ u64::from(self.index));
        rng.usize(..most.max(1))
    }

    /// Twelve bytes that no other frame has.
    fn id(&self) -> [u8; 12] {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.identity.to_be_bytes());
        id[8..].copy_from_slice(&self.index.to_be_bytes());
        id
    }

    fn metadata(&self) -> Vec<u8> {
        let mut out = SET_DATA_FRAME.to_vec();
        out.extend(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x03");
        for (key, value) in [("width", 1280.0_f64), ("height", 720.0)] {
            out.extend([0, key.len() as u8]);
            out.extend(key.as_bytes());
            out.push(0);
            out.extend(value.to_be_bytes());
        }
        let title = format!("{:016x}-{}", self.identity, self.index);
        out.extend(b"\x00\x05title\x02\x00");
        out.push(title.len() as u8);
        out.extend(title.as_bytes());
        out.extend([0, 0, 9]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        gop: 3,
        phase: 0,
        picture_ms: 40,
        audio_ms: 23,
        picture_bytes: 4_000,
        start: 0xffff_ffc0,
        headers_every: 4,
        tracks: Tracks::Legacy,
        jumps: [TimeJump {
            at_ms: 0,
            by_ms: 0,
            lag_ms: 0,
        }; JUMPS],
        zero_headers: false,
        decodable: false,
    };

    #[test]
    fn a_broadcast_starts_with_headers_and_a_keyframe_in_order_of_time() {
        let mut broadcast = Broadcast::new(SHAPE, "alice", 0);
        let frames: Vec<Frame> = (0..60).map(|_| broadcast.next_frame()).collect();
        let sorts: Vec<Sort> = frames.iter().take(4).map(|frame| frame.sort).collect();
        let expected = [
            Sort::Metadata,
            Sort::VideoHeader,
            Sort::AudioHeader,
            Sort::Key,
        ];
        assert_eq!(sorts, expected);
        assert!(
            frames
                .windows(2)
                .all(|pair| pair[1].timestamp.since(pair[0].timestamp) >= 0)
        );
        assert!(
            frames.iter().any(|frame| frame.timestamp.0 < 1_000),
            "wraps"
        );
        assert!(frames.iter().any(|frame| frame.sort == Sort::Audio));
    }

    #[test]
    fn time_jumps_for_pictures_later_than_for_sound() {
        let jump = TimeJump {
            at_ms: 100,
            by_ms: -5_000,
            lag_ms: 50,
        };
        let shape = Shape {
            start: 10_000,
            jumps: [jump, TimeJump::default()],
            zero_headers: true,
            ..SHAPE
        };
        let mut broadcast = Broadcast::new(shape, "alice", 0);
        for _ in 0..60 {
            let frame = broadcast.next_frame();
            let lag = if frame.kind == MediaKind::Video {
                50
            } else {
                0
            };
            let jumped = frame.steady >= 100 + lag;
            let time = 10_000 + frame.steady - if jumped { 5_000 } else { 0 };
            let zero = frame.sort.is_header() && frame.steady > 0;
            assert_eq!(frame.timestamp.0, if zero { 0 } else { time });
            assert_eq!(frame.epoch, u32::from(jumped));
        }
    }

    #[test]
    fn no_two_frames_are_alike() {
        for tracks in Tracks::ALL {
            let shape = Shape { tracks, ..SHAPE };
            let mut payloads = std::collections::BTreeSet::new();
            for (client, publication) in [("alice", 0), ("alice", 1), ("bob", 0)] {
                let mut broadcast = Broadcast::new(shape, client, publication);
                for _ in 0..100 {
                    assert!(payloads.insert(broadcast.next_frame().payload));
                }
            }
        }
    }

    #[test]
    fn every_kind_brings_what_it_promises() {
        for tracks in Tracks::ALL {
            let shape = Shape { tracks, ..SHAPE };
            let mut broadcast = Broadcast::new(shape, "alice", 0);
            let frames: Vec<Frame> = (0..300).map(|_| broadcast.next_frame()).collect();
            let of = |sort| frames.iter().filter(move |frame| frame.sort == sort);
            let ids = |sort| {
                let mut ids: Vec<u8> = of(sort).flat_map(|frame| frame.tracks.clone()).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            };
            let expected = match tracks {
                Tracks::Legacy | Tracks::Single => vec![0],
                Tracks::OneTrack
                | Tracks::LateZero
                | Tracks::ZeroStops
                | Tracks::ZeroPauses
                | Tracks::MoreKeys => vec![0, 1],
                Tracks::ManyTracks | Tracks::ManyCodecs => vec![0, 1, 2],
                Tracks::TrackOne => vec![1],
            };
            for sort in [Sort::VideoHeader, Sort::Key, Sort::Inter] {
                assert_eq!(ids(sort), expected, "{tracks:?} {sort:?}");
            }
            let enhanced = !tracks.is_legacy();
            for sort in [Sort::Colours, Sort::Speakers, Sort::Unknown] {
                assert_eq!(of(sort).count() > 1, enhanced, "{tracks:?} {sort:?}");
            }
            let together = of(Sort::Key).any(|frame| frame.tracks.len() > 1);
            let many = matches!(tracks, Tracks::ManyTracks | Tracks::ManyCodecs);
            assert_eq!(together, many, "{tracks:?}");
        }
    }
}
