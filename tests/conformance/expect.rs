//! What a server ought to make of a client's messages: its events and its replies, worked out from the messages alone.
//!
//! A second reading of the protocol, shorter than the server's, so that a recording nobody has looked at can be judged.

use std::collections::BTreeMap;

use millstream::rtmp::amf::Value;
use millstream::rtmp::command::Command;

use crate::replay::{Found, Mood, Record, data, kind, parts};

#[derive(Clone, Debug, PartialEq)]
enum Role {
    Idle,
    Publish(String),
    Play,
}

/// What it comes to.
#[derive(Default)]
pub(crate) struct Expected {
    /// All events, in order.
    pub(crate) records: Vec<Record>,
    /// The replies that somebody waits for, in order; others may stand between them.
    pub(crate) replies: Vec<String>,
}

/// A server that follows along.
pub(crate) struct Model {
    mood: Mood,
    connected: bool,
    streams: BTreeMap<u32, Role>,
    expected: Expected,
}

/// What a server in this mood is to make of `messages`.
pub(crate) fn expected(messages: &[Found], mood: Mood) -> Expected {
    let mut model = Model {
        mood,
        connected: false,
        streams: BTreeMap::new(),
        expected: Expected::default(),
    };
    for message in messages {
        model.message(message);
    }
    model.expected
}

impl Model {
    fn message(&mut self, message: &Found) {
        if let Some(command) = message.command() {
            self.command(message.stream, &command);
        } else if message.type_id == 22 {
            for part in parts(message) {
                self.media(&part);
            }
        } else {
            self.media(message);
        }
    }

    fn media(&mut self, message: &Found) {
        let (Some(kind), Some(stream)) = (kind(message.type_id), self.publishing(message.stream))
        else {
            return;
        };
        let payload = match message.type_id {
            8 | 9 => Some(message.payload.clone()),
            _ => data(message),
        };
        if let Some(payload) = payload.filter(|p| kind.type_id() != 18 || !p.is_empty()) {
            self.expected.records.push(Record::Media {
                stream,
                kind,
                timestamp: message.timestamp,
                payload,
            });
        }
    }

    fn command(&mut self, on: u32, command: &Command) {
        let name = command.name.to_ascii_lowercase();
        if !self.connected {
            match name.as_str() {
                "connect" => self.connect(command),
                "_result" | "_error" | "onstatus" => {}
                _ => self.reply("_error", command),
            }
            return;
        }
        match name.as_str() {
            "createstream" => {
                let free = (1..).find(|id| !self.streams.contains_key(id)).unwrap();
                self.streams.insert(free, Role::Idle);
                if command.wants_reply() {
                    let reply = format!("_result {} = {free}", command.transaction);
                    self.expected.replies.push(reply);
                }
            }
            "releasestream" | "fcpublish" | "fcsubscribe" | "getstreamlength" | "_checkbw"
            | "checkbandwidth" => self.reply("_result", command),
            "fcunpublish" => {
                let (name, _) = split(text(command.argument(0)).unwrap_or_default());
                let named = self
                    .streams
                    .iter()
                    .find(|(_, role)| **role == Role::Publish(name.clone()));
                // Without a name it means the only one.
                let only = self.publishing(0).filter(|_| name.is_empty());
                if let Some(stream) = named.map(|(id, _)| *id).or(only) {
                    self.close(stream);
                }
                self.reply("_result", command);
            }
            "deletestream" => {
                let number = command.argument(0).as_number().map(|n| n as u32);
                if let Some(stream) = self.meant(number.filter(|n| *n != 0).unwrap_or(on)) {
                    self.close(stream);
                    self.streams.remove(&stream);
                }
            }
            "closestream" => {
                if let Some(stream) = self.meant(on) {
                    self.close(stream);
                }
            }
            "close" => {
                for stream in self.streams.keys().copied().collect::<Vec<_>>() {
                    self.close(stream);
                }
                self.streams.clear();
            }
            "publish" | "play" | "play2" => self.role(on, &name, command),
            "pause" | "pauseraw" | "seek" => self.player(on, &name, command),
            "receiveaudio" | "receivevideo" | "_result" | "_error" | "onstatus" => {}
            _ => self.reply("_error", command),
        }
    }

    fn connect(&mut self, command: &Command) {
        let app = command.object.get("app").and_then(text).unwrap_or_default();
        let (app, query) = split(app);
        self.record(format!("connect {app} ? {query}"));
        self.reply("_result", command);
        self.connected = true;
    }

    fn role(&mut self, on: u32, what: &str, command: &Command) {
        let name = match what {
            "play2" => command.argument(0).get("streamName").and_then(text),
            _ => text(command.argument(0)),
        };
        let meant = self.meant(on);
        let busy = meant.is_some_and(|stream| self.streams[&stream] != Role::Idle);
        let Some(name) = name.filter(|name| !busy || !name.is_empty()) else {
            if let Some(stream) = meant {
                self.close(stream);
            }
            return;
        };
        let (name, query) = split(name);
        let stream = meant.unwrap_or_else(|| match on {
            0 => (1..).find(|id| !self.streams.contains_key(id)).unwrap(),
            on => on,
        });
        let old = self.streams.entry(stream).or_insert(Role::Idle).clone();
        self.close(stream);
        let refused = what == "publish" && self.mood == Mood::Refuses;
        let (role, event, code) = if what == "publish" {
            let kind = match command
                .argument(1)
                .as_str()
                .unwrap_or("")
                .to_ascii_lowercase()
            {
                kind if kind == "record" => "Record",
                kind if kind == "append" => "Append",
                _ => "Live",
            };
            let event = format!("publish {stream} {name} ? {query} {kind}");
            let code = ["NetStream.Publish.Start", "NetStream.Publish.BadName"];
            (Role::Publish(name), event, code[usize::from(refused)])
        } else {
            let start = command.argument(1).as_number().filter(|_| what == "play");
            // FFmpeg and librtmp say it in milliseconds.
            let start = match start.unwrap_or(-2.0) {
                start if start >= 0.0 => start,
                start if start == -1.0 || start == -1_000.0 => -1.0,
                _ => -2.0,
            };
            let event = format!("play {stream} {name} ? {query} {start}");
            let changes = what == "play2" && old == Role::Play;
            let code = ["NetStream.Play.Start", "NetStream.Play.Transition"];
            (Role::Play, event, code[usize::from(changes)])
        };
        self.record(event);
        if !refused {
            self.streams.insert(stream, role);
            if code != "NetStream.Play.Transition" {
                self.expected.replies.push(format!("begin {stream}"));
            }
        }
        self.expected
            .replies
            .push(format!("onStatus {stream} {code}"));
    }

    fn player(&mut self, on: u32, what: &str, command: &Command) {
        let Some(stream) = self.meant(on).filter(|s| self.streams[s] == Role::Play) else {
            return;
        };
        if what == "seek" {
            let position = command.argument(0).as_number().unwrap_or(0.0);
            self.record(format!("seek {stream} {position}"));
            self.status(stream, "NetStream.Seek.Failed");
        } else {
            let paused = command.argument(0).as_bool().unwrap_or(true);
            self.record(format!("paused {stream} {paused}"));
            let code = ["NetStream.Unpause.Notify", "NetStream.Pause.Notify"];
            self.status(stream, code[usize::from(paused)]);
        }
    }

    fn status(&mut self, stream: u32, code: &str) {
        self.expected
            .replies
            .push(format!("onStatus {stream} {code}"));
    }

    fn reply(&mut self, name: &str, command: &Command) {
        if command.wants_reply() {
            self.expected
                .replies
                .push(format!("{name} {}", command.transaction));
        }
    }

    fn record(&mut self, text: String) {
        self.expected.records.push(Record::Role(text));
    }

    fn close(&mut self, stream: u32) {
        let Some(role) = self.streams.get_mut(&stream) else {
            return;
        };
        if *role != Role::Idle {
            *role = Role::Idle;
            self.record(format!("closed {stream}"));
        }
    }

    /// The stream a command on `id` means: librtmp sends some on 0.
    fn meant(&self, id: u32) -> Option<u32> {
        let only =
            (id == 0 && self.streams.len() == 1).then(|| *self.streams.keys().next().unwrap());
        self.streams.contains_key(&id).then_some(id).or(only)
    }

    /// The publishing stream that media on `id` belongs to.
    fn publishing(&self, id: u32) -> Option<u32> {
        let publishes = |role: &Role| matches!(role, Role::Publish(_));
        if self.streams.get(&id).is_some_and(publishes) {
            return Some(id);
        }
        let mut all = self.streams.iter().filter(|(_, role)| publishes(role));
        let (only, _) = all.next()?;
        (id == 0 && all.next().is_none()).then_some(*only)
    }
}

/// A name; a number will do, `false` and null are none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Number(n) => Some(n.to_string()),
        value => value.as_str().map(str::to_owned),
    }
}

/// A name without outer or doubled slashes and `_definst_` at either end, and its query.
fn split(raw: impl AsRef<str>) -> (String, String) {
    let (path, query) = raw.as_ref().split_once('?').unwrap_or((raw.as_ref(), ""));
    let mut path: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
    if path.last() == Some(&"_definst_") {
        path.pop();
    }
    if path.first() == Some(&"_definst_") {
        path.remove(0);
    }
    (path.join("/"), query.to_owned())
}

/// A server's words in the same terms.
pub(crate) fn replies(said: &[Found]) -> Vec<String> {
    let words = said.iter().filter_map(|message| {
        if let (4, [0, 0, stream @ ..]) = (message.type_id, message.payload.as_slice()) {
            let stream = u32::from_be_bytes(*stream.first_chunk()?);
            return Some(format!("begin {stream}"));
        }
        let command = message.command()?;
        let info = command.argument(0);
        Some(match command.name.as_str() {
            "onStatus" => {
                let code = info.get("code")?.as_str()?;
                format!("onStatus {} {code}", message.stream)
            }
            "_result" => match info.as_number() {
                // createStream's; FFmpeg wants exactly name, number, null, number.
                Some(n) if n > 0.0 => format!("_result {} = {n}", command.transaction),
                _ => format!("_result {}", command.transaction),
            },
            name => format!("{name} {}", command.transaction),
        })
    });
    words.collect()
}
