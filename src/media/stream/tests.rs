//! What late joiners, laggards and other shards get.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::media::frame::enhanced::EnhancedVideo;
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
fn a_publishers_time_is_repaired_and_what_other_shards_sent_is_not() {
    let mut stream = Stream::new(100);
    stream.begin(None, Instant::ZERO);
    let times = |stream: &Stream| -> Vec<u32> {
        let frames = stream.ring().items_from(0).filter_map(Item::frame);
        frames.map(|frame| frame.message.timestamp().0).collect()
    };
    for (kind, at, payload) in [
        (MediaKind::Video, 900_000, KEY),
        (MediaKind::Audio, 900_010, &[0xAF, 1]),
        (MediaKind::Data, 0, b"\x02\x00\x0aonMetaData\x05"),
        (MediaKind::Video, 0, KEY),
        (MediaKind::Audio, 10, &[0xAF, 1]),
    ] {
        assert!(stream.publish(message(kind, at, payload), Instant::ZERO));
    }
    let repaired = [900_000, 900_010, 900_010, 900_050, 900_060];
    assert_eq!(times(&stream), repaired);
    assert_eq!(stream.clock_jumps(), 1);
    let mut elsewhere = Stream::new(100);
    elsewhere.begin_from(stream.snapshot(Instant::ZERO), None, Instant::ZERO);
    video(&mut elsewhere, 5, KEY);
    assert_eq!(times(&elsewhere).last(), Some(&5), "as it came");
}

#[test]
fn a_joiner_gets_headers_then_the_newest_gop() {
    let mut stream = live(100);
    for at in [40, 80, 120] {
        video(&mut stream, at, KEY);
        video(&mut stream, at + 20, INTER);
    }
    let (cursor, prelude) = stream.join(Instant::ZERO);
    assert_eq!(cursor.next(), stream.ring().head() - 2);
    assert_eq!(payloads(&prelude)[1], VIDEO_CONFIG);
    assert!(
        prelude.iter().all(|m| m.timestamp() == Timestamp(120)),
        "headers carry the GOP's time"
    );
    assert_eq!(stream.snapshot(Instant::ZERO).messages.len(), 4);
}

#[test]
fn without_gop_cache_a_joiner_waits_for_the_next_keyframe() {
    let mut stream = live(0);
    video(&mut stream, 40, KEY);
    let (cursor, prelude) = stream.join(Instant::ZERO);
    assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 2));
    assert!(cursor.is_waiting_for_key());
    assert_eq!(
        stream.snapshot(Instant::ZERO).messages.len(),
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
        !stream.join(Instant::ZERO).0.is_waiting_for_key(),
        "the same header again changes nothing"
    );
    video(&mut stream, 60, &[0x17, 0, 0, 0, 0, 2]);
    assert!(stream.join(Instant::ZERO).0.is_waiting_for_key());
    video(&mut stream, 80, KEY);
    assert_eq!(
        stream.join(Instant::ZERO).0.next(),
        stream.ring().head() - 1
    );
}

#[test]
fn a_stream_that_ended_has_no_past() {
    let mut stream = live(100);
    video(&mut stream, 40, KEY);
    stream.end(Bytes::from_static(b"gone"), Instant::ZERO);
    let (cursor, prelude) = stream.join(Instant::ZERO);
    assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 0));
    assert!(!cursor.is_waiting_for_key());
    assert_eq!(
        stream.resume(0, Instant::ZERO).0,
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
    assert!(stream.join(Instant::ZERO).1.len() <= limits::STREAM_HEADERS + 1);
    assert_eq!(
        stream.headers_left_out(),
        256 - limits::STREAM_HEADERS as u64
    );
    stream.begin(None, Instant::ZERO);
    assert_eq!(stream.headers_left_out(), 0, "of this publication");
    let mut huge = VIDEO_CONFIG.to_vec();
    huge.resize(limits::HEADER_BYTES + 1, 0);
    video(&mut stream, 0, &huge);
    assert_eq!(stream.headers_left_out(), 1);
    assert!(
        stream
            .join(Instant::ZERO)
            .1
            .iter()
            .all(|m| m.payload_len() <= limits::HEADER_BYTES)
    );
}

// ---- Tracks -------------------------------------------------------------------------------------

fn audio(stream: &mut Stream, at: u32, payload: &[u8]) -> bool {
    stream.push(message(MediaKind::Audio, at, payload), Instant::ZERO)
}
fn empty(gop_cache: usize) -> Stream {
    let mut stream = Stream::new(gop_cache);
    stream.begin(None, Instant::ZERO);
    stream
}
/// What a joiner is given first.
fn given(stream: &Stream) -> Vec<Vec<u8>> {
    payloads(&stream.join(Instant::ZERO).1)
}
/// What another shard has of it.
fn elsewhere(stream: &Stream, gop_cache: usize) -> Stream {
    let mut other = Stream::new(gop_cache);
    other.begin_from(stream.snapshot(Instant::ZERO), None, Instant::ZERO);
    other
}

const BOTH_CONFIGS: &[u8] = b"\x96\x10avc1\x00\x00\x00\x01a\x01\x00\x00\x01b";
const BOTH_KEYS: &[u8] = b"\x96\x13avc1\x00\x00\x00\x01A\x01\x00\x00\x01B";
const TRACK_1_CONFIG: &[u8] = b"\x96\x00hvc1\x01c";
const TRACK_1_KEY: &[u8] = b"\x96\x03hvc1\x01C";
const TRACK_1_INTER: &[u8] = b"\xA6\x03hvc1\x01C";
const TRACK_0_CONFIG: &[u8] = b"\x90avc1a";
const TRACK_0_KEY: &[u8] = b"\x93avc1A";
const TRACK_0_INTER: &[u8] = b"\xA3avc1A";

/// Field (c) 9, MediaMTX #3685: OBS sends track 0 plain and the others as OneTrack messages.
#[test]
fn mediamtx_3685_a_joiner_gets_the_headers_of_every_track_once_in_order() {
    let mut stream = live(100);
    video(&mut stream, 0, TRACK_1_CONFIG);
    video(
        &mut stream,
        0,
        b"\x94avc1\x02\x00\x09colorInfo\x03\x00\x00\x09",
    );
    audio(&mut stream, 0, b"\x90mp4a\x12\x10");
    audio(
        &mut stream,
        0,
        b"\x95\x20Opus\x01\x00\x00\x00ac-3\x02\x00\x00\x00",
    );
    audio(&mut stream, 0, b"\x94mp4a\x01\x02\x00\x00\x00\x03");
    let expected: [&[u8]; 7] = [
        b"\x02\x00\x0aonMetaData\x05",
        VIDEO_CONFIG,
        TRACK_1_CONFIG,
        b"\x94avc1\x02\x00\x09colorInfo\x03\x00\x00\x09",
        b"\x90mp4a\x12\x10",
        b"\x95\x20Opus\x01\x00\x00\x00ac-3\x02\x00\x00\x00",
        b"\x94mp4a\x01\x02\x00\x00\x00\x03",
    ];
    assert_eq!(given(&stream), expected);
    video(&mut stream, 40, KEY);
    video(&mut stream, 40, TRACK_1_KEY);
    assert_eq!(given(&stream), expected);
    assert_eq!(given(&elsewhere(&stream, 100)), expected, "on any shard");
}

#[test]
fn one_message_for_two_tracks_stands_before_what_overrides_one_of_them() {
    let mut stream = empty(100);
    video(&mut stream, 0, BOTH_CONFIGS);
    assert_eq!(given(&stream), [BOTH_CONFIGS]);
    video(&mut stream, 0, BOTH_KEYS);
    assert!(!stream.join(Instant::ZERO).0.is_waiting_for_key());
    video(&mut stream, 40, TRACK_1_CONFIG);
    assert_eq!(given(&stream), [BOTH_CONFIGS, TRACK_1_CONFIG]);
    assert!(
        stream.join(Instant::ZERO).0.is_waiting_for_key(),
        "its pictures are old"
    );
    assert_eq!(given(&elsewhere(&stream, 100)), given(&stream));
    video(&mut stream, 80, TRACK_0_CONFIG);
    assert_eq!(given(&stream), [TRACK_1_CONFIG, TRACK_0_CONFIG]);
    video(&mut stream, 80, BOTH_CONFIGS);
    assert_eq!(given(&stream), [BOTH_CONFIGS], "and back");
}

#[test]
fn video_on_another_track_than_0_alone_has_gops() {
    let mut stream = empty(100);
    video(&mut stream, 0, TRACK_1_CONFIG);
    assert!(!video(&mut stream, 0, TRACK_1_INTER));
    for at in [0, 40] {
        assert!(video(&mut stream, at, TRACK_1_KEY));
        assert!(video(&mut stream, at + 20, TRACK_1_INTER));
    }
    let (cursor, prelude) = stream.join(Instant::ZERO);
    assert_eq!(cursor.next(), stream.ring().head() - 2);
    assert_eq!(payloads(&prelude), [TRACK_1_CONFIG]);
}

#[test]
fn the_lowest_track_with_keyframes_leads_from_its_first_one() {
    let mut stream = empty(100);
    video(&mut stream, 0, TRACK_1_KEY);
    video(&mut stream, 0, TRACK_0_CONFIG);
    video(&mut stream, 20, TRACK_0_INTER);
    assert_eq!(
        stream.ring().newest_key(),
        Some(0),
        "it has no keyframe yet"
    );
    video(&mut stream, 40, TRACK_0_KEY);
    assert_eq!(stream.ring().newest_key(), Some(3), "track 0 takes over");
    video(&mut stream, 80, TRACK_1_KEY);
    assert_eq!(
        stream.ring().newest_key(),
        Some(3),
        "track 1 is not asked now"
    );
    video(&mut stream, 80, BOTH_KEYS);
    assert_eq!(stream.ring().newest_key(), Some(5));
}

#[test]
fn when_the_leading_track_ends_another_leads() {
    let mut stream = empty(100);
    video(&mut stream, 0, TRACK_0_KEY);
    video(&mut stream, 0, TRACK_1_KEY);
    assert!(video(&mut stream, 40, b"\x92avc1"));
    video(&mut stream, 40, TRACK_1_KEY);
    assert_eq!(stream.ring().newest_key(), Some(3));
    video(&mut stream, 80, TRACK_0_KEY);
    assert_eq!(stream.ring().newest_key(), Some(4), "it came back");
}

/// Of VP8 there are no headers: without being told, a shard that got no GOP would take track 1 for the leading one.
#[test]
fn every_shard_has_the_same_leading_track() {
    for gop_cache in [0, 100] {
        let mut here = empty(gop_cache);
        video(&mut here, 0, b"\x91vp08A");
        video(&mut here, 0, TRACK_1_KEY);
        video(&mut here, 20, b"\xA1vp08A");
        let mut there = elsewhere(&here, gop_cache);
        assert_eq!(
            there.join(Instant::ZERO).0.is_waiting_for_key(),
            here.join(Instant::ZERO).0.is_waiting_for_key()
        );
        let starts = |stream: &mut Stream, payload: &[u8]| {
            let head = stream.ring().head();
            video(stream, 40, payload);
            stream.ring().newest_key().is_some_and(|key| key >= head)
        };
        for payload in [
            TRACK_1_KEY,
            TRACK_1_INTER,
            b"\x91vp08A",
            BOTH_KEYS,
            b"\x92vp08",
            TRACK_1_KEY,
            b"\x91vp08A",
        ] {
            let here = starts(&mut here, payload);
            assert_eq!(starts(&mut there, payload), here, "{payload:?}");
        }
    }
}

#[test]
fn a_header_replaced_in_mid_stream_is_the_one_joiners_get() {
    let mut stream = empty(100);
    video(&mut stream, 0, TRACK_0_CONFIG);
    audio(&mut stream, 0, b"\x95\x00mp4a\x01\x12\x10");
    video(&mut stream, 0, TRACK_0_KEY);
    audio(&mut stream, 40, b"\x95\x00mp4a\x01\x11\x90");
    assert_eq!(
        given(&stream),
        [TRACK_0_CONFIG, b"\x95\x00mp4a\x01\x11\x90"]
    );
    assert!(
        stream.join(Instant::ZERO).0.is_waiting_for_key(),
        "of any track"
    );
}

#[test]
fn colours_are_reset_for_joiners_too() {
    let full = b"\x94hvc1\x02\x00\x09colorInfo\x03\x00\x09hdrCll\x06\x00\x00\x09";
    let resets: [&[u8]; 2] = [
        b"\x94hvc1\x02\x00\x09colorInfo\x06",
        b"\x84hvc1\x02\x00\x09colorInfo\x03\x00\x00\x09",
    ];
    for reset in resets {
        let mut stream = empty(100);
        video(&mut stream, 0, full);
        video(&mut stream, 40, reset);
        assert_eq!(given(&stream), [reset]);
    }
    // An older message for both tracks still has to come, so the reset must follow it.
    let both = b"\x96\x14hvc1\x00\x00\x00\x02xx\x01\x00\x00\x02yy";
    let reset = b"\x96\x04hvc1\x01\x02\x00\x09colorInfo\x06";
    let mut stream = empty(100);
    video(&mut stream, 0, both);
    video(&mut stream, 40, reset);
    assert_eq!(given(&stream), [&both[..], reset]);
}

/// Field (c) 9, SRS #3464 and #4239: what a server has not heard of goes through it, and nobody waits for it.
#[test]
fn srs_3464_unknown_codecs_and_packet_types_pass() {
    let mut stream = empty(100);
    assert!(video(&mut stream, 0, b"\x9Cnew!x"), "packet type 12");
    assert!(video(&mut stream, 0, b"\xD1\x00"), "a command");
    assert!(audio(&mut stream, 0, b"\x96new!x"));
    assert!(!stream.join(Instant::ZERO).0.is_waiting_for_key());
    assert!(video(&mut stream, 0, b"\x90new!config"));
    assert!(!video(&mut stream, 0, b"\xA1new!picture"));
    assert!(video(&mut stream, 0, b"\x91new!picture"));
    assert!(video(&mut stream, 0, b"\xA1new!picture"));
    assert_eq!(given(&stream), [b"\x90new!config"]);
    assert_eq!(stream.ring().newest_key(), Some(4));
}

#[test]
fn metadata_in_amf3_is_metadata() {
    let mut stream = live(100);
    let amf3 = b"\x11\x06\x15onMetaData\x11\x0A\x0B\x01\x01";
    stream.push(message(MediaKind::Data, 0, amf3), Instant::ZERO);
    assert_eq!(given(&stream), [&amf3[..], VIDEO_CONFIG]);
    let mut huge = amf3.to_vec();
    huge.resize(limits::HEADER_BYTES + 1, 0);
    stream.push(message(MediaKind::Data, 0, &huge), Instant::ZERO);
    assert_eq!(
        given(&stream),
        [VIDEO_CONFIG],
        "better none than an old one"
    );
}

#[test]
fn the_codecs_of_a_stream_are_known_by_track() {
    let mut stream = empty(100);
    let named = |stream: &Stream| {
        let video = stream.codecs().video();
        let all = video.chain(stream.codecs().audio());
        all.map(|(track, codec)| format!("{track} {codec}"))
            .collect::<Vec<_>>()
    };
    video(&mut stream, 0, VIDEO_CONFIG);
    video(&mut stream, 0, b"\x91vp08frame");
    audio(
        &mut stream,
        0,
        b"\x95\x21Opus\x01\x00\x00\x00.mp3\x02\x00\x00\x01x",
    );
    video(&mut stream, 0, TRACK_1_CONFIG);
    assert_eq!(
        named(&stream),
        ["0 H.264", "1 H.265", "1 Opus", "2 MP3"],
        "headers say it first"
    );
    let shown = stream.codecs().to_string();
    assert_eq!(shown, "video 0 H.264, 1 H.265; audio 1 Opus, 2 MP3");
    video(&mut stream, 0, b"\x90av01");
    assert_eq!(named(&stream)[0], "0 AV1", "changed in mid-stream");
    stream.end(Bytes::from_static(b"gone"), Instant::ZERO);
    assert!(named(&stream).is_empty());
}

/// The newest GOP may hold metadata that was cleared since: what a shard is sent must not bring it back.
#[test]
fn metadata_that_was_cleared_stays_cleared_on_other_shards() {
    let mut stream = empty(100);
    video(&mut stream, 0, TRACK_0_KEY);
    let metadata = message(MediaKind::Data, 0, b"\x02\x00\x0aonMetaData\x05");
    stream.push(metadata.clone(), Instant::ZERO);
    assert_eq!(given(&elsewhere(&stream, 100)).len(), 1);
    stream.clear_metadata();
    assert!(given(&stream).is_empty());
    assert!(given(&elsewhere(&stream, 100)).is_empty());
    stream.push(metadata, Instant::ZERO);
    assert_eq!(given(&elsewhere(&stream, 100)).len(), 1, "and anew");
}

/// A header message for `tracks`, of part 0 (configuration) or 4 (colours), that says `n`.
fn header(part: u8, tracks: &[u8], n: u8) -> Vec<u8> {
    let mut out = match tracks {
        [0] => return [&[0x90 | part][..], b"avc1", &[n]].concat(),
        [track] => return [&[0x96, part][..], b"avc1", &[*track, n]].concat(),
        _ => [&[0x96, 0x10 | part][..], b"avc1"].concat(),
    };
    for track in tracks {
        out.extend([*track, 0, 0, 1, n]);
    }
    out
}

/// What is in force after `messages`: what each says, by part and track.
fn in_force(messages: &[Vec<u8>]) -> BTreeMap<(u8, u8), u8> {
    let mut said = BTreeMap::new();
    for message in messages {
        let view = EnhancedVideo::parse(message.as_slice()).expect("well formed");
        let part = message.get(1).filter(|_| message[0] == 0x96);
        for track in view.tracks() {
            let part = part.unwrap_or(&message[0]) & 0x0F;
            said.insert((part, track.id), message[track.body.start]);
        }
    }
    said
}

proptest! {
    /// Whatever headers came in whatever order, a late joiner on any shard has the same in force as one who saw all,
    /// from no more messages than are needed, each once.
    #[test]
    fn late_joiners_have_in_force_what_all_others_have(
        headers in proptest::collection::vec((any::<bool>(), 1_u8..16), 1..30),
    ) {
        let mut stream = empty(100);
        let mut all = Vec::new();
        for (n, (colours, bits)) in headers.into_iter().enumerate() {
            let tracks: Vec<u8> = (0..4).filter(|track| bits >> track & 1 == 1).collect();
            let message = header(if colours { 4 } else { 0 }, &tracks, n as u8);
            video(&mut stream, 0, &message);
            all.push(message);
            let given = given(&stream);
            prop_assert_eq!(in_force(&given), in_force(&all));
            let needed: std::collections::BTreeSet<u8> = in_force(&all).into_values().collect();
            prop_assert_eq!(given.len(), needed.len());
            prop_assert_eq!(&self::given(&elsewhere(&stream, 100)), &given);
        }
    }

    /// Wherever in a stream another shard begins to carry it, its joiners get what those of the publisher's shard do.
    #[test]
    fn a_shard_that_begins_in_the_middle_goes_on_as_the_first_does(
        gop_cache in prop_oneof![Just(0_usize), Just(3), Just(100)],
        steps in proptest::collection::vec(0..STEPS.len(), 2..80),
        begins in any::<proptest::sample::Index>(),
    ) {
        let begins = begins.index(steps.len());
        let mut here = empty(gop_cache);
        for step in &steps[..begins] {
            take(&mut here, STEPS[*step]);
        }
        let mut there = elsewhere(&here, gop_cache);
        prop_assert_eq!(start(&there), start(&here), "at once");
        for step in &steps[begins..] {
            take(&mut here, STEPS[*step]);
            take(&mut there, STEPS[*step]);
            prop_assert_eq!(start(&there), start(&here));
        }
    }
}

/// What may come next; `None`: the metadata is cleared.
const STEPS: [Option<(MediaKind, &[u8])>; 23] = {
    use MediaKind::{Audio, Data, Video};
    [
        None,
        Some((Data, b"\x02\x00\x0aonMetaData\x05")),
        Some((Data, b"\x02\x00\x0aonMetaData\x06")),
        Some((Data, b"\x02\x00\x0aonTextData\x05")),
        Some((Video, TRACK_0_CONFIG)),
        Some((Video, VIDEO_CONFIG)),
        Some((Video, TRACK_1_CONFIG)),
        Some((Video, BOTH_CONFIGS)),
        Some((Video, b"\x96\x14hvc1\x00\x00\x00\x02xx\x01\x00\x00\x02yy")),
        Some((Video, b"\x96\x04hvc1\x01\x02\x00\x09colorInfo\x06")),
        Some((Video, TRACK_0_KEY)),
        Some((Video, TRACK_0_KEY)),
        Some((Video, TRACK_1_KEY)),
        Some((Video, TRACK_1_KEY)),
        Some((Video, BOTH_KEYS)),
        Some((Video, TRACK_0_INTER)),
        Some((Video, TRACK_1_INTER)),
        Some((Video, b"\x92avc1")),
        Some((Video, b"\x96\x02avc1\x01")),
        Some((Video, b"\x9Cnew!x")),
        Some((Audio, b"\x90mp4a\x12\x10")),
        Some((Audio, b"\x95\x10mp4a\x00\x00\x00\x01a\x01\x00\x00\x01b")),
        Some((Audio, b"\x91mp4a\x00")),
    ]
};

fn take(stream: &mut Stream, step: Option<(MediaKind, &[u8])>) {
    match step {
        Some((kind, payload)) => stream.push(message(kind, 0, payload), Instant::ZERO),
        None => stream.clear_metadata(),
    };
}

/// What a joiner gets: headers, frames of the past, and whether it waits.
fn start(stream: &Stream) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, bool) {
    let (cursor, prelude) = stream.join(Instant::ZERO);
    let frames = stream.ring().items_from(cursor.next());
    let past: Vec<_> = frames
        .filter_map(|item| Some(item.frame()?.message.clone()))
        .collect();
    (
        payloads(&prelude),
        payloads(&past),
        cursor.is_waiting_for_key(),
    )
}
