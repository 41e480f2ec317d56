//! `sim report`: the scorecard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use millstream_sim::faults::{MENU, SITES};
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::scorecard::{
    CanaryCard, CorpusCard, Coverage, Determinism, Scorecard, Shrinking, Speed,
};
use millstream_sim::sweep::{self, Done, Plan, Summary};
use millstream_sim::trace::{self, Trace};
use millstream_sim::{canary, checkers, generate, planted, shrink, world};

use super::sweep::{Clock, cores};
use super::{Verdict, files};

/// Runs that shrinking the canary may take.
const SHRINK_RUNS: usize = 500;
/// Runs that must fail.
const CANARIES: u64 = 5;

#[derive(clap::Args)]
pub(crate) struct Report {
    /// Seeds of the sweep behind the figures.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Its first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Begins no further seed of it after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many run at once; one per core if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Seeds whose traces are compared.
    #[arg(long, default_value_t = 20)]
    compared: u64,
    /// Another build of this program, e.g. target/debug/sim, whose traces must be the same.
    #[arg(long, value_name = "PROGRAM")]
    other_build: Option<PathBuf>,
    /// Seeds for each planted bug, in a build that has them.
    #[arg(long, default_value_t = planted::BUDGET)]
    planted: u64,
    /// Scenarios that must come out as they say.
    #[arg(long, value_name = "DIR", default_value = "corpus/seeds")]
    corpus: PathBuf,
    /// Prints JSON instead of the table.
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let card = self.measure()?;
        if self.json {
            let text = serde_json::to_string_pretty(&card).map_err(|error| error.to_string())?;
            println!("{text}");
        } else {
            print!("{}", card.table());
        }
        Ok(if card.is_sound() {
            Verdict::Expected
        } else {
            Verdict::Failed
        })
    }

    fn measure(&self) -> Result<Scorecard, String> {
        let jobs = self.jobs.unwrap_or_else(cores);
        let (summary, cpu) = self.sweep(jobs);
        let names: Vec<&str> = checkers::all()
            .iter()
            .map(|checker| checker.name())
            .collect();
        let is_invariant = |name: &&String| names.contains(&name.as_str());
        let sometimes = summary.exercised.keys().filter(|name| !is_invariant(name));
        let fires: u64 = summary.fired.values().sum();
        Ok(Scorecard {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: files::revision(),
            from: self.from,
            seeds: summary.seeds,
            speed: Speed::new(&summary, cpu),
            determinism: self.determinism(jobs)?,
            faults: Coverage::new(MENU.iter().map(|(name, _)| *name), &summary.fired),
            fires_a_seed: fires as f64 / (summary.seeds.max(1)) as f64,
            buggify: Coverage::new(SITES.iter().map(|(_, fault)| fault.name()), &summary.fired),
            sometimes: Coverage::new(sometimes.map(String::as_str), &summary.exercised),
            invariants: Coverage::of_invariants(&summary.exercised),
            planted: self.planted(jobs),
            canary: canaries(),
            alarms: summary.failures.keys().copied().collect(),
            shrinking: shrinking(),
            corpus: replay_all(&self.corpus)?,
        })
    }

    /// The sweep, and the CPU seconds it took.
    fn sweep(&self, jobs: usize) -> (Summary, f64) {
        let plan = Plan {
            from: self.from,
            seeds: self.seeds,
            jobs,
            stop_at_first: false,
            canary: false,
        };
        let (clock, cpu) = (Clock::start(), ProcessTime::now());
        let done = sweep::sweep(&plan, Done::default(), &|_| {
            self.seconds
                .is_none_or(|seconds| clock.elapsed() < Duration::from_secs(seconds))
        });
        (done.summary, cpu.elapsed().as_secs_f64())
    }

    fn planted(&self, jobs: usize) -> Option<planted::Table> {
        let plan = planted::Plan {
            from: 0,
            seeds: self.planted,
            jobs,
            all: false,
        };
        let bugs = millstream::planted::Bug::ALL;
        millstream::planted::POSSIBLE.then(|| planted::table(bugs, &plan, &|_| {}))
    }

    fn determinism(&self, jobs: usize) -> Result<Determinism, String> {
        let seeds: Vec<u64> = (self.from..).take(self.compared as usize).collect();
        let mut card = Determinism {
            seeds: seeds.len(),
            ..Determinism::default()
        };
        let mut ours = BTreeMap::new();
        for seed in &seeds {
            let (one, other) = (trace_of(*seed), trace_of(*seed));
            match one.first_difference(&other) {
                None => card.twice += 1,
                Some(difference) => card
                    .differences
                    .push(format!("seed {seed}, twice: {difference}")),
            }
            ours.insert(*seed, one);
        }
        let threads = on_threads(&seeds, jobs.max(2));
        for (seed, other) in &threads {
            match ours.get(seed).and_then(|one| one.first_difference(other)) {
                None => card.threads += 1,
                Some(difference) => card
                    .differences
                    .push(format!("seed {seed}, on another thread: {difference}")),
            }
        }
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        card.process = self.elsewhere(&this, &ours, &mut card.differences)?;
        if let Some(other) = &self.other_build {
            card.build = Some(self.elsewhere(other, &ours, &mut card.differences)?);
        }
        Ok(card)
    }

    /// How many of `ours` the program `other` traces alike.
    fn elsewhere(
        &self,
        other: &Path,
        ours: &BTreeMap<u64, Trace>,
        differences: &mut Vec<String>,
    ) -> Result<usize, String> {
        let (from, seeds) = (self.from.to_string(), self.compared.to_string());
        let hashes = output(other, &["hashes", "--from", &from, "--seeds", &seeds])?;
        let theirs: BTreeMap<u64, &str> = hashes
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(seed, hash)| Some((seed.parse().ok()?, hash)))
            .collect();
        let mut same = 0;
        for (seed, trace) in ours {
            if theirs.get(seed) == Some(&&*trace.hash()) {
                same += 1;
                continue;
            }
            let lines: Vec<String> = output(other, &["run", "--seed", &seed.to_string()])?
                .lines()
                .take_while(|line| !line.starts_with("trace hash "))
                .map(str::to_owned)
                .collect();
            let program = other.display();
            differences.push(match trace::first_difference(trace.lines(), &lines) {
                Some(difference) => format!("seed {seed}, in {program}: {difference}"),
                None => format!("seed {seed}, in {program}: not the same each time"),
            });
        }
        Ok(same)
    }
}

fn trace_of(seed: u64) -> Trace {
    world::run(&generate::scenario(seed)).trace
}

/// What a program says, whatever its exit code: a seed that fails is no reason not to compare its trace.
fn output(program: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The traces of `seeds`, made on `jobs` threads at once.
#[expect(
    clippy::disallowed_methods,
    reason = "whether the thread matters is the question"
)]
fn on_threads(seeds: &[u64], jobs: usize) -> Vec<(u64, Trace)> {
    let share = seeds.len().div_ceil(jobs).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .chunks(share)
            .map(|seeds| {
                let traces = || seeds.iter().map(|seed| (*seed, trace_of(*seed))).collect();
                scope.spawn(traces)
            })
            .collect();
        let traces = threads.into_iter().map(|thread| {
            let traces: Vec<(u64, Trace)> = thread.join().unwrap_or_default();
            traces
        });
        traces.flatten().collect()
    })
}

fn canary_scenario(nth: u64) -> Scenario {
    let mut scenario = generate::scenario(nth * 100 + 99);
    scenario.canary = true;
    scenario
}

fn canaries() -> CanaryCard {
    let mut card = CanaryCard::default();
    for nth in 0..CANARIES {
        let report = world::run(&canary_scenario(nth));
        card.sang += usize::from(report.faults.contains_key(canary::CANARY));
        card.red += usize::from(report.outcome() == Outcome::Fail(canary::CHECKER.to_owned()));
    }
    card
}

fn shrinking() -> Shrinking {
    let scenario = canary_scenario(0);
    let wanted = Outcome::Fail(canary::CHECKER.to_owned());
    let cpu = ThreadTime::now();
    let shrunk = shrink::shrink(&scenario, &wanted, SHRINK_RUNS, &mut |candidate| {
        world::run(candidate).outcome()
    });
    let (before, after) = (shrink::size(&scenario), shrink::size(&shrunk.scenario));
    Shrinking {
        clients: [before.0, after.0],
        steps: [before.1, after.1],
        runs: shrunk.runs,
        cpu_seconds: cpu.elapsed().as_secs_f64(),
    }
}

fn replay_all(dir: &Path) -> Result<CorpusCard, String> {
    let mut card = CorpusCard::default();
    for file in files::scenarios(dir)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let scenario = Scenario::load(&file)?;
        let report = world::run(&scenario);
        card.replayed += 1;
        let expect = &scenario.expect;
        if report.outcome() != expect.outcome {
            card.failed.push(name.into_owned());
        } else if expect
            .trace_hash
            .as_ref()
            .is_some_and(|hash| *hash != report.trace.hash())
        {
            card.drifted.push(name.into_owned());
        }
    }
    Ok(card)
}
