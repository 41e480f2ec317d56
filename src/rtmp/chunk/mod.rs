//! Chunk streams.
