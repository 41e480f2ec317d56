//! The timer wheel: all timers of a shard, without a clock.
//!
//! Eleven levels of 64 slots; a slot of level 0 is one microsecond, and each level's slots are 64 times as wide
//! as those of the level below, so every [`Instant`] has a place. A timer sits at the level of the highest group
//! of six bits in which its instant differs from the wheel's own time, so that everything at a lower level is
//! due before anything at a higher one, and timers of one instant always share a slot and keep their order.
//! Inserting and cancelling are O(1); a timer moves down at most ten times in its life, most never.
//!
//! Entries live in one vector and are linked by index: in a steady state nothing is allocated.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use crate::planted::{Bug, planted};
use crate::time::Instant;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 64_usize.div_ceil(BITS as usize);
/// The end of a list.
const NIL: u32 = u32::MAX;

/// Names one inserted timer. A key outlives its timer harmlessly: each entry counts its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

/// The timers of one shard.
pub struct Timers {
    /// The wheel's time: everything due at or before it has fired.
    now: u64,
    levels: Vec<Level>,
    entries: Vec<Entry>,
    /// The first unused entry, linked by `next`.
    free: u32,
    len: usize,
}

/// The timers of one shard, as its runtime and its sleeping tasks share them.
pub type SharedTimers = Rc<RefCell<Timers>>;

struct Level {
    /// One bit a slot that holds timers.
    occupied: u64,
    slots: [List; SLOTS],
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
    /// Not after the earliest instant that was linked since the list was empty.
    first: u64,
}

struct Entry {
    at: u64,
    /// `None` while unused.
    waker: Option<Waker>,
    generation: u32,
    prev: u32,
    next: u32,
    /// Where the entry is linked.
    level: u8,
    slot: u8,
}

const EMPTY: List = List {
    head: NIL,
    tail: NIL,
    first: u64::MAX,
};

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

impl Timers {
    /// No timers, at [`Instant::ZERO`].
    pub fn new() -> Self {
        let level = || Level {
            occupied: 0,
            slots: [EMPTY; SLOTS],
        };
        Self {
            now: 0,
            levels: core::iter::repeat_with(level).take(LEVELS).collect(),
            entries: Vec::new(),
            free: NIL,
            len: 0,
        }
    }

    /// The time of the last [`Timers::fire`].
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// Timers waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `waker` shall be handed out by the first [`Timers::fire`] at or after `at`.
    pub fn insert(&mut self, at: Instant, waker: Waker) -> TimerKey {
        let at = at.as_micros();
        let index = self.allocate();
        let entry = &mut self.entries[index as usize];
        entry.at = at;
        entry.waker = Some(waker);
        let generation = entry.generation;
        self.link(index);
        self.len += 1;
        TimerKey { index, generation }
    }

    /// Takes a timer back; its waker, if it had not fired. (Drop it when nothing is borrowed any more.)
    pub fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        let waker = self.entry(key)?.waker.take();
        self.unlink(key.index);
        self.release(key.index);
        waker
    }

    /// Gives a waiting timer another waker; the old one, if it was another. (Drop it when nothing is borrowed.)
    pub fn update(&mut self, key: TimerKey, waker: &Waker) -> Option<Waker> {
        let entry = self.entry(key)?;
        match &entry.waker {
            Some(old) if old.will_wake(waker) => None,
            _ => entry.waker.replace(waker.clone()),
        }
    }

    /// When to call [`Timers::fire`] next; never later than the first timer, in constant time. Earlier only if
    /// an earlier timer of the same slot was cancelled: such a vain call opens the slot, so a timer sees few.
    pub fn next_deadline(&self) -> Option<Instant> {
        let (level, slot) = self.first_slot()?;
        let first = if level == 0 {
            self.slot_start(level, slot)
        } else {
            self.levels[level].slots[slot].first
        };
        Some(Instant::from_micros(first))
    }

    /// Moves the wakers of all timers due at `now` to the end of `out`: earlier instants first, and in order of
    /// insertion within one. Wake them when nothing is borrowed any more. Time never goes back.
    pub fn fire(&mut self, now: Instant, out: &mut Vec<Waker>) {
        let now = now.as_micros().max(self.now);
        // Also when nothing is due: the slots that began meanwhile must be opened.
        while let Some((level, slot)) = self.first_slot() {
            let start = self.slot_start(level, slot);
            if start > now {
                break;
            }
            self.now = start;
            let list = self.take_slot(level, slot);
            if level == 0 {
                self.fire_list(list, out);
            } else {
                self.cascade(list);
            }
        }
        self.now = now;
    }

    fn fire_list(&mut self, list: List, out: &mut Vec<Waker>) {
        let mut index = list.head;
        while index != NIL {
            let entry = &mut self.entries[index as usize];
            let next = entry.next;
            out.extend(entry.waker.take());
            self.release(index);
            index = next;
        }
    }

    fn cascade(&mut self, list: List) {
        let mut index = list.head;
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    fn entry(&mut self, key: TimerKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key.index as usize)?;
        (entry.generation == key.generation && entry.waker.is_some()).then_some(entry)
    }

    /// An entry off the free list, or a new one.
    fn allocate(&mut self) -> u32 {
        if self.free != NIL {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry {
            at: 0,
            waker: None,
            generation: 0,
            prev: NIL,
            next: NIL,
            level: 0,
            slot: 0,
        });
        index
    }

    fn release(&mut self, index: u32) {
        let free = self.free;
        let entry = &mut self.entries[index as usize];
        entry.generation = entry
            .generation
            .wrapping_add(u32::from(!planted(Bug::TimerKeyReused)));
        entry.next = free;
        self.free = index;
        self.len -= 1;
    }

    /// Appends an entry to the slot of its instant; one that is overdue goes to the slot of now.
    fn link(&mut self, index: u32) {
        let at = self.entries[index as usize].at.max(self.now);
        let (level, slot) = place(self.now, at);
        let list = &mut self.levels[level].slots[slot];
        list.first = list.first.min(at);
        let tail = core::mem::replace(&mut list.tail, index);
        if tail == NIL {
            list.head = index;
        } else {
            self.entries[tail as usize].next = index;
        }
        self.levels[level].occupied |= 1 << slot;
        let entry = &mut self.entries[index as usize];
        entry.prev = tail;
        entry.next = NIL;
        entry.level = level as u8;
        entry.slot = slot as u8;
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (prev, next) = (entry.prev, entry.next);
        let level = &mut self.levels[usize::from(entry.level)];
        let slot = usize::from(entry.slot);
        let list = &mut level.slots[slot];
        if prev == NIL {
            list.head = next;
        }
        if next == NIL {
            list.tail = prev;
        }
        if list.head == NIL {
            *list = EMPTY;
            level.occupied &= !(1 << slot);
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
        }
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
    }

    fn take_slot(&mut self, level: usize, slot: usize) -> List {
        let level = &mut self.levels[level];
        level.occupied &= !(1 << slot);
        core::mem::replace(&mut level.slots[slot], EMPTY)
    }

    /// The slot that begins first. Slots never lie behind the wheel's time, so the lowest bit is the first.
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first instant of a slot.
    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = level as u32 * BITS;
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        (self.now & above) | ((slot as u64) << shift)
    }
}

/// The level and slot of instant `at`, seen from `now`.
fn place(now: u64, at: u64) -> (usize, usize) {
    let differs = now ^ at;
    let level = (63 - (differs | 1).leading_zeros()) / BITS;
    let slot = (at >> (level * BITS)) as usize & (SLOTS - 1);
    (level as usize, slot)
}

/// Completes at the first turn at or after an instant; see [`super::Runtime::sleep_until`]. Dropping it
/// takes the timer back.
pub struct Sleep {
    timers: SharedTimers,
    at: Instant,
    key: Option<TimerKey>,
}

impl Sleep {
    /// Sleeps until `at` by the time of `timers`.
    pub fn new(timers: &SharedTimers, mut at: Instant) -> Self {
        if planted(Bug::TimerLate) {
            at = at + at.since(timers.borrow().now());
        }
        Self {
            timers: Rc::clone(timers),
            at,
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut timers = this.timers.borrow_mut();
        if this.at <= timers.now() {
            return Poll::Ready(());
        }
        let old = match this.key {
            Some(key) => timers.update(key, cx.waker()),
            None => {
                this.key = Some(timers.insert(this.at, cx.waker().clone()));
                None
            }
        };
        // A waker may drop a task, and that one may sleep too.
        drop(timers);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key
            && !planted(Bug::TimerNotCancelled)
        {
            let waker = self.timers.borrow_mut().cancel(key);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests;
