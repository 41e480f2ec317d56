//! Recordings, and what becomes of their disk.

use crate::disk::DiskFaults;
use crate::scenario::{Record, Scenario};
use crate::seed::{self, happens};

/// Sometimes everything is recorded, to a disk that works, or one that stalls, fails and fills up.
pub(super) fn come(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/records");
    // What a dead server leaves is to be made whole by the next.
    let often = if scenario.outages.is_empty() {
        0.25
    } else {
        0.8
    };
    if !happens(rng, often) {
        return;
    }
    let mut some = |range: core::ops::Range<u64>| match rng.bool() {
        true => rng.u64(range),
        false => 0,
    };
    scenario.server.record = Some(Record {
        segment_ms: some(200..4_000),
        segment_bytes: some(1_000..400_000),
    });
    if happens(rng, 0.5) {
        return;
    }
    let mut rate = |most: f64| match rng.bool() {
        // Three digits, which a file keeps as they are.
        true => (rng.f64() * most * 1e3).round() / 1e3,
        false => 0.0,
    };
    let (errors, short_writes, stalls) = (rate(0.1), rate(0.1), rate(0.1));
    scenario.disk = DiskFaults {
        errors,
        short_writes,
        stalls,
        stall_ms: rng.u64(10..8_000),
        full_after: match happens(rng, 0.3) {
            true => rng.u64(1_000..2_000_000),
            false => 0,
        },
        full_ms: rng.u64(100..6_000),
    };
}
