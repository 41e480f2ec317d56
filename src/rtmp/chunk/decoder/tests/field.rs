//! Failures that other servers had in the field, or still have. Each test bears the failure's name; `seed` is the
//! server that ours was written to replace.

use super::*;
use crate::rtmp::control::ProtocolControl;

/// It took the index modulo the chunk size, and read four bytes of shorter payloads.
#[test]
fn seed_divided_by_a_chunk_size_of_0() {
    let mut decoder = Decoder::new(128);
    assert_eq!(
        decoder.set_chunk_size(0),
        Err(ChunkError::ChunkSize { got: 0 })
    );
    for len in 0..4 {
        assert_eq!(ProtocolControl::decode(1, &[0; 4][..len]), None);
    }
}

/// Each header reserved what it claimed, up to 16 MB for each of 256 chunk streams.
#[test]
fn seed_reserved_16_mb_for_each_header() {
    let mut decoder = Decoder::new(60_000);
    decoder.set_chunk_size(0x7FFF_FFFF).unwrap();
    for csid in 0..limits::CHUNK_STREAMS as u8 {
        let header = [0, csid, 0, 0, 0, 0x9F, 0xFF, 0xFF, 9, 1, 0, 0, 0];
        // The chunk must end before another may begin: the size shrinks once the header is read.
        decoder.set_chunk_size(1).unwrap();
        assert_eq!(feed(&mut decoder, &cat(&[&header, &[7]])), Ok(vec![]));
        assert!(decoder.buffered_bytes() <= 32 * (usize::from(csid) + 1));
    }
    let error = feed(&mut decoder, &fmt0(3, 0, 200, 9));
    assert_eq!(error, Err(ChunkError::TooManyChunkStreams { csid: 3 }));
}

/// Its csid was 8 bits wide, and the long form multiplied by 255.
#[test]
fn seed_misread_csids_of_three_bytes() {
    for (form, csid) in [
        ([1, 0, 0], 64),
        ([1, 0xFF, 0], 319),
        ([1, 0, 1], 320),
        ([1, 1, 1], 321),
        ([1, 0xFF, 0xFF], 65_599),
    ] {
        let bytes = cat(&[&form, &fmt0(0, 5, 1, 8)[1..], &[9]]);
        assert_eq!(decode(&bytes), [(csid, 8, 1, 5, vec![9])]);
    }
}

/// It cleared the time between messages: a new message with fmt 3 had delta 0, behind an extended timestamp the parser
/// lost its place, and extended deltas were lost. Audio and video drifted apart.
#[test]
fn seed_7_forgot_the_time_between_messages() {
    let bytes = cat(&[
        &fmt0(4, 26, 1, 8),
        &[9, 0x84, 0, 0, 20, 9, 0xC4, 9, 0xC4, 9],
    ]);
    assert_eq!(times(&bytes), [26, 46, 66, 86]);
    let far = 0x0100_0000;
    let bytes = cat(&[
        &fmt0(4, far, 1, 8),
        &[9, 0xC4, 0, 0, 0, 5, 9, 0x84, 0, 0, 1, 9],
    ]);
    assert_eq!(times(&bytes), [far, far + 5, far + 6]);
    let bytes = cat(&[
        &fmt0(4, 1, 1, 8),
        &[9, 0x84, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 9],
    ]);
    assert_eq!(times(&bytes), [1, far + 1]);
}

/// A chunk size that changed between two chunks of a message made the seed lose its place.
#[test]
fn seed_lost_its_place_when_the_chunk_size_changed_in_mid_message() {
    let payload: Vec<u8> = (0..200).collect();
    let mut decoder = Decoder::new(128);
    let start = cat(&[&fmt0(6, 1, 200, 9), &payload[..128]]);
    assert_eq!(feed(&mut decoder, &start), Ok(vec![]));
    let size = cat(&[&fmt0(2, 0, 4, 1), &[0, 0, 0, 60]]);
    assert_eq!(feed(&mut decoder, &size).map(|got| got.len()), Ok(1));
    decoder.set_chunk_size(60).unwrap();
    let rest = cat(&[&[0xC6], &payload[128..188], &[0xC6], &payload[188..]]);
    assert_eq!(feed(&mut decoder, &rest), Ok(vec![(6, 9, 1, 1, payload)]));
}

/// 4 h 39 min 37 s: 24 bits of milliseconds are over, in mid-stream and by deltas alone.
#[test]
fn nms_25_time_ended_after_24_bits() {
    let mut bytes = cat(&[&fmt0(4, 0xFF_FFF0, 1, 8), &[9, 0x84, 0, 0, 8, 9]]);
    bytes.extend([0xC4, 9, 0xC4, 9]);
    bytes.extend(fmt0(4, 0x0100_0010, 1, 8));
    bytes.push(9);
    let want = [0xFF_FFF0, 0xFF_FFF8, 0x0100_0000, 0x0100_0008, 0x0100_0010];
    assert_eq!(times(&bytes), want);
}

/// Before 6.0.167 it took the extended field of fmt 1 and 2 for the time itself.
#[test]
fn srs_4356_extended_deltas_are_no_absolute_time() {
    let payload: Vec<u8> = (0..200).collect();
    let delta = 0x0100_0000u32;
    // What stands on the continuation: the delta again, the time, its low 31 bits, nothing.
    let time = 0x8000_0000u32.wrapping_add(delta);
    for field in [
        &delta.to_be_bytes()[..],
        &time.to_be_bytes(),
        &(time & 0x7FFF_FFFF).to_be_bytes(),
        &[],
    ] {
        for header in [
            &[0x44, 0xFF, 0xFF, 0xFF, 0, 0, 200, 8, 1, 0, 0, 0][..],
            &[0x84, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0],
        ] {
            let bytes = cat(&[
                &fmt0(4, 0x8000_0000, 200, 8),
                &payload[..128],
                &[0xC4],
                &0x8000_0000u32.to_be_bytes(),
                &payload[128..],
                header,
                &payload[..128],
                &[0xC4],
                field,
                &payload[128..],
            ]);
            let want = |time| (4, 8, 1, time, payload.clone());
            assert_eq!(decode(&bytes), [want(0x8000_0000), want(time)]);
        }
    }
}

/// OBS before 2024 left the field out on fmt 3, and its streams broke after 4.66 h: also when they interleave, and
/// where payload is all zeros, once the habit is known on another chunk stream.
#[test]
fn obs_10097_left_extended_timestamps_out_on_fmt_3() {
    let time = 0x0123_4567;
    let video = [vec![0x17; 128], vec![0; 172]].concat();
    let audio = [vec![0xAF; 128], vec![0; 72]].concat();
    let first = cat(&[&fmt0(5, time, 130, 18), &[2; 128], &[0xC5], &[2; 2]]);
    let mut header = fmt0(6, time, 0, 9);
    [header[5], header[6]] = [1, 44];
    let bytes = cat(&[
        &first,
        &header,
        &video[..128],
        &fmt0(4, time + 1, 200, 8),
        &audio[..128],
        &[0xC6],
        &video[128..256],
        &[0xC4],
        &audio[128..],
        &[0xC6],
        &video[256..],
    ]);
    let want = [
        (5, 18, 1, time, vec![2; 130]),
        (4, 8, 1, time + 1, audio),
        (6, 9, 1, time, video),
    ];
    assert_eq!(decode(&bytes), want);
}

/// Some senders use chunk streams that no list knows; all are good, to the bound.
#[test]
fn mediamtx_4807_refused_unusual_chunk_streams() {
    let mut bytes = Vec::new();
    let mut want = Vec::new();
    for csid in [2u32, 7, 20, 63, 64, 100, 319, 320, 4_096, 65_599] {
        Basic::write(&mut bytes, 0, csid);
        bytes.extend_from_slice(&fmt0(0, csid, 2, 8)[1..]);
        bytes.extend([1, 2]);
        want.push((csid, 8, 1, csid, vec![1, 2]));
    }
    assert_eq!(decode(&bytes), want);
}

/// Encoders set their chunk size before anything is answered: it holds for the very next chunk.
#[test]
fn srs_454_chunk_size_before_the_answer_to_connect() {
    let mut decoder = Decoder::new(128);
    let payload = vec![7; 200];
    let bytes = cat(&[
        &fmt0(2, 0, 4, 1),
        &[0, 0, 0x10, 0],
        &fmt0(3, 0, 200, 20),
        &payload,
    ]);
    let mut input = &bytes[..];
    let size = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(size.type_id, 1);
    decoder.set_chunk_size(4_096).unwrap();
    assert_eq!(feed(&mut decoder, input), Ok(vec![(3, 20, 1, 0, payload)]));
}

/// It allocated 2 GB for a chunk size.
#[test]
fn nginx_1042_chunk_size_of_2_31_reserves_nothing() {
    let mut decoder = Decoder::new(60_000);
    let got = 0x8000_0000;
    assert_eq!(
        decoder.set_chunk_size(got),
        Err(ChunkError::ChunkSize { got })
    );
    decoder.set_chunk_size(0x7FFF_FFFF).unwrap();
    assert_eq!(decoder.buffered_bytes(), 0);
    let header = [4, 0, 0, 0, 0x9F, 0xFF, 0xFF, 9, 1, 0, 0, 0];
    for part in header.chunks(5) {
        assert_eq!(feed(&mut decoder, part), Ok(vec![]));
        assert!(decoder.buffered_bytes() < 64);
    }
}
