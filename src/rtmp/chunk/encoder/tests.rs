use super::*;
use crate::rtmp::chunk::decoder::{Body, Decoder};
use proptest::prelude::*;

fn encode(encoder: &mut Encoder, csid: u32, time: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(&mut out, csid, 8, 1, Timestamp(time), payload);
    out
}

#[test]
fn control_example() {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    encoder.encode(&mut out, 2, 1, 0, Timestamp(0), &[0, 0, 0x10, 0]);
    let want = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0];
    assert_eq!(out, want);
    // And again fmt 0: shared notices may have come in between.
    out.clear();
    encoder.encode(&mut out, 2, 1, 0, Timestamp(0), &[0, 0, 0x10, 0]);
    assert_eq!(out, want);
}

#[test]
fn fewest_bytes_and_no_fmt_3_behind_fmt_0() {
    let mut encoder = Encoder::new();
    let e = &mut encoder;
    assert_eq!(
        encode(e, 4, 20, &[7]),
        [4, 0, 0, 20, 0, 0, 1, 8, 1, 0, 0, 0, 7]
    );
    // Delta equals the fmt 0 timestamp: the specification would allow fmt 3, nginx-rtmp would read 20.
    assert_eq!(encode(e, 4, 40, &[7]), [0x84, 0, 0, 20, 7]);
    assert_eq!(encode(e, 4, 60, &[7]), [0xC4, 7]);
    assert_eq!(encode(e, 4, 65, &[7]), [0x84, 0, 0, 5, 7]);
    assert_eq!(encode(e, 4, 70, &[7, 8]), [0x44, 0, 0, 5, 0, 0, 2, 8, 7, 8]);
    assert_eq!(encode(e, 4, 75, &[7, 8]), [0xC4, 7, 8]);
    // Back in time, another message stream, too long a pause: fmt 0.
    assert_eq!(encode(e, 4, 74, &[7])[0], 4);
    let mut out = Vec::new();
    e.encode(&mut out, 4, 8, 2, Timestamp(74), &[7]);
    assert_eq!(out[0], 4);
    assert_eq!(encode(e, 4, 74 + 0xFF_FFFF, &[7])[0], 4);
    // Unchanged time right behind fmt 0.
    assert_eq!(encode(e, 9, 5, &[7])[0], 9);
    assert_eq!(encode(e, 9, 5, &[7]), [0x89, 0, 0, 0, 7]);
    assert_eq!(encode(e, 9, 5, &[7]), [0xC9, 7]);
}

#[test]
fn the_references_extended_example() {
    let payload: Vec<u8> = (0..200).collect();
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    encoder.encode(&mut out, 6, 9, 1, Timestamp(0x0100_0000), &payload);
    let header = [6, 0xFF, 0xFF, 0xFF, 0, 0, 0xC8, 9, 1, 0, 0, 0, 1, 0, 0, 0];
    let want = [
        &header[..],
        &payload[..128],
        &[0xC6, 1, 0, 0, 0],
        &payload[128..],
    ];
    assert_eq!(out, want.concat());
    // A small delta has no extended timestamp, so its continuation has none.
    out.clear();
    encoder.encode(&mut out, 6, 9, 1, Timestamp(0x0100_0001), &payload);
    let want = [&[0x86, 0, 0, 1], &payload[..128], &[0xC6], &payload[128..]];
    assert_eq!(out, want.concat());
}

#[test]
fn whole_chunks_have_no_empty_one_behind() {
    let mut encoder = Encoder::new();
    assert_eq!(encode(&mut encoder, 4, 0, &[1; 128]).len(), 12 + 128);
    assert_eq!(encode(&mut encoder, 4, 0, &[1; 256]).len(), 8 + 1 + 256);
    assert_eq!(encode(&mut encoder, 5, 0, &[]).len(), 12);
    encoder.set_chunk_size(0);
    assert_eq!(encoder.chunk_size(), 1);
}

/// A Set Chunk Size between two chunks of a message holds for the third.
#[test]
fn chunk_size_changes_in_mid_message() {
    let payload: Vec<u8> = (0..20).collect();
    for time in [5, 0x0100_0000] {
        let mut encoder = Encoder::new();
        encoder.set_chunk_size(4);
        let mut out = Vec::new();
        let mut unsent = encoder.begin(&mut out, 6, 9, 1, Timestamp(time), &payload);
        assert!(encoder.go_on(&mut out, &mut unsent));
        encoder.encode(&mut out, 2, 1, 0, Timestamp(0), &[0, 0, 0, 10]);
        encoder.set_chunk_size(10);
        let before = out.len();
        assert!(encoder.go_on(&mut out, &mut unsent));
        let header = if time == 5 { 1 } else { 5 };
        assert_eq!(out.len() - before, header + 10);
        encoder.set_chunk_size(1);
        let mut control = Vec::new();
        encoder.encode(&mut control, 2, 1, 0, Timestamp(0), &[0, 0, 0, 1]);
        // It announces what it is itself written with; a peer takes four one-byte chunks only if told before.
        assert_eq!(control.len(), 12 + 1 + 3 * 2);
        encoder.set_chunk_size(10);
        assert!(encoder.go_on(&mut out, &mut unsent));
        assert!(!encoder.go_on(&mut out, &mut unsent));

        let mut decoder = Decoder::new(128);
        decoder.set_chunk_size(4).unwrap();
        let mut input = &out[..];
        let size = decoder.decode(&mut input).unwrap().unwrap();
        assert_eq!((size.csid, size.type_id), (2, 1));
        decoder.set_chunk_size(10).unwrap();
        let video = decoder.decode(&mut input).unwrap().unwrap();
        assert_eq!(video.timestamp, Timestamp(time));
        let Body::Wire(wire) = video.body else {
            panic!("video is laid out");
        };
        assert!(wire.payload().flatten().eq(&payload));
        assert!(input.is_empty());
    }
}

/// Chunks of three messages in turn, each with its own headers.
#[test]
fn messages_interleave_at_every_chunk() {
    let payload: Vec<u8> = (0..50).collect();
    let mut encoder = Encoder::new();
    encoder.set_chunk_size(7);
    let mut out = Vec::new();
    let mut open: Vec<_> = [6, 64, 65_599]
        .into_iter()
        .map(|csid| encoder.begin(&mut out, csid, 20, 1, Timestamp(u32::MAX), &payload))
        .collect();
    while open.iter_mut().fold(false, |more, unsent| {
        encoder.go_on(&mut out, unsent) || more
    }) {}
    let mut decoder = Decoder::new(128);
    decoder.set_chunk_size(7).unwrap();
    let mut input = &out[..];
    for csid in [6, 64, 65_599] {
        let message = decoder.decode(&mut input).unwrap().unwrap();
        assert_eq!((message.csid, message.timestamp.0), (csid, u32::MAX));
        assert!(matches!(message.body, Body::Plain(bytes) if bytes == payload));
    }
    assert!(input.is_empty());
}

/// The largest size a peer may announce, and the smallest that may be configured.
#[test]
fn chunk_sizes_of_1_and_2_31() {
    for size in [1, limits::CHUNK_SIZE_RECEIVE_MAX] {
        let mut encoder = Encoder::new();
        encoder.set_chunk_size(size);
        let out = encode(&mut encoder, 4, 5, &[7; 300]);
        let chunks = if size == 1 { 300 } else { 1 };
        assert_eq!(out.len(), 12 + 300 + chunks - 1);
        let mut decoder = Decoder::new(size);
        decoder.set_chunk_size(size).unwrap();
        let message = decoder.decode(&mut &out[..]).unwrap().unwrap();
        let Body::Wire(wire) = message.body else {
            panic!("audio is laid out");
        };
        assert!(wire.payload().flatten().eq(&[7; 300]));
    }
}

fn any_time() -> impl Strategy<Value = u32> {
    prop_oneof![
        0u32..100,
        0xFF_FF00u32..0x100_0100,
        0xFFFF_FF00u32..,
        any::<u32>()
    ]
}

prop_compose! {
    fn any_message()(
        csid in prop_oneof![2u32..6, Just(63u32), Just(64), Just(319), Just(320), Just(65_599)],
        type_id in prop_oneof![Just(8u8), Just(9), Just(18), Just(20)],
        stream in 0u32..3,
        time in any_time(),
        len in prop_oneof![0usize..5, 120usize..140, 0usize..2000],
        fill: u8,
        resize in proptest::option::of(prop_oneof![1u32..5, 1u32..300, Just(60_000u32)]),
    ) -> (u32, u8, u32, u32, Vec<u8>, Option<u32>) {
        let payload = (0..len).map(|i| fill.wrapping_add(i as u8)).collect();
        (csid, type_id, stream, time, payload, resize)
    }
}

proptest! {
    /// Any messages, with chunk sizes that change between them, in any split.
    #[test]
    fn decoder_reads_what_was_written(
        messages in proptest::collection::vec(any_message(), 1..30),
        steps in proptest::collection::vec((any::<bool>(), 0u32..3), 0..30),
        out_chunk_size in prop_oneof![Just(1u32), 1u32..300, Just(60_000u32)],
        cuts in proptest::collection::vec(1usize..400, 1..20),
        strict: bool,
    ) {
        let mut messages = messages;
        // Every other run of messages moves in steps, as real ones do, to meet fmt 1, 2 and 3.
        for (i, (lean, step)) in steps.into_iter().enumerate() {
            if lean && i + 1 < messages.len() {
                let before = messages[i].clone();
                let next = &mut messages[i + 1];
                (next.0, next.2, next.3) = (before.0, before.2, before.3.wrapping_add(step * 20));
                if step != 1 {
                    (next.1, next.4) = (before.1, before.4);
                }
            }
        }
        let mut encoder = Encoder::new();
        let mut decoder = Decoder::new(out_chunk_size);
        decoder.set_strict_extended(strict);
        let mut cuts = cuts.into_iter().cycle();
        for (csid, type_id, stream, time, payload, resize) in messages {
            let mut bytes = Vec::new();
            encoder.encode(&mut bytes, csid, type_id, stream, Timestamp(time), &payload);
            let mut left = &bytes[..];
            let mut got = None;
            while !left.is_empty() {
                prop_assert!(got.is_none());
                let (mut part, rest) = left.split_at(cuts.next().unwrap().min(left.len()));
                got = decoder.decode(&mut part).unwrap();
                prop_assert!(part.is_empty());
                left = rest;
            }
            let got = got.unwrap();
            prop_assert_eq!((got.csid, got.type_id, got.stream, got.timestamp), (csid, type_id, stream, Timestamp(time)));
            match got.body {
                Body::Plain(bytes) => prop_assert_eq!(bytes, payload),
                Body::Wire(wire) => prop_assert!(wire.payload().flatten().eq(&payload)),
            }
            if let Some(size) = resize {
                encoder.set_chunk_size(size);
                decoder.set_chunk_size(size).unwrap();
            }
        }
        prop_assert_eq!(decoder.buffered_bytes(), 0);
    }
}
