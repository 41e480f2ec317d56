//! Sessions of real clients, recorded byte for byte, replayed through both sides' protocol code.
//!
//! Whatever way the bytes are cut, the same events must come out, and they must be what an independent decoder found
//! (`corpus/clients/index.toml`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its corpus, and fails by panicking"
)]

#[path = "conformance/capture.rs"]
mod capture;
#[path = "conformance/replay.rs"]
mod replay;

use capture::{Capture, Connection};
use millstream::rtmp::wire::MediaKind;
use replay::{Record, client_events, messages, server_events};

/// Random ways to cut each session.
const SPLITS: u64 = 50;

/// Runs `check` on each connection of this direction that has a whole handshake.
fn each(direction: &str, check: impl Fn(&Connection, &[u8])) {
    let index = capture::index();
    assert!(index.len() > 100, "the corpus is there");
    for connection in index.iter().filter(|c| c.direction == direction) {
        if !connection.handshake {
            continue;
        }
        let bytes = Capture::load(&connection.file).bytes(connection);
        println!("{} #{} {direction}", connection.file, connection.number);
        check(connection, &bytes);
    }
}

/// Every way to feed `bytes` the tests try: whole, byte by byte, and [`SPLITS`] random ones, large pieces and small.
fn every_split(bytes: &[u8], mut feed: impl FnMut(&str, &[&[u8]])) {
    feed("whole", &[bytes]);
    feed("byte by byte", &bytes.chunks(1).collect::<Vec<_>>());
    for seed in 0..SPLITS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let largest = [3, 40, 300, 5_000][rng.usize(..4)];
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rng.usize(1..=largest).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        feed(&format!("seed {seed}"), &pieces);
    }
}

#[test]
fn messages_are_those_an_independent_decoder_found() {
    for direction in ["c2s", "s2c"] {
        each(direction, |connection, bytes| {
            let found = messages(bytes);
            let count = |type_id| found.iter().filter(|m| m.type_id == type_id).count();
            assert_eq!(found.len(), connection.messages);
            assert_eq!((count(8), count(9)), (connection.audio, connection.video));
            assert_eq!(replay::digest(&found), connection.digest);
            let commands = found.iter().filter(|m| m.type_id == 20);
            let names: Vec<String> = commands.map(replay::command_name).collect();
            assert_eq!(names, connection.commands);
        });
    }
}

#[test]
fn any_split_gives_a_server_the_same_events() {
    each("c2s", |connection, bytes| {
        let expected = server_events(&[bytes]);
        every_split(bytes, |how, pieces| {
            let got = server_events(pieces);
            assert!(got == expected, "{} {how}", connection.file);
        });
    });
}

#[test]
fn any_split_gives_a_client_the_same_events() {
    each("s2c", |connection, bytes| {
        let expected = client_events(&[bytes]);
        every_split(bytes, |how, pieces| {
            let got = client_events(pieces);
            assert!(got == expected, "{} {how}", connection.file);
        });
    });
}

#[test]
fn publishers_and_players_are_understood() {
    each("c2s", |connection, bytes| {
        let events = server_events(&[bytes]);
        let texts = replay::texts(&events);
        let (app, query) = split(&connection.app);
        let connect = format!("connect app={app} query={query}");
        assert_eq!(texts.first(), Some(&connect), "{texts:?}");
        if let Some(raw) = &connection.publish {
            let (name, query) = split(raw);
            let wanted = format!("publish stream=1 name={name} query={query} kind=Live");
            assert!(texts.contains(&wanted), "{texts:?}");
        }
        if let Some(raw) = &connection.play {
            let (name, query) = split(raw);
            let wanted = format!("play stream=1 name={name} query={query}");
            assert!(texts.iter().any(|t| t.starts_with(&wanted)), "{texts:?}");
        }
        let sent = |name: &str| connection.commands.iter().any(|c| c == name);
        let closed = texts.iter().filter(|t| *t == "closed stream=1").count();
        let role = connection.publish.is_some() || connection.play.is_some();
        let left = sent("FCUnpublish") || sent("deleteStream");
        assert_eq!(closed, usize::from(role && left), "{texts:?}");
    });
}

/// What each client waits for before it goes on, as 525 probes of them have it: an answer to every call, on the right
/// message stream, in the right shape.
#[test]
fn clients_get_the_replies_they_wait_for() {
    each("c2s", |connection, bytes| {
        let calls = messages(bytes);
        let calls = calls.iter().filter(|m| m.type_id == 20);
        let replies = replay::replies(bytes);
        let answered = |id: f64| replies.iter().filter(|r| r.answers(id)).count();
        let status = |code: &str| {
            let found = replies.iter().filter(|r| r.code() == code);
            found.map(|r| r.stream).collect::<Vec<_>>()
        };
        for call in calls.map(replay::command) {
            let id = call.transaction;
            match call.name.as_str() {
                "publish" => assert_eq!(status("NetStream.Publish.Start"), [1]),
                "play" => assert_eq!(status("NetStream.Play.Start"), [1]),
                "deleteStream" | "seek" => assert_eq!(answered(id), 0),
                _ if id == 0.0 => assert_eq!(answered(id), 0, "{}", call.name),
                _ => assert_eq!(answered(id), 1, "{} {}", connection.file, call.name),
            }
        }
    });
}

#[test]
fn published_media_arrives_whole_and_in_order() {
    each("c2s", |connection, bytes| {
        let events = server_events(&[bytes]);
        let found = messages(bytes);
        for (kind, type_id) in [(MediaKind::Audio, 8), (MediaKind::Video, 9)] {
            let sent = found.iter().filter(|m| m.type_id == type_id);
            let sent: Vec<_> = sent.map(|m| (m.timestamp, &m.payload)).collect();
            let got: Vec<_> = replay::media(&events, kind).collect();
            assert_eq!(got.len(), sent.len(), "{}", connection.file);
            assert!(got == sent, "{}: payloads differ", connection.file);
        }
        let data: Vec<_> = replay::media(&events, MediaKind::Data).collect();
        assert_eq!(data.len(), connection.data.len());
        for (_, payload) in data {
            // `@setDataFrame` is gone, and `onMetaData` stands first.
            assert!(payload.starts_with(b"\x02\x00\x0AonMetaData"));
            assert!(matches!(payload.get(13), Some(3 | 8)), "then its values");
        }
    });
}

#[test]
fn a_refused_publisher_is_told_so_and_forgotten() {
    each("c2s", |connection, bytes| {
        let Some(name) = &connection.publish else {
            return;
        };
        let events = replay::refusing_server_events(bytes);
        let texts = replay::texts(&events);
        assert!(texts.iter().any(|t| t.starts_with("publish ")), "{name}");
        assert!(!texts.iter().any(|t| t.starts_with("closed ")), "{texts:?}");
        let media = events.iter().any(|e| matches!(e, Record::Media { .. }));
        assert!(!media, "{}", connection.file);
    });
}

#[test]
fn real_servers_move_our_client_on() {
    each("s2c", |connection, bytes| {
        let events = client_events(&[bytes]);
        let texts = replay::texts(&events);
        let results = connection.commands.iter().filter(|c| *c == "_result");
        // An authentication server refuses; some only ever close.
        match results.count() {
            0 => assert!(!texts.contains(&"connected".to_owned()), "{texts:?}"),
            _ => assert!(texts.contains(&"connected".to_owned()), "{texts:?}"),
        }
        for (kind, count) in [
            (MediaKind::Audio, connection.audio),
            (MediaKind::Video, connection.video),
            (MediaKind::Data, connection.data.len()),
        ] {
            assert_eq!(replay::media(&events, kind).count(), count);
        }
    });
}

#[test]
fn rtmpe_is_known_for_what_it_is() {
    let index = capture::index();
    let connection = index.iter().find(|c| c.file.contains("rtmpe")).unwrap();
    let bytes = Capture::load(&connection.file).bytes(connection);
    let error = replay::server_error(&bytes).unwrap();
    assert_eq!(error.fault().to_string(), "peer does not speak RTMP");
}

fn split(raw: &str) -> (&str, &str) {
    raw.split_once('?').unwrap_or((raw, ""))
}
