//! The same seed gives the same trace, in one process and in two; another seed gives another.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "threads of the test, not of the server"
)]

use std::process::Command;

use millstream_sim::generate;
use millstream_sim::world;

const SEEDS: [u64; 3] = [11, 12, 13];

/// Set for the child process: print the hashes and nothing else matters.
const CHILD: &str = "MILLSTREAM_SIM_CHILD";

fn hashes() -> Vec<String> {
    let hash = |seed: &u64| world::run(&generate::scenario(*seed)).trace.hash();
    SEEDS.iter().map(hash).collect()
}

#[test]
fn the_same_seed_gives_the_same_trace_twice_in_a_process() {
    for seed in SEEDS {
        let scenario = generate::scenario(seed);
        let (one, other) = (world::run(&scenario).trace, world::run(&scenario).trace);
        if let Some(difference) = one.first_difference(&other) {
            panic!("seed {seed}: {difference}");
        }
        assert_eq!(one.hash(), other.hash());
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let mut scenario = generate::scenario(SEEDS[0]);
    let one = world::run(&scenario).trace.hash();
    scenario.seed += 1;
    assert_ne!(one, world::run(&scenario).trace.hash());
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes_and_on_another_thread() {
    if std::env::var_os(CHILD).is_some() {
        println!("HASHES {}", hashes().join(" "));
        return;
    }
    let this = "the_same_seed_gives_the_same_trace_in_two_processes_and_on_another_thread";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let ours = std::thread::scope(|scope| scope.spawn(hashes).join().unwrap()).join(" ");
    assert!(
        said.contains(&format!("HASHES {ours}")),
        "here {ours}, in another process:\n{said}"
    );
}
