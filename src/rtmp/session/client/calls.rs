//! What the client says.

use super::{Call, ClientSession, Progress, Stream, Wish};
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::chunk::{CSID_COMMAND, CSID_STREAM};
use crate::rtmp::command::{Command, PlayOptions};
use crate::rtmp::control::UserControl;
use crate::rtmp::message;
use crate::rtmp::session::MessageStreamId;
use crate::time::Timestamp;

impl ClientSession {
    pub(super) fn send_connect(&mut self) {
        if self.config.chunk_size != limits::CHUNK_SIZE_INITIAL {
            self.set_chunk_size(self.config.chunk_size);
        }
        let encoding = Value::Number(self.config.object_encoding.into());
        let mut properties = vec![
            ("app".to_owned(), Value::string(self.config.app.as_str())),
            ("type".to_owned(), Value::string("nonprivate")),
            (
                "flashVer".to_owned(),
                Value::string(self.config.flash_ver.as_str()),
            ),
            (
                "tcUrl".to_owned(),
                Value::string(self.config.tc_url.as_str()),
            ),
            ("objectEncoding".to_owned(), encoding),
        ];
        if let Some(enhanced) = &self.config.enhanced {
            properties.extend(enhanced.properties());
        }
        let transaction = self.transaction();
        let command = Command {
            name: "connect".into(),
            transaction,
            object: Value::Object(properties),
            arguments: Vec::new(),
        };
        self.calls.push((transaction, Call::Connect));
        self.send(0, &command);
        if self.config.pipelined {
            self.begin_all();
        }
    }

    /// Asks for everything that was wished for.
    pub(super) fn begin_all(&mut self) {
        while let Some(wish) = self.wishes.pop_front() {
            self.begin(wish);
        }
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        match self.progress {
            Progress::Connected => self.begin(wish),
            // `connect` has left.
            Progress::Connecting if self.config.pipelined && self.handshake.is_none() => {
                self.begin(wish);
            }
            Progress::Idle | Progress::Connecting => self.wishes.push_back(wish),
            // Nobody will make a stream for it.
            Progress::Refused => {}
        }
    }

    /// Asks for a message stream to do it on.
    pub(super) fn begin(&mut self, wish: Wish) {
        if let Wish::Publish(name, _) = &wish {
            let name = Value::string(name.as_str());
            self.send_call(0, "releaseStream", vec![name.clone()]);
            self.send_call(0, "FCPublish", vec![name]);
        }
        let transaction = self.send_call(0, "createStream", vec![]);
        self.calls.push((transaction, Call::CreateStream(wish)));
    }

    /// The message stream is there.
    pub(super) fn fulfil(&mut self, wish: Wish, id: MessageStreamId) {
        match wish {
            Wish::Publish(name, kind) => {
                let arguments = vec![Value::string(name.as_str()), Value::string(kind.as_str())];
                self.send_call(id, "publish", arguments);
                let publishes = Some(name);
                self.streams.push(Stream { id, publishes });
            }
            Wish::Play(name, options) => {
                let millis = self.config.buffer.as_millis();
                let buffer = UserControl::SetBufferLength {
                    stream: id,
                    millis: u32::try_from(millis).unwrap_or(u32::MAX),
                };
                self.link.output.user(buffer);
                self.ask_to_play(id, name, options);
                let publishes = None;
                self.streams.push(Stream { id, publishes });
            }
        }
    }

    pub(super) fn ask_to_play(&mut self, id: MessageStreamId, name: String, options: PlayOptions) {
        self.send_call(id, "play", play_arguments(name, options));
    }

    pub(super) fn delete(&mut self, stream: Stream) {
        if let Some(name) = stream.publishes {
            self.send_call(0, "FCUnpublish", vec![Value::String(name)]);
        }
        let number = Value::Number(f64::from(stream.id));
        self.send_call(0, "deleteStream", vec![number]);
    }

    pub(super) fn tell_players(&mut self, name: &str, arguments: &[Value]) {
        let players = self.streams.iter().filter(|s| s.publishes.is_none());
        let players: Vec<MessageStreamId> = players.map(|s| s.id).collect();
        for stream in players {
            self.notify(stream, name, arguments.to_vec());
        }
    }

    /// A command that wants no answer.
    pub(super) fn notify(&mut self, stream: MessageStreamId, name: &str, arguments: Vec<Value>) {
        self.command(stream, name, 0.0, arguments);
    }

    /// A command that may be answered.
    pub(super) fn send_call(
        &mut self,
        stream: MessageStreamId,
        name: &str,
        arguments: Vec<Value>,
    ) -> f64 {
        let transaction = self.transaction();
        self.command(stream, name, transaction, arguments);
        transaction
    }

    fn command(
        &mut self,
        stream: MessageStreamId,
        name: &str,
        transaction: f64,
        arguments: Vec<Value>,
    ) {
        let command = Command {
            name: name.into(),
            transaction,
            object: Value::Null,
            arguments,
        };
        self.send(stream, &command);
    }

    fn send(&mut self, stream: MessageStreamId, command: &Command) {
        let mut payload = command.encode();
        let mut type_id = message::COMMAND_AMF0;
        if self.amf3 {
            // The format: AMF0 values, until one of them says otherwise.
            payload.insert(0, 0);
            type_id = message::COMMAND_AMF3;
        }
        let csid = match stream {
            0 => CSID_COMMAND,
            _ => CSID_STREAM,
        };
        let output = &mut self.link.output;
        output.message(csid, type_id, stream, Timestamp(0), &payload);
    }

    fn transaction(&mut self) -> f64 {
        self.last_transaction += 1.0;
        self.last_transaction
    }
}

/// What `play` says. Arguments that have their default at the end are left out: most servers have seen little else.
fn play_arguments(name: String, options: PlayOptions) -> Vec<Value> {
    let mut arguments = vec![
        Value::String(name),
        Value::Number(options.start.as_number()),
    ];
    if options.duration.is_some() || !options.reset {
        arguments.push(Value::Number(options.duration.unwrap_or(-1.0)));
    }
    if !options.reset {
        arguments.push(Value::Boolean(false));
    }
    arguments
}
