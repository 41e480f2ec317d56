//! Commands (types 17 and 20): name, transaction id, command object, arguments; and what they ask for.
//!
//! Arguments are taken as they come: missing ones have their default, numbers may be booleans, and a command that says
//! nothing we understand is [`Request::Unknown`], never an error.

use super::amf::{AmfError, Value, amf0, amf3};
use super::message;
use super::url;
use crate::limits;

/// One command message.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Which procedure.
    pub name: String,
    /// What its reply repeats; 0: none is wanted.
    pub transaction: f64,
    /// The command object, or null.
    pub object: Value,
    /// What follows it.
    pub arguments: Vec<Value>,
}

/// Why a message is no command. It costs the message, unless a bound was crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// The first value is not a string.
    #[error("peer: expected a command's name, got no string")]
    Name,
    /// A bound of AMF was crossed.
    #[error(transparent)]
    Bound(AmfError),
}

impl Command {
    /// Reads a command of type 20 (AMF0) or 17: there a format byte 0 and then AMF0, or AMF0 without that byte (seen from
    /// Flash gear), or AMF3 throughout. Values that cannot be read end the arguments.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn decode(type_id: u8, payload: &[u8]) -> Result<Self, CommandError> {
        let (values, error) = match (type_id, payload) {
            (message::COMMAND_AMF3, [0, rest @ ..]) => amf0::decode_all(rest),
            // 06 is undefined in AMF0, which no command begins with, and a string in AMF3.
            (message::COMMAND_AMF3, [6, ..]) => {
                let (values, error) = amf3::decode_all(payload);
                let values = values.into_iter().map(amf3::Value::into_amf0);
                (values.collect(), error)
            }
            _ => amf0::decode_all(payload),
        };
        if let Some(bound) = error.filter(|e| e.is_bound()) {
            return Err(CommandError::Bound(bound));
        }
        let mut plain = plain(&values).into_iter();
        let Some(Value::String(name)) = plain.next() else {
            return Err(CommandError::Name);
        };
        let transaction = plain.next().and_then(|v| v.as_number());
        Ok(Self {
            name,
            transaction: transaction.unwrap_or(0.0),
            object: plain.next().unwrap_or(Value::Null),
            arguments: plain.collect(),
        })
    }

    /// The payload of a message of type 20.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        amf0::encode(&Value::string(self.name.as_str()), &mut out);
        amf0::encode(&Value::Number(self.transaction), &mut out);
        amf0::encode(&self.object, &mut out);
        for argument in &self.arguments {
            amf0::encode(argument, &mut out);
        }
        out
    }

    /// Argument `index`; null if there is none.
    pub fn argument(&self, index: usize) -> &Value {
        self.arguments.get(index).unwrap_or(&Value::Null)
    }

    /// Whether its sender waits for a reply.
    pub fn wants_reply(&self) -> bool {
        self.transaction != 0.0 && self.transaction.is_finite()
    }

    fn number(&self, index: usize) -> Option<f64> {
        self.argument(index).as_number()
    }

    fn flag(&self, index: usize) -> Option<bool> {
        self.argument(index).as_bool()
    }

    /// A name: a string, or a number written as one. `false`, null and an empty string are none.
    fn text(&self, index: usize) -> Option<String> {
        name_of(self.argument(index))
    }
}

/// The values without references and AMF3, as far as those can be followed.
fn plain(values: &[Value]) -> Vec<Value> {
    let mut references = limits::COMMAND_REFERENCES;
    let plain = values.iter().map(|value| match value {
        Value::Reference(_) if references == 0 => Value::Null,
        Value::Reference(index) => {
            references -= 1;
            let found = amf0::referenced(values, *index);
            found.cloned().unwrap_or(Value::Null)
        }
        Value::Amf3(inner) => amf3::Value::clone(inner).into_amf0(),
        value => value.clone(),
    });
    plain.collect()
}

fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// What `connect` said; properties beyond these are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectRequest {
    /// Application, without query, slashes at the ends, or `_definst_`.
    pub app: String,
    /// The query behind the application, without `?`.
    pub query: String,
    /// As sent, at most [`limits::NAME_BYTES`]; empty if absent.
    pub tc_url: String,
    /// As sent, at most [`limits::NAME_BYTES`]; empty if absent.
    pub flash_ver: String,
    /// As sent, at most [`limits::NAME_BYTES`]; empty if absent.
    pub page_url: String,
    /// As sent, at most [`limits::NAME_BYTES`]; empty if absent.
    pub swf_url: String,
    /// The AMF version it asks for: 0 or 3.
    pub object_encoding: u8,
    /// Enhanced RTMP `capsEx` bits, 0 if absent.
    pub caps_ex: u32,
    /// Enhanced RTMP `fourCcList`: FourCCs or `*`, at most [`limits::FOUR_CCS`] of them.
    pub four_cc_list: Vec<String>,
    /// Whether it said anything of Enhanced RTMP, so that the answer may.
    pub enhanced: bool,
}

impl ConnectRequest {
    /// Reads a `connect`'s command object. What is missing is empty.
    fn new(object: &Value) -> Self {
        let text = |key| {
            let text = object
                .get_any_case(key)
                .and_then(Value::as_str)
                .unwrap_or("");
            text[..text.floor_char_boundary(limits::NAME_BYTES)].to_owned()
        };
        let number = |key| object.get(key).and_then(Value::as_number).unwrap_or(0.0);
        let app = object.get("app").and_then(name_of).unwrap_or_default();
        let app = url::application(&app);
        let enhanced = [
            "fourCcList",
            "capsEx",
            "videoFourCcInfoMap",
            "audioFourCcInfoMap",
        ];
        let four_ccs = match object.get("fourCcList") {
            Some(Value::StrictArray(items)) => items.as_slice(),
            _ => &[],
        };
        let four_ccs = four_ccs.iter().filter_map(Value::as_str);
        Self {
            app: app.path,
            query: app.query,
            tc_url: text("tcUrl"),
            flash_ver: text("flashVer"),
            page_url: text("pageUrl"),
            swf_url: text("swfUrl"),
            object_encoding: if number("objectEncoding") == 3.0 {
                3
            } else {
                0
            },
            caps_ex: number("capsEx") as u32,
            four_cc_list: four_ccs
                .filter(|s| s.len() <= 4)
                .take(limits::FOUR_CCS)
                .map(str::to_owned)
                .collect(),
            enhanced: enhanced.iter().any(|key| object.get(key).is_some()),
        }
    }
}

/// `publish`'s second argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishKind {
    /// live
    Live,
    /// record
    Record,
    /// append
    Append,
}

/// What a client asks for (RTMP 1.0 §7.2, and what FMS added).
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// `connect`.
    Connect(Box<ConnectRequest>),
    /// `createStream`.
    CreateStream,
    /// `releaseStream`: forget an earlier publisher of this name.
    ReleaseStream,
    /// `FCPublish`.
    FcPublish {
        /// Stream name as sent.
        name: Option<String>,
    },
    /// `FCUnpublish`.
    FcUnpublish {
        /// Stream name as sent.
        name: Option<String>,
    },
    /// `FCSubscribe`.
    FcSubscribe,
    /// `getStreamLength`.
    GetStreamLength,
    /// `_checkbw` and `checkBandwidth`.
    CheckBandwidth,
    /// `deleteStream`.
    DeleteStream {
        /// Its number; none where GStreamer sends the stream's name.
        stream: Option<u32>,
    },
    /// `closeStream`.
    CloseStream,
    /// `close`: the whole connection.
    Close,
    /// `publish`.
    Publish {
        /// Stream name as sent; none for `publish(false)`, which stops.
        name: Option<String>,
        /// live, record, append; live for anything else.
        kind: PublishKind,
    },
    /// `play`, and `play2`, whose transition we make a hard one.
    Play {
        /// Stream name as sent; none for `play(false)`, which stops.
        name: Option<String>,
        /// As sent; −2 if absent.
        start: f64,
        /// Whether to leave what played before: true unless said otherwise.
        reset: bool,
    },
    /// `pause`, `pauseRaw`.
    Pause {
        /// Hold, or go on.
        paused: bool,
        /// Milliseconds.
        position: f64,
    },
    /// `seek`.
    Seek {
        /// Milliseconds.
        position: f64,
    },
    /// `receiveAudio`.
    ReceiveAudio(bool),
    /// `receiveVideo`.
    ReceiveVideo(bool),
    /// A reply to a call of ours, or a notice: nothing to answer.
    Reply,
    /// Anything else.
    Unknown,
}

impl Request {
    /// What `command` asks for. Names in any case: `DeleteStream` is in the field too.
    pub fn new(command: &Command) -> Self {
        match command.name.to_ascii_lowercase().as_str() {
            "connect" => Self::Connect(Box::new(ConnectRequest::new(&command.object))),
            "createstream" => Self::CreateStream,
            "releasestream" => Self::ReleaseStream,
            "fcpublish" => Self::FcPublish {
                name: command.text(0),
            },
            "fcunpublish" => Self::FcUnpublish {
                name: command.text(0),
            },
            "fcsubscribe" => Self::FcSubscribe,
            "getstreamlength" => Self::GetStreamLength,
            "_checkbw" | "checkbandwidth" => Self::CheckBandwidth,
            "deletestream" => Self::DeleteStream {
                stream: command.number(0).map(|n| n as u32).filter(|n| *n != 0),
            },
            "closestream" => Self::CloseStream,
            "close" => Self::Close,
            "publish" => Self::publish(command),
            "play" => Self::Play {
                name: command.text(0),
                start: command.number(1).unwrap_or(-2.0),
                reset: command.flag(3).unwrap_or(true),
            },
            "play2" => Self::Play {
                name: command.argument(0).get("streamName").and_then(name_of),
                start: -2.0,
                reset: true,
            },
            "pause" | "pauseraw" => Self::Pause {
                paused: command.flag(0).unwrap_or(true),
                position: command.number(1).unwrap_or(0.0),
            },
            "seek" => Self::Seek {
                position: command.number(0).unwrap_or(0.0),
            },
            "receiveaudio" => Self::ReceiveAudio(command.flag(0).unwrap_or(true)),
            "receivevideo" => Self::ReceiveVideo(command.flag(0).unwrap_or(true)),
            "_result" | "_error" | "onstatus" => Self::Reply,
            _ => Self::Unknown,
        }
    }

    fn publish(command: &Command) -> Self {
        let kind = command.argument(1).as_str().unwrap_or("");
        Self::Publish {
            name: command.text(0),
            kind: if kind.eq_ignore_ascii_case("record") {
                PublishKind::Record
            } else if kind.eq_ignore_ascii_case("append") {
                PublishKind::Append
            } else {
                PublishKind::Live
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn command(name: &str, arguments: &[Value]) -> Command {
        Command {
            name: name.into(),
            transaction: 3.0,
            object: Value::Null,
            arguments: arguments.to_vec(),
        }
    }

    fn request(name: &str, arguments: &[Value]) -> Request {
        Request::new(&command(name, arguments))
    }

    #[test]
    fn a_command_is_read_in_every_dress() {
        let plain = command("publish", &[Value::string("key"), Value::string("live")]);
        let payload = plain.encode();
        assert_eq!(Command::decode(20, &payload), Ok(plain.clone()));
        assert_eq!(Command::decode(17, &payload), Ok(plain.clone()));
        let prefixed = [&[0], &payload[..]].concat();
        assert_eq!(Command::decode(17, &prefixed), Ok(plain.clone()));
        let amf3 = [
            &b"\x06\x0Fpublish\x04\x03\x01"[..],
            b"\x06\x07key\x06\x09live",
        ];
        assert_eq!(Command::decode(17, &amf3.concat()), Ok(plain));
    }

    #[test]
    fn connect_through_amf3_is_understood() {
        let mut payload = vec![0];
        amf0::encode(&Value::string("connect"), &mut payload);
        amf0::encode(&Value::Number(1.0), &mut payload);
        payload.extend(b"\x11\x0A\x0B\x01\x07app\x06\x09live\x01");
        let command = Command::decode(17, &payload).unwrap();
        let Request::Connect(connect) = Request::new(&command) else {
            unreachable!("connect was sent")
        };
        assert_eq!(connect.app, "live");
        assert!(!connect.enhanced);
    }

    #[test]
    fn what_is_no_command_costs_itself() {
        assert_eq!(Command::decode(20, &[]), Err(CommandError::Name));
        assert_eq!(Command::decode(20, &[5]), Err(CommandError::Name));
        assert_eq!(
            Command::decode(20, &[2, 0, 9, b'x']),
            Err(CommandError::Name)
        );
        // Only a name: everything else has its default.
        let bare = Command::decode(20, b"\x02\x00\x04play").unwrap();
        assert_eq!((bare.transaction, bare.wants_reply()), (0.0, false));
        assert_eq!(
            Request::new(&bare),
            Request::Play {
                name: None,
                start: -2.0,
                reset: true
            }
        );
        let deep = [b"\x02\x00\x04play".to_vec(), b"\x0A\0\0\0\x01".repeat(99)].concat();
        assert_eq!(
            Command::decode(20, &deep),
            Err(CommandError::Bound(AmfError::Depth))
        );
    }

    #[test]
    fn references_are_followed_a_few_times() {
        let mut payload = command("f", &[Value::object([("a", Value::Null)])]).encode();
        payload.extend(b"\x07\0\0".repeat(limits::COMMAND_REFERENCES + 1));
        let command = Command::decode(20, &payload).unwrap();
        assert_eq!(command.argument(1), command.argument(0));
        assert_eq!(command.arguments.last(), Some(&Value::Null));
    }

    #[test]
    fn connect_properties_are_taken_as_they_come() {
        let object = Value::EcmaArray(vec![
            ("app".into(), Value::string("/live/_definst_?t=1")),
            ("tcurl".into(), Value::string("rtmp://h/live")),
            ("flashVer".into(), Value::string("x".repeat(5_000))),
            ("objectEncoding".into(), Value::Number(3.0)),
            ("capsEx".into(), Value::Number(7.0)),
            (
                "fourCcList".into(),
                Value::StrictArray(vec![Value::string("hvc1"), Value::Null, Value::string("*")]),
            ),
        ]);
        let connect = ConnectRequest::new(&object);
        assert_eq!(
            (connect.app.as_str(), connect.query.as_str()),
            ("live", "t=1")
        );
        assert_eq!(connect.tc_url, "rtmp://h/live");
        assert_eq!(connect.flash_ver.len(), limits::NAME_BYTES);
        assert_eq!((connect.object_encoding, connect.caps_ex), (3, 7));
        assert_eq!(connect.four_cc_list, ["hvc1", "*"]);
        assert!(connect.enhanced);
        assert_eq!(ConnectRequest::new(&Value::Null), ConnectRequest::default());
    }

    #[test]
    fn arguments_are_tolerant() {
        let publish = |name, kind| Request::Publish { name, kind };
        let text = Value::string;
        for (arguments, expected) in [
            (
                vec![text("k"), text("LIVE")],
                publish(Some("k".into()), PublishKind::Live),
            ),
            (
                vec![text("k"), text("Record")],
                publish(Some("k".into()), PublishKind::Record),
            ),
            (
                vec![text("k"), text("append")],
                publish(Some("k".into()), PublishKind::Append),
            ),
            (
                vec![text("k")],
                publish(Some("k".into()), PublishKind::Live),
            ),
            (
                vec![Value::Number(7.0)],
                publish(Some("7".into()), PublishKind::Live),
            ),
            (
                vec![Value::Boolean(false)],
                publish(None, PublishKind::Live),
            ),
            (vec![text("")], publish(None, PublishKind::Live)),
            (vec![], publish(None, PublishKind::Live)),
        ] {
            assert_eq!(request("publish", &arguments), expected);
        }
        let play = request(
            "play",
            &[
                text("s"),
                Value::Number(-2000.0),
                Value::Number(-1.0),
                Value::Number(0.0),
            ],
        );
        assert_eq!(
            play,
            Request::Play {
                name: Some("s".into()),
                start: -2000.0,
                reset: false
            }
        );
        let play2 = Value::object([("streamName", text("b"))]);
        assert!(matches!(
            request("play2", &[play2]),
            Request::Play { name: Some(name), .. } if name == "b"
        ));
        // GStreamer's rtmp2sink sends the stream's name.
        assert_eq!(
            request("deleteStream", &[text("stream")]),
            Request::DeleteStream { stream: None }
        );
        assert_eq!(
            request("DeleteStream", &[Value::Number(1.0)]),
            Request::DeleteStream { stream: Some(1) }
        );
        assert_eq!(
            request("receiveAudio", &[Value::Number(0.0)]),
            Request::ReceiveAudio(false)
        );
        assert_eq!(request("connect me", &[]), Request::Unknown);
    }

    proptest! {
        #[test]
        fn commands_round_trip(name in "[a-z]{1,9}", transaction in 0u32..9, text in ".{0,9}") {
            let command = Command {
                name,
                transaction: f64::from(transaction),
                object: Value::object([("k", Value::string(text.as_str()))]),
                arguments: vec![Value::string(text)],
            };
            prop_assert_eq!(Command::decode(20, &command.encode()), Ok(command));
        }

        #[test]
        fn arbitrary_bytes_are_survived(
            type_id in 15u8..21,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(command) = Command::decode(type_id, &bytes) {
                let _ = Request::new(&command);
            }
        }
    }
}
