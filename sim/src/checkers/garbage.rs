//! Whoever offends is out, and soon.

use std::collections::BTreeMap;

use millstream::time::{Duration, Instant};

use super::Checker;
use super::tap::{Heard, What};
use crate::journal::Observation;

/// Invariant 14 of the reference: a connection that sends what can be nothing but malice or another protocol is closed,
/// within bound. (That nobody else is closed with it, and that nothing panics, others judge.)
#[derive(Default)]
pub struct Garbage {
    /// Connections that have offended: since when, and how.
    offenders: BTreeMap<String, (Instant, &'static str)>,
    steady: bool,
    narrow: bool,
    exercised: u64,
}

/// Windows of links on which whoever reads nothing has most of its answers still waiting.
const NARROW: usize = 128 * 1_024;

/// From the offence to the close: the way there and back, stalls, and all that was under way before.
const TIME: Duration = Duration::from_secs(5);

impl Checker for Garbage {
    fn name(&self) -> &'static str {
        "offenders are closed"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            // Of what is asked a window more is answered than waits.
            Observation::Climate(climate) => {
                self.steady = climate.steady;
                self.narrow = climate.downstream <= NARROW;
            }
            Observation::Breaks { how } if self.narrow && how.starts_with("asks") => {
                self.offenders.insert(who.into(), (at, how));
            }
            Observation::Dials | Observation::Injected { .. } => {
                self.offenders.remove(who);
            }
            Observation::Breaks { how } => {
                self.offenders.entry(who.into()).or_insert((at, how));
            }
            Observation::Lost { .. } => {
                self.exercised += u64::from(self.offenders.remove(who).is_some());
            }
            Observation::Stands { .. } if self.steady => {
                if let Some((since, how)) = self.offenders.get(who)
                    && at.since(*since) > TIME
                {
                    return Err(format!(
                        "{who} {how} and its connection stands {} ms later",
                        at.since(*since).as_millis()
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn overhear(&mut self, at: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        if let What::Offends(how) = heard.what {
            self.offenders.insert(who.into(), (at, how));
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

    #[test]
    fn one_that_stays_is_found() {
        let offends = Heard {
            sent: 0,
            what: What::Offends("babbles"),
        };
        stays(|checker| checker.overhear(Instant::ZERO, "eve", &offends));
        let breaks = Observation::Breaks { how: "babbles" };
        stays(|checker| checker.observe_at(Instant::ZERO, "eve", &breaks));
    }

    fn stays(offend: impl Fn(&mut Garbage) -> Result<(), String>) {
        let mut checker = Garbage {
            steady: true,
            ..Garbage::default()
        };
        assert_eq!(offend(&mut checker), Ok(()));
        let stands = Observation::Stands {
            sent: 1,
            last_sent: Instant::ZERO,
        };
        let late = Instant::ZERO + TIME;
        assert_eq!(checker.observe_at(late, "eve", &stands), Ok(()));
        let late = late + Duration::from_millis(1);
        assert!(checker.observe_at(late, "eve", &stands).is_err());
        let lost = Observation::Lost { how: "RST" };
        assert_eq!(checker.observe_at(late, "eve", &lost), Ok(()));
        assert_eq!(checker.exercised(), 1);
    }
}
