//! Where recordings are kept.

use core::fmt;
use std::path::Path;

use crate::limits;

/// A directory, or none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Directory(String);

impl Directory {
    /// The directory that `text` names; nothing: none. Refused: what cannot be a path, or is longer than
    /// [`limits::PATH_BYTES`].
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() <= limits::PATH_BYTES && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    /// Its path, if there is one.
    pub fn path(&self) -> Option<&Path> {
        let is_there = !self.0.is_empty();
        is_there.then(|| Path::new(&self.0))
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_directory() {
        assert_eq!(Directory::default().path(), None);
        let there = Directory::new("/srv/recordings").unwrap();
        assert_eq!(there.path(), Some(Path::new("/srv/recordings")));
        assert!(Directory::new("a\0b").is_none());
        assert!(Directory::new(&"x".repeat(limits::PATH_BYTES + 1)).is_none());
    }
}
