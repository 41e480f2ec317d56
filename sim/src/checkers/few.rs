//! What an application has of its own is kept: so many streams, and players that do not wait for ever.

use std::collections::{BTreeMap, BTreeSet};

use super::Checker;
use super::climate::Climate;
use crate::journal::Observation;

/// In the application `few` no more publish at any time than it may have streams, and who plays what nobody publishes has
/// been told so when it has waited for long enough.
#[derive(Default)]
pub struct FewStreams {
    climate: Option<Climate>,
    publishing: BTreeSet<String>,
    /// Who plays in vain, and whether it has been told.
    vain: BTreeMap<String, bool>,
    exercised: u64,
    told: u64,
}

const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

impl Checker for FewStreams {
    fn name(&self) -> &'static str {
        "what an application has of its own"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Publishes { name } if name.starts_with("few/") => {
                self.publishing.insert(who.into());
                self.exercised += 1;
                let most = self.climate.and_then(|climate| climate.few_streams);
                if let Some(most) = most.filter(|most| self.publishing.len() > *most) {
                    return Err(format!(
                        "{who} publishes, with whom there are {} where {most} may be",
                        self.publishing.len()
                    ));
                }
            }
            Observation::AsksToPlay { name } if &**name == "few/nothing" => {
                self.vain.insert(who.into(), false);
            }
            Observation::Told { code } if code == NOT_FOUND => {
                if let Some(told) = self.vain.get_mut(who) {
                    *told = true;
                }
            }
            // A connection that was lost has heard nothing.
            Observation::Lost { .. } => {
                self.vain.remove(who);
                self.publishing.remove(who);
            }
            Observation::LetsGo { .. } => {
                self.publishing.remove(who);
                match self.vain.remove(who) {
                    Some(false) => {
                        return Err(format!(
                            "{who} was not told that nobody publishes few/nothing"
                        ));
                    }
                    Some(true) => self.told += 1,
                    None => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("told that a stream is missing", self.told)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Few, Scenario};

    fn checker(streams: usize) -> FewStreams {
        let text = r#"{"format": 1, "seed": 1, "clients": []}"#;
        let mut scenario: Scenario = serde_json::from_str(text).unwrap();
        scenario.server.few = Some(Few {
            streams,
            wait_max_ms: None,
        });
        let mut checker = FewStreams::default();
        let climate = Observation::Climate(Climate::of(&scenario));
        checker.observe("world", &climate).unwrap();
        checker
    }

    #[test]
    fn one_stream_too_many_is_found() {
        let mut checker = checker(1);
        let publishes = |name: &str| Observation::Publishes { name: name.into() };
        let mut see = |who: &str, seen| checker.observe(who, &seen);
        see("a", publishes("few/a")).unwrap();
        see("b", publishes("live/b")).unwrap();
        see("a", Observation::LetsGo { why: "aborts" }).unwrap();
        see("c", publishes("few/c")).unwrap();
        see("d", publishes("few/d")).unwrap_err();
    }

    #[test]
    fn who_was_not_told_is_found() {
        let asks = || Observation::AsksToPlay {
            name: "few/nothing".into(),
        };
        let told = || Observation::Told {
            code: NOT_FOUND.into(),
        };
        let leaves = || Observation::LetsGo { why: "left" };
        let mut checker = checker(1);
        checker.observe("a", &asks()).unwrap();
        checker.observe("a", &told()).unwrap();
        checker.observe("a", &leaves()).unwrap();
        checker.observe("a", &asks()).unwrap();
        checker.observe("a", &leaves()).unwrap_err();
        checker.observe("a", &asks()).unwrap();
        checker
            .observe("a", &Observation::Lost { how: "RST" })
            .unwrap();
    }
}
