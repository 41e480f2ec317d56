//! Whoever does nothing is not waited for.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream::limits;
use millstream::time::{Duration, Instant};

use super::Checker;
use super::climate::Climate;
use super::tap::HANDSHAKE;
use crate::journal::Observation;

/// Invariant 17 of the reference: a handshake that is not completed, a connection that asks for nothing, a publisher that
/// falls silent and a player that reads nothing are cut off within the promised time and some slack.
#[derive(Default)]
pub struct Timeouts {
    climate: Option<Climate>,
    clients: BTreeMap<String, Client>,
    /// Per name: bytes sent so far.
    bytes: BTreeMap<Rc<str>, u64>,
    fired: BTreeMap<&'static str, u64>,
    pinged: u64,
}

#[derive(Clone)]
struct Client {
    dialled: Instant,
    /// Since when it has had nothing to do, as far as it knows.
    idle: Option<Instant>,
    publishes: bool,
    plays: Option<Rc<str>>,
    /// It does not read: since when, and how much had been sent of what it plays.
    deaf: Option<(Instant, u64)>,
    /// When more was sent of that than can be under way to it.
    blocked: Option<Instant>,
    /// It read nothing for so long that its connection must have ended meanwhile: since when.
    stalled: Option<Instant>,
    /// It reads at its leisure: a ping may be late, and its answer.
    slow: bool,
}

/// Timers are checked lazily, and the way is long.
const SLACK: Duration = Duration::from_secs(4);

impl Client {
    fn new(at: Instant) -> Self {
        Self {
            dialled: at,
            idle: Some(at),
            publishes: false,
            plays: None,
            deaf: None,
            blocked: None,
            stalled: None,
            slow: false,
        }
    }

    /// It reads again. What was under way when it was cut off may come still.
    fn hears(&mut self, at: Instant) {
        let blocked = self.blocked.take();
        let long = |blocked: &Instant| at >= *blocked + limits::WRITE_STALL;
        self.stalled = self.stalled.or(blocked.filter(long));
        self.deaf = None;
    }

    /// What should have ended it, and when.
    fn due(&self, sent: u64, last_sent: Instant) -> Option<(&'static str, Instant)> {
        if let Some(blocked) = self.stalled.or(self.blocked) {
            return Some(("a stalled write", blocked + limits::WRITE_STALL));
        }
        if sent < HANDSHAKE {
            return Some(("a handshake", self.dialled + limits::HANDSHAKE_TIME));
        }
        if self.publishes {
            return Some(("a silent publisher", last_sent + limits::PUBLISHER_IDLE));
        }
        if self.plays.is_some() {
            // It answers by itself, and is not cut off.
            let hears = self.deaf.is_none() && !self.slow;
            return hears.then_some(("a ping", last_sent + limits::PING_INTERVAL));
        }
        // The handshake may have taken all its time.
        let idle = self
            .idle?
            .max(last_sent.min(self.dialled + limits::HANDSHAKE_TIME));
        Some(("an idle connection", idle + limits::COMMAND_TIME))
    }
}

impl Checker for Timeouts {
    fn name(&self) -> &'static str {
        "timeouts fire in time"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        if let Observation::Sent { name, frame, .. } = seen {
            return self.sends(at, name, frame.payload.len() as u64);
        }
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Dials => {
                self.clients.insert(who.into(), Client::new(at));
            }
            Observation::Lost { .. } => {
                if let Some(client) = self.clients.remove(who) {
                    self.loses(at, &client);
                }
            }
            _ => {}
        }
        let Some(client) = self.clients.get_mut(who) else {
            return Ok(());
        };
        match seen {
            Observation::AsksToPublish { .. } | Observation::AsksToPlay { .. } => {
                client.idle = None
            }
            Observation::Publishes { .. } => client.publishes = true,
            Observation::Plays { name } => {
                client.plays = Some(name.clone());
                client.idle = None;
            }
            Observation::LetsGo {
                why: "closes its stream",
            } => {
                client.publishes = false;
                client.plays = None;
                client.idle = Some(at);
            }
            Observation::LetsGo {
                why: "left" | "aborts" | "connects anew",
            } => {
                self.clients.remove(who);
            }
            Observation::Strays { how: "is silent" } => {
                let name = client.plays.as_ref();
                let sent = name.and_then(|name| self.bytes.get(name)).copied();
                client.deaf = Some((at, sent.unwrap_or(0)));
                client.blocked = None;
            }
            Observation::Strays {
                how: "reads slowly",
            } => client.slow = true,
            Observation::Received { .. } => client.hears(at),
            Observation::Stands { sent, last_sent } => {
                if let Some((what, due)) = client.due(*sent, *last_sent)
                    && self.climate.is_some_and(|climate| climate.steady)
                    && at > due + SLACK
                {
                    let late = at.since(due).as_millis();
                    return Err(format!("{what} of {who} is {late} ms overdue"));
                }
                self.pinged += u64::from(
                    client.plays.is_some()
                        && at.since(client.dialled) > limits::PING_INTERVAL + SLACK,
                );
                (client.deaf, client.blocked, client.stalled) = (None, None, None);
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.fired.values().sum()
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        let count = |what| self.fired.get(what).copied().unwrap_or(0);
        vec![
            ("handshakes timed out", count("a handshake")),
            ("idle connections timed out", count("an idle connection")),
            ("silent publishers timed out", count("a silent publisher")),
            ("stalled writes timed out", count("a stalled write")),
            ("players asked whether they are there", self.pinged),
        ]
    }
}

impl Timeouts {
    fn sends(&mut self, at: Instant, name: &Rc<str>, bytes: u64) -> Result<(), String> {
        let total = self.bytes.entry(name.clone()).or_default();
        *total += bytes;
        let under_way = self
            .climate
            .map_or(u64::MAX, |climate| climate.downstream as u64);
        for client in self.clients.values_mut() {
            if let (Some((_, before)), Some(plays), None) =
                (client.deaf, &client.plays, client.blocked)
                && plays == name
                && *total - before > under_way
            {
                client.blocked = Some(at);
            }
        }
        Ok(())
    }

    /// The connection was ended: by a timeout, if one was due.
    fn loses(&mut self, at: Instant, client: &Client) {
        // It hears of it when it reads again.
        let stalled = client.stalled.or(client.blocked);
        if stalled.is_some_and(|since| at >= since + limits::WRITE_STALL) {
            *self.fired.entry("a stalled write").or_default() += 1;
            return;
        }
        let kinds = [(0, client.dialled), (HANDSHAKE, client.dialled)];
        for (sent, last_sent) in kinds {
            if let Some((what, due)) = client.due(sent, last_sent)
                && at >= due
                && at.since(due) <= SLACK
            {
                *self.fired.entry(what).or_default() += 1;
                return;
            }
        }
    }
}
