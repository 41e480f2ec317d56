//! What is known of the fragments that were come across, in their order from the first on: where one can begin, how long
//! the file is, and from where its times can be summed up if fragments do not say when they begin.

use smallvec::SmallVec;

use super::moof::Run;
use super::source::Movie;
use crate::limits;
use crate::media::file::{Sync, SyncIndex};

/// Where the samples of each track end so far, in its own units; none: not known, as in the middle of a file.
pub(super) type Ends = SmallVec<[Option<u64>; 4]>;

/// What is known of a file's fragments.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) index: SyncIndex,
    /// Milliseconds.
    pub(super) duration: u64,
    /// Fragments, and where the tracks ended before them: from the first one on that does not say when it begins.
    marks: Vec<(u64, Ends)>,
    /// Every so many-th fragment has a mark.
    stride: u64,
    /// Fragments that came since the first mark.
    seen: u64,
}

impl Survey {
    pub(super) fn new(index: SyncIndex, duration: u64) -> Self {
        Self {
            index,
            duration,
            marks: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }

    /// Nothing was come across.
    pub(super) fn empty() -> Self {
        Self::new(SyncIndex::new(limits::MP4_INDEX_ENTRIES), 0)
    }

    /// Takes note of the fragment at `offset`. `before`: where the tracks ended.
    pub(super) fn note(&mut self, movie: &Movie, runs: &[Run], offset: u64, before: &Ends) {
        for run in runs {
            if let Some(last) = run.samples.last() {
                let end = last.time.saturating_add(last.duration.into());
                self.duration = self.duration.max(movie.due(run.track, end));
            }
            let sync = run.samples.iter().find(|sample| sample.is_sync);
            if let Some(sync) = sync
                && run.track == 0
            {
                let time = movie.due(0, sync.time);
                self.index.push(Sync { time, offset });
            }
        }
        if !self.marks.is_empty() || runs.iter().any(|run| !run.is_timed) {
            self.mark(offset, before);
        }
    }

    /// Of more marks than there is room for every second one goes, as in [`SyncIndex`].
    fn mark(&mut self, offset: u64, before: &Ends) {
        if self.seen.is_multiple_of(self.stride) {
            if self.marks.len() >= limits::MP4_MARKS {
                let mut odd = true;
                self.marks.retain(|_| {
                    odd = !odd;
                    !odd
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.marks.push((offset, before.clone()));
            }
        }
        self.seen += 1;
    }

    /// The last place at or before the fragment at `offset` where it is known how far the tracks have come; none: the
    /// fragments there say it.
    pub(super) fn mark_before(&self, offset: u64) -> Option<&(u64, Ends)> {
        let behind = self.marks.partition_point(|(at, _)| *at <= offset);
        self.marks.get(behind.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_thinned_out_evenly() {
        let mut survey = Survey::empty();
        let count = 3 * limits::MP4_MARKS as u64;
        for n in 0..count {
            survey.mark(100 + n * 10, &Ends::from_slice(&[Some(n), None]));
        }
        assert!(survey.marks.len() <= limits::MP4_MARKS);
        assert_eq!(survey.mark_before(99), None);
        for n in 0..count {
            let (at, ends) = survey.mark_before(105 + n * 10).expect("the first is kept");
            let marked = n - n % 4;
            assert_eq!((*at, ends[0]), (100 + marked * 10, Some(marked)));
        }
    }
}
