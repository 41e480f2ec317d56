//! Slow players slow nobody down.

use std::collections::{BTreeMap, BTreeSet};

use millstream::time::Instant;

use super::hub::Hub;
use super::library::Library;
use super::{Checker, is_servers_own};
use crate::journal::Observation;

/// Invariant 16 of the reference: on good links a frame takes no longer than the links need, from a publisher to a player
/// who do nothing wrong, whoever else reads slowly or not at all. Counted where somebody does.
#[derive(Default)]
pub struct Promptness {
    hub: Hub,
    /// Who plays, and since when.
    players: BTreeMap<String, Instant>,
    /// Whose present connection is not what it should be.
    strays: BTreeSet<String>,
    /// Who reads slowly or not at all just now.
    slow: BTreeSet<String>,
    exercised: u64,
}

impl Promptness {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            hub: Hub::over(library),
            ..Self::default()
        }
    }
}

impl Checker for Promptness {
    fn name(&self) -> &'static str {
        "slow players slow nobody down"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.hub.learn(at, who, seen);
        match seen {
            Observation::Dials => {
                self.strays.remove(who);
                self.slow.remove(who);
                self.players.remove(who);
                if let Some(first) = who.strip_suffix("/2") {
                    self.strays.extend([who.to_owned(), first.to_owned()]);
                }
            }
            Observation::Strays { how } => {
                self.strays.insert(who.into());
                if matches!(*how, "reads slowly" | "is silent") {
                    self.slow.insert(who.into());
                }
            }
            Observation::Pauses => {
                self.strays.insert(who.into());
            }
            Observation::Lost { .. } | Observation::LetsGo { .. } => {
                self.slow.remove(who);
            }
            Observation::Plays { .. } => {
                self.players.insert(who.into(), at);
            }
            Observation::AsksToPlay { .. } => {
                self.players.remove(who);
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                return self.receive(at, who, payload);
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

impl Promptness {
    fn receive(&mut self, at: Instant, who: &str, payload: &bytes::Bytes) -> Result<(), String> {
        let (Some(entry), Some(since), false) = (
            self.hub.find(payload),
            self.players.get(who),
            self.strays.contains(who),
        ) else {
            return Ok(());
        };
        let publication = &entry.publication;
        let sent = self.hub.sent_at(publication, entry.index);
        let (Some(sent), Some(settles), true, false) = (
            sent.filter(|sent| sent > since && !entry.frame.sort.is_header()),
            self.hub.settles(publication),
            self.hub.is_reliable(publication),
            self.strays.contains(&*publication.0),
        ) else {
            return Ok(());
        };
        self.exercised += u64::from(!self.slow.is_empty());
        if at.since(sent) > settles {
            return Err(format!(
                "{who} got #{} of {} {} ms after it was sent, and it takes {} ms at most",
                entry.index,
                publication.0,
                at.since(sent).as_millis(),
                settles.as_millis()
            ));
        }
        Ok(())
    }
}
