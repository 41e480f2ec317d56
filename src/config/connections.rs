//! What connections may cost, as far as an operator may say it.

use crate::limits;
use crate::time::Duration;

/// Bounds on connections. A count of 0 is no bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address (IPv6: from one /64).
    pub connections_per_address: usize,
    /// Connections a second from one address (IPv6: from one /64); as many may come at once.
    pub connects_per_second: u32,
    /// Connections whose handshake is not complete yet.
    pub handshakes: usize,
    /// From accept to the end of the handshake.
    pub handshake_time: Duration,
    /// From the handshake to the `connect` command.
    pub connect_time: Duration,
    /// From the handshake to the first `publish` or `play`, and from the last one's end to the next.
    pub command_time: Duration,
    /// How long a publisher may be silent.
    pub publisher_idle: Duration,
    /// How long a peer may take nothing while we have something for it.
    pub write_stall: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_per_address: 0,
            connects_per_second: 0,
            handshakes: 0,
            handshake_time: limits::HANDSHAKE_TIME,
            connect_time: limits::CONNECT_TIME,
            command_time: limits::COMMAND_TIME,
            publisher_idle: limits::PUBLISHER_IDLE,
            write_stall: limits::WRITE_STALL,
        }
    }
}
