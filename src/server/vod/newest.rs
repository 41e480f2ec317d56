//! The newest recording of a stream: for players that want what was recorded of it (`play` with a start), and know no name
//! of a file.

use std::io;
use std::path::PathBuf;

use super::names;
use crate::config::NamePattern;
use crate::media::directory::StreamKey;
use crate::runtime::disk::{Disk, Kind};
use crate::time::WallTime;

/// The file that was written last in `directories` of those that are called by `pattern` for the stream `key`: perhaps by
/// two names, as it may be finished while it is looked for. Nothing if there is none, or if files lie in directories that
/// are called by their time.
///
/// # Errors
/// The disk's.
pub(in crate::server) async fn newest<D: Disk>(
    disk: &D,
    directories: &[PathBuf],
    pattern: &NamePattern,
    key: &StreamKey,
) -> io::Result<Vec<PathBuf>> {
    let pattern = pattern.of(key.application(), key.name());
    let Some(within) = pattern.directory() else {
        return Ok(Vec::new());
    };
    let mut newest: Option<(WallTime, PathBuf)> = None;
    for directory in directories {
        let dir = directory.join(&within);
        let entries = match disk.list(&dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for entry in entries {
            let Kind::File { modified, .. } = entry.kind else {
                continue;
            };
            let is_its = entry.name.to_str().is_some_and(|name| {
                names::stem(name).is_some_and(|stem| match within.as_str() {
                    "" => pattern.is_name(stem),
                    within => pattern.is_name(&format!("{within}/{stem}")),
                })
            });
            let file = (modified, dir.join(&entry.name));
            if is_its && newest.as_ref().is_none_or(|newest| *newest < file) {
                newest = Some(file);
            }
        }
    }
    let Some((_, path)) = newest else {
        return Ok(Vec::new());
    };
    let finished = names::is_unfinished(&path).then(|| path.with_extension(""));
    Ok([Some(path), finished].into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_of_recordings_have_an_ending_or_two() {
        assert_eq!(names::stem("a-1.flv"), Some("a-1"));
        assert_eq!(names::stem("a.b.mp4.part"), Some("a.b"));
        assert_eq!(names::stem("a.txt"), None);
        assert_eq!(names::stem("flv"), None);
        let part = Path::new("d/a.flv.part");
        assert_eq!(part.with_extension(""), Path::new("d/a.flv"));
    }
}
