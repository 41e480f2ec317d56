//! Worlds in which nothing goes wrong by itself, and a stream whose viewers must get it: in the other worlds nobody can
//! say whether one that got nothing should have got something.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{media, pick, wait};
use super::role::Role;
use super::swarm::Swarm;
use crate::media::Tracks;
use crate::scenario::{Connect, SendMedia, Step, Stream, Wait, Within};

/// How long the broadcast lasts, milliseconds.
const LASTS_MS: core::ops::Range<u32> = 3_000..4_000;

fn calm_stream() -> Stream {
    Stream {
        name: "calm".into(),
        may_be_refused: false,
    }
}

/// Names of the publisher: they decide how a broadcast goes in detail, which is not to be the same in every world.
const PUBLISHERS: [&str; 8] = [
    "calm-publisher",
    "calm-speaker",
    "calm-singer",
    "calm-dancer",
    "calm-player",
    "calm-camera",
    "calm-encoder",
    "calm-studio",
];

/// One publisher, and viewers from before it to its last second.
pub(super) fn roles(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    (publisher(swarm), vec(viewer(), 2..5))
        .prop_map(|(publisher, viewers)| [vec![publisher], viewers].concat())
        .boxed()
}

fn publisher(swarm: Swarm) -> impl Strategy<Value = Role> {
    let tracks = prop_oneof![
        Just(Tracks::ZeroStops),
        Just(Tracks::ZeroPauses),
        Just(Tracks::MoreKeys),
        pick(&Tracks::ALL),
    ];
    // Long enough a broadcast for many of the smaller windows.
    let shape = (
        1_u32..12,
        pick(&[20, 40]),
        pick(&[200, 1_000]),
        pick(&[0, 2_000, 2_000, 20_000]),
    );
    (pick(&PUBLISHERS), LASTS_MS, shape, tracks, media(swarm)).prop_map(
        |(name, until_ms, (gop, picture_ms, picture_bytes, window_ack_size), tracks, media)| {
            // Long enough for a viewer to be known before the GOP ends.
            let (gop, until_ms) = match tracks {
                Tracks::ZeroPauses => (1_100 / picture_ms, until_ms + 1_000),
                _ => (gop, until_ms),
            };
            let media = SendMedia {
                frames: 100_000,
                until_ms,
                gop,
                paced: true,
                picture_bytes,
                picture_ms,
                audio_ms: media.audio_ms.max(20),
                tracks,
                ..media
            };
            let connect = Connect {
                window_ack_size,
                ..Connect::default()
            };
            let mut steps = vec![Step::Connect(connect)];
            if !media.chunking.is_sessions() {
                // Small enough for pictures to have several.
                steps.push(Step::ChunkSize(128));
            }
            steps.extend([
                Step::Publish(calm_stream()),
                Step::SendMedia(media),
                Step::Close,
            ]);
            Role::new(name, 50, steps)
        },
    )
}

/// A publisher that vanishes and comes back, or two that publish one name, and who watches all of that.
pub(super) fn successions(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    let piece = |until_ms: u32| {
        (1_u32..12, media(swarm)).prop_map(move |(gop, media)| {
            Step::SendMedia(SendMedia {
                frames: 100_000,
                until_ms,
                gop,
                paced: true,
                picture_ms: 40,
                picture_bytes: 300,
                audio_ms: media.audio_ms.max(20),
                ..media
            })
        })
    };
    let publishes = || {
        let stream = Stream {
            name: "succession".into(),
            may_be_refused: true,
        };
        [Step::Connect(Connect::default()), Step::Publish(stream)]
    };
    let returns = (piece(1_200), wait(1..1_500), any::<bool>(), piece(2_000)).prop_map(
        move |(first, wait, aborts, second)| {
            let mut steps = publishes().to_vec();
            let vanishes = if aborts { Step::Abort } else { Step::HalfClose };
            steps.extend([first, vanishes, wait]);
            steps.extend(publishes());
            steps.extend([second, Step::Close]);
            vec![Role::new("calm-returner", 400, steps)]
        },
    );
    let rivals =
        (piece(2_500), 700_u64..2_000, piece(2_000)).prop_map(move |(first, start_ms, second)| {
            [(400, first), (start_ms, second)]
                .map(|(start_ms, media)| {
                    let mut steps = publishes().to_vec();
                    steps.extend([media, Step::Close]);
                    Role::new("calm-rival", start_ms, steps)
                })
                .to_vec()
        });
    let watcher = (20_u64..300).prop_map(|start_ms| {
        let stream = Stream {
            name: "succession".into(),
            may_be_refused: false,
        };
        let mut steps = vec![Step::Connect(Connect::default()), Step::Play(stream)];
        steps.extend([
            Step::WaitMs(2_500),
            Step::WaitMs(1_500),
            Step::WaitMs(4_000),
        ]);
        steps.push(Step::Close);
        Role::new("calm-watcher", start_ms, steps)
    });
    let publishers = prop_oneof![returns.boxed(), rivals.boxed()];
    (publishers, vec(watcher, 1..4))
        .prop_map(|(publishers, watchers)| [publishers, watchers].concat())
        .boxed()
}

fn viewer() -> impl Strategy<Value = Role> {
    let enough = Step::WaitForFrames(Wait {
        // More than all headers it may get while it waits for a keyframe.
        frames: 40,
        within_ms: 3_000,
    });
    let to_the_end = vec![
        enough.clone(),
        Step::WaitForEnd(Within { within_ms: 8_000 }),
    ];
    let paused = (wait(1..300), wait(1..300))
        .prop_map(|(before, held)| vec![before, Step::Pause(true), held, Step::Pause(false)]);
    let watches = prop_oneof![
        3 => Just(vec![enough]),
        1 => Just(to_the_end),
        1 => paused,
    ];
    (20_u64..1_200, watches).prop_map(|(start_ms, watches)| {
        let mut steps = vec![Step::Connect(Connect::default()), Step::Play(calm_stream())];
        steps.extend(watches);
        steps.push(Step::Close);
        Role::new("calm-viewer", start_ms, steps)
    })
}
