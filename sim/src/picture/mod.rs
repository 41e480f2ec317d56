//! A run as a picture: lanes, what happened in each, and for how long a connection stood, published, played.
//!
//! What to draw is decided here; [`terminal`] and [`html`] only draw it.

use std::collections::{BTreeMap, BTreeSet};

use millstream::rtmp::wire::MediaKind;
use millstream::time::Instant;

use crate::journal::{Event, Observation};
use crate::media::Sort;
use crate::scenario::Scenario;
use crate::world::Report;

mod bars;
pub mod html;
pub mod terminal;

pub use bars::{Bar, Stretch};

/// Frames that are farther apart are no longer one run of frames, microseconds.
const RUN_GAP_US: u64 = 1_000_000;

/// What a lane is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LaneKind {
    /// A script.
    Client,
    /// The control thread or a shard.
    Server,
    /// The world: links, stops, what goes wrong.
    World,
}

/// One column or row of the picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Its name in the trace.
    pub name: String,
    /// What it is of.
    pub kind: LaneKind,
}

/// What a mark is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkKind {
    /// The client sent a frame.
    Sent,
    /// The client got a frame.
    Received,
    /// The client asks for something.
    Asks,
    /// The server answered.
    Told,
    /// The client or the server did something.
    Does,
    /// Something goes wrong on purpose.
    Fault,
}

/// Something at a moment; or a run of frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// When (the first of a run), microseconds.
    pub at: u64,
    /// When the last of a run was.
    pub until: u64,
    /// In which lane.
    pub lane: usize,
    /// The other end, if it is known: the shard that has the connection.
    pub other: Option<usize>,
    /// What.
    pub kind: MarkKind,
    /// Of a run: when each frame was, and whether it was a keyframe.
    pub frames: Vec<(u64, bool)>,
    /// In words. Of a run: the name of its stream.
    pub text: String,
}

impl Mark {
    /// Whether it is of frames.
    pub fn is_media(&self) -> bool {
        matches!(self.kind, MarkKind::Sent | MarkKind::Received)
    }
}

/// A broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// When, microseconds.
    pub at: u64,
    /// Which checker objected.
    pub checker: String,
    /// What it said.
    pub what: String,
    /// The lanes it names.
    pub lanes: Vec<usize>,
}

/// A picture of one run.
#[derive(Clone, Debug)]
pub struct Picture {
    /// From left to right, or from top to bottom.
    pub lanes: Vec<Lane>,
    /// What happened, by time; every frame for itself.
    pub marks: Vec<Mark>,
    /// What lasted.
    pub bars: Vec<Bar>,
    /// What must not be.
    pub broken: Vec<Broken>,
    /// How long the run was, microseconds.
    pub lasted: u64,
}

impl Picture {
    /// Of a run whose events were kept ([`crate::world::run_with`]).
    pub fn new(scenario: &Scenario, report: &Report) -> Self {
        let lanes = lanes(scenario, &report.events);
        let index: BTreeMap<&str, usize> = lanes
            .iter()
            .enumerate()
            .map(|(nth, lane)| (&*lane.name, nth))
            .collect();
        let mut shards = Shards::default();
        let mut marks = Vec::new();
        for event in &report.events {
            let Some(lane) = index.get(&*event.who).copied() else {
                continue;
            };
            shards.learn(event);
            if let Some(mut mark) = mark(event, lane) {
                if lanes.get(lane).is_some_and(|l| l.kind == LaneKind::Client) {
                    let shard = shards.of(&event.who);
                    mark.other = shard.and_then(|shard| index.get(shard).copied());
                } else if let Observation::Server { text } = &event.seen {
                    mark.text = shards.with_name(text);
                }
                marks.push(mark);
            }
        }
        let broken = report.violations.iter().map(|violation| Broken {
            at: violation.at.as_micros(),
            checker: violation.checker.to_owned(),
            what: violation.what.clone(),
            lanes: named_in(&violation.what, &lanes),
        });
        Self {
            bars: bars::bars(&report.events, &index, report.lasted),
            broken: broken.collect(),
            lasted: u64::try_from(report.lasted.as_micros()).unwrap_or(u64::MAX),
            marks,
            lanes,
        }
    }

    /// The marks with runs of frames folded into one each, by the time they begin. A run ends with anything else
    /// in its lane.
    pub fn folded(&self) -> Vec<Mark> {
        let mut folded: Vec<Mark> = Vec::new();
        let mut open: BTreeMap<(usize, bool), usize> = BTreeMap::new();
        for mark in &self.marks {
            let key = (mark.lane, mark.kind == MarkKind::Sent);
            if !mark.is_media() {
                open.remove(&(mark.lane, true));
                open.remove(&(mark.lane, false));
            } else if let Some(run) = open.get(&key).and_then(|nth| folded.get_mut(*nth))
                && run.text == mark.text
                && mark.at.saturating_sub(run.until) <= RUN_GAP_US
            {
                run.until = mark.at;
                run.frames.extend_from_slice(&mark.frames);
                continue;
            } else {
                open.insert(key, folded.len());
            }
            folded.push(mark.clone());
        }
        folded
    }
}

/// Which shard has whose connection, from what the server says.
#[derive(Default)]
struct Shards {
    accepted: Option<String>,
    /// Client → its shard's lane.
    of: BTreeMap<String, String>,
    /// Connection → client.
    names: BTreeMap<String, String>,
}

impl Shards {
    fn learn(&mut self, event: &Event) {
        match &event.seen {
            Observation::Accepted { client } => self.accepted = Some(client.clone()),
            Observation::Server { text } => {
                let words = text.strip_prefix("connection ");
                let Some((connection, shard)) = words.and_then(|rest| rest.split_once(" to "))
                else {
                    return;
                };
                if let Some(client) = self.accepted.take() {
                    self.names.insert(connection.to_owned(), client.clone());
                    self.of.insert(client, shard.to_owned());
                }
            }
            _ => {}
        }
    }

    /// A second play of a client is on the same connection.
    fn of(&self, who: &str) -> Option<&str> {
        let client = who.split_once('/').map_or(who, |(client, _)| client);
        self.of.get(client).map(String::as_str)
    }

    /// What the server said, with the client's name in the place of its connection's number and address.
    fn with_name(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("connection ") else {
            return text.to_owned();
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (connection, rest) = rest.split_at(digits);
        let Some(client) = self.names.get(connection) else {
            return text.to_owned();
        };
        let rest = match rest
            .strip_prefix(" (")
            .and_then(|rest| rest.split_once(')'))
        {
            Some((_address, rest)) => rest,
            None => rest,
        };
        format!("{before}{client}{rest}")
    }
}

/// Clients as in the scenario, then those it does not name, then control and shards, then the world.
fn lanes(scenario: &Scenario, events: &[Event]) -> Vec<Lane> {
    let known = |who: &str| {
        let script = who.split_once('/').map_or(who, |(script, _)| script);
        let mut scripts = scenario.clients.iter();
        scripts.position(|client| client.name == script)
    };
    let kind = |who: &str| match who {
        "world" => LaneKind::World,
        "control" => LaneKind::Server,
        _ if who.strip_prefix("shard ").is_some_and(is_number) => LaneKind::Server,
        _ => LaneKind::Client,
    };
    let seen: BTreeSet<&str> = events.iter().map(|event| &*event.who).collect();
    let mut lanes: Vec<Lane> = seen
        .into_iter()
        .map(|name| Lane {
            name: name.to_owned(),
            kind: kind(name),
        })
        .collect();
    lanes.sort_by_cached_key(|lane| {
        let place = known(&lane.name).unwrap_or(usize::MAX);
        (lane.kind, place, lane.name.len(), lane.name.clone())
    });
    lanes
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The lanes whose names stand in a violation's text as words.
fn named_in(what: &str, lanes: &[Lane]) -> Vec<usize> {
    let ends = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '.' | ';' | '"');
    let words: BTreeSet<&str> = what.split(ends).collect();
    let named = lanes.iter().enumerate();
    named
        .filter(|(_, lane)| words.contains(&*lane.name))
        .map(|(nth, _)| nth)
        .collect()
}

/// What is drawn of an event in `lane`.
fn mark(event: &Event, lane: usize) -> Option<Mark> {
    let (mut text, mut keyframe) = (String::new(), None);
    let kind = match &event.seen {
        Observation::Sent { name, frame, .. } => {
            text = (**name).to_owned();
            keyframe = Some(frame.sort == Sort::Key);
            MarkKind::Sent
        }
        Observation::Received {
            name,
            kind,
            payload,
            ..
        } => {
            text = (**name).to_owned();
            keyframe = Some(*kind == MediaKind::Video && looks_like_a_keyframe(payload));
            MarkKind::Received
        }
        Observation::Dials
        | Observation::AsksToPublish { .. }
        | Observation::AsksToPlay { .. }
        | Observation::Pauses => MarkKind::Asks,
        Observation::Connected | Observation::Told { .. } => MarkKind::Told,
        // The status that says so is a mark already; so is the connection's line of control.
        Observation::Publishes { .. }
        | Observation::Plays { .. }
        | Observation::Accepted { .. } => {
            return None;
        }
        Observation::Injected { .. } | Observation::Lost { .. } | Observation::Starved { .. } => {
            MarkKind::Fault
        }
        Observation::World { text } if &*event.who == "world" && !text.ends_with(" polls") => {
            MarkKind::Fault
        }
        _ => MarkKind::Does,
    };
    if let Observation::Told { code } = &event.seen {
        text.clone_from(code);
    } else if text.is_empty() {
        text = event.seen.to_string();
    }
    let at = event.at.as_micros();
    Some(Mark {
        at,
        until: at,
        lane,
        other: None,
        kind,
        frames: keyframe.map(|key| (at, key)).into_iter().collect(),
        text,
    })
}

/// Whether a video message of one track begins a group of pictures. Good enough to draw a longer stroke.
fn looks_like_a_keyframe(payload: &[u8]) -> bool {
    let [first, second, ..] = payload else {
        return false;
    };
    let is_enhanced = first & 0x80 != 0;
    let is_header = if is_enhanced {
        first & 0x0f == 0
    } else {
        *second == 0
    };
    (first >> 4) & 0x07 == 1 && !is_header
}

/// What is said of a mark.
fn words(mark: &Mark) -> String {
    let way = match mark.kind {
        MarkKind::Sent => "->",
        MarkKind::Received => "<-",
        _ => return mark.text.clone(),
    };
    let keys = mark.frames.iter().filter(|(_, key)| *key).count();
    let keys = match keys {
        0 => String::new(),
        1 => ", 1 keyframe".to_owned(),
        keys => format!(", {keys} keyframes"),
    };
    match mark.frames.len() {
        1 => format!("{way} 1 frame of {}{keys}", mark.text),
        count => format!(
            "{way} {count} frames of {}{keys}, until {}",
            mark.text,
            seconds(mark.until)
        ),
    }
}

/// `12.345` seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1_000)
}

/// When something was, as a mark has it.
fn micros(at: Instant) -> u64 {
    at.as_micros()
}
