//! System calls and instructions of a delivered message: counts, which noise cannot move, so that a check may fail.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::options::Options;
use super::table::short;
use super::target::Target;
use super::valgrind::{self, Counts};
use crate::load::Plan;
use crate::schedule::Pace;

/// Messages of the two runs, whose difference leaves the set-up out.
const MESSAGES: [usize; 2] = [80, 880];
/// Sessions of the two runs.
const SESSIONS: [usize; 2] = [50, 250];
/// Players, all on one stream.
const PLAYERS: usize = 200;
/// Messages that leave the publisher in one write.
const BURSTS: [usize; 2] = [1, 8];
/// The name of a session's counts.
const SESSION: &str = "session";
/// Counts may grow so much. The compiler alone makes 191 or 204 instructions of the same frame's path, as code far from it
/// comes and goes; what is to be noticed is an allocation, a system call, a look-up: twenty and more.
const GROWTH: f64 = 1.08;
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
fn count_all(options: &Options, place: &Path) -> io::Result<Value> {
    println!(
        "\nOne message to one of {PLAYERS} players, and one session, as the difference of two runs"
    );
    println!("  {:<40} {:>13} {:>13}", "", "instructions", "system calls");
    let mut kept = json!({});
    let only_mine = options.check.is_some() || options.save.is_some();
    for &target in &options.servers {
        if only_mine && target != Target::MILLSTREAM {
            continue;
        }
        let mut keep = |what: &str, each: &Counts| {
            print(target, what, each);
            if target == Target::MILLSTREAM {
                kept[what]["instructions"] = rounded(each.instructions).into();
                // How many a session takes hangs on how its steps meet the server's turns: a twentieth more or less.
                if what != SESSION {
                    kept[what]["system calls"] = rounded(each.system_calls()).into();
                }
            }
        };
        for burst in BURSTS {
            let each = message(target, burst, place)?;
            keep(&format!("message, {burst} in one write"), &each);
        }
        keep(SESSION, &session(target, place)?);
    }
    Ok(kept)
}

/// What one message to one player takes.
fn message(target: Target, burst: usize, place: &Path) -> io::Result<Counts> {
    let [short, long] = MESSAGES.map(|messages| {
        let plan = Plan {
            lockstep: messages,
            burst,
            samples: 1,
            ..Plan::new(Pace::of(500_000), PLAYERS)
        };
        valgrind::count(target, &plan, place)
    });
    let messages = (MESSAGES[1] - MESSAGES[0]) * PLAYERS;
    Ok(short?.difference(&long?, messages as f64))
}

/// What a session takes, from connect to play to close.
fn session(target: Target, place: &Path) -> io::Result<Counts> {
    let [short, long] = SESSIONS.map(|sessions| {
        let plan = Plan {
            sessions,
            at_once: 1,
            ..Plan::new(Pace::of(500_000), 0)
        };
        valgrind::count(target, &plan, place)
    });
    Ok(short?.difference(&long?, (SESSIONS[1] - SESSIONS[0]) as f64))
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn print(target: Target, what: &str, each: &Counts) {
    let label = format!("{target}: {what}");
    let (instructions, calls) = (each.instructions, each.system_calls());
    println!("  {label:<40} {instructions:>13.1} {calls:>13.3}");
    let named: Vec<String> = each
        .calls
        .iter()
        .filter(|(_, count)| **count > 0.000_5)
        .map(|(name, count)| format!("{name} {count:.3}"))
        .collect();
    println!("      {}", named.join(", "));
    let mut functions: Vec<_> = each.functions.iter().collect();
    functions.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    for (name, count) in functions.into_iter().take(PROFILE) {
        println!("      {:>9}  {name}", short(*count));
    }
}

/// Compares what was found to what was kept.
fn check(found: &Value, kept: &Value) -> bool {
    let mut passed = true;
    println!();
    for (what, counts) in found.as_object().into_iter().flatten() {
        for (name, count) in counts.as_object().into_iter().flatten() {
            let count = count.as_f64().unwrap_or(f64::NAN);
            let Some(before) = kept[what][name].as_f64() else {
                println!("{what}, {name}: not in the file");
                passed = false;
                continue;
            };
            let grew = count > before * GROWTH;
            let verdict = if grew {
                "GREW too much"
            } else {
                "as it should be"
            };
            println!("{what}, {name}: {before} -> {count}, {verdict}");
            passed &= !grew;
        }
    }
    passed
}
