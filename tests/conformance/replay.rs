//! Recorded bytes through the decoder, a server's session and a client's.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use millstream::rtmp::amf::{Value, amf0};
use millstream::rtmp::chunk::decoder::{Body, ChunkError, Decoder};
use millstream::rtmp::command::Command;
use millstream::rtmp::handshake::HandshakeKind;
use millstream::rtmp::session::Status;
use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig, SessionError};
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::Instant;

use crate::capture::HANDSHAKE;

/// A message as the chunk layer gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) type_id: u8,
    pub(crate) stream: u32,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

impl Found {
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.type_id, 17 | 20)
    }

    /// The command it is.
    pub(crate) fn command(&self) -> Option<Command> {
        let wanted = self.is_command();
        wanted.then(|| Command::decode(self.type_id, &self.payload).ok())?
    }
}

/// All complete messages behind the handshake, and why there are no more of them.
pub(crate) fn messages(bytes: &[u8]) -> (Vec<Found>, Option<ChunkError>) {
    let mut decoder = Decoder::new(1_000);
    let mut input = bytes.get(HANDSHAKE..).unwrap_or_default();
    let mut found = Vec::new();
    loop {
        let message = match decoder.decode(&mut input) {
            Ok(Some(message)) => message,
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        };
        let payload = match message.body {
            Body::Wire(wire) => payload(&wire),
            Body::Plain(payload) => payload,
        };
        let value = payload.first_chunk().map(|v| u32::from_be_bytes(*v));
        let obeyed = match (message.type_id, value) {
            (1, Some(size)) => decoder.set_chunk_size(size),
            (2, Some(csid)) => {
                decoder.abort(csid);
                Ok(())
            }
            _ => Ok(()),
        };
        found.push(Found {
            type_id: message.type_id,
            stream: message.stream,
            timestamp: message.timestamp.0,
            payload,
        });
        if let Err(error) = obeyed {
            return (found, Some(error));
        }
    }
}

/// Where each command ends: a client says one, and waits.
pub(crate) fn command_ends(bytes: &[u8]) -> Vec<usize> {
    let mut decoder = Decoder::new(1_000);
    let mut input = bytes.get(HANDSHAKE..).unwrap_or_default();
    let mut ends = Vec::new();
    while let Ok(Some(message)) = decoder.decode(&mut input) {
        if let Body::Plain(payload) = &message.body {
            match (message.type_id, payload.first_chunk()) {
                (1, Some(size)) => decoder.set_chunk_size(u32::from_be_bytes(*size)).unwrap(),
                (2, Some(csid)) => decoder.abort(u32::from_be_bytes(*csid)),
                (17 | 20, _) => ends.push(bytes.len() - input.len()),
                _ => {}
            }
        }
    }
    ends
}

/// SHA-256 over type u8, message stream u32, time u32, length u32, payload of each.
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

/// An AMF0 value as the index writes it.
pub(crate) fn json(value: &Value) -> serde_json::Value {
    let pairs = |pairs: &[(String, Value)]| {
        let pairs = pairs.iter().map(|(k, v)| (k.clone(), json(v)));
        serde_json::Value::Object(pairs.collect())
    };
    match value {
        Value::Number(n) => (*n).into(),
        Value::Boolean(b) => (*b).into(),
        Value::String(s) | Value::XmlDocument(s) => s.as_str().into(),
        Value::Null => serde_json::Value::Null,
        Value::Undefined => "<undefined>".into(),
        Value::Unsupported => "<unsupported>".into(),
        Value::StrictArray(items) => items.iter().map(json).collect::<Vec<_>>().into(),
        Value::Object(p) | Value::EcmaArray(p) => pairs(p),
        Value::TypedObject { properties, .. } => pairs(properties),
        Value::Date { .. } | Value::Reference(_) | Value::Amf3(_) => serde_json::Value::Null,
    }
}

/// Whether the index says the same: it marks what it has no words for with keys like `__date`, and escapes bad UTF-8.
pub(crate) fn says(index: &serde_json::Value, ours: &serde_json::Value) -> bool {
    use serde_json::Value as J;
    match (index, ours) {
        (J::Object(index), J::Object(ours)) => {
            let (marks, known): (Vec<_>, Vec<_>) =
                index.iter().partition(|(key, _)| key.starts_with("__"));
            let same =
                |(key, value): &(&String, &J)| ours.get(*key).is_some_and(|o| says(value, o));
            known.iter().all(same) && (known.len() == ours.len() || !marks.is_empty())
        }
        (J::Object(index), _) => index.keys().any(|key| key.starts_with("__")),
        (J::Array(index), J::Array(ours)) => {
            index.len() == ours.len() && index.iter().zip(ours).all(|(i, o)| says(i, o))
        }
        (J::String(index), J::String(ours)) => index == ours || ours.contains('\u{FFFD}'),
        (J::Number(index), J::Number(ours)) => index.as_f64() == ours.as_f64(),
        _ => index == ours,
    }
}

/// An event that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// Connect, publish, play, and what ends them.
    Role(String),
    Media {
        stream: u32,
        kind: MediaKind,
        timestamp: u32,
        payload: Vec<u8>,
    },
    /// Anything else.
    Other(String),
}

fn payload(message: &WireMessage) -> Vec<u8> {
    message.payload().flatten().copied().collect()
}

/// What a server says, message for message. Acknowledgements are left out: they follow the reads.
pub(crate) fn said(output: &[u8]) -> Vec<Found> {
    let (mut messages, error) = messages(output);
    assert_eq!(error, None, "our own words");
    messages.retain(|message| message.type_id != 3);
    messages
}

/// How a server takes publishers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Grants,
    Refuses,
}

/// Feeds a server these pieces, hands its events to `each`, and returns its words and how it ended.
pub(crate) fn serve<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mood: Mood,
    mut each: impl FnMut(Record),
) -> (Vec<u8>, Option<SessionError>) {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    let mut output = Vec::new();
    for piece in pieces {
        let result = session.handle_input(Instant::ZERO, piece);
        while let Some(event) = session.poll_event() {
            answer(&mut session, &event, mood);
            each(record(event));
        }
        session.take_output(&mut output);
        if result.is_err() {
            break;
        }
    }
    (output, session.fault())
}

fn answer(session: &mut ServerSession, event: &Event, mood: Mood) {
    match event {
        Event::ConnectRequested(_) => session.accept_connect(),
        Event::PublishRequested { stream, .. } if mood == Mood::Refuses => {
            session.reject_publish(*stream, Status::PublishBadName, "taken");
        }
        Event::PublishRequested { stream, .. } => session.accept_publish(*stream),
        Event::PlayRequested { stream, .. } => {
            session.accept_play(*stream);
        }
        Event::LengthRequested { transaction, .. } => session.answer_length(*transaction, 0.0),
        Event::Paused { stream, paused, .. } => session.confirm_pause(*stream, *paused),
        Event::SeekRequested { stream, .. } => session.reject_seek(*stream, "live"),
        _ => {}
    }
}

fn record(event: Event) -> Record {
    Record::Role(match event {
        Event::ConnectRequested(connect) => {
            format!("connect {} ? {}", connect.app, connect.query)
        }
        Event::PublishRequested {
            stream,
            name,
            query,
            kind,
            ..
        } => format!("publish {stream} {name} ? {query} {kind:?}"),
        Event::PlayRequested {
            stream,
            name,
            query,
            start,
            ..
        } => format!("play {stream} {name} ? {query} {}", start.as_number()),
        Event::Media {
            stream, message, ..
        } => {
            return Record::Media {
                stream,
                kind: message.kind(),
                timestamp: message.timestamp().0,
                payload: payload(&message),
            };
        }
        Event::StreamClosed { stream, .. } => format!("closed {stream}"),
        Event::Paused { stream, paused, .. } => format!("paused {stream} {paused}"),
        Event::SeekRequested {
            stream, position, ..
        } => format!("seek {stream} {position}"),
        other => return Record::Other(format!("{other:?}")),
    })
}

/// Feeds our client these pieces of a server's, and hands its events to `each`. It asks as FFmpeg and OBS do, so that
/// the replies fit its calls.
pub(crate) fn listen<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut each: impl FnMut(Record),
) -> Option<SessionError> {
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
    for piece in pieces {
        let result = session.handle_input(Instant::ZERO, piece);
        while let Some(event) = session.poll_event() {
            each(match event {
                ClientEvent::Connected => Record::Role("connected".into()),
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
                other => Record::Other(format!("{other:?}")),
            });
        }
        if result.is_err() {
            return result.err();
        }
    }
    None
}

/// The messages inside an aggregate: type, time from the first's, payload.
pub(crate) fn parts(message: &Found) -> Vec<Found> {
    let mut rest = message.payload.as_slice();
    let mut parts = Vec::new();
    let mut first = None;
    while let Some((head, behind)) = rest.split_first_chunk::<11>() {
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let Some((payload, behind)) = behind.split_at_checked(size) else {
            break;
        };
        let begin = *first.get_or_insert(time);
        parts.push(Found {
            type_id: head[0] & 0x1F,
            stream: message.stream,
            timestamp: message.timestamp.wrapping_add(time.wrapping_sub(begin)),
            payload: payload.to_vec(),
        });
        rest = behind.get(4..).unwrap_or_default();
    }
    parts
}

/// The kind of a media or data message.
pub(crate) fn kind(type_id: u8) -> Option<MediaKind> {
    match type_id {
        8 => Some(MediaKind::Audio),
        9 => Some(MediaKind::Video),
        15 | 18 => Some(MediaKind::Data),
        _ => None,
    }
}

/// What is passed on of a data message: without what frames metadata for storage; nothing of what only erases it.
pub(crate) fn data(message: &Found) -> Option<Vec<u8>> {
    let payload = match (message.type_id, message.payload.as_slice()) {
        (15, [0, rest @ ..]) => rest,
        (_, payload) => payload,
    };
    let name = amf0::decode_all(payload).0.into_iter().next();
    match name.as_ref().and_then(Value::as_str) {
        Some("@clearDataFrame") => None,
        Some(name @ "@setDataFrame") => payload.get(3 + name.len()..).map(<[u8]>::to_vec),
        _ => Some(payload.to_vec()),
    }
}
