//! Where the bytes of a payload are read from: a slice, or a message cut into chunks.

use crate::rtmp::wire::WireMessage;

/// The payload of a message, wherever it lies. Reading costs the same at every place.
pub trait Payload {
    /// Bytes of payload.
    fn size(&self) -> usize;

    /// The `N` bytes from `at` on; `None` if the payload ends before.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;
}

impl Payload for [u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}

impl Payload for WireMessage {
    fn size(&self) -> usize {
        self.payload_len()
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.peek_at(at, &mut bytes) == N).then_some(bytes)
    }
}
