//! What connections cost in memory is counted, and one that costs too much is found.
#![allow(clippy::unwrap_used)]

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use millstream_sim::memory::{
    self, Allocator, CONNECTION_BYTES, COST_OF_A_BYTE, COST_OF_A_CHUNK, Memory,
};
use millstream_sim::{generate, world};

#[global_allocator]
static ALLOCATOR: Allocator = memory::allocator();

/// The cost of a task that holds `bytes`, having been sent `fed`, and as many bytes elsewhere.
fn cost(bytes: usize, fed: usize) -> memory::Cost {
    let memory = Memory::default();
    let held = Rc::new(RefCell::new(Vec::new()));
    let holds = held.clone();
    let task = memory.accounts_for(async move {
        memory::fed(fed);
        let elsewhere: Vec<u8> = memory::outside(|| Vec::with_capacity(bytes));
        *holds.borrow_mut() = vec![0_u8; bytes];
        drop(elsewhere);
        let mut polls = 0;
        poll_fn(|_| {
            polls += 1;
            if polls > 1 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    });
    let mut task = pin!(task);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(cx).is_pending());
    assert!(task.as_mut().poll(cx).is_ready());
    memory.costs()[0]
}

#[test]
fn one_that_holds_more_than_it_may_is_found() {
    let cap = CONNECTION_BYTES as usize;
    let small = cost(cap / 2, 0);
    assert!(
        small.peak >= CONNECTION_BYTES / 2 && small.peak < small.cap(60_000),
        "{small:?}"
    );
    let large = cost(cap + 1, 0);
    assert!(large.peak > large.cap(60_000), "{large:?}");
    let paid = cost(cap + 1, 1_000);
    assert_eq!(paid.fed, 1_000);
    assert_eq!(
        paid.cap(60_000),
        CONNECTION_BYTES + COST_OF_A_BYTE * 1_000 + COST_OF_A_CHUNK
    );
    assert!(paid.peak < paid.cap(60_000), "{paid:?}");
}

#[test]
fn the_connections_of_ten_worlds_are_counted() {
    for seed in 0..10 {
        let report = world::run(&generate::scenario(seed));
        assert!(report.violations.is_empty(), "{:?}", report.violations);
        let counted = |(name, times): &(&str, u64)| *name == "memory of a connection" && *times > 0;
        assert!(report.exercised.iter().any(counted), "seed {seed}");
    }
}
