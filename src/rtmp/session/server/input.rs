//! What comes: handshake, control, commands, data, media.

use super::{Connection, Event, ServerSession, SessionError};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::amf::{Reader, Value, amf0, amf3};
use crate::rtmp::chunk::decoder::{Body, Message};
use crate::rtmp::command::{Command, CommandError};
use crate::rtmp::control::UserControl;
use crate::rtmp::message;
use crate::rtmp::session::link::Incoming;
use crate::rtmp::session::{MessageStreamId, aggregate, within};
use crate::rtmp::shared_object::SharedObject;
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::Timestamp;

/// Where the name that frames metadata ends at the latest: `@clearDataFrame` behind the longest marker and length.
const FRAMING_BYTES: usize = 32;

impl ServerSession {
    /// Takes a read. Before `connect` is accepted it takes so many bytes in all and no more, however they are cut; but
    /// behind the `connect` itself one read is held whole, whose length is the caller's bound.
    pub(super) fn take_input(&mut self, input: &[u8]) -> Result<(), SessionError> {
        if self.is_connected() {
            return self.process(input);
        }
        let room = limits::PRE_CONNECT_BYTES.saturating_sub(self.before_connect);
        self.before_connect = self.before_connect.saturating_add(input.len());
        let (first, rest) = input.split_at(input.len().min(room));
        let waits = matches!(self.connection, Connection::Requested { .. });
        self.process(first)?;
        match self.connection {
            Connection::Requested { .. } if !waits => self.held.extend_from_slice(rest),
            Connection::Rejected => {}
            _ => within(
                self.before_connect,
                limits::PRE_CONNECT_BYTES,
                "bytes before `connect` was accepted",
            )?,
        }
        Ok(())
    }

    /// Reads on, up to a `connect` that waits for its answer.
    pub(super) fn process(&mut self, mut input: &[u8]) -> Result<(), SessionError> {
        if let Some(handshake) = &mut self.handshake {
            let out = &mut self.link.output.bytes;
            if !handshake.handle_input(&mut input, out)? {
                return Ok(());
            }
            self.handshake = None;
        }
        loop {
            match self.connection {
                Connection::Requested { .. } => {
                    self.held.extend_from_slice(input);
                    return Ok(());
                }
                Connection::Rejected => return Ok(()),
                Connection::Expected | Connection::Accepted => {}
            }
            let Some(incoming) = self.link.next(&mut input)? else {
                self.link.acknowledge();
                return Ok(());
            };
            match incoming {
                Incoming::Message(message) => self.on_message(message)?,
                Incoming::User(control) => self.on_user(control),
                Incoming::Protocol(_) => {}
            }
            within(
                self.link.output.bytes.len(),
                limits::REPLY_BYTES,
                "bytes of replies that nobody reads",
            )?;
            within(
                self.events.len(),
                limits::SESSION_EVENTS,
                "messages in one read",
            )?;
            if planted(Bug::ReadTakenForMessage) {
                return Ok(());
            }
        }
    }

    /// What is not acted on at once, wherever it comes from. The rest is news for clients only.
    fn on_user(&mut self, control: UserControl) {
        match control {
            UserControl::SetBufferLength { stream, millis } => {
                self.streams.set_buffer(stream, millis);
            }
            UserControl::PingResponse(sent) => {
                let answered = self.pinged.take_if(|at| at.as_millis() as u32 == sent);
                if let Some(at) = answered {
                    self.round_trip = Some(self.now.since(at));
                }
            }
            _ => {}
        }
    }

    fn on_message(&mut self, message: Message) -> Result<(), SessionError> {
        self.messages += 1;
        let Message {
            type_id,
            stream,
            timestamp,
            ..
        } = message;
        match (type_id, message.body) {
            (_, Body::Wire(message)) => self.on_media(stream, message),
            (message::COMMAND_AMF0 | message::COMMAND_AMF3, Body::Plain(payload)) => {
                match Command::decode(type_id, &payload) {
                    Ok(command) => self.on_command(stream, &command)?,
                    Err(CommandError::Bound(bound)) => return Err(SessionError::Amf(bound)),
                    // Malformed: it costs the message only.
                    Err(CommandError::Name) => {}
                }
            }
            (message::DATA_AMF0 | message::DATA_AMF3, Body::Plain(payload)) => {
                self.on_data(stream, type_id, timestamp, &payload);
            }
            (message::AGGREGATE, Body::Plain(payload)) => {
                self.on_aggregate(stream, timestamp, &payload)?;
            }
            (message::SHARED_OBJECT_AMF0 | message::SHARED_OBJECT_AMF3, Body::Plain(payload)) => {
                self.on_shared_object(type_id, &payload);
            }
            // What nobody has heard of: politely ignored.
            _ => {}
        }
        Ok(())
    }

    /// Media of a stream that does not publish is ignored: encoders send the rest of a frame behind FCUnpublish.
    fn on_media(&mut self, stream: MessageStreamId, message: WireMessage) {
        if let Some((stream, role)) = self.streams.publishing(stream) {
            self.events.push(role, Event::Media { stream, message });
        }
    }

    fn on_shared_object(&mut self, type_id: u8, payload: &[u8]) {
        let object = SharedObject::decode(type_id, payload);
        if let Some(object) = object.filter(|_| self.is_connected()) {
            self.events.push(0, Event::SharedObject(Box::new(object)));
        }
    }

    /// Data is passed on as AMF0 (type 18), whatever is in it; only what frames metadata for storage is taken off.
    fn on_data(
        &mut self,
        stream: MessageStreamId,
        type_id: u8,
        timestamp: Timestamp,
        payload: &[u8],
    ) {
        let Some((stream, role)) = self.streams.publishing(stream) else {
            return;
        };
        let payload = match (type_id, payload) {
            (message::DATA_AMF3, [0, rest @ ..]) => rest,
            _ => payload,
        };
        // Only its front: ten megabytes of a string are sixty on their way through the decoder.
        let front = payload.get(..FRAMING_BYTES).unwrap_or(payload);
        let mut reader = Reader::new(front);
        let first = match amf0::decode(&mut reader) {
            Ok(Value::String(name)) => Some(name),
            Ok(Value::Amf3(value)) => match *value {
                amf3::Value::String(name) => Some(name),
                _ => None,
            },
            _ => None,
        };
        let payload = match first.as_deref() {
            Some("@setDataFrame") => {
                let framing = front.len() - reader.rest().len();
                payload.get(framing..).unwrap_or_default()
            }
            Some("@clearDataFrame") => {
                self.events.push(role, Event::MetadataCleared { stream });
                return;
            }
            _ => payload,
        };
        if !payload.is_empty() {
            let chunk_size = self.config.chunk_size;
            let message = WireMessage::new(MediaKind::Data, timestamp, payload, chunk_size);
            self.events.push(role, Event::Media { stream, message });
        }
    }

    fn on_aggregate(
        &mut self,
        stream: MessageStreamId,
        timestamp: Timestamp,
        payload: &[u8],
    ) -> Result<(), SessionError> {
        for (n, part) in aggregate::parts(timestamp, payload).enumerate() {
            within(
                n + 1,
                limits::AGGREGATE_MESSAGES,
                "messages in an aggregate",
            )?;
            let kind = match part.type_id {
                message::AUDIO => MediaKind::Audio,
                message::VIDEO => MediaKind::Video,
                message::DATA_AMF0 | message::DATA_AMF3 => {
                    self.on_data(stream, part.type_id, part.timestamp, part.payload);
                    continue;
                }
                _ => continue,
            };
            let chunk_size = self.config.chunk_size;
            let message = WireMessage::new(kind, part.timestamp, part.payload, chunk_size);
            self.on_media(stream, message);
        }
        Ok(())
    }
}
