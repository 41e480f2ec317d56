//! Messages between shards: many senders, one receiver, in order per lane, never waiting to post.
use super::Runtime;
use core::marker::PhantomData;

/// Who sent a message: shards count from 0, the control thread is [`CONTROL`]. Order holds within a lane.
pub type Lane = usize;
/// The control thread's lane.
pub const CONTROL: Lane = usize::MAX;

/// The sending end; clone freely, send anywhere.
pub struct Sender<T> {
    t: PhantomData<T>,
}
/// The receiving end; one per shard.
pub struct Receiver<T> {
    t: PhantomData<T>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        todo!()
    }
}

/// A new mailbox.
pub fn mailbox<T: Send + 'static>() -> Receiver<T> {
    todo!()
}

impl<T: Send + 'static> Receiver<T> {
    /// A sending end whose messages travel in `lane`.
    pub fn sender(&self, lane: Lane) -> Sender<T> {
        let _ = lane;
        todo!()
    }
    /// Waits until messages are there and moves them all to `batch` (in arrival order; then `Runtime::arrange`).
    pub async fn recv<R: Runtime>(&mut self, runtime: &R, batch: &mut Vec<(Lane, T)>) {
        let _ = (runtime, batch);
        todo!()
    }
}
impl<T: Send + 'static> Sender<T> {
    /// Posts; never waits. The receiver is woken if it was idle. Lost silently when the receiver is gone.
    pub fn post(&self, message: T) {
        let _ = message;
        todo!()
    }
    /// Messages not yet taken by the receiver.
    pub fn backlog(&self) -> usize {
        todo!()
    }
}
