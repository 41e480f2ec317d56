//! One who plays recordings, and what it has seen of the one that plays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use millstream::time::{Duration, Instant, Timestamp};

use crate::checkers::Publication;
use crate::checkers::kept::{Follow, Kept};
use crate::checkers::library::{Entry, Library};
use crate::checkers::moved::Moved;
use crate::media::{Frame, Sort};

/// A recording, or a part of it, that somebody wants played.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Application and file.
    pub(super) name: Rc<str>,
    /// What its file keeps.
    pub(super) kept: Kept,
    pub(super) from_ms: u64,
    pub(super) for_ms: Option<u64>,
}

/// One that plays recordings.
pub(super) struct Viewer {
    pub(super) item: Item,
    /// What is to follow.
    pub(super) waits: VecDeque<Item>,
    pub(super) publication: Option<Publication>,
    /// The place that it wants, milliseconds: between these.
    asked: [u64; 2],
    /// The place is one that it has sought.
    pub(super) has_sought: bool,
    /// When it asked for what plays now: from then on its pace is counted.
    pub(super) since: Instant,
    /// Where that began in the file.
    pub(super) from: Option<u64>,
    /// How far it is in it.
    pub(super) follow: Follow,
    newest: Option<Timestamp>,
    /// The furthest that it has ever had of this file.
    pub(super) furthest: Option<usize>,
    pub(super) moved: Moved,
    /// The newest header that it has, of each sort and track.
    headers: BTreeMap<(Sort, u8), usize>,
    pub(super) has_picture: bool,
    pub(super) held: bool,
    pub(super) was_held: bool,
    /// It has had all of it.
    pub(super) over: bool,
    /// It cannot be played any further.
    pub(super) failed: bool,
    /// It may not read as fast as it can.
    pub(super) strays: bool,
    /// When it asked to hold or to go on, and has not been answered.
    pub(super) pauses: VecDeque<Instant>,
    /// When it asked for another place, and has not been answered.
    pub(super) seeks: Option<Instant>,
}

/// Where its publisher's time has jumped, sound and pictures stand so far apart.
const APART_MS: i32 = 400;

/// What one has seen first behind a beginning.
pub(super) enum Begins {
    /// Nothing to be said about it.
    Rightly,
    /// Rightly only if it is the first of the file.
    IfFirst,
}

impl Viewer {
    pub(super) fn new(item: Item, since: Instant) -> Self {
        let asked = place(&item);
        Self {
            item,
            waits: VecDeque::new(),
            publication: None,
            asked,
            has_sought: false,
            since,
            from: None,
            follow: Follow::default(),
            newest: None,
            furthest: None,
            moved: Moved::default(),
            headers: BTreeMap::new(),
            has_picture: false,
            held: false,
            was_held: false,
            over: false,
            failed: false,
            strays: false,
            pauses: VecDeque::new(),
            seeks: None,
        }
    }

    /// What follows is from another place.
    pub(super) fn jumps(&mut self, ms: u64) {
        self.since = self.seeks.take().unwrap_or(self.since);
        self.asked = [ms, ms];
        self.has_sought = true;
        (self.over, self.failed) = (false, false);
        self.begins_anew();
    }

    fn begins_anew(&mut self) {
        (self.from, self.follow, self.newest) = (None, Follow::default(), None);
        self.headers.clear();
        self.has_picture = false;
    }

    /// The next of its list plays.
    pub(super) fn switches(&mut self) -> Result<(), String> {
        let Some(next) = self.waits.pop_front() else {
            return Err("goes on with what it has not asked for".into());
        };
        // It begins when the one before has been played, at the earliest.
        self.since = self.since + self.played();
        self.asked = place(&next);
        self.item = next;
        self.publication = None;
        self.furthest = None;
        self.moved = Moved::default();
        self.has_sought = false;
        (self.over, self.failed) = (false, false);
        self.begins_anew();
        Ok(())
    }

    /// How long what it has since then lasts.
    pub(super) fn played(&self) -> Duration {
        let to = self.newest.map_or(0, |newest| u64::from(newest.0));
        Duration::from_millis(to.saturating_sub(self.from.unwrap_or(to)))
    }

    /// The end of the part that it wants, milliseconds; none: that of the file.
    pub(super) fn until(&self) -> Option<u64> {
        let [_, from] = place(&self.item);
        self.item.for_ms.map(|ms| from.saturating_add(ms))
    }

    /// A header, and its time.
    pub(super) fn header(&mut self, entry: &Entry, time: Timestamp) -> Result<(), String> {
        let (sort, tracks) = (entry.frame.sort, &entry.frame.tracks);
        for track in tracks {
            self.headers.insert((sort, *track), entry.index);
        }
        self.goes_on(time)
    }

    /// Whether time does not go back.
    pub(super) fn goes_on(&mut self, time: Timestamp) -> Result<(), String> {
        let before = self.newest.unwrap_or(time);
        if time.since(before) < -APART_MS {
            return Err(format!(
                "the time {} ms behind {} ms, and has not sought",
                time.0, before.0
            ));
        }
        if time.since(before) >= 0 {
            self.newest = Some(time);
        }
        Ok(())
    }

    /// Sound, a picture, or what nobody knows.
    pub(super) fn media(
        &mut self,
        entry: &Entry,
        time: Timestamp,
        library: &Library,
    ) -> Result<Begins, String> {
        let of = (self.publication).get_or_insert_with(|| entry.publication.clone());
        if *of != entry.publication {
            return Err("two publications in one file".into());
        }
        let is_first = self.follow.last.is_none();
        {
            let frames = library.frames(&entry.publication);
            let (kept, index) = (self.item.kept, entry.index);
            self.follow.shows(kept, &frames, index, self.has_picture)?;
        }
        self.moved
            .judge(&entry.frame, time.0)
            .map_err(|what| format!("#{} at a wrong time: {what}", entry.index))?;
        self.goes_on(time)?;
        self.furthest = self.furthest.max(self.follow.last);
        self.from.get_or_insert(time.0.into());
        if entry.frame.sort.is_picture() && !std::mem::replace(&mut self.has_picture, true) {
            self.first_picture(entry, library)?;
        }
        match is_first {
            true => self.begins(entry, time),
            false => Ok(Begins::Rightly),
        }
    }

    fn first_picture(&self, entry: &Entry, library: &Library) -> Result<(), String> {
        if entry.frame.sort != Sort::Key && !self.may_begin_with(entry, library) {
            return Err(format!("#{} first, which is no keyframe", entry.index));
        }
        let tracks: BTreeSet<u8> = entry.frame.tracks.iter().copied().collect();
        for sort in [Sort::VideoHeader, Sort::AudioHeader] {
            let of = (&entry.publication, &[sort]);
            let right = library.newest_before(of.0, of.1, 0, entry.index);
            let has = self.headers.get(&(sort, 0)).copied();
            // Of other tracks some have had no keyframe yet.
            if tracks.contains(&0) && right.is_some() && has < right {
                return Err(format!(
                    "#{} behind the {} #{has:?}, and #{right:?} was in force",
                    entry.index,
                    sort.name()
                ));
            }
        }
        Ok(())
    }

    /// A file of samples ends where a header changes, and the next one goes on, wherever the next keyframe may be.
    fn may_begin_with(&self, entry: &Entry, library: &Library) -> bool {
        let frames = library.frames(&entry.publication);
        let before = frames.iter().take(entry.index).rev();
        let changed = before.take_while(|frame| frame.sort != Sort::Key);
        let is_header =
            |frame: &Rc<Frame>| matches!(frame.sort, Sort::VideoHeader | Sort::AudioHeader);
        self.item.kept == Kept::Samples && { changed }.any(is_header)
    }

    /// The first of all from a place.
    fn begins(&self, entry: &Entry, time: Timestamp) -> Result<Begins, String> {
        let [_, asked] = self.asked;
        let is_before = u64::from(time.0) <= asked;
        match entry.frame.sort == Sort::Key && is_before {
            true => Ok(Begins::Rightly),
            false => Ok(Begins::IfFirst),
        }
    }

    /// Whether `key`, behind the keyframe that it begins with, would have been the one to begin with.
    pub(super) fn should_begin_with(&self, entry: &Entry, library: &Library) -> Option<usize> {
        let plain = |sort: Sort, tracks: &[u8], epoch: u32| {
            sort == Sort::Key && tracks == [0] && epoch == 0
        };
        let first = &entry.frame;
        // From the beginning there is nothing to choose: all of the file is wanted.
        if self.asked == [0, 0] || !plain(first.sort, &first.tracks, first.epoch) {
            return None;
        }
        let frames = library.frames(&entry.publication);
        let (at, next) = (entry.index + 1..)
            .zip(frames.iter().skip(entry.index + 1))
            .find(|(_, frame)| frame.sort == Sort::Key)?;
        let time = self.moved.place(next)?;
        let is_wanted = plain(next.sort, &next.tracks, next.epoch) && time <= self.asked[0];
        is_wanted.then_some(at)
    }
}

/// Between which milliseconds an item begins: what lies behind the end of the file was meant in another unit.
fn place(item: &Item) -> [u64; 2] {
    [item.from_ms / 1_000, item.from_ms]
}
