//! A recording whose file has tracks of samples: what it holds, message by message.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Publication;
use super::kept::Kept;
use super::library::{Entry, Library};
use super::moved::Moved;
use super::mp4::{Movie, Track};
use crate::media::Sort;

/// From where to where of a publication a file goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ends {
    pub(super) publication: Publication,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) has_picture: bool,
    /// Messages.
    pub(super) count: u64,
}

/// The messages of a file, by their place in the publication, and of which tracks they are there.
type Messages = BTreeMap<usize, (Rc<Entry>, BTreeSet<u8>)>;

/// Judges all samples of `movie`: none: there are none.
pub(super) fn judge(library: &Library, movie: &Movie) -> Result<Option<Ends>, String> {
    let mut messages = Messages::new();
    let mut moved = Moved::default();
    for track in &movie.tracks {
        read(library, track, &mut messages, &mut moved)?;
    }
    let (Some((first, (entry, _))), Some((last, _))) =
        (messages.first_key_value(), messages.last_key_value())
    else {
        return Ok(None);
    };
    let publication = entry.publication.clone();
    let frames = library.frames(&publication);
    let mut has_picture = false;
    for (index, frame) in (*first..=*last).zip(frames.iter().skip(*first)) {
        let had = messages.get(&index);
        if had.is_some_and(|(entry, _)| entry.publication != publication) {
            return Err("two publications in one file".into());
        }
        has_picture |= had.is_some() && frame.sort.is_picture();
        if !Kept::Samples.wants(frame, has_picture) {
            continue;
        }
        let tracks = frame.samples.iter().map(|(track, _)| track);
        let mut missing = tracks.filter(|track| had.is_none_or(|(_, had)| !had.contains(track)));
        if let Some(track) = missing.next() {
            return Err(format!(
                "behind #{first} there is no #{index} of track {track}"
            ));
        }
    }
    Ok(Some(Ends {
        publication: publication.clone(),
        first: *first,
        last: *last,
        has_picture,
        count: messages.len() as u64,
    }))
}

/// Of samples that are there, however few: from where to where they go. For files that a power loss may have cut.
pub(super) fn ends(library: &Library, movie: &Movie) -> Option<(Publication, usize, usize)> {
    let samples = movie.tracks.iter().flat_map(|track| &track.samples);
    let found = samples.filter_map(|sample| library.find_sample(&sample.bytes));
    let mut ends: Option<(Publication, usize, usize)> = None;
    for (entry, _) in found {
        let (_, first, last) = ends.get_or_insert_with(|| {
            let (publication, index) = (entry.publication.clone(), entry.index);
            (publication, index, index)
        });
        (*first, *last) = ((*first).min(entry.index), (*last).max(entry.index));
    }
    ends
}

fn read(
    library: &Library,
    track: &Track,
    messages: &mut Messages,
    moved: &mut Moved,
) -> Result<(), String> {
    let mut last: Option<(u8, usize)> = None;
    for sample in &track.samples {
        let Some((entry, of)) = library.find_sample(&sample.bytes) else {
            return Err(format!(
                "at {} ms stands what nobody published",
                sample.time
            ));
        };
        let (index, frame) = (entry.index, &entry.frame);
        if frame.sort.is_header() || (frame.sort == Sort::Audio) == track.is_video {
            return Err(format!("#{index} stands among the samples of another kind"));
        }
        if last.is_some_and(|last| last.0 != of || last.1 >= index) {
            return Err(format!("#{index} of track {of} stands behind {last:?}"));
        }
        if sample.is_sync != (frame.sort != Sort::Inter) {
            return Err(format!("#{index} is taken for another kind of picture"));
        }
        last = Some((of, index));
        // Where the publisher's time went back, it is decoded later, and shown when it should be.
        let shown = sample.shown - i64::from(frame.shown_after);
        moved
            .judge(frame, shown as u32)
            .map_err(|what| format!("of #{index}, {what}"))?;
        let (_, tracks) = messages
            .entry(index)
            .or_insert_with(|| (entry.clone(), BTreeSet::new()));
        tracks.insert(of);
    }
    Ok(())
}
