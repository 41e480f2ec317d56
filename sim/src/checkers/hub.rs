//! A model of the live hub, from outside: which publications there were of each name, what was sent in them and when,
//! and how long it may take to arrive. Who must see what follows from that.

use core::cell::Ref;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream::time::{Duration, Instant};

use super::Publication;
use super::climate::Climate;
use super::library::{Entry, Library};
use super::tight::APP as TIGHT;
use crate::journal::Observation;
use crate::media::Frame;
use bytes::Bytes;

/// Everything that was published.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) climate: Option<Climate>,
    pub(super) stopping: bool,
    library: Library,
    names: BTreeMap<Rc<str>, Name>,
    records: BTreeMap<Publication, Record>,
    /// Per client: what it asked to publish last.
    asked: BTreeMap<String, Publication>,
    /// The same, also when it has let go of it.
    last_asked: BTreeMap<String, Publication>,
    /// Per client: everything it asked to publish on its present connection.
    connections: BTreeMap<String, Vec<Publication>>,
    /// Whose present connections fail or may be closed: what they sent may be lost.
    unreliable: BTreeSet<String>,
    /// Who has the server's FIN: it has read everything.
    answered: BTreeSet<String>,
}

#[derive(Default)]
struct Name {
    /// What its rings have had to hold at most: frames, and two notices a publication.
    items: u64,
    /// How often somebody asked to publish it.
    asks: u64,
    /// How many of those that asked have not let go yet.
    open: u64,
    bytes: u64,
    /// What was allowed last.
    current: Option<Publication>,
}

/// One publication.
pub(super) struct Record {
    name: Rc<str>,
    pub(super) asked_at: Instant,
    /// Which of the name's askings it is.
    ask: u64,
    /// Somebody else had asked before and not let go: whose turn comes when, nobody can say.
    crowded: bool,
    /// Per frame: when it was sent, and which of the name's items it is.
    sent: Vec<(Instant, u64)>,
    /// When it was closed, if in good order: behind its last frame.
    pub(super) closed: Option<Instant>,
    /// It is over, however it ended.
    pub(super) over: bool,
    /// When that was.
    over_at: Option<Instant>,
    /// The server was heard to close a connection: perhaps the one before.
    unsure: bool,
    /// An operator ended it, or its connection: nobody waits for that publisher.
    ousted: bool,
    /// Who took its name over, if that is sure.
    heir: Option<Publication>,
    /// Its connection does or suffers something that may lose frames, also later, with them still under way.
    doubtful: bool,
}

impl Hub {
    /// Whether everything is recorded.
    pub(super) fn is_recorded(&self) -> bool {
        self.climate
            .is_some_and(|climate| climate.recorded.is_some())
    }

    /// With the frames of `library`.
    pub(super) fn over(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    /// Takes in what `who` did.
    pub(super) fn learn(&mut self, at: Instant, who: &str, seen: &Observation) {
        self.library.learn(who, seen);
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Stops => self.stopping = true,
            Observation::Dials => {
                self.unreliable.remove(who);
                self.connections.remove(who);
                self.answered.remove(who);
            }
            Observation::Lost { how: "FIN" } => {
                self.answered.insert(who.into());
            }
            Observation::Kicked | Observation::Ended { .. } => self.ousts(who),
            Observation::Strays { how } if *how != "half-closes" => self.doubt(who),
            // Behind a FIN in good order nothing is lost.
            Observation::Injected { .. } | Observation::Lost { how: "RST" } => self.doubt(who),
            Observation::AsksToPublish { name, publication } => {
                self.asks(at, who, name, *publication);
            }
            Observation::Publishes { name } => {
                if let (Some(name), Some(asked)) = (self.names.get_mut(name), self.asked.get(who)) {
                    name.current = Some(asked.clone());
                }
            }
            Observation::Told { code } if code == "NetStream.Publish.BadName" => {
                self.loses_its_name(who);
            }
            Observation::Sent {
                publication, frame, ..
            } => self.sends(at, (who.into(), *publication), frame),
            Observation::LetsGo { why } => {
                // With something unread that is a RST, which overtakes what is under way.
                let leaves = matches!(*why, "left" | "aborts" | "connects anew" | "is gone");
                if leaves && !self.answered.contains(who) {
                    self.doubt(who);
                }
                if let Some(publication) = self.asked.remove(who)
                    && let Some(record) = self.records.get_mut(&publication)
                {
                    record.over = true;
                    record.over_at = Some(at);
                    record.unsure = matches!(*why, "the server closed" | "the connection broke");
                    record.closed = (*why == "closes its stream").then_some(at);
                    if let Some(name) = self.names.get_mut(&record.name) {
                        name.open = name.open.saturating_sub(1);
                    }
                }
            }
            _ => {}
        }
    }

    fn asks(&mut self, at: Instant, who: &str, name: &Rc<str>, publication: usize) {
        let publication = (Rc::from(who), publication);
        let known = self.names.entry(name.clone()).or_default();
        known.asks += 1;
        known.open += 1;
        known.items += 2;
        let record = Record {
            name: name.clone(),
            asked_at: at,
            ask: known.asks,
            crowded: known.open > 1,
            sent: Vec::new(),
            closed: None,
            over: false,
            over_at: None,
            unsure: false,
            ousted: false,
            heir: None,
            doubtful: self.unreliable.contains(who),
        };
        self.records.insert(publication.clone(), record);
        let here = self.connections.entry(who.into()).or_default();
        here.push(publication.clone());
        self.last_asked.insert(who.into(), publication.clone());
        let before = self.asked.insert(who.into(), publication);
        let before = before.and_then(|before| self.records.get(&before));
        if let Some(name) = before.and_then(|before| self.names.get_mut(&before.name)) {
            name.open = name.open.saturating_sub(1);
        }
    }

    /// If it had the name: it was taken over, by whom can be said if only one has asked since.
    fn loses_its_name(&mut self, who: &str) {
        let Some(mine) = self.last_asked.get(who) else {
            return;
        };
        let Some(record) = self.records.get(mine).filter(|record| !record.crowded) else {
            return;
        };
        let ask = record.ask;
        let mut later = self.records.iter();
        let later: Vec<_> = later
            .by_ref()
            .filter(|(_, other)| other.name == record.name && other.ask > ask)
            .map(|(publication, _)| publication.clone())
            .collect();
        if let ([heir], Some(record)) = (&later[..], self.records.get_mut(mine)) {
            record.heir = Some(heir.clone());
        }
    }

    /// Who took the name of a publication over, if that is sure.
    pub(super) fn heir(&self, publication: &Publication) -> Option<&Publication> {
        self.records.get(publication)?.heir.as_ref()
    }

    /// When a publisher vanished without closing its stream, if it did, and nobody else has asked for its name.
    pub(super) fn vanished(&self, publication: &Publication) -> Option<Instant> {
        let record = self.records.get(publication)?;
        let by_itself = record.closed.is_none() && !record.unsure && !record.ousted;
        let alone = by_itself && !self.is_contested(publication);
        record.over_at.filter(|_| alone)
    }

    /// Whether it closed its stream, so that players must be told.
    pub(super) fn has_closed(&self, publication: &Publication) -> bool {
        let record = self.records.get(publication);
        // What a RST overtakes, the server never hears.
        record.is_none_or(|record| record.closed.is_some() && !record.doubtful)
    }

    /// What `who` has sent on its present connection, and what it still sends there, may be lost.
    fn doubt(&mut self, who: &str) {
        self.unreliable.insert(who.into());
        for publication in self.connections.get(who).into_iter().flatten() {
            if let Some(record) = self.records.get_mut(publication) {
                record.doubtful = true;
            }
        }
    }

    fn ousts(&mut self, who: &str) {
        for publication in self.connections.get(who).into_iter().flatten() {
            if let Some(record) = self.records.get_mut(publication) {
                record.ousted = true;
            }
        }
    }

    fn sends(&mut self, at: Instant, publication: Publication, frame: &Frame) {
        if let Some(record) = self.records.get_mut(&publication)
            && let Some(name) = self.names.get_mut(&record.name)
        {
            name.items += 1;
            name.bytes += frame.payload.len() as u64;
            record.sent.push((at, name.items));
        }
    }

    /// Which frame these bytes are.
    pub(super) fn find(&self, payload: &Bytes) -> Option<Rc<Entry>> {
        self.library.find(payload)
    }

    /// The frames of a publication so far.
    pub(super) fn frames(&self, publication: &Publication) -> Ref<'_, [Rc<Frame>]> {
        self.library.frames(publication)
    }

    /// What is known of a publication.
    pub(super) fn record(&self, publication: &Publication) -> Option<&Record> {
        self.records.get(publication)
    }

    /// What was allowed last of `name`.
    pub(super) fn current(&self, name: &str) -> Option<&Publication> {
        self.names.get(name)?.current.as_ref()
    }

    /// When the frame was sent.
    pub(super) fn sent_at(&self, publication: &Publication, index: usize) -> Option<Instant> {
        let (at, _) = self.records.get(publication)?.sent.get(index)?;
        Some(*at)
    }

    /// Whether the publisher's connection does nothing and suffers nothing that may lose its frames.
    pub(super) fn is_reliable(&self, publication: &Publication) -> bool {
        let record = self.records.get(publication);
        record.is_some_and(|record| !record.doubtful)
    }

    /// Whether somebody else has asked for the name, since or just before: then the end of this publication may be cut off.
    pub(super) fn is_contested(&self, publication: &Publication) -> bool {
        let record = self.records.get(publication);
        record.is_none_or(|record| {
            let name = self.names.get(&record.name);
            record.crowded || name.is_none_or(|name| name.asks != record.ask)
        })
    }

    /// Whether no ring can have let go of the frame because too many came after it.
    pub(super) fn has_room(&self, publication: &Publication, index: usize) -> bool {
        let (Some(climate), Some(record)) = (self.climate, self.records.get(publication)) else {
            return false;
        };
        let (Some((_, item)), Some(name)) = (record.sent.get(index), self.names.get(&record.name))
        else {
            return false;
        };
        if record.name.starts_with(TIGHT) {
            return false; // there one need not be behind a ring to lose frames
        }
        let after = name.items - item;
        after + 4 < climate.ring_frames as u64
    }

    /// How long what is sent now may take to a player, if anybody can say. Everything of the name may be under way
    /// before it.
    pub(super) fn settles(&self, publication: &Publication) -> Option<Duration> {
        let climate = self.climate.filter(|climate| climate.gentle)?;
        let record = self.records.get(publication)?;
        let name = self.names.get(&record.name)?;
        Some(climate.carries(name.bytes) + SLACK)
    }
}

/// For the server: mail between shards that comes late, tasks that wait for their turn.
const SLACK: Duration = Duration::from_millis(300);
