//! What an operator wants is done, and told to whom it concerns.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream::time::{Duration, Instant};

use super::climate::Climate;
use super::library::Library;
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Whom an operator closes is told what has ended, and its connection ends; so it is with the publisher of a stream that
/// an operator ends, and whoever had something of that is told that it has gone. (That it concerns nobody else, and that
/// the name is free then, others judge.)
#[derive(Default)]
pub struct Orders {
    climate: Option<Climate>,
    library: Library,
    clients: BTreeMap<String, Client>,
    closed: u64,
    told: u64,
}

#[derive(Default)]
struct Client {
    plays: Option<Rc<str>>,
    publishes: bool,
    /// What it has last had something of.
    got: Option<Publication>,
    /// It does what may cost it a word, or its connection.
    strays: bool,
    doom: Option<Doom>,
    /// What it plays was ended then.
    owed: Option<Instant>,
}

/// What an operator has ordered.
struct Doom {
    since: Instant,
    /// What is to be said before the end.
    word: Option<&'static str>,
}

const UNPUBLISHED: &str = "NetStream.Unpublish.Success";
const STOPPED: &str = "NetStream.Play.Stop";
const GONE: &str = "NetStream.Play.UnpublishNotify";

/// By then it is done, if nothing else takes its time.
const SLACK: Duration = Duration::from_millis(1_500);

impl Orders {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn is_gentle(&self) -> bool {
        self.climate.is_some_and(|climate| climate.gentle)
    }

    /// Whether what was ordered then should be done.
    fn is_due(&self, since: Instant, at: Instant) -> bool {
        let due = |climate: Climate| since + SLACK + climate.latency * 8 + climate.merge < at;
        self.is_gentle() && self.climate.is_some_and(due)
    }

    /// What `who` publishes is ended: its players are to hear of it.
    fn ends(&mut self, at: Instant, who: &str, name: &Rc<str>) {
        for client in self.clients.values_mut() {
            let got = client.got.as_ref();
            let had_some = got.is_some_and(|publication| &*publication.0 == who);
            if had_some && !client.strays && client.plays.as_ref() == Some(name) {
                client.owed.get_or_insert(at);
            }
        }
        if let Some(client) = self.clients.get_mut(who)
            && client.plays.is_none()
        {
            let word = client.publishes.then_some(UNPUBLISHED);
            client.doom = Some(Doom { since: at, word });
        }
    }

    fn loses(&mut self, who: &str, how: &str) -> Result<(), String> {
        let doom = self.clients.remove(who).and_then(|client| {
            let strays = client.strays;
            client.doom.map(|doom| (doom, strays))
        });
        let Some((doom, strays)) = doom else {
            return Ok(());
        };
        self.closed += 1;
        match doom.word {
            Some(word) if how == "FIN" && !strays && self.is_gentle() => Err(format!(
                "an operator had the connection of {who} closed, which was not told {word}"
            )),
            _ => Ok(()),
        }
    }

    fn stands(&self, at: Instant, who: &str) -> Result<(), String> {
        let Some(client) = self.clients.get(who) else {
            return Ok(());
        };
        if let Some(doom) = &client.doom
            && self.is_due(doom.since, at)
        {
            let late = at.since(doom.since).as_millis();
            return Err(format!(
                "{who} still has its connection {late} ms after an operator wanted it closed"
            ));
        }
        if let Some(owed) = client.owed
            && !client.strays
            && self.is_due(owed, at)
        {
            let late = at.since(owed).as_millis();
            return Err(format!(
                "{who} has not been told in {late} ms that an operator has ended what it plays"
            ));
        }
        Ok(())
    }

    /// What a client does and hears.
    fn note(&mut self, at: Instant, who: &str, seen: &Observation) {
        let library = &self.library;
        let Some(client) = self.clients.get_mut(who) else {
            return;
        };
        match seen {
            Observation::Strays { .. } | Observation::Pauses | Observation::Picks { .. } => {
                client.strays = true;
            }
            Observation::AsksToPlay { .. } => {
                (client.plays, client.got, client.owed) = (None, None, None);
            }
            Observation::Plays { name } => client.plays = Some(name.clone()),
            Observation::Publishes { .. } => client.publishes = true,
            Observation::LetsGo {
                why: "closes its stream",
            } => {
                (client.plays, client.owed, client.publishes) = (None, None, false);
                if let Some(doom) = &mut client.doom {
                    doom.word = None;
                }
            }
            Observation::Kicked => {
                let word = match (client.publishes, &client.plays) {
                    (true, _) => Some(UNPUBLISHED),
                    (false, Some(_)) => Some(STOPPED),
                    (false, None) => None,
                };
                client.doom = Some(Doom { since: at, word });
            }
            Observation::Told { code } => {
                if let Some(doom) = &mut client.doom
                    && doom.word == Some(code)
                {
                    doom.word = None;
                    self.told += 1;
                }
                if code == GONE && client.owed.take().is_some() {
                    self.told += 1;
                }
                if code == UNPUBLISHED {
                    client.publishes = false;
                }
                if code == "NetStream.Play.StreamNotFound" {
                    client.plays = None;
                }
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                if let Some(entry) = library.find(payload) {
                    client.got = Some(entry.publication.clone());
                }
            }
            _ => {}
        }
    }
}

impl Checker for Orders {
    fn name(&self) -> &'static str {
        "an operator's orders"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Dials => {
                self.clients.insert(who.into(), Client::default());
            }
            Observation::LetsGo {
                why: "left" | "aborts" | "connects anew",
            } => {
                self.clients.remove(who);
            }
            Observation::Injected { what } if !what.starts_with("an operator") => {
                self.clients.remove(who);
            }
            // Everybody is closed then, and told something else.
            Observation::Stops => self.clients.clear(),
            Observation::Ended { name } => self.ends(at, who, name),
            Observation::Lost { how } => return self.loses(who, how),
            Observation::Stands { .. } => return self.stands(at, who),
            _ => self.note(at, who, seen),
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.closed
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("words about an operator's orders", self.told)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, name, received, sent};
    use super::*;
    use crate::scenario::Scenario;

    fn world() -> Orders {
        let text = r#"{"format": 1, "seed": 1, "clients": []}"#;
        let scenario: Scenario = serde_json::from_str(text).unwrap();
        let mut checker = Orders::default();
        let climate = Observation::Climate(Climate::of(&scenario));
        let frame = &frames("alice", 0, 1)[0];
        for (who, seen) in [
            ("world", climate),
            ("alice", Observation::Dials),
            ("bob", Observation::Dials),
            ("alice", Observation::Publishes { name: name() }),
            ("bob", Observation::Plays { name: name() }),
            ("alice", sent(0, 0, frame)),
            ("bob", received(frame)),
        ] {
            checker.observe_at(Instant::ZERO, who, &seen).unwrap();
        }
        checker
    }

    fn told(code: &str) -> Observation {
        Observation::Told { code: code.into() }
    }

    const FIN: Observation = Observation::Lost { how: "FIN" };

    fn stands() -> Observation {
        Observation::Stands {
            sent: 1,
            last_sent: Instant::ZERO,
        }
    }

    #[test]
    fn who_is_closed_without_a_word_or_not_at_all_is_found() {
        for (who, word) in [("alice", UNPUBLISHED), ("bob", STOPPED)] {
            let late = Instant::ZERO + Duration::from_secs(4);
            let mut checker = world();
            let mut see = |at, seen| checker.observe_at(at, who, &seen);
            see(Instant::ZERO, Observation::Kicked).unwrap();
            see(Instant::ZERO, stands()).unwrap();
            see(late, stands()).unwrap_err();
            see(late, FIN).unwrap_err();
            let mut checker = world();
            let mut see = |seen| checker.observe_at(Instant::ZERO, who, &seen);
            see(Observation::Kicked).unwrap();
            see(told(word)).unwrap();
            see(FIN).unwrap();
            assert_eq!((checker.closed, checker.told), (1, 1));
        }
    }

    #[test]
    fn players_of_what_is_ended_must_hear_of_it() {
        let late = Instant::ZERO + Duration::from_secs(4);
        let ended = Observation::Ended { name: name() };
        for tell in [false, true] {
            let mut checker = world();
            checker.observe_at(Instant::ZERO, "alice", &ended).unwrap();
            if tell {
                let gone = told(GONE);
                checker.observe_at(Instant::ZERO, "bob", &gone).unwrap();
            }
            let verdict = checker.observe_at(late, "bob", &stands());
            assert_eq!(verdict.is_ok(), tell, "{verdict:?}");
        }
    }
}
