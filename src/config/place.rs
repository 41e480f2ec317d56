//! Where a refused setting was written, and what is said about it.

use core::fmt::{self, Write as _};

/// Where a refused value was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a file; lines and columns (in characters) count from 1.
    File {
        /// As the caller named it.
        file: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag(String),
    /// In a setting of a [`super::Config`] made by a program.
    Field(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Field(name) => write!(f, "Config: {name}"),
        }
    }
}

/// A setting that was refused: where, what was expected, what came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// What was expected and what came.
    pub what: String,
}

impl ConfigError {
    /// The error with the line it is about and a caret below its place. `text` is the file's.
    pub fn explained(&self, text: &str) -> String {
        let mut said = format!("{self}\n");
        let Place::File { line, column, .. } = &self.place else {
            return said;
        };
        let Some(source) = text.lines().nth(line.saturating_sub(1)) else {
            return said; // the end of the file
        };
        let number = line.to_string();
        // A tab keeps its width only below a tab.
        let indent: String = source
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(said, "  {number} | {source}");
        let _ = writeln!(said, "  {:1$} | {indent}^", "", number.len());
        said
    }
}

/// Line and column of byte `at`, both from 1, the column in characters.
pub(super) fn place_in(file: &str, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::File {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or("").chars().count() + 1,
    }
}

/// The word of `known` that was probably meant by `word`: at most a third of its letters differ.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, known)| known)
}

/// How many letters must be put in, left out or changed to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut next = vec![done + 1];
        let mut left = done + 1;
        for ((&above_left, &above), &against) in row.iter().zip(row.iter().skip(1)).zip(&other) {
            left = (above_left + usize::from(letter != against))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("größe", "grösse"), 2);
        let known = ["chunk_size", "shards", "drain"];
        assert_eq!(nearest("chunk_sise", known), Some("chunk_size"));
        assert_eq!(nearest("shard", known), Some("shards"));
        assert_eq!(nearest("listen", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn the_caret_stands_below_the_place() {
        let text = "a = 1\n\tä = [\"x\", 7]\n";
        let error = ConfigError {
            place: place_in("m.toml", text, text.find('7').unwrap()),
            what: "no".into(),
        };
        assert_eq!(
            error.explained(text),
            "m.toml:2:12: no\n  2 | \tä = [\"x\", 7]\n    | \t          ^\n"
        );
        let error = ConfigError {
            place: Place::Flag("--x".into()),
            what: "no".into(),
        };
        assert_eq!(error.explained(text), "--x: no\n");
    }
}
