//! What a turn, a wake, a hop between shards and a timer cost, without I/O.

use core::future::poll_fn;
use core::hint::black_box;
use core::task::{Poll, Waker};
use std::cell::RefCell;
use std::rc::Rc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::runtime::executor::Executor;
use millstream::runtime::mailbox::mailbox;
use millstream::runtime::smol::{self, SmolRuntime};
use millstream::runtime::timer::Timers;
use millstream::time::Instant;

/// Tasks that are always ready: what queueing and polling one costs.
fn turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    for tasks in [1, 100] {
        let executor = Executor::fifo();
        for _ in 0..tasks {
            let spin = poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            executor.spawn("spin", spin).detach();
        }
        group.throughput(Throughput::Elements(tasks));
        group.bench_function(format!("{tasks} ready"), |b| b.iter(|| executor.turn()));
        executor.clear();
    }
    group.finish();
}

/// A task that waits is woken from outside, as an I/O event does it.
fn wake_and_turn(c: &mut Criterion) {
    let executor = Executor::fifo();
    let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
    let inside = Rc::clone(&slot);
    let wait = poll_fn(move |cx| {
        inside
            .borrow_mut()
            .get_or_insert_with(|| cx.waker().clone());
        Poll::<()>::Pending
    });
    executor.spawn("wait", wait).detach();
    executor.turn();
    let waker = slot
        .borrow_mut()
        .take()
        .unwrap_or_else(|| Waker::noop().clone());
    c.bench_function("wake and turn", |b| {
        b.iter(|| {
            executor.resume();
            waker.wake_by_ref();
            executor.turn();
            black_box(executor.may_park())
        });
    });
    executor.clear();
}

/// A message to an idle receiver of the same thread: post, wake, poll, swap.
fn mailbox_hop(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox hop");
    // `recv` wants a runtime only for its `arrange`.
    let slot: Rc<RefCell<Option<SmolRuntime>>> = Rc::default();
    let fill = Rc::clone(&slot);
    let started = smol::run(|runtime| {
        *fill.borrow_mut() = Some(runtime);
        core::future::ready(())
    });
    let runtime = slot.borrow_mut().take();
    if let (Ok(()), Some(runtime)) = (started, runtime) {
        for burst in [1_u64, 32] {
            let executor = Executor::fifo();
            let mut inbox = mailbox::<u64>();
            let sender = inbox.sender(0);
            let runtime = runtime.clone();
            let receive = async move {
                let mut batch = Vec::new();
                loop {
                    inbox.recv(&runtime, &mut batch).await;
                    black_box(batch.drain(..).map(|m| m.1).sum::<u64>());
                }
            };
            executor.spawn("inbox", receive).detach();
            executor.turn();
            group.throughput(Throughput::Elements(burst));
            group.bench_function(format!("burst of {burst}"), |b| {
                b.iter(|| {
                    (0..burst).for_each(|i| sender.post(i));
                    executor.turn()
                });
            });
            executor.clear();
        }
    }
    group.finish();
}

/// A message to a shard that is parked in another thread, and its answer: two wake-ups through the kernel.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn mailbox_between_threads(c: &mut Criterion) {
    use millstream::runtime::{launch, shard};

    let mut far = mailbox::<Option<u64>>();
    let near = mailbox::<u64>();
    let (to_far, to_near) = (far.sender(0), near.sender(0));
    let echo = launch::spawn_thread("echo", move || {
        shard::run(|runtime| async move {
            let mut batch = Vec::new();
            loop {
                far.recv(&runtime, &mut batch).await;
                for (_, message) in batch.drain(..) {
                    match message {
                        Some(message) => to_near.post(message),
                        None => return,
                    }
                }
            }
        })
    });
    // Between two measurements the receiver waits in here.
    let home = Rc::new(RefCell::new(Some(near)));
    c.bench_function("mailbox hop/there and back between threads", |b| {
        b.iter_custom(|times| {
            let taken = Rc::new(RefCell::new(core::time::Duration::ZERO));
            let (home, to_far, result) = (Rc::clone(&home), to_far.clone(), Rc::clone(&taken));
            let ran = shard::run(|runtime| async move {
                let near = home.borrow_mut().take();
                if let Some(mut near) = near {
                    let mut batch = Vec::new();
                    let start = std::time::Instant::now();
                    for i in 0..times {
                        to_far.post(Some(i));
                        near.recv(&runtime, &mut batch).await;
                        batch.clear();
                    }
                    *result.borrow_mut() = start.elapsed();
                    *home.borrow_mut() = Some(near);
                }
            });
            assert!(ran.is_ok(), "{ran:?}");
            taken.take()
        });
    });
    to_far.post(None);
    let ended = echo.map(launch::Thread::join);
    assert!(matches!(ended, Ok(Ok(Ok(())))), "the echo ended well");
}

/// Other systems have no such shard.
#[cfg(not(target_os = "linux"))]
fn mailbox_between_threads(_: &mut Criterion) {}

/// Timers beside 50,000 others, as on a full shard.
fn timers(c: &mut Criterion) {
    const OTHERS: u64 = 50_000;
    const SPREAD: u64 = 30_000_000;
    let mut timers = Timers::new();
    let mut rng = fastrand::Rng::with_seed(1);
    let far = 1_u64 << 50;
    for _ in 0..OTHERS {
        timers.insert(
            Instant::from_micros(far + rng.u64(..SPREAD)),
            Waker::noop().clone(),
        );
    }
    let mut now = 0;
    c.bench_function("timer insert and cancel", |b| {
        b.iter(|| {
            now += 1;
            let key = timers.insert(
                Instant::from_micros(now + 10_000_000),
                Waker::noop().clone(),
            );
            timers.cancel(key)
        });
    });
    let mut due = Vec::new();
    c.bench_function("timer insert and fire", |b| {
        b.iter(|| {
            now += 1_000;
            timers.insert(Instant::from_micros(now), Waker::noop().clone());
            timers.fire(Instant::from_micros(now), &mut due);
            due.clear();
            timers.next_deadline()
        });
    });
    c.bench_function("timer nothing due", |b| {
        b.iter(|| {
            now += 10;
            timers.fire(Instant::from_micros(now), &mut due);
            timers.next_deadline()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(core::time::Duration::from_secs(1))
        .measurement_time(core::time::Duration::from_secs(3));
    targets = turn, wake_and_turn, mailbox_hop, mailbox_between_threads, timers
}
criterion_main!(benches);
