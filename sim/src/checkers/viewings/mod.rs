//! Who plays a recording gets what is in it, and when it should.
//!
//! From the beginning, or from the keyframe at or before where it has sought, headers first, then everything in order and
//! without a hole, at the times of the file; nothing while it is held; never further ahead than its buffer; to the end,
//! of which it is told once. Where nothing is in the way, everybody can play what was recorded, and follows what still is.

mod viewer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use millstream::config::OnConflict;
use millstream::limits;
use millstream::rtmp::wire::MediaKind;
use millstream::time::{Duration, Instant, Timestamp};

use super::climate::{Archive, Climate};
use super::kept::Kept;
use super::library::{Entry, Library};
use super::recordings::{Shelf, ends_of, is_files_own};
use super::{Checker, Publication, is_servers_own};
use crate::client::VOD_BUFFER;
use crate::journal::Observation;
use crate::media::{Frame, Sort};
use crate::scenario::{Format, RECORDINGS};
use viewer::{Begins, Item, Viewer};

/// See the module.
#[derive(Default)]
pub struct Viewings {
    library: Library,
    climate: Option<Climate>,
    archive: Option<Archive>,
    stopping: bool,
    published: BTreeMap<Publication, Published>,
    /// What a client has asked to publish last.
    asked: BTreeMap<String, Publication>,
    viewers: BTreeMap<String, Viewer>,
    claims: Vec<Claim>,
    exercised: u64,
    special: Special,
}

/// How often what came up.
#[derive(Default)]
struct Special {
    sought: u64,
    held: u64,
    completed: u64,
    switched: u64,
    followed: u64,
    unplayable: u64,
}

/// What was published: whether it was allowed, and when each of its frames was sent, behind how many bytes.
#[derive(Default)]
struct Published {
    name: Rc<str>,
    allowed: bool,
    sent: Vec<(Instant, u64)>,
}

/// What only the file itself can prove.
struct Claim {
    who: String,
    name: Rc<str>,
    kept: Kept,
    publication: Publication,
    index: usize,
    is_end: bool,
}

/// As our clients have it.
const BUFFER: Duration = VOD_BUFFER;
/// From a publisher to the file, and on to those who follow it: the recorder's glance and the viewer's, and in a file of
/// samples until a fragment is written.
fn recorded(kept: Kept) -> Duration {
    let glances = limits::RECORD_INTERVAL * 2 + limits::VOD_GROWTH * 2 + SLACK;
    match kept {
        Kept::All => glances,
        Kept::Samples => glances + limits::RECORD_FLUSH,
    }
}
/// What else may take its time.
const SLACK: Duration = Duration::from_millis(1_000);
/// Within a tick of the world, of which most are 20 ms long, its hosts' clocks differ; and two timers are rounded.
const EARLY: Duration = Duration::from_millis(25);

impl Viewings {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn sees(
        &mut self,
        at: Instant,
        who: &str,
        (kind, time): (MediaKind, Timestamp),
        payload: &Bytes,
    ) -> Result<(), String> {
        let Some(viewer) = self.viewers.get_mut(who) else {
            return Ok(());
        };
        if is_servers_own(payload) {
            return self.says(at, who, payload);
        }
        if viewer.held {
            return Err(format!("gets {kind:?} of what it holds"));
        }
        if viewer.over || viewer.failed {
            return Err(format!("gets {kind:?} behind the end"));
        }
        let kept = viewer.item.kept;
        let Some(entry) = self.library.find_kept(kept, kind, payload) else {
            return match kind == MediaKind::Data && is_files_own(payload) {
                true => viewer.goes_on(time),
                false => Err("gets what nobody published".into()),
            };
        };
        if entry.frame.sort.is_header() {
            return viewer.header(&entry, time);
        }
        self.exercised += 1;
        let is_first = viewer.follow.last.is_none();
        let begins = viewer.media(&entry, time, &self.library)?;
        if matches!(begins, Begins::IfFirst) {
            let claim = Claim::of(who, viewer, &entry, entry.index, false);
            self.claims.push(claim);
        }
        self.special.sought += u64::from(is_first && viewer.has_sought);
        let published = self.published.get(&entry.publication);
        let sent = published.and_then(|published| published.sent.get(entry.index));
        self.special.followed += u64::from(sent.is_some_and(|(sent, _)| *sent > viewer.since));
        self.is_in_its_part(who, &entry, time)?;
        self.is_paced(at, who, time)?;
        match is_first {
            true => self.begins_late_enough(who, &entry),
            false => Ok(()),
        }
    }

    fn is_in_its_part(&self, who: &str, entry: &Entry, time: Timestamp) -> Result<(), String> {
        let Some(viewer) = self.viewers.get(who).filter(|it| !it.has_sought) else {
            return Ok(());
        };
        let until = viewer.until().filter(|until| u64::from(time.0) >= *until);
        let is_alone = viewer.from == Some(time.0.into());
        match until.filter(|_| !is_alone) {
            Some(until) => Err(format!(
                "gets #{} at {} ms, and wants what is before {until} ms",
                entry.index, time.0
            )),
            None => Ok(()),
        }
    }

    /// Nobody is sent more than its buffer takes: what it plays began when it asked, at the earliest.
    fn is_paced(&self, at: Instant, who: &str, time: Timestamp) -> Result<(), String> {
        let (Some(viewer), Some(archive)) = (self.viewers.get(who), self.archive) else {
            return Ok(());
        };
        let ahead = u64::from(time.0).saturating_sub(viewer.from.unwrap_or(time.0.into()));
        let most = at.since(viewer.since) + BUFFER + EARLY;
        match Duration::from_millis(ahead) > most && archive.paced {
            true => Err(format!(
                "has had {ahead} ms of it {} ms after it asked, and buffers {} ms",
                at.since(viewer.since).as_millis(),
                BUFFER.as_millis()
            )),
            false => Ok(()),
        }
    }

    /// Whether there is no later keyframe that it should have begun with.
    fn begins_late_enough(&self, who: &str, entry: &Entry) -> Result<(), String> {
        let Some(viewer) = self.viewers.get(who) else {
            return Ok(());
        };
        let Some(better) = viewer.should_begin_with(entry, &self.library) else {
            return Ok(());
        };
        let was_seen = viewer.furthest.is_some_and(|furthest| furthest >= better);
        let kept = viewer.item.kept;
        let was_there = || self.was_recorded(&entry.publication, kept, better, viewer.since);
        if !was_seen && !was_there() {
            return Ok(());
        }
        Err(format!(
            "begins with #{}, and #{better} is at or before the place it wants",
            entry.index
        ))
    }

    /// Whether a frame was certainly in its file at `at`.
    fn was_recorded(&self, of: &Publication, kept: Kept, index: usize, at: Instant) -> bool {
        let is_whole = self.archive.is_some_and(|archive| archive.whole);
        is_whole && self.was_there(of, kept, index, at)
    }

    /// What the file of this name keeps: of two, FLV is found first.
    fn kept(&self, name: &str) -> Kept {
        match self.archive.map(|archive| archive.format) {
            Some(Format::Mp4) => Kept::Samples,
            Some(Format::Both) if name.ends_with(".mp4") => Kept::Samples,
            _ => Kept::All,
        }
    }

    /// Nothing is in the way of recording and playing.
    fn is_easy(&self) -> bool {
        let gentle = |climate: &Climate| climate.gentle && climate.ring_frames > 0;
        let sound = self.archive.is_some_and(|archive| archive.sound);
        sound && !self.stopping && self.climate.as_ref().is_some_and(gentle)
    }

    fn carries(&self, bytes: u64) -> Option<Duration> {
        self.climate.map(|climate| climate.carries(bytes))
    }

    /// Data messages of the server's own.
    fn says(&mut self, at: Instant, who: &str, payload: &Bytes) -> Result<(), String> {
        let says = |code: &[u8]| payload.windows(code.len()).any(|part| part == code);
        let Some(viewer) = self.viewers.get_mut(who) else {
            return Ok(());
        };
        let (is_end, is_next) = (
            says(b"NetStream.Play.Complete"),
            says(b"NetStream.Play.Switch"),
        );
        if is_end && viewer.over {
            return Err("is told twice that it has had all".into());
        }
        if is_end && viewer.held {
            return Err("is told that it has had all of what it holds".into());
        }
        if (is_end || is_next) && !viewer.over && !viewer.failed {
            self.has_all(at, who, is_end)?;
        }
        let Some(viewer) = self.viewers.get_mut(who) else {
            return Ok(());
        };
        if is_end {
            self.special.completed += 1;
            viewer.over = true;
        }
        if is_next {
            self.special.switched += 1;
            viewer.switches()?;
        }
        Ok(())
    }

    /// It has had all of what plays, says the server; and has played it, if nothing follows.
    fn has_all(&mut self, at: Instant, who: &str, is_end: bool) -> Result<(), String> {
        let Some(viewer) = self.viewers.get(who) else {
            return Ok(());
        };
        if let (Some(last), Some(publication), None) =
            (viewer.follow.last, &viewer.publication, viewer.item.for_ms)
        {
            if let Some(owed) = viewer.follow.owes() {
                return Err(format!(
                    "is told that it has had all, and never had #{owed}"
                ));
            }
            self.claims.push(Claim {
                who: who.into(),
                name: viewer.item.name.clone(),
                kept: viewer.item.kept,
                publication: publication.clone(),
                index: last,
                is_end: true,
            });
        }
        // Who holds and goes on in one read has not been held at all: its time goes on as before.
        let paced = self.archive.is_some_and(|archive| archive.paced) && !viewer.was_held;
        let early = (viewer.since + viewer.played()).since(at);
        match paced && is_end && early > EARLY {
            true => Err(format!(
                "is told that it has had all {} ms before it can have played it",
                early.as_millis()
            )),
            false => Ok(()),
        }
    }

    /// All that has come has been read: whether it is all that should have.
    fn follows(&mut self, at: Instant, who: &str) -> Result<(), String> {
        let Some(viewer) = self.viewers.get(who).filter(|_| self.is_easy()) else {
            return Ok(());
        };
        let waits = viewer.held || viewer.over || viewer.failed || viewer.strays;
        let waits = waits || viewer.seeks.is_some() || !viewer.pauses.is_empty();
        let (Some(publication), Some(from), Some(last), false) =
            (&viewer.publication, viewer.from, viewer.follow.last, waits)
        else {
            return Ok(());
        };
        let Some(published) = self.published.get(publication).filter(|it| it.is_easy()) else {
            return Ok(());
        };
        let frames = self.library.frames(publication);
        let kept = viewer.item.kept;
        let mut behind = (last + 1..).zip(frames.iter().skip(last + 1));
        let Some((next, frame)) = behind.find(|(_, frame)| is_due(kept, frame, viewer.has_picture))
        else {
            return Ok(());
        };
        let (Some(place), Some((sent, bytes))) =
            (viewer.moved.place(frame), published.sent.get(next))
        else {
            return Ok(());
        };
        let may_be_cut = frame.sort == Sort::Key || !viewer.has_picture;
        let is_whole = self.archive.is_some_and(|archive| archive.whole);
        let is_out = viewer.until().is_some_and(|until| place >= until);
        if is_out || (may_be_cut && !is_whole) {
            return Ok(());
        }
        let played = Duration::from_millis(place.saturating_sub(from));
        let due = viewer.since + played.saturating_sub(BUFFER);
        let carried = self.carries(*bytes).unwrap_or_default();
        let due = due.max(*sent + recorded(kept)) + carried + SLACK;
        if at < due {
            return Ok(());
        }
        Err(format!(
            "has had all up to #{last}, and not #{next}, sent {} ms ago, due for {} ms",
            at.since(*sent).as_millis(),
            at.since(due).as_millis()
        ))
    }

    fn cannot(
        &mut self,
        at: Instant,
        who: &str,
        code: &str,
        refused: Option<&Rc<str>>,
    ) -> Result<(), String> {
        let Some(viewer) = self.viewers.get_mut(who) else {
            return Ok(());
        };
        self.special.unplayable += 1;
        let Some(name) = refused else {
            viewer.failed = true;
            return match self.is_easy() {
                true => Err(format!("cannot play on, of a sound disk: {code}")),
                false => Ok(()),
            };
        };
        let waits = viewer.waits.iter().rposition(|item| item.name == *name);
        match waits {
            Some(at) => drop(viewer.waits.remove(at)),
            None => drop(self.viewers.remove(who)),
        }
        let kept = self.kept(name);
        let is_there = |(publication, published): (&Publication, &Published)| {
            let is_it = name_of(name) == &*published.name;
            let frames = self.library.frames(publication);
            let first = frames.iter().position(|frame| is_due(kept, frame, false));
            is_it
                && published.allowed
                && first.is_some_and(|first| self.was_there(publication, kept, first, at))
        };
        match self.published.iter().any(is_there) {
            true => Err(format!("cannot play {name}, which was recorded: {code}")),
            false => Ok(()),
        }
    }

    /// The same, of the first file of a recording, however many there are.
    fn was_there(&self, of: &Publication, kept: Kept, index: usize, at: Instant) -> bool {
        let (Some(published), true) = (self.published.get(of), self.is_easy()) else {
            return false;
        };
        let sent = published.sent.get(index);
        let sent = sent.and_then(|(sent, bytes)| Some(*sent + self.carries(*bytes)?));
        sent.is_some_and(|sent| sent + recorded(kept) <= at) && published.is_easy()
    }

    fn publishes(&mut self, at: Instant, who: &str, seen: &Observation) {
        match seen {
            // What they sent may have come to nobody.
            Observation::LetsGo {
                why: "aborts" | "connects anew",
            }
            | Observation::Kicked
            | Observation::Ended { .. }
            | Observation::Lost { .. }
            | Observation::Injected { .. } => {
                let mine = |(publication, _): &(&Publication, _)| &*publication.0 == who;
                let mut mine: Vec<_> = self.published.iter_mut().filter(mine).collect();
                mine.iter_mut().for_each(|(_, it)| it.allowed = false);
            }
            Observation::AsksToPublish { name, publication } => {
                self.may_take_over(name);
                let publication = (Rc::from(who), *publication);
                let published = Published {
                    name: name.clone(),
                    ..Published::default()
                };
                self.published.insert(publication.clone(), published);
                self.asked.insert(who.into(), publication);
            }
            Observation::Publishes { .. } => {
                let asked = self.asked.get(who);
                if let Some(published) = asked.and_then(|asked| self.published.get_mut(asked)) {
                    published.allowed = true;
                }
            }
            Observation::Sent {
                publication, frame, ..
            } => {
                let publication = (Rc::from(who), *publication);
                if let Some(published) = self.published.get_mut(&publication) {
                    let before = published.sent.last().map_or(0, |(_, bytes)| *bytes);
                    let bytes = before + frame.payload.len() as u64;
                    published.sent.push((at, bytes));
                }
            }
            _ => {}
        }
    }

    /// Who asks for a name ends what is published under it, where that is so configured.
    fn may_take_over(&mut self, name: &str) {
        let climate = self.climate.as_ref();
        if climate.is_none_or(|climate| climate.on_conflict != OnConflict::Refuse) {
            let same = self.published.values_mut().filter(|it| &*it.name == name);
            same.for_each(|published| published.allowed = false);
        }
    }

    /// What the files themselves say.
    fn prove(&mut self, shelf: &Shelf) -> Result<(), String> {
        if shelf.lost_power {
            return Ok(()); // they may be other ones now
        }
        for claim in std::mem::take(&mut self.claims) {
            let ending = match claim.kept {
                Kept::All => "flv",
                Kept::Samples => "mp4",
            };
            let path = PathBuf::from(format!("{RECORDINGS}/{}.{ending}", name_of(&claim.name)));
            let Some(content) = shelf.files.get(&path) else {
                continue; // never finished
            };
            let ends = ends_of(&self.library, claim.kept, content);
            let Some((publication, first, last)) = ends else {
                continue;
            };
            let right = if claim.is_end { last } else { first };
            if publication == claim.publication && right != claim.index {
                let what = if claim.is_end { "ends" } else { "begins" };
                return Err(format!(
                    "{} had {} as if it {what} with #{}, and it does with #{right}",
                    claim.who, claim.name, claim.index
                ));
            }
        }
        Ok(())
    }
}

impl Published {
    /// Nothing is in its way: its application has no bounds of its own.
    fn is_easy(&self) -> bool {
        self.allowed && self.name.starts_with("live/")
    }
}

impl Claim {
    fn of(who: &str, viewer: &Viewer, entry: &Entry, index: usize, is_end: bool) -> Self {
        Self {
            who: who.into(),
            name: viewer.item.name.clone(),
            kept: viewer.item.kept,
            publication: entry.publication.clone(),
            index,
            is_end,
        }
    }
}

/// Whether it stands in a file, behind a picture or not.
fn is_due(kept: Kept, frame: &Frame, has_picture: bool) -> bool {
    match frame.sort {
        sort if sort.is_header() => false,
        Sort::Inter if !has_picture => false,
        _ => kept.has_place_for(frame),
    }
}

/// The application and the stream whose recording is called so: `vod/live/cam`, or with an ending.
fn name_of(name: &str) -> &str {
    let name = name.strip_prefix("vod/").unwrap_or(name);
    let stem = name.strip_suffix(".mp4").or(name.strip_suffix(".flv"));
    stem.unwrap_or(name)
}

impl Checker for Viewings {
    fn name(&self) -> &'static str {
        "recordings are played as they are"
    }

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        if let Observation::Climate(climate) = seen {
            self.climate = Some(*climate);
            self.archive = climate.archive;
        }
        if self.archive.is_none() {
            return Ok(());
        }
        self.library.learn(who, seen);
        self.publishes(at, who, seen);
        let verdict = self.watch(at, who, seen);
        verdict.map_err(|what| format!("{who} {what}"))
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        let special = &self.special;
        vec![
            ("places sought in recordings", special.sought),
            ("recordings held", special.held),
            ("recordings played to their end", special.completed),
            ("recordings behind others of a list", special.switched),
            ("recordings followed while they grow", special.followed),
            ("recordings that cannot be played", special.unplayable),
        ]
    }
}

impl Viewings {
    fn watch(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Stops => self.stopping = true,
            Observation::Recorded(shelf) => return self.prove(shelf),
            Observation::AsksToView {
                name,
                from_ms,
                for_ms,
                appended,
            } => {
                let item = Item {
                    name: name.clone(),
                    kept: self.kept(name),
                    from_ms: *from_ms,
                    for_ms: *for_ms,
                };
                self.asks(at, who, item, *appended);
            }
            Observation::Unplayable { code, refused } => {
                return self.cannot(at, who, code, refused.as_ref());
            }
            Observation::Viewed {
                kind,
                timestamp,
                payload,
            } => return self.sees(at, who, (*kind, *timestamp), payload),
            Observation::Stands { .. } => return self.follows(at, who),
            _ => self.steers(at, who, seen),
        }
        Ok(())
    }

    fn asks(&mut self, at: Instant, who: &str, item: Item, appended: bool) {
        match self.viewers.get_mut(who) {
            Some(viewer) if appended => {
                if viewer.over {
                    // What comes of it begins now at the earliest, whatever was played before.
                    (viewer.since, viewer.from) = (viewer.since.max(at), None);
                }
                viewer.waits.push_back(item);
            }
            _ if appended => {}
            _ => drop(self.viewers.insert(who.into(), Viewer::new(item, at))),
        }
    }

    fn steers(&mut self, at: Instant, who: &str, seen: &Observation) {
        let Some(viewer) = self.viewers.get_mut(who) else {
            return;
        };
        match seen {
            Observation::Strays { .. } => viewer.strays = true,
            Observation::Seeks => viewer.seeks = Some(at),
            Observation::Pauses => viewer.pauses.push_back(at),
            Observation::Sought { ms } => viewer.jumps(*ms),
            Observation::Told { code } if code == "NetStream.Pause.Notify" => {
                viewer.pauses.pop_front();
                viewer.held = true;
                viewer.was_held = true;
                self.special.held += 1;
            }
            Observation::Told { code } if code == "NetStream.Unpause.Notify" => {
                viewer.since = viewer.pauses.pop_front().unwrap_or(at);
                viewer.held = false;
                viewer.from = None;
            }
            Observation::Dials | Observation::LetsGo { .. } => drop(self.viewers.remove(who)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
