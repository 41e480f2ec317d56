//! Recordings that somebody asks for: an operator over HTTP or in the program, or a publisher by its type.

#![cfg(feature = "production")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test is outside of the server, and fails by panicking"
)]

mod http_client;
mod recordings;
#[allow(dead_code, reason = "other tests use the rest")]
mod rtmp_client;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_client::ask;
use millstream::Server;
use millstream::config::{Backend, Config, HttpListen, Token};
use millstream::media::directory::StreamKey;
use millstream::rtmp::command::PublishKind;
use millstream::rtmp::wire::MediaKind::{Audio, Data, Video};
use recordings::{Scratch, media, tags, until};
use rtmp_client::{AUDIO_CONFIG, Client, METADATA, VIDEO_CONFIG, number, picture};

/// Applications that record what is asked for (`live`), everything (`all`), nothing (`off`), and one that has no place for it
/// (`nowhere`).
const APPLICATIONS: &str = r#"
record_name = "{app}/{stream}"
record = "on-demand"
[[application]]
name = "all"
record = "all"
[[application]]
name = "off"
record = "off"
[[application]]
name = "nowhere"
record_dir = ""
"#;

struct Stage {
    server: Server,
    rtmp: SocketAddr,
    http: SocketAddr,
    events: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new(backend: Backend, dir: &Path, token: &str) -> Self {
        let mut config = Config {
            http: HttpListen::At(([127, 0, 0, 1], 0).into()),
            http_token: Token::new(token).unwrap(),
            ..Config::default()
        };
        let text = format!("[[application]]\nname = \"*\"\nrecord_dir = {dir:?}\n{APPLICATIONS}");
        config.apply_toml("test.toml", &text).expect("valid");
        let events = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&events);
        let server = Server::builder()
            .config(config)
            .listen(([127, 0, 0, 1], 0).into())
            .runtime(backend)
            .shards(3)
            .on_event(move |event| heard.lock().unwrap().push(event.name().to_owned()))
            .start()
            .expect("a free port");
        Self {
            rtmp: server.local_addrs()[0],
            http: server.http_addr().unwrap(),
            server,
            events,
        }
    }

    /// A publisher of `name`, whose kind it says, with its headers and the pictures of one second.
    fn publish(&self, app: &str, name: &str, kind: PublishKind) -> Client {
        let mut publisher = Client::connect_to(self.rtmp, app);
        publisher.session.publish_as(name, kind);
        publisher.until("publish", |it| it.status("NetStream.Publish.Start"));
        publisher.send(Data, 0, METADATA);
        publisher.send(Video, 0, VIDEO_CONFIG);
        publisher.send(Audio, 0, AUDIO_CONFIG);
        self.send(&mut publisher, 0..25);
        publisher
    }

    /// Sends pictures, and waits until the server has them.
    fn send(&self, publisher: &mut Client, numbers: std::ops::Range<u32>) {
        let wanted = self.frames() + numbers.len() as u64;
        for number in numbers {
            publisher.send(Video, number * 40, &picture(number, 2_000));
        }
        until("the server has them", || self.frames() >= wanted);
    }

    fn frames(&self) -> u64 {
        self.metric("millstream_received_frames_total")
    }

    fn metric(&self, name: &str) -> u64 {
        let page = ask(self.http, "GET", "/metrics", "").body;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    /// The status of the answer.
    fn order(&self, method: &str, name: &str) -> u16 {
        let path = format!("/api/v1/recordings/{name}");
        ask(self.http, method, &path, "").status
    }

    /// Ends it; what was told of recordings until then.
    fn stop(self) -> Vec<String> {
        let Self { server, events, .. } = self;
        server.stop().expect("a clean end");
        of_records(&events)
    }

    fn heard(&self) -> Vec<String> {
        of_records(&self.events)
    }
}

fn of_records(events: &Mutex<Vec<String>>) -> Vec<String> {
    let events = events.lock().unwrap();
    let of_records = events.iter().filter(|it| it.starts_with("record."));
    of_records.cloned().collect()
}

/// The numbers of a recording's pictures, headers and all before them.
fn pictures(path: &Path) -> Vec<u32> {
    let media = media(&tags(path));
    assert_eq!(media[0].2, VIDEO_CONFIG, "{path:?}");
    assert_eq!(media[1].2, AUDIO_CONFIG, "{path:?}");
    media.iter().filter_map(|it| number(&it.2)).collect()
}

fn is_finished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "flv")
}

#[test]
fn an_operator_begins_and_ends_a_recording() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let scratch = Scratch::new("operator");
        let stage = Stage::new(backend, &scratch.0, "");
        let mut publisher = stage.publish("live", "cam", PublishKind::Live);
        assert_eq!(stage.metric("millstream_recordings"), 0);
        assert_eq!(stage.order("POST", "live/cam"), 200);
        // Whoever asks again has what was asked for: the file that is there goes on.
        assert_eq!(stage.order("POST", "live/cam"), 200);
        stage.send(&mut publisher, 25..50);
        assert_eq!(stage.metric("millstream_recordings"), 1);
        assert_eq!(stage.order("DELETE", "live/cam"), 200);
        assert_eq!(stage.order("DELETE", "live/cam"), 200);
        stage.send(&mut publisher, 50..75);
        assert_eq!(stage.order("POST", "live/cam"), 200);
        stage.send(&mut publisher, 75..100);
        drop(publisher);
        until("both are finished", || {
            let files = scratch.files();
            files.len() == 2 && files.iter().all(|it| is_finished(it))
        });
        let files = scratch.files();
        assert!(files[0].ends_with("live/cam-2.flv"), "{files:?}");
        assert!(files[1].ends_with("live/cam.flv"), "{files:?}");
        // Each begins with the last keyframe before it was asked for, as a player would.
        assert_eq!(pictures(&files[1]), (20..50).collect::<Vec<_>>());
        assert_eq!(pictures(&files[0]), (70..100).collect::<Vec<_>>());
        let heard = stage.stop();
        // The second begins perhaps before the first has been written.
        for name in ["record.start", "record.segment", "record.stop"] {
            let times = heard.iter().filter(|it| *it == name).count();
            assert_eq!(times, 2, "{name} in {heard:?}");
        }
    }
}

#[test]
fn what_cannot_be_recorded_is_said() {
    let scratch = Scratch::new("refused");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "");
    for method in ["POST", "DELETE"] {
        for nobody in [
            "live/cam", "live", "", "live/", "/", "off/cam", "%00", "%zz/%",
        ] {
            assert_eq!(stage.order(method, nobody), 404, "{method} {nobody}");
        }
    }
    let _off = stage.publish("off", "cam", PublishKind::Live);
    let _nowhere = stage.publish("nowhere", "cam", PublishKind::Live);
    for name in ["off/cam", "nowhere/cam"] {
        let path = format!("/api/v1/recordings/{name}");
        let answer = ask(stage.http, "POST", &path, "");
        assert_eq!(answer.status, 404, "{name}");
        let why = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(
            why.contains(name) && why.contains("records nothing"),
            "{why}"
        );
        // It is not recorded, as was asked for.
        assert_eq!(stage.order("DELETE", name), 200, "{name}");
    }
    let wrong = ask(stage.http, "GET", "/api/v1/recordings/live/cam", "");
    assert_eq!(wrong.status, 405);
    assert!(wrong.head.contains("allow: post, delete"), "{}", wrong.head);
    let page = ask(
        stage.http,
        "POST",
        "/api/v1/recordings/off/cam",
        "Origin: http://evil.example\r\n",
    );
    assert_eq!(page.status, 403);
    assert_eq!(stage.heard(), <[&str; 0]>::default());
    assert_eq!(scratch.files(), <[PathBuf; 0]>::default());
    stage.stop();
}

#[test]
fn nobody_records_without_the_token() {
    let scratch = Scratch::new("token");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "0123456789abcdef");
    let mut publisher = Client::publisher(stage.rtmp, "cam");
    publisher.send(Video, 0, VIDEO_CONFIG);
    publisher.send(Video, 0, &picture(0, 500));
    let order = |method: &str, token: &str| {
        let headers = format!("Authorization: Bearer {token}\r\n");
        ask(stage.http, method, "/api/v1/recordings/live/cam", &headers).status
    };
    for method in ["POST", "DELETE"] {
        assert_eq!(stage.order(method, "live/cam"), 401);
        assert_eq!(order(method, "0123456789abcdeX"), 401);
    }
    assert_eq!(stage.heard(), <[&str; 0]>::default());
    assert_eq!(order("POST", "0123456789abcdef"), 200);
    until("it is begun", || stage.heard() == ["record.start"]);
    assert_eq!(order("DELETE", "0123456789abcdeX"), 401);
    assert_eq!(order("DELETE", "0123456789abcdef"), 200);
    until("it is over", || stage.heard().len() == 3);
    stage.stop();
}

#[test]
fn names_are_spelt_in_a_path_and_stay_in_their_directory() {
    let scratch = Scratch::new("names");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "");
    let long = "x".repeat(300);
    // The name, in a path, and of its file; the last part of a stream's name is its own, all before it its application's.
    for (name, path, file) in [
        ("a b", "a%20b", "live/a%20b.flv"),
        ("50%", "50%25", "live/50%25.flv"),
        ("50%-", "50%-", "live/50%25-.flv"),
        ("caf\u{e9}", "caf%C3%A9", "live/caf%C3%A9.flv"),
        ("a\"b#c", "a%22b%23c", "live/a%22b%23c.flv"),
        // What is behind a question mark is no part of the name.
        ("cam?key=1", "cam", "live/cam.flv"),
        ("\r\n\0", "%0D%0a%00", "live/%0D%0A%00.flv"),
        ("..", "%2e%2E", "live/%2E..flv"),
        (
            "../../../etc/cam",
            "..%2F../..%2Fetc/cam",
            "live%2F..%2F..%2F..%2Fetc/cam.flv",
        ),
        ("\u{feff}", "%EF%BB%BF", "live/%EF%BB%BF.flv"),
        (&long, &long, "live/xxxxxxxx"),
    ] {
        let publisher = stage.publish("live", name, PublishKind::Live);
        assert_eq!(
            stage.order("POST", &format!("live/{path}")),
            200,
            "{name:?}"
        );
        drop(publisher);
        until(name, || scratch.files().iter().any(|it| is_finished(it)));
        let files = scratch.files();
        let own = files[0].strip_prefix(&scratch.0).unwrap();
        assert!(own.to_str().unwrap().starts_with(file), "{name:?}: {own:?}");
        assert_eq!(pictures(&files[0]), (20..25).collect::<Vec<_>>());
        fs::remove_file(&files[0]).unwrap();
    }
    stage.stop();
}

#[test]
fn a_publisher_has_itself_recorded_by_its_type() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let scratch = Scratch::new("type");
        let stage = Stage::new(backend, &scratch.0, "");
        // What is there is kept, whatever the type: files of the name are numbered.
        let kinds = [
            PublishKind::Record,
            PublishKind::Append,
            PublishKind::Record,
        ];
        for (kind, count) in kinds.into_iter().zip(1..) {
            let mut publisher = stage.publish("live", "cam", kind);
            publisher.until("the word", |it| it.status("NetStream.Record.Start"));
            assert!(!publisher.status("NetStream.Record.Stop"), "{kind:?}");
            publisher.session.close_stream();
            publisher.until("the word", |it| it.status("NetStream.Record.Stop"));
            until("it is finished", || {
                let files = scratch.files();
                files.len() == count && files.iter().all(|it| is_finished(it))
            });
            assert!(!publisher.refused("NetStream.Record.NoAccess"));
        }
        let files = scratch.files();
        let names = ["cam-2.flv", "cam-3.flv", "cam.flv"];
        assert_eq!(files.len(), names.len(), "{files:?}");
        for (path, name) in files.iter().zip(names) {
            assert!(path.ends_with(name), "{path:?}");
            assert_eq!(pictures(path), (0..25).collect::<Vec<_>>());
        }
        stage.stop();
    }
}

#[test]
fn a_type_that_cannot_be_had_costs_nobody_the_stream() {
    let scratch = Scratch::new("no-access");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "");
    for (app, kind, told) in [
        (
            "off",
            PublishKind::Record,
            Some("NetStream.Record.NoAccess"),
        ),
        (
            "off",
            PublishKind::Append,
            Some("NetStream.Record.NoAccess"),
        ),
        ("off", PublishKind::Live, None),
        // Without a place for recordings the type means nothing: an encoder that always says it is let be.
        ("nowhere", PublishKind::Record, None),
        ("live", PublishKind::Live, None),
    ] {
        let mut publisher = stage.publish(app, "cam", kind);
        publisher.until("the word", |it| told.is_none_or(|told| it.refused(told)));
        publisher.read();
        let words = ["Start", "Stop", "NoAccess", "Failed"];
        for code in words.map(|word| format!("NetStream.Record.{word}")) {
            assert_eq!(
                publisher.refused(&code),
                told == Some(&*code),
                "{app} {kind:?} {code}"
            );
        }
        let mut player = Client::connect_to(stage.rtmp, app);
        player.session.play("cam");
        player.until("a picture", |it| {
            it.media.iter().any(|(_, _, it)| number(it).is_some())
        });
        publisher.session.close_stream();
        publisher.flush();
        player.until("the end", |it| it.status("NetStream.Play.UnpublishNotify"));
        publisher.read();
        assert!(!publisher.status("NetStream.Record.Stop"), "{app} {kind:?}");
    }
    assert_eq!(stage.heard(), <[&str; 0]>::default());
    assert_eq!(scratch.files(), <[PathBuf; 0]>::default());
    stage.stop();
}

#[test]
fn what_is_always_recorded_can_be_ended_and_begun_again() {
    let scratch = Scratch::new("all");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "");
    let mut publisher = stage.publish("all", "cam", PublishKind::Record);
    publisher.until("the word", |it| it.status("NetStream.Record.Start"));
    assert_eq!(stage.order("POST", "all/cam"), 200);
    assert_eq!(stage.order("DELETE", "all/cam"), 200);
    until("it is finished", || {
        scratch.files().iter().any(|it| is_finished(it))
    });
    stage.send(&mut publisher, 25..50);
    assert_eq!(scratch.files().len(), 1);
    assert_eq!(pictures(&scratch.files()[0]), (0..25).collect::<Vec<_>>());
    assert_eq!(stage.order("POST", "all/cam"), 200);
    until("it goes on", || scratch.files().len() == 2);
    drop(publisher);
    stage.stop();
    assert_eq!(pictures(&scratch.files()[0]), (40..50).collect::<Vec<_>>());
}

#[test]
fn a_program_may_record_what_an_operator_may() {
    let scratch = Scratch::new("program");
    let stage = Stage::new(Backend::DEFAULT, &scratch.0, "");
    let operator = stage.server.operator();
    let key = |name: &str| StreamKey::new("live", name);
    operator.record(key("nobody"), true);
    operator.record(StreamKey::new("off", "cam"), true);
    let mut publisher = stage.publish("live", "cam", PublishKind::Live);
    operator.record(key("cam"), true);
    operator.record(key("cam"), true);
    until("it is begun", || stage.heard() == ["record.start"]);
    stage.send(&mut publisher, 25..30);
    operator.record(key("cam"), false);
    until("it is over", || stage.heard().len() == 3);
    stage.send(&mut publisher, 30..35);
    assert_eq!(scratch.files().len(), 1);
    assert_eq!(pictures(&scratch.files()[0]), (20..30).collect::<Vec<_>>());
    stage.stop();
}
