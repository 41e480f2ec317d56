//! What one run of the load saw.

use serde::{Deserialize, Serialize};

/// What one run of the load saw. Bytes are the transport's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Payload bytes of the publishers.
    pub(crate) published_bytes: u64,
    /// Messages of the publishers.
    pub(crate) published: u64,
    /// Bytes that the players got.
    pub(crate) bytes: u64,
    /// Messages that were due to the players who read all the time: publications times players.
    pub(crate) messages: u64,
    /// From the begin until the last player had the last byte, nanoseconds.
    pub(crate) nanos: u64,
    /// Players that got less than the others of their stream, or were cut off.
    pub(crate) lost_players: u64,
    /// Messages that the samples did not get, of [`Self::sampled`].
    pub(crate) lost_samples: u64,
    /// Messages that were due to the samples.
    pub(crate) sampled: u64,
    /// Stalled players that were cut off.
    pub(crate) cut_off: u64,
    /// From the moment a message was due to leave until a sample had it.
    pub(crate) latency: Quantiles,
    /// From connect until a late joiner had the first frame.
    pub(crate) join: Quantiles,
    /// The same from its `play`.
    pub(crate) join_play: Quantiles,
    /// Sessions that came to their end.
    pub(crate) sessions: u64,
}

/// Nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    /// How many there are.
    pub(crate) count: u64,
    /// Half are below.
    pub(crate) p50: u64,
    /// 99 of 100 are below.
    pub(crate) p99: u64,
    /// All are.
    pub(crate) max: u64,
}

impl Quantiles {
    pub(crate) fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |share: usize| values.get(values.len() * share / 100).copied();
        Self {
            count: values.len() as u64,
            p50: at(50).unwrap_or(0),
            p99: at(99).unwrap_or(0),
            max: values.last().copied().unwrap_or(0),
        }
    }
}
