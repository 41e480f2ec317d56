//! Counters and histograms, and the page that Prometheus reads. Passed in, never global: a simulation has many servers.
//!
//! What a shard counts are plain cells: one thread writes them, and a snapshot travels to whoever asks. The page is text
//! (Prometheus text format 0.0.4), in the order in which it is written.

use core::cell::Cell;
use core::fmt::{self, Write as _};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    /// All that was counted.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Values by size: `N` buckets with upper bounds (inclusive, growing), and one for what is larger.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    counts: [Cell<u64>; N],
    larger: Cell<u64>,
    sum: Cell<u64>,
}

impl<const N: usize> Histogram<N> {
    /// With these bounds.
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            counts: [const { Cell::new(0) }; N],
            larger: Cell::new(0),
            sum: Cell::new(0),
        }
    }

    /// Counts `times` times `value`.
    pub fn observe(&self, value: u64, times: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let count = bucket.and_then(|at| self.counts.get(at));
        let count = count.unwrap_or(&self.larger);
        count.set(count.get().wrapping_add(times));
        let sum = self.sum.get().wrapping_add(value.wrapping_mul(times));
        self.sum.set(sum);
    }

    /// What was counted.
    pub fn snapshot(&self) -> Distribution {
        Distribution {
            buckets: self
                .bounds
                .iter()
                .zip(&self.counts)
                .map(|(bound, count)| (*bound, count.get()))
                .collect(),
            larger: self.larger.get(),
            sum: self.sum.get(),
        }
    }
}

/// What a [`Histogram`] has counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Distribution {
    /// Bounds, and how many were within each and above the one before.
    pub buckets: Vec<(u64, u64)>,
    /// How many were above all bounds.
    pub larger: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl Distribution {
    /// Adds those of another with the same bounds.
    pub fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            for ((_, mine), (_, theirs)) in self.buckets.iter_mut().zip(&other.buckets) {
                *mine += theirs;
            }
        }
        self.larger += other.larger;
        self.sum += other.sum;
    }
}

/// Micros and the like as what they are millionths of: exact, as counters must not lose their last digits.
struct Decimal(u64, u32);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, digits) = *self;
        let unit = 10_u64.pow(digits);
        let (whole, rest) = (value / unit, value % unit);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let rest = format!("{rest:0width$}", width = digits as usize);
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    name: &'static str,
}

/// Labels of a sample: names, and values that are escaped.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    /// Begins a family of samples that only grow; the name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, "counter", help);
    }

    /// Begins a family of samples that come and go.
    pub fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family that was begun last.
    pub fn sample(&mut self, labels: Labels<'_>, value: u64) {
        self.line("", labels, None, &value);
    }

    /// The same in seconds.
    pub fn seconds(&mut self, labels: Labels<'_>, micros: u64) {
        self.line("", labels, None, &Decimal(micros, 6));
    }

    /// A whole family: a histogram whose values are counted in units of ten to the power of minus `digits`.
    pub fn histogram(&mut self, name: &'static str, help: &str, digits: u32, of: &Distribution) {
        self.family(name, "histogram", help);
        let mut count = 0;
        for (bound, within) in &of.buckets {
            count += within;
            let bound = Decimal(*bound, digits).to_string();
            self.line("_bucket", &[], Some(&bound), &count);
        }
        count += of.larger;
        self.line("_bucket", &[], Some("+Inf"), &count);
        self.line("_sum", &[], None, &Decimal(of.sum, digits));
        self.line("_count", &[], None, &count);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        le: Option<&str>,
        value: &dyn fmt::Display,
    ) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let le = le.map(|le| ("le", le));
        for (n, (name, label)) in labels.iter().copied().chain(le).enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"");
            for c in label.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() || le.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
pub(crate) mod tests;
