//! The simulated world's answer to every question the server asks its runtime.

use core::cell::{Cell, RefCell};
use core::future::Future;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use fastrand::Rng;
use millstream::planted::Bug;
use millstream::runtime::executor::Executor;
use millstream::runtime::mailbox::Lane;
use millstream::runtime::timer::{SharedTimers, Sleep, Timers};
use millstream::runtime::{Runtime, SocketAddr, Task};
use millstream::time::{Instant, WallTime};

use crate::journal::{Journal, Observation};
use crate::net::{Net, SimConn, SimListener, SimSocket, now};
use crate::order::OrderKind;
use crate::seed::{self, happens};

/// What the Unix clock shows when a simulation starts: 2026-01-01, in microseconds.
pub const EPOCH_MICROS: u64 = 1_767_225_600_000_000;

/// How often an enabled `buggify` site says yes.
const BUGGIFY_RATE: f64 = 0.1;

/// What all sites of one world share.
#[derive(Clone)]
pub struct Shared {
    /// Everything random comes from it.
    pub seed: u64,
    /// How executors choose among runnable tasks.
    pub order: OrderKind,
    /// The chance of each `buggify` site to be on.
    pub buggify: f64,
    /// The bug planted in the server.
    pub planted: Option<Bug>,
    /// The network.
    pub net: Net,
    /// The journal.
    pub journal: Journal,
}

/// One virtual thread of the server: its executor, its timers, its part of the seed. Clones are the same one.
#[derive(Clone)]
pub struct SimRuntime(Rc<Inner>);

struct Inner {
    site: String,
    shared: Shared,
    executor: Executor,
    timers: SharedTimers,
    now: Cell<Instant>,
    arranging: RefCell<Rng>,
    /// Per `buggify` site: its dice, or nothing if this seed leaves it alone.
    buggify: RefCell<BTreeMap<&'static str, Option<Rng>>>,
}

impl SimRuntime {
    /// The virtual thread called `site`.
    pub fn new(shared: Shared, site: &str) -> Self {
        let order = shared.order.build(shared.seed, site);
        let arranging = seed::rng(shared.seed, &format!("arrange/{site}"));
        Self(Rc::new(Inner {
            site: site.into(),
            executor: Executor::with_order(order),
            timers: Rc::new(RefCell::new(Timers::new())),
            now: Cell::new(now()),
            arranging: RefCell::new(arranging),
            buggify: RefCell::default(),
            shared,
        }))
    }

    /// What runs its tasks.
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Its name.
    pub fn site(&self) -> &str {
        &self.0.site
    }

    /// Moves its clock to now and wakes what is due.
    pub fn tick(&self) {
        let now = now();
        self.0.now.set(now);
        let mut due = Vec::new();
        self.0.timers.borrow_mut().fire(now, &mut due);
        for waker in due {
            waker.wake();
        }
    }

    /// When it wants to be ticked next at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.timers.borrow().next_deadline()
    }

    /// Timers waiting.
    pub fn timers(&self) -> usize {
        self.0.timers.borrow().len()
    }
}

impl Runtime for SimRuntime {
    type Socket = SimSocket;
    type Conn = SimConn;
    type Listener = SimListener;

    fn accept(
        &self,
        listener: &SimListener,
    ) -> impl Future<Output = io::Result<(SimSocket, SocketAddr)>> {
        self.0.shared.net.accept(listener)
    }

    fn adopt(&self, socket: SimSocket) -> io::Result<SimConn> {
        self.0.shared.net.adopt(socket)
    }

    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wall(&self) -> WallTime {
        WallTime(EPOCH_MICROS + self.now().as_micros())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        Sleep::new(&self.0.timers, at)
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.0.executor.spawn(name, future)
    }

    fn entropy(&self, purpose: &'static str) -> Rng {
        let purpose = format!("entropy/{}/{purpose}", self.0.site);
        seed::rng(self.0.shared.seed, &purpose)
    }

    fn buggify(&self, site: &'static str) -> bool {
        if self.0.shared.buggify <= 0.0 {
            return false;
        }
        let mut sites = self.0.buggify.borrow_mut();
        let dice = sites.entry(site).or_insert_with(|| {
            let purpose = format!("buggify/{site}/{}", self.0.site);
            let mut rng = seed::rng(self.0.shared.seed, &purpose);
            happens(&mut rng, self.0.shared.buggify).then_some(rng)
        });
        dice.as_mut().is_some_and(|rng| happens(rng, BUGGIFY_RATE))
    }

    /// Shuffles the lanes, and deals their messages out in a seeded interleaving; within a lane order holds.
    fn arrange<T>(&self, batch: &mut Vec<(Lane, T)>) {
        if self.0.shared.order == OrderKind::Fifo || batch.len() < 2 {
            return;
        }
        let rng = &mut *self.0.arranging.borrow_mut();
        let mut lanes: BTreeMap<Lane, std::collections::VecDeque<T>> = BTreeMap::new();
        for (lane, message) in batch.drain(..) {
            lanes.entry(lane).or_default().push_back(message);
        }
        while !lanes.is_empty() {
            let nth = rng.usize(..lanes.len());
            let Some(lane) = lanes.keys().nth(nth).copied() else {
                break;
            };
            if let Some(queue) = lanes.get_mut(&lane) {
                batch.extend(queue.pop_front().map(|message| (lane, message)));
                if queue.is_empty() {
                    lanes.remove(&lane);
                }
            }
        }
    }

    fn trace(&self, event: core::fmt::Arguments<'_>) {
        let text = event.to_string();
        let seen = Observation::Server { text };
        self.0.shared.journal.note(now(), &self.0.site, &seen);
    }
}
