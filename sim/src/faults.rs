//! What goes wrong on a connection: each fault on or off, then its rate, all drawn from the seed.
//!
//! Swarm testing (Groce 2012): a scenario with a few faults switched on at all finds more than one where
//! every fault happens a little.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::seed::{self, happens};

/// The faults of a scenario's connections. A rate of 0 switches a fault off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultConfig {
    /// How often a read returns fewer bytes than are there.
    pub short_reads: f64,
    /// How often a write takes fewer bytes than the window has room for.
    pub short_writes: f64,
    /// Whether shortened reads and writes move one byte only; otherwise a random part.
    pub single_bytes: bool,
    /// How often a call says `WouldBlock` though it need not. The wake-up follows at once.
    pub spurious_pending: f64,
    /// How often arriving data is held back for a while.
    pub stalls: f64,
    /// The longest stall, milliseconds.
    pub stall_ms: u64,
    /// The chance of a connection to be reset after a random number of bytes read by the server.
    pub resets: f64,
    /// Bytes after which such a reset comes at the latest.
    pub reset_within: u64,
    /// The chance of a connection's task in the server to panic after a random number of bytes read by it.
    pub panics: f64,
    /// Bytes after which such a panic comes at the latest.
    pub panic_within: u64,
    /// The scripts whose connections suffer; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub victims: Vec<String>,
    /// Bytes in flight from client to server: smallest and largest window drawn.
    pub upstream_window: [usize; 2],
    /// Bytes in flight from server to client: smallest and largest window drawn.
    pub downstream_window: [usize; 2],
    /// Bytes of one segment: smallest and largest drawn.
    pub segment: [usize; 2],
}

impl Default for FaultConfig {
    fn default() -> Self {
        Self {
            short_reads: 0.0,
            short_writes: 0.0,
            single_bytes: false,
            spurious_pending: 0.0,
            stalls: 0.0,
            stall_ms: 200,
            resets: 0.0,
            reset_within: 200_000,
            panics: 0.0,
            panic_within: 200_000,
            victims: Vec::new(),
            upstream_window: [65_536, 65_536],
            downstream_window: [65_536, 65_536],
            segment: [1_460, 1_460],
        }
    }
}

impl FaultConfig {
    /// The same windows and segments, and nothing that goes wrong.
    pub fn healed(&self) -> Self {
        Self {
            upstream_window: self.upstream_window,
            downstream_window: self.downstream_window,
            segment: self.segment,
            ..Self::default()
        }
    }
}

/// How often each fault really happened. A fault that never fires tests nothing.
#[derive(Clone, Debug, Default)]
pub struct FaultCounts(Rc<RefCell<BTreeMap<&'static str, u64>>>);

impl FaultCounts {
    /// Counts one more `kind`.
    pub fn count(&self, kind: &'static str) {
        *self.0.borrow_mut().entry(kind).or_insert(0) += 1;
    }

    /// All kinds that fired, with how often.
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.0.borrow().clone()
    }
}

/// One end of one connection's dice.
#[derive(Debug)]
pub struct ConnFaults {
    config: Rc<FaultConfig>,
    counts: FaultCounts,
    rng: Rng,
    /// Bytes until the reset, if one is to come.
    reset_in: Option<u64>,
    /// Bytes until the panic of the task that reads, if one is to come.
    panic_in: Option<u64>,
    /// Bytes of one segment.
    pub segment: usize,
}

impl ConnFaults {
    /// The dice for `purpose`, which must name the connection and its end.
    pub fn new(
        config: Rc<FaultConfig>,
        counts: FaultCounts,
        world_seed: u64,
        purpose: &str,
    ) -> Self {
        let mut rng = seed::rng(world_seed, purpose);
        let reset_in =
            happens(&mut rng, config.resets).then(|| rng.u64(..config.reset_within.max(1)));
        let segment = between(&mut rng, config.segment);
        let panic_in =
            happens(&mut rng, config.panics).then(|| rng.u64(..config.panic_within.max(1)));
        Self {
            config,
            counts,
            rng,
            reset_in,
            panic_in,
            segment,
        }
    }

    /// How many of `n` readable bytes a read may have.
    pub fn read_size(&mut self, n: usize) -> usize {
        let rate = self.config.short_reads;
        self.shorten(n, rate, "short read")
    }

    /// How many of `n` writable bytes a write may take.
    pub fn write_size(&mut self, n: usize) -> usize {
        let rate = self.config.short_writes;
        self.shorten(n, rate, "short write")
    }

    fn shorten(&mut self, n: usize, rate: f64, kind: &'static str) -> usize {
        if n < 2 || !happens(&mut self.rng, rate) {
            return n;
        }
        self.counts.count(kind);
        if self.config.single_bytes {
            1
        } else {
            self.rng.usize(1..n)
        }
    }

    /// Whether this call says `WouldBlock` for no reason.
    pub fn dodges(&mut self) -> bool {
        let dodges = happens(&mut self.rng, self.config.spurious_pending);
        if dodges {
            self.counts.count("spurious pending");
        }
        dodges
    }

    /// Whether the data that has just arrived is held back, and for how many milliseconds.
    pub fn stalls(&mut self) -> Option<u64> {
        let stalls = happens(&mut self.rng, self.config.stalls);
        stalls.then(|| {
            self.counts.count("stall");
            self.rng.u64(1..=self.config.stall_ms.max(1))
        })
    }

    /// Whether the connection is reset now that `n` more bytes have passed.
    pub fn resets_after(&mut self, n: usize) -> bool {
        let resets = runs_out(&mut self.reset_in, n);
        if resets {
            self.counts.count("reset");
        }
        resets
    }

    /// Whether the task that reads panics now that `n` more bytes have passed.
    pub fn panics_after(&mut self, n: usize) -> bool {
        let panics = runs_out(&mut self.panic_in, n);
        if panics {
            self.counts.count(TASK_PANIC);
        }
        panics
    }
}

/// The kind of an injected panic: the world allows as many as were counted.
pub const TASK_PANIC: &str = "task panic";

/// Counts `n` bytes down; true once, when none is left.
fn runs_out(left: &mut Option<u64>, n: usize) -> bool {
    let rest = match *left {
        None => return false,
        Some(left) => left.checked_sub(n as u64).filter(|rest| *rest > 0),
    };
    *left = rest;
    rest.is_none()
}

/// A number between both, in any order given, both included, at least 1.
pub fn between(rng: &mut Rng, [low, high]: [usize; 2]) -> usize {
    rng.usize(low.min(high)..=low.max(high)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: FaultConfig) -> (ConnFaults, FaultCounts) {
        let counts = FaultCounts::default();
        let faults = ConnFaults::new(Rc::new(config), counts.clone(), 1, "test");
        (faults, counts)
    }

    #[test]
    fn switched_off_faults_never_fire() {
        let (mut faults, counts) = faults(FaultConfig::default());
        for _ in 0..1_000 {
            assert_eq!(faults.read_size(100), 100);
            assert_eq!(faults.write_size(100), 100);
            assert!(!faults.dodges() && faults.stalls().is_none() && !faults.resets_after(1_000));
        }
        assert!(counts.totals().is_empty());
    }

    #[test]
    fn switched_on_faults_fire_and_are_counted() {
        let (mut faults, counts) = faults(FaultConfig {
            short_reads: 1.0,
            spurious_pending: 1.0,
            resets: 1.0,
            reset_within: 10,
            ..FaultConfig::default()
        });
        assert!((1..100).contains(&faults.read_size(100)));
        assert_eq!(faults.read_size(1), 1);
        assert!(faults.dodges());
        assert!(faults.resets_after(10));
        assert!(!faults.resets_after(10), "a connection is reset once");
        let totals = counts.totals();
        assert_eq!(totals.get("short read"), Some(&1));
        assert_eq!(totals.get("reset"), Some(&1));
    }

    #[test]
    fn a_task_panics_once_within_its_bytes() {
        let (mut faults, counts) = faults(FaultConfig {
            panics: 1.0,
            panic_within: 10,
            ..FaultConfig::default()
        });
        assert_eq!((0..20).filter(|_| faults.panics_after(1)).count(), 1);
        assert_eq!(counts.totals().get(TASK_PANIC), Some(&1));
    }
}
