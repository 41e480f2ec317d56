//! Sessions of real clients, recorded byte for byte, replayed through both sides' protocol code.
//!
//! Whatever way the bytes are cut, the same events and the same replies must come out; the messages must be what an
//! independent decoder found (`corpus/clients/index.json`), and events and replies what a second reading of the protocol
//! makes of them (`conformance/expect.rs`). Further recordings are read from the folder `MILLSTREAM_TRANSCRIPTS` names,
//! with or without an index.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its corpus, has threads, and fails by panicking"
)]

#[path = "conformance/capture.rs"]
mod capture;
#[path = "conformance/expect.rs"]
mod expect;
#[path = "conformance/replay.rs"]
mod replay;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use capture::{Direction, Recording};
use millstream::rtmp::amf::Value;
use millstream::rtmp::session::server::SessionError;
use millstream::rtmp::wire::MediaKind;
use replay::{Found, Mood, Record, listen, messages, said, serve};

/// Random ways to cut each session.
const SPLITS: u64 = 1_000;

/// Runs `check` on each recording of this direction that is one of RTMP, on all cores.
fn each(direction: Direction, check: impl Fn(&Recording) + Sync) -> usize {
    let mut recordings = capture::recordings();
    recordings.retain(|r| r.direction == direction && r.is_rtmp());
    assert!(recordings.len() > 50, "the corpus is there");
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(recording) = recordings.get(next.fetch_add(1, Ordering::Relaxed)) {
            println!("{}", recording.name);
            check(recording);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, NonZero::get) {
            scope.spawn(work);
        }
    });
    recordings.len()
}

/// Calls `feed` with every way to cut `bytes` that is tried: whole, byte by byte, and [`SPLITS`] random ones. One in 16 of
/// those is of up to 3 bytes throughout; the others mix pieces of all sizes. Every second one is cut at `waits` too, the
/// places where the client has said something that is answered before it goes on; `feed` is told which.
fn every_split<'a>(
    bytes: &'a [u8],
    waits: &[usize],
    mut feed: impl FnMut(&str, bool, &[&'a [u8]]),
) {
    feed("whole", false, &[bytes]);
    feed("byte by byte", true, &bytes.chunks(1).collect::<Vec<_>>());
    let mut pieces = Vec::new();
    for seed in 0..SPLITS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let waiting = seed % 2 == 0;
        let mut waits = waits.iter().filter(|_| waiting).peekable();
        let mut done = 0;
        pieces.clear();
        while done < bytes.len() {
            let largest = match seed % 16 {
                0 => 3,
                _ => [2, 20, 150, 1_500, 9_000][rng.usize(..5)],
            };
            let mut end = (done + rng.usize(1..=largest)).min(bytes.len());
            while let Some(wait) = waits.next_if(|wait| **wait <= end) {
                end = if *wait > done { *wait } else { end };
                if *wait > done {
                    break;
                }
            }
            pieces.push(&bytes[done..end]);
            done = end;
        }
        feed(&format!("seed {seed}"), waiting, &pieces);
    }
}

/// Compares records as they come.
struct Comparison<'e> {
    expected: core::slice::Iter<'e, Record>,
    number: usize,
}

impl<'e> Comparison<'e> {
    fn new(expected: &'e [Record]) -> Self {
        Self {
            expected: expected.iter(),
            number: 0,
        }
    }

    fn next(&mut self, record: &Record, recording: &Recording, how: &str) {
        let expected = self.expected.next();
        let number = self.number;
        assert!(
            expected == Some(record),
            "{} {how}: event {number} is {record:?}, not {expected:?}",
            recording.name
        );
        self.number += 1;
    }

    fn end(mut self, recording: &Recording, how: &str) {
        let missing = self.expected.next();
        assert!(
            missing.is_none(),
            "{} {how}: no {missing:?}",
            recording.name
        );
    }
}

#[test]
fn any_split_gives_a_server_the_same_events_and_replies() {
    let start = Instant::now();
    let count = each(Direction::ToServer, |recording| {
        let mut expected = Vec::new();
        let mut reference: Option<(Option<Vec<Found>>, Option<SessionError>)> = None;
        serve([recording.bytes.as_slice()], Mood::Grants, |record| {
            expected.push(record);
        });
        let waits = replay::command_ends(&recording.bytes);
        every_split(&recording.bytes, &waits, |how, waiting, pieces| {
            let pieces = pieces.iter().copied();
            let mut comparison = Comparison::new(&expected);
            let check = |record| comparison.next(&record, recording, how);
            let (output, error) = serve(pieces, Mood::Grants, check);
            comparison.end(recording, how);
            // A request that the same read brings the end of is not answered.
            let words = waiting.then(|| said(&output));
            let (reference, end) = reference.get_or_insert((words.clone(), error));
            assert_eq!(error, *end, "{} {how}", recording.name);
            match (words, &reference) {
                (Some(words), Some(reference)) => {
                    assert!(words == *reference, "{} {how}: replies", recording.name);
                }
                (words, _) => *reference = words,
            }
        });
    });
    println!(
        "{count} recordings in {SPLITS} splits: {:?}",
        start.elapsed()
    );
}

#[test]
fn any_split_gives_a_client_the_same_events() {
    let start = Instant::now();
    let count = each(Direction::ToClient, |recording| {
        let mut expected = Vec::new();
        let end = listen([recording.bytes.as_slice()], |record| expected.push(record));
        every_split(&recording.bytes, &[], |how, _, pieces| {
            let mut comparison = Comparison::new(&expected);
            let check = |record| comparison.next(&record, recording, how);
            let error = listen(pieces.iter().copied(), check);
            comparison.end(recording, how);
            assert_eq!(error, end, "{} {how}", recording.name);
        });
    });
    println!(
        "{count} recordings in {SPLITS} splits: {:?}",
        start.elapsed()
    );
}

#[test]
fn messages_are_those_an_independent_decoder_found() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let known = AtomicUsize::new(0);
        each(direction, |recording| {
            let (found, error) = messages(&recording.bytes);
            let Some(summary) = &recording.summary else {
                return;
            };
            known.fetch_add(1, Ordering::Relaxed);
            let name = &recording.name;
            assert_eq!(
                error.is_some(),
                summary.error.is_some(),
                "{name}: {error:?}"
            );
            let count = |type_id| found.iter().filter(|m| m.type_id == type_id).count();
            assert_eq!(found.len(), summary.messages, "{name}");
            assert_eq!(replay::digest(&found), summary.digest, "{name}");
            assert_eq!(
                (count(8), count(9)),
                (summary.audio, summary.video),
                "{name}"
            );
            assert_eq!(count(15) + count(18), summary.data.len(), "{name}");
            let commands: Vec<_> = found.iter().filter(|m| m.is_command()).collect();
            assert_eq!(commands.len(), summary.commands.len(), "{name}");
            for (message, known) in commands.iter().zip(&summary.commands) {
                assert_eq!(
                    (message.stream, message.type_id),
                    (known.msid, known.type_id)
                );
                let command = message.command().unwrap();
                let mut ours = vec![
                    command.name.as_str().into(),
                    command.transaction.into(),
                    replay::json(&command.object),
                ];
                ours.extend(command.arguments.iter().map(replay::json));
                let mut args = known.args.clone();
                // A command may end early; ours has a null for its object then.
                args.resize(args.len().max(3), serde_json::Value::Null);
                for (number, (known, ours)) in args.iter().zip(&ours).enumerate() {
                    let same = replay::says(known, ours);
                    assert!(same, "{name}: argument {number}: {known} / {ours}");
                }
                // It does not read on behind AMF3.
                let all = args.last().is_some_and(|last| last.get("__amf3").is_none());
                assert!(args.len() == ours.len() || !all, "{name}: {args:?}");
            }
        });
        assert!(known.into_inner() > 50, "the index is there");
    }
}

/// Publishers and players are understood, and what they send arrives whole and in order.
#[test]
fn a_server_makes_of_a_client_what_the_protocol_says() {
    each(Direction::ToServer, |recording| {
        for mood in [Mood::Grants, Mood::Refuses] {
            let (found, _) = messages(&recording.bytes);
            let expected = expect::expected(&found, mood);
            let mut comparison = Comparison::new(&expected.records);
            // Small reads, so that each request is answered before the next comes.
            let (_, end) = serve(recording.bytes.chunks(10), mood, |record| match record {
                Record::Other(_) => {}
                record => comparison.next(&record, recording, "ten by ten"),
            });
            comparison.end(recording, "ten by ten");
            assert_eq!(end, None, "{}", recording.name);
        }
    });
}

/// What each client waits for before it goes on, as 525 probes of them have it: an answer to every call, on the right
/// message stream, in the right shape and order.
#[test]
fn clients_get_the_replies_they_wait_for() {
    each(Direction::ToServer, |recording| {
        for mood in [Mood::Grants, Mood::Refuses] {
            let (found, _) = messages(&recording.bytes);
            let expected = expect::expected(&found, mood).replies;
            let (output, _) = serve(recording.bytes.chunks(10), mood, |_| {});
            let words = said(&output);
            let replies = expect::replies(&words);
            let mut rest = replies.iter();
            for reply in &expected {
                let found = rest.any(|r| r == reply);
                let name = &recording.name;
                assert!(
                    found,
                    "{name}: no {reply} in order: {expected:?} {replies:?}"
                );
            }
            let answers = |all: &[String]| all.iter().filter(|r| r.starts_with('_')).count();
            assert_eq!(answers(&replies), answers(&expected), "{replies:?}");
            shapes(&words, &recording.name);
        }
    });
}

/// The shapes clients insist on: GStreamer and node-media-server on an object in the answer to `connect`, FFmpeg on plain
/// objects in onStatus and a chunk size before long replies, GStreamer on the message stream.
fn shapes(words: &[Found], name: &str) {
    let connected = words.iter().position(|m| m.type_id == 20).unwrap();
    for needed in [1, 5, 6] {
        let before = words[..connected].iter().any(|m| m.type_id == needed);
        assert!(
            before,
            "{name}: no message of type {needed} before connect's answer"
        );
    }
    assert_eq!(words.iter().filter(|m| m.type_id == 1).count(), 1, "{name}");
    for message in words.iter().filter(|m| m.is_command()) {
        assert_eq!(
            message.type_id, 20,
            "{name}: FFmpeg and GStreamer read no other"
        );
        let command = message.command().unwrap();
        match command.name.as_str() {
            "onStatus" => {
                assert!(matches!(command.argument(0), Value::Object(_)), "{name}");
                assert_eq!((command.transaction, &command.object), (0.0, &Value::Null));
                assert_ne!(message.stream, 0, "{name}");
            }
            "_result" | "_error" => {
                assert_eq!((message.stream, command.arguments.len()), (0, 1), "{name}");
            }
            _ => {}
        }
    }
    let answer = words[connected].command().unwrap();
    let code = answer.argument(0).get("code").and_then(Value::as_str);
    if code == Some("NetConnection.Connect.Success") {
        assert!(answer.object.get("fmsVer").is_some(), "{name}");
    }
}

#[test]
fn a_refused_publisher_is_forgotten() {
    each(Direction::ToServer, |recording| {
        // In one read: what follows on the heels of the request is forgotten with it.
        let mut asked = false;
        let mut media = 0;
        let (output, _) = serve([recording.bytes.as_slice()], Mood::Refuses, |record| {
            asked |= matches!(&record, Record::Role(text) if text.starts_with("publish "));
            media += usize::from(matches!(record, Record::Media { .. }));
        });
        let words = expect::replies(&said(&output));
        let told = words
            .iter()
            .any(|w| w.ends_with("NetStream.Publish.BadName"));
        assert_eq!((told, media), (asked, 0), "{}", recording.name);
    });
}

#[test]
fn real_servers_move_our_client_on() {
    each(Direction::ToClient, |recording| {
        let mut media = Vec::new();
        let mut connected = false;
        let end = listen([recording.bytes.as_slice()], |record| match record {
            Record::Media { kind, payload, .. } => media.push((kind, payload)),
            Record::Role(_) => connected = true,
            Record::Other(_) => {}
        });
        assert_eq!(end, None, "{}", recording.name);
        let (found, _) = messages(&recording.bytes);
        let sent = found.iter().flat_map(|message| match message.type_id {
            22 => replay::parts(message),
            _ => vec![message.clone()],
        });
        let sent = sent.filter_map(|message| {
            let kind = replay::kind(message.type_id)?;
            let skip = usize::from(message.type_id == 15 && message.payload.first() == Some(&0));
            Some((kind, message.payload[skip..].to_vec()))
        });
        let sent: Vec<(MediaKind, Vec<u8>)> = sent.collect();
        assert!(media == sent, "{}", recording.name);
        // An authentication server refuses; some only ever close.
        let mut commands = found.iter().filter_map(Found::command);
        let answered = commands.any(|c| c.name == "_result" && c.transaction == 1.0);
        assert_eq!(connected, answered, "{}", recording.name);
    });
}

#[test]
fn rtmpe_is_known_for_what_it_is() {
    let all = capture::recordings();
    let recording = all.iter().find(|r| r.name.contains("rtmpe")).unwrap();
    let (_, error) = serve([recording.bytes.as_slice()], Mood::Grants, |_| {});
    assert_eq!(
        error.unwrap().fault().to_string(),
        "peer does not speak RTMP"
    );
}
