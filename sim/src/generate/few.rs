//! An application of its own in which there is room for few, and nobody waits for long.

use fastrand::Rng;

use crate::scenario::{Connect, Few, Scenario, Script, Step, Stream};
use crate::seed::happens;

/// The name of the application.
pub(crate) const APP: &str = "few";

/// Sometimes lets more publishers come to it than it may have streams, and a player for whom there is nothing.
pub(super) fn come(scenario: &mut Scenario, rng: &mut Rng) {
    if !happens(rng, 0.3) {
        return;
    }
    let streams = rng.usize(1..4);
    let wait_max_ms = rng.bool().then(|| rng.u64(2..10) * 100);
    scenario.server.few = Some(Few {
        streams,
        wait_max_ms,
    });
    let connect = || {
        Step::Connect(Connect {
            app: APP.into(),
            ..Connect::default()
        })
    };
    let named = |name: String| Stream {
        name,
        may_be_refused: true,
    };
    let begin = rng.u64(50..500);
    for n in 0..streams + rng.usize(1..4) {
        let steps = vec![
            connect(),
            Step::Publish(named(format!("stream-{n}"))),
            Step::WaitMs(rng.u64(500..1_500)),
            Step::Abort,
        ];
        let start_ms = begin + rng.u64(..30);
        scenario.clients.push(script("many", n, start_ms, steps));
    }
    let steps = vec![
        connect(),
        Step::Play(named("nothing".into())),
        // Mail and links take their time, too.
        Step::WaitMs(wait_max_ms.unwrap_or(0) + 4_000),
        Step::Close,
    ];
    scenario.clients.push(script("vain", 0, begin, steps));
}

fn script(what: &str, n: usize, start_ms: u64, steps: Vec<Step>) -> Script {
    Script {
        name: format!("{what}-{n}"),
        host: n,
        start_ms,
        steps,
    }
}
