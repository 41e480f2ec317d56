//! Whoever plays is told once that a publisher has gone.

use std::collections::{BTreeMap, BTreeSet};

use millstream::config::OnConflict;
use millstream::time::{Duration, Instant, Timestamp};

use super::hub::Hub;
use super::library::Library;
use super::timestamps::goes_on;
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Invariant 7 of the reference: between the media of two publications, and never twice in a row, comes
/// `UnpublishNotify`. One who reads slowly, holds the stream or has fallen behind may have lost it along with
/// frames: what counts is who had everything of the first publication and begins the second at its beginning.
///
/// Where a publisher that vanished may come back, players hear nothing of that for as long as the stream waits, and time
/// goes on for them if it does.
#[derive(Default)]
pub struct Notices {
    library: Library,
    hub: Hub,
    players: BTreeMap<String, Player>,
    excused: BTreeSet<String>,
    small_rings: bool,
    exercised: u64,
    resumed: u64,
    graces: u64,
}

/// Clocks of the server's threads differ a little in how fast they are.
const CLOCKS: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Player {
    /// The publication it gets, the last frame of it, and that one's time.
    now: Option<(Publication, usize, Timestamp)>,
    /// It was told that nobody publishes, and has heard of no other publisher since.
    told: bool,
}

impl Notices {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            hub: Hub::over(library.clone()),
            library,
            ..Self::default()
        }
    }
}

impl Checker for Notices {
    fn name(&self) -> &'static str {
        "the end of a stream is told once"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.hub.learn(at, who, seen);
        match seen {
            Observation::Dials => {
                self.excused.remove(who);
            }
            Observation::SmallRings => self.small_rings = true,
            Observation::Strays { .. } | Observation::Pauses | Observation::GoesBack => {
                self.excused.insert(who.into());
            }
            Observation::AsksToPlay { .. } => {
                self.players.insert(who.into(), Player::default());
            }
            Observation::Told { code } => return self.told(at, who, code),
            Observation::Received {
                payload, timestamp, ..
            } if !is_servers_own(payload) => {
                let Some(entry) = self.library.find(payload) else {
                    return Ok(());
                };
                let player = self.players.entry(who.into()).or_default();
                let told = std::mem::take(&mut player.told);
                let now = (entry.publication.clone(), entry.index, *timestamp);
                let before = player.now.replace(now);
                let Some((before, last, time)) =
                    before.filter(|(old, ..)| *old != entry.publication)
                else {
                    return Ok(());
                };
                let sent = self.library.frames(&before).len();
                let fell_behind = self.small_rings || last + 1 < sent || entry.index > 0;
                if fell_behind || self.excused.contains(who) {
                    return Ok(());
                }
                self.exercised += 1;
                let may_resume = self
                    .hub
                    .climate
                    .is_some_and(|climate| climate.on_conflict == OnConflict::Resume);
                if !told && may_resume && !self.hub.has_closed(&before) {
                    self.resumed += 1;
                    return goes_on(who, time, *timestamp);
                }
                if !told {
                    return Err(format!(
                        "{who} gets {} and was not told that {} has gone",
                        entry.publication.0, before.0
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

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("publishers that came back unnoticed", self.resumed),
            ("publishers that did not come back in time", self.graces),
        ]
    }
}

impl Notices {
    fn told(&mut self, at: Instant, who: &str, code: &str) -> Result<(), String> {
        let player = self.players.entry(who.into()).or_default();
        match code {
            "NetStream.Play.PublishNotify" => {
                player.told = false;
            }
            "NetStream.Play.UnpublishNotify" => {
                self.exercised += 1;
                let twice = std::mem::replace(&mut player.told, true);
                if let Some((publication, ..)) = player.now.take()
                    && let Some(vanished) = self.hub.vanished(&publication)
                    && let Some(climate) = self.hub.climate.filter(|climate| climate.steady)
                    && !climate.grace.is_zero()
                    && !self.hub.stopping
                {
                    self.graces += 1;
                    if at + CLOCKS < vanished + climate.grace {
                        return Err(format!(
                            "{who} is told that {} has gone {} ms after that, and it may come back for {} ms",
                            publication.0,
                            at.since(vanished).as_millis(),
                            climate.grace.as_millis()
                        ));
                    }
                }
                // One who held the stream may have lost the word of a publisher that came and went.
                if twice && !self.small_rings && !self.excused.contains(who) {
                    return Err(format!("{who} is told twice that the publisher has gone"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::climate::Climate;
    use super::super::testing::{broadcast, frames, name, received, sent};
    use super::*;

    fn judge(codes: &[&str]) -> Result<(), String> {
        let mut checker = Notices::with(Library::default());
        broadcast(&mut checker, &frames("alice", 0, 5), &[0, 3, 4])?;
        for code in codes {
            let code = format!("NetStream.Play.{code}");
            checker.observe_at(Instant::ZERO, "bob", &Observation::Told { code })?;
        }
        let second = frames("carol", 0, 5);
        for (index, frame) in second.iter().enumerate() {
            checker.observe_at(Instant::ZERO, "carol", &sent(0, index, frame))?;
        }
        checker.observe_at(Instant::ZERO, "bob", &received(&second[0]))
    }

    #[test]
    fn once_between_two_publications_passes() {
        assert_eq!(judge(&["UnpublishNotify", "PublishNotify"]), Ok(()));
        assert_eq!(judge(&["UnpublishNotify"]), Ok(()));
    }

    /// Of one who may come back, closed its stream, and then `strays`.
    fn resumed(strays: &'static str) -> Result<(), String> {
        let mut checker = Notices::with(Library::default());
        let mut see = |who: &str, seen: &Observation| checker.observe_at(Instant::ZERO, who, seen);
        let climate = Climate {
            on_conflict: OnConflict::Resume,
            ..Climate::of(&crate::generate::scenario(0))
        };
        see("world", &Observation::Climate(climate))?;
        let (first, second) = (frames("alice", 0, 5), frames("carol", 0, 5));
        for (who, frames) in [("alice", &first), ("carol", &second)] {
            let (name, publication) = (name(), 0);
            see(who, &Observation::AsksToPublish { name, publication })?;
            for (index, frame) in frames.iter().enumerate() {
                see(who, &sent(0, index, frame))?;
            }
            let why = "closes its stream";
            see(who, &Observation::LetsGo { why })?;
            see(who, &Observation::Strays { how: strays })?;
        }
        for frame in [&first[0], &first[4], &second[0]] {
            see("bob", &received(frame))?;
        }
        Ok(())
    }

    #[test]
    fn one_whose_last_words_were_cut_off_may_come_back_unnoticed() {
        assert_eq!(resumed("is cut off"), Ok(()));
        assert!(resumed("half-closes").is_err());
    }

    #[test]
    fn never_and_twice_are_found() {
        assert!(judge(&[]).is_err());
        assert!(judge(&["PublishNotify"]).is_err());
        assert!(judge(&["UnpublishNotify", "UnpublishNotify"]).is_err());
    }
}
