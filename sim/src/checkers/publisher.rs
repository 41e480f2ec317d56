//! At most one publisher a name at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Checker;
use crate::journal::Observation;

/// Invariant 6 of the reference. A client holds a name from the moment it is told so until it, or either
/// end of its connection, lets go.
#[derive(Default)]
pub struct OnePublisher {
    /// Name → who holds it.
    holders: BTreeMap<Rc<str>, String>,
    /// Who has let go and not asked again: a permission still on its way to them counts no more.
    gone: BTreeSet<String>,
    /// Whose present connection a fault has ended: the server's word on it, still under way, counts no more.
    cut_off: BTreeSet<String>,
    exercised: u64,
}

impl Checker for OnePublisher {
    fn name(&self) -> &'static str {
        "one publisher a name"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Connected | Observation::AsksToPublish { .. } => {
                self.gone.remove(who);
            }
            Observation::Dials => {
                self.cut_off.remove(who);
            }
            Observation::Injected { .. } => {
                self.cut_off.insert(who.into());
            }
            Observation::Publishes { name }
                if !self.gone.contains(who) && !self.cut_off.contains(who) =>
            {
                self.exercised += 1;
                if let Some(holder) = self.holders.insert(name.clone(), who.into()) {
                    return Err(format!("{who} may publish {name} while {holder} does"));
                }
            }
            Observation::LetsGo { .. } => {
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
}

#[cfg(test)]
mod tests {
    use super::super::testing::name;
    use super::*;

    #[test]
    fn one_after_the_other_passes_and_two_at_once_are_found() {
        let publishes = Observation::Publishes { name: name() };
        let asks = Observation::AsksToPublish {
            name: name(),
            publication: 0,
        };
        let lets_go = Observation::LetsGo { why: "closed" };
        let mut checker = OnePublisher::default();
        assert_eq!(checker.observe("alice", &publishes), Ok(()));
        assert_eq!(checker.observe("bob", &lets_go), Ok(()));
        assert_eq!(checker.observe("alice", &lets_go), Ok(()));
        assert_eq!(checker.observe("bob", &asks), Ok(()));
        assert_eq!(checker.observe("bob", &publishes), Ok(()));
        assert_eq!(
            checker.observe("alice", &publishes),
            Ok(()),
            "came too late"
        );
        assert_eq!(checker.observe("alice", &asks), Ok(()));
        assert!(checker.observe("alice", &publishes).is_err());
        assert_eq!(checker.exercised(), 3);
    }
}
