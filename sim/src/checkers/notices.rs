//! Whoever plays is told once that a publisher has gone.

use std::collections::{BTreeMap, BTreeSet};

use super::library::Library;
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Invariant 7 of the reference: between the media of two publications, and never twice in a row, comes
/// `UnpublishNotify`. One who reads slowly, holds the stream or has fallen behind may have lost it along with
/// frames: what counts is who had everything of the first publication and begins the second at its beginning.
#[derive(Default)]
pub struct Notices {
    library: Library,
    players: BTreeMap<String, Player>,
    excused: BTreeSet<String>,
    small_rings: bool,
    exercised: u64,
}

#[derive(Default)]
struct Player {
    /// The publication it gets, and the last frame of it.
    now: Option<(Publication, usize)>,
    /// It was told that nobody publishes, and has heard of no other publisher since.
    told: bool,
}

impl Notices {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }
}

impl Checker for Notices {
    fn name(&self) -> &'static str {
        "the end of a stream is told once"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::Dials => {
                self.excused.remove(who);
            }
            Observation::SmallRings => self.small_rings = true,
            Observation::Strays { .. } | Observation::Pauses => {
                self.excused.insert(who.into());
            }
            Observation::AsksToPlay { .. } => {
                self.players.insert(who.into(), Player::default());
            }
            Observation::Told { code } => return self.told(who, code),
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                let Some(entry) = self.library.find(payload) else {
                    return Ok(());
                };
                let player = self.players.entry(who.into()).or_default();
                let told = std::mem::take(&mut player.told);
                let now = (entry.publication.clone(), entry.index);
                let before = player.now.replace(now);
                let Some((before, last)) = before.filter(|(old, _)| *old != entry.publication)
                else {
                    return Ok(());
                };
                let sent = self.library.frames(&before).len();
                let fell_behind = self.small_rings || last + 1 < sent || entry.index > 0;
                if fell_behind || self.excused.contains(who) {
                    return Ok(());
                }
                self.exercised += 1;
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
}

impl Notices {
    fn told(&mut self, who: &str, code: &str) -> Result<(), String> {
        let player = self.players.entry(who.into()).or_default();
        match code {
            "NetStream.Play.PublishNotify" => {
                player.told = false;
            }
            "NetStream.Play.UnpublishNotify" => {
                self.exercised += 1;
                let twice = std::mem::replace(&mut player.told, true);
                player.now = None;
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
    use super::super::testing::{broadcast, frames, received, sent};
    use super::*;

    fn judge(codes: &[&str]) -> Result<(), String> {
        let mut checker = Notices::default();
        broadcast(&mut checker, &frames("alice", 0, 5), &[0, 3, 4])?;
        for code in codes {
            let code = format!("NetStream.Play.{code}");
            checker.observe("bob", &Observation::Told { code })?;
        }
        let second = frames("carol", 0, 5);
        for (index, frame) in second.iter().enumerate() {
            checker.observe("carol", &sent(0, index, frame))?;
        }
        checker.observe("bob", &received(&second[0]))
    }

    #[test]
    fn once_between_two_publications_passes() {
        assert_eq!(judge(&["UnpublishNotify", "PublishNotify"]), Ok(()));
        assert_eq!(judge(&["UnpublishNotify"]), Ok(()));
    }

    #[test]
    fn never_and_twice_are_found() {
        assert!(judge(&[]).is_err());
        assert!(judge(&["PublishNotify"]).is_err());
        assert!(judge(&["UnpublishNotify", "UnpublishNotify"]).is_err());
    }
}
