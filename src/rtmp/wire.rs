//! A whole message in the layout that leaves: our header, our chunk size, shared by every player.
//!
//! ```text
//! [ 12 or 16 bytes: fmt 0 header, message stream 1 ][ ≤ chunk size bytes ][ 1 or 5: fmt 3 ][ ≤ chunk size ] …
//! ```

use bytes::Bytes;

use crate::time::Timestamp;

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
    pub fn new(kind: MediaKind, timestamp: Timestamp, payload: &[u8], chunk_size: u32) -> Self {
        let _ = (kind, timestamp, payload, chunk_size);
        todo!()
    }
    /// Everything that goes out to a player on message stream 1.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Bytes of the first header: 12, or 16 with an extended timestamp.
    pub fn header_len(&self) -> usize {
        todo!()
    }
    /// The header for a player on message stream `stream`; the rest is `bytes()[header_len()..]`.
    pub fn header_for(&self, stream: u32) -> ([u8; 16], usize) {
        let _ = stream;
        todo!()
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
    /// The payload in order, a slice per chunk.
    pub fn payload(&self) -> impl Iterator<Item = &[u8]> {
        [].into_iter()
    }
    /// Copies the first bytes of the payload to `head`; returns how many there were.
    pub fn peek(&self, head: &mut [u8]) -> usize {
        let _ = head;
        todo!()
    }
    /// The same payload at another time (shares nothing: one copy).
    #[must_use]
    pub fn restamped(&self, timestamp: Timestamp) -> Self {
        let _ = timestamp;
        todo!()
    }
    /// The chunk size it is laid out with.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }
}
