//! Who tells whether the world is well when the faults are over.

use crate::checkers::WITNESS;
use crate::scenario::{Connect, Scenario, Script, SendMedia, Step, Stream, Wait, Within};

/// One publishes a name of the scenario, the other plays it.
pub(super) fn witnesses(scenario: &Scenario) -> Vec<Script> {
    let steps = || scenario.clients.iter().flat_map(|script| &script.steps);
    let app = steps().find_map(|step| match step {
        Step::Connect(connect) => Some(connect.app.clone()),
        _ => None,
    });
    let name = steps().find_map(|step| match step {
        Step::Publish(stream) => Some(stream.name.clone()),
        _ => None,
    });
    let connect = Step::Connect(Connect {
        app: app.unwrap_or_else(|| "live".into()),
        ..Connect::default()
    });
    let stream = Stream {
        name: name.unwrap_or_else(|| "witness".into()),
        may_be_refused: false,
    };
    // Keyframes come often enough for a player that gets nothing of the past.
    let media = SendMedia {
        frames: 100,
        gop: 5,
        decodable: scenario.server.record.is_some_and(|it| !it.format.is_flv()),
        ..SendMedia::default()
    };
    let enough = Wait {
        frames: 10,
        within_ms: 10_000,
    };
    let publishes = vec![
        connect.clone(),
        Step::Publish(stream.clone()),
        Step::SendMedia(media),
        Step::Close,
    ];
    let plays = vec![
        connect,
        Step::Play(stream),
        Step::WaitForFrames(enough),
        Step::WaitForEnd(Within { within_ms: 10_000 }),
        Step::Close,
    ];
    [("last-publisher", publishes), (WITNESS, plays)]
        .map(|(name, steps)| Script {
            name: name.into(),
            host: 0,
            start_ms: 0,
            steps,
        })
        .into()
}
