//! The recordings and what is known of them.

use std::path::PathBuf;

use serde::Deserialize;

/// One direction of one recorded connection, as an independent decoder saw it.
#[derive(Debug, Deserialize)]
pub struct Connection {
    pub file: String,
    pub number: u16,
    pub direction: String,
    /// Whether it got through the handshake. If not, nothing below is known.
    pub handshake: bool,
    #[serde(default)]
    pub digest: String,
    #[serde(default)]
    pub messages: usize,
    #[serde(default)]
    pub audio: usize,
    #[serde(default)]
    pub video: usize,
    /// Names of data messages.
    #[serde(default)]
    pub data: Vec<String>,
    /// Names of commands.
    #[serde(default)]
    pub commands: Vec<String>,
    /// `connect`'s application.
    #[serde(default)]
    pub app: String,
    /// The name published.
    pub publish: Option<String>,
    /// The name played.
    pub play: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    connection: Vec<Connection>,
}

fn corpus() -> PathBuf {
    let root = std::env::var_os("MILLSTREAM_TRANSCRIPTS").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/clients")))
}

pub fn index() -> Vec<Connection> {
    let text = std::fs::read_to_string(corpus().join("index.toml")).unwrap();
    let index: Index = toml::from_str(&text).unwrap();
    index.connection
}

/// A `.rtmpcap` file behind its first line.
pub struct Capture(Vec<u8>);

impl Capture {
    pub fn load(file: &str) -> Self {
        let bytes = std::fs::read(corpus().join(format!("{file}.rtmpcap"))).unwrap();
        let line = bytes.iter().position(|b| *b == b'\n').unwrap();
        Self(bytes[line + 1..].to_vec())
    }

    /// All that was sent in this direction of this connection.
    pub fn bytes(&self, connection: &Connection) -> Vec<u8> {
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
