//! What the death of a server may cost of a recording: what was not written yet; and with the power what was not safe yet,
//! and that is not much.

use std::path::{Path, PathBuf};

use millstream::limits;
use millstream::time::Duration;

use super::kept::Kept;
use super::library::Library;
use super::recordings::{Shelf, tags};
use super::{Publication, mp4, samples};
use crate::media::Sort;

/// What was safe of a file when the server died: whose it is, and its first and last sound or picture.
type Ends = (Publication, usize, usize);

/// Between two syncs, as long as the disk does what it is told: the recorder glances at its stream now and then, and its
/// shard has other things to do.
const UNSAFE: Duration = Duration::from_millis(
    (limits::RECORD_SYNC.as_millis() + limits::RECORD_INTERVAL.as_millis()) as u64 + 500,
);

/// Whether everything is still there that was safe when the server died, and nothing had been unsafe for long. How many
/// files that concerned.
pub(super) fn survives(library: &Library, shelf: &Shelf) -> Result<u64, String> {
    if let Some((path, age)) = &shelf.unsafe_for
        && shelf.sound
        && *age > UNSAFE
    {
        return Err(format!(
            "when the power went, {} had not been safe for {} ms",
            path.display(),
            age.as_millis()
        ));
    }
    let mut survivors = 0;
    for (path, content) in &*shelf.safe {
        let kept = Kept::of(path).unwrap_or_default();
        let Some((publication, first, last)) = ends(library, kept, content) else {
            continue;
        };
        let Some(left) = left(shelf, path) else {
            return Err(format!("{} was safe, and is gone", path.display()));
        };
        match ends(library, kept, left) {
            Some((whose, from, to)) if whose == publication && from <= first && to >= last => {
                survivors += 1;
            }
            left => {
                let left = left.map(|(_, from, to)| (from, to));
                return Err(format!(
                    "{} was safe from #{first} to #{last}, and there is left: {left:?}",
                    path.display()
                ));
            }
        }
    }
    Ok(survivors)
}

fn ends(library: &Library, kept: Kept, content: &[u8]) -> Option<Ends> {
    if kept == Kept::Samples {
        return samples::ends(library, &mp4::read(content).0);
    }
    let tags = tags(content).unwrap_or_else(|(tags, _)| tags);
    let mut ends = None;
    for entry in tags.iter().filter_map(|tag| library.find(&tag.payload)) {
        if entry.frame.sort.is_picture() || entry.frame.sort == Sort::Audio {
            let (_, _, last) =
                ends.get_or_insert_with(|| (entry.publication.clone(), entry.index, entry.index));
            *last = entry.index;
        }
    }
    ends
}

/// What has become of the file: finished or not.
fn left<'a>(shelf: &'a Shelf, path: &Path) -> Option<&'a Vec<u8>> {
    let finished = match path.extension() {
        Some(ending) if ending == "part" => path.with_extension(""),
        _ => path.to_owned(),
    };
    let mut part = finished.clone().into_os_string();
    part.push(".part");
    let files = &shelf.files;
    files
        .get(&finished)
        .or_else(|| files.get(&PathBuf::from(part)))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::recordings::testing::flv;
    use super::super::testing::{frames, sent};
    use super::*;

    /// So many tags of twelve were safe, and so many are left, in a file of that name.
    fn judge(safe: usize, left: usize, name: &str, unsafe_ms: u64) -> Result<u64, String> {
        let library = Library::default();
        let frames = frames("alice", 0, 12);
        for (index, frame) in frames.iter().enumerate() {
            library.learn("alice", &sent(0, index, frame));
        }
        let file = |n: usize| flv(&frames.iter().take(n).collect::<Vec<_>>());
        let path = PathBuf::from("/recordings/a.flv.part");
        let age = Duration::from_millis(unsafe_ms);
        let shelf = Shelf {
            files: Rc::new([(PathBuf::from(name), file(left))].into()),
            safe: Rc::new(vec![(path.clone(), file(safe))]),
            unsafe_for: Some((path, age)),
            sound: true,
            ..Shelf::default()
        };
        survives(&library, &shelf)
    }

    #[test]
    fn what_was_safe_must_be_left() {
        assert_eq!(judge(6, 6, "/recordings/a.flv", 100), Ok(1));
        assert_eq!(judge(6, 9, "/recordings/a.flv.part", 100), Ok(1));
        assert_eq!(judge(2, 0, "/recordings/b.flv", 100), Ok(0), "headers");
        let said = judge(6, 5, "/recordings/a.flv", 100).unwrap_err();
        assert!(
            said.contains("to #5, and there is left: Some((3, 4))"),
            "{said}"
        );
        let said = judge(6, 6, "/recordings/b.flv", 100).unwrap_err();
        assert!(said.contains("is gone"), "{said}");
        let said = judge(6, 6, "/recordings/a.flv", 9_000).unwrap_err();
        assert!(said.contains("not been safe for 9000 ms"), "{said}");
    }
}
