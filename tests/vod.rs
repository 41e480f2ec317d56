//! Files, played over real sockets: all of a file and parts of it, pause, seek, playlists, and what is no file.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server: it has files and clocks of its own, and fails by panicking"
)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream::Server;
use millstream::config::Config;
use millstream::media::flv::{FlvReader, FlvTag};
use millstream::rtmp::amf::Value;
use millstream::rtmp::command::{PlayOptions, PlayStart};
use millstream::rtmp::session::client::ClientEvent;
use millstream::rtmp::wire::MediaKind;
use rtmp_client::Client;

#[allow(dead_code, reason = "it is for several tests")]
mod rtmp_client;

/// 6 s, a keyframe a second.
const FILM: &str = "h264_aac.flv";

fn media() -> String {
    format!("{}/corpus/media", env!("CARGO_MANIFEST_DIR"))
}

fn server() -> Server {
    server_of(&media())
}

fn server_of(directory: &str) -> Server {
    let mut config = Config::default();
    let text = format!("[server]\nhttp = \"off\"\nvod = {directory:?}");
    config.apply_toml("test", &text).unwrap();
    let builder = Server::builder().config(config);
    let builder = builder.listen(([127, 0, 0, 1], 0).into()).shards(2);
    builder.start().expect("a free port")
}

fn options(start: f64, duration: Option<f64>, reset: bool) -> PlayOptions {
    PlayOptions {
        start: PlayStart::from_number(start),
        duration,
        reset,
    }
}

/// A viewer of `name` that asks for all of it at once.
fn viewer(server: &Server, name: &str, options: PlayOptions) -> Client {
    let mut client = Client::connect_to(server.local_addrs()[0], "vod");
    client.session.play_with(name, options);
    client.until("an answer", |it| {
        it.status("NetStream.Play.Start") || it.refused("NetStream.Play.StreamNotFound")
    });
    client
}

/// Sound and pictures of a file, with their times.
fn tags(name: &str) -> Vec<FlvTag> {
    let bytes = std::fs::read(Path::new(&media()).join(name)).unwrap();
    let (mut reader, mut input) = (FlvReader::new(), bytes.as_slice());
    let all = std::iter::from_fn(|| reader.read(&mut input).unwrap());
    all.filter(|tag| tag.kind != MediaKind::Data).collect()
}

/// The times of the pictures that came, sequence headers left out.
fn pictures(client: &Client) -> Vec<u32> {
    let media = client.media.iter();
    let pictures = media.filter(|(kind, _, payload)| *kind == MediaKind::Video && payload[1] == 1);
    pictures.map(|(_, time, _)| time.0).collect()
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

/// A file without an index: `pictures` of `len` bytes, `step` milliseconds each, every 25th a keyframe; how long it is. Most
/// of it is a hole, which a disk need not hold and a reader cannot tell.
fn film(path: &Path, pictures: u32, len: u32, step: u32) -> u32 {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(b"FLV\x01\x01\0\0\0\x09\0\0\0\0").unwrap();
    let mut at = 13;
    let mut tag = |time: u32, head: &[u8], len: u32| {
        let mut bytes = vec![9];
        bytes.extend_from_slice(&len.to_be_bytes()[1..]);
        bytes.extend_from_slice(&time.to_be_bytes()[1..]);
        bytes.extend_from_slice(&[(time >> 24) as u8, 0, 0, 0]);
        bytes.extend_from_slice(head);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&bytes).unwrap();
        at += u64::from(11 + len);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&(11 + len).to_be_bytes()).unwrap();
        at += 4;
    };
    let config = rtmp_client::VIDEO_CONFIG;
    tag(0, config, config.len() as u32);
    for number in 0..pictures {
        // Every tenth picture of that kind is a keyframe.
        let kind = if number % 25 == 0 { 0 } else { 1 };
        let head = rtmp_client::picture(number * 10 + kind, 0);
        tag(number * step, &head, len);
    }
    pictures * step
}

#[test]
fn a_viewer_seeks_in_ten_gigabytes_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = std::env::temp_dir().join(format!("millstream-vod-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let length = film(&directory.join("huge.flv"), 10_000, 1 << 20, 40);
    let bytes = directory.join("huge.flv").metadata().unwrap().len();
    assert!(bytes > 10_000_000_000);
    let server = server_of(directory.to_str().unwrap());
    let mut client = viewer(&server, "huge.flv", PlayOptions::default());
    client.until("a picture", |it| !pictures(it).is_empty());
    let mut times = Vec::new();
    for part in [9, 1, 5, 7, 3] {
        let to = length / 10 * part + 500;
        let before = client.statuses("NetStream.Seek.Notify");
        let began = Instant::now();
        client.session.seek(to.into());
        client.flush();
        client.until("the answer", |it| {
            it.statuses("NetStream.Seek.Notify") > before
        });
        client.media.clear();
        let first = to - 500;
        client.until("its picture", |it| pictures(it).contains(&first));
        times.push(began.elapsed());
        client.media.clear();
    }
    eprintln!("from seek to the whole first picture: {times:?}");
    drop(server);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(
        times.iter().all(|time| *time < Duration::from_secs(5)),
        "{times:?}"
    );
}

/// Who measures memory, and who takes much of it, is not to run beside the other.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
