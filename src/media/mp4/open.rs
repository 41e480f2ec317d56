//! Opening a file: finding `moov`, and in fragmented files where one can begin.

use super::boxes::{Fields, HEADER_MAX, Head, child};
use super::error::Mp4Error;
use super::file::Mp4File;
use super::moof::{self, Run};
use super::sidx::Pieces;
use super::source::{Movie, movie};
use super::survey::{Ends, Survey};
use super::walk::{Found, Walk};
use crate::limits;
use crate::media::file::{Step, Sync, SyncIndex, Task};

/// Opens a file: [`Task`].
///
/// `moov` is read whole, up to [`limits::MP4_MOOV_BYTES`]; of fragments without an index at the file's end (`mfra`) or before
/// them (`sidx`), every description, once; and of those that do not say when they begin.
#[derive(Debug)]
pub struct Mp4Open {
    size: u64,
    at: u64,
    boxes: u64,
    state: State,
    movie: Option<(Movie, Vec<u8>)>,
    first_moof: Option<u64>,
    pieces: Option<Pieces>,
    walks: bool,
}

#[derive(Debug)]
enum State {
    Begin,
    Head,
    Movie {
        end: u64,
        bytes: Vec<u8>,
        base: u64,
        asked: bool,
    },
    /// A `sidx` was asked for.
    Pieces,
    /// The first fragment is looked at.
    First(Walk),
    IndexSize {
        asked: bool,
    },
    Index {
        at: u64,
    },
    Walk(Walk, Survey, Ends),
    Done,
}

impl Mp4Open {
    /// Opens a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            at: 0,
            boxes: 0,
            state: State::Begin,
            movie: None,
            first_moof: None,
            pieces: None,
            walks: true,
        }
    }

    /// Does not look for an index: of a file that is still written, its writer has one
    /// ([`crate::media::file::MediaFile::seek`]). How long it is will not be known.
    #[must_use]
    pub fn without_index(mut self) -> Self {
        self.walks = false;
        self
    }

    /// A box header was read. Goes on with the next one, or with `moov`, or is through.
    fn head(&mut self, input: &[u8]) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        let Some(head) = Head::parse(input, self.at)? else {
            return self.through();
        };
        let left = self.size.saturating_sub(self.at);
        let size = head.size.unwrap_or(left);
        self.boxes += 1;
        if self.boxes > limits::MP4_BOXES {
            return Err(Mp4Error::TooMany {
                offset: self.at,
                what: "boxes before any samples",
                limit: limits::MP4_BOXES,
            });
        }
        if head.kind == *b"moof" {
            self.first_moof = self.first_moof.or(Some(self.at));
        }
        if head.kind == *b"moov" && self.movie.is_none() {
            if size > limits::MP4_MOOV_BYTES {
                return Err(Mp4Error::TooLarge {
                    offset: self.at,
                    kind: head.kind,
                    size,
                    limit: limits::MP4_MOOV_BYTES,
                });
            }
            if size > left {
                return Err(Mp4Error::NoMovie);
            }
            let base = self.at + head.header;
            let end = self.at + size;
            self.state = State::Movie {
                end,
                bytes: Vec::new(),
                base,
                asked: false,
            };
            return Ok(None);
        }
        if size > left {
            return self.through(); // it is not whole; of a file that grows, not yet
        }
        self.at += size;
        if head.kind == *b"sidx" && size <= limits::MP4_SIDX_BYTES {
            return Ok(self.ask_pieces(size - head.header));
        }
        let is_known = self.movie.as_ref().map(|(movie, _)| movie.is_fragmented);
        match (is_known, self.first_moof) {
            (Some(false), _) | (Some(true), Some(_)) => self.through(),
            _ => {
                self.state = State::Begin;
                Ok(None)
            }
        }
    }

    /// Reads a `sidx`, whose `len` bytes end here, if it may be wanted.
    fn ask_pieces(&mut self, len: u64) -> Option<Step<Mp4File>> {
        let is_wanted = self.movie.is_some() && self.pieces.is_none() && self.walks;
        if !is_wanted || len == 0 {
            self.state = State::Begin;
            return None;
        }
        self.state = State::Pieces;
        let (offset, len) = (self.at - len, len as usize);
        Some(Step::Read { offset, len })
    }

    /// All boxes that matter were seen.
    fn through(&mut self) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        let Some((movie, _)) = &self.movie else {
            return Err(Mp4Error::NoMovie);
        };
        let first = self.first();
        if !movie.is_fragmented || !self.walks {
            return Ok(self.done(Survey::empty(), first, first));
        }
        self.state = State::First(Walk::new(first));
        Ok(None)
    }

    fn done(&mut self, survey: Survey, first: u64, walked: u64) -> Option<Step<Mp4File>> {
        let (movie, bytes) = self.movie.take()?;
        self.state = State::Done;
        let file = Mp4File::new(movie, bytes, survey, first, walked);
        Some(Step::Done(file))
    }

    /// There is no index at the end: that before the fragments is taken, or all of them are visited.
    fn walk(&mut self) -> Option<Step<Mp4File>> {
        let first = self.first();
        let movie = self.movie.as_ref().map(|(movie, _)| movie);
        let pieces = self.pieces.take().zip(movie);
        if let Some((index, duration)) =
            pieces.and_then(|(pieces, movie)| pieces.index(movie, self.size))
        {
            return self.done(Survey::new(index, duration), first, u64::MAX);
        }
        self.state = State::Walk(Walk::new(first), Survey::empty(), self.ends_before(first));
        None
    }

    /// One round: with what was asked for, if something was.
    fn round(&mut self, input: &[u8]) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::Begin => self.begin(),
            State::Head => self.head(input),
            State::Movie {
                end,
                mut bytes,
                base,
                asked,
            } => {
                bytes.extend_from_slice(input);
                // Where nothing more comes, the file is shorter than it was said to be.
                let is_over = asked && input.is_empty();
                self.load(end, bytes, base, is_over)
            }
            State::Pieces => {
                let movie = self.movie.as_ref().map(|(movie, _)| movie);
                self.pieces = movie.and_then(|movie| Pieces::of(movie, input, self.at));
                self.state = State::Begin;
                Ok(None)
            }
            State::First(walk) => self.look(walk, input),
            State::IndexSize { asked } => Ok(self.index_size(asked, input)),
            State::Index { at } => Ok(self.index(at, input)),
            State::Walk(walk, survey, ends) => self.walk_on(walk, survey, ends, input),
            State::Done => Err(Mp4Error::NoMovie),
        }
    }

    fn begin(&mut self) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        let offset = self.at;
        let left = self.size.saturating_sub(offset);
        if left == 0 {
            return self.through();
        }
        self.state = State::Head;
        let len = left.min(HEADER_MAX as u64) as usize;
        Ok(Some(Step::Read { offset, len }))
    }

    /// Goes on with `moov`, piece by piece.
    fn load(
        &mut self,
        end: u64,
        bytes: Vec<u8>,
        base: u64,
        is_over: bool,
    ) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        let offset = base + bytes.len() as u64;
        let left = end.saturating_sub(offset);
        if left > 0 && !is_over {
            let asked = true;
            self.state = State::Movie {
                end,
                bytes,
                base,
                asked,
            };
            let len = left.min(limits::MP4_READ_BYTES) as usize;
            return Ok(Some(Step::Read { offset, len }));
        }
        self.movie = Some((movie(&bytes, base)?, bytes));
        self.at = end;
        self.state = State::Begin;
        Ok(None)
    }

    /// Goes on with the first fragment.
    fn look(&mut self, mut walk: Walk, input: &[u8]) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        match walk.step(self.size, input)? {
            Step::Read { offset, len } => {
                self.state = State::First(walk);
                return Ok(Some(Step::Read { offset, len }));
            }
            Step::Done(Found::Moof {
                offset,
                body_at,
                body,
            }) => {
                let Some((movie, bytes)) = &mut self.movie else {
                    return Ok(None);
                };
                let mut ends = movie.begin(bytes);
                let known = movie.known();
                let runs = moof::runs(body, offset, body_at, &known, &mut ends)?;
                if runs.is_empty() {
                    self.state = State::First(walk); // of none of our tracks
                    return Ok(None);
                }
                lateness(movie, &runs);
                if runs.iter().any(|run| !run.is_timed) {
                    // An index says nothing of the other tracks' times: all fragments are visited, and summed up.
                    self.pieces = None;
                    return Ok(self.walk());
                }
            }
            Step::Done(Found::Other { .. }) => {
                self.state = State::First(walk);
                return Ok(None);
            }
            Step::Done(Found::End) => {}
        }
        self.state = State::IndexSize { asked: false };
        Ok(None)
    }

    /// The file's last bytes say how long its index is.
    fn index_size(&mut self, asked: bool, input: &[u8]) -> Option<Step<Mp4File>> {
        const TAIL: usize = 16;
        let room = self.size.saturating_sub(self.first());
        match mfra_size(input) {
            None if !asked && room >= TAIL as u64 => {
                self.state = State::IndexSize { asked: true };
                let offset = self.size - TAIL as u64;
                Some(Step::Read { offset, len: TAIL })
            }
            Some(length) if length <= room => {
                let offset = self.size - length;
                self.state = State::Index { at: offset };
                let len = length as usize;
                Some(Step::Read { offset, len })
            }
            _ => self.walk(),
        }
    }

    fn index(&mut self, at: u64, input: &[u8]) -> Option<Step<Mp4File>> {
        let first = self.first();
        let found = self.movie.as_ref().and_then(|(movie, _)| {
            let index = mfra(input, movie, first..at)?;
            // Of a file that has samples in tables, too, `moov` gives the length of those.
            let duration = if movie.has_tables() {
                0
            } else {
                movie.duration
            };
            Some((index, duration))
        });
        let Some((index, duration)) = found else {
            return self.walk();
        };
        if duration > 0 {
            return self.done(Survey::new(index, duration), first, u64::MAX);
        }
        // How long it is, the last fragments say.
        let last = index.entries().last().map_or(first, |last| last.offset);
        self.state = State::Walk(
            Walk::new(last),
            Survey::new(index, 0),
            self.ends_before(last),
        );
        None
    }

    fn walk_on(
        &mut self,
        mut walk: Walk,
        mut survey: Survey,
        mut ends: Ends,
        input: &[u8],
    ) -> Result<Option<Step<Mp4File>>, Mp4Error> {
        let begin = walk.at;
        let mut read = None;
        match walk.step(self.size, input)? {
            Step::Read { offset, len } => read = Some(Step::Read { offset, len }),
            Step::Done(Found::Other { .. }) => {}
            Step::Done(Found::Moof {
                offset,
                body_at,
                body,
            }) => {
                if let Some((movie, _)) = &self.movie {
                    let before = ends.clone();
                    let known = movie.known();
                    let runs = moof::runs(body, offset, body_at, &known, &mut ends)?;
                    survey.note(movie, &runs, offset, &before);
                }
            }
            Step::Done(Found::End) => {
                let first = self.first();
                return Ok(self.done(survey, first, begin));
            }
        }
        self.state = State::Walk(walk, survey, ends);
        Ok(read)
    }

    /// Where the tracks end before the fragment at `offset`, as far as that is known.
    fn ends_before(&self, offset: u64) -> Ends {
        match &self.movie {
            Some((movie, bytes)) if offset == self.first() => movie.begin(bytes),
            Some((movie, _)) => movie.unknown(),
            None => Ends::new(),
        }
    }

    /// Where the first fragment is, or will be.
    fn first(&self) -> u64 {
        self.first_moof.unwrap_or(self.at)
    }
}

impl Task for Mp4Open {
    type Output = Mp4File;
    type Error = Mp4Error;

    fn step(&mut self, input: &[u8]) -> Result<Step<Mp4File>, Mp4Error> {
        let mut input = input;
        loop {
            if let Some(step) = self.round(core::mem::take(&mut input))? {
                return Ok(step);
            }
        }
    }
}

/// Finds out whether samples are shown before they are decoded, as in a table: the first fragment stands for all.
fn lateness(movie: &mut Movie, runs: &[Run]) {
    for run in runs {
        let lowest = run.samples.iter().map(|sample| sample.shown_after).min();
        if let Some(source) = movie.sources.get_mut(run.track) {
            let late = lowest.unwrap_or(0).min(0).unsigned_abs();
            source.table.late = source.table.late.max(late);
        }
    }
    movie.set_base();
}

/// The length of `mfra`, from the file's last 16 bytes, if they are `mfro`.
fn mfra_size(tail: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(tail.strip_prefix(b"\0\0\0\x10mfro")?);
    fields.full()?;
    let length = u64::from(fields.u32()?);
    (24..=limits::MP4_MFRA_BYTES)
        .contains(&length)
        .then_some(length)
}

/// The places of the leading track in `mfra`; none: it has none, or they cannot be.
fn mfra(bytes: &[u8], movie: &Movie, within: core::ops::Range<u64>) -> Option<SyncIndex> {
    let leading = movie.sources.first()?;
    let body = child(bytes, 0..bytes.len(), *b"mfra")?;
    let tables = super::boxes::children(bytes, body, 0).map_while(Result::ok);
    for (_, range) in tables.filter(|(kind, _)| kind == b"tfra") {
        let mut fields = Fields::new(bytes.get(range)?);
        let (version, _) = fields.full()?;
        let (id, widths, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
        if id != leading.id {
            continue;
        }
        let numbers = [4, 2, 0].map(|shift| (widths >> shift & 3) as usize + 1);
        let mut index = SyncIndex::new(limits::MP4_INDEX_ENTRIES);
        let mut last = Sync { time: 0, offset: 0 };
        for _ in 0..count {
            let (time, offset) = (fields.sized(version)?, fields.sized(version)?);
            fields.skip(numbers.into_iter().sum())?;
            let time = movie.due(0, time);
            if !within.contains(&offset) || offset < last.offset || time < last.time {
                return None;
            }
            last = Sync { time, offset };
            index.push(last); // several keyframes of one fragment have an entry each: the first counts
        }
        return (!index.entries().is_empty()).then_some(index);
    }
    None
}
