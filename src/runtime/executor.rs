//! Our executor: async-task, a run queue with pluggable order, and no driver inside.
//!
//! A driver (a reactor, or the simulator's host future) does, round and round:
//!
//! 1. [`Executor::resume`], then dispatch what woke it: I/O events, due timers. None of it costs a notification.
//! 2. [`Executor::turn`], which runs what was queued. If it says that more is due, poll I/O without waiting and
//!    go round again.
//! 3. [`Executor::may_park`]; if that agrees, wait. From then on the first wake, from any thread, wakes the parker.
//!
//! Tasks never leave their thread, only their wakers do. That is why the queue sits behind a mutex, which nobody
//! else holds for longer than a push; there is no wake per player, so it is not on the path of a frame.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_task::{Builder, Runnable};
use slab::Slab;

use super::{Load, Task};
use crate::planted::{Bug, planted};

/// What the executor knows of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// Number in order of spawning, from 0.
    pub id: u64,
    /// The name given at `spawn`.
    pub name: &'static str,
}

/// Which of the queued tasks runs next. Its methods must not touch the executor.
pub trait Order: 'static {
    /// Chooses among the queued tasks, oldest first: an index below `queued.len()`; `queued` is never empty.
    /// An index beyond the end chooses the oldest.
    fn pick(&mut self, queued: &[&TaskInfo]) -> usize;

    /// Called before each poll, outside of the task.
    fn before_poll(&mut self, task: &TaskInfo) {
        let _ = task;
    }

    /// Called after each poll, also after one that panicked.
    fn after_poll(&mut self, task: &TaskInfo) {
        let _ = task;
    }
}

/// A single-threaded executor; clones share it. Wakers of its tasks may be used from any thread.
///
/// Tasks usually hold clones of it, through their runtime, so the last clone does not go by itself: whoever
/// drives it calls [`Executor::clear`] at the end. Dropping the last clone clears, too.
#[derive(Clone)]
pub struct Executor {
    inner: Rc<Inner>,
}

struct Inner {
    /// What other threads may reach.
    queue: Arc<Queue>,
    /// What this turn works through; only this thread sees it, so running a task takes no lock.
    batch: RefCell<VecDeque<Runnable<TaskInfo>>>,
    /// `None` is first in, first out.
    order: Option<RefCell<Box<dyn Order>>>,
    live: Rc<Live>,
    next_id: Cell<u64>,
    polls: Cell<u64>,
    turns: Cell<u64>,
    budget: Cell<u64>,
    clearing: Cell<bool>,
}

struct Queue {
    state: Mutex<QueueState>,
}

struct QueueState {
    ready: VecDeque<Runnable<TaskInfo>>,
    /// While set, a wake only queues: the driver will look at the queue before it parks.
    awake: bool,
    parker: Option<Waker>,
}

/// The live tasks' wakers (waking one is the only way to get at a task that waits for something), and what
/// the tasks' own end has to report.
struct Live {
    wakers: RefCell<Slab<Waker>>,
    panics: Cell<u64>,
}

impl Executor {
    /// A first-in-first-out executor.
    pub fn fifo() -> Self {
        Self::new(None)
    }

    /// An executor whose order is chosen by `order` (the simulator's).
    pub fn with_order(order: impl Order) -> Self {
        Self::new(Some(RefCell::new(Box::new(order))))
    }

    fn new(order: Option<RefCell<Box<dyn Order>>>) -> Self {
        let state = QueueState {
            ready: VecDeque::new(),
            awake: true,
            parker: None,
        };
        let inner = Inner {
            queue: Arc::new(Queue {
                state: Mutex::new(state),
            }),
            batch: RefCell::default(),
            order,
            live: Rc::new(Live {
                wakers: RefCell::default(),
                panics: Cell::new(0),
            }),
            next_id: Cell::new(0),
            polls: Cell::new(0),
            turns: Cell::new(0),
            budget: Cell::new(u64::MAX),
            clearing: Cell::new(false),
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// Spawns a task; it is first polled in a later turn. A panic in it ends it alone: it is logged with `name`
    /// and counted. Who awaits the [`Task`] of one that may panic does so through `fallible()`.
    ///
    /// While [`Executor::clear`] runs (a destructor spawns), the task is dropped at once.
    pub fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) -> Task<()> {
        let inner = &*self.inner;
        let id = inner.next_id.get();
        inner.next_id.set(id + 1);
        let key = inner.live.wakers.borrow().vacant_key();
        let info = TaskInfo { id, name };
        let task = Registered {
            future: Some(future),
            live: Rc::clone(&inner.live),
            key,
            info,
        };
        let queue = Arc::clone(&inner.queue);
        let (runnable, task) = Builder::new()
            .metadata(info)
            .spawn_local(|_| task, move |r| queue.push(r));
        inner.live.wakers.borrow_mut().insert(runnable.waker());
        if inner.clearing.get() {
            drop(runnable);
        } else {
            runnable.schedule();
        }
        task
    }

    /// The waker of whatever parks this executor: woken when a task becomes runnable while parked.
    pub fn set_parker(&self, waker: Waker) {
        let old = self.inner.queue.lock().parker.replace(waker);
        // After the lock is gone: it is foreign code.
        drop(old);
    }

    /// The driver is back from waiting: wakes cost no notification until [`Executor::may_park`] agrees again.
    pub fn resume(&self) {
        self.inner.queue.lock().awake = true;
    }

    /// Runs at most as many tasks as were queued when the turn began; true if more is due.
    ///
    /// # Panics
    /// With `LIVELOCK: task NAME` when the budget of polls is used up (see [`Executor::set_budget`]).
    pub fn turn(&self) -> bool {
        let inner = &*self.inner;
        inner.turns.set(inner.turns.get() + 1);
        inner.take_ready(true);
        let queued = inner.batch.borrow().len();
        for _ in 0..queued {
            let Some(runnable) = inner.next() else { break };
            inner.poll(runnable);
        }
        inner.due()
    }

    /// Declares that the driver is about to park; false if a task became runnable meanwhile (then do not park).
    pub fn may_park(&self) -> bool {
        let batch_empty = self.inner.batch.borrow().is_empty();
        let mut state = self.inner.queue.lock();
        state.awake = !batch_empty || !state.ready.is_empty() && !planted(Bug::LostWakeUp);
        !state.awake
    }

    /// Live tasks: spawned, and neither ended nor dropped.
    pub fn task_count(&self) -> usize {
        self.inner.live.wakers.borrow().len()
    }

    /// Polls since the start.
    pub fn polls(&self) -> u64 {
        self.inner.polls.get()
    }

    /// What it has to do, and has done.
    pub fn load(&self) -> Load {
        Load {
            tasks: self.task_count(),
            polls: self.polls(),
            turns: self.inner.turns.get(),
            panics: self.panics(),
        }
    }

    /// Panics of tasks since the start, their destructors' included.
    pub fn panics(&self) -> u64 {
        self.inner.live.panics.get()
    }

    /// How many polls are allowed until this is called again; `None` is no bound. A turn that wants one more
    /// panics, outside of any task, with the name of the task whose poll it was to be. The simulator calls this
    /// once a tick, so that a busy loop fails rather than hangs.
    pub fn set_budget(&self, polls: Option<u64>) {
        self.inner.budget.set(polls.unwrap_or(u64::MAX));
    }

    /// Drops every task, so that no cycle of `Rc`s keeps anything alive. Call it outside of tasks: one that
    /// calls it outlives it.
    pub fn clear(&self) {
        self.inner.clear();
    }
}

impl Inner {
    /// Moves what became ready to the batch. `resume` also declares the driver awake, under the same lock.
    fn take_ready(&self, resume: bool) {
        let mut batch = self.batch.borrow_mut();
        let mut state = self.queue.lock();
        state.awake |= resume;
        if batch.is_empty() {
            core::mem::swap(&mut *batch, &mut state.ready);
        } else {
            batch.append(&mut state.ready);
        }
    }

    fn due(&self) -> bool {
        !self.batch.borrow().is_empty() || !self.queue.lock().ready.is_empty()
    }

    /// The next task to poll. With an order, it chooses also among those that became ready in this turn.
    fn next(&self) -> Option<Runnable<TaskInfo>> {
        let Some(order) = &self.order else {
            return self.batch.borrow_mut().pop_front();
        };
        self.take_ready(false);
        let mut batch = self.batch.borrow_mut();
        let queued: Vec<&TaskInfo> = batch.iter().map(Runnable::metadata).collect();
        if queued.is_empty() {
            return None;
        }
        let index = order.borrow_mut().pick(&queued);
        let index = if index < queued.len() { index } else { 0 };
        batch.remove(index)
    }

    fn poll(&self, runnable: Runnable<TaskInfo>) {
        let info = *runnable.metadata();
        self.spend(&info);
        self.polls.set(self.polls.get() + 1);
        if let Some(order) = &self.order {
            order.borrow_mut().before_poll(&info);
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            runnable.run();
        }));
        if let Some(order) = &self.order {
            order.borrow_mut().after_poll(&info);
        }
        if let Err(payload) = result {
            self.live.note_panic(&info, &*payload);
        }
    }

    #[expect(
        clippy::panic,
        reason = "only a simulation sets a budget; it is told by this"
    )]
    fn spend(&self, info: &TaskInfo) {
        let left = self.budget.get();
        if left == 0 {
            panic!("LIVELOCK: task {} ({})", info.name, info.id);
        }
        if left != u64::MAX {
            self.budget.set(left - 1);
        }
    }

    /// See [`Executor::clear`]. Waking queues every task that waits; dropping a queued one drops its future,
    /// and that may wake, cancel or (try to) spawn others. No borrow or lock is held across either.
    fn clear(&self) {
        self.clearing.set(true);
        let wakers: Vec<Waker> = self
            .live
            .wakers
            .borrow()
            .iter()
            .map(|w| w.1.clone())
            .collect();
        for waker in wakers {
            waker.wake();
        }
        loop {
            self.take_ready(true);
            let Some(runnable) = self.batch.borrow_mut().pop_front() else {
                break;
            };
            drop(runnable);
        }
        self.clearing.set(false);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Nothing that can panic runs under the lock, and the state would be sound if it did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task was woken, from whatever thread. The parker is woken after the lock is gone: its waker is
    /// foreign code.
    fn push(&self, runnable: Runnable<TaskInfo>) {
        let mut state = self.lock();
        state.ready.push_back(runnable);
        if state.awake {
            return;
        }
        state.awake = true;
        let parker = state.parker.clone();
        drop(state);
        if let Some(parker) = parker {
            parker.wake();
        }
    }
}

pin_project_lite::pin_project! {
    /// A task's future with its entry among the live ones, which goes when the future ends or is dropped.
    /// (An `async` block around both would store the future twice.)
    struct Registered<F> {
        // Some until dropped.
        #[pin]
        future: Option<F>,
        live: Rc<Live>,
        key: usize,
        info: TaskInfo,
    }

    impl<F> PinnedDrop for Registered<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // async-task aborts the process when a destructor of a dropped future panics. Not over one task.
            let drop_future = AssertUnwindSafe(|| this.future.set(None));
            if let Err(payload) = catch_unwind(drop_future) {
                this.live.note_panic(this.info, &*payload);
            }
            // The waker goes after the borrow has ended: dropping it may drop the task.
            let waker = this.live.wakers.borrow_mut().try_remove(*this.key);
            drop(waker);
        }
    }
}

impl<F: Future<Output = ()>> Future for Registered<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Live {
    fn note_panic(&self, info: &TaskInfo, payload: &(dyn Any + Send)) {
        self.panics.set(self.panics.get() + 1);
        tracing::error!(
            task = info.name,
            id = info.id,
            panic = panic_text(payload),
            "a task panicked and was ended; the others go on"
        );
    }
}

/// What a panic said, if it said it in text.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(no text)"
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make threads")]
mod tests;
