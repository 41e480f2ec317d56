//! The `sim` command: replays scenarios, and hunts for seeds that break something.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use millstream_sim::generate;
use millstream_sim::scenario::{Expect, Outcome, Scenario};
use millstream_sim::world::{self, Report};

/// Everything came out as expected.
const OK: u8 = 0;
/// An invariant is broken that should hold, or a failure no longer fails.
const FAILED: u8 = 1;
/// The command line or a file makes no sense. (clap's own code, too.)
const USAGE: u8 = 2;
/// The outcome is the expected one, but the trace is another: the scenario may not show any more what it did.
const DRIFTED: u8 = 3;

/// The deterministic simulator of millstream.
///
/// Exit codes: 0 as expected, 1 failed, 2 usage, 3 the trace has drifted.
#[derive(Parser)]
#[command(name = "sim")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the scenario of a file and compares outcome and trace hash with what the file expects.
    Replay {
        /// A scenario, e.g. corpus/seeds/first-broadcast.json
        file: PathBuf,
        /// Prints the verdict only, not the trace.
        #[arg(long)]
        quiet: bool,
        /// Writes what came out into the file as what it expects from now on.
        #[arg(long)]
        accept: bool,
    },
    /// Runs the scenario that is generated from one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Prints the verdict only, not the trace.
        #[arg(long)]
        quiet: bool,
        /// Writes the scenario, with what came out, to this file.
        #[arg(long)]
        save: Option<PathBuf>,
    },
    /// Runs the scenarios of many seeds and lists those that fail.
    Sweep {
        /// How many seeds.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Replay {
            file,
            quiet,
            accept,
        } => replay(&file, quiet, accept),
        Command::Run { seed, quiet, save } => run(seed, quiet, save.as_deref()),
        Command::Sweep { seeds, from } => Ok(sweep(from, seeds)),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn replay(file: &Path, quiet: bool, accept: bool) -> Result<u8, String> {
    let scenario = Scenario::load(file)?;
    let report = world::run(&scenario);
    print(&report, quiet);
    if accept {
        save(file, scenario, &report)?;
        return Ok(OK);
    }
    Ok(judge(&scenario.expect, &report))
}

/// Compares with what was expected, says so, and returns the exit code.
fn judge(expect: &Expect, report: &Report) -> u8 {
    let outcome = report.outcome();
    if outcome != expect.outcome {
        match (&expect.outcome, &outcome) {
            (Outcome::Fail(checker), Outcome::Pass) => {
                println!("FIXED: {checker:?} was expected to fail and holds");
            }
            (expected, _) => println!("FAILED: expected {expected:?}, came {outcome:?}"),
        }
        return FAILED;
    }
    match &expect.trace_hash {
        Some(hash) if *hash != report.trace.hash() => {
            println!("DRIFTED: the expected trace has hash {hash}");
            DRIFTED
        }
        Some(_) => {
            println!("reproduced: outcome and trace are the expected ones");
            OK
        }
        None => OK,
    }
}

fn run(seed: u64, quiet: bool, file: Option<&Path>) -> Result<u8, String> {
    let scenario = generate::scenario(seed);
    let report = world::run(&scenario);
    print(&report, quiet);
    if let Some(file) = file {
        save(file, scenario, &report)?;
    }
    Ok(judge(&Expect::default(), &report))
}

#[expect(
    clippy::disallowed_methods,
    reason = "scenarios are files; the server is not involved"
)]
fn save(file: &Path, mut scenario: Scenario, report: &Report) -> Result<(), String> {
    scenario.expect = Expect {
        outcome: report.outcome(),
        trace_hash: Some(report.trace.hash()),
    };
    std::fs::write(file, scenario.to_json()?)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn sweep(from: u64, seeds: u64) -> u8 {
    let mut failed = Vec::new();
    let mut fired = std::collections::BTreeMap::new();
    let mut exercised = std::collections::BTreeMap::new();
    let mut lasted = core::time::Duration::ZERO;
    for seed in from..from.saturating_add(seeds) {
        let report = world::run(&generate::scenario(seed));
        lasted += report.lasted;
        for (kind, times) in &report.faults {
            *fired.entry(*kind).or_insert(0) += times;
        }
        for (checker, times) in &report.exercised {
            *exercised.entry(*checker).or_insert(0) += times;
        }
        if let Some(violation) = report.violations.first() {
            println!("seed {seed}: {}: {}", violation.checker, violation.what);
            println!("  cargo sim run --seed {seed}");
            failed.push(seed);
        }
    }
    println!(
        "{seeds} seeds, {} failed, {} virtual seconds",
        failed.len(),
        lasted.as_secs()
    );
    for (title, counts) in [("faults fired", fired), ("checks made", exercised)] {
        println!("{title}:");
        for (what, times) in counts {
            println!("  {times:>9}  {what}");
        }
    }
    if failed.is_empty() { OK } else { FAILED }
}

fn print(report: &Report, quiet: bool) {
    let out = &mut std::io::stdout().lock();
    if !quiet {
        for line in report.trace.lines() {
            // A reader that closes the pipe early has seen enough.
            if writeln!(out, "{line}").is_err() {
                break;
            }
        }
    }
    let mut summary = format!("trace hash {}", report.trace.hash());
    summary += &format!(
        ", {} lines, {:.3} virtual seconds\n",
        report.trace.lines().len(),
        report.lasted.as_secs_f64()
    );
    for (checker, times) in &report.exercised {
        summary += &format!("  checked {times:>6} times: {checker}\n");
    }
    for (fault, times) in &report.faults {
        summary += &format!("  fired   {times:>6} times: {fault}\n");
    }
    for violation in &report.violations {
        let (at, checker, what) = (violation.at, violation.checker, &violation.what);
        summary += &format!("VIOLATION at {at}: {checker}: {what}\n");
    }
    let _ = out.write_all(summary.as_bytes());
}
