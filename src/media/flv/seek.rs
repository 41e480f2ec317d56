//! From a time to the tag at which to begin.

use super::file::FlvFile;
use super::resync::{Resync, Search};
use super::walk::{Seen, Walked, Walker};
use crate::limits;
use crate::media::file::{Step, Sync, SyncIndex};
use crate::media::frame::classify::Class;

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
    /// What was asked for.
    asked: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Is the index right about this place? And does it list all there is, so that this is the one?
    Verify {
        entry: Sync,
        walker: Walker,
        is_all: bool,
        is_writers: bool,
        begun: bool,
    },
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
        let (before, behind) = index.map_or((None, None), |index| index.around(time));
        let is_all = file.layout.has_video && index.is_some_and(|index| index.stride() == 1);
        let phase = match before {
            Some(entry) => Phase::Verify {
                entry,
                walker: Walker::new(entry.offset, limits::FLV_GLANCE + 32),
                is_all,
                is_writers: writer.is_some(),
                begun: false,
            },
            None => Phase::Halve,
        };
        Self {
            time,
            floor: file.body,
            low: file.body,
            high: behind.map(|sync| sync.offset),
            phase,
            asked: 0,
        }
    }

    /// Goes on; where to begin.
    pub(super) fn step(&mut self, file: &mut FlvFile, size: u64, input: &[u8]) -> Step<u64> {
        let mut input = Some(input).filter(|_| self.asked > 0);
        loop {
            let phase = core::mem::replace(&mut self.phase, Phase::Halve);
            let (next, read) = match phase {
                Phase::Verify { .. } => match self.verify(phase, file, size, input.take()) {
                    Ok(at) => return Step::Done(at),
                    Err(next) => next,
                },
                Phase::Halve => (self.halve(file, size), None),
                Phase::Middle(middle, mut resync) => {
                    if let Some(input) = input.take() {
                        resync.fill(self.asked, input);
                    }
                    match resync.next(size) {
                        Search::Read { offset, len } => {
                            (Phase::Middle(middle, resync), Some((offset, len)))
                        }
                        Search::Found(at) => {
                            let walker = Walker::new(at, limits::FILE_BLOCK / 16);
                            (Phase::Compare(middle, walker, None), None)
                        }
                        Search::Nothing => {
                            self.high = Some(middle);
                            (Phase::Halve, None)
                        }
                    }
                }
                Phase::Compare(middle, mut walker, sound) => {
                    if let Some(input) = input.take() {
                        walker.fill(self.asked, input);
                    }
                    self.compare(middle, walker, sound, file, size)
                }
                Phase::Back(back, mut resync) => {
                    if let Some(input) = input.take() {
                        resync.fill(self.asked, input);
                    }
                    match resync.next(size) {
                        Search::Read { offset, len } => {
                            (Phase::Back(back, resync), Some((offset, len)))
                        }
                        Search::Found(at) if at < self.low => {
                            let walker = Walker::new(at, limits::FILE_BLOCK);
                            (Phase::Gather(back, walker, Gathered::default()), None)
                        }
                        _ => match self.further(back, file) {
                            Ok(at) => return Step::Done(at),
                            Err(next) => (next, None),
                        },
                    }
                }
                Phase::Gather(back, mut walker, gathered) => {
                    if let Some(input) = input.take() {
                        walker.fill(self.asked, input);
                    }
                    match self.gather(back, walker, gathered, file, size) {
                        Ok(at) => return Step::Done(at),
                        Err(next) => next,
                    }
                }
            };
            self.phase = next;
            if let Some((offset, len)) = read {
                self.asked = offset;
                return Step::Read { offset, len };
            }
        }
    }

    fn verify(
        &mut self,
        phase: Phase,
        file: &mut FlvFile,
        size: u64,
        input: Option<&[u8]>,
    ) -> Result<u64, (Phase, Option<(u64, usize)>)> {
        let Phase::Verify {
            entry,
            mut walker,
            is_all,
            is_writers,
            begun,
        } = phase
        else {
            return Err((phase, None));
        };
        if let Some(input) = input {
            walker.fill(self.asked, input);
        }
        let seen = match walker.next(size) {
            Walked::Read { offset, len } => {
                let phase = Phase::Verify {
                    entry,
                    walker,
                    is_all,
                    is_writers,
                    begun,
                };
                return Err((phase, Some((offset, len))));
            }
            Walked::Tag(seen) => Some(seen),
            Walked::End => None,
        };
        let is_true = seen.is_some_and(|seen| {
            let time = file.layout.time(seen.head.timestamp);
            let slack = limits::FLV_INDEX_SLACK.as_millis() as u64;
            let is_sync =
                file.layout.is_sync(seen.class) || matches!(seen.class, Class::Header(..));
            is_sync && time.abs_diff(entry.time) <= slack
        });
        if is_true && is_all {
            return Ok(entry.offset);
        }
        if is_true {
            self.floor = entry.offset.max(file.body);
            self.low = self.floor;
        } else {
            // What it says of the places behind is no better. (A writer's index may be ahead of the disk.)
            self.high = None;
            if !is_writers {
                file.index = None;
            }
        }
        Err((Phase::Halve, None))
    }

    fn halve(&mut self, file: &FlvFile, size: u64) -> Phase {
        let high = self.high.unwrap_or(size).min(size);
        if high.saturating_sub(self.low) > limits::FLV_STRETCH {
            let middle = self.low + (high - self.low) / 2;
            return Phase::Middle(middle, Resync::new(middle, high, file.layout.strict));
        }
        self.back(limits::FLV_STRETCH, file)
    }

    /// Looks from `back` bytes before `low` on.
    fn back(&self, back: u64, file: &FlvFile) -> Phase {
        let from = self.low.saturating_sub(back);
        if from > self.floor {
            return Phase::Back(back, Resync::new(from, self.low, file.layout.strict));
        }
        let gathered = Gathered {
            from_floor: true,
            ..Gathered::default()
        };
        Phase::Gather(back, Walker::new(self.floor, limits::FILE_BLOCK), gathered)
    }

    /// Nothing there; further back, or not at all.
    fn further(&self, back: u64, file: &FlvFile) -> Result<u64, Phase> {
        if back >= limits::FLV_BACK {
            return Ok(self.low);
        }
        Err(self.back(back * 4, file))
    }

    /// The first tag that tells the time from the middle on: which half is it?
    fn compare(
        &mut self,
        middle: u64,
        mut walker: Walker,
        mut sound: Option<Sync>,
        file: &FlvFile,
        size: u64,
    ) -> (Phase, Option<(u64, usize)>) {
        let high = self.high.unwrap_or(size).min(size);
        // Pictures may pause for long; then the sound is what there is.
        for _ in 0..limits::FLV_HEAD_TAGS {
            match walker.next(size) {
                Walked::Read { offset, len } => {
                    return (Phase::Compare(middle, walker, sound), Some((offset, len)));
                }
                Walked::Tag(seen) if seen.offset < high => {
                    let time = file.layout.time(seen.head.timestamp);
                    let offset = seen.offset;
                    if file.layout.leads(seen.class) {
                        return (self.halved(middle, Sync { time, offset }), None);
                    }
                    if seen.is_media() {
                        sound = sound.or(Some(Sync { time, offset }));
                    }
                }
                _ => break,
            }
        }
        let nothing = Sync {
            time: u64::MAX,
            offset: middle,
        };
        (self.halved(middle, sound.unwrap_or(nothing)), None)
    }

    /// Goes on in the half that `first`, the first tag behind the middle, leaves.
    fn halved(&mut self, middle: u64, first: Sync) -> Phase {
        if first.time <= self.time {
            self.low = first.offset;
        } else {
            self.high = Some(middle);
        }
        Phase::Halve
    }

    fn gather(
        &mut self,
        back: u64,
        mut walker: Walker,
        mut gathered: Gathered,
        file: &FlvFile,
        size: u64,
    ) -> Result<u64, (Phase, Option<(u64, usize)>)> {
        let high = self.high.unwrap_or(size).min(size);
        loop {
            match walker.next(size) {
                Walked::Read { offset, len } => {
                    return Err((Phase::Gather(back, walker, gathered), Some((offset, len))));
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
            Some(at) => Ok(at),
            None if gathered.from_floor => Ok(self.floor),
            None => self.further(back, file).map_err(|next| (next, None)),
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
