//! Publishers in quick succession: alone after their own loss, and against each other.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{Steps, connect, leave, media, named, pick, start, stream, wait};
use super::role::Role;
use super::swarm::Swarm;
use crate::scenario::{Connect, Cut, CutKind, SendMedia, Step, Stream};

/// A publisher whose connection does not last, and who comes back at once.
pub(super) fn publisher(swarm: Swarm) -> BoxedStrategy<Role> {
    let name = stream();
    (start(), name, vec(short(connect(swarm), swarm, 6), 4..12))
        .prop_map(|(start_ms, stream, times)| role("returner", start_ms, &stream, times))
        .boxed()
}

/// One who asks for a name, and is gone before it hears whether it has it.
pub(super) fn fickle() -> BoxedStrategy<Role> {
    let connect = Connect {
        pipelined: true,
        ..Connect::default()
    };
    // What is closed with something unread is reset, and so is what is aborted; that overtakes what was asked.
    let leave = pick(&[Step::Abort, Step::HalfClose, Step::Close]);
    let cut = (3_200_u64..3_700).prop_map(|after| {
        let how = CutKind::Rst;
        Step::CutAfter(Cut { after, how })
    });
    let streams = pick(&["hot", "whim", "whim", "fancy"]).prop_map(named);
    let once = (streams, cut, any::<bool>(), wait(0..60), leave).prop_map(
        move |(stream, cut, is_cut, wait, leave)| {
            let mut steps = Vec::from_iter(is_cut.then_some(cut));
            let connect = Step::Connect(connect.clone());
            steps.extend([connect, Step::Publish(stream), wait, leave]);
            steps
        },
    );
    (start(), vec(once, 3..10))
        .prop_map(|(start_ms, times)| Role::new("fickle", start_ms, times.concat()))
        .boxed()
}

/// Publishers that take one name from one another.
pub(super) fn rivals(swarm: Swarm) -> BoxedStrategy<Vec<Role>> {
    let rival = |times: BoxedStrategy<Vec<Steps>>| {
        let one = (start(), times);
        one.prop_map(|(start_ms, times)| role("rival", start_ms, &named("hot"), times))
    };
    let steady = rival(vec(short(connect(swarm), swarm, 30), 2..5).boxed());
    // These follow each other faster than what shards tell each other of them arrives where mail is late.
    let at_once = |pipelined| {
        let connect = Connect {
            pipelined,
            ..Connect::default()
        };
        vec(
            rival(vec(short(Just(connect), swarm, 4), 5..12).boxed()),
            2..4,
        )
    };
    prop_oneof![3 => vec(steady, 2..4), 2 => at_once(false), 1 => at_once(true)].boxed()
}

/// One connection with one short publication of fewer than `most` messages.
fn short(
    connect: impl Strategy<Value = Connect>,
    swarm: Swarm,
    most: usize,
) -> impl Strategy<Value = Steps> {
    (connect, 1..most, media(swarm), leave()).prop_map(|(connect, frames, media, leave)| {
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
