//! The simulated world's answer to every question the server asks its runtime.

use core::cell::{Cell, RefCell};
use core::future::Future;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;

use fastrand::Rng;
use millstream::planted::Bug;
use millstream::runtime::executor::Executor;
use millstream::runtime::mailbox::Lane;
use millstream::runtime::timer::{SharedTimers, Sleep, Timers};
use millstream::runtime::{Runtime, SocketAddr, Task};
use millstream::time::{Duration, Instant, WallTime};

use crate::clocks::{Clocks, SiteClock};
use crate::disk::{Platter, SimDisk};
use crate::faults::{Fault, SITES};
use crate::journal::{Journal, Observation};
use crate::memory::Memory;
use crate::net::{Net, SimConn, SimListener, SimSocket, now};
use crate::order::OrderKind;
use crate::scenario::Mail;
use crate::seed::{self, happens};

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
    /// How the clocks of its sites differ, and what the wall clock does.
    pub clocks: Rc<Clocks>,
    /// How late mail between its sites is, until the world heals.
    pub mail: Rc<Cell<Mail>>,
    /// The bug planted in the server.
    pub planted: Option<Bug>,
    /// The network.
    pub net: Net,
    /// The disk of the server's machine.
    pub disk: Platter,
    /// The journal.
    pub journal: Journal,
    /// What connections cost.
    pub memory: Memory,
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
    clock: SiteClock,
    arranging: RefCell<Rng>,
    /// Lanes whose mail is late, and until when.
    late_lanes: RefCell<BTreeMap<Lane, Instant>>,
    /// Its name in the dice: a server that was started again has others.
    dice: String,
    /// Per `buggify` site: its dice, or nothing if this seed leaves it alone.
    buggify: RefCell<BTreeMap<&'static str, Option<Rng>>>,
}

impl SimRuntime {
    /// The virtual thread called `site` of a server that was started `boots` times before.
    pub fn new(shared: Shared, site: &str, boots: usize) -> Self {
        let dice = match boots {
            0 => site.to_owned(),
            again => format!("{site}, boot {again}"),
        };
        let counts = shared.net.counts().clone();
        let clock = shared.clocks.of_site(shared.seed, &dice);
        if clock.is_skewed() {
            counts.count(Fault::SkewedClock);
        }
        let order = shared.order.build(shared.seed, &dice, counts);
        let arranging = seed::rng(shared.seed, &format!("arrange/{dice}"));
        Self(Rc::new(Inner {
            site: site.into(),
            executor: Executor::with_order(order),
            timers: Rc::new(RefCell::new(Timers::new())),
            now: Cell::new(clock.show(now())),
            clock,
            late_lanes: RefCell::default(),
            dice,
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
        let now = self.0.clock.show(now());
        self.0.now.set(now);
        let mut due = Vec::new();
        self.0.timers.borrow_mut().fire(now, &mut due);
        for waker in due {
            waker.wake();
        }
    }

    /// When it wants to be ticked next at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.0.timers.borrow().next_deadline();
        deadline.map(|at| self.0.clock.when(at))
    }

    /// Timers waiting.
    pub fn timers(&self) -> usize {
        self.0.timers.borrow().len()
    }

    /// Deals the lanes' messages out in a seeded interleaving; within a lane order holds.
    fn deal<T>(&self, batch: &mut Vec<(Lane, T)>) {
        let rng = &mut *self.0.arranging.borrow_mut();
        let mut lanes: BTreeMap<Lane, VecDeque<T>> = BTreeMap::new();
        for (lane, message) in batch.drain(..) {
            lanes.entry(lane).or_default().push_back(message);
        }
        if lanes.len() > 1 {
            self.0.shared.net.counts().count(Fault::LanesDealt);
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

    /// Moves the messages of late lanes to the end; tells how many they are, and when to look again.
    fn keep_late_lanes<T>(&self, batch: &mut [(Lane, T)]) -> Option<(usize, Instant)> {
        let Mail { late, late_ms } = self.0.shared.mail.get();
        if late <= 0.0 {
            return None;
        }
        let now = self.now();
        let rng = &mut *self.0.arranging.borrow_mut();
        let late_lanes = &mut *self.0.late_lanes.borrow_mut();
        let mut lanes: Vec<Lane> = batch.iter().map(|(lane, _)| *lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        for lane in lanes {
            // One whose time is over is not late again at once.
            if !late_lanes.contains_key(&lane) && happens(rng, late) {
                self.0.shared.net.counts().count(Fault::LaneLate);
                let late = Duration::from_millis(rng.u64(1..=late_ms.max(1)));
                late_lanes.insert(lane, now + late);
            }
        }
        late_lanes.retain(|_, until| *until > now);
        // Stable: the order within each lane stays.
        batch.sort_by_key(|(lane, _)| late_lanes.contains_key(lane));
        let kept = batch
            .iter()
            .rev()
            .take_while(|(lane, _)| late_lanes.contains_key(lane))
            .count();
        let next = late_lanes.values().min().copied()?;
        (kept > 0).then_some((kept, next))
    }
}

impl Runtime for SimRuntime {
    type Socket = SimSocket;
    type Conn = SimConn;
    type Listener = SimListener;
    type Disk = SimDisk;

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
        self.0.shared.clocks.wall(now())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        Sleep::new(&self.0.timers, at)
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        match name {
            "connection" => {
                let accounted = self.0.shared.memory.accounts_for(future);
                self.0.executor.spawn(name, accounted)
            }
            _ => self.0.executor.spawn(name, future),
        }
    }

    fn disk(&self) -> SimDisk {
        self.0.shared.disk.on(self)
    }

    fn entropy(&self, purpose: &'static str) -> Rng {
        let purpose = format!("entropy/{}/{purpose}", self.0.dice);
        seed::rng(self.0.shared.seed, &purpose)
    }

    fn buggify(&self, site: &'static str) -> bool {
        if self.0.shared.buggify <= 0.0 {
            return false;
        }
        let mut sites = self.0.buggify.borrow_mut();
        let dice = sites.entry(site).or_insert_with(|| {
            let purpose = format!("buggify/{site}/{}", self.0.dice);
            let mut rng = seed::rng(self.0.shared.seed, &purpose);
            happens(&mut rng, self.0.shared.buggify).then_some(rng)
        });
        let yes = dice.as_mut().is_some_and(|rng| happens(rng, BUGGIFY_RATE));
        let listed = SITES.iter().find(|(name, _)| yes && *name == site);
        if let Some((_, fault)) = listed {
            self.0.shared.net.counts().count(*fault);
        }
        yes
    }

    fn arrange<T>(&self, batch: &mut Vec<(Lane, T)>) -> Option<(usize, Instant)> {
        if self.0.shared.order != OrderKind::Fifo && batch.len() > 1 {
            self.deal(batch);
        }
        self.keep_late_lanes(batch)
    }

    fn trace(&self, event: core::fmt::Arguments<'_>) {
        let text = event.to_string();
        let seen = Observation::Server { text };
        self.0.shared.journal.note(now(), &self.0.site, &seen);
    }
}
