//! A player of a stream that is recorded, who holds it or goes back.

use fastrand::Rng;

use crate::scenario::{Connect, Scenario, Script, Step, Stream};
use crate::seed::{self, happens};

/// Sometimes one, where streams are recorded.
pub(super) fn come(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/rewinds");
    // A flood leaves no room for anybody else, and who may wait for a publisher only so long is turned away.
    if scenario.server.record.is_none()
        || scenario.server.connections.is_some()
        || scenario.server.few.is_some()
        || !happens(rng, 0.3)
    {
        return;
    }
    let published: Vec<_> = scenario.clients.iter().filter_map(publishes).collect();
    if published.is_empty() {
        return;
    }
    let (connect, stream, start_ms) = &published[rng.usize(..published.len())];
    scenario.clients.push(Script {
        name: "rewinder".into(),
        host: 0,
        start_ms: start_ms + rng.u64(..2_000),
        steps: steps(connect, stream, rng),
    });
}

fn steps(connect: &Connect, stream: &Stream, rng: &mut Rng) -> Vec<Step> {
    let connect = Connect {
        app: connect.app.clone(),
        ..Connect::default()
    };
    let stream = Stream {
        may_be_refused: true,
        ..stream.clone()
    };
    let mut steps = vec![Step::Connect(connect), Step::Play(stream)];
    for _ in 0..rng.usize(1..4) {
        steps.push(Step::WaitMs(rng.u64(200..3_000)));
        steps.push(match rng.bool() {
            true => Step::Hold(rng.u64(1_500..5_000)),
            false => Step::Rewind(rng.u64(1_000..8_000)),
        });
    }
    steps.extend([Step::WaitMs(rng.u64(500..5_000)), Step::Close]);
    steps
}

/// What a script publishes first, how it connects, and when it comes.
fn publishes(script: &Script) -> Option<(Connect, Stream, u64)> {
    let mut last = None;
    for step in &script.steps {
        match step {
            Step::Connect(connect) => last = Some(connect),
            Step::Publish(stream) => {
                return Some((last?.clone(), stream.clone(), script.start_ms));
            }
            _ => {}
        }
    }
    None
}
