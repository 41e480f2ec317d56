//! FLV files (FLV 10.1 annex E.2 to E.4.1), without IO: read, written, repaired, and played from anywhere.
//!
//! A tag's body is what an RTMP message of its type carries, so that a file can be published as it is, and a stream
//! recorded as it is.
//!
//! * [`FlvReader`]: a file from its beginning, in pieces of any size.
//! * [`FlvWriter`]: a recording.
//! * [`FlvRepair`]: what a recording that was cut off needs to be a whole file.
//! * [`FlvOpen`], [`FlvFile`]: any file, for viewers that pause and seek.

mod file;
mod fuzz;
mod open;
mod reader;
mod repair;
mod resync;
mod script;
mod seek;
mod survey;
mod tag;
mod walk;
mod writer;

pub use file::{FlvCursor, FlvFile};
#[doc(hidden)]
pub use fuzz::fuzz_flv;
pub use open::FlvOpen;
pub use reader::FlvReader;
pub use repair::FlvRepair;
pub use writer::FlvWriter;

use bytes::Bytes;

use crate::limits;
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

/// One tag: sound, pictures or data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlvTag {
    /// Where in the file it begins, bytes.
    pub offset: u64,
    /// What it is.
    pub kind: MediaKind,
    /// Its time: milliseconds, the upper eight bits from TimestampExtended.
    pub timestamp: Timestamp,
    /// Its body, as an RTMP message carries it.
    pub payload: Bytes,
}

/// What is wrong with a file, and at which byte. The file's writer is at fault, or the file is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FlvError {
    /// It begins with something else.
    #[error("not an FLV file: expected it to begin with the letters FLV, got bytes {0:02x?}")]
    NotFlv([u8; 3]),
    /// Version 1 is all there is.
    #[error("byte 3: expected FLV version 1, got {got}")]
    Version {
        /// As it says.
        got: u8,
    },
    /// DataOffset.
    #[error(
        "byte 5: expected a file header of 9 to {} bytes, got {got}",
        limits::FLV_HEADER_BYTES
    )]
    HeaderLength {
        /// As it says.
        got: u32,
    },
    /// The filter bit is set.
    #[error("byte {offset}: the tag is encrypted, which nobody here can read")]
    Encrypted {
        /// Where the tag begins.
        offset: u64,
    },
    /// DataSize.
    #[error(
        "byte {offset}: expected a tag of at most {} bytes, got {got}",
        limits::MESSAGE_BYTES
    )]
    TagTooLong {
        /// Where the tag begins.
        offset: u64,
        /// As it says.
        got: u32,
    },
    /// PreviousTagSize: what stands before it was no tag, or what follows is none.
    #[error(
        "byte {offset}: expected the size of the tag before it, {expected}, got {got}; remux the file"
    )]
    PreviousTagSize {
        /// Where it stands.
        offset: u64,
        /// What it should be.
        expected: u32,
        /// As it says.
        got: u32,
    },
    /// The file ends in the middle of a tag, or of its own header.
    #[error(
        "byte {offset}: the file ends within what begins here; its writer was cut off: remux the file"
    )]
    Truncated {
        /// Where that begins.
        offset: u64,
    },
}

#[cfg(test)]
mod tests;
