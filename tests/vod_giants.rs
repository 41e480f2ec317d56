//! Seeking in films of ten gigabytes and more: a viewer is there at once, whatever says where the keyframes are.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server: it has files and clocks of its own, and fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream::rtmp::command::PlayOptions;
use vod_viewer::{film, pictures, server_of, viewer};

#[path = "vod_giants/mp4.rs"]
mod mp4;
#[allow(dead_code, reason = "it is for several tests")]
mod rtmp_client;
#[allow(dead_code, reason = "it is for several tests")]
mod vod_viewer;

/// Who measures time is not to run beside another.
static ALONE: Mutex<()> = Mutex::new(());

/// What a seek may take on a machine that does other things, too.
const SEEK: Duration = Duration::from_secs(2);
/// What the beginning may: without an index each fragment is visited once.
const OPEN: Duration = Duration::from_secs(5);

/// A directory of a test's own, gone with it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Plays the film that `make` makes, which is `length` ms long with a keyframe every `step` ms, and seeks about in it.
fn seeks_at_once(name: &str, length: u32, step: u32, make: impl FnOnce(&Path)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = format!("millstream-giant-{}-{name}", std::process::id());
    let scratch = Scratch(std::env::temp_dir().join(directory));
    std::fs::create_dir_all(&scratch.0).unwrap();
    let path = scratch.0.join(name);
    make(&path);
    let bytes = path.metadata().unwrap().len();
    assert!(bytes > 10_000_000_000, "{bytes}");
    let server = server_of(scratch.0.to_str().unwrap());
    let began = Instant::now();
    let mut client = viewer(&server, name, PlayOptions::default());
    client.until("a picture", |it| !pictures(it).is_empty());
    let opened = began.elapsed();
    let mut times = Vec::new();
    for part in [9, 1, 5, 7, 3] {
        let key = length / 10 * part / step * step;
        let before = client.statuses("NetStream.Seek.Notify");
        let began = Instant::now();
        client.session.seek((key + step / 2).into());
        client.flush();
        client.until("the answer", |it| {
            it.statuses("NetStream.Seek.Notify") > before
        });
        // The picture may have come with the answer, in one read.
        client.until("its picture", |it| pictures(it).contains(&key));
        times.push(began.elapsed());
        client.media.clear();
    }
    eprintln!("{name}: first picture {opened:?}, from seek to the whole first picture {times:?}");
    assert!(opened < OPEN, "{opened:?}");
    assert!(times.iter().all(|time| *time < SEEK), "{times:?}");
}

#[test]
fn flv_without_an_index() {
    seeks_at_once("film.flv", 400_000, 1_000, |path| {
        assert_eq!(film(path, 10_000, 1 << 20, 40), 400_000);
    });
}

#[test]
fn mp4_with_tables_of_two_million_pictures() {
    seeks_at_once("tables.mp4", 20_000_000, 2_500, |path| {
        mp4::tables(path, 2_000_000);
    });
}

#[test]
fn mp4_in_ten_thousand_fragments_without_an_index() {
    seeks_at_once("fragments.mp4", 10_000_000, 1_000, |path| {
        mp4::fragments(path, 10_000, 40_400, b"tfdt");
    });
}

#[test]
fn mp4_in_ten_thousand_fragments_that_do_not_say_when_they_begin() {
    seeks_at_once("untimed.mp4", 10_000_000, 1_000, |path| {
        mp4::fragments(path, 10_000, 40_400, b"free");
    });
}
