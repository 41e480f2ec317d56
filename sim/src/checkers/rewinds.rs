//! Who goes back in a live stream that is recorded gets what was published, without a hole, in the stream's own time.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;
use millstream::time::Timestamp;

use super::library::Library;
use super::recordings::lost;
use super::{Checker, Publication};
use crate::journal::Observation;

/// See the module.
///
/// A hole is held against the server at the end only, if it has recorded all without a gap and its disk was well: before
/// that nobody knows.
#[derive(Default)]
pub struct Rewinds {
    library: Library,
    players: BTreeMap<String, Player>,
    /// The time that players of what is live were told of a frame.
    live: BTreeMap<Bytes, Timestamp>,
    hole: Option<String>,
    small_rings: bool,
    exercised: u64,
    /// Times that somebody went back.
    returns: u64,
}

#[derive(Default)]
struct Player {
    /// The frame that it has had last since it went back, and whether there was a picture.
    last: Option<(Publication, usize, bool)>,
}

impl Rewinds {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn relive(&mut self, who: &str, time: Timestamp, payload: &Bytes) -> Result<(), String> {
        let Some(entry) = self.library.find(payload) else {
            return Err(format!("{who} got what nobody published"));
        };
        if entry.frame.sort.is_header() {
            return Ok(());
        }
        let known = *self.live.entry(payload.clone()).or_insert(time);
        if known != time {
            return Err(format!(
                "#{} of {} had the time {} before, and {} for {who}, who is back in it",
                entry.index, entry.publication.0, known.0, time.0
            ));
        }
        let player = self.players.entry(who.to_owned()).or_default();
        let is_picture = entry.frame.sort.is_picture();
        let mut has_picture = is_picture;
        if let Some((publication, last, had_picture)) = &player.last
            && *publication == entry.publication
        {
            self.exercised += 1;
            let frames = self.library.frames(publication);
            if let Err(what) = lost(&frames, *last, entry.index, *had_picture) {
                let what = format!("{who}, who is back in {}: {what}", publication.0);
                self.hole.get_or_insert(what);
            }
            has_picture |= *had_picture;
        }
        player.last = Some((entry.publication.clone(), entry.index, has_picture));
        Ok(())
    }
}

impl Checker for Rewinds {
    fn name(&self) -> &'static str {
        "who goes back gets what was published"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::SmallRings => self.small_rings = true,
            Observation::IsBack => {
                self.returns += 1;
                self.players.insert(who.to_owned(), Player::default());
            }
            Observation::Dials => drop(self.players.remove(who)),
            Observation::Received {
                kind: MediaKind::Audio | MediaKind::Video,
                timestamp,
                payload,
                ..
            } => {
                self.live.entry(payload.clone()).or_insert(*timestamp);
            }
            Observation::Relived {
                kind: MediaKind::Audio | MediaKind::Video,
                timestamp,
                payload,
            } => return self.relive(who, *timestamp, payload),
            Observation::Recorded(shelf) if shelf.healthy && shelf.gaps == Some(0) => {
                // Who is live again may fall behind a small ring.
                return match self.hole.take().filter(|_| !self.small_rings) {
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
        vec![("times that players went back", self.returns)]
    }
}
