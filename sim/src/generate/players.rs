//! Those who play.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pieces::{
    Steps, asides, bomb, breaking, connect, cut, leave, maybe, named, pick, start, stream, wait,
};
use super::publishers::ending;
use super::role::Role;
use super::swarm::{Kind, Swarm};
use crate::scenario::{Connect, ReadPace, Step};

/// One who connects once or twice.
pub(super) fn player(swarm: Swarm) -> BoxedStrategy<Role> {
    (start(), vec(session(swarm), 1..3))
        .prop_map(|(start_ms, sessions)| Role::new("player", start_ms, sessions.concat()))
        .boxed()
}

/// One who stays while publishers come and go.
pub(super) fn stayer(swarm: Swarm) -> BoxedStrategy<Role> {
    (start(), connect(swarm), wait(1_500..3_500), leave())
        .prop_map(|(start_ms, connect, wait, leave)| {
            let connect = Step::Connect(connect);
            let steps = vec![connect, Step::Play(named("hot")), wait, leave];
            Role::new("stayer", start_ms, steps)
        })
        .boxed()
}

/// Something done while playing. `asks`: it waits for answers, or closes what it must have got first.
#[derive(Clone, Debug)]
struct Action {
    asks: bool,
    steps: Steps,
}

fn session(swarm: Swarm) -> impl Strategy<Value = Steps> {
    let pace = (1_usize..2_000, 1_u64..50)
        .prop_map(|(bytes, every_ms)| vec![Step::ReadSlowly(ReadPace { bytes, every_ms })]);
    let beside = stream().prop_map(|stream| vec![Step::PlayBeside(stream)]);
    (
        maybe(swarm, Kind::Cuts, 0.25, cut()),
        connect(swarm),
        maybe(swarm, Kind::SlowReaders, 0.4, pace),
        stream(),
        maybe(swarm, Kind::Switches, 0.4, beside),
        wait(1..900),
        asides(swarm),
        action(swarm),
        wait(1..500),
        leave(),
    )
        .prop_map(
            |(cut, connect, slow, stream, beside, wait, asides, action, after, leave)| {
                // One who does not wait for answers cannot close what it has not got, and one who reads slowly would
                // wait for its next answer behind all that is under way.
                let prompt = !connect.pipelined && slow.is_empty();
                let mut steps = cut;
                steps.push(Step::Connect(connect));
                let beside = if slow.is_empty() {
                    beside
                } else {
                    Steps::new()
                };
                steps.extend(slow);
                steps.push(Step::Play(stream));
                steps.extend(beside);
                steps.push(wait);
                if prompt {
                    steps.extend(asides);
                }
                if prompt || !action.asks {
                    steps.extend(action.steps);
                }
                steps.extend([after, leave]);
                steps
            },
        )
}

fn action(swarm: Swarm) -> BoxedStrategy<Action> {
    let asks = |steps: BoxedStrategy<Steps>| {
        let action = steps.prop_map(|steps| Action { asks: true, steps });
        action.boxed()
    };
    let plain = |steps: BoxedStrategy<Steps>| {
        let action = steps.prop_map(|steps| Action { asks: false, steps });
        action.boxed()
    };
    let mut actions = vec![plain(Just(Steps::new()).boxed())];
    if swarm.has(Kind::Silences) {
        let silence = (1_u64..800).prop_map(|ms| vec![Step::SilenceMs(ms)]);
        actions.push(plain(silence.boxed()));
    }
    if swarm.has(Kind::Pauses) {
        actions.push(plain(off_and_on(|on| Step::Pause(!on))));
    }
    if swarm.has(Kind::Receives) {
        actions.push(plain(off_and_on(Step::ReceiveVideo)));
        actions.push(plain(off_and_on(Step::ReceiveAudio)));
    }
    if swarm.has(Kind::Switches) {
        let change = (stream().prop_map(Step::Play2), wait(1..300));
        let changes = vec(change.prop_map(|(play, wait)| vec![play, wait]), 1..4);
        actions.push(asks(changes.prop_map(|changes| changes.concat()).boxed()));
    }
    if swarm.has(Kind::Endings) {
        actions.push(asks(anew(swarm)));
        let ending = ending(swarm).prop_map(|ending| vec![ending]);
        actions.push(asks(ending.boxed()));
    }
    if swarm.has(Kind::Garbage) {
        actions.push(plain(breaking().boxed()));
    }
    if swarm.has(Kind::Bombs) {
        actions.push(plain(bomb().boxed()));
    }
    if swarm.has(Kind::HalfCloses) {
        let half_close = wait(1..400).prop_map(|wait| vec![Step::HalfClose, wait]);
        actions.push(plain(half_close.boxed()));
    }
    proptest::strategy::Union::new(actions).boxed()
}

fn off_and_on(switch: impl Fn(bool) -> Step + Copy + 'static) -> BoxedStrategy<Steps> {
    let once = wait(1..600).prop_map(move |wait| vec![switch(false), wait, switch(true)]);
    vec(once, 1..3).prop_map(|times| times.concat()).boxed()
}

/// Off and on, now and then faster than the shards talk to each other.
fn anew(swarm: Swarm) -> BoxedStrategy<Steps> {
    let once = (ending(swarm), stream(), wait(1..40))
        .prop_map(|(ending, stream, wait)| vec![ending, Step::Play(stream), wait]);
    vec(once, 1..8).prop_map(|times| times.concat()).boxed()
}

/// A player that comes and goes as fast as it can, often before it has played anything.
pub(super) fn storm(swarm: Swarm) -> BoxedStrategy<Role> {
    let once = (
        connect(swarm),
        proptest::bool::weighted(0.7),
        stream(),
        wait(0..60),
        pick(&[Step::Abort, Step::Abort, Step::HalfClose, Step::Close]),
    )
        .prop_map(|(connect, hasty, stream, wait, leave)| {
            let connect = Connect {
                pipelined: connect.pipelined || hasty,
                ..connect
            };
            vec![Step::Connect(connect), Step::Play(stream), wait, leave]
        });
    (start(), vec(once, 5..20))
        .prop_map(|(start_ms, times)| Role::new("stormer", start_ms, times.concat()))
        .boxed()
}
