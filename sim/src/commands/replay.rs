//! `sim replay`: does a scenario still come out as its file says?

use std::path::PathBuf;

use millstream_sim::scenario::Scenario;
use millstream_sim::world;

use super::{Verdict, judge, print, save};

#[derive(clap::Args)]
pub(crate) struct Replay {
    /// A scenario, e.g. corpus/seeds/first-broadcast.json
    file: PathBuf,
    /// Prints the verdict only, not the trace.
    #[arg(long)]
    quiet: bool,
    /// Writes what came out into the file as what it expects from now on.
    #[arg(long)]
    accept: bool,
}

impl Replay {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let scenario = Scenario::load(&self.file)?;
        let report = world::run(&scenario);
        print(&report, self.quiet);
        if self.accept {
            save(&self.file, scenario, &report)?;
            return Ok(Verdict::Expected);
        }
        Ok(judge(&scenario.expect, &report))
    }
}
