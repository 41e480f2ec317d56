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
mod status;
#[cfg(test)]
mod tests;

pub use error::{Fault, SessionError};
pub use status::{Level, Status};

/// A message stream's number (RTMP 1.0 §5.3.1.2): 0 is the connection itself.
pub type MessageStreamId = u32;

/// A bound of [`crate::limits`], kept or not.
fn within(value: usize, limit: usize, what: &'static str) -> Result<(), SessionError> {
    match value <= limit {
        true => Ok(()),
        false => Err(SessionError::Bound { what, limit }),
    }
}
