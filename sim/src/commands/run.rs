//! `sim run`: the scenario of one seed.

use std::path::PathBuf;

use millstream_sim::scenario::Expect;
use millstream_sim::{generate, world};

use super::{Verdict, judge, print, save};

#[derive(clap::Args)]
pub(crate) struct Run {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// Has one frame altered, so that it must fail.
    #[arg(long)]
    canary: bool,
    /// Prints the verdict only, not the trace.
    #[arg(long)]
    quiet: bool,
    /// Writes the scenario, with what came out, to this file.
    #[arg(long)]
    save: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let mut scenario = generate::scenario(self.seed);
        scenario.canary = self.canary;
        let report = world::run(&scenario);
        print(&report, self.quiet);
        if let Some(file) = &self.save {
            save(file, scenario, &report)?;
        }
        Ok(judge(&Expect::default(), &report))
    }
}
