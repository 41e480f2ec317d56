//! Time as integers: no clock in here, only what a clock's reading is worth.
//!
//! * [`Instant`]: microseconds since the runtime started. The runtime makes them; nobody else can read a clock.
//! * [`Duration`]: the standard one, seconds and nanoseconds as integers.
//! * [`WallTime`]: microseconds since the Unix epoch, for people to read, never to measure with.
//! * [`Timestamp`]: RTMP's 32-bit millisecond clock, compared by serial arithmetic (RFC 1982).

use crate::planted::{Bug, planted};
use core::fmt;
use core::ops::{Add, Sub};

pub use core::time::Duration;

/// A point on the runtime's monotonic clock: microseconds since the runtime started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment the runtime started.
    pub const ZERO: Self = Self(0);
    /// Later than any moment a server lives to see (584,542 years).
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The moment `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    /// Saturates at [`Instant::FAR_FUTURE`].
    fn add(self, rhs: Duration) -> Self {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Microseconds since the Unix epoch. May jump; never compare two to measure a duration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(pub u64);

/// RTMP's clock: milliseconds modulo 2^32 (RTMP 1.0 §5.3.1; wraps after 49 d 17 h 2 min 47.296 s).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// The signed distance from `earlier` to `self` by serial arithmetic (RFC 1982): −2^31..2^31−1 ms.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// Whether `self` lies before `other` on the circle.
    pub const fn is_before(self, other: Self) -> bool {
        self.since(other) < 0
    }
}

impl Add<u32> for Timestamp {
    type Output = Self;
    /// Wraps at 2^32, as the protocol does.
    fn add(self, rhs: u32) -> Self {
        if planted(Bug::ClockSaturates) {
            return Self(self.0.saturating_add(rhs));
        }
        Self(self.0.wrapping_add(rhs))
    }
}

impl Sub<u32> for Timestamp {
    type Output = Self;
    /// Wraps at 2^32, as the protocol does.
    fn sub(self, rhs: u32) -> Self {
        Self(self.0.wrapping_sub(rhs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_compares_across_the_wrap() {
        let before = Timestamp(u32::MAX - 10);
        let after = before + 20;
        assert_eq!(after.0, 9);
        assert_eq!(after.since(before), 20);
        assert!(before.is_before(after));
        assert!(!after.is_before(before));
        assert_eq!(after - 20, before);
    }

    #[test]
    fn instants_saturate() {
        let i = Instant::from_micros(5);
        assert_eq!(i.since(Instant::from_micros(9)), Duration::ZERO);
        assert_eq!(
            Instant::FAR_FUTURE + Duration::from_secs(1),
            Instant::FAR_FUTURE
        );
        assert_eq!(i + Duration::MAX, Instant::FAR_FUTURE);
        assert_eq!(Instant::from_micros(1_500_000).to_string(), "1.500000s");
    }
}
