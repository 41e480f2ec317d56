//! Recordings are what was published: every file a whole one of one publication, in order, without a hole; and from file
//! to file neither a gap nor an overlap, as long as the server has not counted a gap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::media::flv::{FlvError, FlvReader, FlvTag};
use millstream::rtmp::wire::MediaKind;
use millstream::time::Duration;

use super::kept::{Kept, lost};
use super::library::Library;
use super::moved::Moved;
use super::safe::survives;
use super::{Checker, Publication, mp4, samples};
use crate::journal::Observation;

/// What stood on the disk of the server's machine when all was over.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Every file, by path.
    pub files: Rc<BTreeMap<PathBuf, Vec<u8>>>,
    /// How often recordings have lost frames, as the server has counted; unknown if it was started again.
    pub gaps: Option<u64>,
    /// The machine's power was lost: what was not finished may be in pieces.
    pub lost_power: bool,
    /// Files that were not finished when a server died, in all.
    pub left: u64,
    /// What was safe of each file when the server died, each time: from its end all that was written, from the power's what
    /// was synced.
    pub safe: Rc<Vec<(PathBuf, Vec<u8>)>>,
    /// The file in which something had not been safe for the longest time then, and for how long.
    pub unsafe_for: Option<(PathBuf, Duration)>,
    /// The disk does what it is told.
    pub sound: bool,
    /// The disk does what it is told, and the server stopped in good order: nothing is left unfinished.
    pub healthy: bool,
}

/// See the module.
#[derive(Default)]
pub struct Recordings {
    library: Library,
    exercised: u64,
    /// Files behind another of the same publication.
    successions: u64,
    /// Files that a server left unfinished when it died, and the next one had to mend.
    mended: u64,
    /// Files that were safe, at least in part, when the server died.
    survivors: u64,
    /// Files of samples.
    of_samples: u64,
}

/// The frames of one file: where in their publication they begin and end.
struct Span {
    path: String,
    first: usize,
    last: usize,
    has_picture: bool,
}

impl Recordings {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }

    fn judge(&mut self, shelf: &Shelf) -> Result<(), String> {
        let mut spans: BTreeMap<(Publication, Kept), Vec<Span>> = BTreeMap::new();
        for (path, content) in &*shelf.files {
            let name = path.display();
            let Some(kept) = Kept::of(path) else {
                return Err(format!("{name} is no recording"));
            };
            let finished = path.extension().is_none_or(|ending| ending != "part");
            let (span, is_empty) = match kept {
                Kept::All => self.messages(shelf, path, content, finished),
                Kept::Samples => self.samples(shelf, path, content, finished),
            }
            .map_err(|what| format!("{name}: {what}"))?;
            // Of one whose beginning was lost with the power, nobody can tell what it is.
            let beyond = shelf.lost_power && is_empty;
            if !finished && shelf.healthy && !beyond {
                return Err(format!("{name} was never finished"));
            }
            if let Some((publication, span)) = span {
                spans.entry((publication, kept)).or_default().push(span);
            } else if finished {
                return Err(format!("{name} holds no sound and no picture"));
            }
        }
        if shelf.healthy {
            self.mended += shelf.left;
        }
        self.survivors += survives(&self.library, shelf)?;
        for ((publication, kept), mut spans) in spans {
            spans.sort_by_key(|span| span.first);
            self.sequence(&publication, kept, &spans, shelf.gaps)?;
        }
        Ok(())
    }

    /// A file of messages; and whether nothing stands in it.
    fn messages(
        &mut self,
        shelf: &Shelf,
        path: &Path,
        content: &[u8],
        finished: bool,
    ) -> Result<(Option<(Publication, Span)>, bool), String> {
        let tags = match tags(content) {
            Ok(tags) => tags,
            Err((tags, FlvError::Truncated { .. })) if !finished => tags,
            Err((tags, _)) if !finished && shelf.lost_power => tags,
            Err((_, error)) => return Err(error.to_string()),
        };
        Ok((self.file(path, &tags)?, tags.is_empty()))
    }

    /// A file of samples; and whether nothing stands in it.
    fn samples(
        &mut self,
        shelf: &Shelf,
        path: &Path,
        content: &[u8],
        finished: bool,
    ) -> Result<(Option<(Publication, Span)>, bool), String> {
        let (movie, end) = mp4::read(content);
        match end {
            Ok(()) if finished => movie.is_finished()?,
            Ok(()) => {}
            Err(mp4::End::Cut) if !finished => {}
            Err(_) if !finished && shelf.lost_power => {}
            Err(mp4::End::Cut) => return Err("it is cut off".into()),
            Err(mp4::End::Wrong(what)) => return Err(what),
        }
        let Some(ends) = samples::judge(&self.library, &movie)? else {
            return Ok((None, true));
        };
        self.of_samples += 1;
        self.exercised += ends.count;
        let span = Span {
            path: path.display().to_string(),
            first: ends.first,
            last: ends.last,
            has_picture: ends.has_picture,
        };
        Ok((Some((ends.publication, span)), false))
    }

    /// One file: whose it is, and from where to where.
    fn file(
        &mut self,
        path: &Path,
        tags: &[FlvTag],
    ) -> Result<Option<(Publication, Span)>, String> {
        let name = path.display().to_string();
        let mut found: Option<(Publication, Span)> = None;
        let mut moved = Moved::default();
        for tag in tags {
            let Some(entry) = self.library.find(&tag.payload) else {
                if tag.kind == MediaKind::Data && is_files_own(&tag.payload) {
                    continue;
                }
                return Err(format!(
                    "at byte {} stands what nobody published",
                    tag.offset
                ));
            };
            if entry.frame.sort.is_header() {
                continue;
            }
            self.exercised += 1;
            moved
                .judge(&entry.frame, tag.timestamp.0)
                .map_err(|what| format!("of #{}, {what}", entry.index))?;
            let is_picture = entry.frame.sort.is_picture();
            let Some((publication, span)) = &mut found else {
                let span = Span {
                    path: name.clone(),
                    first: entry.index,
                    last: entry.index,
                    has_picture: is_picture,
                };
                found = Some((entry.publication.clone(), span));
                continue;
            };
            if *publication != entry.publication {
                return Err("two publications in one file".into());
            }
            let frames = self.library.frames(publication);
            let step = (span.last, entry.index);
            lost(Kept::All, &frames, step, span.has_picture)?;
            span.last = entry.index;
            span.has_picture |= is_picture;
        }
        Ok(found)
    }

    fn sequence(
        &mut self,
        publication: &Publication,
        kept: Kept,
        spans: &[Span],
        gaps: Option<u64>,
    ) -> Result<(), String> {
        let frames = self.library.frames(publication);
        for pair in spans.windows(2) {
            let [one, other] = pair else { continue };
            self.successions += 1;
            if other.first <= one.last {
                return Err(format!(
                    "{} begins at #{} and {} has it up to #{}",
                    other.path, other.first, one.path, one.last
                ));
            }
            if gaps == Some(0) {
                lost(kept, &frames, (one.last, other.first), one.has_picture)
                    .map_err(|what| format!("between {} and {}: {what}", one.path, other.path))?;
            }
        }
        Ok(())
    }
}

/// Of a file that is whole: whose it is, and which are its first and its last sound, picture, or what nobody knows.
pub(super) fn ends_of(
    library: &Library,
    kept: Kept,
    content: &[u8],
) -> Option<(Publication, usize, usize)> {
    if kept == Kept::Samples {
        return samples::ends(library, &mp4::read(content).0);
    }
    let tags = tags(content).ok()?;
    let mut ends = None;
    for entry in tags.iter().filter_map(|tag| library.find(&tag.payload)) {
        if entry.frame.sort.is_header() {
            continue;
        }
        let (_, _, last) =
            ends.get_or_insert_with(|| (entry.publication.clone(), entry.index, entry.index));
        *last = entry.index;
    }
    ends
}

/// Whether it is a file's own metadata, with its duration and its index.
pub(super) fn is_files_own(payload: &[u8]) -> bool {
    payload.get(3..13) == Some(b"onMetaData")
}

/// All tags of a file; those before what is wrong with it.
pub(super) fn tags(content: &[u8]) -> Result<Vec<FlvTag>, (Vec<FlvTag>, FlvError)> {
    let (mut reader, mut tags, mut rest) = (FlvReader::new(), Vec::new(), content);
    loop {
        match reader.read(&mut rest) {
            Ok(Some(tag)) => tags.push(tag),
            Ok(None) => break,
            Err(error) => return Err((tags, error)),
        }
    }
    match reader.finish() {
        Ok(()) => Ok(tags),
        Err(error) => Err((tags, error)),
    }
}

impl Checker for Recordings {
    fn name(&self) -> &'static str {
        "recordings are what was published"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::Recorded(shelf) => self.judge(shelf),
            _ => Ok(()),
        }
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("recordings behind others", self.successions),
            ("recordings left by a server that died", self.mended),
            (
                "recordings that survived a death of their server",
                self.survivors,
            ),
            ("recordings of samples", self.of_samples),
        ]
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Hand-made files.
    use super::*;
    use crate::media::Frame;

    /// The frames, each at its own time.
    pub(in crate::checkers) fn flv(frames: &[&Rc<Frame>]) -> Vec<u8> {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for frame in frames {
            let payload = frame.delivered();
            let len = payload.len() as u32;
            file.push(frame.kind.type_id());
            file.extend_from_slice(&len.to_be_bytes()[1..]);
            let [high, rest @ ..] = frame.timestamp.0.to_be_bytes();
            file.extend_from_slice(&rest);
            file.extend_from_slice(&[high, 0, 0, 0]);
            file.extend_from_slice(&payload);
            file.extend_from_slice(&(len + 11).to_be_bytes());
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, sent};
    use super::testing::flv;
    use super::*;

    /// Judges files of these picks of one broadcast, each cut off by so many bytes.
    fn judge(files: &[(&str, &[usize], usize)], gaps: u64) -> Result<(), String> {
        let mut checker = Recordings::default();
        let frames = frames("alice", 0, 12);
        for (index, frame) in frames.iter().enumerate() {
            checker.observe("alice", &sent(0, index, frame))?;
        }
        let content = |picks: &[usize], cut: usize| {
            let picked: Vec<_> = picks.iter().map(|pick| &frames[*pick]).collect();
            let mut file = flv(&picked);
            file.truncate(file.len() - cut);
            file
        };
        let files = files
            .iter()
            .map(|(name, picks, cut)| (name.into(), content(picks, *cut)))
            .collect();
        checker.observe(
            "world",
            &Observation::Recorded(Shelf {
                files: Rc::new(files),
                gaps: Some(gaps),
                ..Shelf::default()
            }),
        )
    }

    #[test]
    fn whole_files_one_behind_the_other_are_right() {
        let whole = [0, 1, 2, 3, 4, 5, 6, 7];
        assert_eq!(judge(&[("a.flv", &whole, 0)], 0), Ok(()));
        let files: [(&str, &[usize], usize); 2] =
            [("a.flv", &[3, 4, 5], 0), ("b.flv", &[0, 6, 7], 0)];
        assert_eq!(judge(&files, 0), Ok(()));
        assert_eq!(judge(&[("a.flv.part", &[3, 4, 5], 9)], 0), Ok(()));
        let hole: [(&str, &[usize], usize); 2] = [("a.flv", &[3, 4, 5], 0), ("b.flv", &[9, 10], 0)];
        assert_eq!(judge(&hole, 1), Ok(()));
    }

    #[test]
    fn holes_overlaps_and_torn_files_are_found() {
        for (files, what) in [
            (vec![("a.flv", &[3, 5][..], 0)], "there is no #4"),
            (vec![("a.flv", &[3, 4, 4], 0)], "#4 stands behind #4"),
            (vec![("a.flv", &[3, 4], 9)], "the file ends"),
            (vec![("a.flv", &[0, 1], 0)], "no sound and no picture"),
            (
                vec![("a.flv", &[3, 4], 0), ("b.flv", &[4, 5], 0)],
                "has it up to #4",
            ),
            (
                vec![("a.flv", &[3, 4], 0), ("b.flv", &[6], 0)],
                "there is no #5",
            ),
        ] {
            let said = judge(&files, 0).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
