//! Players of a live stream that is recorded, back in its past: over real sockets, on one shard and on two.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server: it has files and clocks of its own, and fails by panicking"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use millstream::Server;
use millstream::config::Config;
use millstream::rtmp::command::{PlayOptions, PlayStart};
use millstream::rtmp::session::client::ClientEvent;
use millstream::rtmp::wire::MediaKind::{Audio, Data, Video};
use rtmp_client::{AUDIO_CONFIG, Client, METADATA, number, picture};

#[allow(dead_code, reason = "it is for several tests")]
mod rtmp_client;

/// Milliseconds of a picture; every tenth is a keyframe.
const STEP: u32 = 40;

/// An AVC sequence header as MP4 wants it, with parameter sets that say how large the picture is.
const VIDEO_CONFIG: &[u8] = b"\x17\x00\x00\x00\x00\x01\x4D\x40\x0C\xFF\xE1\x00\x17\x67\x4D\x40\x0C\xDA\x05\x06\x7E\x7C\x04\x40\x00\x00\
      \x03\x00\x40\x00\x00\x0C\x83\xC5\x0A\xA8\x01\x00\x04\x68\xEF\x3C\x80";

/// A directory of this test's, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("millstream-rewind-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn server(scratch: &Scratch, shards: usize, more: &str) -> Server {
    let mut config = Config::default();
    let dir = &scratch.0;
    let text = format!(
        "[server]\nhttp = \"off\"\n[[application]]\nname = \"*\"\nrecord_dir = {dir:?}\nsegment_time = \"2s\"\n{more}"
    );
    config.apply_toml("test", &text).unwrap();
    let builder = Server::builder().config(config);
    let builder = builder.listen(([127, 0, 0, 1], 0).into()).shards(shards);
    builder.start().expect("a free port")
}

/// An encoder that is ahead of its time: its stream's past comes at once.
struct Encoder {
    client: Client,
    next: u32,
    /// The clock at the beginning.
    origin: u32,
}

impl Encoder {
    fn new(server: &Server, origin: u32) -> Self {
        let mut client = Client::publisher(server.local_addrs()[0], "cam");
        client.send(Data, origin, METADATA);
        client.send(Video, origin, VIDEO_CONFIG);
        client.send(Audio, origin, AUDIO_CONFIG);
        Self {
            client,
            next: 0,
            origin,
        }
    }

    /// Sends so many pictures, and sound.
    fn send(&mut self, count: u32) {
        for n in self.next..self.next + count {
            let at = self.origin.wrapping_add(n * STEP);
            self.client.send(Video, at, &picture(n, 200));
            let sound = [0xAF, 1, n as u8];
            self.client.send(Audio, at.wrapping_add(5), &sound);
        }
        self.next += count;
    }
}

/// The numbers of the pictures that came, each in its time.
fn pictures(client: &Client, origin: u32) -> Vec<u32> {
    let media = client.media.iter().filter(|(kind, ..)| *kind == Video);
    let numbered = media.filter_map(|(_, time, payload)| Some((time.0, number(payload)?)));
    let all = numbered.inspect(|(time, number)| {
        let wanted = origin.wrapping_add(number * STEP);
        assert_eq!(*time, wanted, "the time of picture {number}");
    });
    all.map(|(_, number)| number).collect()
}

/// Without the first, they follow on each other.
fn assert_contiguous(numbers: &[u32]) {
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "{numbers:?}");
    }
}

fn wait_for_the_recorder() {
    std::thread::sleep(Duration::from_millis(900));
}

fn seek(client: &mut Client, to: u32) {
    let before = client.statuses("NetStream.Seek.Notify");
    client.session.seek(to.into());
    client.flush();
    client.until("the answer", |it| {
        it.statuses("NetStream.Seek.Notify") > before
    });
}

fn player(server: &Server, options: PlayOptions) -> Client {
    let mut client = Client::connect(server.local_addrs()[0]);
    client.session.play_with("cam", options);
    client.until("play", |it| it.status("NetStream.Play.Start"));
    client
}

fn from(start: f64, duration: Option<f64>) -> PlayOptions {
    PlayOptions {
        start: PlayStart::from_number(start),
        duration,
        reset: true,
    }
}

/// A player seeks back, over several files, and to what is live again.
fn goes_back(shards: usize, more: &str, origin: u32) {
    let scratch = Scratch::new(&format!("back-{shards}-{}", more.len()));
    let server = server(&scratch, shards, more);
    let mut encoder = Encoder::new(&server, origin);
    let mut client = player(&server, PlayOptions::default());
    encoder.send(300);
    client.until("what is live", |it| {
        pictures(it, origin).last() == Some(&299)
    });
    wait_for_the_recorder();
    client.media.clear();
    let began = Instant::now();
    seek(&mut client, origin.wrapping_add(1_999));
    let recorded = |it: &&ClientEvent| matches!(it, ClientEvent::Control { event: 4, .. });
    assert_eq!(client.told.iter().filter(recorded).count(), 1);
    client.until("three files of the past", |it| {
        pictures(it, origin).last().is_some_and(|last| *last >= 160)
    });
    let got = pictures(&client, origin);
    assert_eq!(got[0], 40, "the keyframe before it");
    assert_contiguous(&got);
    // 4.8 s of stream, of which 3 come at once.
    assert!(began.elapsed() > Duration::from_millis(1_500));
    let sound = client.media.iter().filter(|(kind, ..)| *kind == Audio);
    assert!(sound.count() >= 118);
    let data = client.media.iter().filter(|(kind, ..)| *kind == Data);
    assert_eq!(data.count(), 0, "what a file says of itself");
    // What is live meanwhile is for others, until it comes back.
    encoder.send(50);
    wait_for_the_recorder();
    client.media.clear();
    seek(&mut client, origin.wrapping_add(349 * STEP));
    client.until("what is live", |it| {
        pictures(it, origin).last() == Some(&349)
    });
    let got = pictures(&client, origin);
    let begins = got.iter().position(|number| *number >= 300);
    assert_eq!(got[begins.unwrap()], 340, "and not where it was held");
    encoder.send(5);
    client.until("what is live", |it| {
        pictures(it, origin).last() == Some(&354)
    });
    // And to the very beginning, wherever before it was sought.
    client.media.clear();
    seek(&mut client, origin.wrapping_sub(60_000));
    client.until("the beginning", |it| pictures(it, origin).contains(&30));
    assert!(pictures(&client, origin).contains(&0));
    drop(client);
    server.stop().unwrap();
}

#[test]
fn a_player_goes_back_and_returns() {
    goes_back(1, "", 0);
    goes_back(2, "", 0);
}

#[test]
fn a_player_goes_back_beyond_the_wrap_of_the_clock() {
    goes_back(2, "", u32::MAX - 3_000);
}

#[test]
fn a_player_goes_back_in_mp4() {
    goes_back(1, "record_format = \"mp4\"", 0);
}

#[test]
fn who_holds_a_live_stream_goes_on_where_it_was() {
    for shards in [1, 2] {
        let scratch = Scratch::new(&format!("hold-{shards}"));
        let server = server(&scratch, shards, "");
        let mut encoder = Encoder::new(&server, 0);
        let mut client = player(&server, PlayOptions::default());
        encoder.send(100);
        client.until("what is live", |it| pictures(it, 0).last() == Some(&99));
        client.session.pause(true, 99.0 * f64::from(STEP));
        client.until("the answer", |it| it.status("NetStream.Pause.Notify"));
        client.media.clear();
        encoder.send(150);
        wait_for_the_recorder();
        while client.read() {}
        assert!(pictures(&client, 0).is_empty(), "it holds it");
        client.session.pause(false, 99.0 * f64::from(STEP));
        client.until("the rest", |it| pictures(it, 0).last() >= Some(&170));
        let got = pictures(&client, 0);
        assert_eq!(got[0], 100, "what it has not had");
        assert_contiguous(&got);
        // Held in the past, it loses nothing either.
        client.session.pause(true, 0.0);
        client.until("the answer", |it| {
            it.statuses("NetStream.Pause.Notify") == 2
        });
        while client.read() {}
        let had = pictures(&client, 0).len();
        std::thread::sleep(Duration::from_millis(500));
        while client.read() {}
        assert_eq!(pictures(&client, 0).len(), had);
        client.session.pause(false, 0.0);
        client.until("the rest", |it| pictures(it, 0).last() == Some(&249));
        assert_contiguous(&pictures(&client, 0));
        // It is at the end of what there is, and follows.
        encoder.send(20);
        client.until("what comes", |it| pictures(it, 0).last() == Some(&269));
        assert_contiguous(&pictures(&client, 0));
    }
}

/// MP4 does not say which of two messages of the same time came first: who held the stream between them gets the other.
#[test]
fn who_holds_a_stream_between_two_messages_of_one_time_loses_neither() {
    for format in ["flv", "mp4"] {
        let scratch = Scratch::new(&format!("between-{format}"));
        let server = server(&scratch, 1, &format!("record_format = \"{format}\""));
        let mut encoder = Encoder::new(&server, 0);
        let mut client = player(&server, PlayOptions::default());
        encoder.send(103);
        client.until("what is live", |it| pictures(it, 0).last() == Some(&102));
        let last = [0xAF, 1, 0xEE];
        encoder.client.send(Audio, 103 * STEP, &last);
        client.until("the sound before the picture", |it| {
            it.payloads()
                .last()
                .is_some_and(|payload| **payload == last)
        });
        client.session.pause(true, 0.0);
        client.until("the answer", |it| it.status("NetStream.Pause.Notify"));
        client.media.clear();
        encoder.send(150);
        wait_for_the_recorder();
        client.session.pause(false, 0.0);
        client.until("the rest", |it| pictures(it, 0).last() >= Some(&160));
        let got = pictures(&client, 0);
        assert_eq!(got[0], 103, "{format}: the picture of the same time");
        assert_contiguous(&got);
        let again = client.payloads().iter().any(|payload| **payload == last);
        assert!(!again, "{format}: the sound that it has had");
    }
}

#[test]
fn a_player_wants_the_past_first() {
    for shards in [1, 2] {
        let scratch = Scratch::new(&format!("start-{shards}"));
        let server = server(&scratch, shards, "");
        let mut encoder = Encoder::new(&server, 0);
        encoder.send(300);
        wait_for_the_recorder();
        let mut client = player(&server, from(3.0, Some(2.0)));
        client.until("its end", |it| it.status("NetStream.Play.Stop"));
        let got = pictures(&client, 0);
        assert_eq!((got.first(), got.last()), (Some(&70), Some(&124)));
        let media = client.media.iter().filter(|(kind, ..)| *kind != Data);
        assert!(media.map(|(_, time, _)| time.0).is_sorted());
        assert!(client.payloads()[0].starts_with(b"\x02\x00\x0aonMetaData"));
        assert_contiguous(&got);
        // It had only wanted a part; then it wants what is live.
        seek(&mut client, 299 * STEP);
        encoder.send(20);
        client.until("what is live", |it| pictures(it, 0).last() == Some(&319));
        // The encoder goes: who is in the past gets the rest of it, and is told.
        let mut late = player(&server, from(0.0, None));
        late.until("the beginning", |it| pictures(it, 0).first() == Some(&0));
        drop(encoder);
        seek(&mut late, 9_500);
        late.until("its end", |it| it.status("NetStream.Play.Stop"));
        let got = pictures(&late, 0);
        assert_eq!(got.last(), Some(&319));
        drop((client, late));
        // Nobody publishes it any more: the newest file, which began at picture 300.
        let mut after = player(&server, from(0.0, None));
        after.until("its end", |it| it.status("NetStream.Play.Stop"));
        let numbers: Vec<_> = after
            .media
            .iter()
            .filter_map(|(_, _, payload)| number(payload))
            .collect();
        assert_eq!((numbers.first(), numbers.last()), (Some(&300), Some(&319)));
    }
}

#[test]
fn what_is_not_recorded_has_no_past() {
    let scratch = Scratch::new("off");
    let server = server(&scratch, 2, "record = \"off\"");
    let mut encoder = Encoder::new(&server, 0);
    encoder.send(100);
    let mut client = player(&server, from(0.0, None));
    client.until("what is live", |it| pictures(it, 0).last() == Some(&99));
    assert_eq!(pictures(&client, 0)[0], 90);
    client.session.seek(0.0);
    client.until("the answer", |it| it.refused("NetStream.Seek.Failed"));
    client.session.pause(true, 0.0);
    client.until("the answer", |it| it.status("NetStream.Pause.Notify"));
    encoder.send(100);
    wait_for_the_recorder();
    client.media.clear();
    client.session.pause(false, 0.0);
    client.until("what is live", |it| pictures(it, 0).last() == Some(&199));
    assert_eq!(pictures(&client, 0)[0], 190);
}
