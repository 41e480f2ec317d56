//! What the server says.

use bytes::Bytes;

use super::{Call, ClientEvent, ClientSession, Progress};
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::chunk::decoder::{Body, Message};
use crate::rtmp::command::{Command, CommandError, Enhanced};
use crate::rtmp::control::{ProtocolControl, UserControl};
use crate::rtmp::message;
use crate::rtmp::session::link::Incoming;
use crate::rtmp::session::{MessageStreamId, SessionError, Status, aggregate, within};
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::Timestamp;

impl ClientSession {
    pub(super) fn process(&mut self, mut input: &[u8]) -> Result<(), SessionError> {
        if let Some(handshake) = &mut self.handshake {
            let out = &mut self.link.output.bytes;
            if !handshake.handle_input(&mut input, out)? {
                return Ok(());
            }
            self.handshake = None;
            self.events.push_back(ClientEvent::Established);
            if self.progress == Progress::Connecting {
                self.send_connect();
            }
        }
        loop {
            let before = self.link.output.bytes.len();
            let Some(incoming) = self.link.next(&mut input)? else {
                break;
            };
            self.extorted += self.link.output.bytes.len() - before;
            match incoming {
                Incoming::Message(message) => self.on_message(message)?,
                Incoming::User(control) => self.on_user(control),
                Incoming::Protocol(ProtocolControl::SetChunkSize(size)) => {
                    self.events.push_back(ClientEvent::ChunkSize(size));
                }
                Incoming::Protocol(ProtocolControl::Acknowledgement(received)) => {
                    self.events.push_back(ClientEvent::Acknowledged(received));
                }
                Incoming::Protocol(_) => {}
            }
            within(
                self.extorted,
                limits::REPLY_BYTES,
                "bytes of answers that nobody takes away",
            )?;
            within(
                self.events.len(),
                limits::SESSION_EVENTS,
                "messages in one read",
            )?;
        }
        if self.config.acknowledges {
            self.link.acknowledge();
        }
        Ok(())
    }

    fn on_user(&mut self, control: UserControl) {
        if let UserControl::StreamBegin(stream)
        | UserControl::StreamEof(stream)
        | UserControl::StreamDry(stream)
        | UserControl::StreamIsRecorded(stream)
        | UserControl::BufferEmpty(stream)
        | UserControl::BufferReady(stream) = control
        {
            let event = control.event();
            self.events
                .push_back(ClientEvent::Control { event, stream });
        }
    }

    fn on_message(&mut self, message: Message) -> Result<(), SessionError> {
        let Message {
            type_id,
            stream,
            timestamp,
            ..
        } = message;
        match (type_id, message.body) {
            (_, Body::Wire(message)) => {
                self.media(stream, message.kind(), timestamp, payload(&message));
            }
            (message::COMMAND_AMF0 | message::COMMAND_AMF3, Body::Plain(payload)) => {
                match Command::decode(type_id, &payload) {
                    Ok(command) => self.on_command(stream, &command),
                    Err(CommandError::Bound(bound)) => return Err(SessionError::Amf(bound)),
                    Err(CommandError::Name) => {}
                }
            }
            (message::DATA_AMF0, Body::Plain(payload)) => {
                self.media(stream, MediaKind::Data, timestamp, payload.into());
            }
            (message::DATA_AMF3, Body::Plain(payload)) => {
                let mut payload = Bytes::from(payload);
                if payload.first() == Some(&0) {
                    payload = payload.slice(1..);
                }
                self.media(stream, MediaKind::Data, timestamp, payload);
            }
            (message::AGGREGATE, Body::Plain(payload)) => {
                for part in aggregate::parts(timestamp, &payload).take(limits::AGGREGATE_MESSAGES) {
                    let kind = match part.type_id {
                        message::AUDIO => MediaKind::Audio,
                        message::VIDEO => MediaKind::Video,
                        message::DATA_AMF0 => MediaKind::Data,
                        _ => continue,
                    };
                    let payload = Bytes::copy_from_slice(part.payload);
                    self.media(stream, kind, part.timestamp, payload);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn media(
        &mut self,
        stream: MessageStreamId,
        kind: MediaKind,
        timestamp: Timestamp,
        payload: Bytes,
    ) {
        self.events.push_back(ClientEvent::Media {
            stream,
            kind,
            timestamp,
            payload,
        });
    }

    fn on_command(&mut self, stream: MessageStreamId, command: &Command) {
        match command.name.as_str() {
            "_result" => self.on_result(command),
            "_error" => self.on_error(command),
            "onStatus" => self.on_status(stream, command.argument(0)),
            _ => {}
        }
    }

    fn on_result(&mut self, command: &Command) {
        match self.take_call(command.transaction) {
            Some(Call::Connect) => {
                self.progress = Progress::Connected;
                // Enhanced RTMP has it in the properties; others put all they say into the information object.
                let info = command.argument(0);
                self.server = Enhanced::of(&command.object).or_else(|| Enhanced::of(info));
                let granted = info.get("objectEncoding").and_then(Value::as_number);
                self.amf3 = self.config.object_encoding == 3 && granted == Some(3.0);
                self.events.push_back(ClientEvent::Connected);
                self.begin_all();
            }
            Some(Call::CreateStream(wish)) => {
                let stream = command.argument(0).as_number().unwrap_or(1.0) as u32;
                self.events.push_back(ClientEvent::StreamCreated { stream });
                self.fulfil(wish, stream);
            }
            Some(Call::Owners) => self.answered(command, true),
            None => {}
        }
    }

    /// Refusals of releaseStream, FCPublish and their like harm nobody.
    fn on_error(&mut self, command: &Command) {
        match self.take_call(command.transaction) {
            Some(Call::Connect) => {
                self.progress = Progress::Refused;
                self.wishes.clear();
                self.refused(command.argument(0));
            }
            Some(Call::CreateStream(_)) => self.refused(command.argument(0)),
            Some(Call::Owners) => self.answered(command, false),
            None => {}
        }
    }

    fn answered(&mut self, command: &Command, granted: bool) {
        self.events.push_back(ClientEvent::Answered {
            transaction: command.transaction,
            granted,
            value: command.argument(0).clone(),
        });
    }

    fn on_status(&mut self, stream: MessageStreamId, info: &Value) {
        let [level, code, description] = ["level", "code", "description"].map(|k| text(info, k));
        if code == Status::ConnectReconnectRequest.code() {
            let tc_url = text(info, "tcUrl");
            self.events.push_back(ClientEvent::Redirected { tc_url });
        }
        if level == "error" {
            self.refused(info);
        } else {
            self.events.push_back(ClientEvent::Status {
                stream,
                level,
                code,
                description,
            });
        }
    }

    fn refused(&mut self, info: &Value) {
        if let Some(redirect) = info.get("ex").and_then(|ex| ex.get("redirect")) {
            let tc_url = redirect.as_str().unwrap_or("").to_owned();
            self.events.push_back(ClientEvent::Redirected { tc_url });
        }
        self.events.push_back(ClientEvent::Refused {
            code: text(info, "code"),
            description: text(info, "description"),
        });
    }

    fn take_call(&mut self, transaction: f64) -> Option<Call> {
        let index = self.calls.iter().position(|(t, _)| *t == transaction)?;
        Some(self.calls.swap_remove(index).1)
    }
}

fn text(info: &Value, key: &str) -> String {
    let text = info.get(key).and_then(Value::as_str);
    text.unwrap_or("").to_owned()
}

fn payload(message: &WireMessage) -> Bytes {
    // It was laid out in one chunk, so that there is nothing to join and nothing to copy.
    if message.payload_len() <= message.chunk_size() as usize {
        return message.shared(message.header_len());
    }
    let mut payload = Vec::with_capacity(message.payload_len());
    for slice in message.payload() {
        payload.extend_from_slice(slice);
    }
    payload.into()
}
