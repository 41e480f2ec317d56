//! How good the simulator is, in figures: what a sweep exercised, and whether it would have found anything.

use core::fmt::Write;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::checkers::invariants;
use crate::planted::Table;
use crate::sweep::Summary;

/// How fast, by CPU time: the machine's other work does not count.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Speed {
    /// CPU seconds that the seeds took.
    pub cpu_seconds: f64,
    /// Seeds a CPU second.
    pub seeds: f64,
    /// Client scripts a CPU second.
    pub scripts: f64,
    /// Simulated hours a CPU hour.
    pub hours: f64,
}

impl Speed {
    /// Of a sweep that took so many CPU seconds.
    pub fn new(summary: &Summary, cpu_seconds: f64) -> Self {
        let a_second = |amount: f64| amount / cpu_seconds.max(1e-9);
        Self {
            cpu_seconds,
            seeds: a_second(summary.seeds as f64),
            scripts: a_second(summary.scripts as f64),
            hours: a_second(summary.lasted_us as f64 / 1e6),
        }
    }
}

/// So many of so many; and which are missing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// How many came.
    pub came: usize,
    /// How many there are.
    pub of: usize,
    /// Those that did not come.
    pub missing: Vec<String>,
}

impl Coverage {
    /// Which of `declared` were counted at least once.
    pub fn new<'a>(declared: impl IntoIterator<Item = &'a str>, counts: &Counts) -> Self {
        let declared: BTreeSet<&str> = declared.into_iter().collect();
        let comes = |name: &&str| counts.get(*name).is_some_and(|times| *times > 0);
        let missing = declared.iter().filter(|name| !comes(name));
        let missing: Vec<String> = missing.map(|name| (*name).to_owned()).collect();
        Self {
            came: declared.len() - missing.len(),
            of: declared.len(),
            missing,
        }
    }

    /// Which invariants of the reference were checked at least once, by a sweep with these counts or a test of their own.
    pub fn of_invariants(counts: &Counts) -> Self {
        let unchecked = invariants::unchecked(counts);
        Self {
            came: invariants::ALL.len() - unchecked.len(),
            of: invariants::ALL.len(),
            missing: unchecked.iter().map(ToString::to_string).collect(),
        }
    }

    fn is_whole(&self) -> bool {
        self.of > 0 && self.missing.is_empty()
    }
}

/// How often each thing happened.
pub type Counts = BTreeMap<String, u64>;

/// Whether the same seed gives the same trace: how many of `seeds` did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Determinism {
    /// Seeds compared.
    pub seeds: usize,
    /// Twice on one thread.
    pub twice: usize,
    /// On other threads, several at a time.
    pub threads: usize,
    /// In another process.
    pub process: usize,
    /// In another build, if one was given.
    pub build: Option<usize>,
    /// The first lines that differ, if any do.
    pub differences: Vec<String>,
}

/// Whether a run that must fail does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CanaryCard {
    /// Runs in which the canary altered a frame.
    pub sang: usize,
    /// Those reported as failed by the right checker.
    pub red: usize,
}

/// How well a failure gets smaller.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shrinking {
    /// Clients before and after.
    pub clients: [usize; 2],
    /// Steps before and after.
    pub steps: [usize; 2],
    /// Runs it took.
    pub runs: usize,
    /// CPU seconds it took.
    pub cpu_seconds: f64,
}

/// How the corpus came out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CorpusCard {
    /// Scenarios replayed.
    pub replayed: usize,
    /// Those with another outcome than their file says.
    pub failed: Vec<String>,
    /// Those with another trace.
    pub drifted: Vec<String>,
}

/// The scorecard.
#[derive(Clone, Debug, Serialize)]
pub struct Scorecard {
    /// Version of the simulator.
    pub version: String,
    /// Git revision, if known.
    pub git: Option<String>,
    /// The sweep behind the figures: its first seed, and how many.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How fast.
    pub speed: Speed,
    /// Same seed, same trace.
    pub determinism: Determinism,
    /// Kinds of faults that fired, of the menu.
    pub faults: Coverage,
    /// How often faults fired in a seed, on average.
    pub fires_a_seed: f64,
    /// `buggify` sites that said yes, of all.
    pub buggify: Coverage,
    /// Special cases that came up, of those a sweep must not miss.
    pub sometimes: Coverage,
    /// Invariants that were checked at least once, of all.
    pub invariants: Coverage,
    /// Planted bugs; only in a build that has them.
    pub planted: Option<Table>,
    /// The run that must fail.
    pub canary: CanaryCard,
    /// Seeds of the sweep that failed: of a server without known bugs, false alarms, or a bug to be looked at.
    pub alarms: Vec<u64>,
    /// Shrinking the canary's run.
    pub shrinking: Shrinking,
    /// The corpus.
    pub corpus: CorpusCard,
}

/// One line of the table.
struct Row {
    metric: &'static str,
    value: String,
    target: &'static str,
    /// Whether it is met; none if the figure only informs.
    met: Option<bool>,
}

fn row(
    metric: &'static str,
    value: impl Into<String>,
    target: &'static str,
    met: impl Into<Option<bool>>,
) -> Row {
    Row {
        metric,
        value: value.into(),
        target,
        met: met.into(),
    }
}

fn covered(metric: &'static str, coverage: &Coverage) -> Row {
    let Coverage { came, of, missing } = coverage;
    let mut value = format!("{came} of {of}");
    if !missing.is_empty() {
        let _ = write!(value, ", not: {}", missing.join(", "));
    }
    row(metric, value, "all", coverage.is_whole())
}

impl Scorecard {
    /// Whether everything that must be so is so; a build that has planted bugs must find them all. Speed and coverage
    /// depend on the machine and on how many seeds there were; they are targets, not conditions.
    pub fn is_sound(&self) -> bool {
        let Determinism {
            seeds,
            twice,
            threads,
            process,
            build,
            ..
        } = &self.determinism;
        let same = [twice, threads, process, build.as_ref().unwrap_or(seeds)];
        same.iter().all(|same| *same == seeds)
            && self.canary.sang > 0
            && self.canary.red == self.canary.sang
            && self.planted.as_ref().is_none_or(Table::is_complete)
            && self.alarms.is_empty()
            && self.corpus.failed.is_empty()
            && self.corpus.drifted.is_empty()
    }

    fn rows(&self) -> Vec<Row> {
        let (speed, canary) = (&self.speed, &self.canary);
        let mut rows = vec![
            row(
                "seeds a CPU second",
                format!("{:.1}", speed.seeds),
                "50",
                speed.seeds >= 50.0,
            ),
            row(
                "client scripts a CPU second",
                format!("{:.0}", speed.scripts),
                "500",
                speed.scripts >= 500.0,
            ),
            row(
                "simulated hours a CPU hour",
                format!("{:.0}", speed.hours),
                "100",
                speed.hours >= 100.0,
            ),
        ];
        rows.extend(self.determinism_rows());
        rows.push(covered("fault kinds fired", &self.faults));
        rows.push(row(
            "faults fired a seed",
            format!("{:.1}", self.fires_a_seed),
            "",
            None,
        ));
        rows.push(covered("buggify sites fired", &self.buggify));
        rows.push(covered("special cases reached", &self.sometimes));
        rows.push(covered("invariants checked", &self.invariants));
        rows.push(self.planted_row());
        rows.push(row(
            "canaries reported red",
            format!("{} of {}", canary.red, canary.sang),
            "all",
            canary.red == canary.sang && canary.sang > 0,
        ));
        let alarms: Vec<String> = self.alarms.iter().map(u64::to_string).collect();
        let told = if alarms.is_empty() {
            format!("0 of {}", self.seeds)
        } else {
            format!("{} of {}: {}", alarms.len(), self.seeds, alarms.join(", "))
        };
        rows.push(row(
            "seeds failed without a planted bug",
            told,
            "0",
            alarms.is_empty(),
        ));
        let Shrinking {
            clients,
            steps,
            runs,
            cpu_seconds,
        } = &self.shrinking;
        rows.push(row(
            "a failure shrunk",
            format!(
                "{} clients, {} steps to {}, {} in {runs} runs, {cpu_seconds:.1} CPU s",
                clients[0], steps[0], clients[1], steps[1]
            ),
            "",
            None,
        ));
        rows.push(self.corpus_row());
        rows
    }

    fn determinism_rows(&self) -> Vec<Row> {
        let card = &self.determinism;
        let same = |metric, same: usize| {
            row(
                metric,
                format!("{same} of {}", card.seeds),
                "all",
                same == card.seeds,
            )
        };
        let mut rows = vec![
            same("same trace twice", card.twice),
            same("same trace on several threads", card.threads),
            same("same trace in another process", card.process),
        ];
        rows.push(match card.build {
            Some(equal) => same("same trace in another build", equal),
            None => row(
                "same trace in another build",
                "not asked for: --other-build",
                "all",
                None,
            ),
        });
        rows
    }

    fn planted_row(&self) -> Row {
        let metric = "planted bugs found";
        let Some(table) = &self.planted else {
            return row(metric, "not in this build: --features planted", "all", None);
        };
        let missed = table.rows.iter().filter(|found| found.seed.is_none());
        let missed: Vec<&str> = missed.map(|found| found.bug.name()).collect();
        let mut value = format!(
            "{} of {} within {} seeds; median {} seeds, {:.2} CPU s",
            table.found,
            table.rows.len(),
            table.budget,
            table.median_seeds,
            table.median_cpu_seconds
        );
        if !missed.is_empty() {
            let _ = write!(value, "; not: {}", missed.join(", "));
        }
        row(metric, value, "all", missed.is_empty())
    }

    fn corpus_row(&self) -> Row {
        let CorpusCard {
            replayed,
            failed,
            drifted,
        } = &self.corpus;
        let mut value = format!(
            "{replayed} replayed, {} failed, {} drifted",
            failed.len(),
            drifted.len()
        );
        for (what, names) in [("failed", failed), ("drifted", drifted)] {
            if !names.is_empty() {
                let _ = write!(value, "; {what}: {}", names.join(", "));
            }
        }
        row(
            "corpus",
            value,
            "all pass",
            failed.is_empty() && drifted.is_empty(),
        )
    }

    /// The table, as people read it.
    pub fn table(&self) -> String {
        let rows = self.rows();
        let width = rows.iter().map(|row| row.metric.len()).max().unwrap_or(0);
        let mut text = format!(
            "Scorecard of the simulator {} {}: {} seeds from {} on, {:.1} CPU s\n",
            self.version,
            self.git.as_deref().unwrap_or(""),
            self.seeds,
            self.from,
            self.speed.cpu_seconds
        );
        for Row {
            metric,
            value,
            target,
            met,
        } in rows
        {
            let sign = match met {
                Some(true) => "ok",
                Some(false) => "--",
                None => "  ",
            };
            let target = if target.is_empty() {
                String::new()
            } else {
                format!("  (target {target})")
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{sign} {metric:width$}  {value}{target}");
        }
        for difference in &self.determinism.differences {
            text.push_str(difference);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_names_what_is_missing() {
        let counts: Counts = [
            ("a".to_owned(), 3),
            ("b".to_owned(), 0),
            ("x".to_owned(), 1),
        ]
        .into();
        let coverage = Coverage::new(["a", "b", "c"], &counts);
        assert_eq!((coverage.came, coverage.of), (1, 3));
        assert_eq!(coverage.missing, ["b", "c"]);
    }

    #[test]
    fn invariants_are_those_of_the_reference() {
        let nothing = Coverage::of_invariants(&Counts::new());
        assert_eq!((nothing.came, nothing.of), (1, 30));
        assert_eq!(nothing.missing[1], "2 (time never goes backwards)");
    }
}
