//! FLV files: bytes in, tags out (FLV 10.1 annex E.2 to E.4.1).
//!
//! A tag's body is what an RTMP message of its type carries, so that a file can be published as it is.

use bytes::Bytes;

use crate::limits;
use crate::rtmp::message;
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

/// Bytes of the file header (annex E.2), as far as version 1 knows it.
const FILE_HEADER: usize = 9;
/// Bytes of a tag header (annex E.4.1).
const TAG_HEADER: usize = 11;
/// Bytes of the field PreviousTagSize (annex E.3).
const TRAILER: usize = 4;
/// The bit of a tag's type that says that it is encrypted (annex E.4.1, "Filter").
const FILTER: u8 = 0x20;

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

/// Reads a file from its beginning, in pieces of any size.
///
/// Holds one unfinished tag: as many bytes as came of it, and half as many again.
#[derive(Debug)]
pub struct FlvReader {
    /// Of the next byte.
    offset: u64,
    /// Where what is being read begins.
    begin: u64,
    state: State,
    /// What came of it.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    FileHeader,
    /// Bytes of the file header that version 1 does not know.
    Skip(usize),
    TagHeader,
    Body(Head),
    /// PreviousTagSize behind a body of so many bytes; behind the file header there is none.
    Trailer(Option<u32>),
}

/// A tag's header. `kind` is none for reserved types, whose tags are passed over.
#[derive(Clone, Copy, Debug)]
struct Head {
    kind: Option<MediaKind>,
    length: u32,
    timestamp: Timestamp,
}

impl Default for FlvReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FlvReader {
    /// A reader at the beginning of a file.
    pub fn new() -> Self {
        Self {
            offset: 0,
            begin: 0,
            state: State::FileHeader,
            held: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next tag, and returns it. `Ok(None)`: all of `input`
    /// was taken, and more is needed.
    ///
    /// # Errors
    /// See [`FlvError`]; there is no way on.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<FlvTag>, FlvError> {
        loop {
            let wanted = match self.state {
                State::FileHeader => FILE_HEADER,
                State::Skip(bytes) => bytes,
                State::TagHeader => TAG_HEADER,
                State::Body(head) => head.length as usize,
                State::Trailer(_) => TRAILER,
            };
            if !self.collect(input, wanted) {
                return Ok(None);
            }
            let held = core::mem::take(&mut self.held);
            if let Some(tag) = self.complete(held)? {
                return Ok(Some(tag));
            }
        }
    }

    /// Says that no more bytes will come.
    ///
    /// # Errors
    /// [`FlvError::Truncated`]. That the last PreviousTagSize is missing harms nobody.
    pub fn finish(&self) -> Result<(), FlvError> {
        let whole = match self.state {
            State::TagHeader => self.held.is_empty(),
            State::Trailer(_) => true,
            State::FileHeader | State::Skip(_) | State::Body(_) => false,
        };
        if whole {
            return Ok(());
        }
        let offset = self.begin;
        Err(FlvError::Truncated { offset })
    }

    /// Moves bytes to what is held, until it is `wanted`; false if they do not suffice.
    fn collect(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.held.extend_from_slice(taken);
        self.offset += taken.len() as u64;
        *input = rest;
        taken.len() == missing
    }

    fn complete(&mut self, held: Vec<u8>) -> Result<Option<FlvTag>, FlvError> {
        match self.state {
            State::FileHeader => self.state = file_header(&held)?,
            State::Skip(_) => self.state = State::Trailer(None),
            State::Trailer(length) => {
                let got = held.first_chunk().copied().map_or(0, u32::from_be_bytes);
                if let Some(length) = length {
                    self.check_trailer(length, got)?;
                }
                self.begin = self.offset;
                self.state = State::TagHeader;
            }
            State::TagHeader => self.state = State::Body(tag_header(&held, self.begin)?),
            State::Body(head) => {
                self.state = State::Trailer(Some(head.length));
                let offset = self.begin;
                return Ok(head.kind.map(|kind| FlvTag {
                    offset,
                    kind,
                    timestamp: head.timestamp,
                    payload: held.into(),
                }));
            }
        }
        Ok(None)
    }

    /// Some writers leave it 0, or count the body alone; anything else means that one of the two is no tag.
    fn check_trailer(&self, length: u32, got: u32) -> Result<(), FlvError> {
        let expected = length + TAG_HEADER as u32;
        if [expected, length, 0].contains(&got) {
            return Ok(());
        }
        Err(FlvError::PreviousTagSize {
            offset: self.offset - TRAILER as u64,
            expected,
            got,
        })
    }
}

fn file_header(held: &[u8]) -> Result<State, FlvError> {
    let &[f, l, v, version, _, d0, d1, d2, d3, ..] = held else {
        return Err(FlvError::Truncated { offset: 0 });
    };
    if [f, l, v] != *b"FLV" {
        return Err(FlvError::NotFlv([f, l, v]));
    }
    if version != 1 {
        return Err(FlvError::Version { got: version });
    }
    let got = u32::from_be_bytes([d0, d1, d2, d3]);
    if !(FILE_HEADER as u32..=limits::FLV_HEADER_BYTES).contains(&got) {
        return Err(FlvError::HeaderLength { got });
    }
    Ok(State::Skip(got as usize - FILE_HEADER))
}

fn tag_header(held: &[u8], offset: u64) -> Result<Head, FlvError> {
    let &[tag, l0, l1, l2, t1, t2, t3, t0, ..] = held else {
        return Err(FlvError::Truncated { offset });
    };
    if tag & FILTER != 0 {
        return Err(FlvError::Encrypted { offset });
    }
    let got = u32::from_be_bytes([0, l0, l1, l2]);
    if got > limits::MESSAGE_BYTES {
        return Err(FlvError::TagTooLong { offset, got });
    }
    let kind = match tag & 0x1F {
        message::AUDIO => Some(MediaKind::Audio),
        message::VIDEO => Some(MediaKind::Video),
        message::DATA_AMF0 => Some(MediaKind::Data),
        _ => None,
    };
    Ok(Head {
        kind,
        length: got,
        timestamp: Timestamp(u32::from_be_bytes([t0, t1, t2, t3])),
    })
}

#[cfg(test)]
mod tests;
