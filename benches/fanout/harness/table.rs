//! Rounds beside each other: medians, spreads, and ratios to the first server of the same round.

use super::round::Measured;
use super::target::Target;

/// All rounds of one scenario, one server after the other.
pub(super) struct Rounds {
    pub(super) targets: Vec<Target>,
    /// By round, then by target.
    pub(super) rounds: Vec<Vec<Measured>>,
}

/// A column: its head, and what it takes from a measurement.
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) value: fn(&Measured) -> f64,
    /// Whether to tell how it compares to the first server of the same round.
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
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => at(middle),
            _ => (at(middle.wrapping_sub(1)) + at(middle)) / 2.0,
        };
        Self {
            median,
            least: at(0),
            most: at(values.len().wrapping_sub(1)),
        }
    }
}

impl Rounds {
    /// What a column says of a target, and how that compares to the first target in the same rounds.
    pub(super) fn cell(&self, target: usize, column: &Column) -> (Spread, Spread) {
        let value = |round: &[Measured], target: usize| {
            round.get(target).map_or(f64::NAN, |m| (column.value)(m))
        };
        let values = self.rounds.iter().map(|round| value(round, target));
        let ratios = self
            .rounds
            .iter()
            .map(|round| value(round, target) / value(round, 0));
        (Spread::of(values.collect()), Spread::of(ratios.collect()))
    }

    /// Prints a line for each target.
    pub(super) fn print(&self, title: &str, columns: &[Column]) {
        println!("\n{title}");
        let mut head = format!("  {:<22}", "");
        for column in columns {
            let width = if column.ratio { 30 } else { 11 };
            head += &format!(" {:>width$}", column.head);
        }
        println!("{head}");
        for (index, target) in self.targets.iter().enumerate() {
            let mut line = format!("  {target:<22}");
            for column in columns {
                let (value, ratio) = self.cell(index, column);
                if column.ratio {
                    let compared = format!(
                        "{:.2}× [{:.2}–{:.2}]",
                        ratio.median, ratio.least, ratio.most
                    );
                    line += &format!(" {:>11} {compared:>18}", short(value.median));
                } else {
                    line += &format!(" {:>11}", short(value.median));
                }
            }
            println!("{line}");
        }
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
