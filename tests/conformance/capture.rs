//! The recordings, and what an independent decoder found in them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Version byte and two packets of 1,536 bytes.
pub(crate) const HANDSHAKE: usize = 1 + 2 * 1_536;

/// `index.json`: what the independent decoder found. Of its fields only those that are used.
#[derive(Deserialize)]
struct Index {
    transcripts: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    connections: Vec<Sides>,
}

#[derive(Deserialize)]
struct Sides {
    c2s: Summary,
    s2c: Summary,
}

/// One direction of one connection.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) digest: String,
    pub(crate) messages: usize,
    pub(crate) audio: usize,
    pub(crate) video: usize,
    pub(crate) commands: Vec<Call>,
    /// One entry for each data message.
    pub(crate) data: Vec<serde_json::Value>,
    /// Why that decoder could not read on.
    pub(crate) error: Option<String>,
}

/// One command.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) msid: u32,
    #[serde(rename = "type")]
    pub(crate) type_id: u8,
    /// Its values, the name first.
    pub(crate) args: Vec<serde_json::Value>,
}

/// Which way the bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// One direction of one recorded connection.
pub(crate) struct Recording {
    /// File and connection, for messages.
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
    /// None for a recording that came without an index.
    pub(crate) summary: Option<Summary>,
}

impl Recording {
    /// Whether a whole handshake of ours is there.
    pub(crate) fn is_rtmp(&self) -> bool {
        self.bytes.len() >= HANDSHAKE && self.bytes[0] == 3
    }
}

/// Where the recordings are: those of the repository, or a folder of more.
fn folders() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut folders = vec![corpus.join("clients"), corpus.join("wire")];
    folders.extend(std::env::var_os("MILLSTREAM_TRANSCRIPTS").map(PathBuf::from));
    folders
}

/// Every recording there is, in the order of their names.
pub(crate) fn recordings() -> Vec<Recording> {
    folders()
        .iter()
        .flat_map(|folder| recordings_in(folder))
        .collect()
}

fn recordings_in(folder: &Path) -> Vec<Recording> {
    let index = match std::fs::read_to_string(folder.join("index.json")) {
        Ok(text) => serde_json::from_str::<Index>(&text).unwrap().transcripts,
        Err(_) => Vec::new(),
    };
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "rtmpcap"));
    files.sort();
    for entry in &index {
        let known = files.iter().any(|path| path.ends_with(&entry.file));
        assert!(
            known,
            "{} is in the index and not in the folder",
            entry.file
        );
    }
    files.iter().flat_map(|path| load(path, &index)).collect()
}

/// Both directions of every connection of a file: a line of JSON, then records of direction u8 (0 client to server),
/// kind u8 (0 data), connection u16, length u32, microseconds u64, body; big-endian.
fn load(path: &Path, index: &[Entry]) -> Vec<Recording> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let entry = index.iter().find(|entry| entry.file == file);
    let bytes = std::fs::read(path).unwrap();
    let line = bytes.iter().position(|b| *b == b'\n').unwrap();
    let mut rest = &bytes[line + 1..];
    let mut sides: Vec<[Vec<u8>; 2]> = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let number = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (body, behind) = behind.split_at(length as usize);
        sides.resize(sides.len().max(number + 1), Default::default());
        if head[1] == 0 {
            sides[number][usize::from(head[0])].extend_from_slice(body);
        }
        rest = behind;
    }
    let mut recordings = Vec::new();
    for (number, [to_server, to_client]) in sides.into_iter().enumerate() {
        let known = entry.and_then(|entry| entry.connections.get(number));
        for (direction, bytes, summary) in [
            (Direction::ToServer, to_server, known.map(|c| c.c2s.clone())),
            (Direction::ToClient, to_client, known.map(|c| c.s2c.clone())),
        ] {
            recordings.push(Recording {
                name: format!("{file} connection {number} {direction:?}"),
                direction,
                bytes,
                summary,
            });
        }
    }
    recordings
}
