//! Every bug that can be planted in the server is found within a pull request's budget of seeds.
//!
//! `cargo test -p millstream-sim --features planted --test planted`; `cargo sim-planted` is faster, and prints the table.
#![cfg(feature = "planted")]

use millstream::planted::Bug;
use millstream_sim::planted::{BUDGET, Plan, table};

#[test]
fn every_planted_bug_is_found_within_the_budget() {
    let plan = Plan {
        from: 0,
        seeds: BUDGET,
        jobs: 2,
        all: false,
    };
    let table = table(Bug::ALL, &plan, &|_| {});
    let missed = table.rows.iter().filter(|found| found.seed.is_none());
    let missed: Vec<_> = missed.map(|found| found.bug.name()).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
