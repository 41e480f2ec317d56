//! [`Mp4File`]: an opened file, and [`Mp4Cursor`]: where one viewer of it is.

use bytes::Bytes;
use smallvec::SmallVec;

use super::ahead::{Ahead, Next};
use super::error::Mp4Error;
use super::moof::{self, Defaults, Run, Sample};
use super::source::Movie;
use super::survey::{Ends, Survey};
use super::walk::{Found, Walk};
use crate::limits;
use crate::media::file::{FileInfo, MediaFile, Packet, Step, SyncIndex};

/// An opened MP4, F4V or QuickTime file. Holds its `moov` and the index of its fragments; no samples.
#[derive(Debug)]
pub struct Mp4File {
    movie: Movie,
    /// The body of `moov`: the tables are read where they stand.
    bytes: Vec<u8>,
    known: Vec<(u32, Defaults)>,
    survey: Survey,
    info: FileInfo,
    /// Where the first fragment is, or will be.
    first: u64,
    /// Up to here all fragments are in the index; the end of time if a whole index was found.
    walked: u64,
}

/// Where one viewer of an [`Mp4File`] is.
#[derive(Clone, Debug)]
pub struct Mp4Cursor {
    at: At,
    /// The bytes of this sample, of the source at this place, were asked for.
    asked: Option<(usize, Sample)>,
}

#[derive(Clone, Debug)]
enum At {
    /// The next sample of each source.
    Tables(SmallVec<[u64; 4]>),
    /// Looking for the fragment to begin with.
    Seeking(Box<Seek>),
    Fragments(Box<Ahead>),
}

#[derive(Clone, Debug)]
struct Seek {
    target: u64,
    walk: Walk,
    /// Where the tracks end before the next fragment.
    ends: Ends,
    /// The fragment of the last sync sample that is early enough.
    best: Option<Place>,
    /// The first fragment that has any samples: where nothing is a sync sample, one begins there.
    seen: Option<Place>,
}

/// A fragment to begin with.
#[derive(Clone, Debug)]
struct Place {
    offset: u64,
    /// Milliseconds: what is due before is left out.
    from: u64,
    /// Where the tracks end before it.
    ends: Ends,
}

/// What came of a look at a box.
enum Look {
    On,
    Nothing,
    Begin(Box<Ahead>),
}

impl Mp4File {
    pub(super) fn new(
        movie: Movie,
        bytes: Vec<u8>,
        survey: Survey,
        first: u64,
        walked: u64,
    ) -> Self {
        let duration = match movie.is_fragmented {
            true => survey.duration,
            false => {
                let longest = movie.sources.iter().map(|source| source.duration).max();
                movie.duration.max(longest.unwrap_or(0))
            }
        };
        let is_video = |of: bool| (movie.sources.iter()).any(|s| s.config.coding.is_video() == of);
        let headers = movie.sources.iter();
        let headers = headers.filter_map(|source| Some((source.kind(), source.header()?)));
        let duration = (duration > 0).then_some(duration);
        let info = FileInfo {
            duration,
            metadata: Some(movie.metadata(duration)),
            headers: headers.collect(),
            has_video: is_video(true),
            has_audio: is_video(false),
        };
        Self {
            known: movie.known(),
            movie,
            bytes,
            survey,
            info,
            first,
            walked,
        }
    }

    /// What `moov` says, and where the first fragment is.
    pub(super) fn into_movie(self) -> (Movie, u64) {
        (self.movie, self.first)
    }

    /// The milliseconds at which a source's own `time` is due.
    fn due(&self, source: usize, time: u64) -> u64 {
        self.movie.due(source, time)
    }

    fn seek_tables(&self, time: u64) -> SmallVec<[u64; 4]> {
        let Some(leading) = self.movie.sources.first() else {
            return SmallVec::new();
        };
        let near = leading
            .table
            .sample_at(&self.bytes, self.movie.own_time(leading, time));
        let sync = leading
            .table
            .sync_at_or_before(&self.bytes, near)
            .unwrap_or(0);
        let begin = leading.table.time(&self.bytes, sync).map_or(0, |t| t.0);
        let begin = self.due(0, begin);
        let sources = self.movie.sources.iter().enumerate();
        let first = sources.map(|(at, source)| {
            if at == 0 || sync == 0 {
                return sync;
            }
            let own = self.movie.own_time(source, begin);
            let sample = source.table.sample_at(&self.bytes, own);
            let is_before = |(time, _)| self.due(at, time) < begin;
            let before = source
                .table
                .time(&self.bytes, sample)
                .is_some_and(is_before);
            sample + u64::from(before)
        });
        first.collect()
    }

    /// Looks for the place to begin from the fragment at `offset` on, or from one before that from where times can be summed
    /// up.
    fn seek_fragments(&self, offset: u64, target: u64) -> Seek {
        let (offset, ends) = match self.survey.mark_before(offset) {
            Some((offset, ends)) => (*offset, ends.clone()),
            None if offset == self.first => (offset, self.movie.begin(&self.bytes)),
            None => (offset, self.movie.unknown()),
        };
        Seek {
            target,
            walk: Walk::new(offset),
            ends,
            best: None,
            seen: None,
        }
    }

    fn next_of_tables(&self, next: &mut [u64]) -> Option<(usize, Sample)> {
        let mut first: Option<(u64, usize)> = None;
        for (at, (sample, source)) in next.iter().zip(&self.movie.sources).enumerate() {
            if *sample >= source.table.samples {
                continue;
            }
            if let Some((time, _)) = source.table.time(&self.bytes, *sample) {
                let key = (self.due(at, time), at);
                first = Some(first.map_or(key, |first| first.min(key)));
            }
        }
        let (_, at) = first?;
        let place = next.get_mut(at)?;
        let source = self.movie.sources.get(at)?;
        let found = source.table.sample(&self.bytes, *place);
        // Tables that do not agree about a sample end the track.
        *place = if found.is_some() {
            *place + 1
        } else {
            u64::MAX
        };
        match found {
            Some(sample) => Some((at, sample)),
            None => self.next_of_tables(next),
        }
    }

    /// A fragment was come across: the index grows by it, if it is the first behind what is known.
    fn note(&mut self, runs: &[Run], offset: u64, before: &Ends, end: u64) {
        if offset == self.walked {
            self.survey.note(&self.movie, runs, offset, before);
            self.info.duration = Some(self.survey.duration);
            self.walked = end;
        }
    }

    fn pass(&mut self, offset: u64, end: u64) {
        if offset == self.walked {
            self.walked = end;
        }
    }

    /// Looks at one box more for the place to begin. Done: the samples from there on, if it is found.
    fn look(&mut self, seek: &mut Seek, size: u64, input: &[u8]) -> Result<Step<Look>, Mp4Error> {
        let begin = seek.walk.at;
        let is_through = match seek.walk.step(size, input)? {
            Step::Read { offset, len } => return Ok(Step::Read { offset, len }),
            Step::Done(Found::Other { offset, end, .. }) => {
                self.pass(offset, end);
                return Ok(Step::Done(Look::On));
            }
            Step::Done(Found::Moof {
                offset,
                body_at,
                body,
            }) => {
                let ends = seek.ends.clone();
                let runs = moof::runs(body, offset, body_at, &self.known, &mut seek.ends)?;
                self.note(&runs, offset, &ends, seek.walk.at);
                let place = |from| Place {
                    offset,
                    from,
                    ends: ends.clone(),
                };
                if seek.seen.is_none() && !runs.is_empty() {
                    seek.seen = Some(place(0));
                }
                let leading = runs.iter().filter(|run| run.track == 0);
                let mut is_through = false;
                for sample in leading.flat_map(|run| &run.samples) {
                    let due = self.due(0, sample.time);
                    is_through |= due > seek.target && seek.best.is_some();
                    if sample.is_sync && due <= seek.target {
                        // From the beginning all of it is wanted: sound that comes before its first keyframe, too.
                        let is_first = offset == self.first && seek.best.is_none();
                        let from = if is_first { 0 } else { due };
                        seek.best = Some(place(from));
                    } else if sample.is_sync && seek.best.is_none() {
                        seek.best = seek.seen.clone();
                        is_through = true;
                    }
                }
                is_through
            }
            Step::Done(Found::End) => {
                seek.walk = Walk::new(begin);
                seek.best = seek.best.take().or(seek.seen.clone());
                if seek.best.is_none() {
                    return Ok(Step::Done(Look::Nothing));
                }
                true
            }
        };
        Ok(Step::Done(match seek.best.take_if(|_| is_through) {
            Some(Place { offset, from, ends }) => {
                Look::Begin(Box::new(Ahead::new(offset, from, ends)))
            }
            None => Look::On,
        }))
    }

    /// The next sample of the fragments, or a box more.
    fn next_of_fragments(
        &mut self,
        ahead: &mut Ahead,
        size: u64,
        input: &[u8],
    ) -> Result<Step<Next>, Mp4Error> {
        let first = ahead.first(|at, time| self.due(at, time));
        if input.is_empty()
            && let Some((due, at)) = first
            && !ahead.wants_more(due)
        {
            return Ok(Step::Done(ahead.pop(at)));
        }
        let begin = ahead.walk.at;
        match ahead.walk.step(size, input)? {
            Step::Read { offset, len } => Ok(Step::Read { offset, len }),
            Step::Done(Found::Other { offset, end, .. }) => {
                self.pass(offset, end);
                Ok(Step::Done(Next::On))
            }
            Step::Done(Found::Moof {
                offset,
                body_at,
                body,
            }) => {
                let mut ends = ahead.ends.clone();
                let runs = moof::runs(body, offset, body_at, &self.known, &mut ends)?;
                let samples = runs.iter().flat_map(|run| &run.samples);
                let end = samples
                    .map(|s| s.offset.saturating_add(s.size.into()))
                    .max();
                if end.is_some_and(|end| end > size) {
                    // Its samples are not there yet.
                    ahead.walk = Walk::new(begin);
                    return Ok(Step::Done(
                        first.map_or(Next::Nothing, |(_, at)| ahead.pop(at)),
                    ));
                }
                let before = core::mem::replace(&mut ahead.ends, ends);
                self.note(&runs, offset, &before, ahead.walk.at);
                for run in runs {
                    ahead.take(run, |at, time| self.due(at, time));
                }
                Ok(Step::Done(Next::On))
            }
            Step::Done(Found::End) => {
                ahead.walk = Walk::new(begin);
                Ok(Step::Done(
                    first.map_or(Next::Nothing, |(_, at)| ahead.pop(at)),
                ))
            }
        }
    }

    /// Asks for a sample's bytes.
    fn ask(&self, sample: &Sample, size: u64) -> Result<Option<(u64, usize)>, Mp4Error> {
        let Sample {
            offset,
            size: length,
            ..
        } = *sample;
        if length > limits::MP4_SAMPLE_BYTES {
            return Err(Mp4Error::TooLarge {
                offset,
                kind: *b"mdat",
                size: length.into(),
                limit: limits::MP4_SAMPLE_BYTES.into(),
            });
        }
        if offset.saturating_add(length.into()) > size {
            let size = length.into();
            return Err(Mp4Error::Truncated { offset, size });
        }
        Ok((length > 0).then_some((offset, length as usize)))
    }

    fn packet(&self, at: usize, sample: &Sample, bytes: &[u8]) -> Result<Packet, Mp4Error> {
        let wanted = sample.size as usize;
        let (Some(source), Some(bytes)) = (self.movie.sources.get(at), bytes.get(..wanted)) else {
            return Err(Mp4Error::Truncated {
                offset: sample.offset,
                size: sample.size.into(),
            });
        };
        let mut payload = Vec::with_capacity(16 + bytes.len());
        source.before(sample, &mut payload);
        payload.extend_from_slice(bytes);
        Ok(Packet {
            kind: source.kind(),
            time: self.due(at, sample.time),
            is_sync: at == 0 && sample.is_sync || !self.info.has_video,
            payload: Bytes::from(payload),
        })
    }
}

impl MediaFile for Mp4File {
    type Cursor = Mp4Cursor;
    type Error = Mp4Error;

    fn info(&self) -> &FileInfo {
        &self.info
    }

    fn seek(&self, time: u64, writer: Option<&SyncIndex>) -> Mp4Cursor {
        let before = writer.unwrap_or(&self.survey.index).around(time).0;
        let at = match before {
            // The beginning is in the tables, all of it or, before fragments, some.
            None if self.movie.has_tables() => At::Tables(self.seek_tables(time)),
            _ if !self.movie.is_fragmented => At::Tables(self.seek_tables(time)),
            _ => {
                let begin = before.map_or(self.first, |sync| sync.offset);
                At::Seeking(Box::new(self.seek_fragments(begin, time)))
            }
        };
        Mp4Cursor { at, asked: None }
    }

    fn next(
        &mut self,
        cursor: &mut Mp4Cursor,
        size: u64,
        input: &[u8],
    ) -> Result<Step<Option<Packet>>, Mp4Error> {
        if let Some((at, sample)) = cursor.asked.take() {
            return Ok(Step::Done(Some(self.packet(at, &sample, input)?)));
        }
        let mut input = input;
        loop {
            let input = core::mem::take(&mut input);
            let (at, sample) = match &mut cursor.at {
                At::Tables(next) => match self.next_of_tables(next) {
                    Some(found) => found,
                    None if self.movie.is_fragmented => {
                        let ends = self.movie.begin(&self.bytes);
                        cursor.at = At::Fragments(Box::new(Ahead::new(self.first, 0, ends)));
                        continue;
                    }
                    None => return Ok(Step::Done(None)),
                },
                At::Seeking(seek) => match self.look(seek, size, input)? {
                    Step::Read { offset, len } => return Ok(Step::Read { offset, len }),
                    Step::Done(Look::On) => continue,
                    Step::Done(Look::Nothing) => return Ok(Step::Done(None)),
                    Step::Done(Look::Begin(ahead)) => {
                        cursor.at = At::Fragments(ahead);
                        continue;
                    }
                },
                At::Fragments(ahead) => match self.next_of_fragments(ahead, size, input)? {
                    Step::Read { offset, len } => return Ok(Step::Read { offset, len }),
                    Step::Done(Next::On) => continue,
                    Step::Done(Next::Nothing) => return Ok(Step::Done(None)),
                    Step::Done(Next::Sample(at, sample)) => (at, sample),
                },
            };
            match self.ask(&sample, size)? {
                Some((offset, len)) => {
                    cursor.asked = Some((at, sample));
                    return Ok(Step::Read { offset, len });
                }
                None => return Ok(Step::Done(Some(self.packet(at, &sample, &[])?))),
            }
        }
    }
}
