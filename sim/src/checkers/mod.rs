//! The checkers: one invariant each, one file each.
//!
//! They see what clients saw, what the net did and what the server reports; they know nothing of the
//! server's insides. Each counts how often it really checked something, because an invariant nobody
//! exercised is not one that holds.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream::time::Instant;

use tap::Heard;

use crate::journal::Observation;
use library::Library;

mod acks;
mod answers;
mod bounds;
mod chunk_size;
pub mod chunks;
pub mod climate;
mod emptiness;
mod few;
pub mod fragmentation;
mod garbage;
mod headers;
mod hub;
pub mod invariants;
mod kept;
mod library;
mod liveness;
mod moved;
mod mp4;
mod must_see;
mod needless;
mod notices;
mod orders;
mod premature;
mod promptness;
mod publisher;
pub mod recordings;
mod rewinds;
mod safe;
mod samples;
mod selection;
mod stop;
mod tally;
pub mod tap;
mod tight;
mod timeouts;
mod timestamps;
mod viewings;

pub use acks::Acks;
pub use answers::Answers;
pub use bounds::Bounds;
pub use chunk_size::ChunkSize;
pub use emptiness::Emptiness;
pub use few::FewStreams;
pub use fragmentation::Fragmentation;
pub use garbage::Garbage;
pub use headers::Headers;
pub use liveness::{Liveness, WITNESS};
pub use must_see::MustSee;
pub use needless::NoNeedlessClose;
pub use notices::Notices;
pub use orders::Orders;
pub use premature::Premature;
pub use promptness::Promptness;
pub use publisher::OnePublisher;
pub use recordings::Recordings;
pub use rewinds::Rewinds;
pub use selection::Selection;
pub use stop::GracefulStop;
pub use tally::{Sums, Tally};
pub use tight::TightBounds;
pub use timeouts::Timeouts;
pub use timestamps::Timestamps;
pub use viewings::Viewings;

/// One invariant.
pub trait Checker {
    /// Its name in messages and reports.
    fn name(&self) -> &'static str;

    /// Sees one observation of `who`.
    ///
    /// # Errors
    /// The invariant is violated: in words, with what was expected and what came.
    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        let _ = (who, seen);
        Ok(())
    }

    /// The same for those who need the time.
    ///
    /// # Errors
    /// As [`Checker::observe`].
    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        let _ = at;
        self.observe(who, seen)
    }

    /// Sees what went over the wire of a connection of `who` that is tapped.
    ///
    /// # Errors
    /// The invariant is violated.
    fn overhear(&mut self, at: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        let _ = (at, who, heard);
        Ok(())
    }

    /// Judges the end of the run.
    ///
    /// # Errors
    /// The invariant is violated.
    fn finish(&mut self, leftovers: &Leftovers) -> Result<(), String> {
        let _ = leftovers;
        Ok(())
    }

    /// How often it checked something.
    fn exercised(&self) -> u64;

    /// How often in the special cases that a sweep must not miss, each with a name.
    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// A broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which checker found it.
    pub checker: &'static str,
    /// When, in virtual time.
    pub at: Instant,
    /// What was expected, and what came.
    pub what: String,
}

/// What was still there when all had gone: a name for each kind of thing, and how many.
pub type Leftovers = BTreeMap<String, u64>;

/// Every checker, fresh.
pub fn all() -> Vec<Box<dyn Checker>> {
    let library = Library::default();
    vec![
        Box::new(Selection::with(library.clone())),
        Box::new(Headers::with(library.clone())),
        Box::new(Timestamps::with(library.clone())),
        Box::new(OnePublisher::default()),
        Box::new(Notices::with(library.clone())),
        Box::new(NoNeedlessClose::default()),
        Box::new(ChunkSize::default()),
        Box::new(Premature::with(library.clone())),
        Box::new(Answers::default()),
        Box::new(Acks::default()),
        Box::new(MustSee::with(library.clone())),
        Box::new(Promptness::with(library.clone())),
        Box::new(Fragmentation::with(library.clone())),
        Box::new(Garbage::default()),
        Box::new(Timeouts::default()),
        Box::new(Bounds::default()),
        Box::new(FewStreams::default()),
        Box::new(TightBounds::with(library.clone())),
        Box::new(Orders::with(library.clone())),
        Box::new(Recordings::with(library.clone())),
        Box::new(Rewinds::with(library.clone())),
        Box::new(Viewings::with(library.clone())),
        Box::new(Sums::with(library)),
        Box::new(GracefulStop::default()),
        Box::new(Liveness::default()),
        Box::new(Emptiness::default()),
    ]
}

/// Who, and which of their publications.
type Publication = (Rc<str>, usize);

/// Data messages that a server says in its own name: they were never published.
fn is_servers_own(payload: &[u8]) -> bool {
    [&b"|RtmpSampleAccess"[..], b"onStatus", b"onPlayStatus"]
        .iter()
        .any(|name| payload.get(3..).is_some_and(|rest| rest.starts_with(name)))
}

#[cfg(test)]
mod testing {
    //! Hand-made histories.
    use bytes::Bytes;
    use millstream::rtmp::wire::MediaKind;

    use super::*;
    use crate::media::{Broadcast, Frame, Shape, Tracks};

    /// The first `n` frames of a small broadcast: metadata, two headers, then a GOP of 3 without audio.
    pub(crate) fn frames(client: &str, publication: usize, n: usize) -> Vec<Rc<Frame>> {
        frames_of(Tracks::Legacy, client, publication, n)
    }

    /// The same with other tracks.
    pub(crate) fn frames_of(
        tracks: Tracks,
        client: &str,
        publication: usize,
        n: usize,
    ) -> Vec<Rc<Frame>> {
        let mut broadcast = Broadcast::new(small(tracks), client, publication);
        (0..n).map(|_| Rc::new(broadcast.next_frame())).collect()
    }

    /// A GOP of 3 without audio.
    pub(crate) fn small(tracks: Tracks) -> Shape {
        Shape {
            gop: 3,
            phase: 0,
            picture_ms: 40,
            audio_ms: 0,
            picture_bytes: 200,
            start: 0,
            headers_every: 0,
            tracks,
            jumps: Default::default(),
            zero_headers: false,
            decodable: false,
        }
    }

    pub(crate) fn name() -> Rc<str> {
        Rc::from("live/test")
    }

    pub(crate) fn sent(publication: usize, index: usize, frame: &Rc<Frame>) -> Observation {
        Observation::Sent {
            name: name(),
            publication,
            index,
            frame: frame.clone(),
        }
    }

    pub(crate) fn received(frame: &Frame) -> Observation {
        received_bytes(frame.kind, frame.delivered())
    }

    pub(crate) fn received_bytes(kind: MediaKind, payload: Bytes) -> Observation {
        Observation::Received {
            name: name(),
            kind,
            timestamp: millstream::time::Timestamp(0),
            payload,
        }
    }

    /// Feeds the `alice` publication of `frames`, then the player `bob`, who gets `picks` of it.
    pub(crate) fn broadcast(
        checker: &mut dyn Checker,
        frames: &[Rc<Frame>],
        picks: &[usize],
    ) -> Result<(), String> {
        for (index, frame) in frames.iter().enumerate() {
            checker.observe_at(Instant::ZERO, "alice", &sent(0, index, frame))?;
        }
        checker.observe_at(Instant::ZERO, "bob", &Observation::Plays { name: name() })?;
        for pick in picks {
            checker.observe_at(Instant::ZERO, "bob", &received(&frames[*pick]))?;
        }
        Ok(())
    }
}
