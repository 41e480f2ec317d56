//! The faults of a scenario, drawn from its seed: each kind on or off, then its rate (swarm testing).

use fastrand::Rng;

use crate::faults::FaultConfig;
use crate::scenario::{LinkChange, LinkEvent, Network};
use crate::seed::happens;

/// What goes wrong on connections: each fault on or off, then its rate.
pub(super) fn faults(rng: &mut Rng) -> FaultConfig {
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
        resets: rate(rng, 0.25, 0.5),
        reset_within: 1 << rng.u32(10..19),
        upstream_window: window(rng),
        downstream_window: window(rng),
        segment: [rng.usize(200..1_460), rng.usize(1_460..9_000)],
        panics: rate(rng, 0.15, 0.3),
        panic_within: 1 << rng.u32(10..19),
        victims: Vec::new(),
    }
}

/// The links, and what happens to them.
pub(super) fn network(rng: &mut Rng) -> Network {
    let low = rng.u64(0..20);
    let hosts = rng.usize(1..3);
    let mut events = Vec::new();
    if happens(rng, 0.3) {
        let at_ms = rng.u64(50..3_000);
        let host = rng.usize(..hosts);
        for (at_ms, change) in [
            (at_ms, LinkChange::Hold),
            (at_ms + rng.u64(10..2_000), LinkChange::Release),
        ] {
            events.push(LinkEvent {
                at_ms,
                host,
                change,
            });
        }
    }
    Network {
        latency_ms: [low, low + rng.u64(0..50)],
        tick_ms: [1, 2, 5, 5, 10, 10][rng.usize(..6)],
        hosts,
        events,
    }
}

/// Three decimals: what a person can read in the file, and what JSON gives back unchanged.
fn round(rate: f64) -> f64 {
    (rate * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn a_drawn_configuration_survives_its_file() {
        let mut rng = seed::rng(5, "x");
        for _ in 0..50 {
            let config = faults(&mut rng);
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<FaultConfig>(&text).unwrap(), config);
        }
    }
}
