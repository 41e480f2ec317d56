//! An operator, who closes connections and ends streams.

use crate::media::Tracks;
use crate::scenario::{Connect, Intervention, Order, Scenario, Script, SendMedia, Step, Stream};
use crate::seed::{self, happens};

/// How long those who are not concerned stay on to see what becomes of it, milliseconds.
const STAYS_MS: u64 = 4_000;
/// When the name is free at the latest.
const FREE_MS: u64 = 2_500;

/// Sometimes brings a stream of its own into a calm world: one of its viewers is put out, then its publisher, and
/// then somebody else takes the name.
pub(super) fn ousts(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/ousts");
    if !happens(rng, 0.3) {
        return;
    }
    let begin = rng.u64(50..400);
    let kick = begin + rng.u64(900..1_600);
    let end = kick + rng.u64(300..900);
    let stream = || Stream {
        name: "ousted".into(),
        may_be_refused: false,
    };
    let media = SendMedia {
        frames: 100_000,
        until_ms: 12_000,
        gop: rng.u32(2..12),
        picture_bytes: 1_000,
        ..SendMedia::default()
    };
    let connect = || Step::Connect(Connect::default());
    let broadcast = |media| {
        vec![
            connect(),
            Step::Publish(stream()),
            Step::SendMedia(media),
            Step::Close,
        ]
    };
    let mut add = |name: String, start_ms, steps| {
        let host = scenario.clients.len();
        scenario.clients.push(Script {
            name,
            host,
            start_ms,
            steps,
        });
    };
    add("ousted-publisher".into(), begin, broadcast(media.clone()));
    for n in 0..rng.usize(2..4) {
        let start = begin + rng.u64(..300);
        let wait = Step::WaitMs(end - start + STAYS_MS);
        let steps = vec![connect(), Step::Play(stream()), wait, Step::Close];
        add(format!("ousted-viewer-{n}"), start, steps);
    }
    let short = SendMedia {
        until_ms: 500,
        tracks: Tracks::Legacy,
        ..media
    };
    add("heir".into(), end + FREE_MS, broadcast(short));
    let last = match rng.bool() {
        true => Order::EndStream("live/ousted".into()),
        false => Order::Kick("ousted-publisher".into()),
    };
    let orders = [(kick, Order::Kick("ousted-viewer-0".into())), (end, last)];
    let orders = orders.map(|(at_ms, order)| Intervention { at_ms, order });
    scenario.operator.extend(orders);
}

/// Sometimes puts out anybody, and ends anything.
pub(super) fn meddles(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/meddles");
    if !happens(rng, 0.15) {
        return;
    }
    let steps = scenario.clients.iter().flat_map(|script| &script.steps);
    let names = steps.filter_map(|step| match step {
        Step::Publish(stream) => Some(format!("live/{}", stream.name)),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    for _ in 0..rng.usize(1..5) {
        let order = match names.get(rng.usize(..names.len().max(1))) {
            Some(name) if rng.bool() => Order::EndStream(name.clone()),
            _ => {
                let victim = rng.usize(..scenario.clients.len());
                Order::Kick(scenario.clients[victim].name.clone())
            }
        };
        let at_ms = rng.u64(100..2_500);
        scenario.operator.push(Intervention { at_ms, order });
    }
    scenario.operator.sort_by_key(|order| order.at_ms);
}
