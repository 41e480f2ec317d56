//! `sim sweep`: many seeds, and those that fail.

use std::io::IsTerminal;
use std::path::PathBuf;

use millstream_sim::sweep;

use super::{Verdict, write};

#[derive(clap::Args)]
pub(crate) struct Sweep {
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

impl Sweep {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a person waits is real time; no world sees it"
    )]
    pub(crate) fn run(&self) -> Result<Verdict, String> {
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

    fn tell(&self, summary: &sweep::Summary, seconds: f64) -> Result<Verdict, String> {
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
            Verdict::Expected
        } else {
            Verdict::Failed
        })
    }
}
