//! The `sim` command: replays scenarios, and hunts for seeds that break something.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use millstream_sim::generate;
use millstream_sim::scenario::{Expect, Outcome, Scenario};
use millstream_sim::world::{self, Report};
use millstream_sim::{shrink, sweep};

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
    Sweep(Sweep),
    /// Makes a failing scenario smaller while the same checker objects, and writes it back to its file.
    Shrink {
        /// A scenario that fails.
        file: PathBuf,
        /// Where to; its own file if not given.
        #[arg(long)]
        to: Option<PathBuf>,
        /// Runs at most.
        #[arg(long, default_value_t = 2_000)]
        runs: usize,
    },
}

#[derive(clap::Args)]
struct Sweep {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many run at once; one per core if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Begins no further seed after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Begins no further seed once one has failed.
    #[arg(long)]
    first: bool,
    /// Writes each failing scenario into this directory, as seed-N.json.
    #[arg(long)]
    save: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Replay {
            file,
            quiet,
            accept,
        } => replay(&file, quiet, accept),
        Command::Run { seed, quiet, save } => run(seed, quiet, save.as_deref()),
        Command::Sweep(sweep) => sweep.run(),
        Command::Shrink { file, to, runs } => shrink(&file, to.as_deref(), runs),
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
fn write(file: &Path, scenario: &Scenario) -> Result<(), String> {
    std::fs::write(file, scenario.to_json()?)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn save(file: &Path, mut scenario: Scenario, report: &Report) -> Result<(), String> {
    scenario.expect = report.expectation();
    write(file, &scenario)
}

fn shrink(file: &Path, to: Option<&Path>, runs: usize) -> Result<u8, String> {
    let scenario = Scenario::load(file)?;
    let wanted = world::run(&scenario).outcome();
    if wanted == Outcome::Pass {
        println!("{} fails no checker: nothing to shrink", file.display());
        return Ok(FAILED);
    }
    let (clients, steps) = shrink::size(&scenario);
    let shrunk = shrink::shrink(&scenario, &wanted, runs, &mut |candidate| {
        world::run(candidate).outcome()
    });
    let (fewer_clients, fewer_steps) = shrink::size(&shrunk.scenario);
    println!(
        "{wanted:?}: {clients} clients with {steps} steps are now {fewer_clients} with {fewer_steps}, after {} runs",
        shrunk.runs
    );
    let to = to.unwrap_or(file);
    let report = world::run(&shrunk.scenario);
    save(to, shrunk.scenario, &report)?;
    println!("  cargo sim replay {}", to.display());
    Ok(OK)
}

impl Sweep {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a person waits is real time; no world sees it"
    )]
    fn run(&self) -> Result<u8, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = sweep::Plan {
            from: self.from,
            seeds: self.seeds,
            jobs: self.jobs.unwrap_or(cores),
            stop_at_first: self.first,
        };
        let began = std::time::Instant::now();
        let progress = std::io::stderr().is_terminal();
        let summary = sweep::sweep(&plan, &|so_far| {
            if progress && so_far.seeds.is_multiple_of(10) {
                let (seeds, failed) = (so_far.seeds, so_far.failures.len());
                eprint!("\r{seeds} of {} seeds, {failed} failed ", plan.seeds);
            }
            self.seconds
                .is_none_or(|seconds| began.elapsed().as_secs() < seconds)
        });
        if progress {
            eprintln!();
        }
        self.tell(&summary, began.elapsed().as_secs_f64())
    }

    fn tell(&self, summary: &sweep::Summary, seconds: f64) -> Result<u8, String> {
        for (seed, failure) in &summary.failures {
            println!("seed {seed}: {}: {}", failure.checker, failure.what);
            match &self.save {
                None => println!("  cargo sim run --seed {seed}"),
                Some(dir) => {
                    let file = dir.join(format!("seed-{seed}.json"));
                    write(&file, &failure.scenario)?;
                    println!("  cargo sim replay {}", file.display());
                }
            }
        }
        println!(
            "{} seeds, {} failed, {} scripts, {} virtual seconds in {seconds:.1} real ones",
            summary.seeds,
            summary.failures.len(),
            summary.scripts,
            summary.lasted.as_secs()
        );
        for (title, counts) in [
            ("faults fired", &summary.fired),
            ("checks made", &summary.exercised),
        ] {
            println!("{title}:");
            for (what, times) in counts {
                println!("  {times:>9}  {what}");
            }
        }
        Ok(if summary.failures.is_empty() {
            OK
        } else {
            FAILED
        })
    }
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
