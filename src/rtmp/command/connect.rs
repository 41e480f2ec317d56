//! What `connect` says (RTMP 1.0 §7.2.1.1, Enhanced RTMP "Enhancing NetConnection connect Command").

use super::{Command, name_of};
use crate::limits;
use crate::rtmp::amf::Value;
use crate::rtmp::url;

/// Enhanced RTMP `capsEx` bit: the client knows ReconnectRequest.
pub const CAPS_RECONNECT: u32 = 1;

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
    /// `type`, mostly `nonprivate`; as sent, at most [`limits::NAME_BYTES`], empty if absent.
    pub kind: String,
    /// Whether it comes through a proxy.
    pub fpad: bool,
    /// Flash's `capabilities` (239, 15), which nobody has explained; 0 if absent.
    pub capabilities: u32,
    /// Audio codecs it plays, a bit each (4 MP3, 0x400 AAC …); 0 if absent.
    pub audio_codecs: u32,
    /// Video codecs it plays, a bit each (0x80 H.264 …); 0 if absent.
    pub video_codecs: u32,
    /// 1: client-side seek; Enhanced RTMP: 2 HDR, 4 metadata packets, 8 large-scale tile. 0 if absent.
    pub video_function: u32,
    /// The AMF version it asks for: 0 or 3.
    pub object_encoding: u8,
    /// What it said of Enhanced RTMP; none if nothing, and then the answer says nothing either.
    pub enhanced: Option<Enhanced>,
    /// What follows the command object: names and passwords, for whom asks for them.
    pub arguments: Vec<Value>,
}

impl ConnectRequest {
    /// Reads a `connect`. What is missing is empty.
    pub(super) fn new(command: &Command) -> Self {
        let object = &command.object;
        let text = |key| text(object, key);
        let number = |key| {
            let number = object.get_any_case(key).and_then(Value::as_number);
            // Saturates, and NaN is 0.
            number.unwrap_or(0.0) as u32
        };
        let app = object.get_any_case("app").and_then(name_of);
        let app = url::application(&app.unwrap_or_default());
        Self {
            app: app.path,
            query: app.query,
            tc_url: text("tcUrl"),
            flash_ver: text("flashVer"),
            page_url: text("pageUrl"),
            swf_url: text("swfUrl"),
            kind: text("type"),
            fpad: object.get("fpad").and_then(Value::as_bool) == Some(true),
            capabilities: number("capabilities"),
            audio_codecs: number("audioCodecs"),
            video_codecs: number("videoCodecs"),
            video_function: number("videoFunction"),
            object_encoding: match number("objectEncoding") {
                3 => 3,
                _ => 0,
            },
            enhanced: Enhanced::of(object),
            arguments: command.arguments.clone(),
        }
    }

    /// Whether it may be sent ReconnectRequest.
    pub fn can_reconnect(&self) -> bool {
        let caps = self.enhanced.as_ref().map_or(0, |e| e.caps_ex);
        caps & CAPS_RECONNECT != 0
    }
}

/// What one side of a connection says of Enhanced RTMP, in `connect` or in the answer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enhanced {
    /// `fourCcList`: FourCCs or `*`, at most [`limits::FOUR_CCS`] of them.
    pub four_cc_list: Vec<String>,
    /// `videoFourCcInfoMap`: FourCC or `*`, and 1 decodes, 2 encodes, 4 forwards. At most [`limits::FOUR_CCS`] of them.
    pub video: Vec<(String, u32)>,
    /// `audioFourCcInfoMap`, the same.
    pub audio: Vec<(String, u32)>,
    /// `capsEx`: 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offset. 0 if absent.
    pub caps_ex: u32,
}

impl Enhanced {
    /// What the properties of a command or information object say; none if nothing.
    pub fn of(object: &Value) -> Option<Self> {
        let [list, video, audio, caps] = [
            "fourCcList",
            "videoFourCcInfoMap",
            "audioFourCcInfoMap",
            "capsEx",
        ]
        .map(|key| object.get(key));
        [list, video, audio, caps]
            .iter()
            .any(Option::is_some)
            .then(|| Self {
                four_cc_list: four_cc_list(list),
                video: info_map(video),
                audio: info_map(audio),
                caps_ex: caps.and_then(Value::as_number).unwrap_or(0.0) as u32,
            })
    }

    /// The properties that say it; what is empty is left out.
    pub fn properties(&self) -> Vec<(String, Value)> {
        let mut properties = Vec::new();
        if !self.four_cc_list.is_empty() {
            let list = self.four_cc_list.iter().map(|f| Value::string(f.as_str()));
            let list = Value::StrictArray(list.collect());
            properties.push(("fourCcList".to_owned(), list));
        }
        for (key, map) in [
            ("videoFourCcInfoMap", &self.video),
            ("audioFourCcInfoMap", &self.audio),
        ] {
            if !map.is_empty() {
                let entries = map
                    .iter()
                    .map(|(f, mask)| (f.clone(), Value::Number((*mask).into())));
                properties.push((key.to_owned(), Value::Object(entries.collect())));
            }
        }
        if self.caps_ex != 0 {
            properties.push(("capsEx".to_owned(), Value::Number(self.caps_ex.into())));
        }
        properties
    }
}

fn text(object: &Value, key: &str) -> String {
    let text = object.get_any_case(key).and_then(Value::as_str);
    let text = text.unwrap_or("");
    let end = text.floor_char_boundary(limits::NAME_BYTES);
    text.get(..end).unwrap_or("").to_owned()
}

/// A FourCC, or `*`: longer ones are none.
fn is_four_cc(text: &str) -> bool {
    text.len() <= 4
}

fn four_cc_list(value: Option<&Value>) -> Vec<String> {
    let items = match value {
        Some(Value::StrictArray(items)) => items.as_slice(),
        _ => &[],
    };
    let four_ccs = items.iter().filter_map(Value::as_str);
    let four_ccs = four_ccs.filter(|s| is_four_cc(s)).take(limits::FOUR_CCS);
    four_ccs.map(str::to_owned).collect()
}

fn info_map(value: Option<&Value>) -> Vec<(String, u32)> {
    let entries = value.and_then(Value::properties).unwrap_or_default();
    let entries = entries.iter().filter(|(key, _)| is_four_cc(key));
    let entries = entries.map(|(key, mask)| (key.clone(), mask.as_number().unwrap_or(0.0) as u32));
    entries.take(limits::FOUR_CCS).collect()
}
