//! Messages in, chunks out: for what one connection alone gets, the server's replies and the client's media.
//!
//! Formats are chosen for the fewest bytes, save where readers disagree:
//!
//! * A new message never has fmt 3 directly behind fmt 0: the specification's delta is then the timestamp, while
//!   nginx-rtmp and gortmplib take 0.
//! * A delta that would need the extended field, or goes back in time, is sent as fmt 0: old SRS took an extended
//!   delta for the time itself. So extended timestamps stand only in fmt 0 headers and their continuations.
//! * [`CSID_CONTROL`] always has fmt 0, as bytes made for many connections use it too.

use super::header::{Basic, CSID_MAX, HEADER_MAX};
use super::{CSID_CONTROL, EXTENDED, MESSAGE_LENGTH_MAX};
use crate::limits;
use crate::time::Timestamp;

/// Writes one connection's messages. On a chunk stream it writes to, nobody else may.
#[derive(Debug)]
pub struct Encoder {
    chunk_size: u32,
    /// What the peer remembers of each chunk stream; sorted by csid. As many as our own code uses: a handful.
    streams: Vec<ChunkStream>,
}

/// The last message's header.
#[derive(Debug, Clone, Copy)]
struct ChunkStream {
    csid: u32,
    timestamp: Timestamp,
    /// What fmt 3 would add; `None` behind fmt 0.
    delta: Option<u32>,
    length: u32,
    type_id: u8,
    stream: u32,
}

/// What is still to be sent of a message. Another one on its chunk stream would make the peer drop it.
#[derive(Debug)]
#[must_use = "the peer waits for the rest of the message"]
pub struct Unsent<'a> {
    csid: u32,
    /// What every fmt 3 header repeats.
    extended: Option<Timestamp>,
    payload: &'a [u8],
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder with chunks of 128 bytes, as every connection starts.
    pub fn new() -> Self {
        Self {
            chunk_size: limits::CHUNK_SIZE_INITIAL,
            streams: Vec::new(),
        }
    }

    /// The size of chunks from the next one on, bytes; also in the middle of a message. The peer must have been told
    /// (Set Chunk Size); clamped to 1..=2^31−1.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size.clamp(1, limits::CHUNK_SIZE_RECEIVE_MAX);
    }

    /// The size of chunks, bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends a message's chunks to `out`.
    ///
    /// `csid` must be 2..=65,599, and `payload` at most 16,777,215 bytes, which is what a header can say; the rest of
    /// a longer one is left out.
    pub fn encode(
        &mut self,
        out: &mut Vec<u8>,
        csid: u32,
        type_id: u8,
        stream: u32,
        timestamp: Timestamp,
        payload: &[u8],
    ) {
        let chunks = payload.len() / self.chunk_size as usize + 1;
        out.reserve(payload.len() + HEADER_MAX + chunks * 7);
        let mut unsent = self.begin(out, csid, type_id, stream, timestamp, payload);
        while self.go_on(out, &mut unsent) {}
    }

    /// Appends a message's first chunk to `out`; [`Encoder::go_on`] appends the others. In between may stand chunks of
    /// other chunk streams, and a change of the chunk size. Arguments as for [`Encoder::encode`].
    pub fn begin<'a>(
        &mut self,
        out: &mut Vec<u8>,
        csid: u32,
        type_id: u8,
        stream: u32,
        timestamp: Timestamp,
        payload: &'a [u8],
    ) -> Unsent<'a> {
        debug_assert!((2..=CSID_MAX).contains(&csid));
        debug_assert!(payload.len() <= MESSAGE_LENGTH_MAX as usize);
        let csid = csid.clamp(2, CSID_MAX);
        let payload = payload
            .get(..MESSAGE_LENGTH_MAX as usize)
            .unwrap_or(payload);
        let next = ChunkStream {
            csid,
            timestamp,
            delta: None,
            length: payload.len() as u32,
            type_id,
            stream,
        };
        self.write_header(out, next);
        // Fmt 1 and 2 never have an extended timestamp here, but a fmt 3 behind fmt 0 repeats it.
        let is_extended =
            self.last(csid).is_none_or(|last| last.delta.is_none()) && timestamp.0 >= EXTENDED;
        let (chunk, payload) = payload.split_at(payload.len().min(self.chunk_size as usize));
        out.extend_from_slice(chunk);
        Unsent {
            csid,
            extended: is_extended.then_some(timestamp),
            payload,
        }
    }

    /// Appends the next chunk of a message that has begun; false if there is none left.
    pub fn go_on(&self, out: &mut Vec<u8>, unsent: &mut Unsent<'_>) -> bool {
        if unsent.payload.is_empty() {
            return false;
        }
        Basic::write(out, 3, unsent.csid);
        if let Some(timestamp) = unsent.extended {
            out.extend_from_slice(&timestamp.0.to_be_bytes());
        }
        let payload = unsent.payload;
        let (chunk, rest) = payload.split_at(payload.len().min(self.chunk_size as usize));
        out.extend_from_slice(chunk);
        unsent.payload = rest;
        true
    }

    fn last(&self, csid: u32) -> Option<&ChunkStream> {
        let index = self.streams.binary_search_by_key(&csid, |s| s.csid).ok()?;
        self.streams.get(index)
    }

    /// Writes the header of `next` and remembers it.
    fn write_header(&mut self, out: &mut Vec<u8>, mut next: ChunkStream) {
        let slot = self.streams.binary_search_by_key(&next.csid, |s| s.csid);
        let last = slot.ok().and_then(|index| self.streams.get(index));
        next.delta = last.and_then(|last| delta(last, &next));
        let [_, l0, l1, l2] = next.length.to_be_bytes();
        match (last, next.delta) {
            (Some(last), Some(delta)) => {
                let [_, d0, d1, d2] = delta.to_be_bytes();
                if (last.length, last.type_id) != (next.length, next.type_id) {
                    Basic::write(out, 1, next.csid);
                    out.extend_from_slice(&[d0, d1, d2, l0, l1, l2, next.type_id]);
                } else if last.delta != Some(delta) {
                    Basic::write(out, 2, next.csid);
                    out.extend_from_slice(&[d0, d1, d2]);
                } else {
                    Basic::write(out, 3, next.csid);
                }
            }
            _ => {
                let [_, t0, t1, t2] = next.timestamp.0.min(EXTENDED).to_be_bytes();
                Basic::write(out, 0, next.csid);
                out.extend_from_slice(&[t0, t1, t2, l0, l1, l2, next.type_id]);
                out.extend_from_slice(&next.stream.to_le_bytes());
                if next.timestamp.0 >= EXTENDED {
                    out.extend_from_slice(&next.timestamp.0.to_be_bytes());
                }
            }
        }
        match slot {
            Ok(index) => {
                if let Some(stream) = self.streams.get_mut(index) {
                    *stream = next;
                }
            }
            Err(place) => self.streams.insert(place, next),
        }
    }
}

/// The time from `last` to `next`, if `next` may lean on `last`.
fn delta(last: &ChunkStream, next: &ChunkStream) -> Option<u32> {
    let delta = u32::try_from(next.timestamp.since(last.timestamp)).ok()?;
    let leans = next.csid != CSID_CONTROL && next.stream == last.stream && delta < EXTENDED;
    leans.then_some(delta)
}

#[cfg(test)]
mod tests;
