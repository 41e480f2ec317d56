//! The beginning of a tag, found from anywhere in a file: where what looks like a tag is followed by others, each behind
//! the size of the one before.
//!
//! Nothing inside of a tag's body can pass for its end: the size behind it says where it began. Only tags that lie all
//! inside of one body could be mistaken, [`limits::FLV_CHAIN`] of them in a row.

use super::tag::{self, Head, TAG_HEADER, TRAILER};
use super::walk::Window;
use crate::limits;

/// What a search came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Search {
    /// It needs these bytes.
    Read { offset: u64, len: usize },
    /// A tag begins here.
    Found(u64),
    /// No tag begins in what was searched.
    Nothing,
}

/// A search for the first tag from a place on.
#[derive(Clone, Debug)]
pub(super) struct Resync {
    /// The next byte that may be one's first.
    at: u64,
    /// Where it ends.
    to: u64,
    window: Window,
    /// Reads that may still be spent on candidates.
    left: usize,
    chain: Option<Chain>,
    /// All sizes behind tags are what they should be in this file.
    strict: bool,
    /// The file has fewer bytes than it should.
    dry: bool,
}

/// Tags that follow one another.
#[derive(Clone, Debug)]
struct Chain {
    /// Where the last one's body ends, and how long it is.
    end: u64,
    length: u32,
    links: usize,
    /// The size behind it and the header that follows, where they are not in the window.
    bytes: Vec<u8>,
}

/// PreviousTagSize and the next header.
const LINK: usize = TRAILER + TAG_HEADER;

impl Resync {
    /// Looks for the first tag that begins at `from` or behind it, and before `to`; no further than the longest tag.
    pub(super) fn new(from: u64, to: u64, strict: bool) -> Self {
        let longest = u64::from(limits::MESSAGE_BYTES) + limits::FILE_BLOCK as u64;
        Self {
            at: from,
            to: to.min(from.saturating_add(longest)),
            window: Window::default(),
            left: limits::FLV_CANDIDATES,
            chain: None,
            strict,
            dry: false,
        }
    }

    /// Takes what was read at `offset`.
    pub(super) fn fill(&mut self, offset: u64, bytes: &[u8]) {
        self.dry = bytes.is_empty();
        match &mut self.chain {
            Some(chain) => chain.bytes = bytes.to_vec(),
            None => {
                self.window.base = offset;
                self.window.bytes = bytes.to_vec();
            }
        }
    }

    /// Goes on in a file of `size` bytes.
    pub(super) fn next(&mut self, size: u64) -> Search {
        loop {
            if self.dry {
                return Search::Nothing;
            }
            if let Some(chain) = self.chain.take() {
                match self.link(chain, size) {
                    Ok(true) => return Search::Found(self.at),
                    Ok(false) => self.at += 1,
                    Err(read) => return read,
                }
            }
            if self.at >= self.to.min(size) || self.left == 0 {
                return Search::Nothing;
            }
            let Some(bytes) = self.window.get(self.at, TAG_HEADER) else {
                let ended = size - self.at < TAG_HEADER as u64
                    || self.window.base == self.at && !self.window.bytes.is_empty();
                if ended {
                    return Search::Nothing;
                }
                let left = usize::try_from(size - self.at).unwrap_or(usize::MAX);
                return Search::Read {
                    offset: self.at,
                    len: limits::FILE_BLOCK.min(left),
                };
            };
            match Head::guess(bytes).filter(|head| head.body_end(self.at) <= size) {
                Some(head) => {
                    self.chain = Some(Chain {
                        end: head.body_end(self.at),
                        length: head.length,
                        links: 0,
                        bytes: Vec::new(),
                    });
                }
                None => self.at += 1,
            }
        }
    }

    /// Follows a chain: whether it is one, if that is known.
    fn link(&mut self, mut chain: Chain, size: u64) -> Result<bool, Search> {
        loop {
            if chain.end + TRAILER as u64 > size {
                return Ok(chain.links > 0); // the file ends right behind a tag's body
            }
            let wanted = usize::try_from(size - chain.end)
                .unwrap_or(usize::MAX)
                .min(LINK);
            let here = self.window.get(chain.end, wanted);
            let Some(bytes) = here.or(chain.bytes.get(..wanted)) else {
                if !chain.bytes.is_empty() {
                    return Ok(false); // fewer than the file should have
                }
                // (Those that fail in the window cost nothing but a look.)
                self.left -= 1;
                let offset = chain.end;
                self.chain = Some(chain);
                return Err(Search::Read {
                    offset,
                    len: wanted,
                });
            };
            let got = bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
            let agrees = if self.strict {
                tag::trailer_is_true(chain.length, got)
            } else {
                tag::check_trailer(chain.length, got, chain.end).is_ok()
            };
            if !agrees {
                return Ok(false);
            }
            chain.links += 1;
            if chain.links >= limits::FLV_CHAIN {
                return Ok(true);
            }
            let next = bytes.get(TRAILER..).unwrap_or_default();
            if next.len() < TAG_HEADER {
                return Ok(true); // the file's end
            }
            let Some(head) = Head::guess(next) else {
                return Ok(false);
            };
            let begin = chain.end + TRAILER as u64;
            if head.body_end(begin) > size {
                return Ok(true); // it is being written, or was torn
            }
            chain.end = head.body_end(begin);
            chain.length = head.length;
            chain.bytes.clear();
        }
    }
}
