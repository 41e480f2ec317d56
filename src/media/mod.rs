//! Streaming without IO.
