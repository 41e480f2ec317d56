//! What was read of files lately: blocks of [`limits::VOD_BLOCK_BYTES`], kept for all viewers of a shard, at most
//! [`limits::VOD_CACHE_BYTES`] of them in all. Two who want the same block at once wait for one read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use crate::limits;
use crate::runtime::disk::Disk;

/// A file's number on its shard, never reused.
pub(super) type FileId = u64;
/// A block's place: its file, and which of that file's blocks it is.
type Place = (FileId, u64);

#[derive(Default)]
pub(super) struct Blocks {
    blocks: RefCell<BTreeMap<Place, Block>>,
    /// Goes up with every use: who was used least lately goes first.
    clock: Cell<u64>,
}

enum Block {
    /// Somebody reads it; they wait for it.
    Coming(Vec<Waker>),
    Here {
        bytes: Bytes,
        used: u64,
    },
}

impl Blocks {
    /// Block `index` of `file`, with at least `least` bytes if the file has them (it may have grown since).
    pub(super) async fn get<D: Disk>(
        &self,
        disk: &D,
        (id, file): (FileId, &D::File),
        index: u64,
        least: usize,
    ) -> io::Result<Bytes> {
        let place = (id, index);
        if let Some(bytes) = poll_fn(|cx| self.poll_here(place, least, cx.waker())).await {
            return Ok(bytes);
        }
        // From here on others wait for us, however this ends.
        let reading = Reading {
            blocks: self,
            place,
        };
        let offset = index * limits::VOD_BLOCK_BYTES as u64;
        let bytes = disk.read_at(file, offset, limits::VOD_BLOCK_BYTES).await?;
        Ok(reading.done(bytes.into()))
    }

    /// The block if it is here; nothing if the caller is the one to read it.
    fn poll_here(&self, place: Place, least: usize, waker: &Waker) -> Poll<Option<Bytes>> {
        let mut blocks = self.blocks.borrow_mut();
        match blocks.get_mut(&place) {
            Some(Block::Coming(waiting)) => {
                waiting.push(waker.clone());
                Poll::Pending
            }
            Some(Block::Here { bytes, used }) if bytes.len() >= least => {
                *used = self.tick();
                Poll::Ready(Some(bytes.clone()))
            }
            _ => {
                blocks.insert(place, Block::Coming(Vec::new()));
                Poll::Ready(None)
            }
        }
    }

    /// Forgets a file that nobody views any more.
    pub(super) fn forget(&self, id: FileId) {
        let mut blocks = self.blocks.borrow_mut();
        blocks.retain(|&(file, _), _| file != id);
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        let blocks = self.blocks.borrow();
        blocks.values().map(Block::len).sum()
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn make_room(&self) {
        let mut blocks = self.blocks.borrow_mut();
        let mut bytes: usize = blocks.values().map(Block::len).sum();
        while bytes > limits::VOD_CACHE_BYTES {
            let here = blocks.iter().filter_map(|(place, block)| match block {
                Block::Here { used, .. } => Some((*used, *place)),
                Block::Coming(_) => None,
            });
            let Some((_, oldest)) = here.min() else {
                return;
            };
            bytes -= blocks.remove(&oldest).map_or(0, |block| block.len());
        }
    }
}

impl Block {
    fn len(&self) -> usize {
        match self {
            Self::Coming(_) => 0,
            Self::Here { bytes, .. } => bytes.len(),
        }
    }
}

/// A read that is under way. If it fails, or its viewer goes, one of those who wait reads in its place.
struct Reading<'a> {
    blocks: &'a Blocks,
    place: Place,
}

impl Reading<'_> {
    fn done(self, bytes: Bytes) -> Bytes {
        let used = self.blocks.tick();
        let block = Block::Here {
            bytes: bytes.clone(),
            used,
        };
        self.end(Some(block));
        self.blocks.make_room();
        bytes
    }

    fn end(&self, block: Option<Block>) {
        let before = {
            let mut blocks = self.blocks.blocks.borrow_mut();
            match block {
                Some(block) => blocks.insert(self.place, block),
                // Only if it is still ours to take away: `done` has come before the drop.
                None if matches!(blocks.get(&self.place), Some(Block::Coming(_))) => {
                    blocks.remove(&self.place)
                }
                None => None,
            }
        };
        if let Some(Block::Coming(waiting)) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// The blocks of a shard.
pub(super) type Shared = Rc<Blocks>;
