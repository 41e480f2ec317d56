//! The faults of a scenario, drawn from its seed: each kind on or off, then its rate (swarm testing).

use fastrand::Rng;

use crate::clocks::{Clocks, WallJump};
use crate::faults::FaultConfig;
use crate::generate::Kind;
use crate::order::OrderKind;
use crate::scenario::{Conflict, LinkChange, LinkEvent, Mail, Network, Outage, Scenario};
use crate::seed::happens;

/// Draws what goes wrong in `scenario`, which has scripts and settings. About one in five is left without faults.
pub(super) fn strike(scenario: &mut Scenario, rng: &mut Rng) {
    scenario.order = OrderKind::ALL[rng.usize(..OrderKind::ALL.len())];
    scenario.network = Network {
        hosts: *pick(rng, &[1, 1, 1, 2]),
        ..latencies(rng)
    };
    if rng.u8(..5) == 0 {
        scenario.server.merge_ms = merge(rng);
        return;
    }
    scenario.faults = faults(rng);
    scenario.network.events = link_events(rng, scenario.network.hosts);
    if scenario.network.events.iter().any(LinkEvent::cuts) {
        // Then it lasts until the server's timeouts are due.
        scenario.network.tick_ms = super::LONG_TICK_MS;
    }
    if happens(rng, 0.12) {
        scenario.outages = outages(rng);
    }
    scenario.clocks = clocks(rng);
    // Who comes and goes fast meets answers that come late.
    let handovers = scenario.swarm.contains(&Kind::Handovers);
    let storms = scenario.swarm.contains(&Kind::Storms);
    if happens(rng, if storms || handovers { 0.6 } else { 0.2 }) {
        scenario.mail = Mail {
            late: round(rng.f64() * 0.3),
            late_ms: 1 << rng.u32(1..8),
        };
    }
    if handovers && happens(rng, 0.8) {
        // One publication's mail comes when the next one is there already: from another shard, to a third one.
        scenario.shards = scenario.shards.max(3);
        scenario.mail = Mail {
            late: round(0.1 + rng.f64() * 0.6),
            late_ms: 1 << rng.u32(8..11),
        };
    }
    scenario.buggify = if rng.bool() { 0.5 } else { 0.0 };
    if happens(rng, 0.25) {
        stop(scenario, rng);
    }
    scenario.server.merge_ms = merge(rng);
}

/// What becomes of two publishers of one name.
pub(super) fn conflicts(scenario: &mut Scenario, rng: &mut Rng) {
    // (Where the second is refused, its publication begins with the first one's mail still under way: no less is to be seen
    // of that.)
    if happens(rng, 0.4) {
        scenario.server.on_conflict = Some(*pick(
            rng,
            &[Conflict::Takeover, Conflict::Resume, Conflict::Resume],
        ));
        scenario.server.grace_ms = Some(*pick(rng, &[0, 200, 1_000, 3_000, 3_000]));
    }
}

/// Whether frames leave in company.
fn merge(rng: &mut Rng) -> Option<u64> {
    happens(rng, 0.25).then(|| *pick(rng, &[5, 20, 350]))
}

/// The server is told to stop while there is something to do; often just when many have asked for something, and in such
/// a hurry that it waits for nobody.
fn stop(scenario: &mut Scenario, rng: &mut Rng) {
    scenario.stop_ms = Some(rng.u64(50..2_500));
    if happens(rng, 0.7) {
        scenario.stop_ms = Some(rng.u64(120..700));
        if rng.bool() {
            // The shard before its connections, which are told as well; and some publish by then.
            scenario.order = OrderKind::Lifo;
            scenario.stop_ms = Some(rng.u64(400..1_600));
        }
        scenario.server.drain_ms = Some(*pick(rng, &[0, 0, 0, 0, 20]));
        scenario.mail = Mail {
            late: 0.9,
            late_ms: 1 << rng.u32(6..9),
        };
    }
}

/// Takes out of `scenario` what may cost a client its connection or its frames; mostly all that may delay something, too,
/// since only then can anybody say by when it must come.
pub(super) fn spare(scenario: &mut Scenario, rng: &mut Rng) {
    if happens(rng, 0.7) {
        scenario.clocks = Clocks::default();
        scenario.mail = Mail::default();
        scenario.buggify = 0.0;
        scenario.server.mailbox_backlog = None;
    }
    // Three hops of it, one behind the other, are well within the time that a viewer is given.
    scenario.mail.late_ms = scenario.mail.late_ms.min(256);
    scenario.faults = FaultConfig::default();
    scenario.network.events.clear();
    scenario.outages.clear();
    scenario.stop_ms = None;
    // Answers come within the time that a viewer is given.
    let [low, high] = scenario.network.latency_ms;
    scenario.network.latency_ms = [low, high.min(low + 50)];
}

/// What goes wrong on connections: each fault on or off, then its rate.
fn faults(rng: &mut Rng) -> FaultConfig {
    let rate = |rng: &mut Rng, on: f64, most: f64| {
        let on = happens(rng, on);
        let rate = rng.f64() * most;
        if on { round(rate) } else { 0.0 }
    };
    let window = |rng: &mut Rng| {
        let small = 1 << rng.u32(9..16);
        [small, small << rng.u32(0..4)]
    };
    FaultConfig {
        short_reads: rate(rng, 0.5, 0.5),
        short_writes: rate(rng, 0.5, 0.5),
        single_bytes: rng.u8(..4) == 0,
        spurious_pending: rate(rng, 0.5, 0.2),
        stalls: rate(rng, 0.3, 0.02),
        stall_ms: rng.u64(1..400),
        resets: rate(rng, 0.2, 0.5),
        reset_within: 1 << rng.u32(10..19),
        upstream_window: window(rng),
        downstream_window: window(rng),
        segment: [rng.usize(200..1_460), rng.usize(1_460..9_000)],
        panics: rate(rng, 0.15, 0.3),
        panic_within: 1 << rng.u32(10..19),
        coalesces: rate(rng, 0.3, 0.3),
        coalesce_ms: rng.u64(1..30),
        fins: rate(rng, 0.15, 0.5),
        half_closes: rate(rng, 0.15, 0.5),
        fin_within: 1 << rng.u32(10..19),
        accept_errors: rate(rng, 0.25, 0.7),
        victims: Vec::new(),
    }
}

/// The links' latencies.
fn latencies(rng: &mut Rng) -> Network {
    let low = rng.u64(0..20);
    let tail = happens(rng, 0.25);
    let spread = if tail {
        rng.u64(50..600)
    } else {
        rng.u64(0..50)
    };
    Network {
        latency_ms: [low, low + spread],
        // Half of what a sweep costs is ticks.
        tick_ms: *pick(rng, &[1, 5, 10, 10, 10, 20, 20, 20, 20, 20, 20, 20]),
        // From nearly uniform to most messages fast and few very slow.
        curve: tail.then(|| *pick(rng, &[1.0, 3.0, 10.0, 20.0])),
        ..Network::default()
    }
}

/// What happens to links.
fn link_events(rng: &mut Rng, hosts: usize) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    let mut at = |at_ms, host, change| {
        events.push(LinkEvent {
            at_ms,
            host,
            change,
        });
    };
    let begin = |rng: &mut Rng| rng.u64(50..3_000);
    if happens(rng, 0.25) {
        let (from, host) = (begin(rng), rng.usize(..hosts));
        at(from, host, LinkChange::Hold);
        at(from + rng.u64(10..2_000), host, LinkChange::Release);
    }
    if happens(rng, 0.15) {
        let (mut from, host) = (begin(rng), rng.usize(..hosts));
        for _ in 0..rng.usize(2..8) {
            at(from, host, LinkChange::Hold);
            from += rng.u64(1..150);
            at(from, host, LinkChange::Release);
            from += rng.u64(1..150);
        }
    }
    if happens(rng, 0.2) {
        let host = rng.usize(..hosts);
        for _ in 0..rng.usize(1..5) {
            at(begin(rng), host, LinkChange::Latency(rng.u64(0..150)));
        }
    }
    // Rarely: the server's timeouts are long, and virtual time is not free.
    if happens(rng, 0.08) {
        let (from, host) = (begin(rng), rng.usize(..hosts));
        let cuts = [
            LinkChange::Vanish,
            LinkChange::Vanish,
            LinkChange::CutUp,
            LinkChange::CutDown,
        ];
        at(from, host, *pick(rng, &cuts));
        if rng.u8(..3) > 0 {
            at(from + rng.u64(10..5_000), host, LinkChange::Mend);
        }
    }
    events.sort_by_key(|event| event.at_ms);
    events
}

fn outages(rng: &mut Rng) -> Vec<Outage> {
    let mut at_ms = 0;
    let mut outages = Vec::new();
    for _ in 0..rng.usize(1..3) {
        at_ms += rng.u64(50..3_000);
        let down_ms = rng.u64(1..1_500);
        outages.push(Outage {
            at_ms,
            down_ms,
            power: rng.bool(),
        });
        at_ms += down_ms;
    }
    outages
}

fn clocks(rng: &mut Rng) -> Clocks {
    let skewed = happens(rng, 0.3);
    let (skew_ms, drift_ppm) = (1 << rng.u32(0..11), 1 << rng.u32(0..14));
    let mut jumps = Vec::new();
    if happens(rng, 0.25) {
        for _ in 0..rng.usize(1..4) {
            let hour = 3_600_000;
            jumps.push(WallJump {
                at_ms: rng.u64(0..4_000),
                by_ms: rng.i64(-hour..=hour),
            });
        }
    }
    Clocks {
        skew_ms: if skewed { skew_ms } else { 0 },
        drift_ppm: if skewed { drift_ppm } else { 0 },
        jumps,
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// Three decimals: what a person can read in the file, and what JSON gives back unchanged.
fn round(rate: f64) -> f64 {
    (rate * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use crate::generate;
    use crate::scenario::Scenario;

    #[test]
    fn what_is_drawn_is_valid_and_survives_its_file() {
        for seed in 0..200 {
            let scenario = generate::scenario(seed);
            assert_eq!(scenario.check(), Ok(()));
            let text = scenario.to_json().unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        }
    }

    #[test]
    fn about_half_of_the_worlds_are_without_faults() {
        let quiet = |seed: &u64| {
            let scenario = generate::scenario(*seed);
            scenario.faults == crate::faults::FaultConfig::default()
                && scenario.network.events.is_empty()
                && scenario.outages.is_empty()
                && scenario.clocks.are_right()
        };
        let quiet = (0..500).filter(quiet).count();
        assert!((150..330).contains(&quiet), "{quiet} of 500");
    }
}
