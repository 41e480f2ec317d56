//! What the server counts is what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::{Frame, Sort};

/// What a server has counted in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that have ended, for any reason.
    pub closed: u64,
    /// Those that an operator closed.
    pub kicked: u64,
    /// Those whose stream an operator ended.
    pub stream_ended: u64,
    /// Those whose task failed.
    pub defects: u64,
    /// Publications.
    pub publications: u64,
    /// Plays.
    pub plays: u64,
    /// Bytes from clients.
    pub received_bytes: u64,
    /// Bytes to clients.
    pub sent_bytes: u64,
    /// Published messages.
    pub frames: u64,
    /// How often a player has lost frames.
    pub jumps: u64,
    /// How often a recording has.
    pub record_gaps: u64,
}

/// Metrics agree with what clients saw: as many connections have ended as there were; and of everything else there was at
/// least what somebody saw of it.
#[derive(Default)]
pub struct Sums {
    library: Library,
    seen: Tally,
    /// Connections and streams that an operator ended.
    orders: [u64; 2],
    /// Who was put out and has not been told.
    doomed: BTreeSet<String>,
    /// What somebody has received: by publication, which of its frames.
    delivered: BTreeMap<Publication, BTreeSet<usize>>,
    players: BTreeMap<String, Player>,
    /// Mailboxes are wide: no shard leaves out frames for all its players.
    full: bool,
    exercised: u64,
    lost: u64,
}

#[derive(Default)]
struct Player {
    /// The newest picture it has had.
    at: Option<(Publication, usize)>,
    /// It has held its stream, or left out some of it.
    picks: bool,
}

impl Sums {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn receives(&mut self, who: &str, entry: &Entry) {
        let publication = &entry.publication;
        let delivered = self.delivered.entry(publication.clone()).or_default();
        delivered.insert(entry.index);
        let player = self.players.entry(who.into()).or_default();
        if !entry.frame.sort.is_picture() {
            return;
        }
        let before = player.at.replace((publication.clone(), entry.index));
        if entry.frame.sort != Sort::Key || player.picks || !self.full {
            return;
        }
        let Some((_, before)) = before.filter(|(same, _)| same == publication) else {
            return;
        };
        let frames = self.library.frames(publication);
        let between = frames.get(before + 1..entry.index).unwrap_or_default();
        // What was sent behind it has come, and so had it. Other tracks' pictures may wait for keyframes of their own.
        let lacks = |frame: &Rc<Frame>| frame.sort.is_picture() && frame.tracks == [0];
        self.seen.jumps += u64::from(entry.frame.tracks == [0] && between.iter().any(lacks));
    }

    /// Compares what was counted with what was seen.
    fn judge(&mut self, counted: &Tally) -> Result<(), String> {
        let frames: usize = self.delivered.values().map(BTreeSet::len).sum();
        let seen = Tally {
            frames: frames as u64,
            ..self.seen
        };
        self.lost += seen.jumps;
        self.exercised += u64::from(seen.sent_bytes > 0);
        if counted.closed != counted.accepted {
            return Err(format!(
                "{} connections were let in and {} have ended, when all have gone",
                counted.accepted, counted.closed
            ));
        }
        let told = seen.kicked.saturating_sub(counted.defects);
        for (what, counted, least) in [
            ("publications", counted.publications, seen.publications),
            ("plays", counted.plays, seen.plays),
            ("bytes to clients", counted.sent_bytes, seen.sent_bytes),
            ("published messages", counted.frames, seen.frames),
            ("times a player lost frames", counted.jumps, seen.jumps),
            (
                "connections put out",
                counted.kicked + counted.stream_ended,
                told,
            ),
        ] {
            if counted < least {
                return Err(format!("{least} {what} were seen and {counted} counted"));
            }
        }
        let [kicks, ends] = self.orders;
        if counted.kicked > kicks || counted.stream_ended > ends {
            return Err(format!(
                "an operator closed {kicks} and ended {ends}, and it counted {counted:?}"
            ));
        }
        Ok(())
    }
}

impl Checker for Sums {
    fn name(&self) -> &'static str {
        "metrics add up"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::Climate(climate) => self.full = climate.full,
            Observation::Dials => {
                self.doomed.remove(who);
                self.players.remove(who);
            }
            Observation::Publishes { .. } => self.seen.publications += 1,
            Observation::Plays { .. } => {
                self.seen.plays += 1;
                self.players.insert(who.into(), Player::default());
            }
            Observation::Pauses | Observation::Picks { .. } => {
                self.players.entry(who.into()).or_default().picks = true;
            }
            Observation::Kicked => {
                self.orders[0] += 1;
                self.doomed.insert(who.into());
            }
            Observation::Ended { .. } => self.orders[1] += 1,
            Observation::Stops => self.doomed.clear(),
            Observation::Told { code }
                if code == "NetStream.Play.Stop" && self.doomed.remove(who) =>
            {
                self.seen.kicked += 1;
            }
            Observation::Received { payload, .. } => {
                self.seen.sent_bytes += payload.len() as u64;
                let mine = !is_servers_own(payload);
                if let Some(entry) = self.library.find(payload).filter(|_| mine) {
                    self.receives(who, &entry);
                }
            }
            Observation::Tally(counted) => return self.judge(counted),
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("pictures lost on the way to players", self.lost)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broadcast, frames, name};
    use super::*;

    /// What bob gets of ten frames with keyframes at 3, 6 and 9; `counted` is told of it afterwards.
    fn judge(picks: &[usize], counted: impl FnOnce(&mut Tally)) -> Result<(), String> {
        let mut checker = Sums {
            full: true,
            ..Sums::default()
        };
        let frames = frames("alice", 0, 10);
        broadcast(&mut checker, &frames, picks)?;
        let bytes = picks.iter().map(|pick| frames[*pick].delivered().len());
        let mut tally = Tally {
            accepted: 2,
            closed: 2,
            plays: 1,
            sent_bytes: bytes.sum::<usize>() as u64,
            frames: picks.len() as u64,
            ..Tally::default()
        };
        counted(&mut tally);
        checker.observe("world", &Observation::Tally(tally))
    }

    const ALL: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn what_is_counted_must_not_be_less_than_what_was_seen() {
        assert_eq!(judge(&ALL, |_| ()), Ok(()));
        assert!(judge(&ALL, |tally| tally.closed = 1).is_err());
        assert!(judge(&ALL, |tally| tally.plays = 0).is_err());
        assert!(judge(&ALL, |tally| tally.sent_bytes -= 1).is_err());
        assert!(judge(&ALL, |tally| tally.frames -= 1).is_err());
        assert!(judge(&ALL, |tally| tally.kicked = 1).is_err());
    }

    #[test]
    fn a_player_that_lost_frames_must_be_counted() {
        let key = |index: &usize| frames("alice", 0, 10)[*index].sort == Sort::Key;
        let keys: Vec<usize> = (0..10).filter(key).collect();
        let jumps = [0, 1, 2, keys[0], keys[1]];
        assert!(judge(&jumps, |_| ()).is_err());
        assert_eq!(judge(&jumps, |tally| tally.jumps = 1), Ok(()));
    }

    #[test]
    fn who_is_put_out_and_told_so_must_be_counted() {
        let mut checker = Sums::default();
        let stop = Observation::Told {
            code: "NetStream.Play.Stop".into(),
        };
        let plays = Observation::Plays { name: name() };
        for seen in [plays, Observation::Kicked, stop] {
            checker.observe("bob", &seen).unwrap();
        }
        let mut tally = Tally {
            plays: 1,
            ..Tally::default()
        };
        assert!(checker.judge(&tally).is_err());
        tally.kicked = 1;
        assert_eq!(checker.judge(&tally), Ok(()));
    }
}
