//! What one run of the load is to do.

use serde::{Deserialize, Serialize};

use crate::abuse::Abuse;
use crate::schedule::Pace;

/// What one run of the load is to do. Everything that is zero is left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The server's port on loopback.
    pub(crate) port: u16,
    /// Publishers, each with a stream of its own.
    pub(crate) streams: usize,
    /// Their pace.
    pub(crate) pace: Pace,
    /// Players, dealt round to the streams, there before the publishers begin.
    pub(crate) players: usize,
    /// Players who parse what they get and measure latency; at least one for each stream that has players.
    pub(crate) samples: usize,
    /// How long the publishers publish, milliseconds.
    pub(crate) millis: u64,
    /// How long they have published before, milliseconds.
    pub(crate) warm_millis: u64,
    /// How long the last byte may take to the last player, milliseconds.
    pub(crate) drain_millis: u64,
    /// Players who do not read while `stall_millis` last.
    pub(crate) stalled: usize,
    /// Milliseconds; their end is told also when nobody stalls.
    pub(crate) stall_millis: u64,
    /// Milliseconds from one late joiner to the next.
    pub(crate) join_every_millis: u64,
    /// Sessions from connect to play to close, one after the other, in place of everything else.
    pub(crate) sessions: usize,
    /// As many of them at once.
    pub(crate) at_once: usize,
    /// Messages in lock step, in place of a time: the next only when everybody has the last.
    pub(crate) lockstep: usize,
    /// Messages of one step.
    pub(crate) burst: usize,
    /// A second audience, on a stream of its own beside the others, whose publisher has this pace.
    pub(crate) neighbour: Option<Neighbour>,
    /// What is done to the server meanwhile, from the load's core.
    pub(crate) abuse: Option<Abuse>,
}

/// A stream with many players beside the ones that are measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Neighbour {
    /// Its players; none is sampled.
    pub(crate) players: usize,
    /// Its publisher's pace.
    pub(crate) pace: Pace,
}

impl Plan {
    /// One stream at `pace` to `players`.
    pub(crate) fn new(pace: Pace, players: usize) -> Self {
        Self {
            port: 0,
            streams: 1,
            pace,
            players,
            samples: 16,
            millis: 5_000,
            warm_millis: 0,
            drain_millis: 20_000,
            stalled: 0,
            stall_millis: 0,
            join_every_millis: 0,
            sessions: 0,
            at_once: 16,
            lockstep: 0,
            burst: 1,
            neighbour: None,
            abuse: None,
        }
    }
}
