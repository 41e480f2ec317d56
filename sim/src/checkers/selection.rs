//! What a player gets is an ordered selection of whole published messages, unaltered, of its own stream.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Invariants 1 and 8 of the reference. Headers may come again; everything else moves forward only, publications too.
#[derive(Default)]
pub struct Selection {
    library: Library,
    /// Per player: the publications it has seen, the last being the current one, and the last index of media.
    players: BTreeMap<String, Player>,
    /// Who publishes what: its present publication.
    asked: BTreeMap<String, Publication>,
    /// Whose present publication the server has said to begin.
    allowed: BTreeSet<String>,
    /// Per publication, when it was asked for and when it was over, by a clock that ticks with every such event.
    lives: BTreeMap<Publication, (u64, Option<u64>)>,
    clock: u64,
    exercised: u64,
    successions: u64,
}

#[derive(Default)]
struct Player {
    past: Vec<Publication>,
    now: Option<(Publication, Option<usize>)>,
}

impl Selection {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    /// What follows another publication had not ended before somebody asked for that.
    fn follows(&mut self, who: &str, entry: &Entry) -> Result<(), String> {
        let now = self.players.get(who).and_then(|player| player.now.as_ref());
        let Some((old, _)) = now.filter(|(old, _)| *old != entry.publication) else {
            return Ok(());
        };
        self.successions += 1;
        let over = self.lives.get(&entry.publication);
        let over = over.and_then(|(_, over)| *over);
        let asked = self.lives.get(old).map(|(asked, _)| *asked);
        match (over, asked) {
            (Some(over), Some(asked)) if over < asked => Err(format!(
                "{who} got #{} of {} behind media of {}, who came when that was over",
                entry.index, entry.publication.0, old.0
            )),
            _ => Ok(()),
        }
    }
}

impl Checker for Selection {
    fn name(&self) -> &'static str {
        "ordered selection"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::AsksToPublish { publication, .. } => {
                self.clock += 1;
                self.allowed.remove(who);
                let publication = (Rc::from(who), *publication);
                self.lives.insert(publication.clone(), (self.clock, None));
                self.asked.insert(who.into(), publication);
                Ok(())
            }
            // What follows on half a connection is still of it, and the server may close one that its client has left
            // for another.
            Observation::LetsGo { why } if !["half-closes", "the server closed"].contains(why) => {
                self.clock += 1;
                // One that was never allowed while its client looked may begin behind its end: it is still under way.
                let allowed = self.allowed.remove(who);
                if let Some(publication) = self.asked.remove(who)
                    && let Some((_, over)) = self.lives.get_mut(&publication)
                {
                    *over = allowed.then_some(self.clock);
                }
                Ok(())
            }
            Observation::Publishes { .. } => {
                self.allowed.insert(who.into());
                Ok(())
            }
            Observation::AsksToPlay { .. } => {
                self.players.insert(who.into(), Player::default());
                Ok(())
            }
            Observation::Received { name, payload, .. } => {
                if is_servers_own(payload) {
                    return Ok(());
                }
                self.exercised += 1;
                let Some(entry) = self.library.find(payload) else {
                    return Err(format!(
                        "{who} got {} bytes of {name} that nobody published",
                        payload.len()
                    ));
                };
                if entry.name != *name {
                    return Err(format!(
                        "{who} plays {name} and got a frame of {}",
                        entry.name
                    ));
                }
                self.follows(who, &entry)?;
                let player = self.players.entry(who.into()).or_default();
                player.take(who, &entry)
            }
            _ => Ok(()),
        }
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("publications behind others", self.successions)]
    }
}

impl Player {
    fn take(&mut self, who: &str, entry: &Entry) -> Result<(), String> {
        let by = |entry: &Entry| format!("#{} of {}", entry.index, entry.publication.0);
        if self.past.contains(&entry.publication) {
            return Err(format!(
                "{who} got {} after a later publication had begun",
                by(entry)
            ));
        }
        if self
            .now
            .as_ref()
            .is_none_or(|(now, _)| *now != entry.publication)
            && let Some((old, _)) = self.now.replace((entry.publication.clone(), None))
        {
            self.past.push(old);
        }
        let Some((_, last)) = &mut self.now else {
            return Ok(());
        };
        if entry.frame.sort.is_header() {
            return Ok(());
        }
        if let Some(last) = last
            && entry.index <= *last
        {
            return Err(format!("{who} got {} after #{last}", by(entry)));
        }
        *last = Some(entry.index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream::rtmp::wire::MediaKind;

    use super::super::testing::{broadcast, frames, received, received_bytes, sent};
    use super::*;

    #[test]
    fn a_selection_with_repeated_headers_passes() {
        let frames = frames("alice", 0, 9);
        let mut checker = Selection::default();
        let picks = [0, 1, 2, 3, 4, 0, 1, 2, 6, 7];
        assert_eq!(broadcast(&mut checker, &frames, &picks), Ok(()));
        assert_eq!(checker.exercised(), 10);
    }

    #[test]
    fn a_repeated_a_reordered_an_altered_and_an_unknown_frame_are_found() {
        let frames = frames("alice", 0, 9);
        for picks in [[3, 3], [4, 3]] {
            let mut checker = Selection::default();
            assert!(broadcast(&mut checker, &frames, &picks).is_err());
        }
        let mut checker = Selection::default();
        assert_eq!(broadcast(&mut checker, &frames, &[3]), Ok(()));
        let mut altered = frames[4].payload.to_vec();
        altered[20] ^= 1;
        let altered = received_bytes(MediaKind::Video, Bytes::from(altered));
        assert!(checker.observe("bob", &altered).is_err());
        let torn = received_bytes(MediaKind::Video, frames[4].payload.slice(..20));
        assert!(checker.observe("bob", &torn).is_err());
    }

    #[test]
    fn a_frame_of_another_stream_or_of_a_past_publication_is_found() {
        let first = frames("alice", 0, 5);
        let second = frames("carol", 0, 5);
        let mut checker = Selection::default();
        assert_eq!(broadcast(&mut checker, &first, &[0, 3]), Ok(()));
        for (index, frame) in second.iter().enumerate() {
            assert_eq!(checker.observe("carol", &sent(0, index, frame)), Ok(()));
        }
        assert_eq!(checker.observe("bob", &received(&second[3])), Ok(()));
        assert!(checker.observe("bob", &received(&first[4])).is_err());

        let mut elsewhere = received(&second[4]);
        if let Observation::Received { name, .. } = &mut elsewhere {
            *name = "live/other".into();
        }
        assert!(checker.observe("dave", &elsewhere).is_err());
    }
}
