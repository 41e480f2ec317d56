//! What of a live stream is recorded, and where: the files of its recording in the stream's own time, for players that
//! hold it or go back.
//!
//! The recorder's shard makes it, and tells every shard that carries the stream. It outlives its publication, and goes
//! on with the next one if that goes on with the stream's time.

use std::path::PathBuf;
use std::sync::Arc;

use super::directory::PublicationId;
use crate::limits;
use crate::time::Timestamp;

/// A time of the stream without a wrap: milliseconds, 0 where its recording begins.
pub type LongTime = i64;

/// One file of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chapter {
    /// What it is called, or will be once it is finished.
    pub path: PathBuf,
    /// Where it begins.
    pub begin: LongTime,
    /// What is 0 in the file: before `begin` if that is a picture, and sound belongs before it.
    pub zero: LongTime,
}

/// The files of one stream's recording, in order, the newest [`limits::TIMELINE`] of them.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The publication that it began with.
    id: PublicationId,
    /// The stream's clock at 0.
    origin: Timestamp,
    chapters: Vec<Arc<Chapter>>,
}

impl Timeline {
    /// Of what is recorded of `publication`, without a file as yet. It begins with the time `origin`.
    pub fn new(publication: PublicationId, origin: Timestamp) -> Self {
        Self {
            id: publication,
            origin,
            chapters: Vec::new(),
        }
    }

    /// The publication that it began with: times of one are not times of another.
    pub fn id(&self) -> PublicationId {
        self.id
    }

    /// A further file: its first message has the time `first`, which is `lead` milliseconds in the file. One that begins
    /// before the newest is late, and left out.
    pub fn push(&mut self, path: PathBuf, first: Timestamp, lead: i64) {
        let begin = self.long(first);
        if begin < self.newest().map_or(0, |chapter| chapter.begin) {
            return;
        }
        let zero = begin - lead;
        if self.chapters.len() >= limits::TIMELINE {
            self.chapters.remove(0);
        }
        self.chapters.push(Arc::new(Chapter { path, begin, zero }));
    }

    fn newest(&self) -> Option<&Arc<Chapter>> {
        self.chapters.last()
    }

    /// The time that the stream's clock shows as `stamp`: of all that it may be, the nearest to the newest file's beginning.
    pub fn long(&self, stamp: Timestamp) -> LongTime {
        let near = self.newest().map_or(0, |chapter| chapter.begin);
        near + i64::from(stamp.since(self.stamp(near)))
    }

    /// What the stream's clock shows at `time`.
    pub fn stamp(&self, time: LongTime) -> Timestamp {
        Timestamp(self.origin.0.wrapping_add(time as u32)) // the clock goes around
    }

    /// The file that holds `time`; the first if it lies before all of them.
    pub fn at(&self, time: LongTime) -> Option<&Arc<Chapter>> {
        self.chapters.get(self.index(time))
    }

    /// And its number in [`Timeline::chapters`].
    pub fn index(&self, time: LongTime) -> usize {
        let behind = self.chapters.partition_point(|one| one.begin <= time);
        behind.saturating_sub(1)
    }

    /// The file behind `chapter`.
    pub fn behind(&self, chapter: &Chapter) -> Option<&Arc<Chapter>> {
        let at = self.chapters.iter().position(|one| **one == *chapter);
        let next = match at {
            Some(at) => at + 1,
            None => self
                .chapters
                .partition_point(|one| one.begin <= chapter.begin),
        };
        self.chapters.get(next)
    }

    /// All files, the oldest first.
    pub fn chapters(&self) -> &[Arc<Chapter>] {
        &self.chapters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline {
        let origin = Timestamp(u32::MAX - 999);
        let mut timeline = Timeline::new(7, origin);
        timeline.push("a".into(), origin, 20);
        timeline.push("b".into(), Timestamp(9_000), 0);
        timeline.push("c".into(), Timestamp(19_000), 40);
        timeline
    }

    #[test]
    fn files_have_places_in_the_streams_time_across_its_wrap() {
        let timeline = timeline();
        let places: Vec<_> = timeline
            .chapters()
            .iter()
            .map(|one| (one.path.to_str().unwrap(), one.begin, one.zero))
            .collect();
        assert_eq!(
            places,
            [("a", 0, -20), ("b", 10_000, 10_000), ("c", 20_000, 19_960)]
        );
        for time in [0, 999, 1_000, 15_000, 100_000] {
            assert_eq!(timeline.long(timeline.stamp(time)), time);
        }
    }

    #[test]
    fn a_time_is_found_in_the_file_that_holds_it() {
        let timeline = timeline();
        let path = |time| timeline.at(time).unwrap().path.to_str().unwrap().to_owned();
        assert_eq!(path(-5_000), "a");
        assert_eq!(path(0), "a");
        assert_eq!(path(9_999), "a");
        assert_eq!(path(10_000), "b");
        assert_eq!(path(1_000_000), "c");
    }

    #[test]
    fn one_file_follows_another_even_if_that_is_gone() {
        let timeline = timeline();
        let [a, b, c] = timeline.chapters() else {
            panic!("three");
        };
        assert_eq!(timeline.behind(a), Some(b));
        assert_eq!(timeline.behind(b), Some(c));
        assert_eq!(timeline.behind(c), None);
        let gone = Chapter {
            path: "gone".into(),
            begin: 5_000,
            zero: 5_000,
        };
        assert_eq!(timeline.behind(&gone), Some(b));
    }

    #[test]
    fn the_oldest_files_are_forgotten_and_late_ones_are_left_out() {
        let mut timeline = Timeline::new(7, Timestamp(0));
        for number in 0..=limits::TIMELINE as u32 {
            timeline.push(number.to_string().into(), Timestamp(number * 1_000), 0);
        }
        timeline.push("late".into(), Timestamp(500), 0);
        assert_eq!(timeline.chapters().len(), limits::TIMELINE);
        assert_eq!(timeline.at(0).unwrap().path.to_str(), Some("1"));
        assert_eq!(timeline.long(Timestamp(500)), 500);
    }
}
