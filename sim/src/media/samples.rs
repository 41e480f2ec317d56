//! What MP4 makes of a broadcast: decoder configurations that it takes, and what it keeps of a message.

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;

use crate::seed;

/// Whether a file of samples has a place for a codec, of those that broadcasts have where they are to be recorded so.
pub(super) fn has_place(codec: &[u8; 4]) -> bool {
    [b"avc1", b"mp4a", b"Opus"].contains(&codec)
}

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3): what libx264 says of 320x180 pictures, with `mark` in its
/// picture parameter set.
pub(super) fn avc_config(mark: &[u8]) -> Vec<u8> {
    const SPS: &[u8] =
        b"\x67\x4d\x40\x0c\xda\x05\x06\x7e\x7c\x04\x40\0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8";
    const PPS: &[u8] = b"\x68\xef\x3c\x80";
    let mut config = vec![1, 0x4d, 0x40, 0x0c, 0xff, 0xe1, 0, SPS.len() as u8];
    config.extend(SPS);
    config.extend([1, 0, (PPS.len() + mark.len()) as u8]);
    config.extend(PPS);
    config.extend(mark);
    config
}

/// An Opus identification header (RFC 7845 §5.1) whose priming, rate and gain are as good as `mark`.
pub(super) fn opus_head(mark: &[u8]) -> Vec<u8> {
    [
        b"OpusHead\x01\x02",
        &seed::fnv(mark).to_be_bytes()[..],
        &[0],
    ]
    .concat()
}

/// What a message holds behind its heads, by the specifications (FLV 10.1 annex E.4, Enhanced RTMP v2): the payload of one
/// track as a server sends it that has read it from a file of samples. None: there is nothing of the kind.
pub fn sample_of(kind: MediaKind, payload: &Bytes) -> Option<Bytes> {
    let first = *payload.first()?;
    let head = match kind {
        MediaKind::Data => return None,
        MediaKind::Audio if first >> 4 == 10 => 2,
        MediaKind::Video if first & 0x8f == 7 => 5,
        MediaKind::Audio if first >> 4 == 9 => enhanced_head(payload, 5, false)?,
        MediaKind::Video if first & 0x80 != 0 => enhanced_head(payload, 6, true)?,
        _ => return None,
    };
    (head < payload.len()).then(|| payload.slice(head..))
}

/// The length of an enhanced head: packet type and FourCC, the track's id, the time of composition.
fn enhanced_head(payload: &[u8], multitrack: u8, video: bool) -> Option<usize> {
    let (packet_type, four_cc, mut head) = match *payload.first()? & 0xf {
        outer if outer == multitrack => (*payload.get(1)?, payload.get(2..6)?, 7), // one track
        packet_type => (packet_type, payload.get(1..5)?, 5),
    };
    if video && packet_type == 1 && (four_cc == b"avc1" || four_cc == b"hvc1") {
        head += 3;
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_as_long_as_specified() {
        let video = |payload: &'static [u8]| sample_of(MediaKind::Video, &payload.into());
        let audio = |payload: &'static [u8]| sample_of(MediaKind::Audio, &payload.into());
        assert_eq!(video(b"\x17\x01\0\0\0ab").unwrap(), "ab");
        assert_eq!(video(b"\x93avc1ab").unwrap(), "ab");
        assert_eq!(video(b"\x91avc1\0\0\x28ab").unwrap(), "ab");
        assert_eq!(video(b"\xA6\x03avc1\x01ab").unwrap(), "ab");
        assert_eq!(video(b"\x96\x01avc1\x01\0\0\x28ab").unwrap(), "ab");
        assert_eq!(audio(b"\xaf\x01ab").unwrap(), "ab");
        assert_eq!(audio(b"\x91Opusab").unwrap(), "ab");
        assert_eq!(audio(b"\x95\x01mp4a\x02ab").unwrap(), "ab");
        assert_eq!(video(b"\x93avc1"), None);
        assert_eq!(video(b"\x12\0"), None);
    }
}
