//! From one box of a file to the next, with as few reads as there can be.

use super::boxes::{HEADER, HEADER_MAX, Head, Kind};
use super::error::Mp4Error;
use crate::limits;
use crate::media::file::Step;

/// A place in the file where a box begins.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) at: u64,
    /// Bytes that were asked for.
    asked: usize,
    /// The header of the box here, if it came with the description before it: of the samples, which are passed over.
    known: Option<Head>,
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
    Other { kind: Kind, offset: u64, end: u64 },
}

impl Walk {
    pub(super) fn new(at: u64) -> Self {
        Self {
            at,
            asked: 0,
            known: None,
        }
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
        let known = self.known.take();
        if self.asked == 0 && known.is_none() {
            return Ok(self.read(left.min(limits::MP4_WALK_BYTES)));
        }
        let asked = core::mem::take(&mut self.asked);
        let head = match known {
            Some(head) => head,
            None => match Head::parse(input, offset)? {
                Some(head) => head,
                None => return Ok(Step::Done(Found::End)),
            },
        };
        let length = head.size.unwrap_or(left);
        if length > left {
            return Ok(Step::Done(Found::End));
        }
        let end = offset + length;
        if head.kind != *b"moof" {
            self.at = end;
            let kind = head.kind;
            return Ok(Step::Done(Found::Other { kind, offset, end }));
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
                let behind = input.get(length as usize..).unwrap_or_default();
                // One that is wrong is read again, and found to be so, in its turn.
                let next = Head::parse(behind, end).ok().flatten();
                self.known = next.filter(|next| next.kind != *b"moof");
                let body_at = offset + head.header;
                Ok(Step::Done(Found::Moof {
                    offset,
                    body_at,
                    body,
                }))
            }
            // The file is shorter than it was said to be.
            None if asked as u64 >= length => Ok(Step::Done(Found::End)),
            None => Ok(self.read((length + HEADER_MAX as u64).min(left))),
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
