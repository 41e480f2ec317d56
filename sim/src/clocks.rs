//! The clocks of a world: each of the server's virtual threads has its own, and the wall clock jumps.
//!
//! Threads of one process share a clock, but read it at different moments, and virtual machines stop and go
//! on: nothing may depend on two threads' clocks agreeing, and nothing at all on the wall clock.

use fastrand::Rng;
use millstream::time::{Duration, Instant, WallTime};
use serde::{Deserialize, Serialize};

use crate::seed;

/// What the Unix clock shows when a simulation starts: 2026-01-01, in microseconds.
pub const EPOCH_MICROS: u64 = 1_767_225_600_000_000;

/// Millionths.
const MILLION: i128 = 1_000_000;

/// How the clocks of the server's threads differ, and what the wall clock does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clocks {
    /// The largest offset of a thread's clock, milliseconds.
    pub skew_ms: u64,
    /// The largest deviation of its rate, both ways, parts per million.
    pub drift_ppm: i64,
    /// What the wall clock does.
    pub jumps: Vec<WallJump>,
}

/// The wall clock jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WallJump {
    /// When, milliseconds from the start.
    pub at_ms: u64,
    /// By how much: forward, or back if negative.
    pub by_ms: i64,
}

impl Clocks {
    /// Whether all is as it should be.
    pub fn are_right(&self) -> bool {
        *self == Self::default()
    }

    /// The clock of the thread that has its dice under `site`.
    pub fn of_site(&self, world_seed: u64, site: &str) -> SiteClock {
        let mut rng = seed::rng(world_seed, &format!("clock/{site}"));
        let drift = self.drift_ppm.abs();
        SiteClock {
            offset: i128::from(up_to(&mut rng, self.skew_ms)) * 1_000,
            ppm: i128::from(rng.i64(-drift..=drift)),
        }
    }

    /// What the wall clock shows at `now`.
    pub fn wall(&self, now: Instant) -> WallTime {
        let passed = self
            .jumps
            .iter()
            .filter(|jump| jump.at_ms <= now.as_millis());
        let by: i64 = passed.map(|jump| jump.by_ms.saturating_mul(1_000)).sum();
        WallTime((EPOCH_MICROS + now.as_micros()).saturating_add_signed(by))
    }
}

fn up_to(rng: &mut Rng, most: u64) -> u64 {
    rng.u64(..=most)
}

/// One thread's clock: what it shows of the time that all share.
#[derive(Clone, Copy, Debug)]
pub struct SiteClock {
    /// Microseconds.
    offset: i128,
    ppm: i128,
}

impl SiteClock {
    /// Whether it shows anything but the common time.
    pub fn is_skewed(&self) -> bool {
        self.offset != 0 || self.ppm != 0
    }

    /// What it shows at `now`.
    pub fn show(&self, now: Instant) -> Instant {
        if !self.is_skewed() {
            return now;
        }
        let micros = i128::from(now.as_micros());
        instant(micros + micros * self.ppm / MILLION + self.offset)
    }

    /// The first moment at which it shows `at` or later.
    pub fn when(&self, at: Instant) -> Instant {
        if !self.is_skewed() {
            return at;
        }
        let shown = i128::from(at.as_micros()) - self.offset;
        // Both divisions cut off: begin a little before.
        let mut now = instant(shown * MILLION / (MILLION + self.ppm) - 2);
        while self.show(now) < at {
            now = now + Duration::from_micros(1);
        }
        now
    }
}

fn instant(micros: i128) -> Instant {
    Instant::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skewed_clock_runs_on_and_is_found_again() {
        let clocks = Clocks {
            skew_ms: 700,
            drift_ppm: 20_000,
            jumps: Vec::new(),
        };
        for seed in 0..50 {
            let clock = clocks.of_site(seed, "shard 0");
            let mut before = Instant::ZERO;
            for ms in (0..100_000).step_by(777) {
                let now = Instant::from_micros(ms * 1_000);
                let shown = clock.show(now);
                assert!(shown >= before);
                before = shown;
                let found = clock.when(shown);
                assert!(clock.show(found) >= shown && found <= now);
            }
        }
        assert!(!Clocks::default().of_site(3, "shard 0").is_skewed());
    }

    #[test]
    fn the_wall_clock_jumps_both_ways() {
        let clocks = Clocks {
            jumps: vec![
                WallJump {
                    at_ms: 10,
                    by_ms: 3_600_000,
                },
                WallJump {
                    at_ms: 20,
                    by_ms: -7_200_000,
                },
            ],
            ..Clocks::default()
        };
        let shows = |ms: u64| clocks.wall(Instant::from_micros(ms * 1_000)).0;
        assert_eq!(shows(9), EPOCH_MICROS + 9_000);
        assert_eq!(shows(10), EPOCH_MICROS + 10_000 + 3_600_000_000);
        assert_eq!(shows(20), EPOCH_MICROS + 20_000 - 3_600_000_000);
    }
}
