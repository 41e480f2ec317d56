//! An application of its own with tight bounds: on how late a player may be, how often it may lose frames, how fast a
//! publisher may send, and how much of the past a joiner is given.

use fastrand::Rng;

use crate::scenario::{Connect, Scenario, Script, SendMedia, Step, Stream, Tight};
use crate::seed::happens;

/// The name of the application.
pub(crate) const APP: &str = "tight";
/// The bitrate of the publisher that keeps to its bound: a picture each tenth of a second.
const PICTURE_MS: u32 = 100;
/// The largest: on average a fifth of it.
const PICTURE_BYTES: usize = 40_000;
/// How long one looks away who will be late, milliseconds. Windows are full by then.
const AWAY_MS: u64 = 7_000;

/// Sometimes brings a broadcast with players that look away, one that comes late, and a publisher that sends too much.
pub(super) fn come(scenario: &mut Scenario, rng: &mut Rng) {
    if !happens(rng, 0.3) {
        return;
    }
    let tight = Tight {
        latency_max_ms: rng.u64(5..20) * 100,
        jumps_per_minute: rng.u32(1..4),
        bitrate_max: 1_500,
        gop_cache_ms: rng.bool().then(|| rng.u64(3..10) * 100),
        behind_ms: happens(rng, 0.3).then(|| rng.u64(2..20) * 100),
    };
    scenario.server.tight = Some(tight);
    if happens(rng, 0.3) {
        scenario.server.media_bytes = Some(rng.u64(2..20) * 50_000);
    }
    // Often enough for a late player to find one, or seldom enough for a joiner to be told to wait.
    let gop = [10, 30, 30, 80][rng.usize(..4)];
    let turns = u64::from(tight.jumps_per_minute) + 3;
    let chronic = happens(rng, 0.5);
    let lasts = if chronic { turns * 4_500 } else { AWAY_MS } + 3_000;
    keeper(scenario, gop, lasts);
    let play = || Step::Play(stream("broadcast"));
    let away = |ms| [Step::SilenceMs(ms), Step::WaitMs(500)];
    let mut late = vec![play(), Step::WaitMs(500)];
    late.extend(away(AWAY_MS));
    late.extend([Step::WaitMs(1_500), Step::Abort]);
    cast(scenario, "late", rng.u64(300..900), late);
    if chronic {
        let mut steps = vec![play(), Step::WaitMs(300)];
        for _ in 0..turns {
            steps.extend(away(4_000));
        }
        steps.push(Step::Abort);
        cast(scenario, "chronic", rng.u64(300..900), steps);
    }
    let joins = vec![play(), Step::WaitMs(2_000), Step::Close];
    cast(scenario, "joiner", rng.u64(1_500..8_000), joins);
    excessive(scenario, rng);
}

/// A publisher that keeps to its bound.
fn keeper(scenario: &mut Scenario, gop: u32, lasts: u64) {
    let broadcast = SendMedia {
        frames: 100_000,
        until_ms: u32::try_from(lasts).unwrap_or(u32::MAX),
        gop,
        picture_ms: PICTURE_MS,
        audio_ms: 0,
        picture_bytes: PICTURE_BYTES,
        ..SendMedia::default()
    };
    cast(
        scenario,
        "keeper",
        100,
        vec![
            Step::Publish(stream("broadcast")),
            Step::SendMedia(broadcast),
            Step::Close,
        ],
    );
}

/// One that does not.
fn excessive(scenario: &mut Scenario, rng: &mut Rng) {
    let too_much = SendMedia {
        frames: rng.usize(60..120),
        gop: 2,
        picture_ms: 20,
        audio_ms: 0,
        picture_bytes: 100_000,
        ..SendMedia::default()
    };
    cast(
        scenario,
        "excessive",
        rng.u64(100..1_000),
        vec![
            Step::Publish(stream("flood")),
            Step::SendMedia(too_much),
            Step::WaitMs(1_000),
            Step::Close,
        ],
    );
}

fn stream(name: &str) -> Stream {
    Stream {
        name: name.into(),
        may_be_refused: false,
    }
}

fn cast(scenario: &mut Scenario, what: &str, start_ms: u64, mut steps: Vec<Step>) {
    let connect = Connect {
        app: APP.into(),
        may_be_refused: what == "excessive",
        ..Connect::default()
    };
    steps.insert(0, Step::Connect(connect));
    scenario.clients.push(Script {
        name: format!("{what}-0"),
        host: scenario.clients.len(),
        start_ms,
        steps,
    });
}
