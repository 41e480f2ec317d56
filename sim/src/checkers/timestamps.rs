//! Time goes forward for whoever plays.

use std::collections::BTreeMap;

use millstream::time::Timestamp;

use super::library::Library;
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Invariant 2 of the reference. Our publishers' timestamps never go backwards (they wrap), so a player's may
/// not either, within a publication; media keeps the time it was published with, and repeated headers take
/// that of their place.
#[derive(Default)]
pub struct Timestamps {
    library: Library,
    /// Per player: the newest time of the publication it gets.
    players: BTreeMap<String, (Publication, Timestamp)>,
    exercised: u64,
}

impl Timestamps {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }
}

impl Checker for Timestamps {
    fn name(&self) -> &'static str {
        "time goes forward"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::AsksToPlay { .. } => {
                self.players.remove(who);
            }
            Observation::Received {
                timestamp, payload, ..
            } if !is_servers_own(payload) => {
                // Unknown bytes are the business of `Selection`.
                let Some(entry) = self.library.find(payload) else {
                    return Ok(());
                };
                self.exercised += 1;
                let (index, published) = (entry.index, entry.frame.timestamp);
                if !entry.frame.sort.is_header() && *timestamp != published {
                    return Err(format!(
                        "{who} got #{index} of {} ms with the time {} ms",
                        published.0, timestamp.0
                    ));
                }
                let now = (entry.publication.clone(), *timestamp);
                if let Some((publication, last)) = self.players.insert(who.into(), now)
                    && publication == entry.publication
                    && timestamp.since(last) < 0
                {
                    return Err(format!(
                        "{who} got #{index} at {} ms after {} ms",
                        timestamp.0, last.0
                    ));
                }
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
    use super::super::testing::{frames, received, sent};
    use super::*;

    fn judge(times: &[(usize, u32)]) -> Result<(), String> {
        let mut checker = Timestamps::default();
        let frames = frames("alice", 0, 8);
        for (index, frame) in frames.iter().enumerate() {
            checker.observe("alice", &sent(0, index, frame))?;
        }
        for (index, time) in times {
            let mut seen = received(&frames[*index]);
            if let Observation::Received { timestamp, .. } = &mut seen {
                *timestamp = Timestamp(*time);
            }
            checker.observe("bob", &seen)?;
        }
        Ok(())
    }

    #[test]
    fn repeated_headers_take_the_time_of_their_place() {
        // Pictures every 40 ms: #3 at 0.
        assert_eq!(
            judge(&[(0, 0), (3, 0), (4, 40), (1, 120), (6, 120)]),
            Ok(())
        );
    }

    #[test]
    fn a_step_back_and_an_altered_time_are_found() {
        assert!(judge(&[(3, 0), (4, 40), (1, 0)]).is_err(), "an old header");
        assert!(judge(&[(1, 80), (3, 0)]).is_err(), "a header too young");
        assert!(judge(&[(4, 41)]).is_err(), "altered");
    }
}
