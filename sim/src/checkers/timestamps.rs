//! Time goes forward for whoever plays, and sound and picture keep their distance.

use std::collections::BTreeMap;

use millstream::config::OnConflict;
use millstream::limits;
use millstream::time::{Instant, Timestamp};

use super::hub::Hub;
use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::{Frame, Sort};

/// Invariant 2 of the reference. Our publishers' timestamps never go backwards (they wrap) except where they jump; what
/// players get of them may not either, nor run ahead by more than the server needs to join what lies on both sides of a
/// jump. Media keeps the time it was published with, or is moved: all tracks alike, and by the same for all players.
/// Repeated headers take the time of their place.
#[derive(Default)]
pub struct Timestamps {
    library: Library,
    hub: Hub,
    /// From one publication's last frame to the next one's first, as players had them.
    steps: BTreeMap<(Publication, Publication), Vec<Step>>,
    /// Per player: the newest frame that it got.
    players: BTreeMap<String, Last>,
    /// What is added to a publisher's time behind so many jumps.
    moved: BTreeMap<(Publication, u32), u32>,
    exercised: u64,
    repaired: u64,
    takeovers: u64,
}

/// What a player got from one publication to the next.
struct Step {
    who: String,
    from: Timestamp,
    to: Timestamp,
}

struct Last {
    publication: Publication,
    time: Timestamp,
    /// Where it is in its broadcast; none of a header.
    place: Option<Place>,
    odd: bool,
}

#[derive(Clone, Copy)]
struct Place {
    epoch: u32,
    steady: u32,
    time: Timestamp,
}

/// Where time jumps, sound and pictures may stand as far apart as our publishers have them jump, and a little more.
const INTERLEAVE_MS: i32 = 400;
/// A player that falls behind loses seconds; nobody here publishes for longer.
const MOST_LOST_MS: i32 = 60_000;
const SEAM_MS: u32 = limits::CLOCK_SEAM.as_millis() as u32;

impl Timestamps {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            hub: Hub::over(library.clone()),
            library,
            ..Self::default()
        }
    }

    /// Whether media has the time it must have.
    fn is_moved_alike(&mut self, who: &str, entry: &Entry, time: Timestamp) -> Result<(), String> {
        let frame = &entry.frame;
        let by = time.0.wrapping_sub(frame.timestamp.0);
        // Who takes a name over goes on where the one before ended.
        let may_inherit = self
            .hub
            .climate
            .is_some_and(|climate| climate.on_conflict != OnConflict::Refuse);
        let known = match frame.epoch {
            0 if !may_inherit => 0,
            epoch => *(self.moved)
                .entry((entry.publication.clone(), epoch))
                .or_insert(by),
        };
        self.repaired += u64::from(frame.epoch > 0);
        if by == known {
            return Ok(());
        }
        Err(format!(
            "{who} got #{} ({}) of {} ms with the time {} ms, moved by {} ms and not by {} ms",
            entry.index,
            frame.sort.name(),
            frame.timestamp.0,
            time.0,
            by.cast_signed(),
            known.cast_signed()
        ))
    }

    fn receive(&mut self, who: &str, entry: &Entry, time: Timestamp) -> Result<(), String> {
        let frame = &entry.frame;
        // What nobody knows follows the others, as headers do.
        let follows = frame.epoch > 0 && matches!(frame.sort, Sort::Unknown | Sort::End);
        let header = frame.sort.is_header() || follows;
        if !header {
            self.is_moved_alike(who, entry, time)?;
        }
        let mut now = Last {
            publication: entry.publication.clone(),
            time,
            place: (!header).then_some(Place {
                epoch: frame.epoch,
                steady: frame.steady,
                time,
            }),
            odd: is_odd(frame),
        };
        let last = self.players.get(who);
        let before = last.filter(|last| last.publication != entry.publication);
        let mut joined = Ok(());
        if let Some(before) = before {
            let pair = (before.publication.clone(), entry.publication.clone());
            let step = Step {
                who: who.into(),
                from: before.time,
                to: time,
            };
            self.steps.entry(pair.clone()).or_default().push(step);
            joined = self.inherits(&pair);
        }
        let last = self.players.get(who);
        let last = last.filter(|last| last.publication == entry.publication);
        let mut verdict = Ok(());
        if let Some(last) = last {
            let apart = now.odd || last.odd || (time.since(last.time) < 0 && self.lags(entry));
            let back = if apart { INTERLEAVE_MS } else { 0 };
            if time.since(last.time) < -back {
                verdict = Err(format!(
                    "{who} got #{} at {} ms after {} ms",
                    entry.index, time.0, last.time.0
                ));
            } else if let (Some(from), Some(to)) = (last.place, now.place) {
                verdict = joins(who, entry.index, from, to);
            }
            now.place = now.place.or(last.place);
        }
        self.players.insert(who.into(), now);
        verdict.and(joined)
    }

    /// Whether another track has jumped before this frame, whose own is still to jump: headers that are repeated there have
    /// the time of the other one.
    fn lags(&self, entry: &Entry) -> bool {
        let frames = self.library.frames(&entry.publication);
        let mut before = frames.iter().take(entry.index);
        before.any(|frame| frame.epoch > entry.frame.epoch)
    }

    /// Whether time went on for players when the second of two took over from the first.
    fn inherits(&mut self, pair: &(Publication, Publication)) -> Result<(), String> {
        if self.hub.heir(&pair.0) != Some(&pair.1) {
            return Ok(());
        }
        for Step { who, from, to } in self.steps.remove(pair).unwrap_or_default() {
            self.takeovers += 1;
            goes_on(&who, from, to)?;
        }
        Ok(())
    }
}

/// Whether a player's time goes on from one publication to the next: not back, nor ahead by more than what the first one
/// may have sent that the player did not get.
pub(super) fn goes_on(who: &str, from: Timestamp, to: Timestamp) -> Result<(), String> {
    match to.since(from) {
        0..=MOST_LOST_MS => Ok(()),
        by => Err(format!(
            "{who} got the next publication's first frame at {} ms, {by} ms after the last one of the one before, whose \
             time it was to go on with",
            to.0
        )),
    }
}

/// Its time is not simply that of its place in the broadcast.
fn is_odd(frame: &Frame) -> bool {
    frame.epoch > 0 || (frame.sort.is_header() && frame.timestamp.0 == 0 && frame.steady > 0)
}

/// Whether time goes on over a jump as if there were none, but for the seam.
fn joins(who: &str, index: usize, from: Place, to: Place) -> Result<(), String> {
    let passed = to.time.since(from.time);
    let steady = to.steady.wrapping_sub(from.steady).cast_signed();
    let seams = to.epoch.saturating_sub(from.epoch).saturating_mul(SEAM_MS);
    let most = steady.saturating_add_unsigned(seams) + INTERLEAVE_MS;
    if from.epoch == to.epoch || (steady - INTERLEAVE_MS..=most).contains(&passed) {
        return Ok(());
    }
    Err(format!(
        "{who} got #{index} {passed} ms after the frame before, over a jump of its publisher's time, and {steady} ms \
         were right"
    ))
}

impl Checker for Timestamps {
    fn name(&self) -> &'static str {
        "time goes forward"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.hub.learn(at, who, seen);
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
                return self.receive(who, &entry, *timestamp);
            }
            Observation::Told { code } if code == "NetStream.Publish.BadName" => {
                let pairs: Vec<_> = self.steps.keys().cloned().collect();
                return pairs.iter().try_for_each(|pair| self.inherits(pair));
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
            ("frames behind a jump of time", self.repaired),
            ("times that go on over a takeover", self.takeovers),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::testing::{frames, received, sent, small};
    use super::*;
    use crate::media::{Broadcast, Shape, TimeJump, Tracks};

    fn judge(times: &[(usize, u32)]) -> Result<(), String> {
        judge_of(&frames("alice", 0, 8), times)
    }

    fn judge_of(frames: &[Rc<Frame>], times: &[(usize, u32)]) -> Result<(), String> {
        let mut checker = Timestamps::with(Library::default());
        for (index, frame) in frames.iter().enumerate() {
            checker.observe_at(Instant::ZERO, "alice", &sent(0, index, frame))?;
        }
        for (index, time) in times {
            let mut seen = received(&frames[*index]);
            if let Observation::Received { timestamp, .. } = &mut seen {
                *timestamp = Timestamp(*time);
            }
            checker.observe_at(Instant::ZERO, "bob", &seen)?;
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

    #[test]
    fn over_a_jump_time_goes_on_and_all_tracks_are_moved_alike() {
        let jump = TimeJump {
            at_ms: 1_000,
            by_ms: -60_000,
            lag_ms: 0,
        };
        let shape = Shape {
            start: 500_000,
            audio_ms: 20,
            jumps: [jump, TimeJump::default()],
            ..small(Tracks::Legacy)
        };
        let mut source = Broadcast::new(shape, "alice", 0);
        let frames: Vec<_> = (0..90).map(|_| Rc::new(source.next_frame())).collect();
        let first = frames.iter().position(|frame| frame.epoch > 0).unwrap();
        let judge = |times: [u32; 3]| {
            let picks: Vec<_> = (first - 1..).zip(times).collect();
            judge_of(&frames, &picks)
        };
        let steady: Vec<u32> = (first - 1..first + 2).map(|n| frames[n].steady).collect();
        assert_eq!(steady, [980, 1_000, 1_000], "a picture, then sound");
        assert_eq!(frames[first].timestamp.0, 441_000);
        assert_eq!(judge([500_980, 501_020, 501_020]), Ok(()));
        assert!(judge([500_980, 501_020, 501_021]).is_err(), "apart");
        assert!(judge([500_980, 441_000, 441_000]).is_err(), "not repaired");
        assert!(judge([500_980, 503_000, 503_000]).is_err(), "a gap");
        assert!(judge([440_980, 441_020, 441_020]).is_err(), "moved before");
    }

    #[test]
    fn headers_repeated_where_only_sound_has_jumped_may_be_younger_than_pictures() {
        let jump = TimeJump {
            at_ms: 1_000,
            by_ms: -60_000,
            lag_ms: 100,
        };
        let shape = |jumps| Shape {
            start: 500_000,
            audio_ms: 20,
            jumps,
            ..small(Tracks::Legacy)
        };
        let judge = |jumps, header: u32| {
            let mut source = Broadcast::new(shape(jumps), "alice", 0);
            let frames: Vec<_> = (0..90).map(|_| Rc::new(source.next_frame())).collect();
            let late = |frame: &Rc<Frame>| frame.steady == 1_040 && frame.epoch == 0;
            let picture = frames.iter().position(late).unwrap();
            assert!(!frames[picture].sort.is_header());
            judge_of(&frames, &[(1, header), (picture, 501_040)])
        };
        assert_eq!(judge([jump, TimeJump::default()], 501_080), Ok(()));
        assert!(judge([jump, TimeJump::default()], 502_080).is_err());
        assert!(judge(Default::default(), 501_080).is_err());
    }
}
