//! The recordings and what is known of them.

use std::path::PathBuf;

use serde::Deserialize;

/// One direction of one recorded connection, as an independent decoder saw it.
#[derive(Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) file: String,
    pub(crate) number: u16,
    pub(crate) direction: String,
    /// Whether it got through the handshake. If not, nothing below is known.
    pub(crate) handshake: bool,
    #[serde(default)]
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) messages: usize,
    #[serde(default)]
    pub(crate) audio: usize,
    #[serde(default)]
    pub(crate) video: usize,
    /// Names of data messages.
    #[serde(default)]
    pub(crate) data: Vec<String>,
    /// Names of commands.
    #[serde(default)]
    pub(crate) commands: Vec<String>,
    /// `connect`'s application.
    #[serde(default)]
    pub(crate) app: String,
    /// The name published.
    pub(crate) publish: Option<String>,
    /// The name played.
    pub(crate) play: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    connection: Vec<Connection>,
}

fn corpus() -> PathBuf {
    let root = std::env::var_os("MILLSTREAM_TRANSCRIPTS").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/clients")))
}

pub(crate) fn index() -> Vec<Connection> {
    let text = std::fs::read_to_string(corpus().join("index.toml")).unwrap();
    let index: Index = toml::from_str(&text).unwrap();
    index.connection
}

/// A `.rtmpcap` file behind its first line.
pub(crate) struct Capture(Vec<u8>);

impl Capture {
    pub(crate) fn load(file: &str) -> Self {
        let bytes = std::fs::read(corpus().join(format!("{file}.rtmpcap"))).unwrap();
        let line = bytes.iter().position(|b| *b == b'\n').unwrap();
        Self(bytes[line + 1..].to_vec())
    }

    /// All that was sent in this direction of this connection.
    pub(crate) fn bytes(&self, connection: &Connection) -> Vec<u8> {
        let direction = u8::from(connection.direction == "s2c");
        let mut rest = self.0.as_slice();
        let mut bytes = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<16>() {
            let number = u16::from_be_bytes([head[2], head[3]]);
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            let (body, behind) = behind.split_at(length as usize);
            if (head[0], head[1], number) == (direction, 0, connection.number) {
                bytes.extend_from_slice(body);
            }
            rest = behind;
        }
        bytes
    }
}
