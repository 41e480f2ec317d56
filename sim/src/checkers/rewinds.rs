//! Who goes back in a live stream that is recorded gets what was published, without a hole, in the stream's own time; and
//! who holds it goes on behind what it has had.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;
use millstream::time::Timestamp;

use super::kept::{Follow, Kept};
use super::library::{Entry, Library};
use super::{Checker, Publication};
use crate::journal::Observation;
use crate::media::Sort;
use crate::scenario::Format;

/// See the module.
///
/// A hole is held against the server at the end only, if it has recorded all without a gap and its disk was well: before
/// that nobody knows.
#[derive(Default)]
pub struct Rewinds {
    library: Library,
    players: BTreeMap<String, Player>,
    /// The times that players were told of a publication's frames.
    times: BTreeMap<Publication, BTreeMap<usize, Timestamp>>,
    hole: Option<String>,
    /// What is live may be lost, too.
    harsh: bool,
    /// What is kept of streams, if they are recorded.
    recorded: Option<Kept>,
    exercised: u64,
    sought: u64,
    held: u64,
}

#[derive(Default)]
struct Player {
    /// Whose frames it has had last, how far, and whether there was a picture.
    last: Option<(Publication, Follow, bool)>,
    /// It has gone back.
    is_back: bool,
}

impl Rewinds {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn receive(
        &mut self,
        who: &str,
        (kind, time): (MediaKind, Timestamp),
        payload: &Bytes,
    ) -> Result<(), String> {
        let kept = self.recorded.unwrap_or_default();
        let found = self.library.find(payload);
        let Some(entry) = found.or_else(|| self.library.find_kept(kept, kind, payload)) else {
            return Ok(()); // for others to judge
        };
        if entry.frame.sort.is_header() {
            return Ok(());
        }
        let player = match self.players.get_mut(who) {
            Some(player) => player,
            None => self.players.entry(who.to_owned()).or_default(),
        };
        let times = match self.times.get_mut(&entry.publication) {
            Some(times) => times,
            None => self.times.entry(entry.publication.clone()).or_default(),
        };
        let known = *times.entry(entry.index).or_insert(time);
        if player.is_back && known != time {
            return Err(format!(
                "#{} of {} had the time {} before, and {} for {who}, who is back in it",
                entry.index, entry.publication.0, known.0, time.0
            ));
        }
        let hole = player.takes(kept, &entry, &self.library)?;
        if player.is_back {
            self.exercised += 1;
            if let Some(what) = hole {
                let what = format!("{who}, who is back in {}: {what}", entry.publication.0);
                self.hole.get_or_insert(what);
            }
        }
        Ok(())
    }
}

impl Player {
    /// Takes a frame. What it has not had, if it gets this one now.
    fn takes(
        &mut self,
        kept: Kept,
        entry: &Entry,
        library: &Library,
    ) -> Result<Option<String>, String> {
        let is_picture = entry.frame.sort.is_picture();
        let last = self.last.take();
        let last = last.filter(|last| last.0 == entry.publication);
        let (mut follow, has_picture) = match last {
            Some((_, follow, has_picture)) => (follow, has_picture),
            None => (Follow::default(), false),
        };
        if self.is_back && entry.frame.sort == Sort::Inter && !has_picture {
            return Err(format!(
                "of {} it gets #{} first, a picture that needs another",
                entry.publication.0, entry.index
            ));
        }
        let mut hole = None;
        if self.is_back {
            let frames = library.frames(&entry.publication);
            hole = follow.shows(kept, &frames, entry.index, has_picture).err();
        } else {
            follow = Follow::behind(Some(entry.index));
        }
        let publication = entry.publication.clone();
        self.last = Some((publication, follow, has_picture || is_picture));
        Ok(hole)
    }
}

impl Checker for Rewinds {
    fn name(&self) -> &'static str {
        "who goes back gets what was published"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::SmallRings => self.harsh = true,
            Observation::Climate(climate) => {
                // Of two files of a recording, players are given the one that has all.
                self.recorded = climate.recorded.map(|format| match format {
                    Format::Mp4 => Kept::Samples,
                    Format::Flv | Format::Both => Kept::All,
                });
                self.harsh |= climate.tight.is_some();
            }
            Observation::IsBack { sought } => {
                let player = self.players.entry(who.to_owned()).or_default();
                player.is_back = true;
                if *sought {
                    player.last = None;
                    self.sought += 1;
                } else {
                    self.held += 1;
                }
            }
            Observation::Dials => drop(self.players.remove(who)),
            Observation::Received {
                kind: kind @ (MediaKind::Audio | MediaKind::Video),
                timestamp,
                payload,
                ..
            }
            | Observation::Relived {
                kind: kind @ (MediaKind::Audio | MediaKind::Video),
                timestamp,
                payload,
            } if self.recorded.is_some() => {
                return self.receive(who, (*kind, *timestamp), payload);
            }
            Observation::Recorded(shelf) if shelf.healthy && shelf.gaps == Some(0) => {
                return match self.hole.take().filter(|_| !self.harsh) {
                    Some(hole) => Err(hole),
                    None => Ok(()),
                };
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
            ("players that sought in live streams", self.sought),
            ("players that held streams which are recorded", self.held),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::recordings::Shelf;
    use super::super::testing::{frames, sent};
    use super::*;

    /// Bob gets these frames of one broadcast live, and these when he is back.
    fn judge(live: &[usize], sought: bool, back: &[usize]) -> Result<(), String> {
        let mut checker = Rewinds {
            recorded: Some(Kept::All),
            ..Rewinds::default()
        };
        let frames = frames("alice", 0, 12);
        for (index, frame) in frames.iter().enumerate() {
            checker.observe("alice", &sent(0, index, frame))?;
        }
        let again = |index: &usize| Observation::Relived {
            kind: frames[*index].kind,
            timestamp: Timestamp(*index as u32),
            payload: frames[*index].delivered(),
        };
        for index in live {
            checker.observe("bob", &again(index))?;
        }
        checker.observe("bob", &Observation::IsBack { sought })?;
        for index in back {
            checker.observe("bob", &again(index))?;
        }
        checker.observe(
            "world",
            &Observation::Recorded(Shelf {
                gaps: Some(0),
                healthy: true,
                ..Shelf::default()
            }),
        )
    }

    #[test]
    fn what_follows_on_what_was_had_is_right() {
        assert_eq!(judge(&[3, 4, 5], false, &[6, 7, 8]), Ok(()));
        assert_eq!(judge(&[3, 4, 5], true, &[3, 4, 5, 6]), Ok(()));
    }

    #[test]
    fn holes_and_repetitions_are_found() {
        assert!(judge(&[3, 4, 5], false, &[7]).unwrap_err().contains("#6"));
        assert!(judge(&[3, 4, 5], false, &[5, 6]).is_err());
        assert!(judge(&[3, 4], true, &[3, 4, 7]).unwrap_err().contains("#5"));
    }
}
