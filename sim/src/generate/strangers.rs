//! Those who speak something else, or RTMP with malice, or nothing for so long that they are sent away.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{Steps, bomb, breaking, leave, media, named, sized, start, wait};
use super::role::Role;
use super::swarm::Swarm;
use crate::scenario::{Connect, Garbage, GarbageKind, SendMedia, Step};

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
pub(super) fn sleeper(swarm: Swarm) -> BoxedStrategy<Role> {
    let connect = || Step::Connect(Connect::default());
    let sleeps = |ms| [Step::SilenceMs(ms), Step::WaitMs(100)];
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
            Step::WaitMs(10_500),
        ]
    });
    let idle = Just([vec![connect()], sleeps(15_500).to_vec()].concat());
    let publisher = media(swarm).prop_map(move |media| {
        let mut steps = vec![
            connect(),
            Step::Publish(named("sleepy")),
            Step::SendMedia(media),
        ];
        steps.extend(sleeps(31_000));
        steps
    });
    let player = Just(vec![
        connect(),
        Step::Play(named("sleepy")),
        Step::WaitMs(31_000),
    ]);
    (start(), prop_oneof![half, idle, publisher, player])
        .prop_map(|(start_ms, mut steps)| {
            steps.push(Step::Abort);
            Role::new("sleeper", start_ms, steps)
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
        Step::SilenceMs(36_500),
        Step::WaitMs(100),
        Step::Abort,
    ];
    Just(vec![
        Role::new("steady", 50, publishes),
        Role::new("stalled", 300, plays),
    ])
    .boxed()
}
