//! Files, played over real sockets: all of a file and parts of it, pause, seek, playlists, and what is no file.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server: it has files and clocks of its own, and fails by panicking"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use millstream::Server;
use millstream::media::flv::{FlvReader, FlvTag};
use millstream::rtmp::amf::Value;
use millstream::rtmp::command::PlayOptions;
use millstream::rtmp::session::client::ClientEvent;
use millstream::rtmp::wire::MediaKind;
use rtmp_client::Client;
use vod_viewer::{film, media, options, pictures, server_of, viewer};

#[allow(dead_code, reason = "it is for several tests")]
mod rtmp_client;
#[allow(dead_code, reason = "it is for several tests")]
mod vod_viewer;

/// 6 s, a keyframe a second.
const FILM: &str = "h264_aac.flv";

fn server() -> Server {
    server_of(&media())
}

/// Sound and pictures of a file, with their times.
fn tags(name: &str) -> Vec<FlvTag> {
    let bytes = std::fs::read(Path::new(&media()).join(name)).unwrap();
    let (mut reader, mut input) = (FlvReader::new(), bytes.as_slice());
    let all = std::iter::from_fn(|| reader.read(&mut input).unwrap());
    all.filter(|tag| tag.kind != MediaKind::Data).collect()
}

/// The time of the first picture behind the last sequence header: what is behind a seek begins with one.
fn behind_the_header(client: &Client) -> Option<u32> {
    let video = client.media.iter().filter(|it| it.0 == MediaKind::Video);
    let mut behind = video.skip_while(|(_, _, payload)| payload[1] != 0).skip(1);
    behind.next().map(|(_, time, _)| time.0)
}

fn complete(client: &Client) -> usize {
    let data = client.media.iter();
    data.filter(|(_, _, payload)| payload.starts_with(b"\x02\x00\x0conPlayStatus"))
        .count()
}

#[test]
fn a_file_comes_whole_in_its_time_and_says_that_it_is_over() {
    let server = server();
    let began = Instant::now();
    let mut client = viewer(&server, FILM, PlayOptions::default());
    assert!(
        client
            .told
            .iter()
            .any(|it| matches!(it, ClientEvent::Control { event: 4, .. }))
    );
    client.until("the end", |it| it.status("NetStream.Play.Stop"));
    let took = began.elapsed();
    // Three seconds come at once, the others as they play; it is over when it has been played.
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(9)).contains(&took),
        "{took:?}"
    );
    assert_eq!(complete(&client), 1);
    let media = client
        .media
        .iter()
        .filter(|(kind, ..)| *kind != MediaKind::Data);
    let got: Vec<_> = media
        .map(|(kind, time, payload)| (*kind, time.0, payload.clone()))
        .collect();
    let tags = tags(FILM).into_iter();
    let wanted: Vec<_> = tags
        .map(|tag| (tag.kind, tag.timestamp.0, tag.payload))
        .collect();
    assert_eq!(got, wanted);
    let (kind, _, first) = &client.media[0];
    assert_eq!(*kind, MediaKind::Data);
    assert!(first.starts_with(b"\x02\x00\x0aonMetaData"));
}

/// The times of a file's pictures from the keyframe at or before `from` on, up to `to`.
fn part(name: &str, from: u32, to: u32) -> Vec<u32> {
    let tags = tags(name);
    let pictures = tags
        .iter()
        .filter(|tag| tag.kind == MediaKind::Video && tag.payload[1] == 1);
    let keys = pictures.clone().filter(|tag| tag.payload[0] == 0x17);
    let keys = keys.map(|tag| tag.timestamp.0);
    let first = keys.filter(|time| *time <= from).max().unwrap_or(0);
    let times = pictures.map(|tag| tag.timestamp.0);
    times.filter(|time| (first..to).contains(time)).collect()
}

#[test]
fn a_part_begins_at_the_keyframe_before_it_and_ends_in_time() {
    let server = server();
    let mut client = viewer(&server, "h264_aac", options(2.5, Some(1.5), true));
    client.until("the end", |it| it.status("NetStream.Play.Stop"));
    assert_eq!(pictures(&client), part(FILM, 2_500, 4_000));
    // librtmp's start is in milliseconds.
    let mut client = viewer(&server, FILM, options(4_200.0, None, true));
    client.until("a picture", |it| !pictures(it).is_empty());
    assert_eq!(pictures(&client)[0], part(FILM, 4_200, 9_000)[0]);
}

#[test]
fn a_viewer_seeks_back_and_forth_and_after_the_end() {
    let server = server();
    let mut client = viewer(&server, FILM, PlayOptions::default());
    client.until("pictures", |it| pictures(it).len() > 20);
    for to in [5_500.0, 0.0, 3_999.0, 1e12, -4.0] {
        let first = part(FILM, to as u32, u32::MAX)[0];
        client.media.clear();
        let before = client.statuses("NetStream.Seek.Notify");
        client.session.seek(to);
        client.flush();
        client.until("a picture", |it| behind_the_header(it).is_some());
        assert_eq!(behind_the_header(&client), Some(first), "sought {to}");
        assert!(client.statuses("NetStream.Seek.Notify") > before);
    }
    client.session.seek(5_000.0);
    client.until("the end", |it| it.status("NetStream.Play.Stop"));
    client.media.clear();
    client.session.seek(1_000.0);
    client.flush();
    client.until("a picture", |it| !pictures(it).is_empty());
    assert_eq!(pictures(&client)[0], part(FILM, 1_000, 9_000)[0]);
}

#[test]
fn a_pause_holds_everything_and_loses_nothing() {
    let server = server();
    let mut client = viewer(&server, FILM, PlayOptions::default());
    client.until("a picture", |it| !pictures(it).is_empty());
    client.session.pause(true, 0.0);
    client.until("the answer", |it| it.status("NetStream.Pause.Notify"));
    let before = client.media.len();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        client.read();
    }
    assert_eq!(client.media.len(), before);
    client.session.pause(false, 0.0);
    client.until("the answer", |it| it.status("NetStream.Unpause.Notify"));
    client.until("the end", |it| it.status("NetStream.Play.Stop"));
    let wanted = part(FILM, 0, u32::MAX).len();
    let pictures = pictures(&client);
    assert_eq!(pictures.len(), wanted);
    assert!(pictures.is_sorted());
}

#[test]
fn a_list_is_played_one_after_the_other() {
    let server = server();
    let mut client = viewer(&server, FILM, options(4.0, None, true));
    let stream = client.session.stream().unwrap();
    for (name, start, duration) in [
        ("nothing", 0.0, -1.0),
        ("h264_only.flv", 5.0, -1.0),
        ("h264_aac_short.flv", 1.0, 1.0),
    ] {
        let numbers = [start, duration].map(Value::Number);
        let mut arguments = vec![Value::string(name)];
        arguments.extend(numbers);
        arguments.push(Value::Boolean(false));
        client.session.call(stream, "play", arguments).unwrap();
    }
    client.until("the end", |it| it.status("NetStream.Play.Stop"));
    let mut wanted = part(FILM, 4_000, 9_000);
    wanted.extend(part("h264_only.flv", 5_000, 9_000));
    wanted.extend(part("h264_aac_short.flv", 1_000, 2_000));
    assert_eq!(pictures(&client), wanted);
    assert_eq!(
        complete(&client),
        3,
        "two changes and the end: {:?}",
        client.told
    );
    assert_eq!(client.statuses("NetStream.Play.Start"), 3);
    assert!(client.refused("NetStream.Play.StreamNotFound"), "nothing");
}

#[test]
fn lengths_are_told_and_what_is_no_file_is_not_found() {
    let server = server();
    let mut client = viewer(&server, "../../Cargo.toml", PlayOptions::default());
    assert!(client.refused("NetStream.Play.StreamNotFound"));
    for name in [
        "nothing",
        "README.md",
        "../media/h264_aac",
        "/etc/passwd",
        ".",
    ] {
        client.told.clear();
        client.session.play(name);
        client.until("the answer", |it| {
            it.refused("NetStream.Play.StreamNotFound")
        });
    }
    let ask = |client: &mut Client, name: &str| {
        client.told.clear();
        let arguments = vec![Value::string(name)];
        client
            .session
            .call(0, "getStreamLength", arguments)
            .unwrap();
        client.until("the length", |it| {
            it.told
                .iter()
                .any(|it| matches!(it, ClientEvent::Answered { .. }))
        });
        match &client.told[0] {
            ClientEvent::Answered {
                value: Value::Number(seconds),
                ..
            } => *seconds,
            other => unreachable!("{other:?}"),
        }
    };
    let length = ask(&mut client, "flv:h264_aac");
    assert!((5.9..6.1).contains(&length), "{length}");
    assert_eq!(ask(&mut client, "nothing"), 0.0);
    let mut publisher = Client::connect_to(server.local_addrs()[0], "vod");
    publisher.session.publish("h264_aac");
    publisher.until_closed();
    assert!(publisher.refused("NetStream.Publish.Denied"));
}

/// Bytes of memory that this process has.
#[cfg(target_os = "linux")]
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = statm.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * 4_096
}

#[cfg(target_os = "linux")]
#[test]
fn for_a_viewer_that_does_not_read_nothing_piles_up() {
    let directory = std::env::temp_dir().join(format!("millstream-slow-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    film(&directory.join("fast.flv"), 20_000, 10_000, 1);
    let server = server_of(directory.to_str().unwrap());
    let mut client = viewer(&server, "fast.flv", PlayOptions::default());
    // Its buffer is full, and from now on it gets 10 MB a second.
    client.until("pictures in their time", |it| it.media.len() > 4_000);
    let before = memory();
    std::thread::sleep(Duration::from_secs(4));
    let grown = memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    let had = client.media.len();
    client.until("more", |it| it.media.len() > had + 1_000);
    drop(server);
    std::fs::remove_dir_all(&directory).unwrap();
}
