//! At most one publisher a name at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream::config::OnConflict;
use millstream::time::{Duration, Instant};

use super::Checker;
use super::climate::Climate;
use crate::journal::Observation;

/// Invariant 6 of the reference. A client holds a name from the moment it is told so until it, or either
/// end of its connection, lets go. Where names are taken over, the first of two is told so soon.
#[derive(Default)]
pub struct OnePublisher {
    /// Name → who holds it.
    holders: BTreeMap<Rc<str>, String>,
    /// Who has let go and not asked again: a permission still on its way to them counts no more.
    gone: BTreeSet<String>,
    /// What becomes of the second publisher of a name.
    climate: Option<Climate>,
    /// Who was allowed to publish what it asked for last.
    allowed: BTreeSet<String>,
    /// Whose name somebody else was given, and when: it is to be told.
    displaced: BTreeMap<String, Instant>,
    /// Who does not read as it should on its present connection.
    strays: BTreeSet<String>,
    /// Whose present connection a fault has ended: the server's word on it, still under way, counts no more.
    cut_off: BTreeSet<String>,
    exercised: u64,
    takeovers: u64,
}

/// By then one whose name was taken over has heard of it; where all is gentle, soon.
const TOLD: Duration = Duration::from_secs(5);
const SOON_TOLD: Duration = Duration::from_secs(1);

impl OnePublisher {
    /// Whether `who` has heard of it, if somebody else was given its name. One that sends may not have read yet.
    fn has_been_told(&self, at: Instant, who: &str, sends: bool) -> Result<(), String> {
        let (Some(since), Some(climate)) = (self.displaced.get(who), self.climate) else {
            return Ok(());
        };
        let reads = !self.strays.contains(who) && !self.cut_off.contains(who);
        let late = match sends {
            true => climate.gentle && reads && *since + SOON_TOLD < at,
            false => climate.steady && *since + TOLD < at,
        };
        match late {
            true => Err(format!(
                "{who} has not been told that somebody else publishes its name now"
            )),
            false => Ok(()),
        }
    }
}

impl Checker for OnePublisher {
    fn name(&self) -> &'static str {
        "one publisher a name"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        let takes_over = self
            .climate
            .is_some_and(|climate| climate.on_conflict != OnConflict::Refuse);
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Told { code } if code == "NetStream.Publish.BadName" => {
                self.takeovers += u64::from(self.allowed.remove(who));
                self.displaced.remove(who);
                if self.holders.values().any(|holder| holder == who) {
                    // Its permission came late: it was the first of two, not the second.
                    self.displaced.clear();
                }
                self.holders.retain(|_, holder| holder != who);
            }
            Observation::Strays { .. } => {
                self.strays.insert(who.into());
            }
            Observation::Sent { .. } | Observation::Stands { .. } => {
                return self.has_been_told(at, who, matches!(seen, Observation::Sent { .. }));
            }
            Observation::Connected | Observation::AsksToPublish { .. } => {
                self.allowed.remove(who);
                self.gone.remove(who);
            }
            Observation::Dials => {
                self.strays.remove(who);
                self.cut_off.remove(who);
            }
            Observation::Injected { .. } => {
                self.cut_off.insert(who.into());
            }
            Observation::Publishes { name }
                if !self.gone.contains(who) && !self.cut_off.contains(who) =>
            {
                self.exercised += 1;
                self.allowed.insert(who.into());
                let holder = self.holders.insert(name.clone(), who.into());
                if let Some(holder) = holder.filter(|holder| !takes_over || holder != who) {
                    if takes_over {
                        self.displaced.insert(holder, at);
                        return Ok(());
                    }
                    return Err(format!("{who} may publish {name} while {holder} does"));
                }
            }
            Observation::LetsGo { .. } => {
                self.displaced.remove(who);
                self.gone.insert(who.into());
                self.holders.retain(|_, holder| holder != who);
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("publishers whose name was taken over", self.takeovers)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::name;
    use super::*;

    fn see(checker: &mut OnePublisher, who: &str, seen: &Observation) -> Result<(), String> {
        checker.observe_at(Instant::ZERO, who, seen)
    }

    #[test]
    fn one_after_the_other_passes_and_two_at_once_are_found() {
        let publishes = Observation::Publishes { name: name() };
        let asks = Observation::AsksToPublish {
            name: name(),
            publication: 0,
        };
        let lets_go = Observation::LetsGo { why: "closed" };
        let mut checker = OnePublisher::default();
        assert_eq!(see(&mut checker, "alice", &publishes), Ok(()));
        assert_eq!(see(&mut checker, "bob", &lets_go), Ok(()));
        assert_eq!(see(&mut checker, "alice", &lets_go), Ok(()));
        assert_eq!(see(&mut checker, "bob", &asks), Ok(()));
        assert_eq!(see(&mut checker, "bob", &publishes), Ok(()));
        assert_eq!(
            see(&mut checker, "alice", &publishes),
            Ok(()),
            "came too late"
        );
        assert_eq!(see(&mut checker, "alice", &asks), Ok(()));
        assert!(see(&mut checker, "alice", &publishes).is_err());
        assert_eq!(checker.exercised(), 3);
    }

    #[test]
    fn one_whose_name_was_taken_over_must_hear_of_it() {
        let climate = |on_conflict| {
            let scenario = crate::generate::scenario(0);
            Observation::Climate(Climate {
                on_conflict,
                gentle: true,
                ..Climate::of(&scenario)
            })
        };
        let judge = |on_conflict, told: bool| {
            let mut checker = OnePublisher::default();
            see(&mut checker, "world", &climate(on_conflict))?;
            let publishes = Observation::Publishes { name: name() };
            see(&mut checker, "alice", &publishes)?;
            see(&mut checker, "bob", &publishes)?;
            if told {
                let code = "NetStream.Publish.BadName".into();
                see(&mut checker, "alice", &Observation::Told { code })?;
            }
            let frames = super::super::testing::frames("alice", 0, 1);
            let sends = super::super::testing::sent(0, 0, &frames[0]);
            let later = Instant::ZERO + Duration::from_secs(2);
            checker.observe_at(later, "alice", &sends)?;
            Ok::<u64, String>(checker.takeovers)
        };
        assert_eq!(judge(OnConflict::Takeover, true), Ok(1));
        assert!(judge(OnConflict::Takeover, false).is_err());
        assert!(judge(OnConflict::Refuse, true).is_err(), "two at once");
    }
}
