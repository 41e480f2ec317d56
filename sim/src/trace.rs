//! What happened, line by line, as a person reads it; and its hash, as a machine compares it.
//!
//! A line holds virtual time, who, and what. Nothing that differs between two runs of one seed may enter:
//! no task ids, no addresses of memory, no real time.

use core::fmt;

use millstream::time::Instant;

use crate::seed::Fnv;

/// The lines of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Vec<String>,
    hash: Fnv,
}

impl Trace {
    /// Adds a line: `  1.234000  who  what`.
    pub fn line(&mut self, at: Instant, who: &str, what: fmt::Arguments<'_>) {
        let micros = at.as_micros();
        let line = format!(
            "{:4}.{:06}  {who:<12} {what}",
            micros / 1_000_000,
            micros % 1_000_000
        );
        self.hash.write(line.as_bytes());
        self.hash.write(b"\n");
        self.lines.push(line);
    }

    /// All lines so far.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The hash of all lines, 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.hash.finish())
    }

    /// The first line in which two traces differ, with both versions (`None` if they are equal).
    pub fn first_difference<'a>(&'a self, other: &'a Self) -> Option<Difference<'a>> {
        first_difference(&self.lines, &other.lines)
    }
}

/// The first line in which two traces' lines differ, wherever they come from.
pub fn first_difference<'a>(ours: &'a [String], theirs: &'a [String]) -> Option<Difference<'a>> {
    let longer = ours.len().max(theirs.len());
    (0..longer).find_map(|index| {
        let ours = ours.get(index).map(String::as_str);
        let theirs = theirs.get(index).map(String::as_str);
        (ours != theirs).then_some(Difference {
            index,
            ours,
            theirs,
        })
    })
}

/// Where two traces part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference<'a> {
    /// Line number from 0.
    pub index: usize,
    /// The first trace's line, if it is that long.
    pub ours: Option<&'a str>,
    /// The second trace's line, if it is that long.
    pub theirs: Option<&'a str>,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = "(end of trace)";
        writeln!(f, "the traces part at line {}:", self.index + 1)?;
        writeln!(f, "  one:   {}", self.ours.unwrap_or(end))?;
        write!(f, "  other: {}", self.theirs.unwrap_or(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_hash_alike_and_the_first_difference_is_found() {
        let mut one = Trace::default();
        let mut other = Trace::default();
        one.line(Instant::from_micros(1_500_000), "alice", format_args!("x"));
        other.line(Instant::from_micros(1_500_000), "alice", format_args!("x"));
        assert_eq!(one.hash(), other.hash());
        assert_eq!(one.first_difference(&other), None);
        assert_eq!(one.lines()[0], "   1.500000  alice        x");
        other.line(Instant::from_micros(1_500_001), "bob", format_args!("y"));
        assert_ne!(one.hash(), other.hash());
        let difference = one.first_difference(&other).map(|d| (d.index, d.ours));
        assert_eq!(difference, Some((1, None)));
    }
}
