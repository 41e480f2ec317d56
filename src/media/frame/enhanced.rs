//! Enhanced RTMP v2: the headers of audio and video messages with FourCCs ("ExVideoTagHeader", "ExAudioTagHeader").
//!
//! ```text
//! first byte │ ModEx × n │ command            (video of frame type 5)
//!            │           │ FourCC, body        (one track: 0)
//!            │           │ layout, …, tracks   (multitrack)
//! ```
//!
//! A view into the payload: nothing is copied but the headers' few numbers. Strict about bounds: a message that ends
//! inside its header is [`Malformed`], and a track that is longer than the message is none. Tolerant about content:
//! FourCCs, packet types and `ModEx` types nobody has heard of are shown as they are.

use core::ops::Range;

use super::codec::FourCc;
use super::payload::Payload;
use crate::limits;

/// Why a message cannot be read. The publisher is at fault; the message is passed on as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The first byte is that of another kind of message.
    #[error("not an Enhanced RTMP message: the first byte says so")]
    NotEnhanced,
    /// It ends inside its header.
    #[error("the message ends at byte {at}, inside its {what}")]
    Truncated {
        /// The part of the header that was expected.
        what: &'static str,
        /// Where that part begins, bytes from the start of the payload.
        at: usize,
    },
    /// A multitrack layout other than the three.
    #[error("multitrack type {0}: 0 to 2 were expected")]
    Layout(u8),
    /// More `ModEx` prefixes than are followed.
    #[error("more than {} ModEx prefixes", limits::MESSAGE_MOD_EX)]
    ModEx,
    /// Multitrack inside multitrack, which the specification forbids.
    #[error("a multitrack message inside a multitrack message")]
    Nested,
}

/// `VideoPacketType`, without the two that only modify how the rest is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VideoPacketType {
    /// 0: decoder configuration (avcC, hvcC, vvcC, av1C, vpcC).
    SequenceStart,
    /// 1: a picture.
    CodedFrames,
    /// 2: the sequence is over; empty.
    SequenceEnd,
    /// 3: a picture with a composition time of 0, left out.
    CodedFramesX,
    /// 4: AMF0 names and values: HDR colour information.
    Metadata,
    /// 5: AV1's descriptor of MPEG-2 transport streams.
    Mpeg2TsSequenceStart,
    /// What nobody has heard of.
    Unknown(u8),
}

/// `AudioPacketType`, without the two that only modify how the rest is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AudioPacketType {
    /// 0: decoder configuration (AudioSpecificConfig, OpusHead, STREAMINFO).
    SequenceStart,
    /// 1: sound.
    CodedFrames,
    /// 2: the sequence is over; empty.
    SequenceEnd,
    /// 4: which speaker each channel is for.
    MultichannelConfig,
    /// What nobody has heard of.
    Unknown(u8),
}

/// `AvMultitrackType`, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// No multitrack: FourCC and body, of track 0.
    Single,
    /// 0: FourCC, track id, body.
    OneTrack,
    /// 1: FourCC, then track id, size and body of each.
    ManyTracks,
    /// 2: FourCC, track id, size and body of each.
    ManyTracksManyCodecs,
}

/// One track's part of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// Its id.
    pub id: u8,
    /// Its codec.
    pub four_cc: FourCc,
    /// Milliseconds from decoding to presentation; 0 where the packet type or the codec has none.
    pub composition_time: i32,
    /// Where its body lies in the payload, behind the composition time.
    pub body: Range<usize>,
}

/// An enhanced video message.
#[derive(Debug)]
pub struct EnhancedVideo<'a, P: ?Sized> {
    /// What its tracks hold. (For a command: what the first byte said.)
    pub packet_type: VideoPacketType,
    /// FLV's frame type, 0 to 7: 1 key, 2 inter, 3 disposable, 5 command. It holds for every track.
    pub frame_type: u8,
    /// Nanoseconds to add to the time of presentation, below 1,000,000.
    pub nano_offset: Option<u32>,
    /// The command, for a message of frame type 5: it has no tracks. 0 and 1: start and end of client-side seeking.
    pub command: Option<u8>,
    /// How the tracks lie.
    pub layout: Layout,
    tracks: Tracks<'a, P>,
}

/// An enhanced audio message.
#[derive(Debug)]
pub struct EnhancedAudio<'a, P: ?Sized> {
    /// What its tracks hold.
    pub packet_type: AudioPacketType,
    /// Nanoseconds to add to the time of presentation, below 1,000,000.
    pub nano_offset: Option<u32>,
    /// How the tracks lie.
    pub layout: Layout,
    tracks: Tracks<'a, P>,
}

/// FLV frame type 5: a command, no picture.
pub(super) const FRAME_TYPE_COMMAND: u8 = 5;
/// Packet type 7 in audio and video: a prefix.
const MOD_EX: u8 = 7;
/// `VideoPacketType.Multitrack`.
const VIDEO_MULTITRACK: u8 = 6;
/// `AudioPacketType.Multitrack`.
const AUDIO_MULTITRACK: u8 = 5;
/// `VideoPacketType.Metadata`, which is no command whatever its frame type.
const VIDEO_METADATA: u8 = 4;
/// The `ModEx` type that is a nanosecond offset.
const TIMESTAMP_OFFSET_NANO: u8 = 0;

impl<'a, P: Payload + ?Sized> EnhancedVideo<'a, P> {
    /// Reads the header of a video message whose first bit is set.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(payload: &'a P) -> Result<Self, Malformed> {
        let mut header = Header::new(payload);
        let first = header.byte("first byte")?;
        if first & 0x80 == 0 {
            return Err(Malformed::NotEnhanced);
        }
        let frame_type = first >> 4 & 7;
        let (packet_type, nano_offset) = header.mod_ex(first & 0x0F)?;
        if frame_type == FRAME_TYPE_COMMAND && packet_type != VIDEO_METADATA {
            let command = Some(header.byte("command")?);
            return Ok(Self {
                packet_type: VideoPacketType::from_wire(packet_type),
                frame_type,
                nano_offset,
                command,
                layout: Layout::Single,
                tracks: Tracks::none(payload),
            });
        }
        let (packet_type, layout, mut tracks) = header.tracks(packet_type, VIDEO_MULTITRACK)?;
        let packet_type = VideoPacketType::from_wire(packet_type);
        tracks.composition_times = packet_type == VideoPacketType::CodedFrames;
        Ok(Self {
            packet_type,
            frame_type,
            nano_offset,
            command: None,
            layout,
            tracks,
        })
    }

    /// Its tracks, in order; none of a command.
    pub fn tracks(&self) -> Tracks<'a, P> {
        self.tracks.clone()
    }
}

impl<'a, P: Payload + ?Sized> EnhancedAudio<'a, P> {
    /// Reads the header of an audio message of sound format 9.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(payload: &'a P) -> Result<Self, Malformed> {
        let mut header = Header::new(payload);
        let first = header.byte("first byte")?;
        if first >> 4 != 9 {
            return Err(Malformed::NotEnhanced);
        }
        let (packet_type, nano_offset) = header.mod_ex(first & 0x0F)?;
        let (packet_type, layout, tracks) = header.tracks(packet_type, AUDIO_MULTITRACK)?;
        Ok(Self {
            packet_type: AudioPacketType::from_wire(packet_type),
            nano_offset,
            layout,
            tracks,
        })
    }

    /// Its tracks, in order.
    pub fn tracks(&self) -> Tracks<'a, P> {
        self.tracks.clone()
    }
}

impl VideoPacketType {
    fn from_wire(packet_type: u8) -> Self {
        match packet_type {
            0 => Self::SequenceStart,
            1 => Self::CodedFrames,
            2 => Self::SequenceEnd,
            3 => Self::CodedFramesX,
            VIDEO_METADATA => Self::Metadata,
            5 => Self::Mpeg2TsSequenceStart,
            other => Self::Unknown(other),
        }
    }
}

impl AudioPacketType {
    fn from_wire(packet_type: u8) -> Self {
        match packet_type {
            0 => Self::SequenceStart,
            1 => Self::CodedFrames,
            2 => Self::SequenceEnd,
            4 => Self::MultichannelConfig,
            other => Self::Unknown(other),
        }
    }
}

/// A reader of the header, from front to back.
struct Header<'a, P: ?Sized> {
    payload: &'a P,
    at: usize,
}

impl<'a, P: Payload + ?Sized> Header<'a, P> {
    fn new(payload: &'a P) -> Self {
        Self { payload, at: 0 }
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self
            .payload
            .read(self.at)
            .ok_or(Malformed::Truncated { what, at: self.at })?;
        self.at += N;
        Ok(bytes)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        let [byte] = self.take(what)?;
        Ok(byte)
    }

    /// Steps over `ModEx` prefixes: the packet type behind them, and the last nanosecond offset. One that is too
    /// short, or a millisecond and more, is ignored.
    fn mod_ex(&mut self, mut packet_type: u8) -> Result<(u8, Option<u32>), Malformed> {
        let mut nano_offset = None;
        let mut left = limits::MESSAGE_MOD_EX;
        while packet_type == MOD_EX {
            left = left.checked_sub(1).ok_or(Malformed::ModEx)?;
            let mut size = usize::from(self.byte("ModEx size")?) + 1;
            if size == 256 {
                size = usize::from(u16::from_be_bytes(self.take("ModEx size")?)) + 1;
            }
            let data = self.at;
            self.at += size;
            let types = self.byte("ModEx data and type")?;
            packet_type = types & 0x0F;
            if types >> 4 == TIMESTAMP_OFFSET_NANO && size >= 3 {
                let [a, b, c] = self.payload.read(data).unwrap_or_default();
                let nanos = u32::from_be_bytes([0, a, b, c]);
                nano_offset = (nanos < 1_000_000).then_some(nanos).or(nano_offset);
            }
        }
        Ok((packet_type, nano_offset))
    }

    /// The multitrack header, if `packet_type` says there is one, and the FourCC all tracks share.
    fn tracks(
        mut self,
        packet_type: u8,
        multitrack: u8,
    ) -> Result<(u8, Layout, Tracks<'a, P>), Malformed> {
        let (packet_type, layout) = if packet_type == multitrack {
            let types = self.byte("multitrack type")?;
            let layout = match types >> 4 {
                0 => Layout::OneTrack,
                1 => Layout::ManyTracks,
                2 => Layout::ManyTracksManyCodecs,
                other => return Err(Malformed::Layout(other)),
            };
            if types & 0x0F == multitrack {
                return Err(Malformed::Nested);
            }
            (types & 0x0F, layout)
        } else {
            (packet_type, Layout::Single)
        };
        let four_cc = match layout {
            Layout::ManyTracksManyCodecs => FourCc([0; 4]),
            _ => FourCc(self.take("FourCC")?),
        };
        let tracks = Tracks {
            payload: self.payload,
            layout,
            four_cc,
            at: self.at,
            left: match layout {
                Layout::Single | Layout::OneTrack => 1,
                _ => limits::MESSAGE_TRACKS,
            },
            composition_times: false,
        };
        Ok((packet_type, layout, tracks))
    }
}

/// The tracks of a message, in order. Ends before one that is longer than the message, and after
/// [`limits::MESSAGE_TRACKS`].
#[derive(Debug)]
pub struct Tracks<'a, P: ?Sized> {
    payload: &'a P,
    layout: Layout,
    /// Of every track, unless each has its own.
    four_cc: FourCc,
    at: usize,
    left: usize,
    /// Whether bodies of AVC, HEVC and VVC begin with one.
    composition_times: bool,
}

impl<P: ?Sized> Clone for Tracks<'_, P> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, P: Payload + ?Sized> Tracks<'a, P> {
    fn none(payload: &'a P) -> Self {
        Self {
            payload,
            layout: Layout::Single,
            four_cc: FourCc([0; 4]),
            at: 0,
            left: 0,
            composition_times: false,
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.payload.read(self.at)?;
        self.at += N;
        Some(bytes)
    }

    fn read(&mut self) -> Option<Track> {
        if self.layout == Layout::ManyTracksManyCodecs {
            self.four_cc = FourCc(self.take()?);
        }
        let id = match self.layout {
            Layout::Single => 0,
            _ => {
                let [id] = self.take()?;
                id
            }
        };
        let rest = self.payload.size().checked_sub(self.at)?;
        let size = match self.layout {
            Layout::Single | Layout::OneTrack => rest,
            Layout::ManyTracks | Layout::ManyTracksManyCodecs => {
                let [a, b, c] = self.take()?;
                u32::from_be_bytes([0, a, b, c]) as usize
            }
        };
        let end = self.at + size;
        if end > self.payload.size() {
            return None;
        }
        let mut body = self.at..end;
        let mut composition_time = 0;
        if self.composition_times && self.four_cc.has_composition_time() && size >= 3 {
            let [a, b, c] = self.payload.read(body.start)?;
            composition_time = i32::from_be_bytes([a, b, c, 0]) >> 8;
            body.start += 3;
        }
        self.at = end;
        Some(Track {
            id,
            four_cc: self.four_cc,
            composition_time,
            body,
        })
    }
}

impl<P: Payload + ?Sized> Iterator for Tracks<'_, P> {
    type Item = Track;

    fn next(&mut self) -> Option<Track> {
        self.left = self.left.checked_sub(1)?;
        let track = self.read();
        if track.is_none() {
            self.left = 0;
        }
        track
    }
}

#[cfg(test)]
mod tests;
