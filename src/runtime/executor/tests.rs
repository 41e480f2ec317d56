use core::future::{pending, poll_fn};
use core::task::{Poll, Waker};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use crate::time::Duration;

use super::*;

/// A parker that counts.
#[derive(Default)]
struct Parker(AtomicUsize);

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Parker {
    fn of(executor: &Executor) -> Arc<Self> {
        let parker = Arc::new(Self::default());
        executor.set_parker(Waker::from(Arc::clone(&parker)));
        parker
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn drain(executor: &Executor) {
    while executor.turn() {}
}

/// Waits until `flag` is set, leaving its waker in `slot`.
async fn wait(flag: Rc<Cell<bool>>, slot: Rc<RefCell<Option<Waker>>>) {
    poll_fn(|cx| {
        if flag.get() {
            return Poll::Ready(());
        }
        *slot.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// One yield to the other tasks.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn runs_in_order_of_spawning_and_a_turn_is_bounded() {
    let executor = Executor::fifo();
    let log = Rc::new(RefCell::new(Vec::new()));
    for i in 0..3 {
        let log = Rc::clone(&log);
        let task = async move {
            log.borrow_mut().push(i);
            yield_now().await;
            log.borrow_mut().push(i + 10);
        };
        executor.spawn("t", task).detach();
    }
    assert!(executor.turn(), "each yielded, so more is due");
    assert_eq!(*log.borrow(), [0, 1, 2]);
    assert_eq!(executor.task_count(), 3);
    assert!(!executor.turn());
    assert_eq!(*log.borrow(), [0, 1, 2, 10, 11, 12]);
    assert_eq!((executor.task_count(), executor.polls()), (0, 6));
}

#[test]
fn a_wake_notifies_only_while_parked_and_once() {
    let executor = Executor::fifo();
    let parker = Parker::of(&executor);
    let (flag, slot) = (Rc::new(Cell::new(false)), Rc::default());
    executor
        .spawn("a", wait(Rc::clone(&flag), Rc::clone(&slot)))
        .detach();
    let slot_b = Rc::default();
    executor
        .spawn("b", wait(Rc::clone(&flag), Rc::clone(&slot_b)))
        .detach();
    drain(&executor);
    let a = slot.borrow_mut().take().unwrap();
    let b = slot_b.borrow_mut().take().unwrap();
    a.wake_by_ref();
    assert_eq!(parker.wakes(), 0, "between turns");
    assert!(!executor.may_park(), "the wake came first");
    drain(&executor);
    assert!(executor.may_park());
    let a2 = slot.borrow_mut().take().unwrap();
    a2.wake();
    b.wake();
    assert_eq!(parker.wakes(), 1, "two wakes, one notification");
    drain(&executor);
    assert!(executor.may_park());
    executor.resume();
    flag.set(true);
    slot.borrow_mut().take().unwrap().wake();
    slot_b.borrow_mut().take().unwrap().wake();
    assert_eq!(parker.wakes(), 1, "resumed: no notification");
    drain(&executor);
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn woken_from_another_thread() {
    let executor = Executor::fifo();
    let this = std::thread::current();
    executor.set_parker(Waker::from(Arc::new(Unpark(this))));
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    let seen = Rc::new(Cell::new(0));
    let sight = Rc::clone(&seen);
    let (send, wakers) = std::sync::mpsc::channel::<Waker>();
    let task = poll_fn(move |cx| {
        sight.set(counter.load(Ordering::SeqCst));
        if sight.get() == 200 {
            return Poll::Ready(());
        }
        send.send(cx.waker().clone()).unwrap();
        Poll::Pending
    });
    executor.spawn("t", task).detach();
    let other = std::thread::spawn(move || {
        for waker in wakers {
            hits.fetch_add(1, Ordering::SeqCst);
            waker.wake();
        }
    });
    while executor.task_count() > 0 {
        if !executor.turn() && executor.task_count() > 0 && executor.may_park() {
            std::thread::park_timeout(Duration::from_secs(10));
            executor.resume();
        }
    }
    other.join().unwrap();
    assert_eq!(seen.get(), 200);
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn woken_while_running_runs_again() {
    let executor = Executor::fifo();
    let rounds = Rc::new(Cell::new(0));
    let count = Rc::clone(&rounds);
    let task = poll_fn(move |cx| {
        count.set(count.get() + 1);
        cx.waker().wake_by_ref();
        cx.waker().wake_by_ref();
        if count.get() == 4 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    executor.spawn("t", task).detach();
    for round in 1..=4 {
        executor.turn();
        assert_eq!(rounds.get(), round, "two wakes, one poll");
    }
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn dropping_the_handle_cancels() {
    let executor = Executor::fifo();
    let held = Rc::new(());
    let inside = Rc::clone(&held);
    let task = executor.spawn("t", async move {
        let _inside = inside;
        pending::<()>().await;
    });
    drain(&executor);
    assert_eq!(Rc::strong_count(&held), 2);
    drop(task);
    drain(&executor);
    assert_eq!((Rc::strong_count(&held), executor.task_count()), (1, 0));
}

#[test]
fn a_panic_ends_its_task_alone() {
    let executor = Executor::fifo();
    let held = Rc::new(());
    let inside = Rc::clone(&held);
    let bad = executor.spawn("bad", async move {
        let _inside = inside;
        yield_now().await;
        panic!("for the test");
    });
    let done = Rc::new(Cell::new(false));
    let set = Rc::clone(&done);
    executor
        .spawn("good", async move {
            assert!(bad.fallible().await.is_none());
            set.set(true);
        })
        .detach();
    drain(&executor);
    assert!(done.get());
    assert_eq!((executor.panics(), executor.task_count()), (1, 0));
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn dropping_and_clearing_break_cycles() {
    for clear in [false, true] {
        let executor = Executor::fifo();
        let held = Rc::new(());
        for _ in 0..5 {
            // Each task holds the executor it runs on, and another task that it cancels when dropped.
            let (inside, own) = (Rc::clone(&held), executor.clone());
            let child = executor.spawn("child", pending());
            let task = async move {
                let _keep = (&inside, &own, &child);
                pending::<()>().await;
            };
            executor.spawn("t", task).detach();
        }
        if clear {
            executor.turn();
        }
        assert_eq!(executor.task_count(), 10);
        executor.clear();
        assert_eq!(executor.task_count(), 0);
        assert_eq!(Rc::strong_count(&held), 1, "polled before: {clear}");
        // It can be used again.
        executor.spawn("after", async {}).detach();
        drain(&executor);
        assert_eq!(executor.task_count(), 0);
    }
}

/// Spawns when dropped, as a hostile destructor would.
struct SpawnOnDrop(Executor);

impl Drop for SpawnOnDrop {
    fn drop(&mut self) {
        self.0.spawn("late", pending()).detach();
    }
}

#[test]
fn a_destructor_that_panics_or_spawns_does_not_stop_the_clearing() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("for the test");
        }
    }
    let executor = Executor::fifo();
    let held = Rc::new(());
    let bad = async {
        let _bad = Bad;
        pending::<()>().await;
    };
    executor.spawn("bad", bad).detach();
    let (inside, own) = (Rc::clone(&held), executor.clone());
    executor
        .spawn("good", async move {
            let _late = SpawnOnDrop(own);
            let _inside = inside;
            pending::<()>().await;
        })
        .detach();
    drain(&executor);
    executor.clear();
    assert_eq!((executor.task_count(), executor.panics()), (0, 1));
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn the_last_clone_clears() {
    let held = Rc::new(());
    let executor = Executor::fifo();
    let inside = Rc::clone(&held);
    let task = async move {
        let _inside = inside;
        pending::<()>().await;
    };
    executor.spawn("t", task).detach();
    drain(&executor);
    drop(executor);
    assert_eq!(Rc::strong_count(&held), 1);
}

/// Newest first, and a log of what it saw.
struct Lifo(Rc<RefCell<Vec<&'static str>>>);

impl Order for Lifo {
    fn pick(&mut self, queued: &[&TaskInfo]) -> usize {
        queued.len() - 1
    }
    fn before_poll(&mut self, task: &TaskInfo) {
        self.0.borrow_mut().push(task.name);
    }
    fn after_poll(&mut self, _: &TaskInfo) {
        self.0.borrow_mut().push("|");
    }
}

#[test]
fn an_order_chooses_also_among_the_newly_woken() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let executor = Executor::with_order(Lifo(Rc::clone(&log)));
    executor.spawn("a", async {}).detach();
    executor.spawn("b", yield_now()).detach();
    assert!(executor.turn(), "two polls, and both went to b");
    assert!(!executor.may_park());
    assert!(!executor.turn());
    assert_eq!(*log.borrow(), ["b", "|", "b", "|", "a", "|"]);
    assert!(executor.may_park());
}

#[test]
fn the_budget_turns_a_busy_loop_into_a_failure() {
    let executor = Executor::fifo();
    executor.set_budget(Some(10));
    executor
        .spawn("spinner", async {
            loop {
                yield_now().await;
            }
        })
        .detach();
    let failure = catch_unwind(AssertUnwindSafe(|| drain(&executor))).unwrap_err();
    assert!(panic_text(&*failure).starts_with("LIVELOCK: task spinner"));
    assert_eq!((executor.polls(), executor.panics()), (10, 0));
    executor.set_budget(None);
    executor.turn();
    executor.clear();
    assert_eq!(executor.task_count(), 0);
}
