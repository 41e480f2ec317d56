//! The same scripts in both worlds: inside the simulator, and over real sockets against the production runtimes.
//! What each client is told and gets must mean the same. (Invariant 22 of the reference, its second half.)
//!
//! Only scenarios without faults, whose meaning depends on no race: who is first is settled by hundreds of milliseconds.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "one of the two worlds is the real one: it has sockets, threads and a clock"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::Server;
use millstream::config::Backend;
use millstream::runtime::shard::{self, ShardConn, ShardRuntime};
use millstream::runtime::{RawSocket, Runtime, SocketAddr};
use millstream::time::{Duration, Instant};
use millstream_sim::checkers::Leftovers;
use millstream_sim::client::{Stage, play_script};
use millstream_sim::journal::{Event, Journal, Observation};
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::{seed, world};

/// Scripts that have not ended by then hang.
const SCRIPTS_TIME: Duration = Duration::from_secs(30);

/// Real sockets, on the runtime that the clients run on.
#[derive(Clone)]
struct RealStage {
    runtime: ShardRuntime,
    server: SocketAddr,
    /// When the scripts' clock began.
    began: Duration,
}

impl Stage for RealStage {
    type Conn = ShardConn;

    fn connect(&self, _: &str, _: usize) -> impl Future<Output = io::Result<ShardConn>> {
        // On loopback a connect does not wait.
        let adopted = TcpStream::connect(self.server)
            .and_then(RawSocket::try_from)
            .and_then(|socket| self.runtime.adopt(socket));
        std::future::ready(adopted)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.runtime.now().since(Instant::ZERO + self.began)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        self.runtime.sleep_until(at + self.began)
    }
}

/// What a client saw, without its times: those of its observations that the server answers for.
type Transcript = BTreeMap<String, Vec<String>>;

fn transcript(events: &[Event]) -> Transcript {
    let mut all = Transcript::new();
    for event in events {
        let line = match &event.seen {
            Observation::Received {
                kind,
                timestamp,
                payload,
                ..
            } => format!(
                "{kind:?} at {} ms: {:016x}",
                timestamp.0,
                seed::digest(payload)
            ),
            Observation::Connected
            | Observation::Told { .. }
            | Observation::Publishes { .. }
            | Observation::Plays { .. }
            | Observation::Starved { .. }
            | Observation::Lost { .. } => event.seen.to_string(),
            _ => continue,
        };
        all.entry(event.who.to_string()).or_default().push(line);
    }
    all
}

fn simulated(scenario: &Scenario) -> Transcript {
    let report = world::run_with(scenario, true);
    assert_eq!(report.outcome(), Outcome::Pass, "{:?}", report.violations);
    let mut seen = transcript(&report.events);
    seen.retain(|who, _| {
        scenario
            .clients
            .iter()
            .any(|script| is_of(who, &script.name))
    });
    seen
}

/// A script, or its second play.
fn is_of(who: &str, script: &str) -> bool {
    who.strip_prefix(script)
        .is_some_and(|rest| rest.is_empty() || rest == "/2")
}

fn start(scenario: &Scenario, backend: Backend) -> Server {
    let mut builder = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .runtime(backend)
        .shards(scenario.shards);
    if let Some(bytes) = scenario.server.chunk_size {
        builder = builder.chunk_size(bytes);
    }
    if let Some(frames) = scenario.server.gop_cache {
        builder = builder.gop_cache(frames);
    }
    if let Some(bytes) = scenario.server.window_ack_size {
        builder = builder.window_ack_size(bytes);
    }
    builder.start().unwrap()
}

/// Plays the scripts over real sockets, and lets the simulator's checkers judge that world too.
fn real(scenario: &Scenario, backend: Backend) -> Transcript {
    let server = start(scenario, backend);
    let (address, stop) = (server.local_addrs()[0], server.stop_handle());
    let journal = Journal::new();
    journal.keep_events();
    let (scripts, world_seed) = (scenario.clients.clone(), scenario.seed);
    let noted = journal.clone();
    shard::run(|runtime| async move {
        let stage = RealStage {
            server: address,
            began: runtime.now().since(Instant::ZERO),
            runtime: runtime.clone(),
        };
        let playing = Rc::new(Cell::new(scripts.len()));
        for script in scripts {
            let (stage, journal, playing) = (stage.clone(), noted.clone(), playing.clone());
            let play = async move {
                play_script(stage, journal, world_seed, script).await;
                playing.set(playing.get() - 1);
            };
            runtime.spawn("script", play).detach();
        }
        while playing.get() > 0 && stage.now() < Instant::ZERO + SCRIPTS_TIME {
            stage
                .sleep_until(stage.now() + Duration::from_millis(5))
                .await;
        }
        assert_eq!(playing.get(), 0, "scripts have not ended");
        noted.note(stage.now(), "world", &Observation::Stops);
    })
    .unwrap();
    stop.stop();
    server.wait().unwrap();
    let (_, verdict) = journal.finish(Instant::ZERO, &Leftovers::new());
    assert!(
        verdict.violations.is_empty(),
        "{backend:?}: {:?}",
        verdict.violations
    );
    transcript(&journal.take_events())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/both")
}

fn compare(scenario: &Scenario, name: &str) {
    let ours = simulated(scenario);
    for who in ours.keys() {
        assert!(!ours[who].is_empty());
    }
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let theirs = real(scenario, backend);
        let clients: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        for who in clients {
            let empty = Vec::new();
            let (one, other) = (
                ours.get(who).unwrap_or(&empty),
                theirs.get(who).unwrap_or(&empty),
            );
            let parts = one.iter().zip(other).position(|(one, other)| one != other);
            let at = parts.unwrap_or(one.len().min(other.len()));
            assert!(
                one == other,
                "{name}, {backend:?}: {who} parts at its observation {at}:\n  simulated: {:?}\n  real:      {:?}\n  before:    {:?}",
                one.get(at),
                other.get(at),
                one.get(at.wrapping_sub(1)),
            );
        }
    }
}

#[test]
fn the_same_scripts_mean_the_same_in_the_simulator_and_over_real_sockets() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let scenario = Scenario::load(&file).unwrap();
        compare(&scenario, &file.file_name().unwrap().to_string_lossy());
    }
}

#[test]
fn another_meaning_is_noticed() {
    let file = folder().join("a-day-of-a-stream.json");
    let scenario = Scenario::load(&file).unwrap();
    let mut other = scenario.clone();
    other.server.gop_cache = Some(0);
    assert_ne!(simulated(&scenario), simulated(&other));
}
