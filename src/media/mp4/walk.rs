//! From one box of a file to the next, with as few reads as there can be.

use super::boxes::{HEADER, Head};
use super::error::Mp4Error;
use crate::limits;
use crate::media::file::Step;

/// A place in the file where a box begins.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) at: u64,
    /// Bytes that were asked for.
    asked: usize,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Nothing that is whole: the file ends here so far.
    End,
    /// A fragment's description: the bytes behind its header, which lie at `body_at`.
    Moof {
        offset: u64,
        body_at: u64,
        body: &'a [u8],
    },
    /// Any other box.
    Other { offset: u64, end: u64 },
}

impl Walk {
    pub(super) fn new(at: u64) -> Self {
        Self { at, asked: 0 }
    }

    /// Steps over one box of a file that has `size` bytes by now.
    pub(super) fn step<'a>(
        &mut self,
        size: u64,
        input: &'a [u8],
    ) -> Result<Step<Found<'a>>, Mp4Error> {
        let offset = self.at;
        let left = size.saturating_sub(offset);
        if left < HEADER as u64 {
            return Ok(Step::Done(Found::End));
        }
        if self.asked == 0 {
            return Ok(self.read(left.min(limits::MP4_WALK_BYTES)));
        }
        let asked = core::mem::take(&mut self.asked);
        let Some(head) = Head::parse(input, offset)? else {
            return Ok(Step::Done(Found::End));
        };
        let length = head.size.unwrap_or(left);
        if length > left {
            return Ok(Step::Done(Found::End));
        }
        let end = offset + length;
        if head.kind != *b"moof" {
            self.at = end;
            return Ok(Step::Done(Found::Other { offset, end }));
        }
        if length > limits::MP4_MOOF_BYTES {
            return Err(Mp4Error::TooLarge {
                offset,
                kind: head.kind,
                size: length,
                limit: limits::MP4_MOOF_BYTES,
            });
        }
        match input.get(head.header as usize..length as usize) {
            Some(body) => {
                self.at = end;
                let body_at = offset + head.header;
                Ok(Step::Done(Found::Moof {
                    offset,
                    body_at,
                    body,
                }))
            }
            // The file is shorter than it was said to be.
            None if asked as u64 >= length => Ok(Step::Done(Found::End)),
            None => Ok(self.read(length)),
        }
    }

    fn read<T>(&mut self, len: u64) -> Step<T> {
        self.asked = len as usize;
        Step::Read {
            offset: self.at,
            len: self.asked,
        }
    }
}
