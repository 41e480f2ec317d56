//! What commands ask for.

use super::{Command, name_of};
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::url;

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
    pub(super) fn new(object: &Value) -> Self {
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
