//! A flood is kept to its bounds, and keeps nobody out who comes after it.

use std::collections::BTreeSet;

use super::Checker;
use super::climate::Climate;
use crate::journal::Observation;

/// Of the flooders, who all come from one address, no more are connected at any time than an address may have; and they
/// alone are refused. (That those who come after the flood get in is what [`super::NoNeedlessClose`] asks.)
#[derive(Default)]
pub struct Bounds {
    climate: Option<Climate>,
    /// Who is on the way in.
    knocking: BTreeSet<String>,
    inside: BTreeSet<String>,
    exercised: u64,
    refused: u64,
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds on connections"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        if let Observation::Climate(climate) = seen {
            self.climate = Some(*climate);
        }
        if !who.starts_with("flooder-") {
            return Ok(());
        }
        match seen {
            Observation::Dials => drop(self.knocking.insert(who.into())),
            Observation::Connected => {
                self.knocking.remove(who);
                self.inside.insert(who.into());
                self.exercised += 1;
                let most = self.climate.and_then(|climate| climate.per_address);
                if let Some(most) = most.filter(|most| self.inside.len() > *most) {
                    return Err(format!(
                        "{} flooders are in, of at most {most} from one address",
                        self.inside.len()
                    ));
                }
            }
            Observation::Lost { .. } | Observation::LetsGo { .. } => {
                self.refused += u64::from(self.knocking.remove(who));
                self.inside.remove(who);
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("refused flooders", self.refused)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, ServerConfig};

    #[test]
    fn one_too_many_is_found_and_one_after_another_are_not() {
        let text = r#"{"format": 1, "seed": 1, "clients": []}"#;
        let mut scenario: Scenario = serde_json::from_str(text).unwrap();
        scenario.server = ServerConfig {
            connections_per_address: Some(1),
            ..ServerConfig::default()
        };
        let mut checker = Bounds::default();
        let climate = Observation::Climate(Climate::of(&scenario));
        checker.observe("world", &climate).unwrap();
        let mut see = |who: &str, seen: Observation| checker.observe(who, &seen);
        see("flooder-0", Observation::Connected).unwrap();
        see("alice", Observation::Connected).unwrap();
        see("flooder-1", Observation::Dials).unwrap();
        see("flooder-1", Observation::Lost { how: "FIN" }).unwrap();
        see("flooder-0", Observation::LetsGo { why: "aborts" }).unwrap();
        see("flooder-1", Observation::Connected).unwrap();
        see("flooder-2", Observation::Connected).unwrap_err();
        assert_eq!(checker.special_cases(), [("refused flooders", 1)]);
    }
}
