//! From a time to the tag at which to begin.

use super::file::FlvFile;
use super::resync::{Resync, Search};
use super::walk::{Seen, Walked, Walker};
use crate::limits;
use crate::media::file::{Step, Sync, SyncIndex};
use crate::media::frame::classify::Class;
use crate::planted::{Bug, planted};

/// A search for the last place at or before a time at which one may begin.
///
/// With an index: the tag it names is looked at; if it is what the index says, and the index lists every keyframe, that
/// is all. Otherwise the stretch between two places is halved until it is short: where tags begin in its middle, is the
/// first picture there still at or before the time? (Sound, if there is no video.) What is left is walked through.
#[derive(Clone, Debug)]
pub(super) struct Seek {
    time: u64,
    /// A tag begins here, and nothing before it is of interest: an entry of the index, or the file's beginning.
    floor: u64,
    /// A tag begins here that is at or before the time, or the floor.
    low: u64,
    /// Nothing that begins here or behind it is wanted; none: the file's end.
    high: Option<u64>,
    phase: Phase,
    /// From where on bytes were asked for.
    asked: Option<u64>,
}

/// How a phase ended.
enum Turn {
    /// Go on with this one.
    Go(Phase),
    /// The same, once these bytes are here.
    Read(Phase, u64, usize),
    /// Begin here.
    Done(u64),
}

#[derive(Clone, Debug)]
enum Phase {
    /// Is the index right about this place? And does it list all there is, so that this is the one?
    Verify(Verify),
    Halve,
    /// Where do tags begin, from the middle on?
    Middle(u64, Resync),
    /// When is the first one that tells?
    Compare(u64, Walker, Option<Sync>),
    /// So many bytes before `low` tags begin somewhere.
    Back(u64, Resync),
    /// From there on, which is the last sync point?
    Gather(u64, Walker, Gathered),
}

#[derive(Clone, Debug)]
struct Verify {
    entry: Sync,
    walker: Walker,
    is_all: bool,
    is_writers: bool,
}

/// What was found on the way.
#[derive(Clone, Copy, Debug, Default)]
struct Gathered {
    /// It began at the floor: there is nothing before it.
    from_floor: bool,
    /// Not the first tag any more.
    begun: bool,
    /// Where the headers begin that stand directly in front of the next tag, if all of them are known.
    run: Option<u64>,
    best: Option<u64>,
}

impl Seek {
    pub(super) fn new(file: &FlvFile, time: u64, writer: Option<&SyncIndex>) -> Self {
        let index = writer.or(file.index.as_ref());
        let (mut before, behind) = index.map_or((None, None), |index| index.around(time));
        if planted(Bug::SeekBehind) {
            before = behind.or(before);
        }
        let is_all = file.layout.has_video && index.is_some_and(|index| index.stride() == 1);
        let phase = match before {
            Some(entry) => Phase::Verify(Verify {
                entry,
                walker: Walker::new(entry.offset, limits::FLV_GLANCE + 32),
                is_all,
                is_writers: writer.is_some(),
            }),
            None => Phase::Halve,
        };
        Self {
            time,
            floor: file.body,
            low: file.body,
            high: behind.map(|sync| sync.offset),
            phase,
            asked: None,
        }
    }

    /// Goes on; where to begin.
    pub(super) fn step(&mut self, file: &mut FlvFile, size: u64, input: &[u8]) -> Step<u64> {
        loop {
            let mut phase = core::mem::replace(&mut self.phase, Phase::Halve);
            if let Some(offset) = self.asked.take() {
                phase.fill(offset, input);
            }
            let turn = match phase {
                Phase::Verify(verify) => self.verify(verify, file, size),
                Phase::Halve => self.halve(file, size),
                Phase::Middle(middle, resync) => self.middle(middle, resync, size),
                Phase::Compare(middle, walker, sound) => {
                    self.compare(middle, walker, sound, file, size)
                }
                Phase::Back(back, resync) => self.find_back(back, resync, file, size),
                Phase::Gather(back, walker, gathered) => {
                    self.gather(back, walker, gathered, file, size)
                }
            };
            match turn {
                Turn::Go(phase) => self.phase = phase,
                Turn::Read(phase, offset, len) => {
                    self.phase = phase;
                    self.asked = Some(offset);
                    return Step::Read { offset, len };
                }
                Turn::Done(at) => return Step::Done(at),
            }
        }
    }

    fn verify(&mut self, mut verify: Verify, file: &mut FlvFile, size: u64) -> Turn {
        let entry = verify.entry;
        let seen = match verify.walker.next(size) {
            Walked::Read { offset, len } => return Turn::Read(Phase::Verify(verify), offset, len),
            Walked::Tag(seen) => Some(seen),
            Walked::End => None,
        };
        let is_true = seen.is_some_and(|seen| {
            let time = file.layout.time(seen.head.timestamp);
            let slack = limits::FLV_INDEX_SLACK.as_millis() as u64;
            let is_header = matches!(seen.class, Class::Header(..));
            let is_sync = file.layout.is_sync(seen.class) || is_header;
            is_sync && time.abs_diff(entry.time) <= slack
        });
        if is_true && verify.is_all {
            return Turn::Done(entry.offset);
        }
        if is_true {
            self.floor = entry.offset.max(file.body);
            self.low = self.floor;
        } else {
            // What it says of the places behind is no better. (A writer's index may be ahead of the disk.)
            self.high = None;
            if !verify.is_writers {
                file.index = None;
            }
        }
        Turn::Go(Phase::Halve)
    }

    fn halve(&mut self, file: &FlvFile, size: u64) -> Turn {
        let high = self.high.unwrap_or(size).min(size);
        if high.saturating_sub(self.low) > limits::FLV_STRETCH {
            let middle = self.low + (high - self.low) / 2;
            let resync = Resync::new(middle, high, file.layout.strict);
            return Turn::Go(Phase::Middle(middle, resync));
        }
        self.back(limits::FLV_STRETCH, file)
    }

    fn middle(&mut self, middle: u64, mut resync: Resync, size: u64) -> Turn {
        match resync.next(size) {
            Search::Read { offset, len } => Turn::Read(Phase::Middle(middle, resync), offset, len),
            Search::Found(at) => {
                let walker = Walker::new(at, limits::FLV_PEEK);
                Turn::Go(Phase::Compare(middle, walker, None))
            }
            Search::Nothing => {
                self.high = Some(middle);
                Turn::Go(Phase::Halve)
            }
        }
    }

    /// The first tag that tells the time from the middle on: which half is it?
    fn compare(
        &mut self,
        middle: u64,
        mut walker: Walker,
        mut sound: Option<Sync>,
        file: &FlvFile,
        size: u64,
    ) -> Turn {
        let high = self.high.unwrap_or(size).min(size);
        loop {
            match walker.next(size) {
                Walked::Read { offset, len } => {
                    return Turn::Read(Phase::Compare(middle, walker, sound), offset, len);
                }
                Walked::Tag(seen) if seen.offset < high => {
                    let time = file.layout.time(seen.head.timestamp);
                    let offset = seen.offset;
                    if file.layout.leads(seen.class) {
                        return self.halved(middle, Sync { time, offset });
                    }
                    if seen.is_media() {
                        sound = sound.or(Some(Sync { time, offset }));
                    }
                    // Pictures may pause for long; then the sound is what there is.
                    if walker.at() - middle > limits::FLV_STRETCH && sound.is_some() {
                        break;
                    }
                }
                _ => break,
            }
        }
        let nothing = Sync {
            time: u64::MAX,
            offset: middle,
        };
        self.halved(middle, sound.unwrap_or(nothing))
    }

    /// Goes on in the half that `first`, the first tag behind the middle, leaves.
    fn halved(&mut self, middle: u64, first: Sync) -> Turn {
        if first.time <= self.time {
            self.low = first.offset;
        } else {
            self.high = Some(middle);
        }
        Turn::Go(Phase::Halve)
    }

    /// Looks from `back` bytes before `low` on.
    fn back(&self, back: u64, file: &FlvFile) -> Turn {
        let from = self.low.saturating_sub(back);
        if from > self.floor {
            let resync = Resync::new(from, self.low, file.layout.strict);
            return Turn::Go(Phase::Back(back, resync));
        }
        let gathered = Gathered {
            from_floor: true,
            ..Gathered::default()
        };
        let walker = Walker::new(self.floor, limits::FILE_BLOCK);
        Turn::Go(Phase::Gather(back, walker, gathered))
    }

    /// Nothing there; further back, or not at all.
    fn further(&self, back: u64, file: &FlvFile) -> Turn {
        if back >= limits::FLV_BACK {
            return Turn::Done(self.low);
        }
        self.back(back * 4, file)
    }

    fn find_back(&self, back: u64, mut resync: Resync, file: &FlvFile, size: u64) -> Turn {
        match resync.next(size) {
            Search::Read { offset, len } => Turn::Read(Phase::Back(back, resync), offset, len),
            Search::Found(at) => {
                let walker = Walker::new(at, limits::FILE_BLOCK);
                Turn::Go(Phase::Gather(back, walker, Gathered::default()))
            }
            Search::Nothing => self.further(back, file),
        }
    }

    fn gather(
        &self,
        back: u64,
        mut walker: Walker,
        mut gathered: Gathered,
        file: &FlvFile,
        size: u64,
    ) -> Turn {
        let high = self.high.unwrap_or(size).min(size);
        loop {
            match walker.next(size) {
                Walked::Read { offset, len } => {
                    return Turn::Read(Phase::Gather(back, walker, gathered), offset, len);
                }
                Walked::Tag(seen) if seen.offset < high => {
                    if gathered.is_past(&seen, self.time, file) {
                        break;
                    }
                }
                _ => break,
            }
        }
        match gathered.best {
            Some(at) => Turn::Done(at),
            None if gathered.from_floor => Turn::Done(self.floor),
            None => self.further(back, file),
        }
    }
}

impl Phase {
    /// Takes what was read at `offset`.
    fn fill(&mut self, offset: u64, bytes: &[u8]) {
        match self {
            Self::Verify(verify) => verify.walker.fill(offset, bytes),
            Self::Compare(_, walker, _) | Self::Gather(_, walker, _) => walker.fill(offset, bytes),
            Self::Middle(_, resync) | Self::Back(_, resync) => resync.fill(offset, bytes),
            Self::Halve => {}
        }
    }
}

impl Gathered {
    /// Takes note of a tag; true if it is later than `time`.
    fn is_past(&mut self, seen: &Seen, time: u64, file: &FlvFile) -> bool {
        let begins_here = !core::mem::replace(&mut self.begun, true);
        // Whether headers stand in front of the first tag of all, only the floor knows.
        let is_certain = !begins_here || self.from_floor;
        let run = self.run.take();
        if matches!(seen.class, Class::Header(..)) {
            self.run = run.or(Some(seen.offset).filter(|_| is_certain));
            return false;
        }
        if file.layout.leads(seen.class) && file.layout.time(seen.head.timestamp) > time {
            return true;
        }
        if file.layout.is_sync(seen.class) && is_certain {
            self.best = Some(run.unwrap_or(seen.offset));
        }
        false
    }
}
