//! A whole message in the layout that leaves: our header, our chunk size, shared by every player.
//!
//! ```text
//! [ 12 or 16 bytes: fmt 0 header, message stream 1 ][ ≤ chunk size bytes ][ 1 or 5: fmt 3 ][ ≤ chunk size ] …
//! ```
//!
//! The longer forms carry the extended timestamp, which every fmt 3 header repeats (errata §5.1): so write FFmpeg,
//! SRS, nginx-rtmp and today's OBS, and every reader but old OBS expects it.
//!
//! Each kind has its chunk stream ([`CSID_AUDIO`], [`CSID_DATA`], [`CSID_VIDEO`]), used for nothing else by a server:
//! as every message here starts with fmt 0, it can follow anything.

use bytes::Bytes;

use super::chunk::{CSID_AUDIO, CSID_DATA, CSID_VIDEO, EXTENDED, MESSAGE_LENGTH_MAX};
use super::message;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Timestamp;

/// The message stream the shared bytes are for; clients get it from the first `createStream`.
const STREAM: u32 = 1;

/// What a published or played message is. RTMP type ids 8, 9, 18.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18 (AMF0 data). A received type 15 has become 18.
    Data,
}

impl MediaKind {
    /// Its message type id: 8, 9 or 18.
    pub const fn type_id(self) -> u8 {
        match self {
            Self::Audio => message::AUDIO,
            Self::Video => message::VIDEO,
            Self::Data => message::DATA_AMF0,
        }
    }

    /// The chunk stream it leaves on. All are below 64: the basic header is one byte.
    const fn csid(self) -> u8 {
        match self {
            Self::Audio => CSID_AUDIO as u8,
            Self::Video => CSID_VIDEO as u8,
            Self::Data => CSID_DATA as u8,
        }
    }
}

/// A message ready for the wire; clones share the bytes.
#[derive(Clone, Debug)]
pub struct WireMessage {
    bytes: Bytes,
    kind: MediaKind,
    timestamp: Timestamp,
    payload_len: u32,
    chunk_size: u32,
}

impl WireMessage {
    /// Lays out `payload` (one copy) with chunks of `chunk_size` bytes, for message stream 1.
    ///
    /// `payload` holds at most 16,777,215 bytes, what the header's length field can say; the rest of a longer one is
    /// left out. A `chunk_size` of 0 is taken as 1.
    pub fn new(kind: MediaKind, timestamp: Timestamp, payload: &[u8], chunk_size: u32) -> Self {
        debug_assert!(payload.len() <= MESSAGE_LENGTH_MAX as usize);
        let length = payload.len().min(MESSAGE_LENGTH_MAX as usize);
        let payload = payload.get(..length).unwrap_or_default();
        let mut builder = WireBuilder::new(kind, timestamp, length as u32, chunk_size);
        builder.push(payload, length);
        builder.finish()
    }

    /// Everything that goes out to a player on message stream 1.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// [`WireMessage::bytes`] from `offset` on, sharing the memory: the rest of a short write, or a body for
    /// another header.
    pub fn shared(&self, offset: usize) -> Bytes {
        self.bytes.slice(offset.min(self.bytes.len())..)
    }

    /// Bytes of the first header: 12, or 16 with an extended timestamp.
    pub fn header_len(&self) -> usize {
        header_len(self.timestamp)
    }

    /// The header for a player on message stream `stream`; the rest is `bytes()[header_len()..]`.
    ///
    /// Only the first `usize` bytes of the array count: [`WireMessage::header_len`].
    pub fn header_for(&self, stream: u32) -> ([u8; 16], usize) {
        header(self.kind, self.timestamp, self.payload_len, stream)
    }

    /// What it carries.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Its time.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Bytes of payload, without any chunk header.
    pub fn payload_len(&self) -> usize {
        self.payload_len as usize
    }

    /// The payload in order, a slice per chunk; none for an empty message.
    pub fn payload(&self) -> impl Iterator<Item = &[u8]> {
        self.payload_from(0)
    }

    /// Copies the first bytes of the payload to `head`; returns how many there were.
    pub fn peek(&self, head: &mut [u8]) -> usize {
        self.peek_at(0, head)
    }

    /// Copies the bytes of the payload from `offset` on to `head`; returns how many there were. It costs the same at
    /// every offset.
    pub fn peek_at(&self, offset: usize, head: &mut [u8]) -> usize {
        let mut filled = 0;
        for slice in self.payload_from(offset) {
            let room = head.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                break;
            }
            let n = room.len().min(slice.len());
            for (to, from) in room.iter_mut().zip(slice) {
                *to = *from;
            }
            filled += n;
        }
        filled
    }

    fn payload_from(&self, offset: usize) -> impl Iterator<Item = &[u8]> {
        let chunk = self.chunk_size as usize;
        let separated = chunk + separator_len(self.timestamp);
        let (before, mut within) = (offset / chunk, offset % chunk);
        // Behind the header, the bytes are runs of one chunk and the fmt 3 header of the next; the last run has none.
        let start = self
            .header_len()
            .saturating_add(before.saturating_mul(separated));
        let runs = self.bytes.get(start..).unwrap_or_default();
        runs.chunks(separated).map(move |run| {
            let slice = run.get(..chunk).unwrap_or(run);
            slice.get(std::mem::take(&mut within)..).unwrap_or_default()
        })
    }

    /// The same message at another time. While nobody else shares it, only its headers are written anew, and nothing is
    /// copied, unless they get longer or shorter: the extended timestamp begins at 16,777,215 ms.
    #[must_use]
    pub fn moved_to(mut self, timestamp: Timestamp) -> Self {
        if timestamp == self.timestamp {
            return self;
        }
        if header_len(timestamp) != self.header_len() {
            return self.restamped(timestamp);
        }
        match self.bytes.try_into_mut() {
            Ok(mut bytes) => {
                let separated = self.chunk_size as usize + separator_len(timestamp);
                let (header, len) = header(self.kind, timestamp, self.payload_len, STREAM);
                let separator = separator(self.kind, timestamp);
                overwrite(&mut bytes, 0, header.get(..len).unwrap_or(&header));
                if separator_len(timestamp) > 1 {
                    let first = len + self.chunk_size as usize;
                    for at in (first..bytes.len()).step_by(separated) {
                        overwrite(&mut bytes, at, &separator);
                    }
                }
                self.bytes = bytes.freeze();
                self.timestamp = timestamp;
                self
            }
            Err(bytes) => {
                self.bytes = bytes;
                self.restamped(timestamp)
            }
        }
    }

    /// The same payload at another time (shares nothing: one copy).
    #[must_use]
    pub fn restamped(&self, timestamp: Timestamp) -> Self {
        let mut builder = WireBuilder::new(self.kind, timestamp, self.payload_len, self.chunk_size);
        let mut left = self.payload_len();
        for slice in self.payload() {
            builder.push(slice, left);
            left -= slice.len();
        }
        builder.finish()
    }

    /// The chunk size it is laid out with.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }
}

/// A [`WireMessage`] under construction: payload comes in pieces, each copied once to where it stays.
#[derive(Debug)]
pub(crate) struct WireBuilder {
    bytes: Vec<u8>,
    kind: MediaKind,
    timestamp: Timestamp,
    payload_len: u32,
    chunk_size: u32,
    /// Payload bytes still to come.
    missing: usize,
    /// Payload bytes the chunk being written still takes.
    room: usize,
}

impl WireBuilder {
    /// A message of `payload_len` bytes, of which none is here: reserves nothing yet.
    pub(crate) fn new(
        kind: MediaKind,
        timestamp: Timestamp,
        payload_len: u32,
        chunk_size: u32,
    ) -> Self {
        let chunk_size = chunk_size.max(1);
        Self {
            bytes: Vec::new(),
            kind,
            timestamp,
            payload_len,
            chunk_size,
            missing: payload_len as usize,
            room: chunk_size as usize,
        }
    }

    /// Payload bytes still to come.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Payload bytes that came.
    pub(crate) fn received(&self) -> usize {
        self.payload_len as usize - self.missing
    }

    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends `data`, at most [`WireBuilder::missing`] bytes (more are left out). `at_hand` tells how many bytes,
    /// `data` included, are known to be here already: so much is reserved at once.
    pub(crate) fn push(&mut self, data: &[u8], at_hand: usize) {
        let mut data = data.get(..self.missing).unwrap_or(data);
        let at_hand = at_hand.clamp(data.len(), self.missing.max(data.len()));
        if self.bytes.is_empty() {
            self.begin(at_hand);
        }
        while !data.is_empty() {
            if self.room == 0 {
                self.separate(at_hand);
            }
            let (piece, rest) = data.split_at(data.len().min(self.room));
            if self.bytes.capacity() - self.bytes.len() < piece.len() {
                self.grow(at_hand);
            }
            self.bytes.extend_from_slice(piece);
            self.room -= piece.len();
            self.missing -= piece.len();
            data = rest;
        }
    }

    /// Takes whole chunks of `size` bytes from `input`, each behind the one-byte header `mark`, as long as memory
    /// and the chunk being written have room for them; at most `budget` bytes of payload. Returns how many those were.
    #[inline]
    pub(crate) fn push_run(
        &mut self,
        input: &mut &[u8],
        mark: u8,
        size: usize,
        budget: usize,
    ) -> usize {
        let most = budget.min(self.room).min(self.missing);
        let taken = append_run(&mut self.bytes, input, mark, size, most);
        self.room -= taken;
        self.missing -= taken;
        taken
    }

    /// The message. All payload must have come.
    pub(crate) fn finish(mut self) -> WireMessage {
        debug_assert_eq!(self.missing, 0);
        if self.bytes.is_empty() {
            self.begin(0);
        }
        WireMessage {
            // No copy: a `Bytes` takes over the allocation.
            bytes: Bytes::from(self.bytes),
            kind: self.kind,
            timestamp: self.timestamp,
            payload_len: self.payload_len,
            chunk_size: self.chunk_size,
        }
    }

    fn begin(&mut self, at_hand: usize) {
        self.bytes
            .reserve_exact(self.laid_out(at_hand.min(self.missing)));
        let (header, len) = header(self.kind, self.timestamp, self.payload_len, STREAM);
        self.bytes
            .extend_from_slice(header.get(..len).unwrap_or(&header));
    }

    fn separate(&mut self, at_hand: usize) {
        let separator = separator(self.kind, self.timestamp);
        let len = separator_len(self.timestamp);
        if self.bytes.capacity() - self.bytes.len() < len {
            self.grow(at_hand);
        }
        self.bytes
            .extend_from_slice(separator.get(..len).unwrap_or(&separator));
        self.room = self.chunk_size as usize;
    }

    /// Makes room for the bytes at hand, or doubles, whichever is more; never for more than the message.
    #[cold]
    fn grow(&mut self, at_hand: usize) {
        let received = self.received();
        let wanted = self.laid_out(received + at_hand).max(2 * self.bytes.len());
        let target = wanted.min(self.laid_out(self.payload_len as usize));
        self.bytes
            .reserve_exact(target.saturating_sub(self.bytes.len()));
    }

    /// Bytes of the layout up to `payload` bytes of payload.
    fn laid_out(&self, payload: usize) -> usize {
        let separators = payload.saturating_sub(1) / self.chunk_size as usize;
        header_len(self.timestamp) + payload + separators * separator_len(self.timestamp)
    }
}

/// Appends the payload of whole chunks of `size` bytes, each behind the one-byte header `mark`, from the front of
/// `input` to `bytes`: without allocating, and at most `most` bytes. Returns how many those were.
#[inline]
pub(crate) fn append_run(
    bytes: &mut Vec<u8>,
    input: &mut &[u8],
    mark: u8,
    size: usize,
    most: usize,
) -> usize {
    let most = most.min(bytes.capacity() - bytes.len());
    if most < size || input.len() <= size {
        return 0;
    }
    let before = bytes.len();
    let count = most / size;
    // Every connection begins with 128, and some encoders stay there: a copy of known size needs no call.
    if size == limits::CHUNK_SIZE_INITIAL as usize {
        let (chunks, _) = input.as_chunks::<{ limits::CHUNK_SIZE_INITIAL as usize + 1 }>();
        for [header, payload @ ..] in chunks.iter().take(count) {
            if *header != mark {
                break;
            }
            bytes.extend_from_slice(payload);
        }
    } else {
        for chunk in input.chunks_exact(size + 1).take(count) {
            match chunk.split_first() {
                Some((header, payload)) if *header == mark => bytes.extend_from_slice(payload),
                _ => break,
            }
        }
    }
    let taken = bytes.len() - before;
    *input = input.get(taken + taken / size..).unwrap_or_default();
    taken
}

/// Puts `new` over what is there from `at` on.
fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    let old = bytes.get_mut(at..).unwrap_or_default();
    for (old, new) in old.iter_mut().zip(new) {
        *old = *new;
    }
}

const fn header_len(timestamp: Timestamp) -> usize {
    if timestamp.0 >= EXTENDED { 16 } else { 12 }
}

fn separator_len(timestamp: Timestamp) -> usize {
    let extended = timestamp.0 >= EXTENDED && !planted(Bug::ExtendedTimestampOnce);
    if extended { 5 } else { 1 }
}

/// A fmt 0 header and how many bytes of it count.
fn header(kind: MediaKind, timestamp: Timestamp, length: u32, stream: u32) -> ([u8; 16], usize) {
    let [_, t0, t1, t2] = timestamp.0.min(EXTENDED).to_be_bytes();
    let [_, l0, l1, l2] = length.to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_le_bytes();
    let [e0, e1, e2, e3] = timestamp.0.to_be_bytes();
    let header = [
        kind.csid(),
        t0,
        t1,
        t2,
        l0,
        l1,
        l2,
        kind.type_id(),
        s0,
        s1,
        s2,
        s3,
        e0,
        e1,
        e2,
        e3,
    ];
    (header, header_len(timestamp))
}

/// A fmt 3 header, with the extended timestamp behind it in case it is wanted.
fn separator(kind: MediaKind, timestamp: Timestamp) -> [u8; 5] {
    let [e0, e1, e2, e3] = timestamp.0.to_be_bytes();
    [0xC0 | kind.csid(), e0, e1, e2, e3]
}

#[cfg(test)]
mod tests;
