//! The same seed gives the same trace: twice, on several threads, in another process, in another build. Whole traces
//! are compared, so that a difference is shown as the first line in which two runs part.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "threads of the test, not of the server"
)]

use std::process::Command;

use millstream_sim::trace::{Trace, first_difference};
use millstream_sim::{generate, world};

const SEEDS: [u64; 6] = [11, 12, 13, 14, 15, 16];

/// Names the `sim` program of another build whose traces must be the same: `.ci/run` gives the release build. The
/// program that Cargo builds for this test is of this build, and does for the other process.
const OTHER_BUILD: &str = "MILLSTREAM_SIM_OTHER_BUILD";

fn trace(seed: u64) -> Trace {
    world::run(&generate::scenario(seed)).trace
}

/// The trace as the program `sim` prints it.
fn trace_of(sim: &str, seed: u64) -> Vec<String> {
    let run = Command::new(sim)
        .args(["run", "--seed", &seed.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    let lines = said.lines().map(str::to_owned);
    lines
        .take_while(|line| !line.starts_with("trace hash "))
        .collect()
}

#[track_caller]
fn same(seed: u64, ours: &[String], theirs: &[String]) {
    if let Some(difference) = first_difference(ours, theirs) {
        panic!("seed {seed}: {difference}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_twice_in_a_process() {
    for seed in SEEDS {
        let (one, other) = (trace(seed), trace(seed));
        same(seed, one.lines(), other.lines());
        assert_eq!(one.hash(), other.hash());
    }
}

#[test]
fn another_seed_gives_another_trace_and_the_first_differing_line_is_told_from_both() {
    let mut scenario = generate::scenario(SEEDS[0]);
    let one = world::run(&scenario).trace;
    scenario.seed += 1;
    let other = world::run(&scenario).trace;
    assert_ne!(one.hash(), other.hash());
    let difference = one.first_difference(&other).unwrap();
    let told = difference.to_string();
    for line in [difference.ours, difference.theirs].into_iter().flatten() {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_on_several_threads_at_once() {
    let ours: Vec<Trace> = SEEDS.iter().map(|seed| trace(*seed)).collect();
    std::thread::scope(|scope| {
        let threads = SEEDS.map(|seed| scope.spawn(move || trace(seed)));
        for ((seed, ours), thread) in SEEDS.iter().zip(&ours).zip(threads) {
            same(*seed, ours.lines(), thread.join().unwrap().lines());
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_trace_in_another_process_and_in_another_build() {
    let mut programs = vec![env!("CARGO_BIN_EXE_sim").to_owned()];
    programs.extend(std::env::var(OTHER_BUILD));
    for seed in SEEDS {
        let ours = trace(seed);
        for program in &programs {
            same(seed, ours.lines(), &trace_of(program, seed));
        }
    }
}
