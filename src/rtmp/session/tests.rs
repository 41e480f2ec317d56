//! Both sides against each other, in memory.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::Status;
use super::client::{ClientConfig, ClientEvent, ClientSession};
use super::server::{Event, ServerSession, SessionConfig};
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::command::{Enhanced, Play2, PlayOptions, PlayStart, PublishKind};
use crate::rtmp::handshake::HandshakeKind;
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::{Instant, Timestamp};

/// A client and a server, and the cable between them, cut into pieces of `piece` bytes.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    piece: usize,
}

impl Pair {
    fn new(digest: bool, client_chunk: u32, server_chunk: u32, piece: usize) -> Self {
        let config = ClientConfig {
            app: "live?token=1".into(),
            tc_url: "rtmp://localhost/live?token=1".into(),
            flash_ver: "pair".into(),
            chunk_size: client_chunk,
            handshake: match digest {
                true => HandshakeKind::DigestSchema1,
                false => HandshakeKind::Simple,
            },
            ..ClientConfig::default()
        };
        let mut client = ClientSession::new(config, 7);
        client.connect();
        let config = SessionConfig {
            chunk_size: server_chunk,
            ..SessionConfig::default()
        };
        let server = ServerSession::new(config, 8);
        Self {
            client,
            server,
            piece,
        }
    }

    /// Carries bytes both ways until nobody has any left; the server grants everything.
    fn settle(&mut self) -> (Vec<Event>, Vec<ClientEvent>) {
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            self.client.take_output(&mut up);
            for piece in up.chunks(self.piece) {
                self.server.handle_input(Instant::ZERO, piece).unwrap();
                while let Some(event) = self.server.poll_event() {
                    match &event {
                        Event::ConnectRequested(_) => self.server.accept_connect(),
                        Event::PublishRequested { stream, .. } => {
                            self.server.accept_publish(*stream);
                        }
                        Event::PlayRequested { stream, .. } => {
                            self.server.accept_play(*stream);
                        }
                        _ => {}
                    }
                    at_server.push(event);
                }
            }
            self.server.take_output(&mut down);
            at_client.extend(self.feed_client(&down));
            if up.is_empty() && down.is_empty() {
                return (at_server, at_client);
            }
        }
    }

    fn feed_client(&mut self, bytes: &[u8]) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        for piece in bytes.chunks(self.piece) {
            self.client.handle_input(Instant::ZERO, piece).unwrap();
            events.extend(core::iter::from_fn(|| self.client.poll_event()));
        }
        events
    }
}

fn codes(events: &[ClientEvent]) -> Vec<&str> {
    let codes = events.iter().filter_map(|event| match event {
        ClientEvent::Status { code, .. } | ClientEvent::Refused { code, .. } => Some(code.as_str()),
        _ => None,
    });
    codes.collect()
}

type Sent = (MediaKind, u32, Vec<u8>);

fn media_at_server(events: &[Event]) -> Vec<Sent> {
    let media = events.iter().filter_map(|event| match event {
        Event::Media { message, .. } => Some((
            message.kind(),
            message.timestamp().0,
            message.payload().flatten().copied().collect(),
        )),
        _ => None,
    });
    media.collect()
}

fn media_at_client(events: &[ClientEvent]) -> Vec<Sent> {
    let media = events.iter().filter_map(|event| match event {
        ClientEvent::Media {
            kind,
            timestamp,
            payload,
            ..
        } => Some((*kind, timestamp.0, payload.to_vec())),
        _ => None,
    });
    media.collect()
}

#[test]
fn a_client_publishes() {
    for digest in [false, true] {
        let mut pair = Pair::new(digest, 4_096, 60_000, 1_000);
        pair.client.publish("key?user=a");
        let (events, told) = pair.settle();
        let [
            Event::ConnectRequested(connect),
            Event::PublishRequested {
                stream: 1,
                name,
                query,
                ..
            },
        ] = events.as_slice()
        else {
            unreachable!("{events:?}")
        };
        assert_eq!(
            (connect.app.as_str(), connect.query.as_str()),
            ("live", "token=1")
        );
        assert_eq!((name.as_str(), query.as_str()), ("key", "user=a"));
        assert_eq!(
            told[..3],
            [
                ClientEvent::Established,
                ClientEvent::Control {
                    event: 0,
                    stream: 0
                },
                ClientEvent::ChunkSize(60_000),
            ]
        );
        assert!(told.contains(&ClientEvent::StreamCreated { stream: 1 }));
        assert_eq!(codes(&told), ["NetStream.Publish.Start"]);
        assert!(pair.server.is_established() && pair.server.is_connected());

        let big = vec![0x17; 10_000];
        pair.client.send_media(MediaKind::Video, Timestamp(5), &big);
        pair.client
            .send_media(MediaKind::Audio, Timestamp(9), b"\xAF\x01x");
        pair.client.close_stream();
        let (events, told) = pair.settle();
        assert_eq!(
            media_at_server(&events),
            [
                (MediaKind::Video, 5, big),
                (MediaKind::Audio, 9, b"\xAF\x01x".to_vec())
            ]
        );
        let closed = |e: &&Event| matches!(e, Event::StreamClosed { stream: 1, .. });
        assert_eq!(events.iter().filter(closed).count(), 1);
        assert_eq!(codes(&told), ["NetStream.Unpublish.Success"]);
    }
}

#[test]
fn a_client_plays() {
    let mut pair = Pair::new(true, 128, 3_000, 700);
    pair.client.play("key");
    let (_, told) = pair.settle();
    assert_eq!(
        codes(&told),
        ["NetStream.Play.Reset", "NetStream.Play.Start"]
    );
    let mut bytes = Vec::new();
    let mut sent = Vec::new();
    for n in 0..9u32 {
        let payload = vec![n as u8; n as usize * 1_000];
        let kind = [MediaKind::Video, MediaKind::Audio][n as usize % 2];
        let time = 0x00FF_FFF0 + n * 8;
        bytes.extend(WireMessage::new(kind, Timestamp(time), &payload, 3_000).bytes());
        sent.push((kind, time, payload));
    }
    let told = pair.feed_client(&bytes);
    assert_eq!(media_at_client(&told), sent);
    // Notices made once for all players fit between replies.
    let mut notices = super::server::publisher_ended(1, "live/key", 3_000);
    notices.extend(super::server::publisher_began(1, "live/key", 3_000));
    pair.server.confirm_pause(1, true);
    pair.server.take_output(&mut notices);
    notices.extend(super::server::play_stopped(1, "live/key", 3_000));
    pair.server.confirm_pause(1, false);
    pair.server.take_output(&mut notices);
    let told = pair.feed_client(&notices);
    assert_eq!(
        codes(&told),
        [
            "NetStream.Play.UnpublishNotify",
            "NetStream.Play.PublishNotify",
            "NetStream.Pause.Notify",
            "NetStream.Play.Stop",
            "NetStream.Unpause.Notify"
        ]
    );
    pair.client.pause(true, 40.0);
    pair.client.close_stream();
    let (events, _) = pair.settle();
    assert!(matches!(
        events.as_slice(),
        [
            Event::Paused {
                stream: 1,
                paused: true,
                position: 40.0
            },
            Event::StreamClosed { stream: 1, .. }
        ]
    ));
}

#[test]
fn publishing_and_playing_share_a_connection() {
    let mut pair = Pair::new(false, 4_096, 4_096, 100_000);
    pair.client.publish("a");
    pair.client.play("b");
    let (events, told) = pair.settle();
    let requested: Vec<_> = events.iter().filter_map(Event::stream).collect();
    assert_eq!(requested, [1, 2]);
    assert_eq!(codes(&told).len(), 3);
    // A player on message stream 2 gets its own header.
    let message = WireMessage::new(MediaKind::Video, Timestamp(1), b"\x17\0", 4_096);
    let (header, length) = message.header_for(2);
    let bytes = [&header[..length], &message.bytes()[message.header_len()..]].concat();
    let told = pair.feed_client(&bytes);
    assert!(matches!(
        told.as_slice(),
        [ClientEvent::Media { stream: 2, .. }]
    ));
}

#[test]
fn a_client_acknowledges_at_half_the_window() {
    let mut pair = Pair::new(false, 4_096, 60_000, 50_000);
    pair.client.play("key");
    pair.settle();
    let frame = WireMessage::new(MediaKind::Video, Timestamp(0), &[0; 50_000], 60_000);
    let mut told = Vec::new();
    while told.is_empty() {
        pair.feed_client(frame.bytes());
        pair.client.take_output(&mut told);
        assert!(told.len() <= 16);
    }
    // Type 3 on chunk stream 2: 4 bytes, and the number is over half of 2,500,000.
    assert_eq!(told[..12], [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0]);
    let number = u32::from_be_bytes(told[12..].try_into().unwrap());
    assert!((1_250_000..1_350_000).contains(&number), "{number}");
}

#[test]
fn refusals_reach_the_client() {
    let mut pair = Pair::new(false, 4_096, 60_000, 1_000);
    let mut up = Vec::new();
    let mut down = Vec::new();
    for _ in 0..3 {
        pair.client.take_output(&mut up);
        pair.server.handle_input(Instant::ZERO, &up).unwrap();
        up.clear();
        if let Some(Event::ConnectRequested(_)) = pair.server.poll_event() {
            let status = Status::ConnectInvalidApp;
            pair.server.reject_connect(status, "no such application");
        }
        pair.server.take_output(&mut down);
        pair.client.handle_input(Instant::ZERO, &down).unwrap();
        down.clear();
    }
    let told: Vec<_> = core::iter::from_fn(|| pair.client.poll_event()).collect();
    assert_eq!(codes(&told), ["NetConnection.Connect.InvalidApp"]);
    assert!(!pair.server.is_connected());
}

fn config() -> ClientConfig {
    ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        ..ClientConfig::default()
    }
}

impl Pair {
    fn of(config: ClientConfig) -> Self {
        let mut client = ClientSession::new(config, 7);
        client.connect();
        Self {
            client,
            server: ServerSession::new(SessionConfig::default(), 8),
            piece: 1_000,
        }
    }
}

#[test]
fn a_client_does_several_things_at_once() {
    let mut pair = Pair::of(config());
    pair.client.publish_as("a", PublishKind::Record);
    let options = PlayOptions {
        start: PlayStart::Recorded(2.0),
        duration: Some(5.0),
        reset: false,
    };
    pair.client.play_with("b", options);
    pair.client.publish_as("c", PublishKind::Append);
    let (events, _) = pair.settle();
    assert!(matches!(
        &events[1..],
        [
            Event::PublishRequested {
                stream: 1,
                kind: PublishKind::Record,
                ..
            },
            Event::PlayRequested {
                stream: 2,
                start: PlayStart::Recorded(2.0),
                duration: Some(5.0),
                reset: false,
                ..
            },
            Event::PublishRequested {
                stream: 3,
                kind: PublishKind::Append,
                ..
            },
        ]
    ));
    assert_eq!(pair.client.stream(), Some(1));
    let time = Timestamp(9);
    pair.client.send_message(8, 3, time, b"\xAF\x01c");
    let parts = [
        (MediaKind::Audio, Timestamp(10), &b"\xAF\x01d"[..]),
        (MediaKind::Video, Timestamp(12), b"\x17\x01e"),
    ];
    pair.client.send_aggregate(1, &parts);
    pair.client.close(3);
    pair.client.close(99);
    let (events, told) = pair.settle();
    let streams: Vec<_> = events.iter().filter_map(Event::stream).collect();
    assert_eq!(streams, [3, 1, 1, 3]);
    assert_eq!(
        media_at_server(&events)[1..],
        [
            (MediaKind::Audio, 10, b"\xAF\x01d".to_vec()),
            (MediaKind::Video, 12, b"\x17\x01e".to_vec())
        ]
    );
    assert_eq!(codes(&told), ["NetStream.Unpublish.Success"]);
    pair.client.close_stream();
    let (events, _) = pair.settle();
    assert_eq!(events.len(), 2);
    assert_eq!(pair.client.stream(), None);
}

#[test]
fn a_client_steers_what_it_plays() {
    let mut pair = Pair::of(config());
    pair.client.play("a");
    pair.settle();
    pair.client.pause(true, 1.0);
    pair.client.seek(2_000.0);
    pair.client.receive_audio(false);
    pair.client.receive_video(true);
    let (events, _) = pair.settle();
    assert!(matches!(
        events.as_slice(),
        [
            Event::Paused { paused: true, .. },
            Event::SeekRequested {
                position: 2_000.0,
                ..
            },
            Event::Receive {
                audio: Some(false),
                ..
            },
            Event::Receive {
                video: Some(true),
                ..
            },
        ]
    ));
    assert_eq!(
        pair.server.buffer_length(1),
        Some(ClientConfig::default().buffer)
    );
    let play = Play2 {
        name: Some("b".into()),
        ..Play2::default()
    };
    pair.client.play2(1, &play);
    let (_, told) = pair.settle();
    assert_eq!(codes(&told), ["NetStream.Play.Transition"]);
    pair.server.complete_transition(1);
    let (_, told) = pair.settle();
    assert_eq!(media_at_client(&told).len(), 1, "onPlayStatus is data");
}

#[test]
fn a_client_calls_and_is_answered() {
    let mut pair = Pair::of(config());
    assert_eq!(pair.client.call(0, "early", vec![]), None);
    pair.settle();
    let film = vec![Value::string("film")];
    let length = pair.client.call(0, "getStreamLength", film).unwrap();
    let nothing = pair.client.call(0, "frobnicate", vec![]).unwrap();
    let (asked, mut told) = pair.settle();
    let [Event::LengthRequested { transaction, name }] = asked.as_slice() else {
        unreachable!("one question is for the shell: {asked:?}")
    };
    assert_eq!(name, "film");
    pair.server.answer_length(*transaction, 7.5);
    told.extend(pair.settle().1);
    let answers: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Answered {
                transaction,
                granted,
                value,
            } => Some((*transaction, *granted, value)),
            _ => None,
        })
        .collect();
    assert_eq!((answers[0].0, answers[0].1), (nothing, false));
    assert_eq!(answers[1], (length, true, &Value::Number(7.5)));
    for _ in 0..limits::OPEN_CALLS {
        assert!(pair.client.call(0, "x", vec![]).is_some());
    }
    assert_eq!(pair.client.call(0, "x", vec![]), None, "so many are open");
}

#[test]
fn both_sides_say_what_they_know_of_enhanced_rtmp() {
    let ours = Enhanced {
        four_cc_list: vec!["hvc1".into(), "av01".into()],
        video: vec![("hvc1".into(), 3)],
        audio: vec![("Opus".into(), 1)],
        caps_ex: 15,
    };
    let mut pair = Pair::of(ClientConfig {
        enhanced: Some(ours.clone()),
        ..config()
    });
    let (events, _) = pair.settle();
    assert!(matches!(&events[..], [Event::ConnectRequested(c)] if c.enhanced == Some(ours)));
    let caps = pair.client.server_caps().unwrap();
    assert_eq!(
        (caps.four_cc_list.as_slice(), caps.caps_ex),
        (&["*".to_owned()][..], 15)
    );
    assert_eq!(caps.video, [("*".to_owned(), 4)]);
    assert!(
        pair.server
            .request_reconnect(Some("rtmp://b/live"), "moving")
    );
    let (_, told) = pair.settle();
    let elsewhere = ClientEvent::Redirected {
        tc_url: "rtmp://b/live".into(),
    };
    assert_eq!(told[0], elsewhere);
    let mut plain = Pair::of(config());
    plain.settle();
    assert_eq!(plain.client.server_caps(), None);
}

#[test]
fn commands_are_wrapped_if_amf3_is_granted() {
    let mut pair = Pair::of(ClientConfig {
        object_encoding: 3,
        handshake: HandshakeKind::DigestSchema0,
        strict_handshake: true,
        ..config()
    });
    pair.settle();
    pair.client.publish("a");
    let mut up = pair.client.output().to_vec();
    // Format 1: a delta, a length, and type 17.
    assert_eq!((up[0] >> 6, up[7]), (1, 17));
    pair.client.take_output(&mut Vec::new());
    pair.server.handle_input(Instant::ZERO, &up).unwrap();
    up.clear();
    let (events, told) = pair.settle();
    assert!(matches!(
        events[..],
        [Event::PublishRequested { stream: 1, .. }]
    ));
    assert_eq!(codes(&told), ["NetStream.Publish.Start"]);
}

#[test]
fn a_pipelined_publish_leaves_behind_connect_and_is_heard_with_it() {
    let mut pair = Pair::new(false, 4_096, 60_000, usize::MAX);
    let config = ClientConfig {
        app: "live".into(),
        pipelined: true,
        ..ClientConfig::default()
    };
    pair.client = ClientSession::new(config, 7);
    pair.client.connect();
    pair.client.publish("test");
    let mut up = Vec::new();
    pair.client.take_output(&mut up);
    pair.server.handle_input(Instant::ZERO, &up).unwrap();
    let mut down = Vec::new();
    pair.server.take_output(&mut down);
    pair.client.handle_input(Instant::ZERO, &down).unwrap();
    let mut up = Vec::new();
    pair.client.take_output(&mut up);
    let create = up.windows(12).filter(|bytes| *bytes == b"createStream");
    assert_eq!(create.count(), 1, "no answer to `connect` was waited for");
    pair.server.handle_input(Instant::ZERO, &up).unwrap();
    let asked = pair.server.poll_event();
    assert!(matches!(asked, Some(Event::ConnectRequested(_))));
    pair.server.accept_connect();
    let (at_server, at_client) = pair.settle();
    let published = |e: &Event| matches!(e, Event::PublishRequested { name, .. } if name == "test");
    assert_eq!(at_server.iter().filter(|e| published(e)).count(), 1);
    let made = |e: &ClientEvent| matches!(e, ClientEvent::StreamCreated { stream: 1 });
    assert!(at_client.iter().any(made), "{at_client:?}");
}

#[test]
fn a_redirected_client_hears_where_to_and_wishes_no_more() {
    let mut pair = Pair::of(config());
    pair.client.publish("a");
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        pair.client.take_output(&mut up);
        pair.server.handle_input(Instant::ZERO, &up).unwrap();
        up.clear();
        if pair.server.poll_event().is_some() {
            pair.server.redirect_connect("rtmp://b/live", "elsewhere");
        }
        pair.server.take_output(&mut down);
        pair.client.handle_input(Instant::ZERO, &down).unwrap();
        down.clear();
    }
    let told: Vec<_> = core::iter::from_fn(|| pair.client.poll_event()).collect();
    assert!(matches!(
        &told[..],
        [
            ClientEvent::Established,
            ClientEvent::Redirected { tc_url },
            ClientEvent::Refused { code, description },
        ] if tc_url == "rtmp://b/live" && code == "NetConnection.Connect.Rejected" && description == "elsewhere"
    ));
    pair.client.play("b");
    assert!(pair.client.output().is_empty());
}

#[test]
fn a_server_cannot_flood_a_client() {
    let mut pair = Pair::of(config());
    pair.settle();
    let flood = |bytes: &[u8], times: usize| {
        let mut pair = Pair::of(config());
        pair.settle();
        pair.client
            .handle_input(Instant::ZERO, &bytes.repeat(times))
    };
    let ping = b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x06\0\0\0\x01";
    flood(ping, limits::REPLY_BYTES / ping.len()).unwrap();
    let error = flood(ping, limits::REPLY_BYTES / ping.len() + 1).unwrap_err();
    assert!(error.to_string().contains("answers"), "{error}");
    let audio = b"\x04\0\0\0\0\0\0\x08\x01\0\0\0";
    flood(audio, limits::SESSION_EVENTS).unwrap();
    let error = flood(audio, limits::SESSION_EVENTS + 1).unwrap_err();
    assert!(
        error.to_string().contains("messages in one read"),
        "{error}"
    );
    // Whoever takes the answers away goes on for ever.
    for _ in 0..3 {
        let half = ping.repeat(limits::REPLY_BYTES / ping.len() / 2);
        pair.client.handle_input(Instant::ZERO, &half).unwrap();
        pair.client.handle_input(Instant::ZERO, &half).unwrap();
        pair.client.take_output(&mut Vec::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What both sides say to each other is the same however the cable cuts it.
    #[test]
    fn a_conversation_is_the_same_in_any_split(
        piece in 1usize..4_000, amf3: bool, kind in 0usize..3,
        wishes in prop::collection::vec((any::<bool>(), "[a-c]"), 1..6),
    ) {
        let talk = |piece: usize| {
            let handshake = [
                HandshakeKind::Simple,
                HandshakeKind::DigestSchema0,
                HandshakeKind::DigestSchema1,
            ][kind];
            let object_encoding = if amf3 { 3 } else { 0 };
            let mut pair = Pair::of(ClientConfig { handshake, object_encoding, ..config() });
            pair.piece = piece;
            for (publishes, name) in &wishes {
                match publishes {
                    true => pair.client.publish(name),
                    false => pair.client.play(name),
                }
            }
            let (mut events, mut told) = pair.settle();
            pair.client.send_media(MediaKind::Audio, Timestamp(3), b"\xAF\x01x");
            pair.client.pause(true, 0.0);
            pair.client.close_stream();
            let (more_events, more_told) = pair.settle();
            events.extend(more_events);
            told.extend(more_told);
            // Who acknowledges what, and when, does depend on the pieces.
            told.retain(|event| !matches!(event, ClientEvent::Acknowledged(_)));
            (format!("{events:?}"), told)
        };
        prop_assert_eq!(talk(piece), talk(usize::MAX));
    }

    #[test]
    fn what_is_published_arrives(
        sizes in (1u32..70_000, 1u32..70_000), piece in 1usize..5_000, digest: bool,
        frames in prop::collection::vec((0usize..2, 0u32..200, 0usize..9_000), 0..20),
        start: u32,
    ) {
        let mut pair = Pair::new(digest, sizes.0, sizes.1, piece);
        pair.client.publish("key");
        pair.settle();
        let mut time = start;
        let mut sent = Vec::new();
        for (kind, delta, size) in frames {
            time = time.wrapping_add(delta);
            let kind = [MediaKind::Audio, MediaKind::Video][kind];
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            pair.client.send_media(kind, Timestamp(time), &payload);
            sent.push((kind, time, payload));
        }
        let (events, _) = pair.settle();
        prop_assert_eq!(media_at_server(&events), sent);
    }
}

/// The setting reaches the decoder: four bytes behind a format 3 header are its extended timestamp, whatever they say.
#[test]
fn strict_extended_timestamps_can_be_demanded() {
    for (strict, tail) in [(true, [7, 7]), (false, [9, 9])] {
        let mut pair = Pair::new(false, 128, 60_000, 1_000);
        let config = SessionConfig {
            strict_extended_timestamps: strict,
            ..SessionConfig::default()
        };
        pair.server = ServerSession::new(config, 8);
        pair.client.publish("key");
        pair.settle();
        let header = [70, 0xFF, 0xFF, 0xFF, 0, 0, 130, 9, 1, 0, 0, 0, 1, 0, 0, 0];
        let bytes = [&[0], &[header[0] - 64][..], &header[1..], &[1; 128]].concat();
        let rest = [0xC0, 6, 9, 9, 9, 9, 7, 7];
        let bytes = [bytes.as_slice(), &rest].concat();
        pair.server.handle_input(Instant::ZERO, &bytes).unwrap();
        let events: Vec<_> = core::iter::from_fn(|| pair.server.poll_event()).collect();
        let want = [vec![1; 128], tail.to_vec()].concat();
        let want = vec![(MediaKind::Video, 0x0100_0000, want)];
        assert_eq!(media_at_server(&events), want);
    }
}

/// The smallest chunk size that may be configured: every reply and every frame, in chunks of one byte.
#[test]
fn everything_works_in_chunks_of_one_byte() {
    let mut pair = Pair::new(true, 1, 1, 5);
    pair.client.publish("key");
    let (_, told) = pair.settle();
    assert_eq!(codes(&told).last(), Some(&"NetStream.Publish.Start"));
    let mut pair = Pair::new(false, 1, 1, 64 * 1024);
    pair.client.play("key");
    let (_, told) = pair.settle();
    assert!(codes(&told).contains(&"NetStream.Play.Start"), "{told:?}");
    let payload: Vec<u8> = (0..5_000).map(|i| i as u8).collect();
    for time in [5, 0x0100_0000] {
        let frame = WireMessage::new(MediaKind::Video, Timestamp(time), &payload, 1);
        let header = if time == 5 { 1 } else { 5 };
        assert_eq!(
            frame.bytes().len(),
            frame.header_len() + 5_000 + 4_999 * header
        );
        let events = pair.feed_client(frame.bytes());
        let want = vec![(MediaKind::Video, time, payload.clone())];
        assert_eq!(media_at_client(&events), want);
    }
}
