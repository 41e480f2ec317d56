//! Our executor: async-task, a run queue with pluggable order, and no driver inside.
use core::future::Future;
use core::task::Waker;

use super::Task;

/// What the executor knows of a task.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// Number in order of spawning, from 0.
    pub id: u64,
    /// The name given at `spawn`.
    pub name: &'static str,
}

/// Which of the queued tasks runs next.
pub trait Order: 'static {
    /// Chooses among the queued tasks, oldest first: an index below `queued.len()`, never empty.
    fn pick(&mut self, queued: &[&TaskInfo]) -> usize;
    // FIFO must cost nothing: the executor may special-case it.
}

/// A single-threaded executor; clones share it. Wakers of its tasks may be used from any thread.
#[derive(Clone)]
pub struct Executor {}

impl Executor {
    /// A first-in-first-out executor.
    pub fn fifo() -> Self {
        todo!()
    }
    /// An executor whose order is chosen by `order` (the simulator's).
    pub fn with_order(order: impl Order) -> Self {
        let _ = order;
        todo!()
    }
    /// Spawns a task.
    pub fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) -> Task<()> {
        let _ = (name, future);
        todo!()
    }
    /// The waker of whatever parks this executor: woken when a task becomes runnable while parked.
    pub fn set_parker(&self, waker: Waker) {
        let _ = waker;
        todo!()
    }
    /// Runs what was queued when the turn began; true if more is due.
    pub fn turn(&self) -> bool {
        todo!()
    }
    /// Declares that the driver is about to park; false if a task became runnable meanwhile (then do not park).
    pub fn may_park(&self) -> bool {
        todo!()
    }
    /// Live tasks.
    pub fn task_count(&self) -> usize {
        todo!()
    }
    /// Polls since the start.
    pub fn polls(&self) -> u64 {
        todo!()
    }
    /// Tasks that ended in a panic since the start.
    pub fn panics(&self) -> u64 {
        todo!()
    }
    /// Drops every task, so that no cycle of `Rc`s keeps anything alive.
    pub fn clear(&self) {
        todo!()
    }
}
