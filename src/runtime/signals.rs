//! The signals that end a server.

use std::io;

use async_signal::{Signal as Raw, Signals as RawSignals};
use futures_lite::StreamExt as _;

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager wants it.
    Terminate,
}

/// SIGINT and SIGTERM as a sequence; for as long as it lives they do nothing else. For [`super::smol`]'s runtime.
///
/// SIGPIPE needs no care: Rust's start-up ignores it, and a write to a closed socket is an error.
pub struct Signals {
    signals: RawSignals,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// The operating system refuses the handler.
    pub fn new() -> io::Result<Self> {
        #[cfg(unix)]
        let wanted = [Raw::Int, Raw::Term];
        #[cfg(not(unix))]
        let wanted = [Raw::Int];
        let signals = RawSignals::new(wanted)?;
        Ok(Self { signals })
    }

    /// Waits for the next one. Dropping the future loses none.
    ///
    /// # Errors
    /// The pipe that carries signals out of the handler broke.
    pub async fn next(&mut self) -> io::Result<Signal> {
        match self.signals.next().await {
            Some(Ok(Raw::Int)) => Ok(Signal::Interrupt),
            Some(Ok(_)) => Ok(Signal::Terminate),
            Some(Err(error)) => Err(error),
            None => Err(io::Error::other("the sequence of signals ended")),
        }
    }
}
