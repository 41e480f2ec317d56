//! A model of the live hub, from outside: which publications there were of each name, what was sent in them and when,
//! and how long it may take to arrive. Who must see what follows from that.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream::time::{Duration, Instant};

use super::climate::Climate;
use super::{Entry, Library, Publication};
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
    /// Whose connections fail or may be closed: what they sent may be lost.
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
    /// Per frame: when it was sent, and which of the name's items it is.
    sent: Vec<(Instant, u64)>,
    /// When it was closed, if in good order: behind its last frame.
    pub(super) closed: Option<Instant>,
    /// It is over, however it ended.
    pub(super) over: bool,
}

impl Hub {
    /// Takes in what `who` did.
    pub(super) fn learn(&mut self, at: Instant, who: &str, seen: &Observation) {
        self.library.learn(who, seen);
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Stops => self.stopping = true,
            Observation::Dials => {
                self.unreliable.remove(who);
                self.answered.remove(who);
            }
            Observation::Lost { how: "FIN" } => {
                self.answered.insert(who.into());
            }
            Observation::Strays { how } if *how != "half-closes" => {
                self.unreliable.insert(who.into());
            }
            // Behind a FIN in good order nothing is lost.
            Observation::Injected { .. } | Observation::Lost { how: "RST" } => {
                self.unreliable.insert(who.into());
            }
            Observation::AsksToPublish { name, publication } => {
                self.asks(at, who, name, *publication);
            }
            Observation::Publishes { name } => {
                if let (Some(name), Some(asked)) = (self.names.get_mut(name), self.asked.get(who)) {
                    name.current = Some(asked.clone());
                }
            }
            Observation::Sent {
                publication, frame, ..
            } => self.sends(at, (who.into(), *publication), frame),
            Observation::LetsGo { why } => {
                // With something unread that is a RST, which overtakes what is under way.
                let leaves = matches!(*why, "left" | "aborts" | "connects anew");
                if leaves && !self.answered.contains(who) {
                    self.unreliable.insert(who.into());
                    // Its next connection is another, but the end of what it closed on this one may be lost.
                    let who: Rc<str> = Rc::from(who);
                    let past = (who.clone(), 0)..=(who, usize::MAX);
                    self.records
                        .range_mut(past)
                        .for_each(|(_, record)| record.closed = None);
                }
                if let Some(publication) = self.asked.remove(who)
                    && let Some(record) = self.records.get_mut(&publication)
                {
                    record.over = true;
                    record.closed = (*why == "closes its stream").then_some(at);
                }
            }
            _ => {}
        }
    }

    fn asks(&mut self, at: Instant, who: &str, name: &Rc<str>, publication: usize) {
        let publication = (Rc::from(who), publication);
        let known = self.names.entry(name.clone()).or_default();
        known.asks += 1;
        known.items += 2;
        let record = Record {
            name: name.clone(),
            asked_at: at,
            ask: known.asks,
            sent: Vec::new(),
            closed: None,
            over: false,
        };
        self.records.insert(publication.clone(), record);
        self.asked.insert(who.into(), publication);
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
    pub(super) fn find(&self, payload: &Bytes) -> Option<&Entry> {
        self.library.find(payload)
    }

    /// The frames of a publication so far.
    pub(super) fn frames(&self, publication: &Publication) -> &[Rc<Frame>] {
        let frames = self.library.frames.get(publication);
        frames.map(Vec::as_slice).unwrap_or_default()
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
        !self.unreliable.contains(&*publication.0)
    }

    /// Whether somebody has asked for the name since: then the end of this publication may be cut off.
    pub(super) fn is_contested(&self, publication: &Publication) -> bool {
        let record = self.records.get(publication);
        record.is_none_or(|record| {
            self.names
                .get(&record.name)
                .is_none_or(|n| n.asks != record.ask)
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
