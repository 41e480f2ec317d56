//! Sample entries (ISO/IEC 14496-12 §8.5.2) of the codecs that are recorded: what a decoder is told of a track.

use super::boxes::Kind;
use super::build::{boxed, full, u16, u32, zeros};
use super::picture::{self, Size};
use super::sound::{self, Sound};
use crate::media::frame::codec::{Codec, FourCc};

/// A codec that MP4 and RTMP both carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    Avc,
    Hevc,
    Av1,
    Vp9,
    Aac,
    Opus,
    Mp3,
    Flac,
    Ac3,
    Eac3,
}

impl Coding {
    /// What is recorded of RTMP's codecs; none: MP4 has no place for it, or no player would know it.
    pub(super) fn of(codec: Codec) -> Option<Self> {
        Some(match codec {
            Codec::LegacyVideo(7) | Codec::Enhanced(FourCc::AVC) => Self::Avc,
            Codec::LegacyVideo(12) | Codec::Enhanced(FourCc::HEVC) => Self::Hevc,
            Codec::Enhanced(FourCc::AV1) => Self::Av1,
            Codec::Enhanced(FourCc::VP9) => Self::Vp9,
            Codec::LegacyAudio(10) | Codec::Enhanced(FourCc::AAC) => Self::Aac,
            Codec::Enhanced(FourCc::OPUS) => Self::Opus,
            Codec::LegacyAudio(2 | 14) | Codec::Enhanced(FourCc::MP3) => Self::Mp3,
            Codec::Enhanced(FourCc::FLAC) => Self::Flac,
            Codec::Enhanced(FourCc::AC3) => Self::Ac3,
            Codec::Enhanced(FourCc::EAC3) => Self::Eac3,
            _ => return None,
        })
    }

    pub(super) fn is_video(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc | Self::Av1 | Self::Vp9)
    }

    /// Whether nothing can be decoded without a sequence header.
    fn needs_header(self) -> bool {
        matches!(
            self,
            Self::Avc | Self::Hevc | Self::Av1 | Self::Vp9 | Self::Aac | Self::Flac
        )
    }
}

/// A track's sample entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    kind: Kind,
    format: Format,
    /// The box that configures the decoder.
    config: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Video(Size),
    Sound(Sound, u16),
}

/// Bits of a sample of sound that is not coded losslessly: what every writer says.
const DEPTH: u16 = 16;

impl Entry {
    /// From the sequence header (none came, or it is empty: an empty slice) and a frame; none: they do not suffice.
    pub(super) fn new(coding: Coding, header: &[u8], frame: &[u8]) -> Option<Self> {
        if header.is_empty() && coding.needs_header() {
            return None;
        }
        let (kind, format, config) = match coding {
            Coding::Avc | Coding::Hevc | Coding::Av1 | Coding::Vp9 => {
                return Self::of_video(coding, header, frame);
            }
            Coding::Aac => (*b"mp4a", sound::of_aac(header)?, esds(0x40, header)),
            Coding::Mp3 => {
                let (sound, is_mpeg_1) = sound::of_mp3(frame)?;
                (
                    *b"mp4a",
                    sound,
                    esds(if is_mpeg_1 { 0x6B } else { 0x69 }, &[]),
                )
            }
            Coding::Opus => {
                let (sound, body) = sound::of_opus(header)?;
                (*b"Opus", sound, config(*b"dOps", &body))
            }
            Coding::Ac3 => {
                let (sound, body) = sound::of_ac3(frame)?;
                (*b"ac-3", sound, config(*b"dac3", &body))
            }
            Coding::Eac3 => {
                let (sound, body) = sound::of_eac3(frame)?;
                (*b"ec-3", sound, config(*b"dec3", &body))
            }
            Coding::Flac => return Self::of_flac(header),
        };
        let format = Format::Sound(format, DEPTH);
        Some(Self {
            kind,
            format,
            config,
        })
    }

    fn of_video(coding: Coding, header: &[u8], frame: &[u8]) -> Option<Self> {
        let (kind, size, config) = match coding {
            Coding::Avc => (*b"avc1", picture::of_avc(header)?, config(*b"avcC", header)),
            Coding::Hevc => (
                *b"hvc1",
                picture::of_hevc(header)?,
                config(*b"hvcC", header),
            ),
            Coding::Av1 => {
                let size = picture::of_av1(header).or_else(|| picture::av1_units(frame))?;
                (*b"av01", size, config(*b"av1C", header))
            }
            _ => {
                // Enhanced RTMP asks for the record; FFmpeg sends the box's version and flags before it.
                let record = header.strip_prefix(&[1, 0, 0, 0]).unwrap_or(header);
                if record.len() < 8 {
                    return None;
                }
                let mut config = Vec::new();
                full(&mut config, *b"vpcC", 1, 0, |out| out.extend(record));
                (*b"vp09", picture::of_vp9(frame)?, config)
            }
        };
        let format = Format::Video(size);
        Some(Self {
            kind,
            format,
            config,
        })
    }

    fn of_flac(header: &[u8]) -> Option<Self> {
        const LAST_STREAM_INFO: [u8; 4] = [0x80, 0, 0, 34];
        let info = sound::flac_stream_info(header)?;
        let (sound, depth) = sound::of_flac(info)?;
        let mut config = Vec::new();
        full(&mut config, *b"dfLa", 0, 0, |out| {
            out.extend(LAST_STREAM_INFO);
            out.extend(info);
        });
        Some(Self {
            kind: *b"fLaC",
            format: Format::Sound(sound, depth),
            config,
        })
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.format, Format::Video(_))
    }

    /// Width and height of pictures; of sound, zeros.
    pub(super) fn size(&self) -> Size {
        match self.format {
            Format::Video(size) => size,
            Format::Sound(..) => (0, 0),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        boxed(out, self.kind, |out| {
            zeros(out, 6);
            u16(out, 1); // data_reference_index
            match self.format {
                Format::Video((width, height)) => {
                    zeros(out, 16);
                    u16(out, width);
                    u16(out, height);
                    u32(out, 72 << 16); // dots per inch
                    u32(out, 72 << 16);
                    zeros(out, 4);
                    u16(out, 1); // frame_count
                    zeros(out, 32); // compressorname
                    u16(out, 24); // depth
                    u16(out, 0xFFFF);
                }
                Format::Sound(sound, depth) => {
                    zeros(out, 8);
                    u16(out, sound.channels);
                    u16(out, depth);
                    zeros(out, 4);
                    // 16.16 bits: a higher rate is left to the decoder's configuration.
                    u32(
                        out,
                        u16::try_from(sound.rate).map_or(0, |rate| u32::from(rate) << 16),
                    );
                }
            }
            out.extend(&self.config);
        });
    }
}

fn config(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut config = Vec::new();
    boxed(&mut config, kind, |out| out.extend(body));
    config
}

/// The descriptors of MPEG-4 sound (ISO/IEC 14496-1 §7.2.6.5): the object type, and what is specific to it.
fn esds(object_type: u8, specific: &[u8]) -> Vec<u8> {
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    let mut decoder = vec![object_type, AUDIO_STREAM];
    zeros(&mut decoder, 11); // buffer size and bitrates: not known
    if !specific.is_empty() {
        descriptor(&mut decoder, 5, specific);
    }
    let mut stream = vec![0, 0, 0]; // ES_ID and flags
    descriptor(&mut stream, 4, &decoder);
    descriptor(&mut stream, 6, &[2]); // as MP4 has it
    let mut config = Vec::new();
    full(&mut config, *b"esds", 0, 0, |out| {
        descriptor(out, 3, &stream)
    });
    config
}

/// With its length in four bytes of seven bits, as most writers do.
fn descriptor(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    let length = body.len() as u32;
    out.extend([21, 14, 7].map(|shift| (length >> shift & 0x7F) as u8 | 0x80));
    out.push((length & 0x7F) as u8);
    out.extend(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_what_it_needs_there_is_no_entry() {
        for coding in [Coding::Avc, Coding::Hevc, Coding::Av1, Coding::Vp9] {
            assert_eq!(Entry::new(coding, &[], &[0; 9]), None, "{coding:?}");
            assert!(coding.is_video());
        }
        for coding in [
            Coding::Aac,
            Coding::Flac,
            Coding::Mp3,
            Coding::Ac3,
            Coding::Eac3,
        ] {
            assert_eq!(Entry::new(coding, &[], &[0; 9]), None, "{coding:?}");
        }
        assert!(Entry::new(Coding::Opus, &[], &[]).is_some());
    }

    #[test]
    fn an_aac_entry_is_as_ffmpeg_writes_it() {
        let entry = Entry::new(Coding::Aac, &[0x12, 0x10], &[]).expect("a configuration");
        let mut out = Vec::new();
        entry.write(&mut out);
        assert_eq!(out.len(), 87);
        assert_eq!(out[..8], *b"\0\0\0\x57mp4a");
        assert_eq!(out[24..36], [0, 2, 0, 16, 0, 0, 0, 0, 0xAC, 0x44, 0, 0]);
        assert_eq!(out[36..44], *b"\0\0\0\x33esds");
        assert_eq!(out[48..53], [3, 0x80, 0x80, 0x80, 34]);
    }
}
