//! The commands, one file each: each has its arguments and a `run` that says how it ended.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use millstream_sim::scenario::{Expect, Outcome, Scenario};
use millstream_sim::world::Report;

mod files;
mod hashes;
mod planted;
mod replay;
mod report;
mod run;
mod show;
mod shrink;
mod sweep;

/// The exit code when the command line or a file makes no sense. (clap's own code, too.)
pub(crate) const USAGE: u8 = 2;

/// How a command ended; the process's exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Everything came out as expected.
    Expected,
    /// An invariant is broken that should hold.
    Failed,
    /// The outcome is the expected one, but the trace is another: the scenario may not show any more what it did.
    Drifted,
    /// A failure that the file expects does not come any more.
    Fixed,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Expected => 0,
            Verdict::Failed => 1,
            Verdict::Drifted => 3,
            Verdict::Fixed => 4,
        })
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the scenario of a file and compares outcome and trace hash with what the file expects.
    Replay(replay::Replay),
    /// Runs the scenario that is generated from one seed.
    Run(run::Run),
    /// Runs the scenarios of many seeds and lists those that fail.
    Sweep(sweep::Sweep),
    /// Makes a failing scenario smaller while the same checker objects, and writes it back to its file.
    Shrink(shrink::Shrink),
    /// Plants bugs in the server, one at a time, and tells how soon each is found.
    Planted(planted::Planted),
    /// Draws a run: a timeline with a lane per connection and shard, in the terminal or as a page.
    Show(show::Show),
    /// Measures the simulator: speed, determinism, coverage, whether it finds what it must.
    Report(report::Report),
    /// Prints the trace hash of each seed, to compare builds.
    Hashes(hashes::Hashes),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The arguments or a file make no sense: in one sentence.
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        match self {
            Self::Replay(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Sweep(command) => command.run(),
            Self::Shrink(command) => command.run(),
            Self::Planted(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Report(command) => command.run(),
            Self::Hashes(command) => Ok(command.run()),
        }
    }
}

/// Compares with what was expected, and says so.
fn judge(expect: &Expect, report: &Report) -> Verdict {
    let outcome = report.outcome();
    match (&expect.outcome, &outcome) {
        (expected, came) if expected == came => {}
        (Outcome::Fail(checker), Outcome::Pass) => {
            println!("FIXED: {checker:?} was expected to fail and holds");
            return Verdict::Fixed;
        }
        (expected, _) => {
            println!("FAILED: expected {expected:?}, came {outcome:?}");
            return Verdict::Failed;
        }
    }
    match &expect.trace_hash {
        Some(hash) if *hash != report.trace.hash() => {
            println!("DRIFTED: the expected trace has hash {hash}");
            Verdict::Drifted
        }
        Some(_) => {
            println!("reproduced: outcome and trace are the expected ones");
            Verdict::Expected
        }
        None => Verdict::Expected,
    }
}

/// Writes a scenario with what came out as what it expects from now on.
fn save(file: &Path, mut scenario: Scenario, report: &Report) -> Result<(), String> {
    scenario.expect = report.expectation();
    files::write_scenario(file, scenario)
}

/// Prints the trace, unless `quiet`, and what came out.
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
