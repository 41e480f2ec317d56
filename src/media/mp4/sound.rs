//! What a sound track is, from its decoder configuration or from its first frame.

use super::bits::Bits;
use super::boxes::Fields;

/// What a sample entry says of sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sound {
    /// Samples a second.
    pub(super) rate: u32,
    /// Channels.
    pub(super) channels: u16,
}

/// From an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
pub(super) fn of_aac(config: &[u8]) -> Option<Sound> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let mut bits = Bits::new(config);
    if bits.take(5)? == 31 {
        bits.skip(6);
    }
    let rate = match bits.take(4)? {
        15 => bits.take(24)?,
        index => *RATES.get(index as usize)?,
    };
    let channels = match bits.take(4)? {
        0 => 2, // as the program config element says; decoders look there
        7 | 12 | 14 => 8,
        11 => 7,
        channels => channels as u16,
    };
    (rate > 0).then_some(Sound { rate, channels })
}

/// From the header of an MPEG audio frame of layer III (ISO/IEC 11172-3 §2.4.1.3), and whether it is MPEG-1's.
pub(super) fn of_mp3(frame: &[u8]) -> Option<(Sound, bool)> {
    let mut bits = Bits::new(frame);
    if bits.take(11)? != 0x7FF {
        return None;
    }
    let version = bits.take(2)?;
    let (layer, _) = (bits.take(2)?, bits.flag()?);
    let (bitrate, rate) = (bits.take(4)?, bits.take(2)?);
    bits.skip(2);
    let channels = if bits.take(2)? == 3 { 1 } else { 2 };
    if layer != 1 || version == 1 || bitrate == 15 {
        return None;
    }
    let halvings = match version {
        3 => 0,
        2 => 1,
        _ => 2,
    };
    let rate = [44_100u32, 48_000, 32_000].get(rate as usize)? >> halvings;
    Some((Sound { rate, channels }, version == 3))
}

/// Full-range channels of an acmod (ETSI TS 102 366 §4.4.2.3).
fn channels(acmod: u32, lfe: bool) -> u16 {
    let full = [2, 1, 2, 3, 3, 4, 4, 5].get(acmod as usize);
    full.copied().unwrap_or(2) + u16::from(lfe)
}

const AC3_RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// From an AC-3 frame (ETSI TS 102 366 §4.3), and the body of `dac3` (annex F.4).
pub(super) fn of_ac3(frame: &[u8]) -> Option<(Sound, [u8; 3])> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != 0x0B77 {
        return None;
    }
    bits.skip(16);
    let (fscod, frmsizecod) = (bits.take(2)?, bits.take(6)?);
    let (bsid, bsmod, acmod) = (bits.take(5)?, bits.take(3)?, bits.take(3)?);
    if bsid > 10 {
        return None;
    }
    if acmod & 1 != 0 && acmod != 1 {
        bits.skip(2); // cmixlev
    }
    if acmod & 4 != 0 {
        bits.skip(2); // surmixlev
    }
    if acmod == 2 {
        bits.skip(2); // dsurmod
    }
    let lfe = bits.flag()?;
    let rate = *AC3_RATES.get(fscod as usize)?;
    let packed = fscod << 22
        | bsid << 17
        | bsmod << 14
        | acmod << 11
        | u32::from(lfe) << 10
        | (frmsizecod >> 1) << 5;
    let [_, a, b, c] = packed.to_be_bytes();
    let channels = channels(acmod, lfe);
    Some((Sound { rate, channels }, [a, b, c]))
}

/// One substream's frame of Enhanced AC-3 (ETSI TS 102 366 annex E.1.2).
struct SubFrame {
    dependent: bool,
    bytes: usize,
    blocks: u32,
    fscod: u32,
    rate: u32,
    acmod: u32,
    lfe: bool,
    bsid: u32,
}

fn eac3_frame(frame: &[u8]) -> Option<SubFrame> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != 0x0B77 {
        return None;
    }
    let stream_type = bits.take(2)?;
    bits.skip(3);
    let bytes = (bits.take(11)? as usize + 1) * 2;
    let fscod = bits.take(2)?;
    let (rate, blocks) = if fscod == 3 {
        (AC3_RATES.get(bits.take(2)? as usize)? / 2, 6)
    } else {
        let blocks = [1, 2, 3, 6].get(bits.take(2)? as usize).copied()?;
        (*AC3_RATES.get(fscod as usize)?, blocks)
    };
    let (acmod, lfe, bsid) = (bits.take(3)?, bits.flag()?, bits.take(5)?);
    if !(11..=16).contains(&bsid) {
        return None;
    }
    Some(SubFrame {
        dependent: stream_type == 1,
        bytes,
        blocks,
        fscod,
        rate,
        acmod,
        lfe,
        bsid,
    })
}

/// From the frames of one message of Enhanced AC-3, and the body of `dec3` (ETSI TS 102 366 annex F.6), which speaks of
/// the first independent substream: all there is outside of broadcast.
pub(super) fn of_eac3(message: &[u8]) -> Option<(Sound, Vec<u8>)> {
    let first = eac3_frame(message)?;
    let (mut bytes, mut dependents) = (first.bytes, 0);
    let next = |at: usize| message.get(at..).and_then(eac3_frame);
    while let Some(frame) = next(bytes).filter(|frame| frame.dependent) {
        bytes += frame.bytes;
        dependents += 1;
    }
    let samples = u64::from(first.blocks) * 256;
    let kbits = bytes as u64 * 8 * u64::from(first.rate) / samples / 1_000;
    let channels = channels(first.acmod, first.lfe) + 2 * u16::from(dependents > 0);
    let head = (kbits.min(0x1FFF) as u16) << 3; // and one independent substream
    let substream = first.fscod << 22
        | first.bsid << 17
        | first.acmod << 9
        | u32::from(first.lfe) << 8
        | (dependents & 0xF) << 1;
    let [_, a, b, c] = substream.to_be_bytes();
    let mut body = head.to_be_bytes().to_vec();
    body.extend([a, b, c]);
    if dependents > 0 {
        body.push(2); // chan_loc: Lrs/Rrs, as in 7.1
    }
    let rate = first.rate;
    Some((Sound { rate, channels }, body))
}

/// STREAMINFO (RFC 9639 §8.2) from Enhanced RTMP's header of FLAC: behind "fLaC" and a block header, as it is
/// specified, or alone, as FFmpeg sends it.
pub(super) fn flac_stream_info(header: &[u8]) -> Option<&[u8]> {
    const STREAM_INFO: usize = 34;
    let blocks = header.strip_prefix(b"fLaC").unwrap_or(header);
    match blocks.strip_prefix(&[0x80, 0, 0, STREAM_INFO as u8]) {
        Some(info) => info.get(..STREAM_INFO),
        None => match blocks.strip_prefix(&[0, 0, 0, STREAM_INFO as u8]) {
            Some(info) => info.get(..STREAM_INFO),
            None => blocks.get(..STREAM_INFO),
        },
    }
}

/// From STREAMINFO: also bits of a sample.
pub(super) fn of_flac(info: &[u8]) -> Option<(Sound, u16)> {
    let mut bits = Bits::new(info);
    bits.skip(80);
    let rate = bits.take(20)?;
    let channels = bits.take(3)? as u16 + 1;
    let depth = bits.take(5)? as u16 + 1;
    (rate > 0).then_some((Sound { rate, channels }, depth))
}

/// From an Opus identification header (RFC 7845 §5.1): the channels, and the body of `dOps`, which says the same from
/// the other end (Opus in ISOBMFF §4.3.2). Without one: stereo, and as much priming as encoders use.
pub(super) fn of_opus(header: &[u8]) -> Option<(Sound, Vec<u8>)> {
    const RATE: u32 = 48_000;
    const PRIMING: u16 = 312;
    let header = header.strip_prefix(b"OpusHead").unwrap_or(header);
    let (channels, body) = if header.is_empty() {
        let [p0, p1] = PRIMING.to_be_bytes();
        let [r0, r1, r2, r3] = RATE.to_be_bytes();
        (2, vec![0, 2, p0, p1, r0, r1, r2, r3, 0, 0, 0])
    } else {
        let mut fields = Fields::new(header);
        fields.u8()?; // version
        let channels = fields.u8()?;
        let [p0, p1] = fields.array()?;
        let [r0, r1, r2, r3] = fields.array()?;
        let [g0, g1] = fields.array()?;
        let family = fields.u8()?;
        let mut body = vec![0, channels, p1, p0, r3, r2, r1, r0, g1, g0, family];
        if family != 0 {
            body.extend(fields.rest().get(..2 + usize::from(channels))?);
        }
        (u16::from(channels), body)
    };
    let rate = RATE;
    (channels > 0).then_some((Sound { rate, channels }, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(rate: u32, channels: u16) -> Sound {
        Sound { rate, channels }
    }

    #[test]
    fn what_encoders_write() {
        assert_eq!(of_aac(&[0x12, 0x10]), Some(sound(44_100, 2)));
        assert_eq!(of_aac(&[0x12, 0x08, 0x56, 0xE5, 0]), Some(sound(44_100, 1)));
        assert_eq!(
            of_mp3(&[0xFF, 0xFB, 0x90, 0xC4]),
            Some((sound(44_100, 1), true))
        );
        assert_eq!(
            of_mp3(&[0xFF, 0xF3, 0x90, 0x04]),
            Some((sound(22_050, 2), false))
        );
        assert_eq!(of_mp3(&[0xFF, 0xFD, 0x90, 0x04]), None, "layer II");
        let ac3 = of_ac3(&[0x0B, 0x77, 0x4B, 0x20, 0x48, 0x40, 0x2F, 0x84]);
        assert_eq!(ac3, Some((sound(44_100, 1), [0x50, 0x08, 0x80])));
    }

    #[test]
    fn flac_comes_in_three_forms() {
        let mut info = [0; 34];
        info[10..14].copy_from_slice(&[0x0A, 0xC4, 0x42, 0xF0]);
        let block = [&[0x80, 0, 0, 34], &info[..]].concat();
        let file = [b"fLaC", &block[..]].concat();
        for form in [&info[..], &block, &file] {
            assert_eq!(flac_stream_info(form), Some(&info[..]));
        }
        assert_eq!(of_flac(&info), Some((sound(44_100, 2), 16)));
        assert_eq!(flac_stream_info(&file[..41]), None);
    }

    #[test]
    fn opus_says_it_from_the_other_end() {
        let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
        let (sound, body) = of_opus(head).expect("it is whole");
        assert_eq!(sound.channels, 1);
        assert_eq!(body, [0, 1, 1, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0]);
        assert!(of_opus(b"").is_some());
        assert_eq!(of_opus(&head[..18]), None);
    }
}
