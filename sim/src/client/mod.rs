//! The clients: scripts played through the real client session, over whatever world they are put in.

use core::future::Future;
use std::io;

use millstream::runtime::Conn;
use millstream::time::Instant;

use crate::faults::Fault;

mod chunks;
mod garbage;
mod link;
mod player;

pub use player::{VOD_BUFFER, play_script};

/// The world a script is played in: the simulator's, or real sockets (`tests/both_worlds.rs`).
pub trait Stage: Clone + 'static {
    /// Its connections.
    type Conn: Conn;

    /// Opens the `attempt`th connection of `client` to the server.
    fn connect(&self, client: &str, attempt: usize)
    -> impl Future<Output = io::Result<Self::Conn>>;

    /// Now.
    fn now(&self) -> Instant;

    /// Something of the menu of faults happens by the client's doing.
    fn fires(&self, fault: Fault) {
        let _ = fault;
    }

    /// Completes at or after `at`.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}
