//! A graceful stop ends every connection in time, and asks those to come back who know how.

use std::collections::BTreeSet;

use millstream::time::{Duration, Instant};

use super::Checker;
use super::climate::Climate;
use super::needless::REFUSALS;
use crate::journal::Observation;

/// Invariant 20 of the reference, as clients see it: once the server is told to stop, whoever is connected is let go.
/// (That the server itself ends within its drain time, the world judges.) Who has said that it knows ReconnectRequest and
/// is let go before the drain time is over, has been asked.
#[derive(Default)]
pub struct GracefulStop {
    climate: Option<Climate>,
    stopping: Option<Instant>,
    connected: BTreeSet<String>,
    /// Who has said on its present connection that it knows ReconnectRequest.
    reconnects: BTreeSet<String>,
    /// Whose present connection something else than a stop may end.
    excused: BTreeSet<String>,
    /// Who was connected when the stop came, and must be asked before its connection ends.
    owed: BTreeSet<String>,
    let_go: u64,
    stops: u64,
    asked: u64,
}

/// What a client is asked by.
const ASKED: &str = "NetConnection.Connect.ReconnectRequest";

impl GracefulStop {
    fn excuse(&mut self, who: &str) {
        self.excused.insert(who.into());
        self.owed.remove(who);
    }

    /// `who` lost its connection at `at`.
    fn lost(&mut self, at: Instant, who: &str, how: &str) -> Result<(), String> {
        let was = self.connected.remove(who);
        self.let_go += u64::from(was && self.stopping.is_some());
        let owed = self.owed.remove(who);
        match (self.stopping, self.climate) {
            (Some(stopped), Some(climate))
                if owed && how == "FIN" && climate.steady && at < stopped + climate.drain =>
            {
                Err(format!(
                    "{who} can be asked to reconnect and was not: the server stopped without it"
                ))
            }
            _ => Ok(()),
        }
    }
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
                let both = self.connected.intersection(&self.reconnects);
                let owed = both.filter(|who| !self.excused.contains(*who));
                self.owed = owed.cloned().collect();
            }
            Observation::KnowsReconnect => {
                self.reconnects.insert(who.into());
            }
            Observation::Told { code } if code == ASKED => {
                self.asked += 1;
                self.owed.remove(who);
                if !self.reconnects.contains(who) {
                    return Err(format!(
                        "{who} is asked to reconnect and never said that it can be"
                    ));
                }
            }
            Observation::Told { code } if REFUSALS.contains(&&**code) => self.excuse(who),
            Observation::Strays { .. }
            | Observation::Injected { .. }
            | Observation::Kicked
            | Observation::Ended { .. } => self.excuse(who),
            Observation::Lost { how } => return self.lost(at, who, how),
            Observation::Dials => {
                self.connected.remove(who);
                self.reconnects.remove(who);
                self.excused.remove(who);
                self.owed.remove(who);
            }
            Observation::LetsGo {
                why: "left" | "aborts",
            } => {
                self.connected.remove(who);
                self.excuse(who);
            }
            Observation::LetsGo { why: "half-closes" } => self.excuse(who),
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
        vec![
            ("connections let go by a stop", self.let_go),
            ("clients asked to reconnect", self.asked),
        ]
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
            tight: None,
            per_address: None,
            downstream: 65_536,
            on_conflict: millstream::config::OnConflict::Refuse,
            grace: Duration::ZERO,
            recorded: None,
            archive: None,
            drain: Duration::from_secs(1),
        };
        let mut see = |at, who, seen: &Observation| checker.observe_at(at, who, seen);
        let said = see(Instant::ZERO, "world", &Observation::Climate(climate))
            .and_then(|()| see(Instant::ZERO, "bob", &Observation::Connected))
            .and_then(|()| see(Instant::ZERO, "world", &Observation::Stops))
            .and_then(|()| see(Instant::ZERO + later, "bob", seen));
        (said, [checker.stops, checker.let_go])
    }

    /// Bob can be asked to reconnect, and is connected when the server is told to stop, which takes a second; then he sees
    /// that, each thing 10 ms after the other.
    fn judge_asked(steady: bool, history: &[Observation]) -> (Result<(), String>, u64) {
        let mut checker = GracefulStop::default();
        let climate = Climate {
            steady,
            drain: Duration::from_secs(1),
            ..Climate::of(&crate::generate::scenario(0))
        };
        let before = [
            Observation::Climate(climate),
            Observation::Dials,
            Observation::KnowsReconnect,
            Observation::Connected,
            Observation::Stops,
        ];
        let mut at = Instant::ZERO;
        let mut said = Ok(());
        for seen in before.iter().chain(history) {
            said = said.and_then(|()| checker.observe_at(at, "bob", seen));
            at = at + Duration::from_millis(10);
        }
        (said, checker.asked)
    }

    #[test]
    fn who_knows_how_to_reconnect_is_asked() {
        let lost = || Observation::Lost { how: "FIN" };
        let told = |code: &str| Observation::Told { code: code.into() };
        assert_eq!(judge_asked(true, &[told(ASKED), lost()]), (Ok(()), 1));
        let shutdown = told("NetConnection.Connect.AppShutdown");
        assert!(judge_asked(true, &[shutdown, lost()]).0.is_err());
        assert!(judge_asked(true, &[lost()]).0.is_err());
        assert_eq!(judge_asked(false, &[lost()]), (Ok(()), 0), "the net may");
        for excuse in [
            told(REFUSALS[0]),
            Observation::Kicked,
            Observation::Strays {
                how: "reads slowly",
            },
            Observation::LetsGo { why: "half-closes" },
        ] {
            assert_eq!(judge_asked(true, &[excuse, lost()]), (Ok(()), 0));
        }
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
