//! Real encoders and players against the real binary. They need programs that `cargo test` cannot assume:
//! `.ci/run` installs them from Debian's packages and runs these with `MILLSTREAM_CLIENTS=all`, which turns
//! "skipped, not installed" into a failure.

#![cfg(all(feature = "production", unix))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "these tests run real programs in the real world, and fail by panicking"
)]

#[path = "clients/frames.rs"]
mod frames;
#[path = "clients/packets.rs"]
mod packets;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/recordings.rs"]
mod recordings;
mod support;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use packets::{of_file, of_torn_file, parse, probe};
use programs::{Obs, count, decode, enhanced_ffmpeg, ffmpeg, have, publish};
use support::{Program, Server};

/// For a client to reach the server and ask for its stream, before the next step of a test.
const ATTACH: Duration = Duration::from_millis(1_500);
/// For a publisher to send the longest file (6 s) and go.
const PUBLISH: Duration = Duration::from_secs(20);
/// For a player to notice that its publisher has gone. VLC and mpv empty their buffers first.
const LEAVE: Duration = Duration::from_secs(10);

fn media(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus/media")
        .join(name)
}

fn runtimes() -> &'static [&'static str] {
    if cfg!(target_os = "linux") {
        &["shard", "smol"]
    } else {
        &["smol"]
    }
}

fn prober(url: &str) -> Program {
    Program::start("ffprobe", &mut probe(url))
}

/// The player asks first, the publisher comes, sends, and goes; the player has everything, and goes too.
fn plays_everything(server: &Server, name: &str) {
    let file = media(name);
    let url = server.url(name);
    let player = prober(&url);
    thread::sleep(ATTACH);
    publish("ffmpeg", &file, &url).succeeds(PUBLISH);
    let played = parse(&player.succeeds(LEAVE));
    played.assert_same(&of_file(&file), name);
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn a_waiting_player_gets_every_packet() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime, "--shards", "2"]);
        plays_everything(&server, "h264_aac_short.flv");
    }
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn every_kind_of_stream_comes_whole() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let server = Server::start(&["--shards", "2"]);
    thread::scope(|scope| {
        for name in [
            "h264_aac_bframes.flv",
            "h264_mp3.flv",
            "aac_only.flv",
            "h264_only.flv",
        ] {
            let server = &server;
            scope.spawn(move || plays_everything(server, name));
        }
    });
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn odd_chunk_sizes_carry_the_same() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for size in ["128", "4096", "65536"] {
        plays_everything(
            &Server::start(&["--chunk-size", size]),
            "h264_aac_short.flv",
        );
    }
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn hashes_and_pictures_are_the_same_at_both_ends() {
    if !have("ffmpeg") {
        return;
    }
    let file = media("h264_aac_bframes.flv");
    let streams = ["-c", "copy", "-f", "streamhash", "-"];
    let pictures = ["-map", "0:v", "-f", "framemd5", "-"];
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime]);
        let url = server.url("test");
        let read = |source: &str, what: &[&str]| {
            Program::start(
                "ffmpeg",
                &mut ffmpeg("ffmpeg", &[&["-i", source], what].concat()),
            )
        };
        let played = [read(&url, &streams), read(&url, &pictures)];
        thread::sleep(ATTACH);
        publish("ffmpeg", &file, &url).succeeds(PUBLISH);
        let source = file.to_str().unwrap();
        let published = [read(source, &streams), read(source, &pictures)];
        for (played, published) in played.into_iter().zip(published) {
            // Which stream is numbered first depends on which came first; the hashes do not.
            let hashes = |program: Program| {
                let text = program.succeeds(PUBLISH);
                let rows = text.lines().filter(|line| !line.starts_with('#'));
                let mut hashes: Vec<_> = rows
                    .map(|row| row.rsplit(',').next().unwrap().trim().to_owned())
                    .collect();
                if text.contains("SHA256=") {
                    hashes.sort();
                }
                hashes
            };
            let (played, published) = (hashes(played), hashes(published));
            println!(
                "{runtime}: {} hashes, the first {}",
                published.len(),
                published[0]
            );
            assert_eq!(played, published);
        }
    }
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn joining_in_the_middle_begins_with_a_picture() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let file = media("h264_aac.flv");
    let published = of_file(&file);
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime, "--shards", "2"]);
        let url = server.url("test");
        let publisher = publish("ffmpeg", &file, &url);
        thread::sleep(Duration::from_millis(2_300));
        let (mut players, mut decoders) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            players.push(prober(&url));
            decoders.push(decode(&url));
            thread::sleep(Duration::from_millis(430));
        }
        publisher.succeeds(PUBLISH);
        let mut before = Vec::new();
        for (number, player) in players.into_iter().enumerate() {
            let who = format!("{runtime}, player {number}");
            before.push(parse(&player.succeeds(LEAVE)).assert_piece(&published, true, &who));
        }
        for decoder in decoders {
            decoder.succeeds(LEAVE);
        }
        println!("{runtime}: the players missed {before:?} packets");
        assert!(
            before[2] > 0,
            "the last player came late, and got the whole file"
        );
    }
}

#[test]
#[ignore = "drives FFmpeg, rtmpdump, GStreamer, VLC and mpv; .ci/run installs them"]
fn every_player_plays_at_once() {
    if ![
        "ffmpeg",
        "ffprobe",
        "rtmpdump",
        "gst-launch-1.0",
        "cvlc",
        "mpv",
    ]
    .map(have)
    .iter()
    .all(|it| *it)
    {
        return;
    }
    let file = media("h264_aac.flv");
    let published = of_file(&file);
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime, "--shards", "2"]);
        let url = server.url("test");
        let (vlc, vlc_pictures) = programs::vlc(&url);
        let (mpv, mpv_pictures) = programs::mpv(&url);
        let (rtmpdump, rtmpdump_file) = programs::rtmpdump(&url);
        let (rtmp2src, rtmp2src_file) = programs::rtmp2src(&url);
        let (ffprobe, decoder) = (prober(&url), decode(&url));
        // VLC takes its time on two cores.
        thread::sleep(ATTACH * 2);
        publish("ffmpeg", &file, &url).succeeds(PUBLISH);

        parse(&ffprobe.succeeds(LEAVE)).assert_same(&published, "ffprobe");
        decoder.succeeds(LEAVE);
        rtmpdump.succeeds(LEAVE);
        of_file(&rtmpdump_file).assert_same(&published, "rtmpdump");
        rtmp2src.succeeds(LEAVE);
        let played = of_torn_file(&rtmp2src_file);
        assert_eq!(played.assert_piece(&published, false, "rtmp2src"), 0);
        assert!(
            played.video.len() > 100,
            "rtmp2src: {} pictures",
            played.video.len()
        );
        let said = mpv.succeeds(LEAVE);
        assert!(!said.to_lowercase().contains("error"), "mpv: {said}");
        let seen = count(&mpv_pictures, ".jpg");
        assert!(seen > 100, "mpv showed {seen} of 150 pictures");
        let ended = vlc.ended(LEAVE);
        assert!(
            ended.status.success() && !ended.err.to_lowercase().contains("error"),
            "vlc: {ended:?}"
        );
        let seen = count(&vlc_pictures, ".png");
        assert!(seen > 15, "vlc showed {seen} of 30 pictures");
        std::fs::remove_dir_all(vlc_pictures).unwrap();
        println!("{runtime}: ffprobe, ffmpeg, rtmpdump, rtmp2src, mpv and VLC have seen it all");
    }
}

#[test]
#[ignore = "drives GStreamer and FFmpeg; .ci/run installs them"]
fn rtmp2sink_publishes() {
    if !["gst-launch-1.0", "ffprobe"].map(have).iter().all(|it| *it) {
        return;
    }
    let file = media("h264_aac.flv");
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime]);
        let url = server.url("gst");
        let (player, decoder) = (prober(&url), decode(&url));
        thread::sleep(ATTACH);
        programs::rtmp2sink(&file, &url).succeeds(PUBLISH);
        parse(&player.succeeds(LEAVE)).assert_same_payloads(&of_file(&file), "rtmp2sink");
        decoder.succeeds(LEAVE);
    }
}

#[test]
#[ignore = "drives OBS and FFmpeg; .ci/run installs them"]
fn obs_publishes() {
    if !["obs", "Xvfb", "ffmpeg"].map(have).iter().all(|it| *it) {
        return;
    }
    let server = Server::start(&["--shards", "2"]);
    let url = server.url("obs");
    let arguments = ["-xerror", "-i", &url, "-f", "framemd5", "-"];
    let player = Program::start("ffmpeg", &mut ffmpeg("ffmpeg", &arguments));
    let obs = Obs::publish(&server.address, "obs");
    support::wait_for(
        "OBS's stream at the player",
        Duration::from_secs(40),
        || (player.out().lines().count() > 150).then_some(()),
    );
    let late = decode(&url);
    thread::sleep(ATTACH);
    // A clean stop for OBS.
    obs.program.signal(&["INT"]);
    let pictures = player.succeeds(PUBLISH);
    assert!(pictures.contains("#media_type 0: video") || pictures.contains("#media_type 1: video"));
    late.succeeds(LEAVE);
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn a_publisher_that_dies_ends_its_players() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for runtime in runtimes() {
        for signal in ["KILL", "INT"] {
            let server = Server::start(&["--runtime", runtime]);
            let url = server.url("test");
            let file = media("h264_aac_short.flv");
            let source = file.to_str().unwrap();
            let arguments = [
                "-re",
                "-stream_loop",
                "-1",
                "-i",
                source,
                "-c",
                "copy",
                "-f",
                "flv",
                &url,
            ];
            let publisher = Program::start("ffmpeg", &mut ffmpeg("ffmpeg", &arguments));
            thread::sleep(ATTACH);
            let (player, decoder) = (prober(&url), decode(&url));
            thread::sleep(Duration::from_secs(4));
            publisher.signal(&[signal]);
            let played = parse(&player.succeeds(LEAVE));
            assert!(
                played.video[0].key && played.video.len() > 50,
                "{runtime}: {}",
                played.video.len()
            );
            decoder.succeeds(LEAVE);
        }
    }
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn a_stopping_server_ends_publisher_and_players() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for runtime in runtimes() {
        let server = Server::start(&["--runtime", runtime]);
        let url = server.url("test");
        let publisher = publish("ffmpeg", &media("h264_aac.flv"), &url);
        thread::sleep(ATTACH);
        let player = prober(&url);
        thread::sleep(ATTACH);
        server.program.signal(&["TERM"]);
        let ended = server.program.ended(LEAVE);
        assert_eq!(ended.status.code(), Some(0), "{runtime}: {ended:?}");
        player.succeeds(LEAVE);
        // FFmpeg takes it for an error that a server stops, in its own words; it must not hang.
        publisher.ended(LEAVE);
    }
}

/// What only an FFmpeg with Enhanced RTMP publishes: FourCC codecs, and several tracks of a kind.
const ENHANCED: [&str; 7] = [
    "hevc_aac.flv",
    "av1_opus.flv",
    "vp9_opus.flv",
    "h264_ac3.flv",
    "h264_flac.flv",
    "h264_aac_multitrack.flv",
    "two_video_two_audio.flv",
];

/// FFmpeg sending all tracks of a file at its own pace.
fn publish_all(program: &str, file: &Path, url: &str) -> Program {
    let file = file.to_str().unwrap();
    let arguments = [
        "-re", "-i", file, "-map", "0", "-c", "copy", "-f", "flv", url,
    ];
    Program::start("ffmpeg-publish", &mut ffmpeg(program, &arguments))
}

#[test]
#[ignore = "drives an FFmpeg with Enhanced RTMP and several tracks (8 or later); .ci/run installs it"]
fn enhanced_rtmp_comes_whole() {
    let Some(program) = enhanced_ffmpeg() else {
        return;
    };
    let server = Server::start(&["--shards", "2"]);
    let whole = |name: &str| {
        let (file, url) = (media(name), server.url(name));
        let list = |source: &str| {
            let arguments = [
                "-i",
                source,
                "-map",
                "0",
                "-c",
                "copy",
                "-f",
                "streamhash",
                "-",
            ];
            Program::start("ffmpeg", &mut ffmpeg(&program, &arguments))
        };
        let player = list(&url);
        thread::sleep(ATTACH);
        publish_all(&program, &file, &url).succeeds(PUBLISH);
        let played = tracks(&player.succeeds(LEAVE));
        let published = tracks(&list(file.to_str().unwrap()).succeeds(PUBLISH));
        assert!(!published.is_empty(), "{name}");
        assert_eq!(played, published, "{name}");
        println!("{name}: {} tracks are the same at both ends", played.len());
    };
    let whole = &whole;
    thread::scope(|scope| {
        for name in ENHANCED {
            scope.spawn(move || whole(name));
        }
    });
}

#[test]
#[ignore = "drives an FFmpeg with Enhanced RTMP and several tracks (8 or later); .ci/run installs it"]
fn joining_in_the_middle_finds_every_track() {
    let Some(program) = enhanced_ffmpeg() else {
        return;
    };
    let (file, server) = (
        media("two_video_two_audio.flv"),
        Server::start(&["--shards", "2"]),
    );
    let url = server.url("tracks");
    let publisher = publish_all(&program, &file, &url);
    thread::sleep(Duration::from_millis(2_300));
    // Four tracks, each decoded: without its header, none is.
    let arguments = [
        "-xerror", "-i", &url, "-map", "0:v:0", "-map", "0:v:1", "-map", "0:a:0", "-map", "0:a:1",
        "-f", "framemd5", "-",
    ];
    let player = Program::start("ffmpeg", &mut ffmpeg(&program, &arguments));
    publisher.succeeds(PUBLISH);
    let frames = player.succeeds(LEAVE);
    for track in 0..4 {
        let mark = format!("{track},");
        let found = frames.lines().filter(|line| line.starts_with(&mark));
        let found = found.count();
        assert!(found > 25, "track {track}: {found} frames decoded");
    }
}

/// Kind and hash of each track in a streamhash list. Which is numbered first depends on which came first.
fn tracks(text: &str) -> Vec<String> {
    let rows = text.lines().filter_map(|row| row.split_once(','));
    let mut tracks: Vec<String> = rows.map(|(_, hash)| hash.to_owned()).collect();
    tracks.sort();
    tracks
}
