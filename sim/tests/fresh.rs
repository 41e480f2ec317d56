//! Seeds that nobody chose: a batch that depends on the commit, so that each commit looks at other worlds, and whoever
//! tests the same commit again sees the same ones.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "files of the test; the server is not involved"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_sim::scenario::Outcome;
use millstream_sim::seed::{Fnv, fnv};
use millstream_sim::{generate, world};

const SEEDS: u64 = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commit's name, or a hash of the sources where there is no repository.
fn commit() -> String {
    let git = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root())
        .output();
    match git {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => {
            let mut hash = Fnv::default();
            read(&root().join("src"), &mut hash);
            read(&root().join("sim/src"), &mut hash);
            format!("{:016x}", hash.finish())
        }
    }
}

fn read(dir: &Path, hash: &mut Fnv) {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            read(&entry, hash);
        } else {
            hash.write(&std::fs::read(&entry).unwrap());
        }
    }
}

#[test]
fn a_fresh_batch_of_worlds_derived_from_the_commit_holds() {
    let commit = commit();
    // Few digits, to be typed.
    let first = fnv(commit.trim().as_bytes()) % 1_000_000_000;
    for seed in first..first + SEEDS {
        let report = world::run(&generate::scenario(seed));
        assert_eq!(
            report.outcome(),
            Outcome::Pass,
            "{:?}\nreplay it: cargo sim run --seed {seed}",
            report.violations
        );
    }
}
