//! How large a track's pictures are, from its decoder configuration or from its first keyframe: boxes say it, RTMP does not.

use super::bits::Bits;
use super::boxes::Fields;

/// Width and height, as shown.
pub(super) type Size = (u16, u16);

/// Bytes of a parameter set that are looked at: sizes stand in the first hundred, behind scaling lists in the first 800.
const LOOKED_AT: usize = 1_024;

/// A parameter set without its emulation prevention (H.264 §7.4.1: 00 00 03 stands for 00 00).
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let bytes = nal.iter().take(LOOKED_AT).filter(|byte| {
        let is_escape = zeros >= 2 && **byte == 3;
        zeros = if **byte == 0 { zeros + 1 } else { 0 };
        !is_escape
    });
    bytes.copied().collect()
}

/// What is cut off at the sides, of `units` in width and height.
fn cropped(
    (width, height): (u32, u32),
    bits: &mut Bits<'_>,
    units: (u32, u32),
) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return Some((width, height));
    }
    let (left, right) = (bits.ue()?, bits.ue()?);
    let (top, bottom) = (bits.ue()?, bits.ue()?);
    let cut =
        |size: u32, a: u32, b: u32, unit| size.checked_sub(a.checked_add(b)?.checked_mul(unit)?);
    let width = cut(width, left, right, units.0)?;
    let height = cut(height, top, bottom, units.1)?;
    Some((width, height))
}

fn sane((width, height): (u32, u32)) -> Option<Size> {
    let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    (width > 0 && height > 0).then_some((width, height))
}

/// From an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3).
pub(super) fn of_avc(config: &[u8]) -> Option<Size> {
    let mut fields = Fields::new(config);
    fields.skip(5)?;
    let count = fields.u8()? & 0x1F;
    let length = usize::from(fields.u16()?);
    if count == 0 {
        return None;
    }
    let nal = fields.rest().get(1..length)?;
    avc_sps(&unescaped(nal))
}

/// H.264 §7.3.2.1.1.
fn avc_sps(sps: &[u8]) -> Option<Size> {
    const WITH_CHROMA: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
    let mut bits = Bits::new(sps);
    let profile = bits.small(8)?;
    bits.skip(16);
    bits.ue()?; // seq_parameter_set_id
    let mut chroma = 1;
    if WITH_CHROMA.contains(&profile) {
        chroma = bits.ue()?;
        if chroma == 3 && bits.flag()? {
            chroma = 0;
        }
        bits.ue()?; // bit depths
        bits.ue()?;
        bits.flag()?;
        if bits.flag()? {
            let lists = if chroma == 3 { 12 } else { 8 };
            scaling_lists(&mut bits, lists)?;
        }
    }
    bits.ue()?; // log2_max_frame_num
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.flag()?;
            bits.ue()?; // offsets; as long as they are, signed or not
            bits.ue()?;
            for _ in 0..bits.ue()?.min(255) {
                bits.ue()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // max_num_ref_frames
    bits.flag()?;
    let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.ue()?.checked_add(1)?;
    let frames_only = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        bits.flag()?;
    }
    bits.flag()?;
    let height = map_units.checked_mul(16 * fields)?;
    let (across, down) = chroma_units(chroma);
    sane(cropped(
        (width, height),
        &mut bits,
        (across, down * fields),
    )?)
}

/// H.264 §7.3.2.1.1.1.
fn scaling_lists(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let mut next = 8i32;
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = next.wrapping_add(bits.se()?) & 0xFF;
            }
        }
    }
    Some(())
}

/// Samples of luma for one of chroma, across and down.
fn chroma_units(chroma_format: u32) -> (u32, u32) {
    match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// From an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3).
pub(super) fn of_hevc(config: &[u8]) -> Option<Size> {
    const SPS: u8 = 33;
    let mut fields = Fields::new(config);
    fields.skip(22)?;
    for _ in 0..fields.u8()? {
        let kind = fields.u8()? & 0x3F;
        for _ in 0..fields.u16()? {
            let length = usize::from(fields.u16()?);
            if kind == SPS {
                return hevc_sps(&unescaped(fields.rest().get(2..length)?));
            }
            fields.skip(length)?;
        }
    }
    None
}

/// H.265 §7.3.2.2.1.
fn hevc_sps(sps: &[u8]) -> Option<Size> {
    let mut bits = Bits::new(sps);
    bits.skip(4);
    let layers = bits.take(3)?;
    bits.skip(1 + 88 + 8); // profile_tier_level, §7.3.3
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers as usize));
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 });
    }
    bits.ue()?; // sps_seq_parameter_set_id
    let mut chroma = bits.ue()?;
    if chroma == 3 && bits.flag()? {
        chroma = 0;
    }
    let size = (bits.ue()?, bits.ue()?);
    sane(cropped(size, &mut bits, chroma_units(chroma))?)
}

/// From an AV1CodecConfigurationRecord, or none if it comes without a sequence header.
pub(super) fn of_av1(config: &[u8]) -> Option<Size> {
    av1_units(config.get(4..)?)
}

/// From AV1's open bitstream units (§5.3): the sequence header's size.
pub(super) fn av1_units(units: &[u8]) -> Option<Size> {
    const SEQUENCE_HEADER: u8 = 1;
    let mut fields = Fields::new(units);
    loop {
        let header = fields.u8()?;
        if header & 4 != 0 {
            fields.u8()?;
        }
        let length = match header & 2 {
            0 => fields.rest().len(),
            _ => leb128(&mut fields)?,
        };
        let body = fields.rest().get(..length)?;
        if header >> 3 & 0xF == SEQUENCE_HEADER {
            return av1_sequence(body);
        }
        fields.skip(length)?;
    }
}

fn leb128(fields: &mut Fields<'_>) -> Option<usize> {
    let mut value = 0u64;
    for n in 0..8 {
        let byte = fields.u8()?;
        value |= u64::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// AV1 §5.5.1.
fn av1_sequence(body: &[u8]) -> Option<Size> {
    let mut bits = Bits::new(body);
    bits.skip(4); // seq_profile, still_picture
    if bits.flag()? {
        bits.skip(5); // reduced_still_picture_header: a level, and nothing else
    } else {
        av1_operating_points(&mut bits)?;
    }
    let (width, height) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let (width, height) = (bits.take(width)?, bits.take(height)?);
    sane((width + 1, height + 1))
}

fn av1_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_length = None;
    if bits.flag()? {
        bits.skip(64); // timing_info
        if bits.flag()? {
            bits.ue()?;
        }
        if bits.flag()? {
            delay_length = Some(bits.take(5)? as usize + 1);
            bits.skip(32 + 5 + 5); // decoder_model_info
        }
    }
    let with_delay = bits.flag()?;
    for _ in 0..=bits.take(5)? {
        bits.skip(12);
        if bits.take(5)? > 7 {
            bits.skip(1); // seq_tier
        }
        if let Some(length) = delay_length
            && bits.flag()?
        {
            bits.skip(2 * length + 1);
        }
        if with_delay && bits.flag()? {
            bits.skip(4);
        }
    }
    Some(())
}

/// From a VP9 keyframe (VP9 §6.2); vpcC does not say it.
pub(super) fn of_vp9(frame: &[u8]) -> Option<Size> {
    const RGB: u32 = 7;
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.skip(1);
    }
    let (shows_existing, is_inter) = (bits.flag()?, bits.flag()?);
    bits.skip(2); // show_frame, error_resilient_mode
    if shows_existing || is_inter || bits.take(24)? != 0x49_83_42 {
        return None;
    }
    if profile >= 2 {
        bits.skip(1);
    }
    let odd = profile % 2 == 1;
    if bits.take(3)? == RGB {
        bits.skip(if odd { 1 } else { 0 });
    } else {
        bits.skip(if odd { 4 } else { 1 });
    }
    sane((bits.take(16)? + 1, bits.take(16)? + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            u8::from_str_radix(core::str::from_utf8(pair).unwrap_or("0"), 16).unwrap_or(0)
        };
        digits.chunks(2).map(byte).collect()
    }

    /// By FFmpeg 9.0.2 with libx264: 320x180, cropped from 192 lines.
    const AVC: &str =
        "014d400cffe100176 74d400cda0506 7e7c0440000003004000000c83c50aa801000468ef3c80";
    /// By FFmpeg 9.0.2 with libaom: 320x180.
    const AV1: &str = "81000c000a0b0200000521e7f66017c002";

    #[test]
    fn sizes_of_what_encoders_write() {
        assert_eq!(of_avc(&hex(AVC)), Some((320, 180)));
        assert_eq!(of_av1(&hex(AV1)), Some((320, 180)));
        // Profile 0, keyframe, shown, colour space 2: 320x180.
        assert_eq!(of_vp9(&hex("82498342 40 13f0 0b30 00")), Some((320, 180)));
    }

    #[test]
    fn what_is_cut_off_has_none() {
        for config in [hex(AVC), hex(AV1)] {
            for end in 0..config.len() {
                let _ = of_avc(&config[..end]);
                let _ = of_hevc(&config[..end]);
                let _ = of_av1(&config[..end]);
                let _ = of_vp9(&config[..end]);
            }
        }
        assert_eq!(of_avc(&hex(AVC)[..12]), None);
        assert_eq!(of_hevc(&[0xFF; 4_096]), None);
    }
}
