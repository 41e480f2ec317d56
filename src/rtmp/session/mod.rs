//! The two sides of a session: [`server`] and [`client`], over what they share.

mod aggregate;
pub mod client;
mod error;
mod flow;
#[doc(hidden)]
pub mod fuzz;
mod link;
mod output;
pub mod server;
#[cfg(test)]
mod tests;

pub use error::{Fault, SessionError};

/// A message stream's number (RTMP 1.0 §5.3.1.2): 0 is the connection itself.
pub type MessageStreamId = u32;
