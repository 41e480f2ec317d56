//! `sim shrink`: the same failure from a smaller scenario.

use std::path::PathBuf;

use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::{shrink, world};

use super::{Verdict, save};

#[derive(clap::Args)]
pub(crate) struct Shrink {
    /// A scenario that fails.
    file: PathBuf,
    /// Where to; its own file if not given.
    #[arg(long)]
    to: Option<PathBuf>,
    /// Runs at most.
    #[arg(long, default_value_t = 2_000)]
    runs: usize,
}

impl Shrink {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let scenario = Scenario::load(&self.file)?;
        let wanted = world::run(&scenario).outcome();
        if wanted == Outcome::Pass {
            println!(
                "{} fails no checker: nothing to shrink",
                self.file.display()
            );
            return Ok(Verdict::Fixed);
        }
        let (clients, steps) = shrink::size(&scenario);
        let shrunk = shrink::shrink(&scenario, &wanted, self.runs, &mut |candidate| {
            world::run(candidate).outcome()
        });
        let (fewer_clients, fewer_steps) = shrink::size(&shrunk.scenario);
        println!(
            "{wanted:?}: {clients} clients with {steps} steps are now {fewer_clients} with {fewer_steps}, after {} runs",
            shrunk.runs
        );
        let to = self.to.as_ref().unwrap_or(&self.file);
        let report = world::run(&shrunk.scenario);
        save(to, shrunk.scenario, &report)?;
        println!("  cargo sim replay {}", to.display());
        Ok(Verdict::Expected)
    }
}
