//! The server closes nobody without a reason.

use std::collections::BTreeSet;

use super::Checker;
use crate::journal::Observation;

/// A client that did nothing a server may close it for, whose connection no fault ended, and who was not
/// refused, keeps its connection until it leaves or the server is told to stop.
#[derive(Default)]
pub struct NoNeedlessClose {
    /// Whose present connection may be closed.
    excused: BTreeSet<String>,
    stopping: bool,
    /// Who has asked to play a recording, and plays nothing.
    asks: BTreeSet<String>,
    exercised: u64,
}

/// Answers after which a server may close.
pub(super) const REFUSALS: [&str; 3] = [
    "NetStream.Publish.BadName",
    "NetConnection.Connect.Rejected",
    "NetConnection.Connect.InvalidApp",
];

impl Checker for NoNeedlessClose {
    fn name(&self) -> &'static str {
        "no needless close"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Dials => {
                self.excused.remove(who);
            }
            // It kept its connection for as long as it wanted.
            Observation::LetsGo {
                why: "half-closes" | "left" | "aborts" | "connects anew",
            } if !self.stopping && !self.excused.contains(who) => self.exercised += 1,
            Observation::Strays { .. } | Observation::Injected { .. } => {
                self.excused.insert(who.into());
            }
            Observation::Told { code } if REFUSALS.contains(&&**code) => {
                self.excused.insert(who.into());
            }
            Observation::AsksToView {
                appended: false, ..
            } => {
                self.asks.insert(who.into());
            }
            Observation::Told { code } if code == "NetStream.Play.Start" => {
                self.asks.remove(who);
            }
            // Its disk may have taken so long that the time in which it has to find something to do is over.
            Observation::Unplayable { .. } if self.asks.contains(who) => {
                self.excused.insert(who.into());
            }
            Observation::Stops => self.stopping = true,
            Observation::Lost { how } if !self.stopping && !self.excused.contains(who) => {
                return Err(format!(
                    "{who} did nothing wrong and lost its connection ({how})"
                ));
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
    use super::*;

    fn judge(history: &[Observation]) -> Result<(), String> {
        let mut checker = NoNeedlessClose::default();
        checker.observe("bob", &Observation::Dials)?;
        for seen in history {
            checker.observe("bob", seen)?;
        }
        checker.observe("bob", &Observation::Lost { how: "FIN" })
    }

    #[test]
    fn a_close_for_no_reason_is_found() {
        assert!(judge(&[]).is_err());
        assert!(judge(&[Observation::Connected]).is_err());
        let slow = Observation::Strays {
            how: "reads slowly",
        };
        assert!(
            judge(&[slow, Observation::Dials]).is_err(),
            "that was on the connection before"
        );
    }

    #[test]
    fn a_close_for_a_reason_passes() {
        let reasons = [
            Observation::Strays {
                how: "reads slowly",
            },
            Observation::Injected {
                what: "the connection is reset",
            },
            Observation::Told {
                code: REFUSALS[0].into(),
            },
            Observation::Stops,
        ];
        for reason in reasons {
            assert_eq!(judge(&[reason]), Ok(()));
        }
    }
}
