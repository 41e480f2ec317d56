//! The server's host: every virtual thread of it, polled inside one turmoil host in seeded order.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use millstream::media::directory::StreamKey;
use millstream::runtime::{Runtime, SocketAddr};
use millstream::server::event::EventSink;
use millstream::server::gate::Attendance;
use millstream::server::meters::End;
use millstream::server::report::{Answer, Ask, ClientRow};
use millstream::server::shard::Shard;
use millstream::server::{OperatorHandle, control, world};
use millstream::time::Instant;
use millstream::{limits, planted};

use crate::checkers::{Leftovers, Tally};
use crate::net::{SimListener, now};
use crate::order::OrderKind;
use crate::runtime::{Shared, SimRuntime};
use crate::{seed, watch};

/// The port the server listens on.
pub const PORT: u16 = 1_935;

/// Polls of one virtual thread in one virtual millisecond: a busy loop fails rather than hangs. A megabyte
/// read byte by byte stays far below.
const POLLS_PER_TICK: u64 = 200_000;

/// What runs on the server's host.
pub trait Software {
    /// Starts it: spawns what it needs on the virtual threads.
    fn boot(&self, sites: Sites) -> Running;
}

/// Where to run.
pub struct Sites {
    /// The control thread.
    pub control: SimRuntime,
    /// The data shards.
    pub shards: Vec<SimRuntime>,
    /// Where clients will come.
    pub listener: SimListener,
}

/// Who looks into a running server, and interferes.
pub trait Operator {
    /// Has the connection of `peer` closed; false if there is none.
    fn kicks(&self, peer: SocketAddr) -> bool;

    /// Has what is published as `name` ended; whose it was, if somebody's.
    fn ends(&self, name: &str) -> Option<SocketAddr>;

    /// What was counted so far.
    fn tally(&self) -> Tally;
}

/// A running server's handles.
pub struct Running {
    /// Its operator, if it can have one.
    pub operator: Option<Box<dyn Operator>>,
    /// Asks it to stop gracefully.
    pub stop: Box<dyn Fn()>,
    /// What it holds.
    pub census: Box<dyn Fn() -> Leftovers>,
    /// Of which queue it holds more than it may, if of any.
    pub excess: Box<dyn Fn() -> Option<String>>,
    /// What it still held when it had ended after a graceful stop.
    pub estate: Box<dyn Fn() -> Leftovers>,
}

/// The server's host as the world sees it from outside; clones share it.
#[derive(Clone, Default)]
pub struct Host(Rc<Inner>);

#[derive(Default)]
struct Inner {
    sites: RefCell<Vec<SimRuntime>>,
    running: RefCell<Option<Running>>,
    /// Tasks of each site when the server had booted and nobody had come yet.
    baseline: RefCell<Option<Vec<usize>>>,
    over: Cell<bool>,
    /// How often it was started.
    boots: Cell<usize>,
    /// What the sites of earlier boots did.
    earlier: RefCell<Vec<(String, u64, u64)>>,
}

impl Host {
    /// Boots `software` on a control thread and `shards` data shards, and runs it until all its tasks end.
    pub async fn run(self, shared: Shared, shards: usize, software: Rc<dyn Software>) {
        let listener = match SimListener::bind(PORT).await {
            Ok(listener) => listener,
            Err(error) => {
                let what = format!("the server cannot listen: {error}");
                return shared.journal.fail(now(), "world", what);
            }
        };
        let boots = self.0.boots.replace(self.0.boots.get() + 1);
        let site = |name: &str| SimRuntime::new(shared.clone(), name, boots);
        let control = site("control");
        let shards: Vec<SimRuntime> = (0..shards).map(|id| site(&format!("shard {id}"))).collect();
        let mut sites = shards.clone();
        sites.push(control.clone());
        self.0.sites.borrow_mut().clone_from(&sites);
        let running = software.boot(Sites {
            control,
            shards,
            listener,
        });
        *self.0.running.borrow_mut() = Some(running);
        let clear = ClearAtEnd(sites.clone());
        Driver::new(self.clone(), shared, sites).await_end().await;
        drop(clear);
        self.0.over.set(true);
        // The machine stays, without the server: turmoil delivers nothing to a host that has ended, so
        // whoever connects now would hang instead of being refused.
        core::future::pending::<()>().await;
    }

    /// The server is gone, with all that it held; call it once its tasks are dropped.
    pub fn bury(&self) {
        let work = self.work_of_sites();
        self.0.earlier.borrow_mut().extend(work);
        self.0.sites.borrow_mut().clear();
        *self.0.running.borrow_mut() = None;
        *self.0.baseline.borrow_mut() = None;
    }

    /// Whether it has booted, and is not gone again.
    pub fn is_up(&self) -> bool {
        self.0.running.borrow().is_some()
    }

    /// Asks the server to stop gracefully.
    pub fn stop(&self) {
        if let Some(running) = &*self.0.running.borrow() {
            (running.stop)();
        }
    }

    /// Asks the operator, if there is one.
    pub fn operate<T>(&self, act: impl FnOnce(&dyn Operator) -> T) -> Option<T> {
        let running = self.0.running.borrow();
        running.as_ref()?.operator.as_deref().map(act)
    }

    /// How often it was started.
    pub fn boots(&self) -> usize {
        self.0.boots.get()
    }

    /// Whether all tasks of the server have ended.
    pub fn is_over(&self) -> bool {
        self.0.over.get()
    }

    /// What the server holds beyond what it held when nobody had come yet.
    pub fn leftovers(&self) -> Leftovers {
        let mut left = match &*self.0.running.borrow() {
            Some(running) => (running.census)(),
            None => Leftovers::new(),
        };
        let baseline = self.0.baseline.borrow();
        for (index, site) in self.0.sites.borrow().iter().enumerate() {
            let base = baseline.as_ref().and_then(|counts| counts.get(index));
            let extra = site
                .executor()
                .task_count()
                .saturating_sub(*base.unwrap_or(&0));
            left.insert(format!("tasks on {}", site.site()), extra as u64);
        }
        left
    }

    /// Of which queue the server holds more than it may, if of any.
    pub fn excess(&self) -> Option<String> {
        let running = self.0.running.borrow();
        running.as_ref().and_then(|running| (running.excess)())
    }

    /// What the server says it still held when it had ended.
    pub fn estate(&self) -> Leftovers {
        let running = self.0.running.borrow();
        running
            .as_ref()
            .map(|running| (running.estate)())
            .unwrap_or_default()
    }

    /// Timers on data shards that no task waits for any more, when all connections have gone: of those that are left
    /// only the inbox sleeps, and only for late mail.
    pub fn forgotten_timers(&self) -> usize {
        let sites = self.0.sites.borrow();
        let shards = sites.iter().filter(|site| site.site() != "control");
        shards.map(|site| site.timers().saturating_sub(1)).sum()
    }

    /// Tasks and timers that outlived a graceful stop.
    pub fn remains(&self) -> Leftovers {
        let mut left = Leftovers::new();
        for site in self.0.sites.borrow().iter() {
            let tasks = site.executor().task_count() as u64;
            left.insert(format!("tasks on {} after the stop", site.site()), tasks);
            let timers = site.timers() as u64;
            left.insert(format!("timers on {} after the stop", site.site()), timers);
        }
        left
    }

    /// Per site of each boot: polls and panics.
    pub fn work(&self) -> Vec<(String, u64, u64)> {
        let mut work = self.0.earlier.borrow().clone();
        work.extend(self.work_of_sites());
        work
    }

    fn work_of_sites(&self) -> Vec<(String, u64, u64)> {
        let sites = self.0.sites.borrow();
        let work = |site: &SimRuntime| {
            let executor = site.executor();
            (site.site().to_owned(), executor.polls(), executor.panics())
        };
        sites.iter().map(work).collect()
    }
}

/// A task that holds its executor is a cycle: whatever ends the host (also a crash) must drop the tasks.
struct ClearAtEnd(Vec<SimRuntime>);

impl Drop for ClearAtEnd {
    fn drop(&mut self) {
        for site in &self.0 {
            site.executor().clear();
        }
    }
}

/// Polls the sites in turn until none has a task left.
struct Driver {
    host: Host,
    shared: Shared,
    sites: Vec<SimRuntime>,
    rng: Rng,
    /// The virtual millisecond that the budget of polls is for.
    tick: Option<u64>,
}

impl Driver {
    fn new(host: Host, shared: Shared, sites: Vec<SimRuntime>) -> Self {
        Self {
            rng: seed::rng(shared.seed, "sites"),
            host,
            shared,
            sites,
            tick: None,
        }
    }

    async fn await_end(mut self) {
        let mut alarm: Option<(Instant, core::pin::Pin<Box<tokio::time::Sleep>>)> = None;
        poll_fn(|cx| {
            loop {
                // The server's side alone: clients speak the same code, and have no bugs.
                let planted = self.shared.planted;
                let stuck = planted::during(planted, || self.run_all(cx));
                if stuck || self.sites.iter().all(is_idle) {
                    return Poll::Ready(());
                }
                let Some(at) = self.next_deadline() else {
                    return Poll::Pending;
                };
                if alarm.as_ref().is_none_or(|(set, _)| *set != at) {
                    let sleep = Box::pin(tokio::time::sleep(at.since(now())));
                    alarm = Some((at, sleep));
                }
                let Some((_, sleep)) = &mut alarm else {
                    return Poll::Pending;
                };
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                alarm = None;
            }
        })
        .await;
    }

    /// Runs every site until none has more to do; true if one is stuck in a busy loop.
    fn run_all(&mut self, cx: &Context<'_>) -> bool {
        for site in &self.sites {
            site.executor().set_parker(cx.waker().clone());
        }
        loop {
            self.grant_polls();
            if self.shared.order != OrderKind::Fifo {
                self.rng.shuffle(&mut self.sites);
            }
            for site in &self.sites {
                site.tick();
                site.executor().resume();
                let turn = || site.executor().turn();
                let turned = watch::around(|| catch_unwind(AssertUnwindSafe(turn)));
                if let Err(panic) = turned {
                    let what = said(panic.as_ref());
                    let what = format!("{}: {what}", site.site());
                    self.shared.journal.fail(now(), "livelock", what);
                    return true;
                }
            }
            if self.sites.iter().all(|site| site.executor().may_park()) {
                self.note_baseline();
                return false;
            }
        }
    }

    fn grant_polls(&mut self) {
        let tick = now().as_millis();
        if self.tick.replace(tick) != Some(tick) {
            for site in &self.sites {
                site.executor().set_budget(Some(POLLS_PER_TICK));
            }
        }
    }

    fn note_baseline(&self) {
        let baseline = &mut *self.host.0.baseline.borrow_mut();
        baseline.get_or_insert_with(|| {
            let sites = self.host.0.sites.borrow();
            sites
                .iter()
                .map(|site| site.executor().task_count())
                .collect()
        });
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.sites
            .iter()
            .filter_map(SimRuntime::next_deadline)
            .min()
    }
}

fn is_idle(site: &SimRuntime) -> bool {
    site.executor().task_count() == 0
}

/// What a panic said, if it said it in text.
fn said(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// The real server, as its binary runs it.
pub struct Millstream {
    /// Its settings.
    pub settings: millstream::server::Settings,
}

struct Desk {
    shards: Vec<Shard<SimRuntime>>,
    orders: OperatorHandle,
    attendance: Arc<Attendance>,
}

impl Desk {
    fn clients(&self) -> impl Iterator<Item = ClientRow> {
        let ask = Ask::Clients { from: 0 };
        let answers = self.shards.iter().map(move |shard| shard.answer(&ask));
        answers.flat_map(|answer| match answer {
            Answer::Clients(rows) => rows,
            _ => Vec::new(),
        })
    }
}

impl Operator for Desk {
    fn kicks(&self, peer: SocketAddr) -> bool {
        let found = self.clients().find(|client| client.address == peer);
        found.inspect(|it| self.orders.kick(it.id)).is_some()
    }

    fn ends(&self, name: &str) -> Option<SocketAddr> {
        let is_it = |client: &ClientRow| {
            client.role == Some("publish") && client.stream.as_deref() == Some(name)
        };
        let publisher = self.clients().find(is_it)?;
        self.orders.end_stream(StreamKey::new("", name));
        Some(publisher.address)
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally {
            accepted: self.attendance.accepted(),
            ..Tally::default()
        };
        for sums in self.shards.iter().map(Shard::sums) {
            let closed = |end: Option<End>| {
                let ended = sums.ended.iter();
                let ended = ended.filter(|(it, _)| end.is_none_or(|end| end == *it));
                ended.map(|(_, count)| count).sum::<u64>()
            };
            tally.closed += closed(None);
            tally.kicked += closed(Some(End::Kicked));
            tally.stream_ended += closed(Some(End::StreamEnded));
            tally.defects += closed(Some(End::Defect));
            tally.publications += sums.publications;
            tally.plays += sums.plays;
            tally.sent_bytes += sums.bytes_out;
            tally.received_bytes += sums.bytes_in;
            tally.frames += sums.frames_in;
            tally.jumps += sums.jumps.total();
            tally.record_gaps += sums.record_gaps;
        }
        tally
    }
}

/// Bytes of the largest picture that any script publishes, and some.
const LARGEST_PICTURE: u64 = 110_000;

/// What shards hold more of than they may.
fn excess<R: Runtime>(
    shards: &[Shard<R>],
    ring: usize,
    (media_bytes, chunk_size): (u64, u32),
) -> Option<String> {
    let censuses: Vec<_> = shards.iter().map(Shard::census).collect();
    // What one read brings is taken in whole before it is looked at, and each stream keeps its newest frame; laid out in
    // chunks of ours, of which each may have a byte of header and four of extended timestamp.
    let kept = censuses.iter().map(|census| census.ring_bytes).max();
    let taken = limits::SCRATCH_BYTES as u64 * 2;
    let slack = taken + taken.div_ceil(chunk_size.into()) * 5;
    let share = media_bytes / shards.len().max(1) as u64 + slack;
    if media_bytes > 0 && kept.unwrap_or(0) as u64 > share {
        return Some(format!("a shard keeps {kept:?} bytes of frames of {share}"));
    }
    for (shard, census) in shards.iter().zip(&censuses) {
        // Each recorder may make a little, whatever others hold, and the largest picture behind it; a vector doubles.
        let little = 2 * (limits::RECORD_BUFFER_MIN + LARGEST_PICTURE);
        let most = share / limits::RECORD_SHARE + shard.sums().recording * little;
        if media_bytes > 0 && census.record_held as u64 > most {
            let held = census.record_held;
            return Some(format!(
                "the recordings of a shard hold {held} bytes of at most {most}"
            ));
        }
    }
    let rings = censuses.iter().map(|census| census.fullest_ring);
    let fullest = rings.max().filter(|items| *items > ring)?;
    Some(format!("a ring of {ring} holds {fullest} frames"))
}

impl Software for Millstream {
    fn boot(&self, sites: Sites) -> Running {
        let plan = world(
            sites.shards.len(),
            self.settings.clone(),
            EventSink::default(),
        );
        let mut shards = Vec::new();
        for (runtime, plan) in sites.shards.into_iter().zip(plan.shards) {
            let shard = Shard::new(runtime.clone(), plan);
            runtime.spawn("shard", shard.clone().run()).detach();
            shards.push(shard);
        }
        let serve = control::run(
            sites.control.clone(),
            plan.control,
            vec![sites.listener],
            None,
        );
        let names: Rc<Cell<Option<usize>>> = Rc::default();
        let held = names.clone();
        let serve = async move { held.set(Some(serve.await)) };
        sites.control.spawn("control", serve).detach();
        let stop = plan.stop;
        let caches = self.settings.applications.all();
        let cache = caches.map(|settings| settings.gop_cache).max();
        let bound = self.settings.ring_frames.max(cache.unwrap_or(0)).max(1);
        let (media_bytes, chunk_size) =
            (self.settings.limits.media_bytes, self.settings.chunk_size);
        let counted = shards.clone();
        let desk = Desk {
            shards: shards.clone(),
            orders: plan.operator,
            attendance: plan.attendance,
        };
        Running {
            operator: Some(Box::new(desk)),
            excess: Box::new(move || excess(&counted, bound, (media_bytes, chunk_size))),
            stop: Box::new(move || stop.stop()),
            estate: Box::new(move || {
                let names = names.get().map(|names| names as u64);
                names
                    .map(|names| ("names in the directory".to_owned(), names))
                    .into_iter()
                    .collect()
            }),
            census: Box::new(move || {
                let mut left = Leftovers::new();
                for shard in &shards {
                    let census = shard.census();
                    for (what, count) in [
                        ("connections", census.connections),
                        ("streams", census.streams),
                        ("players", census.players),
                        ("bytes in rings", census.ring_bytes),
                        ("bytes of recordings", census.record_held),
                        ("unanswered requests", census.requests),
                    ] {
                        *left.entry(what.to_owned()).or_insert(0) += count as u64;
                    }
                }
                left
            }),
        }
    }
}
