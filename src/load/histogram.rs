//! Times counted in buckets of bounded error, however many there are.

use crate::time::Duration;

/// Buckets per power of two: an answer is at most 1/64 too high.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Powers of two beyond the exact range: up to 2^36 µs, 19 hours. What is longer counts as that.
const POWERS: u64 = 36 - STEP_BITS as u64;
const BUCKETS: usize = (STEPS * (POWERS + 1)) as usize;

/// Microseconds in logarithmic buckets: about 16 KiB, whatever comes.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }
}

/// The bucket of a number of microseconds: exact below [`STEPS`], then [`STEPS`] of them for each power of two.
fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << (POWERS + u64::from(STEP_BITS))) - 1);
    let power = micros.max(1).ilog2().saturating_sub(STEP_BITS);
    (u64::from(power) * STEPS + (micros >> power)) as usize
}

/// The highest number of microseconds in a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << power) - 1
}

impl Histogram {
    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket(micros)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(micros);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// The time that `percent` of all do not exceed; none if there are none.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_micros(highest(found).min(self.max)))
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.max) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_times_with_bounded_error() {
        let powers = (0..36).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1]);
        for micros in (0..5_000).chain(powers) {
            let bucket = bucket(micros);
            assert!(bucket < BUCKETS, "{micros}");
            let high = highest(bucket);
            assert!(
                high >= micros && high - micros <= micros / STEPS,
                "{micros}: {high}"
            );
        }
        for micros in 1..5_000 {
            let step = bucket(micros) - bucket(micros - 1);
            assert!(step <= 1, "no bucket is passed over at {micros}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        (1..=1_000).for_each(|millis| histogram.add(Duration::from_millis(millis)));
        for percent in [1, 50, 90, 99, 100] {
            let exact = Duration::from_millis(percent * 10);
            let got = histogram.percentile(percent).unwrap();
            assert!(
                got >= exact && got <= exact + exact / 64,
                "{percent}: {got:?}"
            );
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
        assert_eq!(histogram.count(), 1_000);
        histogram.clear();
        assert_eq!(histogram.percentile(99), None);
        histogram.add(Duration::MAX);
        assert_eq!(histogram.max(), Duration::from_micros(u64::MAX));
    }
}
