//! Everything that was ever sent, found again by its bytes: one for all checkers of delivered media.

use core::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use millstream::rtmp::wire::MediaKind;

use super::Publication;
use super::kept::Kept;
use crate::journal::Observation;
use crate::media::{Frame, Sort, sample_of};

/// Clones are the same one: every checker shows it what it sees, and it takes that in once.
#[derive(Clone, Default)]
pub(super) struct Library(Rc<RefCell<Shelves>>);

#[derive(Default)]
struct Shelves {
    by_payload: BTreeMap<Bytes, Rc<Entry>>,
    /// What files of samples keep of it, and of which track that is.
    by_sample: BTreeMap<Bytes, (Rc<Entry>, u8)>,
    publications: BTreeMap<Publication, Shelf>,
    /// What was looked for last: the next checker asks for the same.
    last: Option<(Bytes, Rc<Entry>)>,
}

/// One publication.
#[derive(Default)]
struct Shelf {
    frames: Vec<Rc<Frame>>,
    /// Per sort and track: the frames of it, in order.
    of: BTreeMap<(Sort, u8), Vec<usize>>,
}

/// Where a frame belongs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Rc<str>,
    pub(super) publication: Publication,
    pub(super) index: usize,
    pub(super) frame: Rc<Frame>,
}

impl Library {
    /// Takes in what `who` sent, if this observation is that.
    pub(super) fn learn(&self, who: &str, seen: &Observation) {
        let Observation::Sent {
            name,
            publication,
            index,
            frame,
        } = seen
        else {
            return;
        };
        let shelves = &mut *self.0.borrow_mut();
        let publication = (Rc::from(who), *publication);
        let shelf = shelves.publications.entry(publication.clone()).or_default();
        if *index < shelf.frames.len() {
            return; // another checker has shown it
        }
        for track in &frame.tracks {
            let of = shelf.of.entry((frame.sort, *track)).or_default();
            of.push(shelf.frames.len());
        }
        shelf.frames.push(frame.clone());
        let entry = Entry {
            name: name.clone(),
            publication,
            index: *index,
            frame: frame.clone(),
        };
        let entry = Rc::new(entry);
        for (track, sample) in &frame.samples {
            let of = (entry.clone(), *track);
            shelves.by_sample.insert(sample.clone(), of);
        }
        shelves.by_payload.insert(frame.delivered(), entry);
    }

    /// Which frame has these bytes for a sample, and of which of its tracks.
    pub(super) fn find_sample(&self, sample: &Bytes) -> Option<(Rc<Entry>, u8)> {
        self.0.borrow().by_sample.get(sample).cloned()
    }

    /// Which frame it was that is sent out of a file which keeps so much of it.
    pub(super) fn find_kept(
        &self,
        kept: Kept,
        kind: MediaKind,
        payload: &Bytes,
    ) -> Option<Rc<Entry>> {
        match kept {
            Kept::All => self.find(payload),
            Kept::Samples => Some(self.find_sample(&sample_of(kind, payload)?)?.0),
        }
    }

    /// Which frame has these bytes.
    pub(super) fn find(&self, payload: &Bytes) -> Option<Rc<Entry>> {
        let shelves = &mut *self.0.borrow_mut();
        let same =
            |bytes: &Bytes| bytes.as_ptr() == payload.as_ptr() && bytes.len() == payload.len();
        if let Some((bytes, entry)) = &shelves.last
            && same(bytes)
        {
            return Some(entry.clone());
        }
        let entry = shelves.by_payload.get(payload)?.clone();
        shelves.last = Some((payload.clone(), entry.clone()));
        Some(entry)
    }

    /// The frames of a publication so far.
    pub(super) fn frames(&self, publication: &Publication) -> Ref<'_, [Rc<Frame>]> {
        Ref::map(self.0.borrow(), |shelves| {
            let shelf = shelves.publications.get(publication);
            shelf.map(|shelf| &*shelf.frames).unwrap_or_default()
        })
    }

    /// The newest frame of one of `sorts` and of `track` before `index` in the publication.
    pub(super) fn newest_before(
        &self,
        publication: &Publication,
        sorts: &[Sort],
        track: u8,
        index: usize,
    ) -> Option<usize> {
        let shelves = self.0.borrow();
        let shelf = shelves.publications.get(publication)?;
        let newest = |sort: &Sort| {
            let of = shelf.of.get(&(*sort, track))?;
            let earlier = of.partition_point(|at| *at < index);
            of.get(earlier.checked_sub(1)?).copied()
        };
        sorts.iter().filter_map(newest).max()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, sent};
    use super::*;

    #[test]
    fn what_two_show_is_taken_in_once_and_found_by_its_bytes() {
        let library = Library::default();
        let frames = frames("alice", 0, 9);
        for (index, frame) in frames.iter().enumerate() {
            for _ in 0..2 {
                library.learn("alice", &sent(0, index, frame));
            }
        }
        let publication = (Rc::from("alice"), 0);
        assert_eq!(library.frames(&publication).len(), 9);
        for (index, frame) in frames.iter().enumerate() {
            for _ in 0..2 {
                let entry = library.find(&frame.delivered()).unwrap();
                assert_eq!((entry.index, &entry.publication), (index, &publication));
            }
        }
        assert!(library.find(&Bytes::from_static(b"nobody's")).is_none());
    }

    #[test]
    fn the_newest_of_some_sorts_is_the_one_a_search_from_behind_finds() {
        let library = Library::default();
        let frames = frames("alice", 0, 30);
        for (index, frame) in frames.iter().enumerate() {
            library.learn("alice", &sent(0, index, frame));
        }
        let publication = (Rc::from("alice"), 0);
        for sorts in [
            &[Sort::Key][..],
            &[Sort::Key, Sort::Inter],
            &[Sort::Metadata],
            &[Sort::End],
        ] {
            for index in 0..=frames.len() {
                let mut earlier = frames.iter().take(index);
                let searched = earlier.rposition(|frame| sorts.contains(&frame.sort));
                assert_eq!(
                    library.newest_before(&publication, sorts, 0, index),
                    searched
                );
            }
        }
    }
}
