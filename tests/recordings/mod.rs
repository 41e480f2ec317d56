//! What tests of recordings share: a directory for them, and what is in a file.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real clocks and files"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream::media::flv::{FlvReader, FlvTag};
use millstream::rtmp::wire::MediaKind::{self, Data};

/// What nothing takes when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of this test's, gone with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("millstream-record-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a place for files");
        Self(dir)
    }

    /// Every file in it, sorted.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.0.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).expect("it is there") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => open.push(path),
                    false => found.push(path),
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is in an FLV file, which is whole.
pub(crate) fn tags(path: &Path) -> Vec<FlvTag> {
    let content = fs::read(path).expect("it is there");
    let (mut reader, mut rest, mut tags) = (FlvReader::new(), &content[..], Vec::new());
    while let Some(tag) = reader.read(&mut rest).expect("an FLV file") {
        tags.push(tag);
    }
    reader.finish().expect("whole");
    tags
}

/// Without what is the file's own.
pub(crate) fn media(tags: &[FlvTag]) -> Vec<(MediaKind, u32, Bytes)> {
    let published = tags.iter().filter(|tag| tag.kind != Data);
    published
        .map(|tag| (tag.kind, tag.timestamp.0, tag.payload.clone()))
        .collect()
}

/// Waits for something that takes no time when all is well.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
