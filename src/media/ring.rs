//! A stream's ring: wire-ready frames under sequence numbers, bounded in count, bytes and age. It is the GOP
//! cache: players hold a sequence number into it, never a copy.
//!
//! ```text
//!        base                       newest_key            head
//!          │ … older, kept RING_AGE … │ newest GOP …        │ next push
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use super::frame::{Frame, FrameKind};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Instant;

/// What stands at one sequence number.
#[derive(Clone, Debug)]
pub enum Item {
    /// A published message.
    Frame(Frame),
    /// Something the players are told between messages.
    Notice(Notice),
}

/// A word from the server to every player, in its place between the frames.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The messages that say so to a player on message stream 1.
    pub bytes: Bytes,
}

/// What a [`Notice`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// A publisher has come.
    Began,
    /// The publisher has gone.
    Ended,
}

impl Item {
    /// Everything that goes out to a player on message stream 1.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame.message.bytes(),
            Self::Notice(notice) => &notice.bytes,
        }
    }

    /// What is left of [`Item::bytes`] from `offset` on, sharing the memory.
    pub fn rest(&self, offset: usize) -> Bytes {
        match self {
            Self::Frame(frame) => frame.message.shared(offset),
            Self::Notice(notice) => notice.bytes.slice(offset.min(notice.bytes.len())..),
        }
    }

    /// The frame, if it is one.
    pub fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Notice(_) => None,
        }
    }
}

struct Entry {
    item: Item,
    at: Instant,
}

/// The ring. Sequence numbers never repeat in a stream's life on its shard.
pub struct Ring {
    entries: VecDeque<Entry>,
    base: u64,
    bytes: usize,
    pushed: u64,
    newest_key: Option<u64>,
    max_frames: usize,
}

impl Ring {
    /// A ring of at most `max_frames` items (at least 1) and [`limits::RING_BYTES`] bytes.
    pub fn new(max_frames: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            base: 0,
            bytes: 0,
            pushed: 0,
            newest_key: None,
            max_frames: max_frames.max(1),
        }
    }

    /// The oldest sequence number still here (equal to [`Ring::head`] when empty).
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The sequence number the next push will get.
    pub fn head(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Items it holds at most.
    pub fn max_frames(&self) -> usize {
        self.max_frames
    }

    /// Holds at most so many from the next push on (at least 1).
    pub fn set_max_frames(&mut self, max_frames: usize) {
        self.max_frames = max_frames.max(1);
    }

    /// Items held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes ever pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The newest keyframe a player may begin at.
    pub fn newest_key(&self) -> Option<u64> {
        self.newest_key.filter(|&seq| seq >= self.base)
    }

    /// Forbids beginning at what was pushed so far (a header changed, or the publisher went).
    pub fn forget_key(&mut self) {
        self.newest_key = None;
    }

    /// The item at `seq`.
    pub fn get(&self, seq: u64) -> Option<&Item> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.entries.get(index).map(|entry| &entry.item)
    }

    /// The items from `seq` (or the base, if that is later) to the head.
    pub fn items_from(&self, seq: u64) -> impl Iterator<Item = &Item> {
        let skip = usize::try_from(seq.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.entries
            .range(skip.min(self.entries.len())..)
            .map(|entry| &entry.item)
    }

    /// Appends `item` and lets go of what is too much or too old. Returns its sequence number.
    pub fn push(&mut self, item: Item, now: Instant) -> u64 {
        let seq = self.head();
        if matches!(&item, Item::Frame(frame) if frame.kind == FrameKind::Keyframe) {
            self.newest_key = Some(seq + u64::from(planted(Bug::GopBeginsLate)));
        }
        let len = item.bytes().len();
        self.bytes += len;
        self.pushed += len as u64;
        self.entries.push_back(Entry { item, at: now });
        self.evict(now);
        seq
    }

    /// Lets go of everything; sequence numbers go on.
    pub fn clear(&mut self) {
        self.base = self.head();
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.newest_key = None;
    }

    /// Lets go of everything but the newest item.
    pub fn keep_newest(&mut self) {
        let head = self.head();
        let Some(newest) = self.entries.pop_back() else {
            return;
        };
        self.clear();
        self.base = head - 1;
        self.bytes = newest.item.bytes().len();
        self.entries.push_back(newest);
    }

    fn evict(&mut self, now: Instant) {
        // The newest item always stays: a player is to see at least that.
        while self.entries.len() > 1 && self.oldest_may_go(now) {
            if let Some(gone) = self.entries.pop_front() {
                self.bytes -= gone.item.bytes().len();
                self.base += 1;
            }
        }
    }

    fn oldest_may_go(&self, now: Instant) -> bool {
        let Some(oldest) = self.entries.front() else {
            return false;
        };
        if self.entries.len() > self.max_frames && !planted(Bug::RingBoundIgnored)
            || self.bytes > limits::RING_BYTES
        {
            return true;
        }
        let behind_newest_gop = self.newest_key.is_none_or(|key| self.base < key);
        behind_newest_gop && now.since(oldest.at) > limits::RING_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::wire::{MediaKind, WireMessage};
    use crate::time::{Duration, Timestamp};

    fn frame(payload: &[u8], kind: FrameKind) -> Item {
        let message = WireMessage::new(MediaKind::Video, Timestamp(0), payload, 60_000);
        Item::Frame(Frame { message, kind })
    }
    fn key() -> Item {
        frame(&[0x17, 1, 0, 0, 0], FrameKind::Keyframe)
    }
    fn inter() -> Item {
        frame(&[0x27, 1, 0, 0, 0], FrameKind::Inter)
    }

    #[test]
    fn numbers_go_on_when_the_oldest_goes() {
        let mut ring = Ring::new(4);
        for n in 0..10 {
            assert_eq!(ring.push(inter(), Instant::ZERO), n);
        }
        assert_eq!((ring.base(), ring.head()), (6, 10));
        assert!(ring.get(5).is_none() && ring.get(6).is_some() && ring.get(10).is_none());
        assert_eq!(ring.items_from(0).count(), 4);
        assert_eq!(ring.items_from(8).count(), 2);
        assert_eq!(ring.items_from(99).count(), 0);
    }

    #[test]
    fn the_newest_gop_outlives_its_age() {
        let mut ring = Ring::new(100);
        let late = Instant::ZERO + limits::RING_AGE + Duration::from_secs(1);
        ring.push(inter(), Instant::ZERO);
        let start = ring.push(key(), Instant::ZERO);
        ring.push(inter(), late);
        assert_eq!(
            ring.base(),
            start,
            "what lies before the newest GOP goes by age, the GOP stays"
        );
        assert_eq!(ring.newest_key(), Some(start));
    }

    #[test]
    fn a_gop_over_budget_is_no_starting_point() {
        let mut ring = Ring::new(3);
        ring.push(key(), Instant::ZERO);
        for _ in 0..3 {
            ring.push(inter(), Instant::ZERO);
        }
        assert_eq!(ring.newest_key(), None);
    }

    #[test]
    fn bytes_are_bounded_and_counted() {
        let mut ring = Ring::new(1_000);
        let big = vec![0x27; 1024 * 1024];
        for _ in 0..100 {
            ring.push(frame(&big, FrameKind::Inter), Instant::ZERO);
        }
        assert!(ring.bytes() <= limits::RING_BYTES);
        let held: usize = ring.items_from(0).map(|item| item.bytes().len()).sum();
        assert_eq!(held, ring.bytes());
        let head = ring.head();
        ring.clear();
        assert_eq!((ring.bytes(), ring.base(), ring.head()), (0, head, head));
    }
}
