use super::*;
use crate::rtmp::wire::MediaKind;

/// A file of these tags: type, time, body.
fn file(tags: &[(u8, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    for (tag, time, body) in tags {
        let [t0, t1, t2, t3] = time.to_be_bytes();
        let length = body.len() as u32;
        bytes.push(*tag);
        bytes.extend_from_slice(&length.to_be_bytes()[1..]);
        bytes.extend_from_slice(&[t1, t2, t3, t0, 0, 0, 0]);
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&(length + 11).to_be_bytes());
    }
    bytes
}

fn read_in(pieces: &[&[u8]]) -> Result<Vec<FlvTag>, FlvError> {
    let (mut reader, mut tags) = (FlvReader::new(), Vec::new());
    for mut piece in pieces.iter().copied() {
        while let Some(tag) = reader.read(&mut piece)? {
            tags.push(tag);
        }
        assert!(piece.is_empty());
    }
    reader.finish()?;
    Ok(tags)
}

fn sample() -> Vec<u8> {
    file(&[
        (18, 0, b"\x02\x00\x0aonMetaData\x05"),
        (9, 0, &[0x17, 0, 0, 0, 0]),
        (0x0A, 3, b"reserved"),
        (8, 0x0123_4567, &[0xAF; 300]),
        (9, u32::MAX, &[]),
    ])
}

#[test]
fn tags_come_as_they_were_written() {
    let tags = read_in(&[&sample()]).unwrap();
    let seen: Vec<_> = tags
        .iter()
        .map(|tag| (tag.offset, tag.kind, tag.timestamp.0, tag.payload.len()))
        .collect();
    assert_eq!(
        seen,
        [
            (13, MediaKind::Data, 0, 14),
            (42, MediaKind::Video, 0, 5),
            (85, MediaKind::Audio, 0x0123_4567, 300),
            (400, MediaKind::Video, u32::MAX, 0),
        ]
    );
}

#[test]
fn pieces_of_any_size_are_the_same_file() {
    let bytes = sample();
    let whole = read_in(&[&bytes]).unwrap();
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(read_in(&[front, back]).unwrap(), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read_in(&single).unwrap(), whole);
}

#[test]
fn a_file_cut_anywhere_says_where() {
    let bytes = sample();
    let begins = [13_usize, 42, 62, 85, 400, 415];
    for end in 0..bytes.len() {
        let begin = begins.iter().rev().find(|begin| **begin <= end).copied();
        let got = read_in(&[&bytes[..end]]);
        // The size behind a tag is no part of it.
        let after_tag = begins
            .iter()
            .any(|begin| *begin > end && end + TRAILER >= *begin);
        if begin == Some(end) || (after_tag && end >= 9) {
            assert!(got.is_ok(), "cut at {end}: {got:?}");
        } else {
            let offset = begin.unwrap_or(0) as u64;
            assert_eq!(got, Err(FlvError::Truncated { offset }), "cut at {end}");
        }
    }
}

#[test]
fn hostile_files_are_refused_with_their_place() {
    assert_eq!(
        read_in(&[b"RIFF\x00\x00\x00\x00\x00"]),
        Err(FlvError::NotFlv(*b"RIF"))
    );
    let with = |at: usize, byte: u8| {
        let mut bytes = sample();
        bytes[at] = byte;
        read_in(&[&bytes])
    };
    assert_eq!(with(3, 2), Err(FlvError::Version { got: 2 }));
    assert_eq!(with(8, 8), Err(FlvError::HeaderLength { got: 8 }));
    assert_eq!(
        with(5, 0xFF),
        Err(FlvError::HeaderLength { got: 0xFF00_0009 })
    );
    assert_eq!(with(42, 0x29), Err(FlvError::Encrypted { offset: 42 }));
    assert_eq!(
        with(43, 0xFF),
        Err(FlvError::TagTooLong {
            offset: 42,
            got: 0xFF_0005
        })
    );
    assert_eq!(
        with(61, 9),
        Err(FlvError::PreviousTagSize {
            offset: 58,
            expected: 16,
            got: 9
        })
    );
    assert!(with(61, 5).is_ok(), "the body alone");
    assert!(with(61, 0).is_ok(), "not counted at all");
}

#[test]
fn a_declared_size_reserves_nothing() {
    let mut bytes = file(&[]);
    bytes.extend_from_slice(&[9, 0x9F, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    let mut reader = FlvReader::new();
    assert_eq!(reader.read(&mut &bytes[..]), Ok(None));
    assert!(reader.held.capacity() < 64, "{}", reader.held.capacity());
}

#[test]
fn a_longer_file_header_is_passed_over() {
    let mut bytes = b"FLV\x01\x05\x00\x00\x00\x0c\xAA\xAA\xAA\x00\x00\x00\x00".to_vec();
    bytes.extend_from_slice(&file(&[(8, 1, b"x")])[13..]);
    let tags = read_in(&[&bytes]).unwrap();
    assert_eq!((tags.len(), tags[0].offset), (1, 16));
}
