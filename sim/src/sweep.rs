//! Many seeds, several at a time: which fail, what was exercised, how fast it went.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::generate;
use crate::scenario::Scenario;
use crate::world::{self, Report};

/// Which seeds, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many run at once.
    pub jobs: usize,
    /// Begin no further seed once one has failed.
    pub stop_at_first: bool,
}

/// A seed that breaks something.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The scenario, with what came out as what it expects.
    pub scenario: Scenario,
    /// Which checker objected first.
    pub checker: &'static str,
    /// What it said.
    pub what: String,
}

/// What a sweep found. The same for the same seeds, however many ran at once.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Client scripts in them.
    pub scripts: u64,
    /// Those that failed, by seed.
    pub failures: BTreeMap<u64, Failure>,
    /// How often each fault fired.
    pub fired: BTreeMap<&'static str, u64>,
    /// How often each checker checked something.
    pub exercised: BTreeMap<&'static str, u64>,
    /// Virtual time.
    pub lasted: core::time::Duration,
}

impl Summary {
    fn add(&mut self, seed: u64, scenario: Scenario, report: &Report) {
        self.seeds += 1;
        self.scripts += scenario.clients.len() as u64;
        self.lasted += report.lasted;
        for (kind, times) in &report.faults {
            *self.fired.entry(*kind).or_default() += times;
        }
        for (checker, times) in &report.exercised {
            *self.exercised.entry(*checker).or_default() += times;
        }
        if let Some(violation) = report.violations.first() {
            let failure = Failure {
                seed,
                scenario: Scenario {
                    expect: report.expectation(),
                    ..scenario
                },
                checker: violation.checker,
                what: violation.what.clone(),
            };
            self.failures.insert(seed, failure);
        }
    }
}

/// Runs the seeds of `plan`. `more` is asked before each seed, with what was found so far, and may end the sweep.
///
/// # Panics
/// A run panicked, which no scenario may cause.
#[expect(
    clippy::disallowed_methods,
    reason = "runs are whole worlds of their own; no thread is inside one"
)]
pub fn sweep(plan: &Plan, more: &(dyn Fn(&Summary) -> bool + Sync)) -> Summary {
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Summary::default());
    let work = || {
        loop {
            {
                let summary = summary.lock().unwrap_or_else(|poison| poison.into_inner());
                let enough = plan.stop_at_first && !summary.failures.is_empty();
                if enough || !more(&summary) {
                    return;
                }
            }
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= plan.seeds {
                return;
            }
            let seed = plan.from.wrapping_add(index);
            let scenario = generate::scenario(seed);
            let report = world::run(&scenario);
            let mut summary = summary.lock().unwrap_or_else(|poison| poison.into_inner());
            summary.add(seed, scenario, &report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.jobs.max(1) {
            scope.spawn(work);
        }
        work();
    });
    summary
        .into_inner()
        .unwrap_or_else(|poison| poison.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_jobs_as_there_are_find_the_same() {
        let plan = |jobs| Plan {
            from: 20,
            seeds: 4,
            jobs,
            stop_at_first: false,
        };
        let one = sweep(&plan(1), &|_| true);
        let three = sweep(&plan(3), &|_| true);
        assert_eq!((one.seeds, one.failures.len()), (4, 0));
        assert_eq!(one.seeds, three.seeds);
        assert_eq!(one.fired, three.fired);
        assert_eq!(one.exercised, three.exercised);
        assert_eq!(one.lasted, three.lasted);
    }

    #[test]
    fn a_sweep_ends_when_it_is_told() {
        let plan = Plan {
            from: 0,
            seeds: 1_000_000,
            jobs: 1,
            stop_at_first: true,
        };
        let found = sweep(&plan, &|so_far| so_far.seeds < 2);
        assert_eq!(found.seeds, 2);
    }
}
