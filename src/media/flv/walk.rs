//! Forward through a file, tag by tag, without its bodies.

use super::tag::{self, Head, TAG_HEADER, TRAILER};
use crate::media::frame::classify::Class;

/// A stretch of the file that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub(super) base: u64,
    pub(super) bytes: Vec<u8>,
}

impl Window {
    /// The `len` bytes from `offset` on, if they are here.
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }
}

/// A tag that is wholly in the file, its PreviousTagSize apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) offset: u64,
    pub(super) head: Head,
    pub(super) class: Class,
    /// PreviousTagSize behind it, if the file has it.
    pub(super) trailer: Option<u32>,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// What a walker came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Walked {
    /// It needs these bytes.
    Read {
        offset: u64,
        len: usize,
    },
    Tag(Seen),
    /// No whole tag follows; or what follows is none.
    End,
}

/// A way through a file that begins at the beginning of a tag.
#[derive(Clone, Debug)]
pub(super) struct Walker {
    at: u64,
    block: usize,
    window: Window,
    /// The tag at `at`, whose end is not here yet.
    pending: Option<Seen>,
    /// The file has fewer bytes than it should.
    dry: bool,
}

impl Walker {
    /// From the tag at byte `at` on, in reads of up to `block` bytes.
    pub(super) fn new(at: u64, block: usize) -> Self {
        Self {
            at,
            block,
            window: Window::default(),
            pending: None,
            dry: false,
        }
    }

    /// Where the next tag begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes what was read at `offset`.
    pub(super) fn fill(&mut self, offset: u64, bytes: &[u8]) {
        self.dry = bytes.is_empty();
        self.window.base = offset;
        self.window.bytes.clear();
        self.window.bytes.extend_from_slice(bytes);
    }

    /// The next tag of a file of `size` bytes.
    pub(super) fn next(&mut self, size: u64) -> Walked {
        let seen = match self.pending {
            Some(seen) => seen,
            None => match self.head(size) {
                Ok(seen) => seen,
                Err(other) => return other,
            },
        };
        let end = seen.head.body_end(seen.offset);
        let mut seen = seen;
        if end + TRAILER as u64 <= size {
            let Some(bytes) = self.window.get(end, TRAILER) else {
                self.pending = Some(seen);
                return self.read(end, size);
            };
            seen.trailer = bytes.first_chunk().copied().map(u32::from_be_bytes);
        }
        seen.end = end + TRAILER as u64;
        self.pending = None;
        self.at = seen.end;
        Walked::Tag(seen)
    }

    fn head(&self, size: u64) -> Result<Seen, Walked> {
        let offset = self.at;
        if size.saturating_sub(offset) < TAG_HEADER as u64 {
            return Err(Walked::End);
        }
        let head = self.window.get(offset, TAG_HEADER);
        let head = head.ok_or_else(|| self.read(offset, size))?;
        let head = Head::read(head, offset).map_err(|_| Walked::End)?;
        if head.body_end(offset) > size {
            return Err(Walked::End);
        }
        let glance = self.window.get(offset + TAG_HEADER as u64, head.glance());
        let glance = glance.ok_or_else(|| self.read(offset, size))?;
        Ok(Seen {
            offset,
            head,
            class: tag::class_of(head.kind, glance, head.length as usize),
            trailer: None,
            end: offset,
        })
    }

    /// Asks for the block at `offset`. If that is what is here, the file ended before its time.
    fn read(&self, offset: u64, size: u64) -> Walked {
        if self.dry || self.window.base == offset && !self.window.bytes.is_empty() {
            return Walked::End;
        }
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        Walked::Read {
            offset,
            len: self.block.min(left),
        }
    }
}
