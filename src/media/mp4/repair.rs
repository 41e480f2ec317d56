//! [`Mp4Repair`]: what a recorder left unfinished becomes a finished file.

use super::error::Mp4Error;
use super::fragment;
use super::moof;
use super::open::Mp4Open;
use super::source::Movie;
use super::walk::{Found, Walk};
use crate::limits;
use crate::media::file::{Patch, Repaired, Step, Sync, SyncIndex, Task};
use crate::planted::{Bug, planted};

/// Repairs a file that [`super::Mp4Writer`] did not finish: [`Task`]. Keeps every fragment that is whole; writes the
/// durations, and the index behind the last fragment, whatever was written of them before.
///
/// Its last patch is the index, and lies at [`Repaired::len`].
#[derive(Debug)]
pub struct Mp4Repair {
    size: u64,
    /// It ended in zeros.
    is_torn: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Movie(Box<Mp4Open>),
    /// Looking for the file's last byte that is not zero, from this one backwards; whether it was asked for.
    Tail {
        end: u64,
        asked: bool,
    },
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
    /// There is a sample, however short.
    has_samples: bool,
}

/// A fragment's description, without its samples yet.
#[derive(Debug)]
struct Pending {
    /// Its number.
    sequence: Option<u32>,
    /// The bytes of [`fragment::SEAL`] before this end were asked for.
    seal: Option<u64>,
    sync: Option<Sync>,
    delay: i32,
    ends: Vec<u64>,
    data_end: u64,
}

/// Disks write whole sectors: what was never written begins at one.
const SECTOR: u64 = 512;

impl Mp4Repair {
    /// Repairs a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            is_torn: false,
            state: State::Tail {
                end: size,
                asked: false,
            },
        }
    }

    /// The last byte that is not zero stands before `end`. What a file system made room for and never wrote is zeros after a
    /// power cut: no fragment that reaches into them is whole.
    fn open(&mut self, end: u64) -> State {
        let written = end.next_multiple_of(SECTOR).min(self.size);
        self.is_torn = written < self.size;
        self.size = written;
        State::Movie(Box::new(Mp4Open::new(written).without_index()))
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
                State::Tail { end, asked: false } => {
                    let len = (*end).min(limits::MP4_READ_BYTES);
                    if len == 0 {
                        return Ok(Step::Done(Self::empty()));
                    }
                    let offset = *end - len;
                    self.state = State::Tail {
                        end: *end,
                        asked: true,
                    };
                    return Ok(Step::Read {
                        offset,
                        len: len as usize,
                    });
                }
                State::Tail { end, .. } => {
                    let begin = *end - (*end).min(limits::MP4_READ_BYTES);
                    self.state = match given.iter().rposition(|byte| *byte != 0) {
                        Some(last) => self.open(begin + last as u64 + 1),
                        None => State::Tail {
                            end: begin,
                            asked: false,
                        },
                    };
                }
                State::Movie(open) => match open.step(given) {
                    Ok(Step::Read { offset, len }) => return Ok(Step::Read { offset, len }),
                    Ok(Step::Done(file)) => {
                        let (movie, first) = file.into_movie();
                        self.state = State::Fragments(Box::new(Fragments::new(movie, first)));
                    }
                    // Nothing was whole yet: there is nothing to keep.
                    Err(Mp4Error::NoMovie) => return Ok(Step::Done(Self::empty())),
                    // So is what a power cut left of `moov`, if hardly anything can stand behind it.
                    Err(_) if self.is_torn && self.size <= limits::MP4_READ_BYTES => {
                        return Ok(Step::Done(Self::empty()));
                    }
                    Err(error) => return Err(error),
                },
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
            has_samples: false,
            movie,
        }
    }

    fn step(&mut self, size: u64, input: &[u8]) -> Result<Option<Step<()>>, Mp4Error> {
        let sealed = self.pending.as_ref().and_then(|pending| pending.seal);
        if let Some(end) = sealed {
            return Ok(match self.is_sealed(end, input) {
                true => None,
                false => Some(Step::Done(())),
            });
        }
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
                let known = self.movie.known();
                // Ours say when they begin.
                let mut ends = self.movie.unknown();
                let Ok(runs) = moof::runs(body, offset, body_at, &known, &mut ends) else {
                    return Ok(Some(Step::Done(())));
                };
                self.pending = Some(self.describe(&runs, moof::sequence(body), offset));
                Ok(None)
            }
            Ok(Step::Done(Found::Other { kind, end, .. })) => {
                let forgets = planted(Bug::RepairForgetsFragment) && end == size;
                let pending = self
                    .pending
                    .as_mut()
                    .filter(|_| kind == *b"mdat" && !forgets);
                match pending {
                    Some(pending) if pending.data_end.saturating_add(fragment::SEAL) == end => {
                        let offset = pending.data_end;
                        pending.seal = Some(end);
                        let len = fragment::SEAL as usize;
                        Ok(Some(Step::Read { offset, len }))
                    }
                    // Whatever follows, it is no fragment: an index that was written before.
                    _ => Ok(Some(Step::Done(()))),
                }
            }
        }
    }

    /// Takes the fragment if its last bytes are there; false: it is not whole.
    fn is_sealed(&mut self, end: u64, bytes: &[u8]) -> bool {
        let number = bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match self.pending.take() {
            Some(pending) if number.is_some() && number == pending.sequence => {
                self.take(pending, end);
                true
            }
            _ => false,
        }
    }

    fn describe(&self, runs: &[moof::Run], sequence: Option<u32>, offset: u64) -> Pending {
        let mut pending = Pending {
            sequence,
            seal: None,
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
        self.has_samples |= pending.data_end > 0;
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
            is_empty: !self.has_samples,
        }
    }
}
