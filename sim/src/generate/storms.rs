//! Publishers in quick succession: alone after their own loss, and against each other.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{Steps, connect, leave, media, named, start, stream};
use super::role::Role;
use super::swarm::Swarm;
use crate::scenario::{SendMedia, Step, Stream};

/// A publisher whose connection does not last, and who comes back at once.
pub(super) fn publisher(swarm: Swarm) -> BoxedStrategy<Role> {
    let name = stream();
    (start(), name, vec(short(swarm, 6), 4..12))
        .prop_map(|(start_ms, stream, times)| role("returner", start_ms, &stream, times))
        .boxed()
}

/// Publishers that take one name from one another.
pub(super) fn rivals(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    let one = (start(), vec(short(swarm, 30), 2..5));
    let rivals = one.prop_map(|(start_ms, times)| role("rival", start_ms, &named("hot"), times));
    vec(rivals, 2..4).boxed()
}

/// One connection with one short publication of fewer than `most` messages.
fn short(swarm: Swarm, most: usize) -> impl Strategy<Value = Steps> {
    (connect(swarm), 1..most, media(swarm), leave()).prop_map(|(connect, frames, media, leave)| {
        let media = SendMedia { frames, ..media };
        vec![Step::Connect(connect), Step::SendMedia(media), leave]
    })
}

/// Has each of them publish `stream`.
fn role(what: &'static str, start_ms: u64, stream: &Stream, times: Vec<Steps>) -> Role {
    let mut steps = Steps::new();
    for step in times.concat() {
        let connects = matches!(step, Step::Connect(_));
        steps.push(step);
        if connects {
            steps.push(Step::Publish(stream.clone()));
        }
    }
    Role::new(what, start_ms, steps)
}
