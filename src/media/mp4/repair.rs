//! [`Mp4Repair`]: what a recorder left unfinished becomes a finished file.

use super::error::Mp4Error;
use super::fragment;
use super::moof;
use super::open::Mp4Open;
use super::source::Movie;
use super::walk::{Found, Walk};
use crate::limits;
use crate::media::file::{Patch, Repaired, Step, Sync, SyncIndex, Task};

/// Repairs a file that [`super::Mp4Writer`] did not finish: [`Task`]. Keeps every fragment that is whole; writes the
/// durations, and the index behind the last fragment, whatever was written of them before.
///
/// Its last patch is the index, and lies at [`Repaired::len`].
#[derive(Debug)]
pub struct Mp4Repair {
    size: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Movie(Box<Mp4Open>),
    /// `moov` cannot be read: whether that is all there was, the file's end says.
    Tail(Mp4Error),
    Fragments(Box<Fragments>),
}

#[derive(Debug)]
struct Fragments {
    movie: Movie,
    walk: Walk,
    /// The end of what is whole.
    len: u64,
    /// The fragment whose samples come next.
    pending: Option<Pending>,
    index: SyncIndex,
    delay: Option<i32>,
    /// Where each track ends, in its own units.
    ends: Vec<u64>,
}

/// A fragment's description, without its samples yet.
#[derive(Debug)]
struct Pending {
    sync: Option<Sync>,
    delay: i32,
    ends: Vec<u64>,
    data_end: u64,
}

/// Bytes at the end of a file that tell whether it was written to its end.
const TAIL: u64 = 16;

impl Mp4Repair {
    /// Repairs a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        let open = Mp4Open::new(size).without_index();
        Self {
            size,
            state: State::Movie(Box::new(open)),
        }
    }

    fn empty() -> Repaired {
        Repaired {
            len: 0,
            patches: Vec::new(),
            duration: 0,
            is_empty: true,
        }
    }
}

impl Task for Mp4Repair {
    type Output = Repaired;
    type Error = Mp4Error;

    fn step(&mut self, input: &[u8]) -> Result<Step<Repaired>, Mp4Error> {
        let mut input = input;
        loop {
            let given = core::mem::take(&mut input);
            match &mut self.state {
                State::Movie(open) => match open.step(given) {
                    Ok(Step::Read { offset, len }) => return Ok(Step::Read { offset, len }),
                    Ok(Step::Done(file)) => {
                        let (movie, first) = file.into_movie();
                        self.state = State::Fragments(Box::new(Fragments::new(movie, first)));
                    }
                    // Nothing was whole yet: there is nothing to keep.
                    Err(Mp4Error::NoMovie) => return Ok(Step::Done(Self::empty())),
                    Err(error) => {
                        self.state = State::Tail(error);
                        let len = self.size.min(TAIL) as usize;
                        let offset = self.size - len as u64;
                        return Ok(Step::Read { offset, len });
                    }
                },
                // What was never written is zeros after a power cut, and nothing whole stands before it.
                State::Tail(_) if given.iter().all(|byte| *byte == 0) => {
                    return Ok(Step::Done(Self::empty()));
                }
                State::Tail(error) => return Err(error.clone()),
                State::Fragments(fragments) => match fragments.step(self.size, given)? {
                    Some(Step::Read { offset, len }) => return Ok(Step::Read { offset, len }),
                    Some(Step::Done(())) => return Ok(Step::Done(fragments.repaired())),
                    None => {}
                },
            }
        }
    }
}

impl Fragments {
    fn new(movie: Movie, first: u64) -> Self {
        Self {
            walk: Walk::new(first),
            len: first,
            pending: None,
            index: SyncIndex::new(limits::MP4_INDEX_ENTRIES),
            delay: None,
            ends: vec![0; movie.sources.len()],
            movie,
        }
    }

    fn step(&mut self, size: u64, input: &[u8]) -> Result<Option<Step<()>>, Mp4Error> {
        match self.walk.step(size, input) {
            Ok(Step::Read { offset, len }) => Ok(Some(Step::Read { offset, len })),
            // A tail of zeros, or of what stood on the disk before: what a power cut leaves.
            Ok(Step::Done(Found::End))
            | Err(Mp4Error::BoxSize { .. } | Mp4Error::TooLarge { .. }) => Ok(Some(Step::Done(()))),
            Err(error) => Err(error),
            Ok(Step::Done(Found::Moof {
                offset,
                body_at,
                body,
            })) => {
                let known: Vec<_> = (self.movie.sources.iter())
                    .map(|s| (s.id, s.defaults))
                    .collect();
                let Ok(runs) = moof::runs(body, offset, body_at, &known) else {
                    return Ok(Some(Step::Done(())));
                };
                self.pending = Some(self.describe(&runs, offset));
                Ok(None)
            }
            Ok(Step::Done(Found::Other { end, .. })) => {
                match self.pending.take() {
                    Some(pending) if pending.data_end <= end => {
                        self.take(pending, end);
                        Ok(None)
                    }
                    // Whatever follows, it is no fragment: an index that was written before.
                    _ => Ok(Some(Step::Done(()))),
                }
            }
        }
    }

    fn describe(&self, runs: &[moof::Run], offset: u64) -> Pending {
        let mut pending = Pending {
            sync: None,
            delay: 0,
            ends: self.ends.clone(),
            data_end: 0,
        };
        for run in runs {
            let data = run
                .samples
                .iter()
                .map(|s| s.offset.saturating_add(s.size.into()));
            pending.data_end = pending.data_end.max(data.max().unwrap_or(0));
            if let (Some(last), Some(end)) = (run.samples.last(), pending.ends.get_mut(run.track)) {
                *end = (*end).max(last.time.saturating_add(last.duration.into()));
            }
            if let Some(first) = run.samples.first().filter(|s| s.is_sync)
                && run.track == 0
            {
                let time = self.movie.due(0, first.time);
                pending.sync = Some(Sync { time, offset });
                pending.delay = first.shown_after;
            }
        }
        pending
    }

    fn take(&mut self, pending: Pending, end: u64) {
        self.len = end;
        self.ends = pending.ends;
        if let Some(sync) = pending.sync {
            self.delay = self.delay.or(Some(pending.delay));
            self.index.push(sync);
        }
    }

    fn repaired(&self) -> Repaired {
        let dues = (self.ends.iter().enumerate()).map(|(at, end)| self.movie.due(at, *end));
        let duration = dues.max().unwrap_or(0);
        let end_of = |id: u32| {
            let at = self.movie.sources.iter().position(|source| source.id == id);
            at.and_then(|at| self.ends.get(at)).copied().unwrap_or(0)
        };
        let mut patches: Vec<Patch> = (self.movie.places.iter())
            .map(|(offset, id)| Patch {
                offset: *offset,
                bytes: id.map_or(duration, end_of).to_be_bytes().into(),
            })
            .collect();
        let mut index = Vec::new();
        let id = self.movie.sources.first().map_or(1, |source| source.id);
        fragment::index(&mut index, id, self.delay.unwrap_or(0), &self.index);
        let (offset, bytes) = (self.len, index);
        patches.push(Patch { offset, bytes });
        Repaired {
            len: self.len,
            patches,
            duration,
            is_empty: duration == 0 && self.index.entries().is_empty(),
        }
    }
}
