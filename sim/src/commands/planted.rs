//! `sim planted`: bugs on purpose in the server, and how soon each is found.

use std::path::PathBuf;

use millstream::planted::{Bug, POSSIBLE};
use millstream_sim::planted::{BUDGET, Found, Plan, Table, scenario, table};
use millstream_sim::world;

use super::{Verdict, save};

#[derive(clap::Args)]
pub(crate) struct Planted {
    /// Only this bug; all if not given. May be repeated.
    #[arg(long)]
    bug: Vec<Bug>,
    /// Lists the bugs, and plants none.
    #[arg(long)]
    list: bool,
    /// How many seeds each bug is given.
    #[arg(long, default_value_t = BUDGET)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many bugs are hunted at once; one per core if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Runs all seeds for each bug, and counts those that find it.
    #[arg(long)]
    all: bool,
    /// Prints the table as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the scenario that found each bug into this directory, as NAME.json: it replays in such a build only.
    #[arg(long)]
    save: Option<PathBuf>,
}

impl Planted {
    pub(crate) fn run(&self) -> Result<Verdict, String> {
        if self.list {
            for bug in Bug::ALL {
                println!("{:14} {:26} {}", bug.room(), bug.name(), bug.what());
            }
            return Ok(Verdict::Expected);
        }
        if !POSSIBLE {
            return Err(
                "this build has no bugs to plant; with them it is `cargo sim-planted`".into(),
            );
        }
        let bugs = if self.bug.is_empty() {
            Bug::ALL
        } else {
            &self.bug
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan {
            from: self.from,
            seeds: self.seeds,
            jobs: self.jobs.unwrap_or(cores),
            all: self.all,
        };
        // A panic is a finding like any other, and its backtrace is nobody's business here.
        std::panic::set_hook(Box::new(|_| {}));
        let table = table(bugs, &plan, &|found| {
            eprintln!("{}", row(found));
        });
        if self.json {
            let text = serde_json::to_string_pretty(&table).map_err(|error| error.to_string())?;
            println!("{text}");
        } else {
            print(&table);
        }
        self.save(&table)?;
        match table.is_complete() {
            true => Ok(Verdict::Expected),
            false => Ok(Verdict::Failed),
        }
    }

    fn save(&self, table: &Table) -> Result<(), String> {
        let Some(dir) = &self.save else { return Ok(()) };
        for found in &table.rows {
            if let Some(seed) = found.seed {
                let scenario = scenario(found.bug, seed);
                let report = world::run(&scenario);
                save(&dir.join(format!("{}.json", found.bug)), scenario, &report)?;
            }
        }
        Ok(())
    }
}

fn print(table: &Table) {
    println!(
        "{:14} {:26} {:>6} {:>6} {:>8}  checker",
        "room", "bug", "seed", "seeds", "CPU s"
    );
    for found in &table.rows {
        println!("{}", row(found));
    }
    println!(
        "{} of {} planted bugs found within {} seeds each; the median took {} seeds and {:.2} CPU seconds",
        table.found,
        table.rows.len(),
        table.budget,
        table.median_seeds,
        table.median_cpu_seconds,
    );
}

fn row(found: &Found) -> String {
    let seed = found
        .seed
        .map_or_else(|| "-".into(), |seed| seed.to_string());
    let finders = found
        .finders
        .map(|finders| format!(" ({finders} seeds find it)"));
    format!(
        "{:14} {:26} {seed:>6} {:>6} {:>8.2}  {}{}",
        found.room,
        found.bug.name(),
        found.seeds,
        found.cpu_seconds,
        found.checker.as_deref().unwrap_or("NOT FOUND"),
        finders.unwrap_or_default(),
    )
}
