//! Many seeds, several at a time: which fail, what was exercised. Can stop anywhere and go on later.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::canary;
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
    /// Whether one seed in a hundred has a canary and must fail ([`canary::in_seed`]).
    pub canary: bool,
}

impl Plan {
    /// The scenario of one seed of this plan.
    pub fn scenario(&self, seed: u64) -> Scenario {
        let mut scenario = generate::scenario(seed);
        scenario.canary = self.canary && canary::in_seed(seed);
        scenario
    }
}

/// A seed that breaks something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The scenario, with what came out as what it expects.
    pub scenario: Scenario,
    /// Which checker objected first.
    pub checker: String,
    /// What it said.
    pub what: String,
}

/// What a sweep found. The same for the same seeds, however many ran at once and in however many pieces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Client scripts in them.
    pub scripts: u64,
    /// Those that failed, by seed.
    pub failures: BTreeMap<u64, Failure>,
    /// How often each fault fired.
    pub fired: BTreeMap<String, u64>,
    /// How often each checker checked something.
    pub exercised: BTreeMap<String, u64>,
    /// Virtual time, microseconds.
    pub lasted_us: u64,
}

impl Summary {
    fn add(&mut self, seed: u64, scenario: Scenario, report: &Report) {
        self.seeds += 1;
        self.scripts += scenario.clients.len() as u64;
        self.lasted_us += u64::try_from(report.lasted.as_micros()).unwrap_or(u64::MAX);
        for (kind, times) in &report.faults {
            *self.fired.entry((*kind).to_owned()).or_default() += times;
        }
        for (checker, times) in &report.exercised {
            *self.exercised.entry((*checker).to_owned()).or_default() += times;
        }
        if let Some(violation) = report.violations.first() {
            let failure = Failure {
                seed,
                scenario: Scenario {
                    expect: report.expectation(),
                    ..scenario
                },
                checker: violation.checker.to_owned(),
                what: violation.what.clone(),
            };
            self.failures.insert(seed, failure);
        }
    }
}

/// How far a sweep has come: which seeds are done, and what they summed up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// As many of the plan's seeds are done without a gap.
    below: u64,
    /// And these behind a gap, which was still running when this was written.
    beyond: BTreeSet<u64>,
    /// What the seeds that are done came to.
    pub summary: Summary,
}

impl Done {
    fn contains(&self, index: u64) -> bool {
        index < self.below || self.beyond.contains(&index)
    }

    fn insert(&mut self, index: u64) {
        self.beyond.insert(index);
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }
}

/// Runs those seeds of `plan` that are not `done`. `more` is asked before each seed, with what was found so far,
/// and may end the sweep.
///
/// # Panics
/// A run panicked, which no scenario may cause; the message names the seed.
#[expect(
    clippy::disallowed_methods,
    reason = "runs are whole worlds of their own; no thread is inside one"
)]
pub fn sweep(plan: &Plan, done: Done, more: &(dyn Fn(&Done) -> bool + Sync)) -> Done {
    let next = AtomicU64::new(done.below);
    let done = Mutex::new(done);
    let work = || {
        loop {
            let index = {
                let done = lock(&done);
                let enough = plan.stop_at_first && !done.summary.failures.is_empty();
                let index = next.load(Ordering::Relaxed);
                if enough || index >= plan.seeds || !more(&done) {
                    return;
                }
                next.store(index + 1, Ordering::Relaxed);
                if done.contains(index) {
                    continue;
                }
                index
            };
            let seed = plan.from.wrapping_add(index);
            let scenario = plan.scenario(seed);
            let report = catch_unwind(AssertUnwindSafe(|| world::run(&scenario)));
            let report = report.unwrap_or_else(|panic| {
                eprintln!("the simulator itself panicked: cargo sim run --seed {seed}");
                resume_unwind(panic)
            });
            let mut done = lock(&done);
            done.insert(index);
            done.summary.add(seed, scenario, &report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.jobs.max(1) {
            scope.spawn(work);
        }
        work();
    });
    done.into_inner()
        .unwrap_or_else(|poison| poison.into_inner())
}

/// No half-made sum is left behind by a panic: it comes before the lock is taken.
fn lock(done: &Mutex<Done>) -> MutexGuard<'_, Done> {
    done.lock().unwrap_or_else(|poison| poison.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(jobs: usize, seeds: u64) -> Plan {
        Plan {
            from: 20,
            seeds,
            jobs,
            stop_at_first: false,
            canary: false,
        }
    }

    #[test]
    fn as_many_jobs_as_there_are_find_the_same() {
        let one = sweep(&plan(1, 4), Done::default(), &|_| true);
        let three = sweep(&plan(3, 4), Done::default(), &|_| true);
        assert_eq!(
            (one.summary.seeds, one.summary.failures.len()),
            (4, 0),
            "{:?}",
            one.summary.failures
        );
        assert_eq!(one, three);
    }

    #[test]
    fn a_sweep_that_was_stopped_goes_on_where_it_stopped() {
        let whole = sweep(&plan(1, 4), Done::default(), &|_| true);
        let part = sweep(&plan(2, 4), Done::default(), &|done| done.summary.seeds < 1);
        assert!(part.summary.seeds < 4);
        // Through the file's text, as another process would.
        let text = serde_json::to_string(&part).unwrap();
        let part: Done = serde_json::from_str(&text).unwrap();
        assert_eq!(sweep(&plan(2, 4), part, &|_| true), whole);
    }

    #[test]
    fn seeds_behind_a_gap_are_not_run_again() {
        let mut done = Done::default();
        for index in [1, 2, 5] {
            done.insert(index);
        }
        assert!(!done.contains(0) && done.contains(1) && !done.contains(3) && done.contains(5));
        done.insert(0);
        assert_eq!((done.below, done.beyond.len()), (3, 1));
    }

    #[test]
    fn a_sweep_ends_when_it_is_told() {
        let many = Plan {
            stop_at_first: true,
            ..plan(1, 1_000_000)
        };
        let found = sweep(&many, Done::default(), &|done| done.summary.seeds < 2);
        assert_eq!(found.summary.seeds, 2);
    }
}
