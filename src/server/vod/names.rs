//! Which file a client means.
//!
//! Names come from anybody: they are taken apart, and what is not plainly the name of a file inside of the directory names
//! none.

use std::path::{Path, PathBuf};

/// What files are called that may be played, in the order in which they are looked for.
const ENDINGS: [&str; 6] = ["flv", "mp4", "f4v", "m4v", "mov", "m4a"];
/// Behind the name of a file that is still being written.
const UNFINISHED: &str = "part";

/// The files that `name` may mean in `directory`, the likeliest first; none if it can mean none. At most
/// `2 × (ENDINGS + 1)`.
///
/// `film.mp4` is itself; `film` is any of the endings; so are `flv:film` and `mp4:film` (as Flash spells them), with what
/// stands before the colon first. FFmpeg takes all but the last part of its URL for the application, and asks for
/// `a/mp4:film.mp4` where `a/film.mp4` is meant. A file that is still being written has `.part` behind its name, which nobody needs to
/// know.
pub(super) fn candidates(directory: &Path, name: &str) -> Vec<PathBuf> {
    let (kind, name) = match name.split_once(':') {
        Some((before, rest)) => {
            let (directory, kind) = before.split_at(before.rfind('/').map_or(0, |at| at + 1));
            match ENDINGS.contains(&kind) {
                true => (Some(kind), format!("{directory}{rest}")),
                false => (None, name.to_owned()),
            }
        }
        None => (None, name.to_owned()),
    };
    if !name.split('/').all(is_plain) {
        return Vec::new();
    }
    let has_ending = ENDINGS.iter().any(|ending| {
        name.strip_suffix(ending)
            .is_some_and(|rest| rest.ends_with('.'))
    });
    let mut names = Vec::new();
    if has_ending {
        names.push(name.clone());
    }
    let endings = kind.into_iter().chain(ENDINGS);
    names.extend(endings.map(|ending| format!("{name}.{ending}")));
    let unfinished = |name: &String| format!("{name}.{UNFINISHED}");
    let unfinished: Vec<String> = names.iter().map(unfinished).collect();
    let names = names.into_iter().chain(unfinished);
    names.map(|name| directory.join(name)).collect()
}

/// Whether it is the name of something inside of a directory, and not hidden.
fn is_plain(component: &str) -> bool {
    let odd = |letter: char| letter.is_control() || letter == '\\' || letter == ':';
    !component.is_empty() && !component.starts_with('.') && !component.contains(odd)
}

/// What stands before the ending of a file that may be played, finished or not.
pub(super) fn stem(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".part").unwrap_or(name);
    let (stem, ending) = name.rsplit_once('.')?;
    ENDINGS.contains(&ending).then_some(stem)
}

/// Whether that file is still being written, or was left so.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == UNFINISHED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(name: &str) -> Option<String> {
        let path = candidates(Path::new("/srv"), name).into_iter().next()?;
        Some(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_name_means_a_file_with_or_without_its_ending() {
        assert_eq!(first("film.mp4").unwrap(), "/srv/film.mp4");
        assert_eq!(first("a/film").unwrap(), "/srv/a/film.flv");
        assert_eq!(first("mp4:a/film").unwrap(), "/srv/a/film.mp4");
        assert_eq!(first("mp4:film.f4v").unwrap(), "/srv/film.f4v");
        assert_eq!(first("a/mp4:film.mp4").unwrap(), "/srv/a/film.mp4");
        assert_eq!(first("a/b/flv:film").unwrap(), "/srv/a/b/film.flv");
        let all = candidates(Path::new("/srv"), "film.flv");
        assert!(all.contains(&PathBuf::from("/srv/film.flv.part")));
        assert!(is_unfinished(Path::new("/srv/film.flv.part")));
        assert!(!is_unfinished(Path::new("/srv/film.flv")));
    }

    #[test]
    fn what_is_no_plain_name_means_nothing() {
        for name in [
            "",
            "/",
            "/film",
            "film/",
            "a//b",
            ".",
            "..",
            "../film",
            "a/../film",
            ".film",
            "a/.b",
            "a\\..\\film",
            "c:film",
            "film\0",
            "flv:",
            "flv:/etc/passwd",
            "flv:flv:film",
            "a/mp4:../film",
            "a/mp4:",
            "a/mp4:/film",
            "a/mp4:b:film",
            "a/../mp4:film",
        ] {
            assert_eq!(first(name), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_the_directory(name in "[./:\\\\a-c\0 ]{0,12}") {
            for path in candidates(Path::new("/srv/vod"), &name) {
                prop_assert!(path.starts_with("/srv/vod"));
                let below = path.strip_prefix("/srv/vod").unwrap();
                for component in below.components() {
                    prop_assert!(matches!(component, std::path::Component::Normal(_)), "{path:?}");
                }
            }
        }
    }
}
