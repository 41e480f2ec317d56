//! Where everything that is seen in a run comes together: the trace for people, the checkers for the verdict.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;
use millstream::time::{Instant, Timestamp};

use crate::canary::Canary;
use crate::checkers::climate::Climate;
use crate::checkers::recordings::Shelf;
use crate::checkers::tap::Heard;
use crate::checkers::{self, Checker, Leftovers, Tally, Violation};
use crate::media::Frame;
use crate::seed;
use crate::trace::Trace;

/// Something seen from outside the server: at a client, on the net, or in what the server reports.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The client's connection stands.
    Connected,
    /// The server answered with a status or a refusal.
    Told {
        /// `NetStream.Play.Start` and the like.
        code: String,
    },
    /// The client asks to publish `name` (application and stream).
    AsksToPublish {
        /// Application and stream: `live/test`.
        name: Rc<str>,
        /// Which of this client's publications, from 0.
        publication: usize,
    },
    /// The server allowed it.
    Publishes {
        /// Application and stream.
        name: Rc<str>,
    },
    /// The client sends a frame.
    Sent {
        /// Application and stream.
        name: Rc<str>,
        /// Which of this client's publications, from 0.
        publication: usize,
        /// Which frame of it, from 0.
        index: usize,
        /// The frame.
        frame: Rc<Frame>,
    },
    /// The client asks to play `name`.
    AsksToPlay {
        /// Application and stream.
        name: Rc<str>,
    },
    /// The server allowed it.
    Plays {
        /// Application and stream.
        name: Rc<str>,
    },
    /// A player got a message.
    Received {
        /// Application and stream.
        name: Rc<str>,
        /// Audio, video or data.
        kind: MediaKind,
        /// Its time.
        timestamp: Timestamp,
        /// Its payload.
        payload: Bytes,
    },
    /// The client wants to go back in the live stream that it plays, by holding it or by seeking: to who looks at what is
    /// live, it is gone.
    GoesBack,
    /// The server has said that a live stream goes on where the client wants it to, perhaps in the past.
    IsBack {
        /// It has sought that, rather than held it.
        sought: bool,
    },
    /// Somebody who has gone back in a live stream got a message of it.
    Relived {
        /// Audio, video or data.
        kind: MediaKind,
        /// Its time.
        timestamp: Timestamp,
        /// Its payload.
        payload: Bytes,
    },
    /// The client asks to play a recording.
    AsksToView {
        /// Application and file.
        name: Rc<str>,
        /// From where, milliseconds.
        from_ms: u64,
        /// For how long, milliseconds; none: to its end.
        for_ms: Option<u64>,
        /// Behind what it plays already.
        appended: bool,
    },
    /// A recording that the client has asked for is not played, or not any further.
    Unplayable {
        /// What it was told.
        code: String,
        /// Application and file, if it was not even begun.
        refused: Option<Rc<str>>,
    },
    /// It got a message of that.
    Viewed {
        /// Audio, video or data.
        kind: MediaKind,
        /// Its time.
        timestamp: Timestamp,
        /// Its payload.
        payload: Bytes,
    },
    /// Whispered: the client asks to have the recording go on elsewhere.
    Seeks,
    /// The server has said that the recording goes on where the client has asked it to.
    Sought {
        /// Milliseconds from its beginning.
        ms: u64,
    },
    /// From now on the client claims nothing: it unpublished, left, or one end of its connection is gone.
    LetsGo {
        /// Why, in words.
        why: &'static str,
    },
    /// The client waited in vain: a promise of progress was broken.
    Starved {
        /// For what.
        what: String,
    },
    /// A fault ends this client's connection.
    Injected {
        /// Which.
        what: &'static str,
    },
    /// The client opens a connection.
    Dials,
    /// From now on the client does what a server may close its connection for.
    Strays {
        /// How.
        how: &'static str,
    },
    /// What the client has now sent, on a connection that stands, no server can go on behind: it must close. The client
    /// strays as well.
    Breaks {
        /// How.
        how: &'static str,
    },
    /// The client holds its stream, or lets it go on: it loses what comes meanwhile.
    Pauses,
    /// In this world rings hold few frames: a player soon falls behind and loses some.
    SmallRings,
    /// The connection has ended, and not by the client's will.
    Lost {
        /// How.
        how: &'static str,
    },
    /// The server accepted this client's connection. Only for pictures; no trace has it.
    Accepted {
        /// The script's name.
        client: String,
    },
    /// Whispered: the client has looked, all that had come was read, and its connection stands.
    Stands {
        /// Bytes it has sent on it.
        sent: u64,
        /// When the last of them went.
        last_sent: Instant,
    },
    /// Whispered: a read of the server on this client's connection was cut short.
    ShortRead,
    /// Whispered: the client turns its stream's audio or video off or on, and does not get everything any more.
    Picks {
        /// Which it switches.
        kind: MediaKind,
    },
    /// Whispered: on its new connection the client says that it can be asked to reconnect.
    KnowsReconnect,
    /// Whispered: an operator closes the client's connection.
    Kicked,
    /// Whispered: an operator ends what the client publishes.
    Ended {
        /// Application and stream.
        name: Rc<str>,
    },
    /// Whispered at the end: what the server has counted, if it never failed.
    Tally(Tally),
    /// Whispered at the end: what stands on the server's disk.
    Recorded(Shelf),
    /// Whispered once, first: what this world is like.
    Climate(Climate),
    /// The server is told to stop.
    Stops,
    /// What the server itself reports.
    Server {
        /// Its words.
        text: String,
    },
    /// The world did something: a link was cut, healed, a fault fired.
    World {
        /// What.
        text: String,
    },
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => write!(f, "connected"),
            Self::Told { code } => write!(f, "is told {code}"),
            Self::AsksToPublish { name, .. } => write!(f, "asks to publish {name}"),
            Self::Publishes { name } => write!(f, "publishes {name}"),
            Self::Sent {
                name, index, frame, ..
            } => write!(
                f,
                "-> {name} #{index} {} at {} ms, {} bytes",
                frame.sort.name(),
                frame.timestamp.0,
                frame.payload.len()
            ),
            Self::AsksToPlay { name } => write!(f, "asks to play {name}"),
            Self::Plays { name } => write!(f, "plays {name}"),
            Self::Received {
                name,
                kind,
                timestamp,
                payload,
            } => write!(
                f,
                "<- {name} {kind:?} at {} ms, {} bytes {:08x}",
                timestamp.0,
                payload.len(),
                seed::digest(payload) >> 32
            ),
            Self::AsksToView { .. }
            | Self::Unplayable { .. }
            | Self::Viewed { .. }
            | Self::Seeks
            | Self::Sought { .. }
            | Self::GoesBack
            | Self::IsBack { .. }
            | Self::Relived { .. } => self.of_a_viewing(f),
            Self::LetsGo { why } => write!(f, "lets go: {why}"),
            Self::Starved { what } => write!(f, "waits in vain for {what}"),
            Self::Injected { what } => f.write_str(what),
            Self::Dials => f.write_str("dials"),
            Self::Strays { how } => write!(f, "strays: {how}"),
            Self::Breaks { how } => write!(f, "breaks its connection: {how}"),
            Self::Lost { how } => write!(f, "loses its connection: {how}"),
            Self::Pauses => f.write_str("holds its stream or lets it go on"),
            Self::SmallRings => f.write_str("rings hold few frames"),
            Self::Accepted { client } => write!(f, "accepts {client}"),
            Self::Stands { sent, .. } => write!(f, "stands, having sent {sent} bytes"),
            Self::ShortRead => f.write_str("a read of the server is cut short"),
            Self::Picks { kind } => write!(f, "does not always want {kind:?}"),
            Self::KnowsReconnect => f.write_str("can be asked to reconnect"),
            Self::Kicked => f.write_str("is closed by an operator"),
            Self::Ended { name } => write!(f, "an operator ends {name}"),
            Self::Tally(tally) => write!(f, "{tally:?}"),
            Self::Recorded(shelf) => write!(f, "{} files", shelf.files.len()),
            Self::Climate(climate) => write!(f, "{climate:?}"),
            Self::Stops => f.write_str("the server is told to stop"),
            Self::Server { text } | Self::World { text } => f.write_str(text),
        }
    }
}

impl Observation {
    /// Those about a recording that is played.
    fn of_a_viewing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsksToView {
                name,
                from_ms,
                for_ms,
                appended,
            } => {
                let more = if *appended { "more, " } else { "" };
                write!(f, "asks to view {more}{name} from {from_ms} ms")?;
                for_ms.map_or(Ok(()), |ms| write!(f, " for {ms} ms"))
            }
            Self::GoesBack => f.write_str("goes back"),
            Self::IsBack { .. } => f.write_str("is back"),
            Self::Relived {
                kind,
                timestamp,
                payload,
            } => write!(
                f,
                "<- {kind:?} again at {} ms, {} bytes {:08x}",
                timestamp.0,
                payload.len(),
                seed::digest(payload) >> 32
            ),
            Self::Unplayable { code, refused } => match refused {
                Some(name) => write!(f, "cannot view {name}: {code}"),
                None => write!(f, "cannot view on: {code}"),
            },
            Self::Viewed {
                kind,
                timestamp,
                payload,
            } => write!(
                f,
                "<- {kind:?} of a file at {} ms, {} bytes {:08x}",
                timestamp.0,
                payload.len(),
                seed::digest(payload) >> 32
            ),
            Self::Sought { ms } => write!(f, "has sought {ms} ms"),
            _ => f.write_str("seeks"),
        }
    }
}

/// One line of a run as data: for pictures of it, not for checkers.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, in virtual time.
    pub at: Instant,
    /// Who did or saw it: a script's name, or `world`.
    pub who: Rc<str>,
    /// What.
    pub seen: Observation,
}

/// The one journal of a run; clones share it.
#[derive(Clone)]
pub struct Journal(Rc<RefCell<Inner>>);

struct Inner {
    trace: Trace,
    checkers: Vec<Box<dyn Checker>>,
    violations: Vec<Violation>,
    /// Everything seen, if somebody wants to draw it: it holds every payload, so a sweep does not keep it.
    events: Option<Vec<Event>>,
    /// What must make this run fail, if it is there to.
    canary: Option<Canary>,
}

impl Inner {
    /// Asks every checker, and notes what they object to.
    fn ask(
        &mut self,
        at: Instant,
        mut question: impl FnMut(&mut dyn Checker) -> Result<(), String>,
    ) {
        for checker in &mut self.checkers {
            if let Err(what) = question(checker.as_mut()) {
                let name = checker.name();
                violate(&mut self.trace, &mut self.violations, name, at, what);
            }
        }
    }
}

impl Journal {
    /// A journal with every checker.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            trace: Trace::default(),
            checkers: checkers::all(),
            violations: Vec::new(),
            events: None,
            canary: None,
        })))
    }

    /// From now on this run must fail.
    pub(crate) fn house_canary(&self) {
        self.0.borrow_mut().canary = Some(Canary::default());
    }

    /// Whether there is a canary and it had its moment.
    pub(crate) fn canary_sang(&self) -> bool {
        let canary = &self.0.borrow().canary;
        canary.as_ref().is_some_and(Canary::sang)
    }

    /// Keeps from now on what is seen, for [`Journal::take_events`].
    pub fn keep_events(&self) {
        self.0.borrow_mut().events.get_or_insert_default();
    }

    /// What was seen, if it was to be kept.
    pub fn take_events(&self) -> Vec<Event> {
        self.0.borrow_mut().events.take().unwrap_or_default()
    }

    /// Keeps something that belongs into a picture of the run, but neither into its trace nor before a checker.
    pub fn aside(&self, at: Instant, who: &str, seen: impl FnOnce() -> Observation) {
        if let Some(events) = &mut self.0.borrow_mut().events {
            let (who, seen) = (Rc::from(who), seen());
            events.push(Event { at, who, seen });
        }
    }

    /// Writes down what `who` did or saw, and shows it to every checker.
    pub fn note(&self, at: Instant, who: &str, seen: &Observation) {
        let inner = &mut *self.0.borrow_mut();
        let altered = inner
            .canary
            .as_mut()
            .and_then(|bird| bird.altered(who, seen));
        let seen = altered.as_ref().unwrap_or(seen);
        inner.trace.line(at, who, format_args!("{seen}"));
        if let Some(events) = &mut inner.events {
            let (who, seen) = (Rc::from(who), seen.clone());
            events.push(Event { at, who, seen });
        }
        inner.ask(at, |checker| checker.observe_at(at, who, seen));
    }

    /// Shows `who`'s observation to the checkers alone: what is no event, but what they judge events by.
    pub fn whisper(&self, at: Instant, who: &str, seen: &Observation) {
        let inner = &mut *self.0.borrow_mut();
        inner.ask(at, |checker| checker.observe_at(at, who, seen));
    }

    /// Shows the checkers what went over the wire of a connection of `who`.
    pub fn overhear(&self, at: Instant, who: &str, heard: &Heard<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.ask(at, |checker| checker.overhear(at, who, heard));
    }

    /// A failure that no checker saw but the world itself: a livelock, a panic, a hang.
    pub fn fail(&self, at: Instant, checker: &'static str, what: String) {
        let inner = &mut *self.0.borrow_mut();
        violate(&mut inner.trace, &mut inner.violations, checker, at, what);
    }

    /// Whether anything was violated so far.
    pub fn failed(&self) -> bool {
        !self.0.borrow().violations.is_empty()
    }

    /// Lets the checkers judge the end; takes the trace and the verdict out.
    pub fn finish(&self, at: Instant, leftovers: &Leftovers) -> (Trace, Verdict) {
        let inner = &mut *self.0.borrow_mut();
        inner.ask(at, |checker| checker.finish(leftovers));
        let exercised = inner
            .checkers
            .iter()
            .flat_map(|checker| {
                let mut counts = vec![(checker.name(), checker.exercised())];
                counts.extend(checker.special_cases());
                counts
            })
            .collect();
        let verdict = Verdict {
            violations: inner.violations.clone(),
            exercised,
        };
        (inner.trace.clone(), verdict)
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

/// What the checkers found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Everything that must not be, in order.
    pub violations: Vec<Violation>,
    /// How often each checker really checked something.
    pub exercised: Vec<(&'static str, u64)>,
}

/// Notes that a checker's rule was broken, in the trace and for the verdict.
fn violate(
    trace: &mut Trace,
    violations: &mut Vec<Violation>,
    checker: &'static str,
    at: Instant,
    what: String,
) {
    trace.line(at, "VIOLATION", format_args!("{checker}: {what}"));
    violations.push(Violation { checker, at, what });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_only_when_asked_for() {
        let journal = Journal::new();
        journal.note(Instant::ZERO, "bob", &Observation::Dials);
        assert!(journal.take_events().is_empty());
        journal.keep_events();
        journal.note(Instant::ZERO, "bob", &Observation::Connected);
        let kept = journal.take_events();
        assert!(
            matches!(kept[..], [Event { ref who, seen: Observation::Connected, .. }] if &**who == "bob")
        );
    }
}
