//! Bugs on purpose in the server ([`millstream::planted`]): how many seeds, and how much CPU time, until each is
//! found, and by which checker. The proof that a sweep which finds nothing means something.
//!
//! Only the server's side of a world has the bug, not the clients, who are made of the same code.

use std::sync::Mutex;

use cpu_time::ThreadTime;
use millstream::planted::Bug;
use serde::Serialize;

use crate::generate;
use crate::scenario::{Outcome, Scenario};
use crate::world;

/// What a pull request may cost for each bug: some minutes of one CPU. Worlds that record leave fewer to the rare ones: what a
/// shard misses of a ring that is gone is found by seed 428.
pub const BUDGET: u64 = 500;

/// Which seeds are tried.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub from: u64,
    /// How many at most for one bug.
    pub seeds: u64,
    /// How many bugs are hunted at once.
    pub jobs: usize,
    /// Whether to go on behind the first seed that finds a bug, and count all that do.
    pub all: bool,
}

/// How the hunt for one bug went.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The bug.
    pub bug: Bug,
    /// Where it is planted.
    pub room: &'static str,
    /// The first seed that found it, if one did.
    pub seed: Option<u64>,
    /// Seeds until then, that one included; without it, all that were tried.
    pub seeds: u64,
    /// Seconds of CPU time that those took, the thread's own.
    pub cpu_seconds: f64,
    /// Which checker objected first.
    pub checker: Option<String>,
    /// What it said.
    pub what: Option<String>,
    /// Of all seeds tried, how many found it; only when all were asked for.
    pub finders: Option<u64>,
}

/// How all hunts went.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Seeds that each bug was given.
    pub budget: u64,
    /// One row a bug, in the order of [`Bug::ALL`].
    pub rows: Vec<Found>,
    /// Bugs that were found.
    pub found: usize,
    /// The median of the seeds it took, over the found ones.
    pub median_seeds: u64,
    /// The median of the CPU seconds it took, over the found ones.
    pub median_cpu_seconds: f64,
}

impl Table {
    /// Whether every bug was found.
    pub fn is_complete(&self) -> bool {
        self.found == self.rows.len()
    }
}

/// The scenario of `seed` with `bug` in the server.
pub fn scenario(bug: Bug, seed: u64) -> Scenario {
    Scenario {
        planted: Some(bug),
        ..generate::scenario(seed)
    }
}

/// Hunts for one bug: seed after seed on this thread.
///
/// A seed that fails without the bug, too, finds nothing: what it shows is another bug.
pub fn hunt(bug: Bug, plan: &Plan) -> Found {
    let began = ThreadTime::now();
    let mut found = Found {
        bug,
        room: bug.room(),
        seed: None,
        seeds: 0,
        cpu_seconds: 0.0,
        checker: None,
        what: None,
        finders: plan.all.then_some(0),
    };
    for seed in (0..plan.seeds).map(|n| plan.from.wrapping_add(n)) {
        let report = world::run(&scenario(bug, seed));
        if found.seed.is_none() {
            found.seeds += 1;
            found.cpu_seconds = began.elapsed().as_secs_f64();
        }
        let Some(violation) = report.violations.first() else {
            continue;
        };
        if world::run(&generate::scenario(seed)).outcome() != Outcome::Pass {
            continue;
        }
        if found.seed.is_none() {
            found.seed = Some(seed);
            found.checker = Some(violation.checker.to_owned());
            found.what = Some(violation.what.clone());
        }
        match &mut found.finders {
            Some(finders) => *finders += 1,
            None => break,
        }
    }
    found
}

/// Hunts for each of `bugs`, and shows `done` each that is through. The same table, but for the times, however many
/// jobs there are.
#[expect(
    clippy::disallowed_methods,
    reason = "runs are whole worlds of their own; no thread is inside one"
)]
pub fn table(bugs: &[Bug], plan: &Plan, done: &(dyn Fn(&Found) + Sync)) -> Table {
    let queue = Mutex::new(bugs.iter().copied().enumerate());
    let rows = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(|e| e.into_inner()).next();
            let Some((index, bug)) = next else { return };
            let found = hunt(bug, plan);
            done(&found);
            rows.lock()
                .unwrap_or_else(|e| e.into_inner())
                .push((index, found));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.jobs.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut rows = rows.into_inner().unwrap_or_else(|e| e.into_inner());
    rows.sort_by_key(|(index, _)| *index);
    sum_up(plan, rows.into_iter().map(|(_, found)| found).collect())
}

fn sum_up(plan: &Plan, rows: Vec<Found>) -> Table {
    let found: Vec<&Found> = rows.iter().filter(|row| row.seed.is_some()).collect();
    let mut seeds: Vec<u64> = found.iter().map(|row| row.seeds).collect();
    let mut seconds: Vec<f64> = found.iter().map(|row| row.cpu_seconds).collect();
    seeds.sort_unstable();
    seconds.sort_unstable_by(f64::total_cmp);
    Table {
        budget: plan.seeds,
        found: found.len(),
        median_seeds: seeds.get(seeds.len() / 2).copied().unwrap_or(0),
        median_cpu_seconds: seconds.get(seconds.len() / 2).copied().unwrap_or(0.0),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_with_a_bug_is_a_file_like_any_other() {
        let scenario = scenario(Bug::TwoClaims, 7);
        let text = scenario.to_json().unwrap();
        assert!(text.contains(r#""planted": "two-claims""#), "{text}");
        let read: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(read, scenario);
        assert_eq!(read.check().is_ok(), millstream::planted::POSSIBLE);
    }

    #[test]
    fn medians_are_over_what_was_found() {
        let row = |seed, seeds| Found {
            bug: Bug::TwoClaims,
            room: "media",
            seed,
            seeds,
            cpu_seconds: seeds as f64,
            checker: None,
            what: None,
            finders: None,
        };
        let plan = Plan {
            from: 0,
            seeds: 300,
            jobs: 1,
            all: false,
        };
        let table = sum_up(
            &plan,
            vec![
                row(Some(1), 2),
                row(None, 300),
                row(Some(8), 9),
                row(Some(3), 4),
            ],
        );
        assert_eq!((table.found, table.median_seeds), (3, 4));
        assert_eq!(table.rows.len(), 4);
        assert_eq!(sum_up(&plan, Vec::new()).median_seeds, 0);
    }

    #[cfg(feature = "planted")]
    #[test]
    fn a_bug_that_breaks_everything_is_found_at_once() {
        let plan = Plan {
            from: 0,
            seeds: 5,
            jobs: 1,
            all: false,
        };
        let found = hunt(Bug::ReadTakenForMessage, &plan);
        assert!(found.seed.is_some(), "{found:?}");
    }
}
