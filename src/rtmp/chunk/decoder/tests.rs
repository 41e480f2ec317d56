use super::*;
use crate::rtmp::wire::MediaKind;
use proptest::prelude::*;

mod field;
mod interleaved;

/// csid, type, message stream, timestamp, payload
type Got = (u32, u8, u32, u32, Vec<u8>);

fn got(message: Message) -> Got {
    let payload = match message.body {
        Body::Wire(wire) => {
            assert_eq!(wire.timestamp(), message.timestamp);
            assert_eq!(wire.kind().type_id(), message.type_id);
            wire.payload().flatten().copied().collect()
        }
        Body::Plain(payload) => payload,
    };
    (
        message.csid,
        message.type_id,
        message.stream,
        message.timestamp.0,
        payload,
    )
}

fn feed(decoder: &mut Decoder, mut input: &[u8]) -> Result<Vec<Got>, ChunkError> {
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input)? {
        messages.push(got(message));
    }
    assert!(input.is_empty());
    Ok(messages)
}

/// Decodes `bytes` whole and byte by byte, and demands the same.
fn decode(bytes: &[u8]) -> Vec<Got> {
    let whole = feed(&mut Decoder::new(60_000), bytes).unwrap();
    let mut decoder = Decoder::new(60_000);
    let mut single = Vec::new();
    for byte in bytes {
        single.extend(feed(&mut decoder, &[*byte]).unwrap());
    }
    assert_eq!(whole, single);
    whole
}

fn times(bytes: &[u8]) -> Vec<u32> {
    decode(bytes).into_iter().map(|(_, _, _, t, _)| t).collect()
}

fn fmt0(csid: u8, time: u32, len: u8, type_id: u8) -> Vec<u8> {
    let [_, a, b, c] = time.min(0xFF_FFFF).to_be_bytes();
    let mut bytes = vec![csid, a, b, c, 0, 0, len, type_id, 1, 0, 0, 0];
    if time >= 0xFF_FFFF {
        bytes.extend(time.to_be_bytes());
    }
    bytes
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn the_references_extended_example() {
    let payload: Vec<u8> = (0..200).collect();
    let header = [
        0x06, 0xFF, 0xFF, 0xFF, 0, 0, 0xC8, 9, 1, 0, 0, 0, 1, 0, 0, 0,
    ];
    let bytes = cat(&[
        &header,
        &payload[..128],
        &[0xC6, 1, 0, 0, 0],
        &payload[128..],
    ]);
    assert_eq!(decode(&bytes), [(6, 9, 1, 0x0100_0000, payload)]);
}

#[test]
fn control_examples() {
    let bytes = [
        2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, //
        2, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0x26, 0x25, 0xA0, 2,
    ];
    let want = [
        (2, 1, 0, 0, vec![0, 0, 0x10, 0]),
        (2, 6, 0, 0, vec![0, 0x26, 0x25, 0xA0, 2]),
    ];
    assert_eq!(decode(&bytes), want);
}

/// FMLE: `C4` behind fmt 0 of time 26 means 52.
#[test]
fn fmt_3_behind_fmt_0_adds_its_timestamp() {
    let bytes = cat(&[&fmt0(4, 26, 1, 8), &[9, 0xC4, 9, 0xC4, 9]]);
    assert_eq!(times(&bytes), [26, 52, 78]);
}

#[test]
fn deltas_of_fmt_1_2_3() {
    let bytes = cat(&[
        &fmt0(4, 1000, 1, 8),
        &[1],
        &[0x44, 0, 0, 20, 0, 0, 2, 9, 1, 2],
        &[0x84, 0, 0, 30, 3, 4],
        &[0xC4, 5, 6],
        &[0xC4, 7, 8],
    ]);
    let want = [
        (4, 8, 1, 1000, vec![1]),
        (4, 9, 1, 1020, vec![1, 2]),
        (4, 9, 1, 1050, vec![3, 4]),
        (4, 9, 1, 1080, vec![5, 6]),
        (4, 9, 1, 1110, vec![7, 8]),
    ];
    assert_eq!(decode(&bytes), want);
}

/// librtmp's pong on a chunk stream nobody opened.
#[test]
fn fresh_csid_accepts_fmt_1() {
    let bytes = [0x42, 0, 0, 5, 0, 0, 6, 4, 0, 7, 0, 0, 0, 9];
    assert_eq!(decode(&bytes), [(2, 4, 0, 5, vec![0, 7, 0, 0, 0, 9])]);
}

#[test]
fn fresh_csid_refuses_fmt_2_and_3() {
    for fmt in [2u8, 3] {
        let error = feed(&mut Decoder::new(128), &[fmt << 6 | 5]).unwrap_err();
        assert_eq!(error, ChunkError::FreshChunkStream { csid: 5, fmt });
        assert!(error.to_string().starts_with("peer: expected"));
    }
}

#[test]
fn extended_deltas() {
    let bytes = cat(&[
        &fmt0(4, 10, 1, 8),
        &[1],
        // fmt 1: delta, not absolute (SRS #4356).
        &[0x44, 0xFF, 0xFF, 0xFF, 0, 0, 1, 8, 1, 0, 0, 0, 2],
        // fmt 2, and fmt 3 as a new message: its field is the delta.
        &[0x84, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 3],
        &[0xC4, 2, 0, 0, 0, 4],
        &[0xC4, 0, 0, 0, 0, 5],
        // The flag is gone with the next plain delta.
        &[0x84, 0, 0, 1, 6, 0xC4, 7],
    ]);
    let base = 10 + 0x0100_0000;
    let want = [
        10,
        base,
        base + 0x0200_0000,
        base + 0x0400_0000,
        base + 0x0400_0000,
        base + 0x0400_0001,
        base + 0x0400_0002,
    ];
    assert_eq!(times(&bytes), want);
}

#[test]
fn time_wraps_and_goes_back() {
    let bytes = cat(&[
        &fmt0(4, 0xFF_FFFE, 1, 8),
        &[1],
        &[0x84, 0, 0, 1, 1, 0xC4, 1], // over 2^24
        &fmt0(4, u32::MAX, 1, 8),
        &[1],
        &[0x84, 0, 0, 2, 1], // over 2^32
        // GStreamer's step back by 3.
        &[0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFD, 1],
    ]);
    let want = [0xFF_FFFE, 0xFF_FFFF, 0x100_0000, u32::MAX, 1, u32::MAX - 1];
    assert_eq!(times(&bytes), want);
}

#[test]
fn zero_length_messages() {
    let bytes = cat(&[&fmt0(4, 1, 0, 8), &fmt0(3, 2, 0, 20), &[0xC4]]);
    let want = [
        (4, 8, 1, 1, vec![]),
        (3, 20, 1, 2, vec![]),
        (4, 8, 1, 2, vec![]),
    ];
    assert_eq!(decode(&bytes), want);
}

#[test]
fn messages_interleave_at_every_chunk() {
    let (a, b) = (vec![0xA; 200], vec![0xB; 200]);
    let bytes = cat(&[
        &fmt0(4, 1, 200, 8),
        &a[..128],
        &fmt0(6, 2, 200, 9),
        &b[..128],
        &fmt0(2, 0, 4, 3),
        &[0, 0, 0, 9],
        &[0xC6],
        &b[128..],
        &[0xC4],
        &a[128..],
    ]);
    let want = [
        (2, 3, 1, 0, vec![0, 0, 0, 9]),
        (6, 9, 1, 2, b),
        (4, 8, 1, 1, a),
    ];
    assert_eq!(decode(&bytes), want);
}

#[test]
fn chunk_size_changes_in_mid_message() {
    let payload: Vec<u8> = (0..250).collect();
    let mut decoder = Decoder::new(100);
    let first = cat(&[&fmt0(4, 1, 250, 8), &payload[..128]]);
    assert_eq!(feed(&mut decoder, &first), Ok(vec![]));
    decoder.set_chunk_size(100).unwrap();
    let more = cat(&[&[0xC4], &payload[128..200]]);
    assert_eq!(feed(&mut decoder, &more), Ok(vec![]));
    // In mid-chunk: from the next chunk on.
    decoder.set_chunk_size(1).unwrap();
    let mut rest = payload[200..228].to_vec();
    for byte in &payload[228..] {
        rest.extend([0xC4, *byte]);
    }
    assert_eq!(feed(&mut decoder, &rest), Ok(vec![(4, 8, 1, 1, payload)]));
}

#[test]
fn chunk_sizes_out_of_range() {
    let mut decoder = Decoder::new(128);
    for got in [0, 0x8000_0000, u32::MAX] {
        assert_eq!(
            decoder.set_chunk_size(got),
            Err(ChunkError::ChunkSize { got })
        );
    }
    assert_eq!(decoder.set_chunk_size(0x7FFF_FFFF), Ok(()));
}

#[test]
fn abort_drops_the_message_and_keeps_its_time() {
    let mut decoder = Decoder::new(128);
    let first = cat(&[&fmt0(4, 1000, 200, 8), &[1; 128]]);
    assert_eq!(feed(&mut decoder, &first), Ok(vec![]));
    decoder.abort(77);
    assert!(decoder.buffered_bytes() >= 128);
    decoder.abort(4);
    assert_eq!(decoder.buffered_bytes(), 0);
    let next = [0x44, 0, 0, 10, 0, 0, 1, 8, 5];
    assert_eq!(
        feed(&mut decoder, &next),
        Ok(vec![(4, 8, 1, 1010, vec![5])])
    );
}

#[test]
fn abort_in_mid_chunk_skips_its_rest() {
    let mut decoder = Decoder::new(128);
    let first = cat(&[&fmt0(4, 1, 200, 8), &[1; 100]]);
    assert_eq!(feed(&mut decoder, &first), Ok(vec![]));
    decoder.abort(4);
    let next = cat(&[&[1; 28], &fmt0(4, 2, 1, 8), &[9]]);
    assert_eq!(feed(&mut decoder, &next), Ok(vec![(4, 8, 1, 2, vec![9])]));
}

#[test]
fn a_new_header_drops_the_unfinished_message() {
    let start = cat(&[&fmt0(4, 100, 200, 8), &[1; 128]]);
    let fmt1 = [0x44, 0, 0, 10, 0, 0, 1, 9, 5];
    assert_eq!(decode(&cat(&[&start, &fmt1])), [(4, 9, 1, 110, vec![5])]);
    let again = cat(&[&start, &fmt0(4, 300, 1, 8), &[6]]);
    assert_eq!(decode(&again), [(4, 8, 1, 300, vec![6])]);
    // fmt 2 inherits the length of what it drops.
    let fmt2 = cat(&[&start, &[0x84, 0, 0, 7], &[2; 128], &[0xC4], &[2; 72]]);
    assert_eq!(decode(&fmt2), [(4, 8, 1, 107, vec![2; 200])]);
}

/// An extended timestamp on continuations: repeated, zero (gortmplib), absent (old OBS).
#[test]
fn extended_continuations_of_all_writers() {
    let time = 0x0123_4567u32;
    let payload: Vec<u8> = (50..250).collect();
    for field in [&time.to_be_bytes()[..], &[0; 4], &[]] {
        let one = cat(&[
            &fmt0(4, time, 200, 8),
            &payload[..128],
            &[0xC4],
            field,
            &payload[128..],
        ]);
        let want = (4, 8, 1, time, payload.clone());
        assert_eq!(decode(&cat(&[&one, &one])), [want.clone(), want]);
    }
}

/// Who omits the field may send zeros as payload, once that is known.
#[test]
fn known_omission_takes_zeros_for_payload() {
    let time = 0x0123_4567u32;
    let message = |fill: u8| cat(&[&fmt0(4, time, 200, 8), &[fill; 128], &[0xC4], &[fill; 72]]);
    let want = |fill| (4, 8, 1, time, vec![fill; 200]);
    assert_eq!(
        decode(&cat(&[&message(7), &message(0)])),
        [want(7), want(0)]
    );
}

/// The last two bytes of a message are not kept waiting for a field that cannot be there.
#[test]
fn short_tail_of_an_omitting_sender_comes_at_once() {
    let time = 0x0123_4567u32;
    let bytes = cat(&[&fmt0(4, time, 130, 8), &[7; 128], &[0xC4, 7, 7]]);
    assert_eq!(decode(&bytes), [(4, 8, 1, time, vec![7; 130])]);
    // Three bytes were carried to tell, and belong to three chunks.
    let mut decoder = Decoder::new(128);
    decoder.set_chunk_size(1).unwrap();
    let bytes = cat(&[
        &fmt0(4, time, 2, 8),
        &[1, 0xC4],
        &[1],
        &fmt0(3, 5, 1, 20),
        &[8],
    ]);
    let mut all = Vec::new();
    for byte in &bytes {
        all.extend(feed(&mut decoder, &[*byte]).unwrap());
    }
    assert_eq!(all, [(4, 8, 1, time, vec![1, 1]), (3, 20, 1, 5, vec![8])]);
}

#[test]
fn strict_consumes_whatever_stands_there() {
    let mut decoder = Decoder::new(128);
    decoder.set_strict_extended(true);
    let bytes = cat(&[
        &fmt0(4, 0x0123_4567, 130, 8),
        &[7; 128],
        &[0xC4, 9, 9, 9, 9, 7, 7],
    ]);
    let want = (4, 8, 1, 0x0123_4567, vec![7; 130]);
    assert_eq!(feed(&mut decoder, &bytes), Ok(vec![want]));
}

#[test]
fn bounds() {
    // Chunk streams.
    let mut decoder = Decoder::new(128);
    for n in 0..limits::CHUNK_STREAMS as u8 {
        let bytes = cat(&[&[0, n], &fmt0(0, 0, 0, 8)[1..]]);
        assert_eq!(feed(&mut decoder, &bytes).unwrap().len(), 1);
    }
    assert_eq!(
        feed(&mut decoder, &fmt0(3, 0, 0, 8)),
        Err(ChunkError::TooManyChunkStreams { csid: 3 })
    );
    // Length by type.
    for (type_id, limit) in [
        (8, limits::MESSAGE_BYTES),
        (18, limits::MESSAGE_BYTES),
        (20, limits::COMMAND_BYTES),
        (17, limits::COMMAND_BYTES),
        (1, limits::COMMAND_BYTES),
    ] {
        for (length, good) in [(limit, true), (limit + 1, false)] {
            let [_, a, b, c] = length.to_be_bytes();
            let result = feed(
                &mut Decoder::new(128),
                &[3, 0, 0, 0, a, b, c, type_id, 0, 0, 0, 0],
            );
            let error = ChunkError::MessageTooLong {
                type_id,
                length,
                limit,
            };
            assert_eq!(result, if good { Ok(vec![]) } else { Err(error) });
        }
    }
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let mut decoder = Decoder::new(60_000);
    decoder.set_chunk_size(0x7FFF_FFFF).unwrap();
    // 16 chunk streams of 10 MiB declared, 1 MiB - 1 sent before each is dropped for the next chunk stream.
    decoder.set_chunk_size(1_048_575).unwrap();
    let mut result = Ok(vec![]);
    let mut sent = 0;
    for csid in 3..40u8 {
        let [_, a, b, c] = limits::MESSAGE_BYTES.to_be_bytes();
        let bytes = cat(&[
            &[csid, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0],
            &vec![csid; 1_048_575],
        ]);
        result = feed(&mut decoder, &bytes);
        if result.is_err() {
            break;
        }
        sent += 1_048_575;
        assert!(sent <= limits::PARTIAL_BYTES);
        assert!(decoder.buffered_bytes() <= 2 * sent + limits::CHUNK_STREAMS * 16);
    }
    assert_eq!(result, Err(ChunkError::TooMuchUnfinished));
    assert_eq!(sent, 16 * 1_048_575);
}

#[test]
fn memory_grows_with_what_came_not_with_what_was_declared() {
    let mut decoder = Decoder::new(60_000);
    decoder.set_chunk_size(65_536).unwrap();
    let bytes = [4, 0, 0, 0, 0x9F, 0xFF, 0xFF, 9, 1, 0, 0, 0, 1, 2, 3];
    assert_eq!(feed(&mut decoder, &bytes), Ok(vec![]));
    assert!(decoder.buffered_bytes() < 64);
    assert_eq!(feed(&mut decoder, &[0; 1000]), Ok(vec![]));
    assert!(decoder.buffered_bytes() < 2 * 1003 + 64);
}

/// What came before on the same chunk stream may be reserved for at once, to a bound; nothing else may.
#[test]
fn reserve_is_learnt_from_what_came() {
    let large = limits::PARTIAL_RESERVE + 1000;
    let message = |csid: u8, len: usize, sent: usize| {
        let [.., a, b, c] = len.to_be_bytes();
        cat(&[&[csid, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0], &vec![7; sent]])
    };
    let mut decoder = Decoder::new(60_000);
    decoder.set_chunk_size(0x7FFF_FFFF).unwrap();
    for len in [1_000, large] {
        let whole = feed(&mut decoder, &message(4, len, len)).unwrap();
        assert_eq!((whole.len(), decoder.buffered_bytes()), (1, 0));
        // Ten million declared, and one byte sent.
        assert_eq!(feed(&mut decoder, &message(4, 10_000_000, 1)), Ok(vec![]));
        let reserve = len.min(limits::PARTIAL_RESERVE);
        let held = decoder.buffered_bytes();
        assert!((reserve..reserve + 64).contains(&held), "{held}");
        // A shorter one gets no more than it needs.
        decoder.abort(4);
        decoder.chunk_left = 0;
        assert_eq!(feed(&mut decoder, &message(4, 500, 1)), Ok(vec![]));
        assert_eq!(decoder.buffered_bytes(), 12 + 500);
        decoder.abort(4);
        decoder.chunk_left = 0;
    }
    // Another chunk stream learnt nothing.
    assert_eq!(feed(&mut decoder, &message(6, 10_000_000, 1)), Ok(vec![]));
    assert!(decoder.buffered_bytes() < 64);
}

/// Runs of whole chunks are taken at once; every way to end one is the same as byte by byte.
#[test]
fn runs_of_chunks_end_anywhere() {
    for size in [1u32, 7, 127, 128, 129, 256] {
        for (len, other_at) in [(3_000, 1_500), (2_560, 1_280), (2_560, 0), (900, 899)] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut bytes = vec![6, 0, 0, 1, 0, (len >> 8) as u8, len as u8, 9, 1, 0, 0, 0];
            let mut other = Vec::new();
            for (n, chunk) in payload.chunks(size as usize).enumerate() {
                if n > 0 {
                    bytes.push(0xC6);
                }
                bytes.extend(chunk);
                if n == other_at / size as usize {
                    bytes.extend(cat(&[&fmt0(4, 7, 1, 8), &[0xC6]]));
                    other.push((4, 8, 1, 7, vec![0xC6]));
                }
            }
            for out_chunk_size in [1, 100, 128, 60_000] {
                let want = cat_got(&other, (6, 9, 1, 1, payload.clone()), other_at, len, size);
                for piece in [1, 50, 129, 1_000, bytes.len()] {
                    let mut decoder = Decoder::new(out_chunk_size);
                    decoder.set_chunk_size(size).unwrap();
                    let mut all = Vec::new();
                    for part in bytes.chunks(piece) {
                        all.extend(feed(&mut decoder, part).unwrap());
                    }
                    assert_eq!(
                        all, want,
                        "{size} {len} {other_at} {out_chunk_size} {piece}"
                    );
                }
            }
        }
    }
}

/// In the order of their ends: the other one stands behind the chunk at `other_at`, which may be the last.
fn cat_got(other: &[Got], whole: Got, other_at: usize, len: usize, size: u32) -> Vec<Got> {
    let size = size as usize;
    let is_last = other_at / size == (len - 1) / size;
    let (first, second) = if is_last {
        (vec![whole], other.to_vec())
    } else {
        (other.to_vec(), vec![whole])
    };
    [first, second].concat()
}

/// A message may begin in one form of its csid and go on in another.
#[test]
fn forms_of_a_csid_mix() {
    let payload = vec![5; 300];
    let bytes = cat(&[
        &[0, 0],
        &[0, 0, 9, 0, 1, 44, 9, 1, 0, 0, 0],
        &payload[..128],
        &[0xC1, 0, 0],
        &payload[128..256],
        &[0xC0, 0],
        &payload[256..],
    ]);
    assert_eq!(decode(&bytes), [(64, 9, 1, 9, payload)]);
}

/// The message stream is little-endian, and longer ids than 24 bits pass.
#[test]
fn message_streams_are_little_endian() {
    let bytes = [4, 0, 0, 1, 0, 0, 0, 8, 0x0D, 0x0C, 0x0B, 0x0A];
    assert_eq!(decode(&bytes), [(4, 8, 0x0A0B_0C0D, 1, vec![])]);
}

/// A message that is here as a whole gets exactly its memory, and the layout of a fresh one.
#[test]
fn media_is_laid_out_as_new_would() {
    for (out_chunk_size, time) in [(1, 5), (100, 5), (100, 0x0100_0000), (60_000, u32::MAX)] {
        let payload: Vec<u8> = (0..200).collect();
        let mut decoder = Decoder::new(out_chunk_size);
        decoder.set_chunk_size(4096).unwrap();
        let bytes = cat(&[&fmt0(7, time, 200, 9), &payload]);
        let message = decoder.decode(&mut &bytes[..]).unwrap().unwrap();
        let Body::Wire(wire) = message.body else {
            panic!("video is laid out");
        };
        let new = WireMessage::new(MediaKind::Video, Timestamp(time), &payload, out_chunk_size);
        assert_eq!(wire.bytes(), new.bytes());
        assert_eq!(decoder.buffered_bytes(), 0);
    }
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_decoder(&data);
    }

    /// Bytes that look like chunks more often: short messages on few chunk streams.
    #[test]
    fn nearly_chunks(choice: u8, piece in 1u8..40, parts in proptest::collection::vec((0u8..4, 2u8..6, any::<bool>(), 0u32..300, prop_oneof![Just(1u8), Just(2), Just(8), Just(9), Just(20)], proptest::collection::vec(0u8..5, 0..140)), 0..40)) {
        let mut data = vec![choice, piece];
        for (fmt, csid, extended, length, type_id, payload) in parts {
            let [_, _, h, l] = length.to_be_bytes();
            let time = if extended { [0xFF; 3] } else { [0, 0, l] };
            data.push(fmt << 6 | csid);
            if fmt < 3 { data.extend(time); }
            if fmt < 2 { data.extend([0, h, l, type_id]); }
            if fmt < 1 { data.extend([1, 0, 0, 0]); }
            if extended { data.extend([0, 0, 0, h]); }
            data.extend(payload);
        }
        fuzz_decoder(&data);
    }
}
