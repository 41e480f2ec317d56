//! What an application bounds is bounded: how late its players are, how often they lose frames, what joiners are given of
//! the past, and how fast its publishers send.

use std::collections::BTreeMap;

use millstream::limits;
use millstream::time::{Duration, Instant};

use super::hub::Hub;
use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::Sort;
use crate::scenario::Tight;

/// In the application `tight`: who was away is not given what is older than `latency_max` allows, nobody loses frames more
/// often a minute than is allowed, no joiner gets a picture older than `gop_cache_time`, and a publisher that sends more
/// than `bitrate_max` for longer than the server measures is turned away, and nobody else is.
#[derive(Default)]
pub struct TightBounds {
    hub: Hub,
    players: BTreeMap<String, Player>,
    publishers: BTreeMap<String, Publisher>,
    exercised: u64,
    late: u64,
    joiners: u64,
    lost: u64,
    turned_away: u64,
}

struct Player {
    /// When it asked.
    asked: Instant,
    /// It has had a picture.
    began: bool,
    away: Option<Instant>,
    /// When it looked again, and what it has had since.
    back: Option<(Instant, usize)>,
    newest: Option<(Publication, usize)>,
    /// When it lost frames.
    gaps: Vec<Instant>,
}

struct Publisher {
    since: Instant,
    bytes: u64,
}

/// Bytes that may be on the way beside a window: what one write takes of a message, the server's own words.
const ON_THE_WAY: usize = 64 * 1_024;
/// For the server: tasks that wait for their turn.
const SLACK: Duration = Duration::from_millis(300);
const REJECTED: &str = "NetStream.Publish.Rejected";
/// Names of the application.
pub(super) const APP: &str = "tight/";
/// Who looks away for less is not late.
const AWAY: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_secs(60);

impl TightBounds {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            hub: Hub::over(library),
            ..Self::default()
        }
    }

    fn tight(&self) -> Option<Tight> {
        self.hub.climate?.tight
    }

    /// How long a frame may take to the server, or a word of it to a client.
    fn path(&self) -> Option<Duration> {
        let climate = self.hub.climate.filter(|climate| climate.steady)?;
        Some(climate.carries(ON_THE_WAY as u64) + climate.mail * 4 + SLACK)
    }

    fn picture(&mut self, at: Instant, who: &str, entry: &Entry, len: usize) -> Result<(), String> {
        let (Some(tight), Some(path)) = (self.tight(), self.path()) else {
            return Ok(());
        };
        let sent = self.hub.sent_at(&entry.publication, entry.index);
        let (Some(player), Some(sent)) = (self.players.get_mut(who), sent) else {
            return Ok(());
        };
        self.exercised += 1;
        if let Some(away) = player.away.take_if(|away| at > *away) {
            // Looking away for less is no lag.
            player.back = (at.since(away) > AWAY).then_some((at, 0));
        }
        if let Some((_, had)) = &mut player.back {
            *had += len;
        }
        let here = (entry.publication.clone(), entry.index);
        let before = player.newest.replace(here.clone());
        let missed = before.is_some_and(|(known, index)| known == here.0 && index + 1 < here.1);
        let (asked, back) = (player.asked, player.back);
        if !std::mem::replace(&mut player.began, true) {
            self.joins(who, &tight, asked, sent, path)?;
        }
        if missed {
            self.loses(at, who, &tight)?;
        }
        let climate = self.hub.climate.map_or((0, Duration::ZERO), |climate| {
            (climate.downstream, climate.merge)
        });
        match back {
            Some((back, had)) if had > climate.0 + ON_THE_WAY => {
                self.late += 1;
                let behind = Duration::from_millis(tight.behind_ms.unwrap_or(0)) + path;
                let patience = tight.latency_max() + climate.1 + behind;
                if sent + patience < back && self.has_newer_key(entry, behind, back) {
                    let age = back.since(sent).as_millis();
                    return Err(format!(
                        "{who} looked again and was given #{} of {}, {age} ms old by then: it may be {} ms late",
                        entry.index, entry.publication.0, tight.latency_max_ms
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn joins(
        &mut self,
        who: &str,
        tight: &Tight,
        asked: Instant,
        sent: Instant,
        path: Duration,
    ) -> Result<(), String> {
        let Some(cache) = tight.gop_cache_ms else {
            return Ok(());
        };
        self.joiners += 1;
        if asked.since(sent) > Duration::from_millis(cache) + path {
            return Err(format!(
                "{who} was given a picture {} ms old when it came, and {cache} ms are kept for joiners",
                asked.since(sent).as_millis()
            ));
        }
        Ok(())
    }

    /// It lost frames; but who cannot say whether another shard lost them before.
    fn loses(&mut self, at: Instant, who: &str, tight: &Tight) -> Result<(), String> {
        let full = self
            .hub
            .climate
            .is_some_and(|climate| climate.full && climate.ring_frames > 0);
        let Some(player) = self.players.get_mut(who).filter(|_| full) else {
            return Ok(());
        };
        self.lost += 1;
        player.gaps.retain(|gap| at.since(*gap) < MINUTE);
        player.gaps.push(at);
        if player.gaps.len() > tight.jumps_per_minute as usize {
            return Err(format!(
                "{who} lost frames {} times within a minute and was not cut off: {} times are allowed",
                player.gaps.len(),
                tight.jumps_per_minute
            ));
        }
        Ok(())
    }

    /// Whether there is a keyframe behind `entry` to go on at, and was `margin` before `back`.
    fn has_newer_key(&self, entry: &Entry, margin: Duration, back: Instant) -> bool {
        let frames = self.hub.frames(&entry.publication);
        let newer = frames.iter().enumerate().skip(entry.index + 1);
        newer
            .filter(|(_, frame)| frame.sort == Sort::Key)
            .any(|(index, _)| {
                let sent = self.hub.sent_at(&entry.publication, index);
                sent.is_some_and(|sent| sent + margin < back)
            })
    }

    /// The server has read all that it sent, and was content.
    fn unpublished(&self, at: Instant, who: &str) -> Result<(), String> {
        let (Some(tight), Some(publisher)) = (self.tight(), self.publishers.get(who)) else {
            return Ok(());
        };
        let lasted = at.since(publisher.since).max(limits::BITRATE_WINDOW);
        if publisher.bytes > 2 * tight.allowed(lasted) {
            return Err(format!(
                "{who} has sent {} bytes in {} ms, and {} kbit/s are allowed",
                publisher.bytes,
                lasted.as_millis(),
                tight.bitrate_max
            ));
        }
        Ok(())
    }

    fn rejected(&mut self, who: &str) -> Result<(), String> {
        let (Some(tight), Some(publisher)) = (self.tight(), self.publishers.get(who)) else {
            return Err(format!(
                "{who} is turned away for its bitrate, which nobody bounds"
            ));
        };
        self.turned_away += 1;
        if publisher.bytes <= tight.allowed(limits::BITRATE_WINDOW) {
            return Err(format!(
                "{who} is turned away for its bitrate and has sent {} bytes in all",
                publisher.bytes
            ));
        }
        Ok(())
    }
}

impl Tight {
    fn latency_max(&self) -> Duration {
        Duration::from_millis(self.latency_max_ms).max(limits::LATENCY_MIN)
    }

    /// Bytes that a publisher may send in so long.
    fn allowed(&self, time: Duration) -> u64 {
        u64::try_from(u128::from(self.bitrate_max) * time.as_millis() / 8).unwrap_or(u64::MAX)
    }
}

impl Checker for TightBounds {
    fn name(&self) -> &'static str {
        "what an application bounds"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.hub.learn(at, who, seen);
        match seen {
            Observation::Dials => {
                self.players.remove(who);
                self.publishers.remove(who);
            }
            Observation::AsksToPlay { name } if name.starts_with(APP) => {
                let player = Player {
                    asked: at,
                    began: false,
                    away: None,
                    back: None,
                    newest: None,
                    gaps: Vec::new(),
                };
                self.players.insert(who.into(), player);
            }
            Observation::Strays { how: "is silent" } => {
                if let Some(player) = self.players.get_mut(who) {
                    player.away = Some(at);
                }
            }
            Observation::Publishes { name } if name.starts_with(APP) => {
                let publisher = Publisher {
                    since: at,
                    bytes: 0,
                };
                self.publishers.insert(who.into(), publisher);
            }
            Observation::Sent { frame, .. } => {
                if let Some(publisher) = self.publishers.get_mut(who) {
                    publisher.bytes += frame.payload.len() as u64;
                }
            }
            Observation::Told { code } if code == REJECTED => return self.rejected(who),
            Observation::Told { code } if code == "NetStream.Unpublish.Success" => {
                return self.unpublished(at, who);
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                if let Some(entry) = self.hub.find(payload)
                    && entry.frame.sort.is_picture()
                {
                    return self.picture(at, who, &entry, payload.len());
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
            ("late players", self.late),
            ("joiners of a bounded cache", self.joiners),
            ("frames lost for lateness", self.lost),
            ("publishers with too much", self.turned_away),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::checkers::climate::Climate;
    use crate::checkers::testing::{frames, received};
    use crate::media::Frame;
    use crate::scenario::Scenario;

    const TIGHT: Tight = Tight {
        latency_max_ms: 1_000,
        jumps_per_minute: 2,
        bitrate_max: 80,
        gop_cache_ms: Some(500),
        behind_ms: None,
    };

    fn name() -> Rc<str> {
        "tight/test".into()
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// A checker in a calm world, which has seen alice publish a picture each second.
    fn checker(frames: &[Rc<Frame>]) -> TightBounds {
        let text = r#"{"format": 1, "seed": 1, "clients": []}"#;
        let mut scenario: Scenario = serde_json::from_str(text).unwrap();
        scenario.server.tight = Some(TIGHT);
        scenario.faults.downstream_window = [0, 0];
        let mut checker = TightBounds::default();
        let climate = Observation::Climate(Climate::of(&scenario));
        checker.observe_at(at(0), "world", &climate).unwrap();
        let asks = Observation::AsksToPublish {
            name: name(),
            publication: 0,
        };
        checker.observe_at(at(0), "alice", &asks).unwrap();
        let publishes = Observation::Publishes { name: name() };
        checker.observe_at(at(0), "alice", &publishes).unwrap();
        for (index, frame) in frames.iter().enumerate() {
            let sent = Observation::Sent {
                name: name(),
                publication: 0,
                index,
                frame: frame.clone(),
            };
            let when = at(index as u64 * 1_000);
            checker.observe_at(when, "alice", &sent).unwrap();
        }
        checker
    }

    fn asks(checker: &mut TightBounds, ms: u64) {
        let asks = Observation::AsksToPlay { name: name() };
        checker.observe_at(at(ms), "bob", &asks).unwrap();
    }

    fn gets(checker: &mut TightBounds, ms: u64, frame: &Frame) -> Result<(), String> {
        checker.observe_at(at(ms), "bob", &received(frame))
    }

    #[test]
    fn a_picture_that_is_too_late_is_found() {
        // Metadata, two headers; keyframes are 3, 6, 9 and so on.
        let frames = frames("alice", 0, 40);
        let silent = Observation::Strays { how: "is silent" };
        for (picture, is_late) in [(4, true), (35, true), (36, false), (39, false)] {
            let mut checker = checker(&frames);
            asks(&mut checker, 3_000);
            gets(&mut checker, 3_100, &frames[3]).unwrap();
            checker.observe_at(at(3_200), "bob", &silent).unwrap();
            // What was under way may be as old as it likes.
            gets(&mut checker, 39_000, &frames[4]).unwrap();
            let player = checker.players.get_mut("bob").unwrap();
            player.back.as_mut().unwrap().1 += ON_THE_WAY;
            player.newest = None;
            let seen = gets(&mut checker, 39_100, &frames[picture]);
            assert_eq!(seen.is_err(), is_late, "#{picture}: {seen:?}");
        }
    }

    #[test]
    fn a_joiner_that_is_given_what_is_too_old_is_found() {
        let frames = frames("alice", 0, 40);
        for (asked, is_old) in [(3_000, false), (3_500, false), (9_000, true)] {
            let mut checker = checker(&frames);
            asks(&mut checker, asked);
            let seen = gets(&mut checker, asked + 100, &frames[3]);
            assert_eq!(seen.is_err(), is_old, "{asked}: {seen:?}");
        }
    }

    #[test]
    fn who_loses_frames_too_often_is_found() {
        let frames = frames("alice", 0, 40);
        let mut checker = checker(&frames);
        asks(&mut checker, 3_000);
        let mut see = |picture: usize, ms| gets(&mut checker, ms, &frames[picture]);
        see(3, 3_000).unwrap();
        see(4, 4_000).unwrap();
        see(6, 6_000).unwrap();
        see(9, 9_000).unwrap();
        see(12, 70_000).unwrap();
        see(15, 71_000).unwrap();
        see(18, 72_000).unwrap_err();
    }

    #[test]
    fn publishers_are_turned_away_for_too_much_and_for_nothing_else() {
        let frames = frames("alice", 0, 40);
        let told = |checker: &mut TightBounds, ms, code: &str| {
            checker.observe_at(at(ms), "alice", &Observation::Told { code: code.into() })
        };
        let done = "NetStream.Unpublish.Success";
        let with = |bytes| {
            let mut checker = checker(&frames);
            checker.publishers.get_mut("alice").unwrap().bytes = bytes;
            checker
        };
        // 80 kbit/s are 50,000 bytes in 5 s.
        told(&mut with(100_000), 5_000, done).unwrap();
        told(&mut with(100_001), 5_000, done).unwrap_err();
        told(&mut with(100_001), 6_000, done).unwrap();
        told(&mut with(50_001), 1_000, REJECTED).unwrap();
        told(&mut with(50_000), 1_000, REJECTED).unwrap_err();
        let seen = Observation::Told {
            code: REJECTED.into(),
        };
        with(0).observe_at(at(1), "somebody", &seen).unwrap_err();
    }
}
