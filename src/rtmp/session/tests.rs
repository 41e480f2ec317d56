//! Both sides against each other, in memory.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::client::{ClientConfig, ClientEvent, ClientSession};
use super::server::{Event, ServerSession, SessionConfig};
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
            digest,
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
                        Event::PlayRequested { stream, .. } => self.server.accept_play(*stream),
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
        let closed = |e: &&Event| matches!(e, Event::StreamClosed { stream: 1 });
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
            Event::StreamClosed { stream: 1 }
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
            let code = "NetConnection.Connect.InvalidApp";
            pair.server.reject_connect(code, "no such application");
        }
        pair.server.take_output(&mut down);
        pair.client.handle_input(Instant::ZERO, &down).unwrap();
        down.clear();
    }
    let told: Vec<_> = core::iter::from_fn(|| pair.client.poll_event()).collect();
    assert_eq!(codes(&told), ["NetConnection.Connect.InvalidApp"]);
    assert!(!pair.server.is_connected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
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
