//! Which codecs a stream has, for logs and metrics.

use core::fmt;
use std::collections::BTreeMap;

use super::frame::TrackSet;
use super::frame::classify::{Class, codecs};
use super::frame::codec::Codec;
use crate::rtmp::wire::{MediaKind, WireMessage};

/// The codec of every track, from its newest header, or from its first frame if it has none. At most 256 of video and
/// 256 of audio: a track id is one byte.
#[derive(Clone, Debug, Default)]
pub struct Codecs {
    video: BTreeMap<u8, Codec>,
    audio: BTreeMap<u8, Codec>,
    known_video: TrackSet,
    known_audio: TrackSet,
}

impl Codecs {
    /// Video tracks by id.
    pub fn video(&self) -> impl Iterator<Item = (u8, Codec)> {
        self.video.iter().map(|(track, codec)| (*track, *codec))
    }

    /// Audio tracks by id.
    pub fn audio(&self) -> impl Iterator<Item = (u8, Codec)> {
        self.audio.iter().map(|(track, codec)| (*track, *codec))
    }

    /// Takes note of a message; most bring nothing new, and are not looked at.
    pub(super) fn note(&mut self, class: Class, message: &WireMessage) {
        let (known, of_kind) = match message.kind() {
            MediaKind::Video => (&mut self.known_video, &mut self.video),
            MediaKind::Audio => (&mut self.known_audio, &mut self.audio),
            MediaKind::Data => return,
        };
        let brings_something = match class {
            Class::Header(..) => true,
            Class::Picture { tracks, .. } | Class::Sound(tracks) => {
                !tracks.without(known).is_empty()
            }
            _ => false,
        };
        if brings_something {
            codecs(message.kind(), message, |track, codec| {
                known.insert(track);
                of_kind.insert(track, codec);
            });
        }
    }
}

impl fmt::Display for Codecs {
    /// For logs: `video 0 H.264, 1 H.265; audio 0 AAC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (kind, tracks) in [("video", &self.video), ("audio", &self.audio)] {
            for (n, (track, codec)) in tracks.iter().enumerate() {
                match n {
                    0 => write!(f, "{before}{kind} {track} {codec}")?,
                    _ => write!(f, ", {track} {codec}")?,
                }
                before = "; ";
            }
        }
        Ok(())
    }
}
