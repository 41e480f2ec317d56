//! Which kinds of behaviour a seed has at all (swarm testing, Groce 2012).
//!
//! A world in which everything happens a little finds less than many worlds in which a few things happen often: what
//! one kind does may hide what another would have shown.

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A kind of behaviour, on or off in a seed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Handshakes with digests, in either schema.
    Handshakes,
    /// Commands wrapped in type 17.
    Amf3,
    /// Commands that do not wait for answers.
    Pipelining,
    /// Chunk sizes that change between messages.
    ChunkSizes,
    /// Chunk sizes that change in the middle of messages.
    Resizing,
    /// Chunks of audio among those of a picture.
    Interleaving,
    /// Messages begun and taken back.
    Aborts,
    /// Connections that end at any byte.
    Cuts,
    /// Connections half-closed, while they publish or play.
    HalfCloses,
    /// Clients that do nothing for a while, not even read.
    Silences,
    /// Clients that read slowly.
    SlowReaders,
    /// Timestamps that start near 2^24 and 2^32, and leap.
    Timestamps,
    /// Several publishers of one name at one moment.
    Duplicates,
    /// Connections in quick succession.
    Storms,
    /// Publishers that take a name over from one another, while players stay.
    Handovers,
    /// Players that hold their stream.
    Pauses,
    /// Players that want no audio or no video for a while.
    Receives,
    /// Players that switch to other streams, or play two.
    Switches,
    /// Enhanced RTMP, one track or several.
    Enhanced,
    /// Several messages in one.
    Aggregates,
    /// Sequence headers and metadata that change under way.
    Changes,
    /// Metadata that is taken back.
    Clears,
    /// Bytes that break a session, at any moment of it.
    Garbage,
    /// Commands that take more to read than to write.
    Bombs,
    /// Acknowledgements withheld or made up, windows and bandwidths.
    Flow,
    /// Pings in numbers.
    Pings,
    /// Calls, shared objects and message types that the server does not know.
    Unknowns,
    /// The other ways to end a stream, and to begin it anew on the same connection.
    Endings,
    /// Peers that speak something else.
    Strangers,
    /// Large pictures, and bursts as fast as the connection takes them.
    Floods,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 30] = [
        Self::Handshakes,
        Self::Amf3,
        Self::Pipelining,
        Self::ChunkSizes,
        Self::Resizing,
        Self::Interleaving,
        Self::Aborts,
        Self::Cuts,
        Self::HalfCloses,
        Self::Silences,
        Self::SlowReaders,
        Self::Timestamps,
        Self::Duplicates,
        Self::Storms,
        Self::Handovers,
        Self::Pauses,
        Self::Receives,
        Self::Switches,
        Self::Enhanced,
        Self::Aggregates,
        Self::Changes,
        Self::Clears,
        Self::Garbage,
        Self::Bombs,
        Self::Flow,
        Self::Pings,
        Self::Unknowns,
        Self::Endings,
        Self::Strangers,
        Self::Floods,
    ];
}

/// How often a kind is on.
const ON: f64 = 0.35;

/// The kinds of one seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Swarm(u32);

impl Swarm {
    /// Whether this seed has the kind.
    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// Without a kind.
    pub(super) fn without(self, kind: Kind) -> Self {
        Self(self.0 & !(1 << kind as u32))
    }

    /// Its kinds.
    pub(super) fn kinds(self) -> Vec<Kind> {
        let all = Kind::ALL.into_iter();
        all.filter(|kind| self.has(*kind)).collect()
    }

    /// True at `rate` if the seed has the kind, else never.
    pub(super) fn sometimes(self, kind: Kind, rate: f64) -> proptest::bool::Weighted {
        weighted(if self.has(kind) { rate } else { 0.0 })
    }
}

/// Any swarm; smaller ones have fewer kinds.
pub(super) fn swarm() -> impl Strategy<Value = Swarm> {
    vec(weighted(ON), Kind::ALL.len()).prop_map(|on| {
        let bits = on.iter().enumerate().map(|(n, on)| u32::from(*on) << n);
        Swarm(bits.sum())
    })
}
