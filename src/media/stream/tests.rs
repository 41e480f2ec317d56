//! What late joiners, laggards and other shards get.

use super::*;
use crate::rtmp::wire::MediaKind;

const VIDEO_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const KEY: &[u8] = &[0x17, 1, 0, 0, 0];
const INTER: &[u8] = &[0x27, 1, 0, 0, 0];

fn message(kind: MediaKind, at: u32, payload: &[u8]) -> WireMessage {
    WireMessage::new(kind, Timestamp(at), payload, 60_000)
}
fn video(stream: &mut Stream, at: u32, payload: &[u8]) -> bool {
    stream.push(message(MediaKind::Video, at, payload), Instant::ZERO)
}
fn payloads(messages: &[WireMessage]) -> Vec<Vec<u8>> {
    messages
        .iter()
        .map(|m| m.payload().flatten().copied().collect())
        .collect()
}
fn live(gop_cache: usize) -> Stream {
    let mut stream = Stream::new(gop_cache);
    stream.begin(None, Instant::ZERO);
    stream.push(
        message(MediaKind::Data, 0, b"\x02\x00\x0aonMetaData\x05"),
        Instant::ZERO,
    );
    video(&mut stream, 0, VIDEO_CONFIG);
    stream
}

#[test]
fn a_joiner_gets_headers_then_the_newest_gop() {
    let mut stream = live(100);
    for at in [40, 80, 120] {
        video(&mut stream, at, KEY);
        video(&mut stream, at + 20, INTER);
    }
    let (cursor, prelude) = stream.join();
    assert_eq!(cursor.next(), stream.ring().head() - 2);
    assert_eq!(payloads(&prelude)[1], VIDEO_CONFIG);
    assert!(
        prelude.iter().all(|m| m.timestamp() == Timestamp(120)),
        "headers carry the GOP's time"
    );
    assert_eq!(stream.snapshot().messages.len(), 4);
}

#[test]
fn without_gop_cache_a_joiner_waits_for_the_next_keyframe() {
    let mut stream = live(0);
    video(&mut stream, 40, KEY);
    let (cursor, prelude) = stream.join();
    assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 2));
    assert!(cursor.is_waiting_for_key());
    assert_eq!(
        stream.snapshot().messages.len(),
        2,
        "nor does another shard's"
    );
}

#[test]
fn no_picture_before_the_first_keyframe() {
    let mut stream = live(100);
    assert!(!video(&mut stream, 10, INTER));
    assert_eq!(stream.orphans(), 1);
    assert!(video(&mut stream, 20, KEY));
    assert!(video(&mut stream, 30, INTER));
}

#[test]
fn a_changed_header_is_no_place_to_begin_before() {
    let mut stream = live(100);
    video(&mut stream, 40, KEY);
    video(&mut stream, 50, VIDEO_CONFIG);
    assert!(
        !stream.join().0.is_waiting_for_key(),
        "the same header again changes nothing"
    );
    video(&mut stream, 60, &[0x17, 0, 0, 0, 0, 2]);
    assert!(stream.join().0.is_waiting_for_key());
    video(&mut stream, 80, KEY);
    assert_eq!(stream.join().0.next(), stream.ring().head() - 1);
}

#[test]
fn a_stream_that_ended_has_no_past() {
    let mut stream = live(100);
    video(&mut stream, 40, KEY);
    stream.end(Bytes::from_static(b"gone"), Instant::ZERO);
    let (cursor, prelude) = stream.join();
    assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 0));
    assert!(!cursor.is_waiting_for_key());
    assert_eq!(
        stream.resume(0).0,
        stream.ring().head() - 1,
        "a laggard still hears the last word"
    );
    stream.clear_if_ended(true);
    assert_eq!(
        stream.ring().bytes(),
        4,
        "the last word, for one who holds the stream"
    );
    stream.clear_if_ended(false);
    assert_eq!(stream.ring().bytes(), 0);
}

#[test]
fn kept_headers_are_bounded() {
    let mut stream = live(100);
    for track in 0..=255 {
        let mut config = b"\x96\x00avc1".to_vec();
        config.push(track);
        video(&mut stream, 0, &config);
    }
    assert!(stream.join().1.len() <= limits::STREAM_HEADERS + 1);
    assert_eq!(
        stream.headers_left_out(),
        256 + 1 - limits::STREAM_HEADERS as u64
    );
    let mut huge = VIDEO_CONFIG.to_vec();
    huge.resize(limits::HEADER_BYTES + 1, 0);
    video(&mut stream, 0, &huge);
    assert!(
        stream
            .join()
            .1
            .iter()
            .all(|m| m.payload_len() <= limits::HEADER_BYTES)
    );
}
