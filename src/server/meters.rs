//! What one shard counts: plain cells, written where something is done anyway (a read, a write, an end), never per frame.
//! Bytes, frames and jumps of what still lives are added when somebody asks.

use std::cell::Cell;

use crate::media::cursor::Jumps;
use crate::media::ring::Tally;
use crate::metrics::{Counter, Histogram};

/// Bounds of write sizes, bytes: a frame of sound, a packet, some frames, a gathered write of 64 KiB, the largest.
const WRITE_SIZES: &[u64; 8] = &[
    256, 1_460, 4_096, 16_384, 65_536, 131_072, 262_144, 1_048_576,
];
/// Bounds of the time to the first frame, and of a write to a disk, microseconds.
const FIRST_FRAME: &[u64; 12] = &[
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Why a connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// FIN.
    Left,
    /// The socket failed.
    Network,
    /// The peer broke the protocol or a bound.
    Protocol,
    /// The peer was too slow for a rule.
    Late,
    /// We turned it away.
    Refused,
    /// Somebody else publishes its name now.
    TakenOver,
    /// An operator closed it.
    Kicked,
    /// An operator ended what it published.
    StreamEnded,
    /// The server stops.
    Drained,
    /// It did not leave within the drain time.
    CutOff,
    /// The shard serves as many as it may, or the socket was dead on arrival.
    Unserved,
    /// Its task failed: a defect of ours.
    Defect,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Left,
        Self::Network,
        Self::Protocol,
        Self::Late,
        Self::Refused,
        Self::TakenOver,
        Self::Kicked,
        Self::StreamEnded,
        Self::Drained,
        Self::CutOff,
        Self::Unserved,
        Self::Defect,
    ];

    /// As logs and metrics spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Network => "network",
            Self::Protocol => "protocol",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::TakenOver => "taken_over",
            Self::Kicked => "kicked",
            Self::StreamEnded => "stream_ended",
            Self::Drained => "drained",
            Self::CutOff => "cut_off",
            Self::Unserved => "unserved",
            Self::Defect => "defect",
        }
    }

    /// Whose doing it was: the peer's (or that of the network to it), the operator's, or ours.
    pub const fn fault(self) -> &'static str {
        match self {
            Self::Left | Self::Network | Self::Protocol | Self::Late => "peer",
            Self::Refused | Self::TakenOver => "peer",
            Self::Kicked | Self::StreamEnded | Self::Drained => "operator",
            Self::CutOff => "peer",
            Self::Unserved | Self::Defect => "server",
        }
    }
}

/// What one shard has counted of what is over.
#[derive(Debug)]
pub(super) struct Meters {
    ended: [Counter; End::ALL.len()],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) frames_in: Counter,
    pub(super) jumps: Cell<Jumps>,
    /// Bytes in the rings of all streams.
    pub(super) rings: Tally,
    /// Bytes that recordings hold beside them, until their disk takes them.
    pub(super) record_held: Tally,
    pub(super) clock_jumps: Counter,
    pub(super) orphans: Counter,
    pub(super) headers_left_out: Counter,
    /// Frames that a shard was too far behind to be sent.
    pub(super) missed: Counter,
    pub(super) publications: Counter,
    pub(super) plays: Counter,
    pub(super) write_sizes: Histogram<8>,
    pub(super) first_frame: Histogram<12>,
    pub(super) record_bytes: Counter,
    pub(super) record_segments: Counter,
    pub(super) record_gaps: Counter,
    pub(super) record_failures: Counter,
    pub(super) record_writes: Histogram<12>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            ended: Default::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            frames_in: Counter::default(),
            jumps: Cell::default(),
            rings: Tally::default(),
            record_held: Tally::default(),
            clock_jumps: Counter::default(),
            orphans: Counter::default(),
            headers_left_out: Counter::default(),
            missed: Counter::default(),
            publications: Counter::default(),
            plays: Counter::default(),
            write_sizes: Histogram::new(WRITE_SIZES),
            first_frame: Histogram::new(FIRST_FRAME),
            record_bytes: Counter::default(),
            record_segments: Counter::default(),
            record_gaps: Counter::default(),
            record_failures: Counter::default(),
            record_writes: Histogram::new(FIRST_FRAME),
        }
    }
}

impl Meters {
    /// A connection has ended.
    pub(super) fn ended(&self, end: End) {
        if let Some(count) = self.ended.get(end as usize) {
            count.add(1);
        }
    }

    /// A player has gone, which had lost frames so often.
    pub(super) fn jumped(&self, jumps: Jumps) {
        let mut all = self.jumps.get();
        all += jumps;
        self.jumps.set(all);
    }

    /// How many have ended so.
    pub(super) fn endings(&self) -> Vec<(End, u64)> {
        let counts = self.ended.iter().map(Counter::get);
        End::ALL.into_iter().zip(counts).collect()
    }
}
