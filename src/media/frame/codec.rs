//! Names of codecs: FLV's numbers and Enhanced RTMP's FourCCs.

use core::fmt;

/// A codec's four characters (Enhanced RTMP v2, "Defining Additional Video Codecs" and "… Audio Codecs").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// H.264.
    pub const AVC: Self = Self(*b"avc1");
    /// H.265.
    pub const HEVC: Self = Self(*b"hvc1");
    /// H.266.
    pub const VVC: Self = Self(*b"vvc1");
    /// AV1.
    pub const AV1: Self = Self(*b"av01");
    /// VP8.
    pub const VP8: Self = Self(*b"vp08");
    /// VP9.
    pub const VP9: Self = Self(*b"vp09");
    /// AC-3.
    pub const AC3: Self = Self(*b"ac-3");
    /// Enhanced AC-3.
    pub const EAC3: Self = Self(*b"ec-3");
    /// Opus.
    pub const OPUS: Self = Self(*b"Opus");
    /// MP3.
    pub const MP3: Self = Self(*b".mp3");
    /// FLAC.
    pub const FLAC: Self = Self(*b"fLaC");
    /// AAC.
    pub const AAC: Self = Self(*b"mp4a");

    /// Whether `CodedFrames` of it begin with a composition time: AVC, HEVC and VVC, whose pictures are sent out of
    /// the order they are shown in.
    pub fn has_composition_time(self) -> bool {
        [Self::AVC, Self::HEVC, Self::VVC].contains(&self)
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a track is coded with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Codec {
    /// FLV's video codec id (FLV 10.1 annex E.4.3.1), or 12.
    LegacyVideo(u8),
    /// FLV's sound format (FLV 10.1 annex E.4.2.1).
    LegacyAudio(u8),
    /// Enhanced RTMP's.
    Enhanced(FourCc),
}

impl fmt::Display for Codec {
    /// A name people know, for logs and metrics; what has none is shown by its number or characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::LegacyVideo(2) => "H.263",
            Self::LegacyVideo(3) => "Screen",
            Self::LegacyVideo(4 | 5) => "VP6",
            Self::LegacyVideo(6) => "Screen 2",
            Self::LegacyVideo(7) | Self::Enhanced(FourCc::AVC) => "H.264",
            Self::LegacyVideo(12) | Self::Enhanced(FourCc::HEVC) => "H.265",
            Self::LegacyAudio(0 | 3) => "PCM",
            Self::LegacyAudio(1) => "ADPCM",
            Self::LegacyAudio(2 | 14) | Self::Enhanced(FourCc::MP3) => "MP3",
            Self::LegacyAudio(4..=6) => "Nellymoser",
            Self::LegacyAudio(7 | 8) => "G.711",
            Self::LegacyAudio(10) | Self::Enhanced(FourCc::AAC) => "AAC",
            Self::LegacyAudio(11) => "Speex",
            Self::Enhanced(FourCc::VVC) => "H.266",
            Self::Enhanced(FourCc::AV1) => "AV1",
            Self::Enhanced(FourCc::VP8) => "VP8",
            Self::Enhanced(FourCc::VP9) => "VP9",
            Self::Enhanced(FourCc::AC3) => "AC-3",
            Self::Enhanced(FourCc::EAC3) => "E-AC-3",
            Self::Enhanced(FourCc::OPUS) => "Opus",
            Self::Enhanced(FourCc::FLAC) => "FLAC",
            Self::LegacyVideo(id) => return write!(f, "FLV video {id}"),
            Self::LegacyAudio(id) => return write!(f, "FLV audio {id}"),
            Self::Enhanced(four_cc) => return four_cc.fmt(f),
        };
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_have_names_and_strange_ones_are_shown() {
        let named = |codec: Codec| codec.to_string();
        assert_eq!(named(Codec::LegacyVideo(7)), "H.264");
        assert_eq!(named(Codec::Enhanced(FourCc::MP3)), "MP3");
        assert_eq!(named(Codec::Enhanced(FourCc(*b"x\n26"))), r"x\n26");
        assert_eq!(named(Codec::LegacyAudio(13)), "FLV audio 13");
    }
}
