//! Those who publish.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{
    Steps, asides, bomb, breaking, connect, cut, leave, maybe, media, pick, start, stream, wait,
};
use super::role::Role;
use super::swarm::{Kind, Swarm};
use crate::scenario::{Ending, Step, Stream};

/// One who connects once or twice, and publishes once or more each time.
pub(super) fn publisher(swarm: Swarm) -> BoxedStrategy<Role> {
    let sessions = vec(session(swarm, stream().boxed(), 3), 1..3);
    // Its one name, or any each time.
    let always = any::<bool>();
    (start(), sessions, always)
        .prop_map(|(start_ms, sessions, always)| {
            let mut steps = sessions.concat();
            if always {
                keep_name(&mut steps);
            }
            Role::new("publisher", start_ms, steps)
        })
        .boxed()
}

/// Several who want the same name at the same moment.
pub(super) fn duplicates(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    let at = prop_oneof![Just(100_u64), 20_u64..800];
    let one = session(swarm, Just(super::pieces::named("hot")).boxed(), 2);
    (at, vec(one, 2..4))
        .prop_map(|(at, sessions)| {
            let roles = sessions.into_iter();
            let roles = roles.map(|steps| Role::new("duplicate", at, steps));
            roles.collect()
        })
        .boxed()
}

/// One connection: it publishes once, or up to `most` times, less one.
pub(super) fn session(
    swarm: Swarm,
    stream: BoxedStrategy<Stream>,
    most: usize,
) -> impl Strategy<Value = Steps> {
    let most = if swarm.has(Kind::Endings) { most } else { 2 };
    (
        maybe(swarm, Kind::Cuts, 0.25, cut()),
        connect(swarm),
        vec(publication(swarm, stream), 1..most),
        // Leaving without closing the stream first is the commoner case.
        any::<bool>(),
        leave(),
    )
        .prop_map(|(cut, connect, publications, abruptly, leave)| {
            let mut steps = cut;
            steps.push(Step::Connect(connect));
            steps.extend(publications.concat());
            if abruptly {
                steps.pop();
            }
            steps.push(leave);
            steps
        })
}

fn publication(swarm: Swarm, stream: BoxedStrategy<Stream>) -> impl Strategy<Value = Steps> {
    let plays = super::pieces::stream().prop_map(|stream| vec![Step::Play(stream)]);
    let silence = (1_u64..400).prop_map(|ms| vec![Step::SilenceMs(ms)]);
    let small = pick(&[48, 64, 128, 300]).prop_map(|size| vec![Step::ChunkSize(size)]);
    let half_close = wait(1..400).prop_map(|wait| vec![Step::HalfClose, wait]);
    (
        maybe(swarm, Kind::Interleaving, 0.6, small),
        stream,
        media(swarm),
        maybe(swarm, Kind::Switches, 0.4, plays),
        asides(swarm),
        maybe(swarm, Kind::Silences, 0.3, silence),
        maybe(swarm, Kind::Clears, 0.4, Just(vec![Step::ClearMetadata])),
        maybe(swarm, Kind::Cuts, 0.2, cut()),
        prop_oneof![
            maybe(swarm, Kind::Garbage, 0.4, breaking()),
            maybe(swarm, Kind::Bombs, 0.4, bomb()),
            maybe(swarm, Kind::HalfCloses, 0.4, half_close),
        ],
        (proptest::bool::weighted(0.6), media(swarm)),
        ending(swarm),
    )
        .prop_map(
            |(small, stream, first, plays, asides, silence, clear, cut, harm, second, ending)| {
                let (goes_on, mut second) = second;
                // Behind a leap its time lies hours ahead.
                second.paced &= first.paced;
                let mut steps = small;
                steps.extend([Step::Publish(stream), Step::SendMedia(first)]);
                for more in [plays, asides, silence, clear, cut, harm] {
                    steps.extend(more);
                }
                steps.extend(goes_on.then_some(Step::SendMedia(second)));
                steps.push(ending);
                steps
            },
        )
}

/// How a stream ends whose connection stays.
pub(super) fn ending(swarm: Swarm) -> BoxedStrategy<Step> {
    if !swarm.has(Kind::Endings) {
        return Just(Step::CloseStream).boxed();
    }
    let other = pick(&[
        Ending::DeleteStream,
        Ending::CloseStream,
        Ending::FcUnpublish,
        Ending::All,
        Ending::False,
    ]);
    prop_oneof![1 => Just(Step::CloseStream), 2 => other.prop_map(Step::EndStream)].boxed()
}

/// Publishes under its first name only.
fn keep_name(steps: &mut Steps) {
    let mut first: Option<Stream> = None;
    for step in steps {
        if let Step::Publish(stream) = step {
            *stream = first.get_or_insert_with(|| stream.clone()).clone();
        }
    }
}
