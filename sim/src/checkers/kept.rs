//! What a recording keeps of what was published, by what its file is made of; and whether somebody who is shown it gets all
//! of that.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use crate::media::{Frame, Sort};

/// What a file keeps.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kept {
    /// FLV: every message, as it was published and in that order.
    #[default]
    All,
    /// MP4: samples, each track for itself; of what stands in no track, and of heads, nothing.
    Samples,
}

impl Kept {
    /// By the file's name, finished or not.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let path = match path.extension() {
            Some(ending) if ending == "part" => path.with_extension(""),
            _ => path.to_owned(),
        };
        match path.extension()?.to_str()? {
            "flv" => Some(Self::All),
            "mp4" => Some(Self::Samples),
            _ => None,
        }
    }

    /// Whether a frame stands in the file, if anything behind it does.
    pub(super) fn has_place_for(self, frame: &Frame) -> bool {
        match self {
            Self::All => frame.sort != Sort::Cleared,
            Self::Samples => !frame.samples.is_empty(),
        }
    }

    /// Whether a frame stands in the file for its own sake: behind a picture or not.
    pub(super) fn wants(self, frame: &Frame, has_picture: bool) -> bool {
        let is_seen = has_picture || !frame.sort.is_picture();
        self.has_place_for(frame) && !frame.sort.is_header() && is_seen
    }
}

/// Whether between two frames of a file others lie that should be there: of a picture that nobody could decode at the
/// beginning nothing is seen again.
pub(super) fn lost(
    kept: Kept,
    frames: &[Rc<Frame>],
    (last, next): (usize, usize),
    has_picture: bool,
) -> Result<(), String> {
    if next <= last {
        return Err(format!("#{next} stands behind #{last}"));
    }
    let between = frames.get(last + 1..next).unwrap_or_default();
    let is_missed = |frame: &Rc<Frame>| kept.wants(frame, has_picture);
    match between.iter().position(is_missed) {
        None => Ok(()),
        Some(at) => Err(format!("behind #{last} there is no #{}", last + 1 + at)),
    }
}

/// How far somebody is in what it is shown.
///
/// A file of messages is shown in their order. Of a file of samples the order of messages cannot be known, only that of
/// times: what was published first of two tracks may be shown second if both are due at once.
#[derive(Clone, Default, Debug)]
pub(super) struct Follow {
    /// The furthest frame that was shown.
    pub(super) last: Option<usize>,
    /// Frames before it that were not yet.
    owed: BTreeSet<usize>,
    /// The first that was shown, and those before it that were shown all the same.
    first: usize,
    early: BTreeSet<usize>,
}

/// Where its publisher's time has jumped, sound and pictures stand so far apart, milliseconds.
const APART_MS: u32 = 400;

impl Follow {
    /// One who has been shown everything up to `last`.
    pub(super) fn behind(last: Option<usize>) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// What should have been shown before anything later is, and was not.
    pub(super) fn owes(&self) -> Option<usize> {
        self.owed.first().copied()
    }

    /// Frame `index` of `frames` is shown.
    pub(super) fn shows(
        &mut self,
        kept: Kept,
        frames: &[Rc<Frame>],
        index: usize,
        has_picture: bool,
    ) -> Result<(), String> {
        let Some(last) = self.last else {
            (self.last, self.first) = (Some(index), index);
            return Ok(());
        };
        if kept == Kept::All {
            self.last = Some(index);
            return lost(kept, frames, (last, index), has_picture);
        }
        let Some(frame) = frames.get(index) else {
            return Ok(());
        };
        if index > last {
            let between = (last + 1..).zip(frames.get(last + 1..index).unwrap_or_default());
            let missed = between.filter(|(_, frame)| kept.wants(frame, has_picture));
            self.owed.extend(missed.map(|(at, _)| at));
            self.last = Some(index);
        } else if !self.owed.remove(&index) {
            let first = frames.get(self.first);
            let is_early = index < self.first
                && first.is_some_and(|first| !is_before(frame, first))
                && self.early.insert(index);
            if !is_early {
                return Err(format!("#{index} stands behind #{last}"));
            }
        }
        let mut owed = self
            .owed
            .iter()
            .filter_map(|at| Some((at, frames.get(*at)?)));
        match owed.find(|(_, owed)| is_before(owed, frame)) {
            Some((at, _)) => Err(format!("before #{index} there is no #{at}")),
            None => Ok(()),
        }
    }
}

/// Whether one frame is certainly due before another.
fn is_before(one: &Frame, other: &Frame) -> bool {
    let apart = match one.epoch > 0 || other.epoch > 0 {
        true => APART_MS,
        false => 0,
    };
    one.steady.saturating_add(apart) < other.steady
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::testing::small;
    use crate::media::{Broadcast, Shape, Tracks};

    /// Headers, then a picture (3, 6, …) each 40 ms behind sound (5, 8, …) of the same time, from the second one on.
    fn frames() -> Vec<Rc<Frame>> {
        let shape = Shape {
            audio_ms: 40,
            decodable: true,
            ..small(Tracks::Legacy)
        };
        let mut broadcast = Broadcast::new(shape, "alice", 0);
        (0..12).map(|_| Rc::new(broadcast.next_frame())).collect()
    }

    fn judge(kept: Kept, picks: &[usize]) -> Result<Option<usize>, String> {
        let (frames, mut follow) = (frames(), Follow::default());
        for pick in picks {
            follow.shows(kept, &frames, *pick, true)?;
        }
        Ok(follow.owes())
    }

    #[test]
    fn what_is_due_at_once_may_come_in_any_order_out_of_a_file_of_samples() {
        let frames = frames();
        let same = |a: usize, b: usize| frames[a].steady == frames[b].steady;
        assert!(
            same(3, 4) && same(5, 6) && same(7, 8) && !same(4, 5),
            "{frames:?}"
        );
        assert_eq!(judge(Kept::All, &[3, 4, 5, 6]), Ok(None));
        assert!(judge(Kept::All, &[3, 5, 4]).is_err());
        assert_eq!(judge(Kept::Samples, &[3, 4, 6, 5, 8, 7]), Ok(None));
        assert_eq!(
            judge(Kept::Samples, &[4, 3, 5]),
            Ok(None),
            "at the beginning, too"
        );
        assert_eq!(judge(Kept::Samples, &[3, 4, 6]), Ok(Some(5)));
        for wrong in [
            &[3, 4, 6, 7, 5][..],
            &[3, 4, 4],
            &[4, 3, 3],
            &[5, 4],
            &[3, 4, 8],
        ] {
            assert!(judge(Kept::Samples, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn files_are_known_by_their_endings() {
        let of = |name: &str| Kept::of(Path::new(name));
        assert_eq!(of("a/b.flv"), Some(Kept::All));
        assert_eq!(of("a/b.mp4.part"), Some(Kept::Samples));
        assert_eq!(of("a/b.part"), None);
    }
}
