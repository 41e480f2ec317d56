//! What can be wrong with an MP4 file.

use core::fmt;

use super::boxes::Kind;

/// What is wrong with a file, and at which byte. The file, or who wrote it, is at fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mp4Error {
    /// It begins with something else, or is over before anything was said.
    #[error("not an MP4 file: no box \"moov\" in it; if its recording was cut off, repair it")]
    NoMovie,
    /// A box is shorter than its own header, or longer than what it stands in.
    #[error(
        "byte {offset}: the box {} claims {size} bytes, which do not fit where it stands; remux the file",
        Name(*kind)
    )]
    BoxSize {
        /// Where it begins.
        offset: u64,
        /// Its type.
        kind: Kind,
        /// As it says.
        size: u64,
    },
    /// A box that has to be read whole is larger than is taken into memory.
    #[error("byte {offset}: the box {} has {size} bytes; at most {limit} are read", Name(*kind))]
    TooLarge {
        /// Where it begins.
        offset: u64,
        /// Its type.
        kind: Kind,
        /// As it says.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// More of something than is followed.
    #[error("byte {offset}: more than {limit} {what}")]
    TooMany {
        /// Where they are counted.
        offset: u64,
        /// Of what.
        what: &'static str,
        /// How many are followed.
        limit: u64,
    },
    /// A box says something that cannot be, or ends within what it says.
    #[error("byte {offset}: the box {} is wrong: {what}; remux the file", Name(*kind))]
    Malformed {
        /// Where its body begins.
        offset: u64,
        /// Its type.
        kind: Kind,
        /// What was expected.
        what: &'static str,
    },
    /// A sample lies where the file has no bytes.
    #[error(
        "byte {offset}: a sample of {size} bytes lies behind the file's end; the file was cut off"
    )]
    Truncated {
        /// Where it begins.
        offset: u64,
        /// Bytes of it.
        size: u64,
    },
    /// No track can be sent over RTMP.
    #[error("no track that RTMP can carry (found: {found}); transcode the file")]
    NoTrack {
        /// The types of those there are.
        found: String,
    },
}

/// A box's type, for people.
struct Name(Kind);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
