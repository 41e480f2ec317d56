//! A stream's ring: wire-ready frames under sequence numbers, bounded in count, bytes and age. It is the GOP
//! cache: players hold a sequence number into it, never a copy.
//!
//! ```text
//!        base                       newest_key            head
//!          │ … older, kept RING_AGE … │ newest GOP …        │ next push
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

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
    /// Bytes pushed before it.
    before: u64,
}

/// The ring. Sequence numbers never repeat in a stream's life on its shard.
pub struct Ring {
    entries: VecDeque<Entry>,
    base: u64,
    bytes: usize,
    pushed: u64,
    /// Keyframes that players may begin at, oldest first; the newest may have left the ring.
    keys: VecDeque<u64>,
    max_frames: usize,
    max_bytes: u64,
    /// What lay before it has gone because the shard's memory was short.
    shed: u64,
    tally: Tally,
}

/// Bytes of media in all places of a kind, such as the rings of a shard. Clones are the same one.
#[derive(Clone, Default, Debug)]
pub struct Tally(Rc<Cell<usize>>);

impl Tally {
    /// Bytes in all of them.
    pub fn bytes(&self) -> usize {
        self.0.get()
    }

    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    /// So many that had been added have gone.
    pub fn take(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }
}

impl Ring {
    /// A ring of at most `max_frames` items (at least 1) and [`limits::RING_BYTES`] bytes.
    pub fn new(max_frames: usize) -> Self {
        Self::counted(max_frames, limits::RING_BYTES, Tally::default())
    }

    /// A ring of at most `max_frames` items and `max_bytes` (at least one item), counted in `tally`.
    pub fn counted(max_frames: usize, max_bytes: u64, tally: Tally) -> Self {
        Self {
            entries: VecDeque::new(),
            base: 0,
            bytes: 0,
            pushed: 0,
            keys: VecDeque::new(),
            max_frames: max_frames.max(1),
            max_bytes,
            shed: 0,
            tally,
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

    /// Holds at most so many (at least 1) and so many bytes from the next push on.
    pub fn set_bounds(&mut self, max_frames: usize, max_bytes: u64) {
        self.max_frames = max_frames.max(1);
        self.max_bytes = max_bytes;
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
        let newest = self.keys.back().copied();
        newest.filter(|&seq| seq >= self.base)
    }

    /// The keyframes a player may begin at, oldest first.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.keys.iter().copied().filter(|&seq| seq >= self.base)
    }

    /// Forbids beginning at what was pushed so far (a header changed, or the publisher went).
    pub fn forget_keys(&mut self) {
        self.keys.clear();
    }

    /// When the item at `seq` was pushed.
    pub fn pushed_at(&self, seq: u64) -> Option<Instant> {
        self.entry(seq).map(|entry| entry.at)
    }

    /// Bytes of the items from `seq` to the head.
    pub fn bytes_from(&self, seq: u64) -> u64 {
        self.entry(seq)
            .map_or(0, |entry| self.pushed - entry.before)
    }

    /// The first sequence number that was pushed at `instant` or later.
    pub fn first_since(&self, instant: Instant) -> u64 {
        self.base + self.entries.partition_point(|entry| entry.at < instant) as u64
    }

    /// Whether what stood at `seq` was let go of because memory was short.
    pub fn has_shed(&self, seq: u64) -> bool {
        seq < self.shed
    }

    fn entry(&self, seq: u64) -> Option<&Entry> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.entries.get(index)
    }

    /// The item at `seq`.
    pub fn get(&self, seq: u64) -> Option<&Item> {
        self.entry(seq).map(|entry| &entry.item)
    }

    /// The item that was pushed last.
    pub fn newest(&self) -> Option<&Item> {
        self.entries.back().map(|entry| &entry.item)
    }

    /// The items from `seq` (or the base, if that is later) to the head.
    pub fn items_from(&self, seq: u64) -> impl Iterator<Item = &Item> {
        let skip = usize::try_from(seq.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.entries
            .range(skip.min(self.entries.len())..)
            .map(|entry| &entry.item)
    }

    /// Bits per second of what it holds, by the stream's own clock; `None` while that is less than a second.
    pub fn bitrate(&self) -> Option<u64> {
        let mut frames = self.entries.iter().filter_map(|entry| entry.item.frame());
        let first = frames.next()?.message.timestamp();
        let newest = frames.next_back()?.message.timestamp();
        let millis = u64::try_from(newest.since(first)).ok()?;
        (millis >= 1_000).then(|| self.bytes as u64 * 8_000 / millis)
    }

    /// Appends `item` and lets go of what is too much or too old. Returns its sequence number.
    pub fn push(&mut self, item: Item, now: Instant) -> u64 {
        let seq = self.head();
        if matches!(&item, Item::Frame(frame) if frame.kind == FrameKind::Keyframe) {
            let key = seq + u64::from(planted(Bug::GopBeginsLate));
            self.keys.push_back(key);
        }
        let len = item.bytes().len();
        self.entries.push_back(Entry {
            item,
            at: now,
            before: self.pushed,
        });
        self.bytes += len;
        self.tally.add(len);
        self.pushed += len as u64;
        self.evict(now);
        seq
    }

    /// Lets go of everything; sequence numbers go on.
    pub fn clear(&mut self) {
        self.base = self.head();
        self.entries = VecDeque::new();
        self.tally.take(self.bytes);
        self.bytes = 0;
        self.keys = VecDeque::new();
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
        self.tally.add(self.bytes);
        self.entries.push_back(newest);
    }

    /// Lets go of the oldest until no more than `bytes` are held, or one item.
    pub fn shed_to(&mut self, bytes: usize) {
        while self.entries.len() > 1 && self.bytes > bytes {
            self.pop_oldest();
            self.shed = self.base;
        }
    }

    fn evict(&mut self, now: Instant) {
        // The newest item always stays: a player is to see at least that.
        while self.entries.len() > 1 && self.oldest_may_go(now) {
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) {
        if let Some(gone) = self.entries.pop_front() {
            let len = gone.item.bytes().len();
            self.bytes -= len;
            self.tally.take(len);
            self.base += 1;
            // The newest stays known: what lies behind it goes by age.
            while self.keys.len() > 1 && self.keys.front().is_some_and(|&key| key < self.base) {
                self.keys.pop_front();
            }
        }
    }

    fn oldest_may_go(&self, now: Instant) -> bool {
        let Some(oldest) = self.entries.front() else {
            return false;
        };
        if self.entries.len() > self.max_frames && !planted(Bug::RingBoundIgnored)
            || self.bytes as u64 > self.max_bytes
        {
            return true;
        }
        let behind_newest_gop = self.keys.back().is_none_or(|&key| self.base < key);
        behind_newest_gop && now.since(oldest.at) > limits::RING_AGE
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.tally.take(self.bytes);
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
    fn rings_of_a_shard_are_counted_together_and_shed_what_is_too_much() {
        let tally = Tally::default();
        let mut rings: Vec<_> = (0..3)
            .map(|_| Ring::counted(100, u64::MAX, tally.clone()))
            .collect();
        for ring in &mut rings {
            for _ in 0..10 {
                ring.push(inter(), Instant::ZERO);
            }
        }
        let one = rings[0].bytes();
        assert_eq!(tally.bytes(), 3 * one);
        rings[0].shed_to(one / 2);
        assert_eq!((rings[0].len(), tally.bytes()), (5, 3 * one - one / 2));
        assert!(rings[0].has_shed(4) && !rings[0].has_shed(5) && !rings[1].has_shed(0));
        rings[0].shed_to(0);
        assert_eq!(rings[0].len(), 1, "the newest stays");
        rings[1].clear();
        rings[2].keep_newest();
        assert_eq!(tally.bytes(), 2 * one / 10);
        drop(rings);
        assert_eq!(tally.bytes(), 0);
    }

    #[test]
    fn bytes_are_bounded_and_counted() {
        let mut ring = Ring::new(1_000);
        let big = vec![0x27; 1024 * 1024];
        for _ in 0..100 {
            ring.push(frame(&big, FrameKind::Inter), Instant::ZERO);
        }
        assert!(ring.bytes() as u64 <= limits::RING_BYTES);
        let held: usize = ring.items_from(0).map(|item| item.bytes().len()).sum();
        assert_eq!(held, ring.bytes());
        let head = ring.head();
        ring.clear();
        assert_eq!((ring.bytes(), ring.base(), ring.head()), (0, head, head));
    }
}
