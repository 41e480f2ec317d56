//! The load tester against a server, over real sockets.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server: it has threads of its own, and fails by panicking"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use millstream::Server;
use millstream::load::start::{Job, LoadError, Options, start};
use millstream::load::{Report, target::Target};

fn server() -> Server {
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .shards(2);
    server.start().expect("a free port")
}

fn options(server: &Server, name: &str, streams: usize, seconds: u64, job: Job) -> Options {
    let url = format!("rtmp://{}/live/{name}", server.local_addrs()[0]);
    Options {
        target: Target::parse(&url).unwrap(),
        streams,
        duration: Duration::from_secs(seconds),
        ramp: Duration::from_millis(100),
        portable: false,
        job,
    }
}

fn publish(file: Option<&str>) -> Job {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/media");
    Job::Publish {
        file: file.map(|file| media.join(file)),
        kbits: 1_000,
        markers: true,
    }
}

fn play(players: usize) -> Job {
    let stall = Duration::from_secs(5);
    Job::Play { players, stall }
}

fn run(options: Options) -> Report {
    start(&options, |_| {}).expect("it starts")
}

/// Publishes beside the players, and longer than they play; the reports of both.
fn beside(publisher: Options, players: Options) -> (Report, Report) {
    let publisher = thread::spawn(move || run(publisher));
    thread::sleep(Duration::from_millis(500));
    let played = run(players);
    (publisher.join().unwrap(), played)
}

#[test]
fn players_verify_what_publishers_send_on_both_runtimes() {
    for portable in [false, true] {
        let server = server();
        let mut publisher = options(&server, "s{n}", 2, 4, publish(None));
        let mut players = options(&server, "s{n}", 2, 1, play(6));
        publisher.portable = portable;
        players.portable = portable;
        let (published, played) = beside(publisher, players);
        assert!(
            published.passed && played.passed,
            "{published:?}\n{played:?}"
        );
        let play = played.play.as_ref().unwrap();
        assert_eq!(
            (played.started, play.served, play.lost, play.ahead),
            (6, 6, 0, 0)
        );
        assert!(play.latency_ms.count > 60, "{played:?}");
        assert!(play.latency_ms.p50.unwrap() < 1_000.0, "{played:?}");
        assert_eq!(play.first_keyframe_ms.count, 6);
        assert!(
            published.marked > 150 && published.audio > 250,
            "{published:?}"
        );
        let rate = published.bits_per_second / 2e6;
        assert!((0.8..1.5).contains(&rate), "{rate} Mbit/s a stream");
        server.stop().unwrap();
    }
}

#[test]
fn a_file_is_published_over_and_over() {
    let server = server();
    // It is 2 s long: the players see it begin again.
    let publisher = options(&server, "file", 1, 5, publish(Some("h264_aac_bframes.flv")));
    let players = options(&server, "file", 1, 3, play(2));
    let (published, played) = beside(publisher, players);
    assert!(
        published.passed && played.passed,
        "{published:?}\n{played:?}"
    );
    assert!(played.play.unwrap().latency_ms.count > 0);
    server.stop().unwrap();
}

#[test]
fn whoever_gets_nothing_has_failed_and_is_told_why() {
    let server = server();
    let silence = run(options(&server, "nobody", 1, 1, play(2)));
    assert!(
        !silence.passed && silence.failures.is_empty(),
        "{silence:?}"
    );
    assert!(
        silence.summary().contains("nothing came    to 2 players"),
        "{}",
        silence.summary()
    );
    let first = options(&server, "once", 1, 3, publish(None));
    let second = options(&server, "once", 1, 1, publish(None));
    let (first, second) = beside(first, second);
    assert!(first.passed && !second.passed, "{first:?}\n{second:?}");
    let reason = second.failures.keys().next().unwrap();
    assert!(reason.contains("NetStream.Publish.BadName"), "{reason}");
    let gone = options(&server, "gone", 1, 1, play(1));
    server.stop().unwrap();
    let refused = run(gone);
    let reason = refused.failures.keys().next().unwrap();
    assert!(
        reason.starts_with("cannot connect to 127.0.0.1:"),
        "{reason}"
    );
}

#[test]
fn the_binary_tells_by_its_exit_code_and_says_how_it_goes() {
    let server = server();
    let url = format!("rtmp://{}/live/x", server.local_addrs()[0]);
    let run = |arguments: &str| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.arg("load").args(arguments.split(' ')).arg(&url);
        command.output().unwrap()
    };
    let json =
        |output: &Output| -> serde_json::Value { serde_json::from_slice(&output.stdout).unwrap() };
    thread::scope(|scope| {
        let publisher = scope.spawn(|| run("publish --duration 4s --bitrate 500"));
        thread::sleep(Duration::from_millis(500));
        let played = run("play --players 3 --ramp 0s --duration 2s --json");
        assert!(played.status.success(), "{played:?}");
        assert_eq!(json(&played)["started"], 3);
        let progress = String::from_utf8_lossy(&played.stderr).into_owned();
        assert!(progress.contains("1 s  3/3 play  "), "{progress}");
        let published = publisher.join().unwrap();
        assert!(published.status.success(), "{published:?}");
        let summary = String::from_utf8_lossy(&published.stdout).into_owned();
        assert!(summary.ends_with("passed\n"), "{summary}");
    });
    server.stop().unwrap();
    let failed = run("play --players 3 --ramp 0s --duration 2s --json");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(json(&failed)["passed"], false);
}

#[test]
fn the_report_is_json_of_a_known_shape() {
    let server = server();
    let (published, played) = beside(
        options(&server, "json", 1, 3, publish(None)),
        options(&server, "json", 1, 1, play(1)),
    );
    let json = |report: &Report| serde_json::to_value(report).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let common = [
        "load",
        "passed",
        "streams",
        "connections",
        "started",
        "seconds",
        "bytes",
        "bits_per_second",
        "video",
        "audio",
        "marked",
        "cpu_seconds",
        "failures",
    ];
    let of_play = [
        "served",
        "latency_ms",
        "ahead",
        "lateness_ms",
        "jumps",
        "first_frame_ms",
        "first_keyframe_ms",
        "stalls",
        "stall_ms",
        "longest_stall_ms",
        "stalled_ms",
        "lost",
        "wrong",
    ];
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    let mut seen = keys(&json(&played));
    seen.sort();
    assert_eq!(seen, sorted(&[&common[..], &of_play].concat()));
    let mut seen = keys(&json(&published));
    seen.sort();
    assert_eq!(
        seen,
        sorted(&[&common[..], &["lateness_ms", "unsent_most"]].concat())
    );
    let latency = &json(&played)["latency_ms"];
    assert!(
        latency["p99"].as_f64() >= latency["p50"].as_f64(),
        "{latency}"
    );
    assert_eq!(json(&played)["load"], "play");
    server.stop().unwrap();
}

#[test]
fn what_cannot_be_published_is_refused_before_it_begins() {
    let server = server();
    let begin = |file: &str| {
        let publisher = options(&server, "x", 1, 1, publish(Some(file)));
        start(&publisher, |_| {}).unwrap_err()
    };
    assert!(matches!(begin("missing.flv"), LoadError::Read { .. }));
    let error = begin("README.md").to_string();
    assert!(error.contains("not an FLV file"), "{error}");
    server.stop().unwrap();
}
