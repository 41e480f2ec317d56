//! Where operators' questions go from control to the shards, and the answers come back.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::gate::Attendance;
use super::message::ShardMessage;
use super::report::{Answer, Ask};
use crate::limits;
use crate::media::directory::ShardId;
use crate::runtime::Runtime;
use crate::runtime::mailbox::Sender;

/// The control thread's side.
pub(super) struct Desk<S> {
    shards: Vec<Sender<ShardMessage<S>>>,
    /// Shards that have drained: they answer no more.
    gone: RefCell<BTreeSet<ShardId>>,
    open: RefCell<BTreeMap<u64, Open>>,
    next: Cell<u64>,
    pub(super) attendance: Arc<Attendance>,
    /// A graceful stop has begun.
    pub(super) draining: Cell<bool>,
}

/// A question that is being answered.
struct Open {
    missing: BTreeSet<ShardId>,
    answers: Vec<(ShardId, Answer)>,
    waker: Option<Waker>,
}

impl Open {
    fn take(&mut self, shard: ShardId, answer: Option<Answer>) {
        if self.missing.remove(&shard) {
            self.answers.extend(answer.map(|answer| (shard, answer)));
        }
        if self.missing.is_empty()
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

/// Forgets the question when the asker goes.
struct Asked<'a, S>(&'a Desk<S>, u64);

impl<S> Drop for Asked<'_, S> {
    fn drop(&mut self) {
        self.0.open.borrow_mut().remove(&self.1);
    }
}

impl<S: Send + 'static> Desk<S> {
    pub(super) fn new(shards: Vec<Sender<ShardMessage<S>>>, attendance: Arc<Attendance>) -> Self {
        Self {
            shards,
            gone: RefCell::default(),
            open: RefCell::default(),
            next: Cell::new(0),
            attendance,
            draining: Cell::new(false),
        }
    }

    /// Asks every shard that lives; by shard, what they answer within [`limits::REPORT_TIME`]. `None` if one does not.
    pub(super) async fn ask<R: Runtime>(
        &self,
        runtime: &R,
        ask: Ask,
    ) -> Option<Vec<(ShardId, Answer)>> {
        let (number, missing) = self.post(ask);
        let open = Open {
            missing,
            answers: Vec::new(),
            waker: None,
        };
        self.open.borrow_mut().insert(number, open);
        let _asked = Asked(self, number);
        let mut patience = Box::pin(runtime.sleep_until(runtime.now() + limits::REPORT_TIME));
        let answered = poll_fn(|cx| {
            let mut open = self.open.borrow_mut();
            let Some(mine) = open.get_mut(&number) else {
                return Poll::Ready(None);
            };
            if mine.missing.is_empty() {
                return Poll::Ready(Some(std::mem::take(&mut mine.answers)));
            }
            mine.waker = Some(cx.waker().clone());
            patience.as_mut().poll(cx).map(|()| None)
        })
        .await;
        if answered.is_none() {
            tracing::warn!(
                "an operator was not answered: a shard has not said a word for {:?}",
                limits::REPORT_TIME
            );
        }
        answered.map(|mut answers| {
            answers.sort_by_key(|(shard, _)| *shard);
            answers
        })
    }

    /// Has every shard that lives do what is ordered; nobody waits for what they say to it.
    pub(super) fn order(&self, ask: Ask) {
        self.post(ask);
    }

    /// The number of the question, and who has been asked.
    fn post(&self, ask: Ask) -> (u64, BTreeSet<ShardId>) {
        let number = self.next.replace(self.next.get() + 1);
        let living: BTreeSet<ShardId> = {
            let gone = self.gone.borrow();
            (0..self.shards.len())
                .filter(|shard| !gone.contains(shard))
                .collect()
        };
        let ask = Arc::new(ask);
        for shard in living.iter().filter_map(|shard| self.shards.get(*shard)) {
            let ask = Arc::clone(&ask);
            shard.post(ShardMessage::Asked { number, ask });
        }
        (number, living)
    }

    /// A shard has answered. Late answers to what nobody waits for are dropped.
    pub(super) fn answered(&self, number: u64, shard: ShardId, answer: Answer) {
        if let Some(open) = self.open.borrow_mut().get_mut(&number) {
            open.take(shard, Some(answer));
        }
    }

    /// A shard has drained.
    pub(super) fn gone(&self, shard: ShardId) {
        self.gone.borrow_mut().insert(shard);
        for open in self.open.borrow_mut().values_mut() {
            open.take(shard, None);
        }
    }
}
