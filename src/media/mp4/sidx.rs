//! `sidx`: where the pieces of a file are that was made to be fetched piece by piece, for DASH for instance (ISO/IEC
//! 14496-12 §8.16.3). It stands before them, and spares a walk over all fragments.

use super::boxes::Fields;
use super::source::Movie;
use crate::limits;
use crate::media::file::{Sync, SyncIndex};

/// The body of a `sidx`, and where the box ends: places are counted from there.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Vec<u8>,
    end: u64,
}

impl Pieces {
    /// Of the leading track; none: it is another's.
    pub(super) fn of(movie: &Movie, body: &[u8], end: u64) -> Option<Self> {
        let mut fields = Fields::new(body);
        fields.full()?;
        let id = fields.u32()?;
        let is_leading = movie.sources.first().is_some_and(|source| source.id == id);
        is_leading.then(|| Self {
            body: body.to_vec(),
            end,
        })
    }

    /// Where the leading track can begin, and how long it is, ms. None: it speaks of other indices instead of fragments, or
    /// does not cover the file up to its end, as the first of many does.
    pub(super) fn index(&self, movie: &Movie, size: u64) -> Option<(SyncIndex, u64)> {
        let mut fields = Fields::new(&self.body);
        let (version, _) = fields.full()?;
        let (_, timescale) = (fields.u32()?, fields.u32()?);
        let (mut time, first) = (fields.sized(version)?, fields.sized(version)?);
        let mut offset = self.end.checked_add(first)?;
        let count = fields.u32()? & 0xFFFF; // behind 16 reserved bits
        let mut index = SyncIndex::new(limits::MP4_INDEX_ENTRIES);
        for _ in 0..count {
            let (piece, duration, access) = (fields.u32()?, fields.u32()?, fields.u32()?);
            let (is_index, begins_there) = (piece >> 31 != 0, access >> 31 != 0);
            if is_index {
                return None;
            }
            if begins_there {
                let time = movie.due(0, movie.own_units(0, time, timescale)?);
                index.push(Sync { time, offset });
            }
            time = time.checked_add(duration.into())?;
            offset = offset.checked_add(piece.into())?;
        }
        let duration = movie.due(0, movie.own_units(0, time, timescale)?);
        (offset == size && !index.entries().is_empty()).then_some((index, duration))
    }
}
