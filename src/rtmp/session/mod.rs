//! The two sides of a session.
pub mod client;
pub mod server;

/// A message stream's number (RTMP 1.0 §5.3.1.2): 0 is the connection itself.
pub type MessageStreamId = u32;
