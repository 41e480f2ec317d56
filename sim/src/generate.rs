//! Scenarios drawn from a seed: a few publishers and players of a few hot names, and a swarm of faults.

use fastrand::Rng;

use crate::faults::FaultConfig;
use crate::order::OrderKind;
use crate::scenario::{
    Connect, Expect, FORMAT, LinkChange, LinkEvent, Network, ReadPace, Scenario, Script, SendMedia,
    ServerConfig, Step, Stream,
};
use crate::seed::{self, happens};

/// The scenario of `world_seed`.
pub fn scenario(world_seed: u64) -> Scenario {
    let rng = &mut seed::rng(world_seed, "scenario");
    let network = network(rng);
    let mut clients = Vec::new();
    for n in 0..rng.usize(1..4) {
        clients.push(publisher(rng, n));
    }
    for n in 0..rng.usize(1..6) {
        clients.push(player(rng, n));
    }
    Scenario {
        format: FORMAT,
        story: None,
        seed: world_seed,
        shards: rng.usize(1..5),
        order: OrderKind::ALL[rng.usize(..OrderKind::ALL.len())],
        server: server(rng),
        faults: if rng.u8(..5) == 0 {
            FaultConfig::default()
        } else {
            FaultConfig::draw(rng)
        },
        network,
        stop_ms: happens(rng, 0.15).then(|| rng.u64(50..4_000)),
        buggify: if rng.bool() { 0.25 } else { 0.0 },
        clients,
        expect: Expect::default(),
    }
}

fn server(rng: &mut Rng) -> ServerConfig {
    let sometimes = |rng: &mut Rng| rng.u8(..3) == 0;
    ServerConfig {
        chunk_size: sometimes(rng).then(|| *pick(rng, &[1, 128, 1_000, 4_096, 65_536])),
        gop_cache: rng.bool().then(|| *pick(rng, &[0, 3, 10, 50])),
        window_ack_size: sometimes(rng).then(|| *pick(rng, &[1_000, 100_000])),
        drain_ms: None,
    }
}

fn network(rng: &mut Rng) -> Network {
    let low = rng.u64(0..20);
    let hosts = rng.usize(1..3);
    let mut events = Vec::new();
    if happens(rng, 0.3) {
        let at_ms = rng.u64(50..3_000);
        let host = rng.usize(..hosts);
        for (at_ms, change) in [
            (at_ms, LinkChange::Hold),
            (at_ms + rng.u64(10..2_000), LinkChange::Release),
        ] {
            events.push(LinkEvent {
                at_ms,
                host,
                change,
            });
        }
    }
    Network {
        latency_ms: [low, low + rng.u64(0..50)],
        hosts,
        events,
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// Few names, so that they are hot: independent claims of cold names never meet.
fn stream(rng: &mut Rng) -> Stream {
    let name = if rng.u8(..4) == 0 { "other" } else { "hot" };
    Stream {
        name: name.into(),
        may_be_refused: true,
    }
}

/// Many clients start at the same instant, others anywhere: meeting is what breaks things.
fn start(rng: &mut Rng) -> u64 {
    if rng.bool() { 100 } else { rng.u64(20..2_500) }
}

fn connect(rng: &mut Rng) -> Step {
    Step::Connect(Connect {
        chunk_size: *pick(rng, &[128, 128, 1_024, 4_096, 60_000]),
        digest: rng.bool(),
        pipelined: rng.u8(..4) == 0,
        ..Connect::default()
    })
}

fn media(rng: &mut Rng) -> SendMedia {
    SendMedia {
        frames: rng.usize(1..150),
        gop: rng.u32(1..20),
        picture_ms: *pick(rng, &[16, 33, 40]),
        audio_ms: *pick(rng, &[0, 21, 23]),
        picture_bytes: *pick(rng, &[200, 2_000, 20_000]),
        first_timestamp: *pick(rng, &[0, 0, 1_000, 0x00ff_fe00, 0xffff_fe00]),
        paced: rng.u8(..4) > 0,
    }
}

fn publisher(rng: &mut Rng, n: usize) -> Script {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(1..3) {
        steps.push(connect(rng));
        let stream = stream(rng);
        for _ in 0..rng.usize(1..3) {
            steps.push(Step::Publish(stream.clone()));
            steps.push(Step::SendMedia(media(rng)));
            match rng.u8(..6) {
                0 => steps.push(Step::SilenceMs(rng.u64(1..500))),
                1 => steps.push(Step::ChunkSize(*pick(rng, &[128, 500, 8_192]))),
                _ => {}
            }
            steps.push(Step::SendMedia(media(rng)));
            steps.push(Step::CloseStream);
        }
        // Leaving without `CloseStream` first is the commoner case.
        if rng.bool() {
            steps.pop();
        }
        steps.push(leave(rng));
    }
    Script {
        name: format!("publisher-{n}"),
        host: n,
        start_ms: start(rng),
        steps,
    }
}

fn player(rng: &mut Rng, n: usize) -> Script {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(1..4) {
        steps.push(connect(rng));
        if rng.u8(..3) == 0 {
            steps.push(Step::ReadSlowly(ReadPace {
                bytes: rng.usize(1..2_000),
                every_ms: rng.u64(1..50),
            }));
        }
        steps.push(Step::Play(stream(rng)));
        steps.push(Step::WaitMs(rng.u64(1..3_000)));
        match rng.u8(..6) {
            0 => steps.push(Step::SilenceMs(rng.u64(1..2_000))),
            1 => steps.push(Step::CloseStream),
            _ => {}
        }
        steps.push(Step::WaitMs(rng.u64(1..1_000)));
        steps.push(leave(rng));
    }
    Script {
        name: format!("player-{n}"),
        host: n + 1,
        start_ms: start(rng),
        steps,
    }
}

fn leave(rng: &mut Rng) -> Step {
    match rng.u8(..4) {
        0 => Step::Abort,
        1 => Step::HalfClose,
        _ => Step::Close,
    }
}
