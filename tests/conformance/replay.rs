//! Recorded bytes through the decoder, a server's session and a client's.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use millstream::rtmp::amf::Value;
use millstream::rtmp::chunk::decoder::{Body, Decoder};
use millstream::rtmp::command::Command;
use millstream::rtmp::handshake::HandshakeKind;
use millstream::rtmp::session::Status;
use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig, SessionError};
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::Instant;

/// Version byte and two packets of 1,536 bytes.
const HANDSHAKE: usize = 1 + 2 * 1_536;

/// A message as the chunk layer gives it.
pub(crate) struct Found {
    pub(crate) type_id: u8,
    pub(crate) stream: u32,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

/// All complete messages behind the handshake.
pub(crate) fn messages(bytes: &[u8]) -> Vec<Found> {
    let mut decoder = Decoder::new(1_000);
    let mut input = &bytes[HANDSHAKE..];
    let mut found = Vec::new();
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        let payload = match message.body {
            Body::Wire(wire) => payload(&wire),
            Body::Plain(payload) => payload,
        };
        if message.type_id == 1 {
            let size = u32::from_be_bytes(payload[..4].try_into().unwrap());
            decoder.set_chunk_size(size).unwrap();
        }
        found.push(Found {
            type_id: message.type_id,
            stream: message.stream,
            timestamp: message.timestamp.0,
            payload,
        });
    }
    found
}

pub(crate) fn digest(messages: &[Found]) -> String {
    let mut sha = Sha256::new();
    for message in messages {
        sha.update([message.type_id]);
        sha.update(message.stream.to_be_bytes());
        sha.update(message.timestamp.to_be_bytes());
        sha.update((message.payload.len() as u32).to_be_bytes());
        sha.update(&message.payload);
    }
    let mut hex = String::new();
    for byte in sha.finalize() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

pub(crate) fn command(message: &Found) -> Command {
    Command::decode(message.type_id, &message.payload).unwrap()
}

pub(crate) fn command_name(message: &Found) -> String {
    command(message).name
}

/// A command of the server's.
pub(crate) struct Reply {
    pub(crate) stream: u32,
    command: Command,
}

impl Reply {
    /// Whether it is the `_result` of call `id`, in its exact shape: name, id, object or null, value.
    pub(crate) fn answers(&self, id: f64) -> bool {
        let result = self.command.name == "_result" && self.command.transaction == id;
        result && self.stream == 0 && self.command.arguments.len() == 1
    }

    /// The code of an `onStatus`.
    pub(crate) fn code(&self) -> &str {
        let info = match self.command.name.as_str() {
            "onStatus" => self.command.argument(0),
            _ => &Value::Null,
        };
        info.get("code").and_then(Value::as_str).unwrap_or("")
    }
}

/// All commands a server that grants everything answers these bytes with.
pub(crate) fn replies(bytes: &[u8]) -> Vec<Reply> {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    let mut output = Vec::new();
    for piece in bytes.chunks(10) {
        session.handle_input(Instant::ZERO, piece).unwrap();
        answer(&mut session, true, &mut Vec::new());
        session.take_output(&mut output);
    }
    let messages = messages(&output);
    let commands = messages.iter().filter(|m| m.type_id == 20);
    let replies = commands.map(|message| Reply {
        stream: message.stream,
        command: command(message),
    });
    replies.collect()
}

/// An event that can be compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Text(String),
    Media {
        stream: u32,
        kind: MediaKind,
        timestamp: u32,
        payload: Vec<u8>,
    },
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    let texts = records.iter().filter_map(|r| match r {
        Record::Text(text) => Some(text.clone()),
        Record::Media { .. } => None,
    });
    texts.collect()
}

pub(crate) fn media(
    records: &[Record],
    wanted: MediaKind,
) -> impl Iterator<Item = (u32, &Vec<u8>)> {
    records.iter().filter_map(move |record| match record {
        Record::Media {
            kind,
            timestamp,
            payload,
            ..
        } if *kind == wanted => Some((*timestamp, payload)),
        _ => None,
    })
}

fn payload(message: &WireMessage) -> Vec<u8> {
    message.payload().flatten().copied().collect()
}

/// What a server that grants everything is told.
pub(crate) fn server_events(pieces: &[&[u8]]) -> Vec<Record> {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    let mut records = Vec::new();
    for piece in pieces {
        session.handle_input(Instant::ZERO, piece).unwrap();
        answer(&mut session, true, &mut records);
    }
    assert_eq!(session.fault(), None);
    records
}

/// What a server that refuses every publish is told.
pub(crate) fn refusing_server_events(bytes: &[u8]) -> Vec<Record> {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    let mut records = Vec::new();
    session.handle_input(Instant::ZERO, bytes).unwrap();
    answer(&mut session, false, &mut records);
    let told = session.output();
    let code = b"NetStream.Publish.BadName";
    assert!(told.windows(code.len()).any(|w| w == code));
    records
}

pub(crate) fn server_error(bytes: &[u8]) -> Option<SessionError> {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    session.handle_input(Instant::ZERO, bytes).err()
}

fn answer(session: &mut ServerSession, grant: bool, records: &mut Vec<Record>) {
    while let Some(event) = session.poll_event() {
        let text = match event {
            Event::ConnectRequested(connect) => {
                session.accept_connect();
                format!("connect app={} query={}", connect.app, connect.query)
            }
            Event::PublishRequested {
                stream,
                name,
                query,
                kind,
            } => {
                if grant {
                    session.accept_publish(stream);
                } else {
                    session.reject_publish(stream, Status::PublishBadName, "taken");
                }
                format!("publish stream={stream} name={name} query={query} kind={kind:?}")
            }
            Event::PlayRequested {
                stream,
                name,
                query,
                start,
                ..
            } => {
                session.accept_play(stream);
                format!("play stream={stream} name={name} query={query} start={start:?}")
            }
            Event::Media { stream, message } => {
                records.push(Record::Media {
                    stream,
                    kind: message.kind(),
                    timestamp: message.timestamp().0,
                    payload: payload(&message),
                });
                continue;
            }
            Event::StreamClosed { stream } => format!("closed stream={stream}"),
            other => format!("{other:?}"),
        };
        records.push(Record::Text(text));
    }
}

/// What our client makes of a recorded server. It asks as FFmpeg and OBS do, so that the replies fit its calls.
pub(crate) fn client_events(pieces: &[&[u8]]) -> Vec<Record> {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        flash_ver: "conformance".into(),
        chunk_size: 4_096,
        handshake: HandshakeKind::DigestSchema1,
        ..ClientConfig::default()
    };
    let mut session = ClientSession::new(config, 1);
    session.connect();
    session.play("stream");
    let mut records = Vec::new();
    for piece in pieces {
        session.handle_input(Instant::ZERO, piece).unwrap();
        while let Some(event) = session.poll_event() {
            records.push(match event {
                ClientEvent::Connected => Record::Text("connected".into()),
                ClientEvent::Media {
                    stream,
                    kind,
                    timestamp,
                    payload,
                } => Record::Media {
                    stream,
                    kind,
                    timestamp: timestamp.0,
                    payload: payload.into(),
                },
                other => Record::Text(format!("{other:?}")),
            });
        }
    }
    records
}
