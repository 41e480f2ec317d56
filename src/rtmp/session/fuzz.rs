//! Both sides on arbitrary bytes: bodies for fuzzers, and for the property tests.
//!
//! The first byte of the input says how the rest is meant (`Plan`), the second how it is cut. As a script (see
//! `script.rs`) every byte counts, so that a fuzzer gets past the chunk layer; as raw bytes it is what a stranger sends.

use super::client::{ClientConfig, ClientEvent, ClientSession};
use super::server::{Event, ServerSession, SessionConfig};
use super::{MessageStreamId, SessionError, Status};
use crate::limits;
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::CSID_COMMAND;
use crate::rtmp::chunk::decoder::Decoder;
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::message;
use crate::time::{Instant, Timestamp};

mod script;
#[cfg(test)]
mod tests;

/// No more of an input is looked at: what one read brings is the caller's bound, and so is what it is answered with.
const INPUT: usize = 12_000;

/// How an input is meant.
#[derive(Clone, Copy)]
struct Plan {
    /// A script rather than bytes.
    script: bool,
    /// Bytes from the handshake on, rather than behind `connect`.
    stranger: bool,
    /// The shell, or the server, says no.
    refuses: bool,
    /// The shell is slow: what was asked before is answered after the next piece.
    slow: bool,
}

impl Plan {
    fn new(choice: u8) -> Self {
        Self {
            script: choice & 1 != 0,
            stranger: choice & 2 != 0,
            refuses: choice & 4 != 0,
            slow: choice & 8 != 0,
        }
    }

    fn bytes(self, data: &[u8]) -> Vec<u8> {
        match self.script {
            true => script::encode(data),
            false => data.to_vec(),
        }
    }
}

/// A first packet and a second, of zeros: the simple handshake of either side.
fn handshake() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1_536, 0);
    bytes
}

/// What a session made of its input: its events, and how it ended.
type Outcome = (Vec<String>, Option<SessionError>);

/// A server's session on arbitrary bytes: no panic, and the same events whole and in pieces (but for one, see
/// `Served::may_be_a_stop`); media and ends only of roles
/// that were asked for; memory and replies within bounds; whole messages out, which our client reads; and after a fault
/// nothing more.
pub fn fuzz_server_session(data: &[u8]) {
    let (&[choice, piece], data) = data.split_first_chunk().unwrap_or((&[1, 1], data));
    let data = data.get(..INPUT).unwrap_or(data);
    let plan = Plan::new(choice);
    let bytes = plan.bytes(data);
    let whole = serve(plan, &bytes, bytes.len());
    let pieces = serve(plan, &bytes, piece.into());
    // A slow shell answers between other messages, and that is not the same.
    if !plan.slow {
        assert_eq!(pieces, whole);
    }
}

fn serve(plan: Plan, data: &[u8], piece: usize) -> Outcome {
    let mut server = Served::new(plan);
    if !plan.stranger {
        let mut hello = handshake();
        let connect = amf0::encode_all(&[
            Value::string("connect"),
            Value::Number(1.0),
            Value::object([("app", Value::string("live"))]),
        ]);
        let (out, csid, time) = (&mut hello, CSID_COMMAND, Timestamp(0));
        Encoder::new().encode(out, csid, message::COMMAND_AMF0, 0, time, &connect);
        server.feed(&hello);
    }
    for piece in data.chunks(piece.max(1)) {
        server.feed(piece);
    }
    server.answer_all();
    server.end()
}

/// A server's session, its shell, and what is known of it.
struct Served {
    plan: Plan,
    session: ServerSession,
    /// Requests that a slow shell has not answered.
    waiting: Vec<Event>,
    events: Vec<String>,
    /// Message streams that something was asked on that has not ended, and whether it was a publish.
    open: Vec<(MessageStreamId, bool)>,
    said: Vec<u8>,
    fed: usize,
}

impl Served {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            session: ServerSession::new(SessionConfig::default(), 1),
            waiting: Vec::new(),
            events: Vec::new(),
            open: Vec::new(),
            said: Vec::new(),
            fed: 0,
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        let before = self.session.fault();
        let result = self.session.handle_input(Instant::ZERO, piece);
        if before.is_some() {
            assert_eq!(result.err(), before, "a fault is final");
            assert!(self.session.poll_event().is_none() && self.session.output().is_empty());
            return;
        }
        self.fed += piece.len();
        self.answer_all();
        while let Some(event) = self.session.poll_event() {
            self.note(&event);
            self.waiting.push(event);
            if !self.plan.slow {
                self.answer_all();
            }
        }
        // Payload that came, doubled as it grows, and our headers in it; replies as they are bounded.
        let held = self.session.buffered_bytes();
        assert!(held <= 16 * (self.fed + 4_096) + 2 * limits::REPLY_BYTES);
        assert!(self.session.output().len() <= limits::REPLY_BYTES + 16 * (piece.len() + 4_096));
        self.session.take_output(&mut self.said);
    }

    /// Media and ends are only of what was asked for.
    fn note(&mut self, event: &Event) {
        let place = (event.stream()).and_then(|s| self.open.iter().position(|(o, _)| *o == s));
        match event {
            Event::PublishRequested { stream, .. } | Event::PlayRequested { stream, .. } => {
                assert_eq!(place, None, "the one before has ended");
                let publish = matches!(event, Event::PublishRequested { .. });
                self.open.push((*stream, publish));
                assert!(self.open.len() <= limits::MESSAGE_STREAMS);
            }
            Event::StreamClosed { .. } => {
                assert!(place.is_some(), "nothing to end");
                self.open.swap_remove(place.unwrap_or(0));
            }
            Event::ConnectRequested(_) => assert!(self.open.is_empty()),
            Event::SharedObject(_) | Event::LengthRequested { .. } => {}
            Event::Media { .. } | Event::MetadataCleared { .. } => {
                assert!(place.is_some_and(|place| self.open.get(place).is_some_and(|o| o.1)));
            }
            _ => assert!(place.is_some_and(|place| self.open.get(place).is_some_and(|o| !o.1))),
        }
        if !self.may_be_a_stop(event) {
            self.events.push(format!("{event:?}"));
        }
    }

    /// An empty name stops what is asked for or accepted, and asks where nothing is: whether a role in the same read is
    /// going to be refused cannot be known. The one dependence on how the input is cut.
    fn may_be_a_stop(&self, event: &Event) -> bool {
        match event {
            Event::PublishRequested { name, .. } | Event::PlayRequested { name, .. } => {
                self.plan.refuses && name.is_empty()
            }
            _ => false,
        }
    }

    fn answer_all(&mut self) {
        for event in core::mem::take(&mut self.waiting) {
            self.answer(&event);
        }
        self.session.take_output(&mut self.said);
    }

    fn answer(&mut self, event: &Event) {
        let session = &mut self.session;
        let refuses = self.plan.refuses;
        match event {
            // Every refusal of `connect` is the end: with `slow` it is tried, else the rest would not be.
            Event::ConnectRequested(_) if refuses && self.plan.slow => {
                session.reject_connect(Status::ConnectRejected, "no");
            }
            Event::ConnectRequested(_) => session.accept_connect(),
            Event::PublishRequested { stream, .. } if refuses => {
                session.reject_publish(*stream, Status::PublishBadName, "no");
                self.forget(*stream);
            }
            Event::PlayRequested { stream, .. } if refuses => {
                session.reject_play(*stream, Status::PlayStreamNotFound, "no");
                self.forget(*stream);
            }
            Event::PublishRequested { stream, .. } => session.accept_publish(*stream),
            Event::PlayRequested { stream, .. } => {
                session.accept_play(*stream);
                session.complete_transition(*stream);
            }
            Event::Paused { stream, paused, .. } => session.confirm_pause(*stream, *paused),
            Event::SeekRequested { stream, .. } if refuses => session.reject_seek(*stream, "no"),
            Event::SeekRequested { stream, position } => {
                session.confirm_seek(*stream, *position, true)
            }
            Event::LengthRequested { transaction, .. } => {
                session.answer_length(*transaction, 1.0);
            }
            Event::Receive { stream, .. } => session.confirm_receive(*stream),
            _ => {}
        }
    }

    /// A role that was refused has no end; only with a quick shell is it surely the last asked for.
    fn forget(&mut self, stream: MessageStreamId) {
        if !self.plan.slow {
            self.open.retain(|(open, _)| *open != stream);
        }
    }

    fn end(mut self) -> Outcome {
        let fault = self.session.fault();
        self.session.take_output(&mut self.said);
        check_words(&self.said);
        (self.events, fault)
    }
}

/// What a server says is a handshake and whole messages, and our client can read it.
fn check_words(said: &[u8]) {
    let Some(mut rest) = said.get(1 + 2 * 1_536..) else {
        assert!(said.is_empty(), "S0, S1 and S2 in one go");
        return;
    };
    let mut client = client();
    assert_eq!(client.handle_input(Instant::ZERO, said), Ok(()));
    let mut decoder = Decoder::new(limits::CHUNK_SIZE_DEFAULT);
    loop {
        let message = decoder.decode(&mut rest);
        assert!(message.is_ok(), "{message:?}");
        let Ok(Some(message)) = message else { break };
        if message.type_id == message::SET_CHUNK_SIZE {
            let size = SessionConfig::default().chunk_size;
            assert_eq!(decoder.set_chunk_size(size), Ok(()));
        }
    }
    assert_eq!(decoder.buffered_bytes(), 0, "whole messages");
}

fn client() -> ClientSession {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        flash_ver: "fuzz".into(),
        chunk_size: 4_096,
        ..ClientConfig::default()
    };
    let mut session = ClientSession::new(config, 1);
    session.connect();
    session.publish("a");
    session.play("b");
    session
}

/// A client's session that wants to publish and play, on arbitrary bytes: no panic, the same events whole and in pieces,
/// and after a fault nothing more.
pub fn fuzz_client_session(data: &[u8]) {
    let (&[choice, piece], data) = data.split_first_chunk().unwrap_or((&[1, 1], data));
    let data = data.get(..INPUT).unwrap_or(data);
    let plan = Plan::new(choice);
    let bytes = plan.bytes(data);
    let whole = consume(plan, &bytes, bytes.len());
    assert_eq!(consume(plan, &bytes, piece.into()), whole);
}

fn consume(plan: Plan, data: &[u8], piece: usize) -> Outcome {
    let mut session = client();
    let mut fault = None;
    let mut events = Vec::new();
    let mut said = Vec::new();
    let hello = if plan.stranger {
        Vec::new()
    } else {
        handshake()
    };
    let hello = (!hello.is_empty()).then_some(hello.as_slice());
    for piece in hello.into_iter().chain(data.chunks(piece.max(1))) {
        let result = session.handle_input(Instant::ZERO, piece);
        if fault.is_some() {
            assert_eq!(result.err(), fault, "a fault is final");
            assert!(session.poll_event().is_none());
            continue;
        }
        fault = result.err();
        while let Some(event) = session.poll_event() {
            if let ClientEvent::StreamCreated { .. } = event {
                let now = Timestamp(events.len() as u32);
                session.send_media(crate::rtmp::wire::MediaKind::Video, now, &[0x17, 1]);
            }
            events.push(format!("{event:?}"));
        }
        assert!(session.output().len() <= 8_192 + 8 * (piece.len() + 4_096));
        session.take_output(&mut said);
    }
    (events, fault)
}
