//! A graceful stop ends every connection in time.

use std::collections::BTreeSet;

use millstream::time::{Duration, Instant};

use super::climate::Climate;
use super::{Checker, Leftovers};
use crate::journal::Observation;

/// Invariant 20 of the reference, as clients see it: once the server is told to stop, whoever is connected is let go.
/// (That the server itself ends within its drain time, the world judges.)
#[derive(Default)]
pub struct GracefulStop {
    climate: Option<Climate>,
    stopping: Option<Instant>,
    connected: BTreeSet<String>,
    let_go: u64,
    stops: u64,
}

impl Checker for GracefulStop {
    fn name(&self) -> &'static str {
        "a graceful stop"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Climate(climate) => self.climate = Some(*climate),
            Observation::Connected => {
                self.connected.insert(who.into());
            }
            Observation::Stops => self.stopping = Some(at),
            Observation::Lost { .. } => {
                let was = self.connected.remove(who);
                self.let_go += u64::from(was && self.stopping.is_some());
            }
            Observation::Dials
            | Observation::LetsGo {
                why: "left" | "aborts",
            } => {
                self.connected.remove(who);
            }
            Observation::Stands { .. } => {
                if let (Some(stopped), Some(climate)) = (self.stopping, self.climate)
                    && climate.steady
                    && self.connected.contains(who)
                    && at > stopped + climate.drain + SLACK
                {
                    let late = at.since(stopped).as_millis();
                    return Err(format!(
                        "{who} still has its connection {late} ms after the server was told to stop"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &Leftovers) -> Result<(), String> {
        self.stops += u64::from(self.stopping.is_some());
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.stops
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("connections let go by a stop", self.let_go)]
    }
}

/// Last words, and the way to the client.
const SLACK: Duration = Duration::from_secs(6);
