//! A world from a scenario: builds it, runs it to its end, and tells what came out.

use core::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use millstream::limits::LATE_MAIL;
use millstream::time::{Duration, Instant};
use turmoil::Sim;

use crate::canary::CANARY;
use crate::checkers::climate::Climate;
use crate::checkers::{Leftovers, Violation};
use crate::client::{Stage, play_script};
use crate::clocks::EPOCH_MICROS;
use crate::disk::Platter;
use crate::faults::{Fault, FaultCounts};
use crate::host::{Host, Millstream, Software};
use crate::journal::{Event, Journal, Observation};
use crate::memory::Memory;
use crate::net::{Net, TCP_CAPACITY};
use crate::runtime::Shared;
use crate::scenario::{
    Expect, Intervention, LinkChange, LinkEvent, Mail, Outcome, Scenario, Script,
};
use crate::trace::Trace;

mod operator;
mod stage;
mod trouble;
mod witness;

use stage::SimStage;
use trouble::Trouble;
use witness::witnesses;

/// The checker of what connections cost.
const MEMORY: &str = "memory of a connection";
/// The name of the server's host.
const SERVER: &str = "server";
/// The name of the witnesses' host.
const WITNESSES: &str = "witnesses";
/// When the first script starts at the earliest: the server listens by then.
const CLIENTS_START: Duration = Duration::from_millis(20);
/// Scripts that have not ended by then hang.
const SCRIPTS_TIME: Duration = Duration::from_secs(600);
/// How long after the last client has gone something may be left: the server's longest timeout, and slack.
const SETTLE_TIME: Duration = Duration::from_secs(40);
/// The same after a cut: a player that is sent nothing is pinged, and the ping then has the kernel's user timeout.
const CUT_SETTLE_TIME: Duration = Duration::from_secs(75);
/// How long the witnesses at the end may take.
const WITNESS_TIME: Duration = Duration::from_secs(60);
/// The server's queues are measured once in so many ticks.
const MEASURED: u64 = 8;
/// How long after a stop the server may take beyond its drain time.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub trace: Trace,
    /// Everything that must not be, in order.
    pub violations: Vec<Violation>,
    /// How often each checker really checked something.
    pub exercised: Vec<(&'static str, u64)>,
    /// How often each fault fired.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long it all took, in virtual time.
    pub lasted: Duration,
    /// Everything that was seen, as data; empty unless asked for ([`run_with`]).
    pub events: Vec<Event>,
    /// What stands on the server's disk.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How often what went wrong with that disk.
    pub disk: BTreeMap<&'static str, u64>,
}

impl Report {
    /// How the run ended, as a scenario's file puts it.
    pub fn outcome(&self) -> Outcome {
        match self.violations.first() {
            None => Outcome::Pass,
            Some(violation) => Outcome::Fail(violation.checker.to_owned()),
        }
    }

    /// What a scenario's file has to expect from now on for this outcome.
    pub fn expectation(&self) -> Expect {
        Expect {
            outcome: self.outcome(),
            trace_hash: Some(self.trace.hash()),
            ..Expect::default()
        }
    }
}

/// Runs `scenario` against the real server.
pub fn run(scenario: &Scenario) -> Report {
    run_with(scenario, false)
}

/// Runs `scenario` against the real server, and with `keep_events` keeps every observation, to draw a picture of it.
pub fn run_with(scenario: &Scenario, keep_events: bool) -> Report {
    let settings = scenario.server.settings();
    let drain = settings.drain;
    live_through(
        scenario,
        Rc::new(Millstream { settings }),
        drain,
        keep_events,
    )
}

/// Runs `scenario` against any `software`, which ends within `drain` once it is stopped.
pub fn run_software(scenario: &Scenario, software: Rc<dyn Software>, drain: Duration) -> Report {
    live_through(scenario, software, drain, false)
}

fn live_through(
    scenario: &Scenario,
    software: Rc<dyn Software>,
    drain: Duration,
    keep_events: bool,
) -> Report {
    let mut world = World::new(scenario, software, drain);
    if keep_events {
        world.shared.journal.keep_events();
    }
    world.live(scenario);
    world.report(scenario)
}

struct World {
    sim: Sim<'static>,
    shared: Shared,
    host: Host,
    counts: FaultCounts,
    /// Scripts that have not ended.
    playing: Rc<Cell<usize>>,
    leftovers: Leftovers,
    /// When it is told to stop, and by when it must have ended then.
    stop_at: Option<Duration>,
    stopped_by: Option<Duration>,
    drain: Duration,
    trouble: Trouble,
    /// What an operator still does, the next last.
    interventions: Vec<Intervention>,
    /// Hosts of clients.
    hosts: usize,
    settle_time: Duration,
    broken: bool,
    /// Steps so far, and how often queues were measured.
    steps: u64,
    measured: u64,
}

impl World {
    fn new(scenario: &Scenario, software: Rc<dyn Software>, drain: Duration) -> Self {
        let journal = Journal::new();
        let counts = FaultCounts::default();
        if scenario.canary {
            journal.house_canary();
        }
        let faults = scenario.faults.clone();
        let net = Net::new(scenario.seed, faults, counts.clone(), journal.clone());
        let shared = Shared {
            seed: scenario.seed,
            order: scenario.order,
            buggify: scenario.buggify,
            clocks: Rc::new(scenario.clocks.clone()),
            mail: Rc::new(Cell::new(scenario.mail)),
            planted: scenario.planted,
            net,
            disk: Platter::new(scenario.seed, scenario.disk.clone()),
            journal,
            memory: Memory::default(),
        };
        let [low, high] = scenario.network.latency_ms.map(Duration::from_millis);
        let mut sim = turmoil::Builder::new()
            .rng_seed(scenario.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_micros(EPOCH_MICROS))
            .simulation_duration(Duration::MAX)
            .tick_duration(Duration::from_millis(scenario.network.tick_ms))
            .min_message_latency(low)
            .max_message_latency(high.max(low))
            .tcp_capacity(TCP_CAPACITY)
            .enable_random_order()
            .build();
        if let Some(curve) = scenario.network.curve {
            sim.set_message_latency_curve(curve);
            counts.count(Fault::LatencyCurve);
        }
        let host = Host::default();
        let parts = (host.clone(), shared.clone(), scenario.shards);
        sim.host(SERVER, move || {
            let (host, shared, shards) = parts.clone();
            let run = host.run(shared, shards, software.clone());
            async move {
                tokio::task::unconstrained(run).await;
                Ok(())
            }
        });
        let playing = Rc::default();
        let mut world = Self {
            sim,
            shared,
            host,
            counts,
            playing,
            leftovers: Leftovers::new(),
            stop_at: scenario.stop_ms.map(Duration::from_millis),
            stopped_by: None,
            drain,
            trouble: Trouble::new(&scenario.outages, &scenario.clocks.jumps),
            interventions: operator::in_order(&scenario.operator),
            hosts: scenario.network.hosts.max(1),
            settle_time: settle_time(scenario),
            broken: false,
            steps: 0,
            measured: 0,
        };
        let climate = Observation::Climate(Climate::of(scenario));
        world.shared.journal.whisper(world.now(), "world", &climate);
        world.add_clients(scenario);
        world
    }

    fn add_clients(&mut self, scenario: &Scenario) {
        if scenario.server.ring_frames.is_some() || scenario.server.media_bytes.is_some() {
            let seen = Observation::SmallRings;
            self.shared.journal.note(self.now(), "world", &seen);
        }
        let hosts = scenario.network.hosts.max(1);
        let mut scripts: Vec<Vec<Script>> = vec![Vec::new(); hosts];
        for script in &scenario.clients {
            scripts[script.host % hosts].push(script.clone());
        }
        for (host, scripts) in scripts.into_iter().enumerate() {
            self.add_host(&client_host(host), scripts);
        }
    }

    fn add_host(&mut self, name: &str, scripts: Vec<Script>) {
        self.playing.set(self.playing.get() + scripts.len());
        let shared = self.shared.clone();
        let playing = self.playing.clone();
        self.sim.client(name, async move {
            let stage = SimStage(shared.net.clone());
            stage.sleep_until(Instant::ZERO + CLIENTS_START).await;
            for script in scripts {
                let (stage, shared) = (stage.clone(), shared.clone());
                let playing = playing.clone();
                let play = async move {
                    play_script(stage, shared.journal, shared.seed, script).await;
                    playing.set(playing.get() - 1);
                };
                tokio::task::spawn_local(tokio::task::unconstrained(play));
            }
            // The host stays, to receive what is still under way to its clients.
            core::future::pending::<turmoil::Result>().await
        });
    }

    fn live(&mut self, scenario: &Scenario) {
        let mut events = scenario.network.events.clone();
        events.sort_by_key(|event| event.at_ms);
        let mut events = events.into_iter().peekable();
        while self.playing.get() > 0 && self.sim.elapsed() < SCRIPTS_TIME && self.step() {
            while let Some(event) = events.next_if(|event| self.millis() >= event.at_ms) {
                self.change_link(event.host % scenario.network.hosts, event.change);
            }
        }
        self.all_must_have_ended();
        self.end_outages();
        for event in events {
            if matches!(event.change, LinkChange::Release | LinkChange::Mend) {
                self.change_link(event.host % scenario.network.hosts, event.change);
            }
        }
        self.settle();
        if self.stopped_by.is_none() && !scenario.clients.is_empty() {
            self.call_witnesses(scenario);
            self.settle();
        }
        self.stop();
        let deadline = self.stopped_by.unwrap_or_default();
        while !self.host.is_over() && self.sim.elapsed() < deadline && self.step() {}
        if !self.host.is_over() {
            self.leftovers.extend(self.host.remains());
        }
        self.leftovers.extend(self.host.estate());
        self.add_up(scenario);
    }

    fn all_must_have_ended(&mut self) {
        if self.playing.get() > 0 && !self.broken {
            let what = format!("{} scripts have not ended", self.playing.get());
            self.fail("progress", what);
            self.broken = true;
        }
    }

    /// The world is healed and nobody is left: now a fresh publisher must get a name that was used before,
    /// and a fresh player must see it.
    fn call_witnesses(&mut self, scenario: &Scenario) {
        if self.broken {
            return;
        }
        self.world_line("the faults are over");
        // It was to fall into the scripts, and they ended before.
        self.stop_at = None;
        self.shared.net.heal();
        self.shared.disk.heal();
        self.await_mail(scenario);
        self.shared.mail.set(Mail::default());
        self.add_host(WITNESSES, witnesses(scenario));
        if scenario.network.curve.is_some() {
            // A heavy tail is a fault, and over; through a narrow window it would take minutes.
            let [low, _] = scenario.network.latency_ms.map(Duration::from_millis);
            self.sim.set_link_latency(SERVER, WITNESSES, low);
        }
        let deadline = self.sim.elapsed() + WITNESS_TIME;
        while self.playing.get() > 0 && self.sim.elapsed() < deadline && self.step() {}
        self.all_must_have_ended();
    }

    /// The last publisher's word that a name is free may come late, as everything may where mail does.
    fn await_mail(&mut self, scenario: &Scenario) {
        if scenario.mail.is_prompt() {
            return;
        }
        let late = Duration::from_millis(scenario.mail.late_ms) + LATE_MAIL * 2;
        let arrived = self.sim.elapsed() + late;
        while self.sim.elapsed() < arrived && self.step() {}
    }

    /// One tick of the world; false if it cannot go on.
    fn step(&mut self) -> bool {
        if self.broken {
            return false;
        }
        if let Err(error) = self.sim.step() {
            self.broken = true;
            // The text may hold a task's number, which differs from run to run.
            let text = error.to_string();
            let said = text.split_once("panicked").map_or(&*text, |(_, said)| said);
            self.fail("no panic", format!("a host ended: {said}"));
        }
        self.go_through_outages();
        self.intervene();
        self.measure();
        if self.host.is_up() && self.stop_at.is_some_and(|at| self.sim.elapsed() >= at) {
            if self.stopped_by.is_none() && self.playing.get() > 0 {
                self.counts.count(Fault::EarlyStop);
            }
            self.stop();
        }
        if self.host.is_over() && self.stopped_by.is_none() && !self.broken {
            self.broken = true;
            self.fail("no panic", "the server ended before it was told to".into());
        }
        if self.stopped_by.is_some_and(|by| self.sim.elapsed() > by) && !self.host.is_over() {
            self.broken = true;
            self.fail("graceful stop", "the server has not ended in time".into());
        }
        !self.broken
    }

    /// Whether the server's queues keep their bounds, now and then: they do not shrink soon.
    fn measure(&mut self) {
        self.steps += 1;
        if !self.steps.is_multiple_of(MEASURED) || !self.host.is_up() || self.broken {
            return;
        }
        self.measured += 1;
        if let Some(what) = self.host.excess() {
            self.broken = true;
            self.fail("queues keep their bounds", what);
        }
    }

    /// All clients have gone: waits until nothing is left of them, or for as long as something may be.
    fn settle(&mut self) {
        let deadline = self.sim.elapsed() + self.settle_time;
        while self.leftovers().values().any(|count| *count > 0) && self.sim.elapsed() < deadline {
            if !self.step() {
                break;
            }
        }
        self.leftovers = self.leftovers();
        // Now, as the longest of them would be gone by itself within the time to settle.
        let timers = self.host.forgotten_timers();
        if timers > 0 && self.leftovers.values().all(|count| *count == 0) {
            let what = format!("all have gone and there are still {timers} of their timers");
            self.fail("an empty world at the end", what);
        }
    }

    fn leftovers(&self) -> Leftovers {
        let mut left = self.host.leftovers();
        left.insert("sockets".into(), self.shared.net.server_sockets());
        left.insert("ends of connections".into(), self.shared.net.windows());
        left
    }

    /// Tells the server to stop, once.
    fn stop(&mut self) {
        if self.stopped_by.is_none() && !self.broken {
            let journal = &self.shared.journal;
            journal.note(self.now(), "world", &Observation::Stops);
            self.host.stop();
            self.stopped_by = Some(self.sim.elapsed() + self.drain + STOP_SLACK);
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.sim.elapsed()
    }

    fn world_line(&self, text: &str) {
        let text = text.to_owned();
        let seen = Observation::World { text };
        self.shared.journal.note(self.now(), "world", &seen);
    }

    fn fail(&self, checker: &'static str, what: String) {
        self.shared.journal.fail(self.now(), checker, what);
    }

    fn report(self, scenario: &Scenario) -> Report {
        let work = self.host.work();
        for (site, polls, panics) in &work {
            self.world_line(&format!("{site} took {polls} polls"));
            if *panics > 0 {
                self.world_line(&format!("{panics} tasks panicked on {site}"));
            }
        }
        let polls: u64 = work.iter().map(|(_, polls, _)| polls).sum();
        let panics: u64 = work.iter().map(|(_, _, panics)| panics).sum();
        let injected = self.counts.of(Fault::TaskPanic);
        if panics != injected {
            let what = format!("{panics} tasks panicked, {injected} of them injected");
            self.fail("no panic", what);
        }
        let mut faults = self.counts.totals();
        faults.extend(self.shared.disk.counts());
        if self.shared.journal.canary_sang() {
            faults.insert(CANARY, 1);
        }
        let costs = self.shared.memory.costs();
        let chunk_size = scenario.server.chunk_size;
        let chunk_size = chunk_size.unwrap_or(millstream::limits::CHUNK_SIZE_DEFAULT);
        if costs.iter().any(|cost| cost.peak > cost.cap(chunk_size)) {
            let what = "a connection took more memory than it may for what it sent".to_owned();
            self.fail(MEMORY, what);
        }
        let at = self.now();
        let (trace, mut verdict) = self.shared.journal.finish(at, &self.leftovers);
        // Each is counted against the budget of its millisecond before it is made.
        verdict.exercised.push((MEMORY, costs.len() as u64));
        verdict.exercised.push(("polls within their budget", polls));
        verdict
            .exercised
            .push(("queues keep their bounds", self.measured));
        Report {
            trace,
            violations: verdict.violations,
            exercised: verdict.exercised,
            faults,
            lasted: self.sim.elapsed(),
            events: self.shared.journal.take_events(),
            files: self.shared.disk.files(),
            disk: self.shared.disk.counts(),
        }
    }
}

fn settle_time(scenario: &Scenario) -> Duration {
    match scenario.network.events.iter().any(LinkEvent::cuts) {
        true => CUT_SETTLE_TIME,
        false => SETTLE_TIME,
    }
}

fn client_host(host: usize) -> String {
    format!("clients-{host}")
}
