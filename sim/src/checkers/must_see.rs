//! Whoever plays gets what it must: everything, from where it began.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream::limits;
use millstream::rtmp::wire::MediaKind;
use millstream::time::{Duration, Instant};

use super::hub::Hub;
use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::{Frame, Sort};

/// The oracle of the live hub. Once a player has had a picture of a publication, nothing of it may be left out while the
/// rings hold it; one that has waited gets the beginning; the end is behind the last frame; and where links are good, what was
/// sent has come.
#[derive(Default)]
pub struct MustSee {
    hub: Hub,
    players: BTreeMap<String, Player>,
    /// Who says what nobody understands on its present connection.
    excused: BTreeSet<String>,
    /// Who has held its stream on its present connection: how often it asked for that or for the contrary without an answer.
    held: BTreeMap<String, u32>,
    /// What was ever switched off or on there: it may lack that.
    picks: BTreeMap<String, Vec<MediaKind>>,
    /// Connections that play twice.
    double: BTreeSet<String>,
    /// Whose present connection leaves unread what has come.
    slow: BTreeSet<String>,
    exercised: u64,
    beginnings: u64,
    endings: u64,
    at_rest: u64,
    joined: u64,
    resumptions: u64,
}

#[derive(Default)]
struct Player {
    name: Option<Rc<str>>,
    since: Option<Instant>,
    now: Option<Place>,
    /// It has held the stream and goes on: not from where it was.
    resumed: bool,
}

/// Where a player is in a publication.
#[derive(Clone)]
struct Place {
    publication: Publication,
    /// What it gets next; nothing if it has not begun.
    next: Option<usize>,
    /// It has had a picture: before the first keyframe the server leaves pictures out.
    pictures: bool,
    /// What it does not always want.
    picks: Vec<MediaKind>,
}

/// By then every shard knows of a player; where all is gentle, soon.
const KNOWN: Duration = Duration::from_secs(1);
const SOON_KNOWN: Duration = Duration::from_millis(300);

impl Place {
    fn may_lack(&self, frame: &Frame) -> bool {
        // The word that clears metadata is for the server.
        frame.sort == Sort::Cleared
            || (!self.pictures && frame.sort.is_picture())
            || (!frame.sort.is_header() && self.picks.contains(&frame.kind))
    }
}

impl MustSee {
    /// Whether it played before anybody asked to publish that.
    fn has_waited(&self, player: &Player, publication: &Publication) -> bool {
        let asked = self.hub.record(publication).map(|record| record.asked_at);
        let known = KNOWN
            + self
                .hub
                .climate
                .map_or(Duration::ZERO, |climate| climate.mail * 2);
        matches!((player.since, asked), (Some(since), Some(asked)) if since + known < asked)
    }

    fn begin(&self, who: &str, player: &Player, publication: &Publication) -> Place {
        let waited = !player.resumed && self.has_waited(player, publication);
        Place {
            publication: publication.clone(),
            next: waited.then_some(0),
            pictures: false,
            picks: self.picks.get(who).cloned().unwrap_or_default(),
        }
    }

    /// It holds its stream, or no more: what was under way still comes.
    fn holds(&mut self, who: &str) {
        *self.held.entry(who.into()).or_default() += 1;
    }

    /// The server has done as it was asked to. From there on it is with one that goes on as with one that has just come.
    fn confirms(&mut self, at: Instant, who: &str, goes_on: bool) {
        let Some(open) = self.held.get_mut(who) else {
            return;
        };
        *open = open.saturating_sub(1);
        if *open == 0 && goes_on {
            self.held.remove(who);
            self.resumptions += 1;
            if let Some(player) = self.players.get_mut(who) {
                player.since = player.since.map(|_| at);
                player.now = None;
                player.resumed = true;
            }
        }
    }

    /// From now on it may lack everything of this kind.
    fn picks(&mut self, who: &str, kind: MediaKind) {
        self.picks.entry(who.into()).or_default().push(kind);
        let place = self.players.get_mut(who).and_then(|p| p.now.as_mut());
        if let Some(place) = place {
            place.picks.push(kind);
        }
    }

    /// The first of the frames `from..to` that must have come.
    fn lacking(&self, place: &Place, from: usize, to: usize) -> Option<usize> {
        let frames = self.hub.frames(&place.publication);
        let frames = frames.get(from..to)?;
        let lacking = frames.iter().position(|frame| !place.may_lack(frame))?;
        Some(from + lacking)
    }

    /// The same, if it is still in every ring.
    fn lacking_now(&self, at: Instant, place: &Place, from: usize, to: usize) -> Option<usize> {
        let held = |index: &usize| {
            let publication = &place.publication;
            let age = self
                .hub
                .sent_at(publication, *index)
                .map(|sent| at.since(sent));
            age.is_some_and(|age| age < limits::RING_AGE) && self.hub.has_room(publication, *index)
        };
        self.lacking(place, from, to).filter(held)
    }

    fn receive(&mut self, at: Instant, who: &str, entry: &Entry) -> Result<(), String> {
        let Some(player) = self.players.get(who) else {
            return Ok(());
        };
        let same = |place: &&Place| place.publication == entry.publication;
        let place = player.now.as_ref().filter(same).cloned();
        let fresh = place.is_none();
        let mut place = place.unwrap_or_else(|| self.begin(who, player, &entry.publication));
        let header = entry.frame.sort.is_header();
        let mut verdict = Ok(());
        match place.next {
            Some(next) if entry.index > next => {
                if let Some(index) = self.lacking_now(at, &place, next, entry.index) {
                    verdict = Err(format!(
                        "{who} got #{} of {} and not #{index}, which no ring had let go of",
                        entry.index, entry.publication.0
                    ));
                }
            }
            None if !header => {
                self.joined += u64::from(entry.frame.sort == Sort::Key);
                if !place.picks.contains(&MediaKind::Video) {
                    verdict = self.begins_late(at, who, entry);
                }
            }
            _ => {}
        }
        self.exercised += u64::from(place.next.is_some());
        self.beginnings += u64::from(fresh && place.next.is_some());
        if place.next.is_some_and(|next| entry.index >= next) || !header {
            place.next = Some(entry.index + 1);
        }
        place.pictures |= entry.frame.sort.is_picture();
        if let Some(player) = self.players.get_mut(who) {
            player.now = Some(place);
        }
        verdict
    }

    /// One who came later begins with the first keyframe behind that at the latest.
    fn begins_late(&self, at: Instant, who: &str, entry: &Entry) -> Result<(), String> {
        let publication = &entry.publication;
        let full = self.hub.climate.is_some_and(|climate| climate.full);
        let first = self.first_keyframe(who, publication);
        let held = |index: &usize| {
            let sent = self.hub.sent_at(publication, *index);
            sent.is_some_and(|sent| at.since(sent) < limits::RING_AGE)
                && self.hub.has_room(publication, *index)
        };
        match first.filter(held) {
            Some(index) if full && index < entry.index && !self.double.contains(who) => {
                Err(format!(
                    "{who} begins with #{} of {} and not with the keyframe #{index}",
                    entry.index, publication.0
                ))
            }
            _ => Ok(()),
        }
    }

    /// The player is told that the publisher has gone.
    fn ends(&mut self, at: Instant, who: &str) -> Result<(), String> {
        let place = self
            .players
            .get_mut(who)
            .and_then(|player| player.now.take());
        let Some((place, next)) = place.and_then(|place| place.next.map(|next| (place, next)))
        else {
            return Ok(());
        };
        let publication = &place.publication;
        let closed = self
            .hub
            .record(publication)
            .and_then(|record| record.closed);
        let sure = closed.is_some()
            && self.hub.is_reliable(publication)
            && !self.hub.is_contested(publication);
        if !sure || self.hub.stopping {
            return Ok(());
        }
        self.endings += 1;
        let sent = self.hub.frames(publication).len();
        match self.lacking_now(at, &place, next, sent) {
            Some(index) => Err(format!(
                "{who} is told that {} has gone and has not got #{index} of {sent}",
                publication.0
            )),
            None => Ok(()),
        }
    }

    /// What a player on good links plays that is beyond doubt, where it is in that, and how long a frame may take to it.
    fn beyond_doubt(&self, who: &str) -> Option<(Place, Duration)> {
        let player = self.players.get(who)?;
        player.since?;
        let publication = self.hub.current(player.name.as_ref()?)?;
        // On links as good as this nobody falls behind the rings by age.
        let settles = self.hub.settles(publication)?;
        let doubt = self.hub.stopping
            || self.double.contains(who)
            || self.slow.contains(who)
            || settles >= limits::RING_AGE
            || !self.hub.is_reliable(publication)
            || self.hub.is_contested(publication);
        let here = |place: &&Place| place.publication == *publication;
        let place = player.now.as_ref().filter(here).cloned();
        let place = place.unwrap_or_else(|| self.begin(who, player, publication));
        (!doubt).then_some((place, settles))
    }

    /// What one who came later begins with at the latest: a keyframe from then on, which of track 0 is one for sure if no
    /// other leads.
    fn first_keyframe(&self, who: &str, publication: &Publication) -> Option<usize> {
        let known = match self.hub.climate {
            Some(climate) if climate.gentle => SOON_KNOWN,
            Some(climate) => KNOWN + climate.mail * 2,
            None => KNOWN,
        };
        let since = self.players.get(who)?.since? + known;
        let frames = self.hub.frames(publication);
        // The tracks that lead: 0, and behind its end what comes then.
        let mut leaders: Option<&[u8]> = Some(&[0]);
        for (index, frame) in frames.iter().enumerate() {
            if frame.sort == Sort::End {
                leaders = None;
            }
            if frame.sort != Sort::Key {
                continue;
            }
            if frame.tracks.contains(&0) {
                leaders = Some(&[0]);
            }
            let leads =
                leaders.get_or_insert(&frame.tracks) == &frame.tracks || frame.tracks.contains(&0);
            let sent = self.hub.sent_at(publication, index);
            if leads && sent.is_some_and(|sent| since < sent) {
                return Some(index);
            }
        }
        None
    }

    /// The player has read all that has come: what was sent long enough ago must be among it.
    fn rests(&mut self, at: Instant, who: &str) -> Result<(), String> {
        let Some((place, settles)) = self.beyond_doubt(who) else {
            return Ok(());
        };
        let publication = &place.publication;
        let Some(record) = self.hub.record(publication) else {
            return Ok(());
        };
        let within = settles.as_millis();
        match record.closed {
            Some(closed) if place.next.is_some_and(|next| next > 0) && closed + settles < at => {
                return Err(format!(
                    "{who} has not been told in {within} ms that {} has gone",
                    publication.0
                ));
            }
            // In disorder nobody can say how much of it went out.
            _ if record.over => return Ok(()),
            _ => {}
        }
        let next = place.next.or_else(|| self.first_keyframe(who, publication));
        let Some(from) = next else {
            return Ok(());
        };
        let sent = self.hub.frames(publication).len();
        // What was there before it came follows when it has come.
        let since = self.players.get(who).and_then(|player| player.since);
        let due = |index: &usize| {
            let sent = self.hub.sent_at(publication, *index).max(since);
            sent.is_some_and(|sent| sent + settles < at)
        };
        let to = (0..sent).take_while(due).count();
        let room = |index: &usize| self.hub.has_room(publication, *index);
        let lacking = self.lacking(&place, from.min(to), to).filter(room);
        self.at_rest += u64::from(to > 0);
        match lacking {
            Some(index) => Err(format!(
                "{who} has not got #{index} of {}, sent more than {within} ms ago",
                publication.0
            )),
            None => Ok(()),
        }
    }
}

impl MustSee {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            hub: Hub::over(library),
            ..Self::default()
        }
    }
}

impl Checker for MustSee {
    fn name(&self) -> &'static str {
        "players see what they must"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        self.hub.learn(at, who, seen);
        match seen {
            Observation::Dials => {
                self.excused.remove(who);
                self.held.remove(who);
                self.picks.remove(who);
                self.slow.remove(who);
                self.players.remove(who);
                if let Some(first) = who.strip_suffix("/2") {
                    self.double.extend([who.to_owned(), first.to_owned()]);
                }
            }
            // Who may go on in the past is told later of what is live.
            Observation::Pauses if self.hub.is_recorded() => {
                self.excused.insert(who.into());
            }
            Observation::Pauses => self.holds(who),
            Observation::Picks { kind } => self.picks(who, *kind),
            Observation::Told { code } if code == "NetStream.Pause.Notify" => {
                self.confirms(at, who, false);
            }
            Observation::Told { code } if code == "NetStream.Unpause.Notify" => {
                self.confirms(at, who, true);
            }
            Observation::Strays { how } if *how == "sends raw bytes" => {
                self.excused.insert(who.into());
            }
            Observation::GoesBack => {
                self.excused.insert(who.into());
            }
            Observation::Strays { how } if *how == "reads slowly" => {
                self.slow.insert(who.into());
            }
            Observation::LetsGo { .. } | Observation::Lost { .. } => {
                if let Some(player) = self.players.get_mut(who) {
                    player.since = None;
                }
            }
            Observation::AsksToPlay { name } => {
                let player = Player {
                    name: Some(name.clone()),
                    ..Player::default()
                };
                self.players.insert(who.into(), player);
            }
            Observation::Plays { .. } => {
                if let Some(player) = self.players.get_mut(who) {
                    player.since = Some(at);
                }
            }
            _ if self.excused.contains(who) || self.held.contains_key(who) => {}
            Observation::Told { code } if code == "NetStream.Play.UnpublishNotify" => {
                return self.ends(at, who);
            }
            Observation::Stands { .. } => return self.rests(at, who),
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                if let Some(entry) = self.hub.find(payload) {
                    return self.receive(at, who, &entry);
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
            ("beginnings for those who waited", self.beginnings),
            ("keyframes for those who came later", self.joined),
            ("players that held their stream and go on", self.resumptions),
            ("ends in good order", self.endings),
            ("players at rest on good links", self.at_rest),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::climate::Climate;
    use super::super::testing::{frames, name, received, sent};
    use super::*;

    const RING: usize = 1_000;

    struct History {
        checker: MustSee,
        at: Instant,
        frames: Vec<Rc<Frame>>,
    }

    impl History {
        /// Bob plays; a long time later alice sends ten frames.
        fn new(bob_waits: bool) -> Self {
            let mut history = Self {
                checker: MustSee::default(),
                at: Instant::ZERO,
                frames: frames("alice", 0, 10),
            };
            let climate = Climate {
                latency: Duration::from_millis(10),
                steady: true,
                gentle: true,
                mail: Duration::ZERO,
                merge: Duration::ZERO,
                ring_frames: RING,
                full: true,
                few_streams: None,
                tight: None,
                per_address: None,
                downstream: 65_536,
                drain: Duration::from_secs(1),
                on_conflict: millstream::config::OnConflict::Refuse,
                grace: Duration::ZERO,
                recorded: None,
                archive: None,
            };
            history.see("world", &Observation::Climate(climate));
            if bob_waits {
                history.plays();
            }
            let asks = Observation::AsksToPublish {
                name: name(),
                publication: 0,
            };
            history.see("alice", &asks);
            history.see("alice", &Observation::Publishes { name: name() });
            if !bob_waits {
                history.plays();
            }
            for index in 0..10 {
                let seen = sent(0, index, &history.frames[index].clone());
                history.see("alice", &seen);
            }
            history
        }

        fn see(&mut self, who: &str, seen: &Observation) {
            self.checker.observe_at(self.at, who, seen).unwrap();
        }

        fn plays(&mut self) {
            self.see("bob", &Observation::AsksToPlay { name: name() });
            self.see("bob", &Observation::Plays { name: name() });
            self.at = self.at + Duration::from_secs(2);
        }

        fn gets(&mut self, picks: &[usize]) -> Result<(), String> {
            picks.iter().try_for_each(|pick| {
                let seen = received(&self.frames[*pick]);
                self.checker.observe_at(self.at, "bob", &seen)
            })
        }

        fn ends(&mut self) -> Result<(), String> {
            let why = "closes its stream";
            self.see("alice", &Observation::LetsGo { why });
            let code = "NetStream.Play.UnpublishNotify".to_owned();
            self.checker
                .observe_at(self.at, "bob", &Observation::Told { code })
        }

        fn rests(&mut self, after: Duration) -> Result<(), String> {
            let stands = Observation::Stands {
                sent: 0,
                last_sent: self.at,
            };
            self.checker.observe_at(self.at + after, "bob", &stands)
        }
    }

    const ALL: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn all_of_it_and_all_from_a_keyframe_on_pass() {
        let mut history = History::new(true);
        assert_eq!(history.gets(&ALL), Ok(()));
        assert_eq!(history.rests(Duration::from_secs(5)), Ok(()));
        assert_eq!(history.ends(), Ok(()));
        let mut history = History::new(false);
        assert_eq!(history.gets(&ALL), Ok(()));
        assert_eq!(history.ends(), Ok(()));
        let counts = history.checker.special_cases();
        assert!(counts.contains(&("ends in good order", 1)), "{counts:?}");
    }

    #[test]
    fn a_frame_lost_in_the_middle_at_the_beginning_or_at_the_end_is_found() {
        assert!(History::new(true).gets(&[0, 1, 2, 3, 5]).is_err());
        assert!(History::new(true).gets(&[1, 2, 3]).is_err());
        assert!(History::new(true).gets(&[0, 1, 3]).is_err(), "a header");
        let mut history = History::new(true);
        assert_eq!(history.gets(&ALL[..9]), Ok(()));
        assert!(history.ends().is_err());
        let late = History::new(false).gets(&[0, 1, 2, 6, 7, 8, 9]);
        assert!(late.is_err(), "the first keyframe behind its coming");
    }

    #[test]
    fn what_a_ring_may_have_let_go_of_may_be_lost() {
        let mut history = History::new(true);
        assert_eq!(history.gets(&[0, 1, 2, 3]), Ok(()));
        history.at = history.at + Duration::from_secs(6);
        assert_eq!(history.gets(&[6, 7]), Ok(()));
    }

    #[test]
    fn what_a_broken_connection_carried_stays_in_doubt_on_the_next_one() {
        for how in ["sends garbage", "half-closes"] {
            let mut history = History::new(true);
            assert_eq!(history.gets(&ALL[..5]), Ok(()));
            history.see("alice", &Observation::Strays { how });
            let why = "closes its stream";
            history.see("alice", &Observation::LetsGo { why });
            history.see("alice", &Observation::Dials);
            let verdict = history.ends();
            assert_eq!(verdict.is_ok(), how == "sends garbage", "{verdict:?}");
        }
    }

    #[test]
    fn one_that_held_its_stream_goes_on_at_a_keyframe_and_has_no_excuse_from_there_on() {
        let told = |code: &str| Observation::Told { code: code.into() };
        let resumed = || {
            let mut history = History::new(true);
            assert_eq!(history.gets(&ALL[..4]), Ok(()));
            history.see("bob", &Observation::Pauses);
            history.see("bob", &told("NetStream.Pause.Notify"));
            history.see("bob", &Observation::Pauses);
            assert_eq!(history.gets(&[5]), Ok(()), "nobody knows yet");
            history.see("bob", &told("NetStream.Unpause.Notify"));
            history
        };
        assert_eq!(resumed().gets(&[1, 6, 7, 8, 9]), Ok(()));
        assert!(resumed().gets(&[6, 8]).is_err());
    }

    #[test]
    fn one_that_wants_no_video_lacks_nothing_else() {
        let mut history = History::new(true);
        let kind = MediaKind::Video;
        history.see("bob", &Observation::Picks { kind });
        assert_eq!(history.gets(&[0, 1, 2, 9]), Ok(()), "pictures");
        let mut history = History::new(true);
        let kind = MediaKind::Audio;
        history.see("bob", &Observation::Picks { kind });
        assert!(history.gets(&[0, 1, 2, 3, 5]).is_err());
        let mut history = History::new(true);
        let kind = MediaKind::Video;
        history.see("bob", &Observation::Picks { kind });
        assert!(history.gets(&[1, 2, 3]).is_err(), "metadata is not video");
    }

    #[test]
    fn one_that_gets_nothing_is_found() {
        let mut history = History::new(true);
        assert_eq!(
            history.rests(Duration::from_millis(100)),
            Ok(()),
            "on its way"
        );
        assert!(history.rests(Duration::from_secs(4)).is_err());
        history.see("bob", &Observation::Pauses);
        assert_eq!(history.rests(Duration::from_secs(5)), Ok(()));
    }
}
