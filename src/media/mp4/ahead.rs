//! Samples of fragments whose descriptions were read, in the order in which they are sent.

use std::collections::VecDeque;

use super::moof::{Run, Sample};
use super::survey::Ends;
use super::walk::Walk;
use crate::limits;

/// A viewer's place in a fragmented file.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    /// The next box.
    pub(super) walk: Walk,
    /// Where the tracks' samples end in the fragments before it.
    pub(super) ends: Ends,
    /// Samples of each source that were not sent yet, and the milliseconds up to which its samples are known.
    queues: Vec<(VecDeque<Sample>, u64)>,
    held: usize,
    /// What is due before is left out.
    from: u64,
}

/// What came of a step.
pub(super) enum Next {
    /// A box was passed.
    On,
    /// The file ends here so far.
    Nothing,
    /// A sample of the source at this place.
    Sample(usize, Sample),
}

impl Ahead {
    pub(super) fn new(offset: u64, from: u64, ends: Ends) -> Self {
        Self {
            walk: Walk::new(offset),
            queues: vec![(VecDeque::new(), 0); ends.len()],
            ends,
            held: 0,
            from,
        }
    }

    /// When the earliest sample is due, and of which source it is. `due`: the milliseconds of a source's own time.
    pub(super) fn first(&self, due: impl Fn(usize, u64) -> u64) -> Option<(u64, usize)> {
        let queues = self.queues.iter().enumerate();
        let firsts = queues.filter_map(|(at, (queue, _))| Some((due(at, queue.front()?.time), at)));
        firsts.min()
    }

    /// Whether a source that has run out may have one that is due before: files with a fragment for each track.
    pub(super) fn wants_more(&self, due: u64) -> bool {
        let may_be_before =
            |(queue, until): &(VecDeque<Sample>, u64)| queue.is_empty() && *until <= due;
        self.held < limits::MP4_SAMPLES_AHEAD && self.queues.iter().any(may_be_before)
    }

    pub(super) fn pop(&mut self, at: usize) -> Next {
        let queue = self.queues.get_mut(at);
        match queue.and_then(|(queue, _)| queue.pop_front()) {
            Some(sample) => {
                self.held -= 1;
                Next::Sample(at, sample)
            }
            None => Next::Nothing,
        }
    }

    pub(super) fn take(&mut self, run: Run, due: impl Fn(usize, u64) -> u64) {
        let Some((queue, until)) = self.queues.get_mut(run.track) else {
            return;
        };
        if let Some(last) = run.samples.last() {
            let end = last.time.saturating_add(last.duration.into());
            *until = (*until).max(due(run.track, end));
        }
        for sample in run.samples {
            if due(run.track, sample.time) >= self.from {
                queue.push_back(sample);
                self.held += 1;
            }
        }
    }
}
