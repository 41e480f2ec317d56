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
}

#[derive(Clone)]
struct Client {
    dialled: Instant,
    /// Since when it has had nothing to do, as far as it knows.
    idle: Option<Instant>,
    /// Since when it publishes; or when it last sent something of that, pings answered and parts of messages left out.
    publishes: Option<Instant>,
    plays: Option<Rc<str>>,
    /// It does not read: since when, and how much had been sent of what it plays.
    deaf: Option<(Instant, u64)>,
    /// When more was sent of that than can be under way to it.
    blocked: Option<Instant>,
    /// When it read again after that, too late to be borne with.
    woke: Option<Instant>,
}

/// Timers are checked lazily, and the way is long.
const SLACK: Duration = Duration::from_secs(4);

const STALL: &str = "a stalled write";

impl Client {
    fn new(at: Instant) -> Self {
        Self {
            dialled: at,
            idle: Some(at),
            publishes: None,
            plays: None,
            deaf: None,
            blocked: None,
            woke: None,
        }
    }

    /// It reads: in time, or what was under way when the server should have closed it.
    fn reads(&mut self, at: Instant) {
        self.deaf = None;
        match self.blocked {
            Some(blocked) if at >= blocked + limits::WRITE_STALL => {
                self.woke.get_or_insert(at);
            }
            _ => self.blocked = None,
        }
    }

    /// What should have ended it, and when.
    fn due(&self, sent: u64, last_sent: Instant) -> Option<(&'static str, Instant)> {
        if let Some(blocked) = self.blocked {
            return Some((STALL, blocked + limits::WRITE_STALL));
        }
        if sent < HANDSHAKE {
            return Some(("a handshake", self.dialled + limits::HANDSHAKE_TIME));
        }
        if let Some(last_media) = self.publishes {
            return Some(("a silent publisher", last_media + limits::PUBLISHER_IDLE));
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
            if let Some(client) = self.clients.get_mut(who) {
                client.publishes = client.publishes.map(|_| at);
            }
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
            Observation::AsksToPublish { .. }
            | Observation::AsksToPlay { .. }
            | Observation::AsksToView { .. } => client.idle = None,
            Observation::Publishes { .. } => client.publishes = Some(at),
            Observation::Plays { name } => {
                client.plays = Some(name.clone());
                client.idle = None;
            }
            Observation::LetsGo {
                why: "closes its stream",
            } => {
                client.publishes = None;
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
            }
            Observation::Received { .. } | Observation::Viewed { .. } => client.reads(at),
            Observation::Stands { sent, last_sent } => {
                let due = client.due(*sent, *last_sent);
                let seen = client.woke.take().unwrap_or(at);
                (client.deaf, client.blocked) = (None, None);
                if let Some((what, due)) = due
                    && self.climate.is_some_and(|climate| climate.steady)
                    && seen > due + SLACK
                {
                    let late = seen.since(due).as_millis();
                    return Err(format!("{what} of {who} is {late} ms overdue"));
                }
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
            ("stalled writes timed out", count(STALL)),
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
        let kinds = [(0, client.dialled), (HANDSHAKE, client.dialled)];
        for (sent, last_sent) in kinds {
            if let Some((what, due)) = client.due(sent, last_sent)
                && at >= due
                // Who does not read hears of it late.
                && (what == STALL || at.since(due) <= SLACK)
            {
                *self.fired.entry(what).or_default() += 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, name, received, sent};
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn climate() -> Climate {
        Climate {
            mail: Duration::ZERO,
            merge: Duration::ZERO,
            latency: Duration::ZERO,
            steady: true,
            gentle: true,
            ring_frames: 100,
            full: true,
            few_streams: None,
            tight: None,
            per_address: None,
            downstream: 100,
            drain: Duration::ZERO,
            on_conflict: millstream::config::OnConflict::Refuse,
            grace: Duration::ZERO,
            recorded: None,
            archive: None,
        }
    }

    /// What `bob` did (at so many seconds), and then his connection stands, or was lost.
    fn judge(history: &[(u64, Observation)], end: u64, sent: u64) -> (bool, u64) {
        let mut checker = Timeouts::default();
        let climate = climate();
        let mut see = |secs, who: &str, seen: &Observation| checker.observe_at(at(secs), who, seen);
        see(0, "world", &Observation::Climate(climate)).unwrap();
        see(0, "bob", &Observation::Dials).unwrap();
        for (secs, seen) in history {
            let sends = matches!(seen, Observation::Sent { .. });
            see(*secs, if sends { "alice" } else { "bob" }, seen).unwrap();
        }
        let stands = Observation::Stands {
            sent,
            last_sent: at(1),
        };
        let overdue = see(end, "bob", &stands).is_err();
        let mut checker = Timeouts {
            climate: Some(climate),
            ..Timeouts::default()
        };
        checker
            .observe_at(at(0), "bob", &Observation::Dials)
            .unwrap();
        for (secs, seen) in history {
            checker.observe_at(at(*secs), "bob", seen).unwrap();
        }
        let lost = Observation::Lost { how: "RST" };
        checker.observe_at(at(end - 4), "bob", &lost).unwrap();
        (overdue, checker.exercised())
    }

    #[test]
    fn each_timeout_has_its_time() {
        assert!(!judge(&[], 14, 5).0);
        assert_eq!(judge(&[], 15, 5), (true, 1), "handshake");
        assert!(!judge(&[], 20, HANDSHAKE).0);
        assert_eq!(judge(&[], 21, HANDSHAKE), (true, 1), "idle");
        let publishes = [(1, Observation::Publishes { name: name() })];
        assert!(!judge(&publishes, 35, HANDSHAKE).0);
        assert!(judge(&publishes, 36, HANDSHAKE).0, "silent publisher");
        let frames = frames("alice", 0, 4);
        let stalls = [
            (1, Observation::Plays { name: name() }),
            (2, Observation::Strays { how: "is silent" }),
            (3, sent(0, 3, &frames[3])),
        ];
        assert!(!judge(&stalls, 37, HANDSHAKE).0);
        assert_eq!(judge(&stalls, 38, HANDSHAKE), (true, 1), "stalled write");
        assert_eq!(judge(&stalls[..1], 300, HANDSHAKE), (false, 0), "plays");
    }

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// Bob plays and reads nothing from 0 on; more is sent than can be under way; he reads again at `woke`, and his
    /// connection stands.
    fn stalled(woke: u64) -> (Timeouts, Result<(), String>) {
        let mut checker = Timeouts::default();
        let climate = climate();
        let mut see = |t, who: &str, seen: &Observation| checker.observe_at(ms(t), who, seen);
        let frames = frames("alice", 0, 20);
        see(0, "world", &Observation::Climate(climate)).unwrap();
        see(0, "bob", &Observation::Dials).unwrap();
        see(0, "bob", &Observation::Plays { name: name() }).unwrap();
        see(0, "bob", &Observation::Strays { how: "is silent" }).unwrap();
        for (index, frame) in frames.iter().enumerate() {
            see(10, "alice", &sent(0, index, frame)).unwrap();
        }
        see(woke, "bob", &received(&frames[0])).unwrap();
        let stands = Observation::Stands {
            sent: HANDSHAKE,
            last_sent: ms(0),
        };
        let verdict = see(woke + 100, "bob", &stands);
        (checker, verdict)
    }

    #[test]
    fn a_stall_that_is_borne_too_long_is_found_when_its_client_reads_again() {
        assert_eq!(stalled(20_000).1, Ok(()));
        assert_eq!(stalled(32_000).1, Ok(()), "within the slack");
        assert!(stalled(36_000).1.is_err());
    }

    #[test]
    fn a_stalled_client_hears_of_its_end_late() {
        let lost = |woke| {
            let (mut checker, _) = stalled(20_000);
            let lost = Observation::Lost { how: "RST" };
            let client = checker.clients.get_mut("bob").unwrap();
            client.blocked = Some(ms(10));
            client.reads(ms(woke));
            checker.observe_at(ms(woke), "bob", &lost).unwrap();
            checker.exercised()
        };
        assert_eq!(lost(36_000), 1);
        assert_eq!(lost(20_000), 0, "it had read in time");
    }
}
