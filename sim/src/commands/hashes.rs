//! `sim hashes`: what two builds, machines or threads compare.

use millstream_sim::{generate, world};

use super::Verdict;

#[derive(clap::Args)]
pub(crate) struct Hashes {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
}

impl Hashes {
    pub(crate) fn run(&self) -> Verdict {
        for seed in self.from..self.from.saturating_add(self.seeds) {
            let report = world::run(&generate::scenario(seed));
            println!("{seed} {}", report.trace.hash());
        }
        Verdict::Expected
    }
}
