//! Those who speak something else, or RTMP with malice, or nothing for so long that they are sent away.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{Steps, bomb, breaking, leave, media, named, sized, start, wait};
use super::role::Role;
use super::swarm::Swarm;
use crate::scenario::{Connect, Garbage, GarbageKind, ReadPace, SendMedia, Step, Tell};

/// Bytes of C0, C1 and C2.
const HANDSHAKE: u32 = 3_073;

/// Somebody who is no session.
pub(super) fn stranger() -> BoxedStrategy<Role> {
    let once = (nonsense(), wait(1..600), leave()).prop_map(|(nonsense, wait, leave)| {
        let mut steps = vec![Step::ConnectRaw];
        steps.extend(nonsense);
        steps.extend([wait, leave]);
        steps
    });
    (start(), vec(once, 1..4))
        .prop_map(|(start_ms, times)| Role::new("stranger", start_ms, times.concat()))
        .boxed()
}

fn nonsense() -> impl Strategy<Value = Steps> {
    let alone = |kind, high| {
        any::<u16>().prop_map(move |any| vec![Step::Garbage(sized(kind, 1, high, any))])
    };
    let handshake = Step::Garbage(Garbage {
        kind: GarbageKind::Handshake,
        size: HANDSHAKE,
        seed: 0,
    });
    let behind = move |steps: Steps| [vec![handshake.clone()], steps].concat();
    let (more, harm) = (behind.clone(), behind.clone());
    prop_oneof![
        alone(GarbageKind::Random, 4_000),
        alone(GarbageKind::Http, 2),
        alone(GarbageKind::Tls, 600),
        alone(GarbageKind::Handshake, HANDSHAKE),
        alone(GarbageKind::Random, 3_000).prop_map(behind),
        bomb().prop_map(more),
        breaking().prop_map(harm),
    ]
}

/// Somebody whom the server sends away because time is up, or asks whether it is still there.
fn sleeper(swarm: Swarm) -> BoxedStrategy<Steps> {
    let connect = || Step::Connect(Connect::default());
    let half = any::<u16>().prop_map(move |any| {
        let size = u32::from(any) % HANDSHAKE;
        let kind = GarbageKind::Handshake;
        let garbage = Garbage {
            kind,
            size,
            seed: 0,
        };
        vec![
            Step::ConnectRaw,
            Step::Garbage(garbage),
            Step::WaitMs(15_000),
        ]
    });
    // Silent first, for whoever looks for a reason why it is sent away.
    let idle = Just(vec![connect(), Step::SilenceMs(10), Step::WaitMs(20_500)]);
    let publisher = media(swarm).prop_map(move |media| {
        vec![
            connect(),
            Step::Publish(named("sleepy")),
            Step::SendMedia(media),
            Step::SilenceMs(10),
            Step::WaitMs(35_500),
        ]
    });
    // The header of a picture of 64 KiB, and then a byte of it now and then.
    let picture = vec![0x3a, 0, 0, 0, 1, 0, 0, 9, 1, 0, 0, 0, 0x27];
    let dribbler = media(swarm).prop_map(move |media| {
        let mut steps = vec![
            connect(),
            Step::Publish(named("sleepy")),
            Step::SendMedia(media),
            Step::Raw(picture.clone()),
        ];
        for _ in 0..9 {
            steps.extend([Step::WaitMs(4_000), Step::Raw(vec![1])]);
        }
        steps
    });
    let player = Just(vec![
        connect(),
        Step::Play(named("sleepy")),
        Step::WaitMs(35_500),
    ]);
    prop_oneof![1 => half, 2 => idle, 1 => publisher, 1 => dribbler, 1 => player]
        .prop_map(|mut steps| {
            steps.push(Step::Abort);
            steps
        })
        .boxed()
}

/// Several of them; together or not, since timers that are due at one moment are in each other's way.
pub(super) fn sleepers(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    let times = vec(start(), 6);
    (any::<bool>(), times, vec(sleeper(swarm), 1..6))
        .prop_map(|(together, times, sleepers)| {
            let times = times
                .iter()
                .map(|time| if together { times[0] } else { *time });
            let sleepers = times.zip(sleepers);
            let roles = sleepers.map(|(start_ms, steps)| Role::new("sleeper", start_ms, steps));
            roles.collect()
        })
        .boxed()
}

/// One who asks faster than it reads the answers: who cannot be cut off by a timeout.
pub(super) fn glutton() -> BoxedStrategy<Role> {
    start()
        .prop_map(|start_ms| {
            let pace = |bytes, every_ms| Step::ReadSlowly(ReadPace { bytes, every_ms });
            let steps = vec![
                Step::Connect(Connect::default()),
                pace(1, 5_000),
                Step::Tell(Tell::Pings(60_000)),
                pace(16_384, 1),
                Step::WaitMs(6_000),
                Step::Abort,
            ];
            Role::new("glutton", start_ms, steps)
        })
        .boxed()
}

/// A player that takes nothing for too long, and a publisher that has something for it all the time.
pub(super) fn stalled() -> BoxedStrategy<Vec<Role>> {
    let stream = named("stalled");
    let media = SendMedia {
        frames: 100_000,
        until_ms: 38_000,
        gop: 10,
        picture_ms: 100,
        audio_ms: 0,
        picture_bytes: 8_000,
        ..SendMedia::default()
    };
    let connect = || Step::Connect(Connect::default());
    let publishes = vec![
        connect(),
        Step::Publish(stream.clone()),
        Step::SendMedia(media),
        Step::Close,
    ];
    let plays = vec![
        connect(),
        Step::Play(stream),
        // The windows are full after a few seconds.
        Step::SilenceMs(42_000),
        Step::WaitMs(100),
        Step::Abort,
    ];
    Just(vec![
        Role::new("steady", 50, publishes),
        Role::new("stalled", 300, plays),
    ])
    .boxed()
}
