//! System calls and instructions of a delivered message: counts, which noise cannot move, so that a check may fail.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::options::Options;
use super::table::short;
use super::target::Target;
use super::valgrind::{self, Counts};
use crate::load::Plan;
use crate::schedule::Pace;

/// Messages of the shorter run; the difference of two runs leaves the set-up out.
const SHORT: usize = 80;
/// Messages of the longer run.
const LONG: usize = 400;
/// Players, all on one stream.
const PLAYERS: usize = 200;
/// Messages that leave the publisher in one write.
const BURSTS: [usize; 2] = [1, 8];
/// Counts may grow so much.
const GROWTH: f64 = 1.05;
/// Lines of a profile.
const PROFILE: usize = 10;

/// Counts; false if a count grew.
///
/// # Errors
/// A server, a load or valgrind failed; or there is no valgrind, and a check was asked for.
pub(super) fn run(options: &Options) -> io::Result<bool> {
    if !valgrind::exists() {
        let missing = "valgrind is not on PATH: nothing is counted";
        if options.check.is_some() {
            return Err(io::Error::other(missing));
        }
        println!("{missing}");
        return Ok(true);
    }
    let place = std::env::temp_dir().join(format!("millstream-counts-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    let result = count_all(options, &place);
    let _ = fs::remove_dir_all(&place);
    let found = result?;
    if let Some(path) = &options.save {
        let text = serde_json::to_string_pretty(&found)?;
        fs::write(path, text + "\n")?;
    }
    match &options.check {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| io::Error::other(format!("{path}: {error}")))?;
            Ok(check(&found, &serde_json::from_str(&text)?))
        }
        None => Ok(true),
    }
}

/// Counts every server and prints it; returns what is to be kept of millstream.
fn count_all(options: &Options, place: &PathBuf) -> io::Result<Value> {
    println!(
        "\nOne message to one of {PLAYERS} players ({SHORT} and {LONG} messages, differenced)"
    );
    println!(
        "  {:<24} {:>12} {:>13} {:>13}",
        "", "in one write", "instructions", "system calls"
    );
    let mut kept = json!({});
    let only_mine = options.check.is_some() || options.save.is_some();
    for &target in &options.servers {
        if only_mine && target != Target::MILLSTREAM {
            continue;
        }
        for burst in BURSTS {
            let run = |messages| {
                let plan = Plan {
                    lockstep: messages,
                    burst,
                    samples: 1,
                    ..Plan::new(Pace::of(500_000), PLAYERS)
                };
                valgrind::count(target, &plan, place)
            };
            let (short_run, long_run) = (run(SHORT)?, run(LONG)?);
            let messages = ((LONG - SHORT) * PLAYERS) as f64;
            let each = short_run.difference(&long_run, messages);
            print(target, burst, &each);
            if target == Target::MILLSTREAM {
                kept[format!("{burst} in one write")] = json!({
                    "instructions": rounded(each.instructions),
                    "system_calls": rounded(each.system_calls()),
                });
            }
        }
    }
    Ok(kept)
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn print(target: Target, burst: usize, each: &Counts) {
    let (instructions, calls) = (each.instructions, each.system_calls());
    println!(
        "  {:<24} {burst:>12} {instructions:>13.1} {calls:>13.3}",
        target.to_string()
    );
    let named: Vec<String> = each
        .calls
        .iter()
        .filter(|(_, count)| **count > 0.000_5)
        .map(|(name, count)| format!("{name} {count:.3}"))
        .collect();
    println!("      {}", named.join(", "));
    let mut functions: Vec<_> = each.functions.iter().collect();
    functions.sort_by(|a, b| b.1.total_cmp(a.1));
    for (name, count) in functions.into_iter().take(PROFILE) {
        println!("      {:>9}  {name}", short(*count));
    }
}

/// Compares what was found to what was kept.
fn check(found: &Value, kept: &Value) -> bool {
    let mut passed = true;
    println!();
    for (burst, counts) in found.as_object().into_iter().flatten() {
        for (name, count) in counts.as_object().into_iter().flatten() {
            let count = count.as_f64().unwrap_or(f64::NAN);
            let Some(before) = kept[burst][name].as_f64() else {
                println!("{burst}, {name}: not in the file");
                passed = false;
                continue;
            };
            let grew = count > before * GROWTH;
            let verdict = if grew {
                "GREW too much"
            } else {
                "as it should be"
            };
            println!("{burst}, {name}: {before} -> {count}, {verdict}");
            passed &= !grew;
        }
    }
    passed
}
