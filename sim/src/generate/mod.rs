//! Scenarios drawn from a seed: a few publishers and players of a few hot names, and a swarm of faults.

use fastrand::Rng;

use crate::faults::FaultConfig;
use crate::media::Tracks;
use crate::order::OrderKind;
use crate::scenario::{
    Connect, Expect, FORMAT, ReadPace, Scenario, Script, SendMedia, ServerConfig, Step, Stream,
    Wait,
};
use crate::seed::{self, happens};

mod trouble;

/// The scenario of `world_seed`.
pub fn scenario(world_seed: u64) -> Scenario {
    let rng = &mut seed::rng(world_seed, "scenario");
    let network = trouble::network(rng);
    let mut clients = Vec::new();
    for n in 0..rng.usize(1..4) {
        clients.push(publisher(rng, n));
    }
    for n in 0..rng.usize(1..6) {
        clients.push(player(rng, n));
    }
    if rng.bool() {
        clients.push(stranger(rng));
    }
    let mut scenario = Scenario {
        format: FORMAT,
        story: None,
        seed: world_seed,
        shards: rng.usize(1..5),
        order: OrderKind::ALL[rng.usize(..OrderKind::ALL.len())],
        server: server(rng),
        faults: if rng.u8(..5) == 0 {
            FaultConfig::default()
        } else {
            trouble::faults(rng)
        },
        network,
        stop_ms: happens(rng, 0.15).then(|| rng.u64(50..4_000)),
        buggify: if rng.bool() { 0.5 } else { 0.0 },
        clients,
        expect: Expect::default(),
    };
    if rng.u8(..3) == 0 {
        calm(&mut scenario, rng);
        if rng.u8(..6) == 0 {
            sluggards(&mut scenario);
        }
    }
    scenario
}

/// Makes it a world where nothing goes wrong by itself, and adds a stream whose viewers must get it: in the other
/// worlds nobody can say whether one that got nothing should have got something.
fn calm(scenario: &mut Scenario, rng: &mut Rng) {
    scenario.faults = FaultConfig::default();
    scenario.network.events.clear();
    scenario.stop_ms = None;
    scenario.server.ring_frames = None;
    // Little of the past: then a viewer depends on what begins next, of tracks that do not all begin at once.
    scenario.server.gop_cache = *pick(rng, &[None, Some(0), Some(0), Some(3)]);
    let stream = Stream {
        name: "calm".into(),
        may_be_refused: false,
    };
    let media = SendMedia {
        frames: 500,
        gop: rng.u32(1..12),
        paced: true,
        picture_bytes: 1_000,
        picture_ms: 40,
        tracks: match rng.u8(..3) {
            0 => Tracks::ZeroStops,
            1 => Tracks::MoreKeys,
            _ => *pick(rng, &Tracks::ALL),
        },
        ..media(rng)
    };
    scenario.clients.push(Script {
        // Its name decides how its broadcast goes: not the same in every world.
        name: format!("calm-publisher-{}", rng.u8(..)),
        host: 0,
        start_ms: 50,
        steps: vec![
            Step::Connect(Connect::default()),
            Step::Publish(stream.clone()),
            Step::SendMedia(media),
            Step::Close,
        ],
    });
    for n in 0..rng.usize(1..3) {
        let wait = Wait {
            // More than all headers it may get while it waits for a keyframe.
            frames: 40,
            within_ms: 3_000,
        };
        scenario.clients.push(Script {
            name: format!("calm-viewer-{n}"),
            host: n,
            start_ms: rng.u64(20..1_200),
            steps: vec![
                Step::Connect(Connect::default()),
                Step::Play(stream.clone()),
                Step::WaitForFrames(wait),
                Step::Close,
            ],
        });
    }
}

/// Those whose only fault is that they do nothing, for long enough to be cut off: one asks for nothing, one publishes and
/// falls silent, one plays that and does not read.
fn sluggards(scenario: &mut Scenario) {
    let stream = Stream {
        name: "flood".into(),
        may_be_refused: false,
    };
    let media = SendMedia {
        frames: 50,
        gop: 1,
        picture_bytes: 20_000,
        audio_ms: 0,
        paced: false,
        ..SendMedia::default()
    };
    let connect = || Step::Connect(Connect::default());
    let idles = vec![connect(), Step::SilenceMs(100), Step::WaitMs(20_000)];
    let falls_silent = vec![
        connect(),
        Step::Publish(stream.clone()),
        Step::SendMedia(media),
        Step::SilenceMs(100),
        Step::WaitMs(34_000),
    ];
    let is_deaf = vec![
        connect(),
        Step::Play(stream),
        Step::SilenceMs(33_000),
        Step::WaitMs(500),
    ];
    for (name, start_ms, steps) in [
        ("idler", 60, idles),
        ("silent-publisher", 1_000, falls_silent),
        ("deaf-player", 60, is_deaf),
    ] {
        scenario.clients.push(Script {
            name: name.into(),
            host: 0,
            start_ms,
            steps,
        });
    }
}

fn server(rng: &mut Rng) -> ServerConfig {
    let sometimes = |rng: &mut Rng| rng.u8(..3) == 0;
    ServerConfig {
        chunk_size: sometimes(rng).then(|| *pick(rng, &[1, 128, 1_000, 4_096, 65_536])),
        gop_cache: rng.bool().then(|| *pick(rng, &[0, 3, 10, 50])),
        window_ack_size: sometimes(rng).then(|| *pick(rng, &[1_000, 100_000])),
        drain_ms: sometimes(rng).then(|| *pick(rng, &[0, 100, 1_000])),
        ring_frames: rng.bool().then(|| *pick(rng, &[4, 16, 64])),
        mailbox_backlog: sometimes(rng).then(|| *pick(rng, &[2, 8])),
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
        amf3: rng.u8(..5) == 0,
        schema0: rng.bool(),
        window_ack_size: *pick(rng, &[0, 0, 0, 2_000, 50_000]),
        ..Connect::default()
    })
}

fn media(rng: &mut Rng) -> SendMedia {
    SendMedia {
        frames: rng.usize(1..150),
        gop: if rng.u8(..5) == 0 {
            1_000
        } else {
            rng.u32(1..20)
        },
        headers_every: *pick(rng, &[0, 0, 4, 7, 30]),
        tracks: if rng.u8(..3) == 0 {
            Tracks::Legacy
        } else {
            *pick(rng, &Tracks::ALL)
        },
        picture_ms: *pick(rng, &[16, 33, 40]),
        audio_ms: *pick(rng, &[0, 21, 23]),
        picture_bytes: *pick(rng, &[200, 2_000, 20_000]),
        first_timestamp: *pick(rng, &[0, 0, 1_000, 0x00ff_fe00, 0xffff_fe00]),
        paced: rng.u8(..4) > 0,
        aggregate: *pick(rng, &[0, 0, 0, 2, 9]),
    }
}

fn publisher(rng: &mut Rng, n: usize) -> Script {
    let mut steps = Vec::new();
    let always = rng.bool().then(|| stream(rng));
    for _ in 0..rng.usize(1..4) {
        steps.push(connect(rng));
        let stream = always.clone().unwrap_or_else(|| stream(rng));
        for _ in 0..rng.usize(1..3) {
            steps.push(Step::Publish(stream.clone()));
            steps.push(Step::SendMedia(media(rng)));
            if rng.u8(..4) == 0 {
                // Its own stream or another's, on a second message stream.
                steps.push(Step::Play(self::stream(rng)));
            }
            if rng.u8(..3) == 0 {
                steps.push(aside(rng));
            }
            match rng.u8(..6) {
                0 => steps.push(Step::SilenceMs(rng.u64(1..500))),
                1 => steps.push(Step::ChunkSize(*pick(rng, &[128, 500, 8_192]))),
                2 if rng.u8(..4) == 0 => {
                    // Fatal at once: bytes that happen to be a frame would be one that nobody published.
                    let bytes = [OVERSIZED.to_vec(), garbage(rng, 200)].concat();
                    steps.push(Step::Raw(bytes));
                }
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
        let connect = connect(rng);
        // One who does not wait for answers cannot close what it has not got, and one who reads slowly would
        // wait for its next answer behind all that is under way.
        let prompt = matches!(&connect, Step::Connect(connect) if !connect.pipelined);
        steps.push(connect);
        let slow = rng.u8(..3) == 0;
        if slow {
            steps.push(Step::ReadSlowly(ReadPace {
                bytes: rng.usize(1..2_000),
                every_ms: rng.u64(1..50),
            }));
        }
        steps.push(Step::Play(stream(rng)));
        if rng.u8(..4) == 0 && !slow {
            steps.push(Step::PlayBeside(stream(rng)));
        }
        steps.push(Step::WaitMs(rng.u64(1..3_000)));
        if rng.u8(..3) == 0 && prompt && !slow {
            steps.push(aside(rng));
        }
        match rng.u8(..11) {
            0 => steps.push(Step::SilenceMs(rng.u64(1..2_000))),
            1 => steps.push(Step::CloseStream),
            2 => steps.extend(off_and_on(rng, |on| Step::Pause(!on))),
            3 => steps.extend(off_and_on(rng, Step::ReceiveVideo)),
            4 => steps.extend(off_and_on(rng, Step::ReceiveAudio)),
            6 if prompt && !slow => {
                // Off and on faster than the shards talk to each other.
                let name = stream(rng);
                for _ in 0..rng.usize(2..12) {
                    steps.push(Step::CloseStream);
                    steps.push(Step::Play(name.clone()));
                    steps.push(Step::WaitMs(rng.u64(1..40)));
                }
            }
            7 | 8 if prompt && !slow => {
                for _ in 0..rng.usize(1..4) {
                    steps.push(Step::Play2(stream(rng)));
                    steps.push(Step::WaitMs(rng.u64(1..600)));
                }
            }
            5 if prompt && !slow => steps.extend([Step::CloseStream, Step::Play(stream(rng))]),
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

/// What harms nobody, whoever sends it, and when.
fn aside(rng: &mut Rng) -> Step {
    match rng.u8(..6) {
        0 => Step::SharedObject("chat".into()),
        1 => Step::AbortMessage,
        2 => Step::ChunkSize(*pick(rng, &[1, 128, 500, 8_192, 60_000])),
        3 => Step::Call("getStreamLength".into()),
        4 => Step::Call("_checkbw".into()),
        _ => Step::Call("frobnicate".into()),
    }
}

fn off_and_on(rng: &mut Rng, switch: impl Fn(bool) -> Step) -> [Step; 3] {
    let between = Step::WaitMs(rng.u64(1..1_500));
    [switch(false), between, switch(true)]
}

/// Somebody who speaks something else, or RTMP with malice.
fn stranger(rng: &mut Rng) -> Script {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(1..4) {
        steps.push(Step::ConnectRaw);
        steps.push(Step::Raw(nonsense(rng)));
        if rng.bool() {
            steps.push(Step::WaitMs(rng.u64(1..1_000)));
            steps.push(Step::Raw(garbage(rng, 3_000)));
        }
        steps.push(Step::WaitMs(rng.u64(1..12_000)));
        steps.push(leave(rng));
    }
    Script {
        name: "stranger".into(),
        host: 0,
        start_ms: start(rng),
        steps,
    }
}

fn garbage(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(1..most)).map(|_| rng.u8(..)).collect()
}

/// The header of a command of 16 MiB.
const OVERSIZED: [u8; 12] = [3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0];

/// Bytes of C1 and of C2.
const HANDSHAKE: usize = 1_536;

fn nonsense(rng: &mut Rng) -> Vec<u8> {
    // C0, C1 and C2, all of zeros, which is a simple handshake.
    let mut bytes = vec![0; 1 + 2 * HANDSHAKE];
    bytes[0] = 3;
    match rng.u8(..7) {
        0 => garbage(rng, 4_000),
        1 => b"GET / HTTP/1.1\r\nHost: server\r\n\r\n".to_vec(),
        2 => [
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
            garbage(rng, 600),
        ]
        .concat(),
        3 => {
            bytes.truncate(rng.usize(1..bytes.len()));
            bytes
        }
        4 => {
            bytes.extend(OVERSIZED);
            bytes.extend(garbage(rng, 3_000));
            bytes
        }
        5 => {
            // A chunk size of 0, or of 2 GiB.
            bytes.extend([2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
            bytes.extend(if rng.bool() {
                [0; 4]
            } else {
                [0x7f, 0xff, 0xff, 0xff]
            });
            bytes
        }
        _ => {
            // `connect` with an object in an object in an object.
            let depth = rng.usize(1..16);
            let mut payload = b"\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00".to_vec();
            for _ in 0..depth {
                payload.extend([3, 0, 1, b'a']);
            }
            bytes.extend([3, 0, 0, 0, 0, 0, payload.len() as u8, 20, 0, 0, 0, 0]);
            bytes.extend(payload);
            bytes
        }
    }
}

fn leave(rng: &mut Rng) -> Step {
    match rng.u8(..4) {
        0 => Step::Abort,
        1 => Step::HalfClose,
        _ => Step::Close,
    }
}
