//! What tests of played files share: a server that plays a directory, and a viewer of it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is outside of the server, and fails by panicking"
)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use millstream::Server;
use millstream::config::Config;
use millstream::rtmp::command::{PlayOptions, PlayStart};
use millstream::rtmp::wire::MediaKind;

use crate::rtmp_client::{self, Client};

/// The directory of the clips.
pub(crate) fn media() -> String {
    format!("{}/corpus/media", env!("CARGO_MANIFEST_DIR"))
}

/// A server that plays the files of `directory`.
pub(crate) fn server_of(directory: &str) -> Server {
    let mut config = Config::default();
    let text = format!("[server]\nhttp = \"off\"\nvod = {directory:?}");
    config.apply_toml("test", &text).unwrap();
    let builder = Server::builder().config(config);
    let builder = builder.listen(([127, 0, 0, 1], 0).into()).shards(2);
    builder.start().expect("a free port")
}

/// What a client may say beside the name.
pub(crate) fn options(start: f64, duration: Option<f64>, reset: bool) -> PlayOptions {
    PlayOptions {
        start: PlayStart::from_number(start),
        duration,
        reset,
    }
}

/// A viewer of `name` that asks for all of it at once.
pub(crate) fn viewer(server: &Server, name: &str, options: PlayOptions) -> Client {
    let mut client = Client::connect_to(server.local_addrs()[0], "vod");
    client.session.play_with(name, options);
    client.until("an answer", |it| {
        it.status("NetStream.Play.Start") || it.refused("NetStream.Play.StreamNotFound")
    });
    client
}

/// The times of the pictures that came, sequence headers left out.
pub(crate) fn pictures(client: &Client) -> Vec<u32> {
    let media = client.media.iter();
    let pictures = media.filter(|(kind, _, payload)| *kind == MediaKind::Video && payload[1] == 1);
    pictures.map(|(_, time, _)| time.0).collect()
}

/// A file without an index: `pictures` of `len` bytes, `step` milliseconds each, every 25th a keyframe; how long it is. Most
/// of it is a hole, which a disk need not hold and a reader cannot tell.
pub(crate) fn film(path: &Path, pictures: u32, len: u32, step: u32) -> u32 {
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
