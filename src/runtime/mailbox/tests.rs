use core::future::Future;
use core::pin::{Pin, pin};
use core::task::Context;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::super::executor::Executor;
use super::super::{Conn, Rng, SocketAddr, Task};
use super::*;
use crate::time::{Instant, WallTime};

/// A runtime of which a mailbox sees nothing but `arrange`.
#[derive(Clone)]
struct Reversed;

struct NoConn;

impl Conn for NoConn {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!()
    }
    fn try_writev(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        unreachable!()
    }
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!()
    }
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!()
    }
    fn shutdown_write(&self) -> io::Result<()> {
        unreachable!()
    }
    fn peer(&self) -> SocketAddr {
        unreachable!()
    }
    fn abort(&self) {}
}

impl Runtime for Reversed {
    type Socket = ();
    type Conn = NoConn;
    type Listener = ();
    type Disk = crate::runtime::disk::NoDisk;
    async fn accept(&self, (): &()) -> io::Result<((), SocketAddr)> {
        unreachable!()
    }
    fn adopt(&self, (): ()) -> io::Result<NoConn> {
        unreachable!()
    }
    fn disk(&self) -> crate::runtime::disk::NoDisk {
        crate::runtime::disk::NoDisk
    }
    fn now(&self) -> Instant {
        unreachable!()
    }
    fn wall(&self) -> WallTime {
        unreachable!()
    }
    fn sleep_until(&self, _: Instant) -> impl Future<Output = ()> + 'static {
        core::future::ready(())
    }
    fn spawn(&self, _: &'static str, _: impl Future<Output = ()> + 'static) -> Task<()> {
        unreachable!()
    }
    fn entropy(&self, _: &'static str) -> Rng {
        unreachable!()
    }
    /// Lanes in descending order, each lane's messages in theirs.
    fn arrange<T>(&self, batch: &mut Vec<(Lane, T)>) -> Option<(usize, Instant)> {
        batch.sort_by_key(|m| core::cmp::Reverse(m.0));
        // Lane 0 is late: always, but not for long.
        let late = batch.iter().filter(|m| m.0 == 0).count();
        let late = if batch.len() > late { late } else { 0 };
        (late > 0).then_some((late, Instant::ZERO))
    }
}

fn ready<F: Future>(future: F) -> Option<F::Output> {
    let waker = Waker::noop();
    match pin!(future).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn keeps_each_lane_in_order_and_lets_the_runtime_arrange_the_rest() {
    let mut inbox = mailbox();
    let (one, two) = (inbox.sender(1), inbox.sender(2));
    one.post("a");
    two.post("x");
    one.clone().post("b");
    two.post("y");
    assert_eq!(one.backlog(), 4);
    let mut batch = Vec::new();
    ready(inbox.recv(&Reversed, &mut batch)).unwrap();
    assert_eq!(batch, [(2, "x"), (2, "y"), (1, "a"), (1, "b")]);
    assert_eq!(two.backlog(), 0);
    assert!(ready(inbox.recv(&Reversed, &mut batch)).is_none());
}

#[test]
fn what_the_runtime_keeps_back_comes_before_what_follows_in_its_lane() {
    let mut inbox = mailbox();
    let (zero, one) = (inbox.sender(0), inbox.sender(1));
    zero.post("late");
    one.post("a");
    let mut batch = Vec::new();
    ready(inbox.recv(&Reversed, &mut batch)).unwrap();
    assert_eq!(batch, [(1, "a")]);
    batch.clear();
    zero.post("later");
    ready(inbox.recv(&Reversed, &mut batch)).unwrap();
    assert_eq!(batch, [(0, "late"), (0, "later")]);
}

#[test]
fn a_burst_wakes_an_idle_receiver_once() {
    let executor = Executor::fifo();
    let mut inbox = mailbox();
    let sender = inbox.sender(CONTROL);
    let got = Rc::new(core::cell::RefCell::new(Vec::new()));
    let sink = Rc::clone(&got);
    let task = executor.spawn("inbox", async move {
        let mut batch = Vec::new();
        loop {
            inbox.recv(&Reversed, &mut batch).await;
            sink.borrow_mut()
                .push(batch.drain(..).map(|m| m.1).collect::<Vec<u32>>());
        }
    });
    while executor.turn() {}
    let polls = executor.polls();
    // From another thread, as in production.
    let other = sender.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..100).for_each(|i| other.post(i)));
    });
    while executor.turn() {}
    assert_eq!(executor.polls(), polls + 1);
    assert_eq!(*got.borrow(), [(0..100).collect::<Vec<u32>>()]);
    drop(task);
    executor.clear();
    sender.post(1);
    assert_eq!(sender.backlog(), 0, "the receiver is gone");
}

#[test]
fn a_dropped_recv_loses_nothing() {
    let mut inbox = mailbox();
    let sender = inbox.sender(0);
    let mut batch = Vec::new();
    {
        let mut recv = Box::pin(inbox.recv(&Reversed, &mut batch));
        assert!(
            Pin::new(&mut recv)
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        sender.post(7);
    }
    ready(inbox.recv(&Reversed, &mut batch)).unwrap();
    assert_eq!(batch, [(0, 7)]);
}

#[test]
fn a_steady_flow_allocates_nothing() {
    let mut inbox = mailbox();
    let sender = inbox.sender(0);
    let mut batch = Vec::new();
    let mut capacities = Vec::new();
    for round in 0..100 {
        (0..32).for_each(|i| sender.post(i));
        ready(inbox.recv(&Reversed, &mut batch)).unwrap();
        batch.clear();
        if round >= 2 {
            capacities.push(batch.capacity());
        }
    }
    assert!(capacities.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn a_message_that_holds_a_sender_is_no_leak() {
    struct Held {
        _sender: Sender<Held>,
        _witness: Arc<()>,
    }
    let witness = Arc::new(());
    let inbox = mailbox::<Held>();
    let sender = inbox.sender(0);
    sender.post(Held {
        _sender: inbox.sender(1),
        _witness: Arc::clone(&witness),
    });
    drop(inbox);
    assert_eq!(Arc::strong_count(&witness), 1);
    drop(sender);
}
