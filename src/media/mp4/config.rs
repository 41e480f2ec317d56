//! From a sample entry to what RTMP says: the codec, and the body of its sequence header.

use core::ops::Range;

use super::boxes::{Fields, Kind, child};
use super::entry::Coding;

/// What a track is coded with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Config {
    pub(super) coding: Coding,
    /// The body of the sequence header, as RTMP has it; empty for codecs that have none.
    pub(super) header: Vec<u8>,
    /// Width and height, or 0.
    pub(super) size: (u16, u16),
    /// Samples a second and channels, or 0.
    pub(super) sound: (u32, u16),
}

/// Bytes of a sample entry before the boxes in it.
const VISUAL: usize = 78;
const SOUND: usize = 28;

/// The sample entry of type `kind` whose body lies at `range`; none: RTMP does not carry it, or it is broken.
pub(super) fn config(bytes: &[u8], range: Range<usize>, kind: Kind) -> Option<Config> {
    match &kind {
        b"avc1" | b"avc3" => video(bytes, range, Coding::Avc, *b"avcC"),
        b"hvc1" | b"hev1" => video(bytes, range, Coding::Hevc, *b"hvcC"),
        b"av01" => video(bytes, range, Coding::Av1, *b"av1C"),
        b"vp09" => video(bytes, range, Coding::Vp9, *b"vpcC"),
        b"mp4a" | b".mp3" | b"Opus" | b"fLaC" | b"ac-3" | b"ec-3" => sound(bytes, range, kind),
        _ => None,
    }
}

fn video(bytes: &[u8], range: Range<usize>, coding: Coding, kind: Kind) -> Option<Config> {
    let mut fields = Fields::new(bytes.get(range.clone())?);
    fields.skip(24)?;
    let size = (fields.u16()?, fields.u16()?);
    let header = child(bytes, range.start.checked_add(VISUAL)?..range.end, kind)?;
    let header = bytes.get(header)?.to_vec();
    let shortest = if coding == Coding::Av1 { 4 } else { 7 };
    (header.len() >= shortest).then_some(Config {
        coding,
        header,
        size,
        sound: (0, 0),
    })
}

fn sound(bytes: &[u8], range: Range<usize>, kind: Kind) -> Option<Config> {
    let mut fields = Fields::new(bytes.get(range.clone())?);
    fields.skip(8)?;
    let version = fields.u16()?;
    fields.skip(6)?;
    let channels = fields.u16()?;
    fields.skip(6)?;
    let rate = fields.u32()? >> 16;
    // QuickTime's sound descriptions have further fields.
    let more = match version {
        1 => 16,
        2 => 36,
        _ => 0,
    };
    let boxes = range.start.checked_add(SOUND + more)?..range.end;
    let inner = |kind| child(bytes, boxes.clone(), kind);
    let get = |range: Option<Range<usize>>| range.and_then(|range| bytes.get(range));
    let (coding, header) = match &kind {
        b".mp3" => (Coding::Mp3, Vec::new()),
        b"ac-3" => (Coding::Ac3, Vec::new()),
        b"ec-3" => (Coding::Eac3, Vec::new()),
        b"Opus" => (Coding::Opus, opus_head(get(inner(*b"dOps"))?)?),
        b"fLaC" => (Coding::Flac, flac_header(get(inner(*b"dfLa"))?)?),
        _ => {
            let wave = || child(bytes, inner(*b"wave")?, *b"esds");
            object(get(inner(*b"esds").or_else(wave))?)?
        }
    };
    Some(Config {
        coding,
        header,
        size: (0, 0),
        sound: (rate, channels),
    })
}

/// `dOps` as an identification header (RFC 7845 §5.1).
fn opus_head(body: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields::new(body);
    fields.u8()?; // version 0
    let channels = fields.u8()?;
    let ([p0, p1], [r0, r1, r2, r3]) = (fields.array()?, fields.array()?);
    let [g0, g1] = fields.array()?;
    let mut head = b"OpusHead\x01".to_vec();
    head.extend([channels, p1, p0, r3, r2, r1, r0, g1, g0]);
    head.extend(fields.rest());
    Some(head)
}

/// `dfLa` as Enhanced RTMP has it: "fLaC" and the block STREAMINFO.
fn flac_header(body: &[u8]) -> Option<Vec<u8>> {
    let block = body.get(4..4 + 4 + 34)?;
    let mut header = b"fLaC".to_vec();
    header.extend(block);
    // It is the last block of this header, whatever it was of the file's.
    *header.get_mut(4)? |= 0x80;
    Some(header)
}

/// What `esds` describes (ISO/IEC 14496-1 §7.2.6.5).
fn object(esds: &[u8]) -> Option<(Coding, Vec<u8>)> {
    let mut stream = Fields::new(descriptor(&mut Fields::new(esds.get(4..)?), 3)?);
    stream.u16()?;
    let flags = stream.u8()?;
    stream.skip(if flags & 0x80 != 0 { 2 } else { 0 })?;
    if flags & 0x40 != 0 {
        let length = stream.u8()?;
        stream.skip(length.into())?;
    }
    stream.skip(if flags & 0x20 != 0 { 2 } else { 0 })?;
    let mut decoder = Fields::new(descriptor(&mut stream, 4)?);
    let object_type = decoder.u8()?;
    decoder.skip(12)?;
    match object_type {
        0x40 | 0x66..=0x68 => {
            let specific = descriptor(&mut decoder, 5)?;
            (specific.len() >= 2).then(|| (Coding::Aac, specific.to_vec()))
        }
        0x69 | 0x6B => Some((Coding::Mp3, Vec::new())),
        0xA5 => Some((Coding::Ac3, Vec::new())),
        0xA6 => Some((Coding::Eac3, Vec::new())),
        _ => None,
    }
}

/// The body of the next descriptor, which has to be a `tag`.
fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Option<&'a [u8]> {
    if fields.u8()? != tag {
        return None;
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = fields.rest().get(..length)?;
    fields.skip(length)?;
    Some(body)
}
