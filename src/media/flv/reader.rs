//! A file from its beginning, in pieces of any size: bytes in, tags out.

use super::tag::{self, FILE_HEADER, Head, TAG_HEADER, TRAILER};
use super::{FlvError, FlvTag};

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
            State::FileHeader => self.state = State::Skip(tag::file_header(&held)? - FILE_HEADER),
            State::Skip(_) => self.state = State::Trailer(None),
            State::Trailer(length) => {
                let got = held.first_chunk().copied().map_or(0, u32::from_be_bytes);
                if let Some(length) = length {
                    self.check_trailer(length, got)?;
                }
                self.begin = self.offset;
                self.state = State::TagHeader;
            }
            State::TagHeader => self.state = State::Body(Head::read(&held, self.begin)?),
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

    fn check_trailer(&self, length: u32, got: u32) -> Result<(), FlvError> {
        tag::check_trailer(length, got, self.offset - TRAILER as u64)
    }
}

#[cfg(test)]
mod tests;
