//! `sim sweep`: many seeds, and those that fail.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use indicatif::{ProgressBar, ProgressStyle};
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::sweep::{self, Done, Failure, Plan, Summary};
use millstream_sim::{shrink, world};
use serde::{Deserialize, Serialize};

use super::{Verdict, files};

/// Seeds when nothing is said.
const SEEDS: u64 = 100;
/// Failures that are shrunk at most: whoever has more should look at the first ones first.
const SHRUNK: usize = 10;
/// How often a sweep that can be resumed writes down how far it is.
const SAVE_EVERY: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub(crate) struct Sweep {
    /// How many seeds; 100 if neither these nor seconds are given.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many run at once; one per core if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Begins no further seed after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Begins no further seed once one has failed; otherwise collects all that fail.
    #[arg(long)]
    first: bool,
    /// Writes each failing scenario into this directory, as seed-N.json.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Makes the first ten failing scenarios smaller before they are saved, with so many runs each.
    #[arg(long, value_name = "RUNS", num_args = 0..=1, default_missing_value = "500", require_equals = true, requires = "save")]
    shrink: Option<usize>,
    /// Keeps in this file which seeds are done, and goes on from there when called again.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// One seed in a hundred has one frame altered and must fail: whether failing is possible at all.
    #[arg(long)]
    canary: bool,
}

/// The file of a sweep that can be resumed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The hash of the program that made it.
    program: String,
    from: u64,
    canary: bool,
    done: Done,
}

impl Sweep {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let seeds = match (self.seeds, self.seconds) {
            (Some(seeds), _) => seeds,
            (None, Some(_)) => u64::MAX,
            (None, None) => SEEDS,
        };
        let plan = Plan {
            from: self.from,
            seeds,
            jobs: self.jobs.unwrap_or_else(cores),
            stop_at_first: self.first,
            canary: self.canary,
        };
        if let Some(dir) = &self.save {
            files::make_dir(dir)?;
        }
        let program = files::program()?;
        let done = self.resumed(&program)?;
        let (clock, cpu) = (Clock::start(), ProcessTime::now());
        let bar = bar(seeds, self.seconds);
        let saved = Mutex::new((Clock::start(), Ok(())));
        let before = done.summary.clone();
        let done = sweep::sweep(&plan, done, &|done| {
            tell_bar(&bar, done, self.seconds, &clock);
            let mut saved = saved.lock().unwrap_or_else(|poison| poison.into_inner());
            if saved.0.elapsed() >= SAVE_EVERY {
                *saved = (Clock::start(), self.keep(&program, done));
            }
            let in_time = |seconds| clock.elapsed() < Duration::from_secs(seconds);
            saved.1.is_ok() && self.seconds.is_none_or(in_time)
        });
        bar.finish_and_clear();
        self.keep(&program, &done)?;
        let (wall, cpu) = (clock.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64());
        self.tell(&done.summary)?;
        tell_speed(&before, &done.summary, wall, cpu);
        Ok(if done.summary.failures.is_empty() {
            Verdict::Expected
        } else {
            Verdict::Failed
        })
    }

    /// What the file to resume from says is done.
    fn resumed(&self, program: &str) -> Result<Done, String> {
        let Some(file) = &self.resume else {
            return Ok(Done::default());
        };
        let Some(text) = files::read(file)? else {
            return Ok(Done::default());
        };
        let shown = file.display();
        let state: State =
            serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        if state.program != program {
            return Err(format!(
                "{shown} was written by another build, whose sums are not ours: remove it to begin anew"
            ));
        }
        if (state.from, state.canary) != (self.from, self.canary) {
            return Err(format!(
                "{shown} is of a sweep with other --from or --canary"
            ));
        }
        Ok(state.done)
    }

    fn keep(&self, program: &str, done: &Done) -> Result<(), String> {
        let Some(file) = &self.resume else {
            return Ok(());
        };
        let state = State {
            program: program.to_owned(),
            from: self.from,
            canary: self.canary,
            done: done.clone(),
        };
        let text = serde_json::to_string(&state).map_err(|error| error.to_string())?;
        files::replace(file, &text)
    }

    fn tell(&self, summary: &Summary) -> Result<(), String> {
        for (nth, failure) in summary.failures.values().enumerate() {
            let seed = failure.seed;
            println!("seed {seed}: {}: {}", failure.checker, failure.what);
            match &self.save {
                None if failure.scenario.canary => {
                    println!("  cargo sim run --seed {seed} --canary");
                }
                None => println!("  cargo sim run --seed {seed}"),
                Some(dir) => {
                    let file = dir.join(format!("seed-{seed}.json"));
                    let runs = self.shrink.filter(|_| nth < SHRUNK);
                    save(&file, failure, runs)?;
                }
            }
        }
        println!(
            "{} seeds, {} failed, {} scripts, {} virtual seconds",
            summary.seeds,
            summary.failures.len(),
            summary.scripts,
            summary.lasted_us / 1_000_000
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
        Ok(())
    }
}

/// Writes a failure, made smaller with `runs` runs first, and says how to replay it.
fn save(file: &Path, failure: &Failure, runs: Option<usize>) -> Result<(), String> {
    let mut scenario = failure.scenario.clone();
    if let Some(runs) = runs {
        let wanted = Outcome::Fail(failure.checker.clone());
        let (clients, steps) = shrink::size(&scenario);
        let shrunk = shrink::shrink(&scenario, &wanted, runs, &mut |candidate: &Scenario| {
            world::run(candidate).outcome()
        });
        scenario = shrunk.scenario;
        scenario.expect = world::run(&scenario).expectation();
        let (fewer_clients, fewer_steps) = shrink::size(&scenario);
        println!(
            "  {clients} clients with {steps} steps are now {fewer_clients} with {fewer_steps}, after {} runs",
            shrunk.runs
        );
    }
    if scenario.story.is_none() {
        let (seed, what) = (failure.seed, &failure.what);
        scenario.story = Some(format!("Seed {seed} of a sweep: {what}"));
    }
    files::write_scenario(file, scenario)?;
    println!("  cargo sim replay {}", file.display());
    Ok(())
}

/// How fast this call was; what an earlier one did is not its merit.
fn tell_speed(before: &Summary, after: &Summary, wall: f64, cpu: f64) {
    let per_cpu = |amount: u64| amount as f64 / cpu.max(1e-9);
    println!(
        "{wall:.1} s, {cpu:.1} CPU s: {:.1} seeds, {:.0} scripts, {:.1} virtual minutes a CPU second",
        per_cpu(after.seeds - before.seeds),
        per_cpu(after.scripts - before.scripts),
        per_cpu(after.lasted_us - before.lasted_us) / 60e6,
    );
}

/// A bar on a terminal; nothing elsewhere.
fn bar(seeds: u64, seconds: Option<u64>) -> ProgressBar {
    let (length, unit) = match seconds {
        Some(seconds) if seeds == u64::MAX => (seconds, " s"),
        _ => (seeds, " seeds"),
    };
    let style = format!(
        "{{elapsed_precise}} [{{bar:40}}] {{pos}} of {{len}}{unit}, about {{eta}} left; {{msg}}"
    );
    let style =
        ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style.progress_chars("=> "))
}

fn tell_bar(bar: &ProgressBar, done: &Done, seconds: Option<u64>, clock: &Clock) {
    if bar.is_hidden() {
        return;
    }
    let summary = &done.summary;
    if bar.length() == seconds && seconds.is_some() {
        bar.set_position(clock.elapsed().as_secs());
    } else {
        bar.set_position(summary.seeds);
    }
    let (seeds, failed) = (summary.seeds, summary.failures.len());
    bar.set_message(format!("{seeds} seeds, {failed} failed"));
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Real time: how long a person waits. No world sees it.
pub(super) struct Clock(Instant);

#[expect(
    clippy::disallowed_methods,
    reason = "how long a person waits is real time; no world sees it"
)]
impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
