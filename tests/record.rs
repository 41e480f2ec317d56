//! Recordings on a real disk, published over real sockets: what is in the file is what was published.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real sockets, clocks and files"
)]

mod recordings;
#[allow(dead_code, reason = "other tests use the rest")]
mod rtmp_client;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream::Server;
use millstream::config::{Backend, Config};
use millstream::media::file::{MediaFile, Step, Task};
use millstream::media::flv::FlvTag;
use millstream::media::mp4::Mp4Open;
use millstream::rtmp::wire::MediaKind::{self, Audio, Data, Video};
use recordings::{Scratch, media, tags, until};
use rtmp_client::{AUDIO_CONFIG, Client, METADATA, VIDEO_CONFIG, picture};

fn start(backend: Backend, dir: &Path, more: &str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let mut config = Config::default();
    let text = format!("[[application]]\nname = \"*\"\nrecord_dir = {dir:?}\n{more}");
    config.apply_toml("test.toml", &text).expect("valid");
    let events = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&events);
    let server = Server::builder()
        .config(config)
        .listen(([127, 0, 0, 1], 0).into())
        .runtime(backend)
        .shards(2)
        .on_event(move |event| {
            heard
                .lock()
                .expect("no panic")
                .push(event.name().to_owned())
        })
        .start()
        .expect("a free port");
    (server, events)
}

/// A stream of ten seconds, a keyframe every twenty pictures, and its headers.
fn publish(publisher: &mut Client) -> Vec<(MediaKind, u32, Vec<u8>)> {
    publisher.send(Data, 0, METADATA);
    let mut sent = vec![
        (Video, 0, VIDEO_CONFIG.to_vec()),
        (Audio, 0, AUDIO_CONFIG.to_vec()),
    ];
    for n in 0..250 {
        let size = 300 + 70_000 * usize::from(n == 10);
        sent.push((Video, n * 40, picture(n, size)));
        sent.push((Audio, n * 40 + 3, vec![0xAF, 1, n as u8, (n >> 8) as u8]));
    }
    for (kind, at, payload) in &sent {
        publisher.send(*kind, *at, payload);
    }
    sent
}

#[test]
fn what_is_published_is_in_the_file() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let scratch = Scratch::new("whole");
        let (server, events) = start(backend, &scratch.0, "");
        let mut publisher = Client::publisher(server.local_addrs()[0], "../../etc/cam 1");
        let sent = publish(&mut publisher);
        drop(publisher);
        until("the file is finished", || {
            let files = scratch.files();
            files.len() == 1 && files[0].extension().is_some_and(|it| it == "flv")
        });
        let path = &scratch.files()[0];
        assert!(path.to_string_lossy().contains("cam%201-20"), "{path:?}");
        let recorded = media(&tags(path));
        assert_eq!(recorded.len(), sent.len());
        for ((kind, at, payload), (kind2, at2, payload2)) in recorded.iter().zip(&sent) {
            assert_eq!((kind, at, &payload[..]), (kind2, at2, &payload2[..]));
        }
        server.stop().expect("a clean end");
        let events = events.lock().expect("no panic");
        let of_records: Vec<&String> = events.iter().filter(|it| it.starts_with("rec")).collect();
        assert_eq!(
            of_records,
            ["record.start", "record.segment", "record.stop"]
        );
    }
}

#[test]
fn a_real_clip_is_recorded_in_both_containers() {
    let scratch = Scratch::new("both");
    let more = "record_format = \"both\"\nrecord_name = \"{stream}\"\n";
    let (server, _) = start(Backend::DEFAULT, &scratch.0, more);
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/media/h264_aac_bframes.flv");
    let clip = tags(&clip);
    let mut publisher = Client::publisher(server.local_addrs()[0], "clip");
    for tag in &clip {
        publisher.send(tag.kind, tag.timestamp.0, &tag.payload);
    }
    drop(publisher);
    let finished = [scratch.0.join("clip.flv"), scratch.0.join("clip.mp4")];
    until("both are finished", || {
        finished.iter().all(|path| path.exists())
    });
    server.stop().expect("a clean end");
    let [flv, mp4] = finished.each_ref().map(|path| path.as_path());
    let payloads = |tags: &[FlvTag]| -> Vec<_> { media(tags).into_iter().map(|it| it.2).collect() };
    assert_eq!(payloads(&tags(flv)), payloads(&clip));
    // Of each track in its order: a reader puts the tracks together by time.
    let of_track = |payloads: &[Bytes], track: u8| -> Vec<Bytes> {
        let is_of = |payload: &&Bytes| {
            let of_track = payload.first().is_some_and(|first| first & 0x0F == track);
            of_track && payload.get(1) == Some(&1)
        };
        payloads.iter().filter(is_of).cloned().collect()
    };
    let (published, recorded) = (payloads(&clip), mp4_payloads(mp4));
    for track in [0x07, 0x0F] {
        assert!(of_track(&published, track).len() > 50);
        assert_eq!(of_track(&recorded, track), of_track(&published, track));
    }
}

/// What a viewer of an MP4 file is given.
fn mp4_payloads(path: &Path) -> Vec<Bytes> {
    let content = fs::read(path).expect("it is there");
    let read = |offset: u64, len: usize| {
        let rest = content.get(offset as usize..).unwrap_or_default();
        rest[..len.min(rest.len())].to_vec()
    };
    let (mut task, mut input) = (Mp4Open::new(content.len() as u64), Vec::new());
    let mut file = loop {
        match task.step(&input).expect("an MP4 file") {
            Step::Read { offset, len } => input = read(offset, len),
            Step::Done(file) => break file,
        }
    };
    let (mut cursor, mut input, mut payloads) = (file.seek(0, None), Vec::new(), Vec::new());
    loop {
        let size = content.len() as u64;
        match file.next(&mut cursor, size, &input).expect("readable") {
            Step::Read { offset, len } => input = read(offset, len),
            Step::Done(Some(packet)) => {
                input.clear();
                payloads.push(packet.payload);
            }
            Step::Done(None) => return payloads,
        }
    }
}

#[test]
fn a_stop_finishes_the_files_and_segments_follow_each_other() {
    let scratch = Scratch::new("segments");
    let more = "segment_time = \"2s\"\nrecord_name = \"{stream}-{n}\"\n";
    let (server, _) = start(Backend::DEFAULT, &scratch.0, more);
    let mut publisher = Client::publisher(server.local_addrs()[0], "cam");
    let sent = publish(&mut publisher);
    until("four segments are finished", || scratch.files().len() >= 5);
    server.stop().expect("a clean end");
    let files = scratch.files();
    assert_eq!(files.len(), 5, "{files:?}");
    let mut recorded = Vec::new();
    for (path, n) in files.iter().zip(1..) {
        assert!(path.ends_with(format!("cam-{n:04}.flv")), "{path:?}");
        let tags = media(&tags(path));
        assert_eq!(
            tags[..2].iter().map(|it| &it.2[..]).collect::<Vec<_>>(),
            [VIDEO_CONFIG, AUDIO_CONFIG]
        );
        assert_eq!(tags[2].2[0], 0x17, "a keyframe first");
        recorded.extend(tags[2..].iter().map(|it| it.2.clone()));
    }
    let sent: Vec<_> = sent[2..]
        .iter()
        .map(|it| Bytes::from(it.2.clone()))
        .collect();
    assert_eq!(recorded, sent);
}

#[test]
fn what_was_not_finished_is_made_whole_at_the_next_start() {
    let scratch = Scratch::new("repair");
    let (server, _) = start(Backend::DEFAULT, &scratch.0, "");
    let mut publisher = Client::publisher(server.local_addrs()[0], "cam");
    publish(&mut publisher);
    let has_begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 1_000);
    until("something of it is recorded", || {
        scratch.files().iter().any(has_begun)
    });
    server.stop().expect("a clean end");
    let whole = scratch.files()[0].clone();
    let content = fs::read(&whole).expect("it is there");
    let count = media(&tags(&whole)).len();
    let part = PathBuf::from(format!("{}.part", whole.display()));
    fs::write(&part, &content[..content.len() - 5]).expect("room");
    fs::remove_file(&whole).expect("ours");
    let foreign = scratch.0.join("notes.flv.part");
    fs::write(&foreign, b"not ours").expect("room");
    let (server, _) = start(Backend::DEFAULT, &scratch.0, "");
    until("it is whole", || whole.exists() && !part.exists());
    assert_eq!(
        media(&tags(&whole)).len(),
        count - 1,
        "all but the torn tag"
    );
    assert!(foreign.exists());
    server.stop().expect("a clean end");
}

#[test]
fn old_recordings_are_removed_and_nothing_else() {
    let scratch = Scratch::new("retention");
    let dir = scratch.0.join("live");
    fs::create_dir_all(&dir).expect("room");
    for name in [
        "cam-20200101-000000.flv",
        "cam-20200101-000001.flv",
        "holiday.flv",
    ] {
        fs::write(dir.join(name), [0; 1_000]).expect("room");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (server, _) = start(Backend::DEFAULT, &scratch.0, "record_keep_bytes = 1500\n");
    until("the oldest is removed", || {
        !dir.join("cam-20200101-000000.flv").exists()
    });
    assert!(dir.join("cam-20200101-000001.flv").exists());
    assert!(dir.join("holiday.flv").exists());
    server.stop().expect("a clean end");
}

#[test]
fn a_directory_that_comes_with_a_reload_is_mended_as_on_a_start() {
    let (first, second) = (Scratch::new("reload-1"), Scratch::new("reload-2"));
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/media/h264_aac_bframes.flv");
    let clip = fs::read(clip).expect("a clip");
    let leave = |path: PathBuf| fs::write(path, &clip[..clip.len() / 3 * 2]).expect("room");
    leave(first.0.join("old.flv.part"));
    leave(second.0.join("old.flv.part"));
    let config = |dir: &Path| {
        let mut config = Config::default();
        let text = format!(
            "[[application]]\nname = \"*\"\nrecord_dir = {dir:?}\nrecord_name = \"{{stream}}\""
        );
        config.apply_toml("test.toml", &text).expect("valid");
        config
    };
    let server = Server::builder()
        .config(config(Path::new("")))
        .listen(([127, 0, 0, 1], 0).into())
        .shards(2)
        .start()
        .expect("a free port");
    let mended = |dir: &Path| dir.join("old.flv").exists() && !dir.join("old.flv.part").exists();
    server
        .reload(config(&first.0))
        .expect("settings of applications");
    let mut publisher = Client::publisher(server.local_addrs()[0], "new");
    let mut sent = publish(&mut publisher);
    until("what was left is whole", || mended(&first.0));
    let is_recorded = || first.0.join("new.flv.part").exists();
    until("the stream is recorded", is_recorded);
    // Nobody knows whose that is: it is younger than this server.
    leave(second.0.join("young.flv.part"));
    server
        .reload(config(&second.0))
        .expect("settings of applications");
    until("what was left elsewhere is whole", || mended(&second.0));
    assert!(is_recorded() && second.0.join("young.flv.part").exists());
    let more = (Video, 10_000, picture(250, 300));
    publisher.send(more.0, more.1, &more.2);
    sent.push(more);
    let mut other = Client::publisher(server.local_addrs()[0], "other");
    publish(&mut other);
    drop((publisher, other));
    let finished = [first.0.join("new.flv"), second.0.join("other.flv")];
    until("both are finished", || {
        finished.iter().all(|path| path.exists())
    });
    server.stop().expect("a clean end");
    let recorded = media(&tags(&finished[0]));
    let payloads = |all: &[(MediaKind, u32, Bytes)]| -> Vec<_> {
        all.iter().map(|it| it.2.to_vec()).collect()
    };
    let sent: Vec<_> = sent.into_iter().map(|it| it.2).collect();
    assert_eq!(payloads(&recorded), sent);
    assert_eq!(media(&tags(&finished[1])).len(), sent.len() - 1);
    for dir in [&first, &second] {
        assert!(media(&tags(&dir.0.join("old.flv"))).len() > 20);
    }
}
