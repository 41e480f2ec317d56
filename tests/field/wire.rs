//! What the tests say and hear without a socket.

use millstream::rtmp::amf::{Value, amf0};
use millstream::rtmp::chunk::decoder::{Body, Decoder, Message};
use millstream::rtmp::chunk::encoder::Encoder;
use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig, SessionError};
use millstream::rtmp::wire::WireMessage;
use millstream::time::{Instant, Timestamp};

/// A server's session and the client that talks to it.
pub(crate) struct Dialogue {
    pub(crate) session: ServerSession,
    encoder: Encoder,
    /// Every event so far.
    pub(crate) events: Vec<Event>,
    output: Vec<u8>,
}

impl Dialogue {
    /// Behind an accepted `connect`.
    pub(crate) fn connected() -> Self {
        let mut dialogue = Self {
            session: ServerSession::new(SessionConfig::default(), 1),
            encoder: Encoder::new(),
            events: Vec::new(),
            output: Vec::new(),
        };
        let mut hello = vec![3];
        hello.resize(1 + 2 * 1_536, 0);
        assert_eq!(dialogue.raw(&hello), Ok(()));
        let app = Value::object([("app", Value::string("live"))]);
        let connect = amf0::encode_all(&[Value::string("connect"), Value::Number(1.0), app]);
        assert_eq!(dialogue.say(20, 0, &connect), Ok(()));
        dialogue
    }

    /// Behind an accepted publish of `name` on message stream 1.
    pub(crate) fn publishing(name: &str) -> Self {
        let mut dialogue = Self::connected();
        let arguments = [Value::string(name), Value::string("live")];
        assert_eq!(dialogue.call(1, "publish", &arguments), Ok(()));
        dialogue
    }

    pub(crate) fn call(
        &mut self,
        stream: u32,
        name: &str,
        arguments: &[Value],
    ) -> Result<(), SessionError> {
        let mut values = vec![Value::string(name), Value::Number(9.0), Value::Null];
        values.extend_from_slice(arguments);
        self.say(20, stream, &amf0::encode_all(&values))
    }

    pub(crate) fn say(
        &mut self,
        type_id: u8,
        stream: u32,
        payload: &[u8],
    ) -> Result<(), SessionError> {
        let mut bytes = Vec::new();
        let time = Timestamp(0);
        self.encoder
            .encode(&mut bytes, 3, type_id, stream, time, payload);
        self.raw(&bytes)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let result = self.session.handle_input(Instant::ZERO, bytes);
        while let Some(event) = self.session.poll_event() {
            match &event {
                Event::ConnectRequested(_) => self.session.accept_connect(),
                Event::PublishRequested { stream, .. } => self.session.accept_publish(*stream),
                Event::PlayRequested { stream, .. } => {
                    self.session.accept_play(*stream);
                }
                _ => {}
            }
            self.events.push(event);
        }
        self.session.take_output(&mut self.output);
        result
    }

    /// The media and data so far.
    pub(crate) fn media(&self) -> Vec<Vec<u8>> {
        let media = self.events.iter().filter_map(|event| match event {
            Event::Media { message, .. } => Some(payload(message)),
            _ => None,
        });
        media.collect()
    }

    /// What the server said so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        let mut decoder = Decoder::new(60_000);
        let mut input = &self.output[1 + 2 * 1_536..];
        let mut heard = Vec::new();
        while let Some(message) = decoder.decode(&mut input).unwrap() {
            if let (1, Body::Plain(size)) = (message.type_id, &message.body) {
                let size = u32::from_be_bytes(*size.first_chunk().unwrap());
                decoder.set_chunk_size(size).unwrap();
            }
            heard.push(message);
        }
        heard
    }
}

pub(crate) fn payload(message: &WireMessage) -> Vec<u8> {
    message.payload().flatten().copied().collect()
}
