//! What goes wrong on a connection: each fault on or off, then its rate, all drawn from the seed.
//!
//! Swarm testing (Groce 2012): a scenario with a few faults switched on at all finds more than one where
//! every fault happens a little.

use std::rc::Rc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::seed::{self, happens};

mod menu;

pub use menu::{Fault, FaultCounts, MENU, SITES};

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
    /// How often a segment that arrives alone is held until more have come.
    #[serde(skip_serializing_if = "is_off")]
    pub coalesces: f64,
    /// How long it waits for more at the longest, milliseconds.
    #[serde(skip_serializing_if = "is_gather_ms")]
    pub coalesce_ms: u64,
    /// The chance of a client's end to be gone after a random number of bytes written by it: a FIN, wherever a
    /// chunk is then.
    #[serde(skip_serializing_if = "is_off")]
    pub fins: f64,
    /// The chance of a client's sending side to end so, while it goes on reading.
    #[serde(skip_serializing_if = "is_off")]
    pub half_closes: f64,
    /// Bytes after which such a FIN comes at the latest.
    #[serde(skip_serializing_if = "is_within")]
    pub fin_within: u64,
    /// How often accepting a connection fails.
    #[serde(skip_serializing_if = "is_off")]
    pub accept_errors: f64,
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

/// The longest wait for more to coalesce, unless drawn, milliseconds.
const GATHER_MS: u64 = 5;
/// Bytes within which a connection ends, unless drawn.
const WITHIN: u64 = 200_000;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_off(rate: &f64) -> bool {
    *rate == 0.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_gather_ms(ms: &u64) -> bool {
    *ms == GATHER_MS
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_within(bytes: &u64) -> bool {
    *bytes == WITHIN
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
            reset_within: WITHIN,
            panics: 0.0,
            panic_within: WITHIN,
            coalesces: 0.0,
            coalesce_ms: GATHER_MS,
            fins: 0.0,
            half_closes: 0.0,
            fin_within: WITHIN,
            accept_errors: 0.0,
            victims: Vec::new(),
            upstream_window: [65_536, 65_536],
            downstream_window: [65_536, 65_536],
            segment: [1_460, 1_460],
        }
    }
}

impl FaultConfig {
    /// What the clients' ends suffer. They are tormented by their scripts: other faults hit the code under test.
    pub fn at_clients(&self) -> Self {
        Self {
            segment: self.segment,
            fins: self.fins,
            half_closes: self.half_closes,
            fin_within: self.fin_within,
            ..Self::default()
        }
    }

    /// What the server's ends suffer.
    pub fn at_server(&self) -> Self {
        Self {
            fins: 0.0,
            half_closes: 0.0,
            ..self.clone()
        }
    }

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
    /// Bytes until the sending side ends, if that is to come, and how.
    fin_in: Option<u64>,
    fin: Ending,
    /// Bytes of one segment.
    pub segment: usize,
}

/// How a client's sending side ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It goes on reading.
    HalfClosed,
    /// It is gone.
    Gone,
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
        let within = config.fin_within.max(1);
        let gone = happens(&mut rng, config.fins).then(|| rng.u64(..within));
        let half = happens(&mut rng, config.half_closes).then(|| rng.u64(..within));
        let fin = if gone.is_some() {
            Ending::Gone
        } else {
            Ending::HalfClosed
        };
        Self {
            config,
            counts,
            rng,
            reset_in,
            panic_in,
            fin_in: gone.or(half),
            fin,
            segment,
        }
    }

    /// Counts what happened on this end beside the dice.
    pub fn count(&self, fault: Fault) {
        self.counts.count(fault);
    }

    /// How many of `n` bytes still go out before the sending side ends, and how it then does; `None` if it stands.
    pub fn ends_within(&mut self, n: usize) -> Option<(usize, Ending)> {
        let left = self.fin_in?;
        let sent = usize::try_from(left).unwrap_or(usize::MAX);
        if sent > n {
            self.fin_in = Some(left - n as u64);
            return None;
        }
        self.fin_in = None;
        self.counts.count(match self.fin {
            Ending::HalfClosed => Fault::HalfClosed,
            Ending::Gone => Fault::CutShort,
        });
        Some((sent, self.fin))
    }

    /// Whether the segment that has just arrived waits for more, and for how many milliseconds.
    pub fn gathers(&mut self) -> Option<u64> {
        let gathers = happens(&mut self.rng, self.config.coalesces);
        gathers.then(|| self.rng.u64(1..=self.config.coalesce_ms.max(1)))
    }

    /// How many of `n` readable bytes a read may have.
    pub fn read_size(&mut self, n: usize) -> usize {
        let rate = self.config.short_reads;
        self.shorten(n, rate, Fault::ShortRead)
    }

    /// How many of `n` writable bytes a write may take.
    pub fn write_size(&mut self, n: usize) -> usize {
        let rate = self.config.short_writes;
        self.shorten(n, rate, Fault::ShortWrite)
    }

    fn shorten(&mut self, n: usize, rate: f64, fault: Fault) -> usize {
        if n < 2 || !happens(&mut self.rng, rate) {
            return n;
        }
        self.counts.count(fault);
        if self.config.single_bytes {
            self.counts.count(Fault::SingleByte);
            1
        } else {
            self.rng.usize(1..n)
        }
    }

    /// Whether this call says `WouldBlock` for no reason.
    pub fn dodges(&mut self) -> bool {
        let dodges = happens(&mut self.rng, self.config.spurious_pending);
        if dodges {
            self.counts.count(Fault::SpuriousPending);
        }
        dodges
    }

    /// Whether the data that has just arrived is held back, and for how many milliseconds.
    pub fn stalls(&mut self) -> Option<u64> {
        let stalls = happens(&mut self.rng, self.config.stalls);
        stalls.then(|| {
            self.counts.count(Fault::Stall);
            self.rng.u64(1..=self.config.stall_ms.max(1))
        })
    }

    /// Whether the connection is reset now that `n` more bytes have passed.
    pub fn resets_after(&mut self, n: usize) -> bool {
        let resets = runs_out(&mut self.reset_in, n);
        if resets {
            self.counts.count(Fault::Reset);
        }
        resets
    }

    /// Whether the task that reads panics now that `n` more bytes have passed.
    pub fn panics_after(&mut self, n: usize) -> bool {
        let panics = runs_out(&mut self.panic_in, n);
        if panics {
            self.counts.count(Fault::TaskPanic);
        }
        panics
    }
}

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
        assert_eq!(counts.of(Fault::TaskPanic), 1);
    }
}
