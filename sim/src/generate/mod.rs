//! Scenarios drawn from a seed: who publishes, plays and does harm, and what goes wrong.
//!
//! [`scenarios`] is a proptest strategy, put together from one file a subject; [`scenario`] draws one of its values from
//! a seed. Which kinds of behaviour a seed has at all is drawn first ([`Kind`]), how often they happen then.

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::clocks::Clocks;
use crate::faults::FaultConfig;
use crate::order::OrderKind;
use crate::scenario::{Expect, FORMAT, Mail, Network, Scenario, ServerConfig, Step};
use crate::seed::{self, happens};

mod audit;
mod calm;
mod few;
mod flood;
mod operator;
mod pieces;
mod players;
mod publishers;
mod records;
mod rewinds;
mod role;
mod storms;
mod strangers;
mod swarm;
mod tight;
mod trouble;

pub use audit::behaviours;
pub use swarm::Kind;

use pieces::pick;
use role::{Role, cast};
use swarm::{Swarm, swarm};

/// The scenario of `world_seed`, always the same.
///
/// # Panics
/// Never: no strategy here rejects what it has drawn.
pub fn scenario(world_seed: u64) -> Scenario {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&world_seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tree = with_seeds(Just(world_seed).boxed()).new_tree(&mut runner);
    tree.expect("nothing is rejected").current()
}

/// Any scenario. Its seed does not shrink: it is not a size.
pub fn scenarios() -> impl Strategy<Value = Scenario> {
    with_seeds(any::<u64>().no_shrink().boxed())
}

fn with_seeds(seeds: BoxedStrategy<u64>) -> impl Strategy<Value = Scenario> {
    (seeds, swarm(), mood()).prop_flat_map(|(seed, swarm, mood)| world(seed, swarm, mood))
}

/// What kind of world it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    /// Anything may go wrong.
    Wild,
    /// Nothing goes wrong by itself.
    Calm,
    /// It lasts until the server's timeouts are due.
    Long,
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![8 => Just(Mood::Wild), 4 => Just(Mood::Calm), 1 => Just(Mood::Long)]
}

/// Milliseconds of a tick where most of the time nobody does anything.
const LONG_TICK_MS: u64 = 20;

/// What is drawn of the world itself: shards, settings, and the seed of what goes wrong. Nothing of the last shrinks here,
/// the shrinker of failing runs leaves it out.
type Stage = (usize, ServerConfig, u64);

fn world(seed: u64, swarm: Swarm, mood: Mood) -> impl Strategy<Value = Scenario> {
    // In a calm world everybody is understood.
    let swarm = match mood {
        Mood::Calm => swarm.without(Kind::Clears),
        Mood::Wild | Mood::Long => swarm,
    };
    let stage = (1_usize..5, server(mood), any::<u64>().no_shrink());
    (stage, roles(swarm, mood))
        .prop_map(move |(stage, roles)| assemble(seed, swarm, mood, stage, roles))
}

fn assemble(seed: u64, swarm: Swarm, mood: Mood, stage: Stage, roles: Vec<Role>) -> Scenario {
    let (shards, server, trouble) = stage;
    let mut scenario = Scenario {
        format: FORMAT,
        story: None,
        seed,
        swarm: swarm.kinds(),
        shards,
        order: OrderKind::default(),
        server,
        faults: FaultConfig::default(),
        network: Network::default(),
        disk: crate::disk::DiskFaults::default(),
        outages: Vec::new(),
        operator: Vec::new(),
        clocks: Clocks::default(),
        mail: Mail::default(),
        stop_ms: None,
        buggify: 0.0,
        planted: None,
        canary: false,
        clients: cast(roles),
        expect: Expect::default(),
    };
    let mut rng = Rng::with_seed(trouble);
    trouble::strike(&mut scenario, &mut rng);
    if mood == Mood::Wild {
        operator::meddles(&mut scenario);
    } else {
        trouble::spare(&mut scenario, &mut rng);
    }
    trouble::conflicts(&mut scenario, &mut rng);
    if mood == Mood::Calm {
        few::come(&mut scenario, &mut rng);
        tight::come(&mut scenario, &mut rng);
        operator::ousts(&mut scenario);
        flood::come(&mut scenario, &mut rng);
    }
    if mood == Mood::Long {
        scenario.network.tick_ms = LONG_TICK_MS;
    }
    some_reconnect(&mut scenario);
    records::come(&mut scenario, mood == Mood::Wild);
    rewinds::come(&mut scenario);
    records::choose_format(&mut scenario);
    scenario
}

/// Where the server is told to stop, some clients say that they can be asked to reconnect.
fn some_reconnect(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/reconnects");
    if scenario.stop_ms.is_none() || !happens(rng, 0.8) {
        return;
    }
    if rng.bool() {
        // Nothing else may end a connection then, and there is time to ask.
        scenario.network.events.clear();
        scenario.outages.clear();
        scenario.clocks = Clocks::default();
        scenario.server.drain_ms = None;
    }
    let steps = scenario.clients.iter_mut().flat_map(|it| &mut it.steps);
    for step in steps {
        if let Step::Connect(connect) = step {
            connect.reconnects = rng.bool();
        }
    }
}

/// Who is in it.
fn roles(swarm: Swarm, mood: Mood) -> impl Strategy<Value = Vec<Role>> {
    let mut groups: Vec<BoxedStrategy<Vec<Role>>> = vec![
        vec(publishers::publisher(swarm), 1..5).boxed(),
        vec(players::player(swarm), 2..7).boxed(),
    ];
    if swarm.has(Kind::Duplicates) {
        groups.push(publishers::duplicates(swarm));
    }
    if swarm.has(Kind::Storms) {
        groups.push(vec(players::storm(swarm), 1..3).boxed());
        groups.push(vec(storms::publisher(swarm), 0..2).boxed());
        groups.push(vec(storms::fickle(), 0..3).boxed());
    }
    if swarm.has(Kind::Handovers) {
        groups.push(storms::rivals(swarm));
        groups.push(vec(players::stayer(swarm), 1..3).boxed());
    }
    if swarm.has(Kind::Pings) && swarm.has(Kind::SlowReaders) {
        groups.push(vec(strangers::glutton(), 0..2).boxed());
    }
    if swarm.has(Kind::Strangers) {
        groups.push(vec(strangers::stranger(), 1..3).boxed());
    }
    match mood {
        Mood::Wild => {}
        Mood::Calm => {
            groups.push(calm::roles(swarm));
            groups.push(prop_oneof![Just(Vec::new()).boxed(), calm::successions(swarm)].boxed());
        }
        Mood::Long => {
            groups.push(strangers::sleepers(swarm));
            groups.push(prop_oneof![Just(Vec::new()).boxed(), strangers::stalled()].boxed());
        }
    }
    groups.prop_map(|groups| groups.concat())
}

fn server(mood: Mood) -> impl Strategy<Value = ServerConfig> {
    let rings = match mood {
        // Little of the past: then a viewer depends on what begins next, of tracks that do not all begin at once.
        Mood::Calm => (pick(&[None, Some(0), Some(0), Some(3)]), pick(&[None])),
        Mood::Wild | Mood::Long => (
            pick(&[None, None, None, None, Some(0), Some(3), Some(10), Some(50)]),
            pick(&[None, None, None, Some(4), Some(16), Some(64)]),
        ),
    };
    (
        pick(&[
            None,
            None,
            None,
            None,
            None,
            Some(1),
            Some(128),
            Some(1_000),
            Some(65_536),
        ]),
        rings,
        pick(&[None, None, None, None, Some(1_000), Some(100_000)]),
        pick(&[
            None,
            None,
            None,
            None,
            None,
            None,
            Some(0),
            Some(100),
            Some(1_000),
        ]),
        pick(&[None, None, None, None, Some(2), Some(8)]),
    )
        .prop_map(
            |(chunk_size, (gop_cache, ring_frames), window_ack_size, drain_ms, mailbox_backlog)| {
                ServerConfig {
                    chunk_size,
                    gop_cache,
                    ring_frames,
                    mailbox_backlog,
                    merge_ms: None,
                    few: None,
                    tight: None,
                    media_bytes: None,
                    connections: None,
                    connections_per_address: None,
                    connects_per_second: None,
                    window_ack_size,
                    drain_ms,
                    on_conflict: None,
                    grace_ms: None,
                    record: None,
                }
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_scenario_which_survives_its_file() {
        for seed in 0..50 {
            let scenario = scenario(seed);
            assert_eq!(scenario, super::scenario(seed));
            assert_eq!(scenario.check(), Ok(()));
            let text = scenario.to_json().unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        }
        assert_ne!(scenario(1).clients, scenario(2).clients);
    }
}
