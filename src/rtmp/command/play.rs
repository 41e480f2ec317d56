//! What `publish`, `play` and `play2` ask for (RTMP 1.0 §7.2.2.1, §7.2.2.2, §7.2.2.6).

use super::{Command, name_of};
use crate::limits;
use crate::rtmp::amf::Value;

/// `publish`'s second argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PublishKind {
    /// live
    #[default]
    Live,
    /// record
    Record,
    /// append
    Append,
}

impl PublishKind {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Record => "record",
            Self::Append => "append",
        }
    }

    /// What `publish` asks for: live for anything unknown, as FMS did.
    pub(super) fn new(argument: &Value) -> Self {
        let kind = argument.as_str().unwrap_or("");
        let all = [Self::Live, Self::Record, Self::Append].into_iter();
        let mut named = all.filter(|k| kind.eq_ignore_ascii_case(k.as_str()));
        named.next().unwrap_or_default()
    }
}

/// `play`'s second argument.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum PlayStart {
    /// −2: the live stream, or else the recording, or else wait for either.
    #[default]
    LiveOrRecorded,
    /// −1: the live stream alone.
    Live,
    /// 0 and more: the recording, from here on. As sent: in seconds by the specification and from GStreamer, but in
    /// milliseconds from FFmpeg and librtmp.
    Recorded(f64),
}

impl PlayStart {
    /// From the number as sent. FFmpeg and librtmp send milliseconds: −2000 and −1000. Other negative numbers are the
    /// default, −2.
    pub fn from_number(number: f64) -> Self {
        if number >= 0.0 {
            Self::Recorded(number)
        } else if number == -1.0 || number == -1_000.0 {
            Self::Live
        } else {
            Self::LiveOrRecorded
        }
    }

    /// As the specification has it.
    pub fn as_number(self) -> f64 {
        match self {
            Self::LiveOrRecorded => -2.0,
            Self::Live => -1.0,
            Self::Recorded(from) => from,
        }
    }
}

/// How to play.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PlayOptions {
    /// From where.
    pub start: PlayStart,
    /// How long, in the unit of a [`PlayStart::Recorded`]; 0 is one frame, none to the end (−1, or any other negative
    /// number).
    pub duration: Option<f64>,
    /// Whether to leave what played before, rather than append to it.
    pub reset: bool,
}

impl Default for PlayOptions {
    /// Live or recorded, to the end, and nothing else.
    fn default() -> Self {
        Self {
            start: PlayStart::default(),
            duration: None,
            reset: true,
        }
    }
}

impl PlayOptions {
    /// What the arguments of `play` behind the name say.
    pub(super) fn new(command: &Command) -> Self {
        Self {
            start: command
                .number(1)
                .map_or(PlayStart::default(), PlayStart::from_number),
            duration: command.number(2).and_then(duration),
            reset: command.flag(3).unwrap_or(true),
        }
    }
}

/// Not negative, or to the end.
fn duration(number: f64) -> Option<f64> {
    Some(number).filter(|n| *n >= 0.0)
}

/// `play2`'s argument, NetStreamPlayOptions: another stream in place of one that plays, such as another bit rate.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Transition {
    /// The stream that plays, without query; empty if absent. At most [`limits::NAME_BYTES`].
    pub old_name: String,
    /// Seconds of stream time at which to switch; none as soon as possible.
    pub offset: Option<f64>,
    /// `switch`, `swap`, `reset`, `append` … as sent, at most [`limits::NAME_BYTES`]; empty if absent.
    pub mode: String,
}

/// What `play2` asks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Play2 {
    /// `streamName`, as sent; none where there is none, and for the transition `stop`, which stops.
    pub name: Option<String>,
    /// `start` and `len`.
    pub options: PlayOptions,
    /// The rest.
    pub transition: Transition,
}

impl Play2 {
    pub(super) fn new(options: &Value) -> Self {
        let text = |key| {
            let text = options.get(key).and_then(name_of).unwrap_or_default();
            let end = text.floor_char_boundary(limits::NAME_BYTES);
            text.get(..end).unwrap_or("").to_owned()
        };
        let number = |key| options.get(key).and_then(Value::as_number);
        let mode = text("transition");
        let name = options.get("streamName").and_then(name_of);
        Self {
            name: name.filter(|_| !mode.eq_ignore_ascii_case("stop")),
            options: PlayOptions {
                start: number("start").map_or(PlayStart::default(), PlayStart::from_number),
                duration: number("len").and_then(duration),
                reset: true,
            },
            transition: Transition {
                old_name: text("oldStreamName"),
                offset: number("offset").and_then(duration),
                mode,
            },
        }
    }

    /// The argument as it is sent.
    pub fn to_value(&self) -> Value {
        let text = |text: &str| Value::string(text);
        let number = |n: Option<f64>| Value::Number(n.unwrap_or(-1.0));
        Value::object([
            ("streamName", text(self.name.as_deref().unwrap_or(""))),
            ("oldStreamName", text(&self.transition.old_name)),
            ("start", Value::Number(self.options.start.as_number())),
            ("len", number(self.options.duration)),
            ("offset", number(self.transition.offset)),
            ("transition", text(&self.transition.mode)),
        ])
    }
}
