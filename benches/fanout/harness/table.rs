//! Rounds beside each other: medians, spreads, and ratios within the same round.

use std::io;

use super::round::{Cores, Measured, measure};
use super::target::Target;
use crate::load::Plan;

/// One line of a table: a server and what it has to do.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) label: String,
    pub(super) target: Target,
    pub(super) plan: Plan,
    pub(super) cores: Cores,
    /// The entry it is compared to.
    pub(super) against: usize,
}

/// What all entries gave in all rounds.
pub(super) struct Rounds {
    pub(super) entries: Vec<Entry>,
    /// By round, then by entry.
    pub(super) rounds: Vec<Vec<Measured>>,
}

/// A column: its head, and what it takes from a measurement.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) value: fn(&Measured) -> f64,
    /// Whether to tell how it compares to another entry of the same round.
    pub(super) ratio: bool,
}

/// Median, least and most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => at(middle),
            _ => f64::midpoint(at(middle.wrapping_sub(1)), at(middle)),
        };
        Self {
            median,
            least: at(0),
            most: at(values.len().wrapping_sub(1)),
        }
    }
}

impl Rounds {
    /// Measures each entry in each round. Who comes first moves on from round to round.
    ///
    /// # Errors
    /// A server or a load failed.
    pub(super) fn measure(entries: Vec<Entry>, count: usize) -> io::Result<Self> {
        let mut rounds = Vec::new();
        for round in 0..count {
            let mut measured: Vec<Option<Measured>> = vec![None; entries.len()];
            for turn in 0..entries.len() {
                let index = (round + turn) % entries.len();
                let entry = &entries[index];
                let result = measure(entry.target, &entry.plan, &entry.cores);
                let named = |error| io::Error::other(format!("{}: {error}", entry.label));
                measured[index] = Some(result.map_err(named)?);
            }
            rounds.push(measured.into_iter().flatten().collect());
        }
        Ok(Self { entries, rounds })
    }

    /// What a column says of an entry.
    pub(super) fn value(&self, entry: usize, column: Column) -> Spread {
        let values = self.rounds.iter().map(|round| value(round, entry, column));
        Spread::of(values.collect())
    }

    /// How that compares to the entry's other, round by round.
    fn ratio(&self, entry: usize, column: Column) -> Spread {
        let against = self.entries.get(entry).map_or(0, |entry| entry.against);
        let ratio =
            |round: &Vec<Measured>| value(round, entry, column) / value(round, against, column);
        Spread::of(self.rounds.iter().map(ratio).collect())
    }

    /// Prints a line for each entry.
    pub(super) fn print(&self, title: &str, columns: &[Column]) {
        println!("\n{title}");
        let mut head = format!("  {:<24}", "");
        for column in columns {
            let width = if column.ratio { 30 } else { 11 };
            head += &format!(" {:>width$}", column.head);
        }
        println!("{head}");
        for (index, entry) in self.entries.iter().enumerate() {
            let mut line = format!("  {:<24}", entry.label);
            for &column in columns {
                line += &format!(" {:>11}", short(self.value(index, column).median));
                if column.ratio {
                    let ratio = self.ratio(index, column);
                    let (least, most) = (ratio.least, ratio.most);
                    let compared = format!("{:.2}× [{least:.2}–{most:.2}]", ratio.median);
                    line += &format!(" {compared:>18}");
                }
            }
            println!("{line}");
        }
    }

    /// Prints an object for each measurement.
    pub(super) fn print_json(&self, scenario: &str) {
        for (number, round) in self.rounds.iter().enumerate() {
            for (entry, measured) in self.entries.iter().zip(round) {
                let object = serde_json::json!({
                    "scenario": scenario,
                    "entry": entry.label,
                    "round": number,
                    "plan": entry.plan,
                    "report": measured.report,
                    "cpu_nanos": measured.used.cpu,
                    "writes": measured.used.writes,
                    "switches": measured.used.switches,
                    "rss_kib": [measured.rss_idle, measured.rss_ready, measured.rss_after],
                    "stall_kib": measured.stall.map(|stall| [stall.rss, stall.tcp]),
                });
                println!("{object}");
            }
        }
    }
}

fn value(round: &[Measured], entry: usize, column: Column) -> f64 {
    round.get(entry).map_or(f64::NAN, column.value)
}

/// Three digits that mean something.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
