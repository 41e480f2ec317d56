//! What a peer can do wrong with chunks.

use crate::limits;

/// Why a chunk stream cannot be read on. Always the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The first chunk of a chunk stream inherits what was never said.
    #[error(
        "peer: expected a format 0 or 1 header to open chunk stream {csid}, got format {fmt} with nothing to inherit"
    )]
    FreshChunkStream {
        /// The chunk stream.
        csid: u32,
        /// The header's format.
        fmt: u8,
    },
    /// More chunk streams than [`limits::CHUNK_STREAMS`].
    #[error(
        "peer: expected at most {} chunk streams, got {csid} as another one",
        limits::CHUNK_STREAMS
    )]
    TooManyChunkStreams {
        /// The chunk stream that is one too many.
        csid: u32,
    },
    /// A message longer than its type may be.
    #[error("peer: expected at most {limit} bytes in a message of type {type_id}, got {length}")]
    MessageTooLong {
        /// Message type id.
        type_id: u8,
        /// Declared length in bytes.
        length: u32,
        /// [`limits::MESSAGE_BYTES`] or [`limits::COMMAND_BYTES`].
        limit: u32,
    },
    /// More unfinished messages than [`limits::PARTIAL_BYTES`].
    #[error(
        "peer: expected at most {} bytes of unfinished messages, got more",
        limits::PARTIAL_BYTES
    )]
    TooMuchUnfinished,
    /// A chunk size out of range.
    #[error(
        "peer: expected a chunk size of 1..={}, got {got}",
        limits::CHUNK_SIZE_RECEIVE_MAX
    )]
    ChunkSize {
        /// What was asked for.
        got: u32,
    },
}
