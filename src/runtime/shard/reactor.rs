//! Edge-triggered epoll: each descriptor is registered once, for everything, and never again.
//!
//! The kernel tells of each *change* once; what it told is kept in the [`Source`] until a `WouldBlock` or a short
//! count proves it used up. So waiting costs no system call, with or without back-pressure.

use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use slab::Slab;

use crate::limits;
use crate::time::Duration;

/// The eventfd's key: no source has it, as an index never gets there.
const NOTIFIER: u64 = u64::MAX;

/// One thread's epoll and what is registered with it.
pub(super) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    sources: RefCell<Sources>,
    /// Kept for its capacity.
    events: RefCell<Vec<Event>>,
}

#[derive(Default)]
struct Sources {
    slab: Slab<Registered>,
    /// Counts registrations. With the index it makes a key that no later source gets, so an event for a closed
    /// descriptor, still in the batch or told through a duplicate, meets nobody.
    generation: u32,
}

struct Registered {
    generation: u32,
    source: Rc<Source>,
}

/// Wakes the thread from its wait: the executor's parker.
struct Notifier {
    eventfd: OwnedFd,
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// Every write is an edge, so nobody ever reads the counter. 2^64 − 1 wakes would fill it.
    fn wake_by_ref(self: &Arc<Self>) {
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }
}

/// The cached readiness of one descriptor, and who waits for it.
///
/// Both directions start as ready: trying is how one finds out, and a fresh socket can be written to.
pub(super) struct Source {
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// FIN, RST or an error was told. It stays: the edge that told it may have told data too, and no further
    /// edge comes, so reading must go on until it finds the end.
    hangup: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

/// A source's place in its reactor; dropping it frees the place. The descriptor's close is what tells the kernel.
pub(super) struct Registration {
    key: u64,
    source: Rc<Source>,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let interest = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &eventfd, EventData::new_u64(NOTIFIER), interest)?;
        Ok(Self {
            epoll,
            notifier: Arc::new(Notifier { eventfd }),
            sources: RefCell::default(),
            events: RefCell::new(Vec::with_capacity(limits::EVENTS_PER_WAIT)),
        })
    }

    /// Wakes this reactor's thread from its wait.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.notifier))
    }

    /// Registers a descriptor for all it may ever tell. The caller drops the registration with it.
    pub(super) fn register(&self, descriptor: impl AsFd) -> io::Result<Registration> {
        let registration = self.sources.borrow_mut().insert();
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(registration.key);
        if let Err(error) = epoll::add(&self.epoll, descriptor, data, interest) {
            self.deregister(&registration);
            return Err(error.into());
        }
        Ok(registration)
    }

    pub(super) fn deregister(&self, registration: &Registration) {
        let gone = self.sources.borrow_mut().remove(registration.key);
        // It may hold wakers, and those tasks; no borrow is left here.
        drop(gone);
        drop((
            registration.source.reader.take(),
            registration.source.writer.take(),
        ));
    }

    /// Waits for events, at most `timeout` (rounded up to milliseconds; `None` is until one comes), and notes
    /// what they tell. `resume` is called between the wait and the first wake.
    pub(super) fn wait(&self, timeout: Option<Duration>, resume: impl FnOnce()) -> io::Result<()> {
        let timeout = timeout.map(|timeout| {
            let millis = timeout.min(limits::PARK_MAX).as_micros().div_ceil(1_000) as i64;
            Timespec {
                tv_sec: millis / 1_000,
                tv_nsec: millis % 1_000 * 1_000_000,
            }
        });
        let mut events = self.events.take();
        let result = epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref());
        resume();
        for event in events.drain(..) {
            self.dispatch(event.data.u64(), event.flags);
        }
        self.events.replace(events);
        match result {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn dispatch(&self, key: u64, flags: EventFlags) {
        // The notifier's only purpose was to end the wait.
        let source = self.sources.borrow().find(key);
        if let Some(source) = source {
            source.note(flags);
        }
    }

    /// Registered descriptors.
    pub(super) fn len(&self) -> usize {
        self.sources.borrow().slab.len()
    }
}

impl Sources {
    fn insert(&mut self) -> Registration {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let source = Rc::new(Source::new());
        let index = self.slab.insert(Registered {
            generation,
            source: Rc::clone(&source),
        });
        let key = u64::from(generation) << 32 | index as u64;
        Registration { key, source }
    }

    fn index(&self, key: u64) -> Option<usize> {
        let index = (key & u64::from(u32::MAX)) as usize;
        let registered = self.slab.get(index)?;
        (u64::from(registered.generation) == key >> 32).then_some(index)
    }

    fn find(&self, key: u64) -> Option<Rc<Source>> {
        let index = self.index(key)?;
        Some(Rc::clone(&self.slab.get(index)?.source))
    }

    fn remove(&mut self, key: u64) -> Option<Registered> {
        let index = self.index(key)?;
        self.slab.try_remove(index)
    }
}

impl Source {
    fn new() -> Self {
        Self {
            readable: Cell::new(true),
            writable: Cell::new(true),
            hangup: Cell::new(false),
            reader: Cell::new(None),
            writer: Cell::new(None),
        }
    }

    fn note(&self, flags: EventFlags) {
        let gone = EventFlags::HUP | EventFlags::ERR;
        let ended = gone | EventFlags::RDHUP;
        if flags.intersects(ended) {
            self.hangup.set(true);
        }
        if flags.intersects(ended | EventFlags::IN) {
            self.readable.set(true);
            if let Some(waker) = self.reader.take() {
                waker.wake();
            }
        }
        if flags.intersects(gone | EventFlags::OUT) {
            self.writable.set(true);
            if let Some(waker) = self.writer.take() {
                waker.wake();
            }
        }
    }
}

impl Registration {
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll(&self.source.readable, &self.source.reader, cx)
    }

    /// Has the next `poll_writable` wait for an event.
    pub(super) fn expect_writable(&self) {
        self.source.writable.set(false);
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll(&self.source.writable, &self.source.writer, cx)
    }

    /// Does a read of up to `wanted` bytes, if there may be something.
    pub(super) fn try_read(
        &self,
        wanted: usize,
        read: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let source = &*self.source;
        if !source.readable.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match uninterrupted(read) {
            Ok(n) => {
                // 0 is the end, and that stays; a short count means drained, unless the end came with the data.
                if n > 0 && n < wanted && !source.hangup.get() {
                    source.readable.set(false);
                }
                Ok(n)
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    source.readable.set(false);
                }
                Err(error)
            }
        }
    }

    /// Does a write of `offered` bytes. A short one means that the kernel promised an edge. Whether there may be room is
    /// not looked up: who knows of a short write does not write, and for the others it would be one more line of memory
    /// to wait for with each frame and player. One who writes all the same loses no edge.
    pub(super) fn try_write(
        &self,
        offered: usize,
        write: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let result = uninterrupted(write);
        let full = match &result {
            Ok(n) => *n < offered,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if full {
            self.source.writable.set(false);
        }
        result
    }

    /// Does an accept; a listener is drained only when it says so.
    pub(super) fn try_accept<T>(&self, mut accept: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let result = accept();
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            self.source.readable.set(false);
        }
        result
    }
}

fn poll(ready: &Cell<bool>, slot: &Cell<Option<Waker>>, cx: &mut Context<'_>) -> Poll<()> {
    if ready.get() {
        return Poll::Ready(());
    }
    let waker = match slot.take() {
        Some(waker) if waker.will_wake(cx.waker()) => waker,
        _ => cx.waker().clone(),
    };
    slot.set(Some(waker));
    Poll::Pending
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
