use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::time::Duration;

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Timers whose wakers can be told apart.
#[derive(Default)]
struct Lab {
    timers: Timers,
    wakers: Vec<Waker>,
    keys: Vec<TimerKey>,
}

impl Lab {
    fn insert(&mut self, micros: u64) -> usize {
        let waker = Waker::from(Arc::new(Count::default()));
        self.keys
            .push(self.timers.insert(at(micros), waker.clone()));
        self.wakers.push(waker);
        self.wakers.len() - 1
    }

    /// Who fires at `micros`, in order.
    fn fire(&mut self, micros: u64) -> Vec<usize> {
        let mut out = Vec::new();
        self.timers.fire(at(micros), &mut out);
        let who = |waker: &Waker| self.wakers.iter().position(|w| w.will_wake(waker)).unwrap();
        out.iter().map(who).collect()
    }
}

#[test]
fn one_instant_fires_in_order_of_insertion() {
    let mut lab = Lab::default();
    // Inserted from far and from near, so that they enter the wheel at different levels.
    lab.insert(1_000_000);
    lab.insert(1_000_000);
    assert_eq!(lab.fire(999_000), [0_usize; 0]);
    lab.insert(1_000_000);
    assert_eq!(lab.fire(999_999), [0_usize; 0]);
    lab.insert(1_000_000);
    lab.insert(999_999);
    assert_eq!(lab.fire(1_000_000), [4, 0, 1, 2, 3]);
    assert!(lab.timers.is_empty());
}

#[test]
fn an_overdue_timer_fires_next() {
    let mut lab = Lab::default();
    assert_eq!(lab.fire(5_000), [0_usize; 0]);
    lab.insert(10);
    lab.insert(5_000);
    assert!(lab.timers.next_deadline().unwrap() <= at(5_000));
    assert_eq!(lab.fire(5_000), [0, 1]);
    assert_eq!(lab.timers.next_deadline(), None);
}

#[test]
fn far_timers() {
    let mut lab = Lab::default();
    lab.insert(u64::MAX);
    lab.insert(1 << 62);
    lab.insert((1 << 62) + 1);
    assert_eq!(lab.timers.next_deadline(), Some(at(1 << 62)));
    assert_eq!(lab.fire((1 << 62) - 1), [0_usize; 0]);
    assert_eq!(lab.fire(1 << 62), [1]);
    assert_eq!(lab.timers.next_deadline(), Some(at((1 << 62) + 1)));
    assert_eq!(lab.fire(u64::MAX - 1), [2]);
    assert_eq!(lab.timers.next_deadline(), Some(Instant::FAR_FUTURE));
    assert_eq!(lab.fire(u64::MAX), [0]);
}

#[test]
fn cancelling() {
    let mut lab = Lab::default();
    for i in 0..4 {
        lab.insert(100 + i / 3);
    }
    for i in [0, 2] {
        assert!(lab.timers.cancel(lab.keys[i]).is_some());
        assert!(lab.timers.cancel(lab.keys[i]).is_none(), "once only");
    }
    lab.insert(100);
    assert_eq!(lab.fire(100), [1, 4]);
    assert!(lab.timers.cancel(lab.keys[1]).is_none(), "fired");
    assert!(lab.timers.cancel(lab.keys[3]).is_some());
    assert_eq!((lab.timers.len(), lab.timers.next_deadline()), (0, None));
}

#[test]
fn a_key_of_a_reused_entry_is_stale() {
    let mut lab = Lab::default();
    lab.insert(10);
    assert_eq!(lab.fire(10), [0]);
    lab.insert(20);
    assert_eq!(lab.keys[0].index, lab.keys[1].index);
    assert!(lab.timers.cancel(lab.keys[0]).is_none());
    assert!(lab.timers.update(lab.keys[0], Waker::noop()).is_none());
    assert_eq!(lab.fire(20), [1]);
}

#[test]
fn a_cancelled_first_timer_costs_at_most_one_vain_call() {
    let mut lab = Lab::default();
    lab.insert(1_000);
    lab.insert(1 << 30);
    lab.timers.cancel(lab.keys[0]);
    assert_eq!(
        lab.timers.next_deadline(),
        Some(at(1 << 30)),
        "slots differ: none"
    );
    lab.insert((1 << 30) + 1_000_000);
    lab.timers.cancel(lab.keys[1]);
    assert_eq!(lab.timers.next_deadline(), Some(at(1 << 30)), "one slot");
    assert_eq!(lab.fire(1 << 30), [0_usize; 0]);
    assert_eq!(lab.timers.next_deadline(), Some(at((1 << 30) + 1_000_000)));
}

/// Against the obvious model: a list sorted by instant and order of insertion.
#[test]
fn behaves_like_a_sorted_list() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::default();
        let mut model: Vec<(u64, usize)> = Vec::new();
        let mut now = 0;
        for _ in 0..300 {
            match rng.u8(0..10) {
                0..6 => {
                    let due = now + (rng.u64(..) >> rng.u32(30..64));
                    let id = lab.insert(due);
                    model.push((due, id));
                }
                6 if !model.is_empty() => {
                    let (_, id) = model.remove(rng.usize(..model.len()));
                    assert!(lab.timers.cancel(lab.keys[id]).is_some());
                }
                _ => {
                    now += rng.u64(..) >> rng.u32(34..64);
                    model.sort_unstable();
                    let due = model.partition_point(|m| m.0 <= now);
                    let expected: Vec<usize> = model.drain(..due).map(|m| m.1).collect();
                    assert_eq!(lab.fire(now), expected, "seed {seed}");
                }
            }
            assert_eq!(lab.timers.len(), model.len());
            let first = model.iter().map(|m| at(m.0)).min();
            match (lab.timers.next_deadline(), first) {
                (Some(next), Some(first)) => assert!(next <= first, "seed {seed}"),
                (next, first) => assert_eq!(next, first, "seed {seed}"),
            }
        }
    }
}

#[test]
fn a_steady_state_reuses_its_entries() {
    let mut lab = Lab::default();
    for round in 0..1_000 {
        lab.insert(round * 7 + 5);
        lab.insert(round * 7 + 100_000);
        let last = lab.keys[lab.keys.len() - 1];
        lab.timers.cancel(last);
        lab.fire(round * 7 + 7);
    }
    assert_eq!(lab.timers.entries.len(), 2);
}

#[test]
fn sleep_waits_updates_its_waker_and_cancels_on_drop() {
    let timers: SharedTimers = Rc::default();
    let fire = |micros| {
        let mut out = Vec::new();
        timers.borrow_mut().fire(at(micros), &mut out);
        out.into_iter().for_each(Waker::wake);
    };
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut sleep = Sleep::new(&timers, at(50));
    let mut poll = |waker: &Waker| Pin::new(&mut sleep).poll(&mut Context::from_waker(waker));
    assert!(poll(Waker::noop()).is_pending());
    assert!(poll(&waker).is_pending());
    fire(49);
    assert!(poll(&waker).is_pending());
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    fire(50);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(poll(&waker).is_ready());
    drop(sleep);

    let mut dropped = Sleep::new(&timers, at(50) + Duration::from_secs(1));
    assert!(
        Pin::new(&mut dropped)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(timers.borrow().len(), 1);
    drop(dropped);
    assert!(timers.borrow().is_empty());
    assert!(
        Pin::new(&mut Sleep::new(&timers, at(50)))
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    );
}
