//! A graceful stop ends every connection in time.

use std::collections::BTreeSet;

use millstream::time::{Duration, Instant};

use super::Checker;
use super::climate::Climate;
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
            Observation::Stops => {
                self.stopping = Some(at);
                // With nobody there, no connection can be kept too long.
                self.stops += u64::from(!self.connected.is_empty());
            }
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

    fn exercised(&self) -> u64 {
        self.stops
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("connections let go by a stop", self.let_go)]
    }
}

/// Last words, and the way to the client.
const SLACK: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    /// Bob is connected when the server is told to stop, which takes a second; he looks so much later.
    fn judge(later: Duration, seen: &Observation) -> (Result<(), String>, [u64; 2]) {
        let mut checker = GracefulStop::default();
        let climate = Climate {
            mail: Duration::ZERO,
            merge: Duration::ZERO,
            latency: Duration::from_millis(10),
            steady: true,
            gentle: true,
            full: true,
            ring_frames: 100,
            few_streams: None,
            per_address: None,
            downstream: 65_536,
            drain: Duration::from_secs(1),
        };
        let mut see = |at, who, seen: &Observation| checker.observe_at(at, who, seen);
        let said = see(Instant::ZERO, "world", &Observation::Climate(climate))
            .and_then(|()| see(Instant::ZERO, "bob", &Observation::Connected))
            .and_then(|()| see(Instant::ZERO, "world", &Observation::Stops))
            .and_then(|()| see(Instant::ZERO + later, "bob", seen));
        (said, [checker.stops, checker.let_go])
    }

    #[test]
    fn a_connection_that_outlives_the_stop_is_found() {
        let stands = Observation::Stands {
            sent: 1,
            last_sent: Instant::ZERO,
        };
        let in_time = Duration::from_secs(1) + SLACK;
        assert_eq!(judge(in_time, &stands), (Ok(()), [1, 0]));
        let (late, _) = judge(in_time + Duration::from_millis(1), &stands);
        assert!(late.is_err());
        let lost = Observation::Lost { how: "FIN" };
        assert_eq!(judge(in_time, &lost), (Ok(()), [1, 1]));
    }
}
