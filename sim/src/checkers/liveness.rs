//! What a script was promised comes within its bound.

use std::collections::BTreeSet;

use super::Checker;
use crate::journal::Observation;

/// A client that waits for an answer, for frames or for the end of a stream, on a connection that still
/// stands, must get it. The scenario says how long that may take.
#[derive(Default)]
pub struct Liveness {
    /// Whose present connection a fault has ended or cut: it may wait for what never comes.
    excused: BTreeSet<String>,
    exercised: u64,
    /// The witnesses that the world calls once its faults are over got what they wait for.
    witnesses: u64,
}

/// The witness that plays.
pub const WITNESS: &str = "last-player";

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Dials => {
                self.excused.remove(who);
                Ok(())
            }
            Observation::Injected { .. } => {
                self.excused.insert(who.into());
                Ok(())
            }
            Observation::Starved { .. } if self.excused.contains(who) => Ok(()),
            Observation::Starved { what } => {
                self.exercised += 1;
                Err(format!("{who} waited in vain for {what}"))
            }
            Observation::Connected | Observation::Publishes { .. } | Observation::Plays { .. } => {
                self.exercised += 1;
                Ok(())
            }
            // Its stream ends only behind the frames that it waits for: it would have starved.
            Observation::LetsGo { why: "left" } if who == WITNESS => {
                self.witnesses += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("a fresh play after the faults", self.witnesses)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_in_vain_is_found() {
        let mut checker = Liveness::default();
        assert_eq!(checker.observe("bob", &Observation::Connected), Ok(()));
        let what = "10 frames".to_owned();
        let starved = Observation::Starved { what };
        assert!(checker.observe("bob", &starved).is_err());
    }

    #[test]
    fn a_cut_connection_excuses_until_the_next() {
        let mut checker = Liveness::default();
        let starved = Observation::Starved { what: "x".into() };
        let cut = Observation::Injected { what: "cut" };
        assert_eq!(checker.observe("bob", &cut), Ok(()));
        assert_eq!(checker.observe("bob", &starved), Ok(()));
        assert!(checker.observe("alice", &starved).is_err());
        assert_eq!(checker.observe("bob", &Observation::Dials), Ok(()));
        assert!(checker.observe("bob", &starved).is_err());
    }
}
