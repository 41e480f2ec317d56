use super::*;
use crate::rtmp::chunk::decoder::{Body, Decoder};
use proptest::prelude::*;

#[test]
fn layout_of_a_plain_message() {
    let wire = WireMessage::new(MediaKind::Video, Timestamp(0x0102), &[1, 2, 3, 4, 5], 2);
    let want = [
        6, 0, 1, 2, 0, 0, 5, 9, 1, 0, 0, 0, 1, 2, 0xC6, 3, 4, 0xC6, 5,
    ];
    assert_eq!(wire.bytes(), want);
    assert_eq!(wire.header_len(), 12);
    let (header, len) = wire.header_for(0x0A0B);
    assert_eq!(header[..len], [6, 0, 1, 2, 0, 0, 5, 9, 0x0B, 0x0A, 0, 0]);
    let (header, len) = wire.header_for(1);
    assert_eq!(header[..len], wire.bytes()[..12]);
}

#[test]
fn layout_with_an_extended_timestamp() {
    let wire = WireMessage::new(MediaKind::Audio, Timestamp(0xFF_FFFF), &[1, 2, 3], 2);
    let want = [
        4, 0xFF, 0xFF, 0xFF, 0, 0, 3, 8, 1, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 1, 2, 0xC4, 0, 0xFF,
        0xFF, 0xFF, 3,
    ];
    assert_eq!(wire.bytes(), want);
    assert_eq!(wire.header_len(), 16);
    assert_eq!(wire.header_for(1).1, 16);
    let before = WireMessage::new(MediaKind::Audio, Timestamp(0xFF_FFFE), &[1], 2);
    assert_eq!(before.header_len(), 12);
}

#[test]
fn whole_chunks_have_no_header_behind() {
    let wire = WireMessage::new(MediaKind::Data, Timestamp(0), &[9; 256], 128);
    assert_eq!(wire.bytes().len(), 12 + 128 + 1 + 128);
    assert_eq!(wire.payload().count(), 2);
    let empty = WireMessage::new(MediaKind::Data, Timestamp(0), &[], 128);
    assert_eq!(empty.bytes(), [5, 0, 0, 0, 0, 0, 0, 18, 1, 0, 0, 0]);
    assert_eq!(empty.payload().count(), 0);
    assert_eq!(empty.peek(&mut [0; 4]), 0);
}

#[test]
fn peek_crosses_chunks() {
    let wire = WireMessage::new(MediaKind::Video, Timestamp(0), &[1, 2, 3], 1);
    let mut head = [0; 2];
    assert_eq!((wire.peek(&mut head), head), (2, [1, 2]));
    let mut head = [0; 5];
    assert_eq!((wire.peek(&mut head), head), (3, [1, 2, 3, 0, 0]));
    assert_eq!(wire.peek(&mut []), 0);
}

#[test]
fn clones_share_and_no_memory_is_over() {
    let wire = WireMessage::new(MediaKind::Video, Timestamp(0), &[1; 1000], 100);
    assert_eq!(wire.bytes().as_ptr(), wire.clone().bytes().as_ptr());
    let mut builder = WireBuilder::new(MediaKind::Video, Timestamp(0), 1000, 100);
    builder.push(&[1; 1000], 1000);
    assert_eq!(builder.capacity(), wire.bytes().len());
    // In pieces it doubles, and never gets beyond the whole.
    let mut builder = WireBuilder::new(MediaKind::Video, Timestamp(0), 1000, 100);
    for n in 1..=1000 {
        builder.push(&[1], 1);
        assert!(builder.capacity() <= wire.bytes().len().min(2 * n + 48));
    }
    assert_eq!(builder.capacity(), wire.bytes().len());
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![0u32..100, 0xFF_FFF0u32..0x100_0010, any::<u32>()].prop_map(Timestamp)
}

proptest! {
    /// For any chunk size: the payload comes back by itself, through a decoder, and at another time.
    #[test]
    fn payload_survives(
        kind in prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video), Just(MediaKind::Data)],
        time in any_time(),
        other in any_time(),
        payload in proptest::collection::vec(any::<u8>(), 0..700),
        chunk_size in prop_oneof![Just(1u32), 1u32..200, 1u32..=65_536],
        stream in any::<u32>(),
        head in 0usize..40,
    ) {
        let wire = WireMessage::new(kind, time, &payload, chunk_size);
        prop_assert!(wire.payload().flatten().eq(&payload));
        prop_assert_eq!(wire.payload_len(), payload.len());
        prop_assert_eq!((wire.chunk_size(), wire.kind(), wire.timestamp()), (chunk_size, kind, time));
        let mut peeked = vec![0; head];
        let n = wire.peek(&mut peeked);
        prop_assert_eq!(n, head.min(payload.len()));
        prop_assert_eq!(&peeked[..n], &payload[..n]);

        let (header, len) = wire.header_for(stream);
        let mut bytes = header[..len].to_vec();
        bytes.extend(&wire.bytes()[wire.header_len()..]);
        let mut decoder = Decoder::new(chunk_size);
        decoder.set_strict_extended(true);
        decoder.set_chunk_size(chunk_size).unwrap();
        let mut input = &bytes[..];
        let message = decoder.decode(&mut input).unwrap().unwrap();
        prop_assert!(input.is_empty());
        prop_assert_eq!((message.stream, message.type_id, message.timestamp), (stream, kind.type_id(), time));
        match message.body {
            Body::Wire(again) => prop_assert_eq!(again.bytes(), wire.bytes()),
            Body::Plain(plain) => prop_assert_eq!(&plain, &payload),
        }

        let restamped = wire.restamped(other);
        let new = WireMessage::new(kind, other, &payload, chunk_size);
        prop_assert_eq!(restamped.bytes(), new.bytes());
        prop_assert_eq!(restamped.timestamp(), other);

        let shared = wire.clone().moved_to(other);
        prop_assert_eq!(shared.bytes(), new.bytes());
        prop_assert_eq!(wire.timestamp(), time, "who shares it sees nothing of that");
        let at = wire.bytes().as_ptr();
        let header = wire.header_len();
        drop(restamped);
        drop(bytes);
        let alone = wire.moved_to(other);
        prop_assert_eq!(alone.bytes(), new.bytes());
        prop_assert_eq!(alone.timestamp(), other);
        prop_assert_eq!(alone.bytes().as_ptr() == at, alone.header_len() == header, "copied only if it must be");
    }
}
