//! Messages between shards: many senders, one receiver, in order per lane, never waiting to post.
//!
//! One mutex per inbox, held for a push or for the exchange of two vectors. The receiver takes everything that
//! is there at once and gives its emptied vector in exchange, so a steady flow allocates nothing.

use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Runtime;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Instant;

/// Who sent a message: shards count from 0, the control thread is [`CONTROL`]. Order holds within a lane.
pub type Lane = usize;
/// The control thread's lane.
pub const CONTROL: Lane = usize::MAX;

/// The sending end; clone freely, send anywhere.
pub struct Sender<T> {
    inbox: Arc<Inbox<T>>,
    lane: Lane,
}

/// The receiving end; one per shard. Dropping it drops the messages not yet taken, and all that follow.
pub struct Receiver<T> {
    inbox: Arc<Inbox<T>>,
    /// What the simulator keeps back, and until when. Nothing in production.
    late: Vec<(Lane, T)>,
    due: Option<Instant>,
}

struct Inbox<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    messages: Vec<(Lane, T)>,
    /// The receiver's, while it waits. The first message takes it, so a burst wakes once.
    waker: Option<Waker>,
    /// The receiver is gone.
    closed: bool,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
            lane: self.lane,
        }
    }
}

/// A new mailbox.
pub fn mailbox<T: Send + 'static>() -> Receiver<T> {
    let state = State {
        messages: Vec::new(),
        waker: None,
        closed: false,
    };
    Receiver {
        inbox: Arc::new(Inbox {
            state: Mutex::new(state),
        }),
        late: Vec::new(),
        due: None,
    }
}

impl<T> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a message or waker runs under the lock that could leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// A sending end whose messages travel in `lane`.
    pub fn sender(&self, lane: Lane) -> Sender<T> {
        Sender {
            inbox: Arc::clone(&self.inbox),
            lane,
        }
    }

    /// Waits until messages are there and moves them all to the end of `batch` (in arrival order; then
    /// [`Runtime::arrange`]). Hand in the same vector, emptied, each time: nothing is allocated then.
    /// Dropping the future before it is ready loses no message.
    pub async fn recv<R: Runtime>(&mut self, runtime: &R, batch: &mut Vec<(Lane, T)>) {
        loop {
            self.take(runtime, batch).await;
            // Never in production. Threads have no common clock: mail may be read much later than it was sent.
            while runtime.buggify("late mail") {
                runtime.sleep_until(runtime.now() + limits::LATE_MAIL).await;
            }
            let kept = runtime.arrange(batch);
            self.due = kept.map(|(_, until)| until);
            if let Some((kept, _)) = kept {
                self.late = batch.split_off(batch.len().saturating_sub(kept));
            }
            if planted(Bug::MailboxReordered) {
                batch.reverse();
            }
            if !batch.is_empty() {
                return;
            }
        }
    }

    /// Waits until messages are there, or those kept back are due, and takes all of them.
    async fn take<R: Runtime>(&mut self, runtime: &R, batch: &mut Vec<(Lane, T)>) {
        batch.append(&mut self.late);
        let mut due = self.due.take().map(|at| Box::pin(runtime.sleep_until(at)));
        poll_fn(|cx| {
            let is_due = due
                .as_mut()
                .is_some_and(|due| due.as_mut().poll(cx).is_ready());
            let mut state = self.inbox.lock();
            if state.messages.is_empty() {
                if is_due {
                    return Poll::Ready(());
                }
                let old = match &state.waker {
                    Some(waker) if waker.will_wake(cx.waker()) => None,
                    _ => state.waker.replace(cx.waker().clone()),
                };
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            if batch.is_empty() {
                core::mem::swap(batch, &mut state.messages);
            } else {
                batch.append(&mut state.messages);
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.closed = true;
        let messages = core::mem::take(&mut state.messages);
        let waker = state.waker.take();
        // Both may hold senders to this very inbox, or tasks that do.
        drop(state);
        drop((messages, waker));
    }
}

impl<T: Send + 'static> Sender<T> {
    /// Posts; never waits. The receiver is woken if it was idle. Lost silently when the receiver is gone.
    pub fn post(&self, message: T) {
        let mut state = self.inbox.lock();
        if state.closed {
            drop(state);
            drop(message);
            return;
        }
        state.messages.push((self.lane, message));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Messages not yet taken by the receiver.
    pub fn backlog(&self) -> usize {
        self.inbox.lock().messages.len()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make threads")]
mod tests;
