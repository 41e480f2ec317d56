//! The signals that end a server, or have it read its configuration again.

use std::io;

use async_signal::{Signal as Raw, Signals as RawSignals};
use futures_lite::StreamExt as _;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager wants it.
    Terminate,
    /// SIGHUP: the configuration has changed.
    Hangup,
}

/// SIGINT and SIGTERM, and perhaps SIGHUP, as a sequence; for as long as it lives they do nothing else. async-io's thread
/// hears them, on either backend.
///
/// SIGPIPE needs no care: Rust's start-up ignores it, and a write to a closed socket is an error.
pub struct Signals {
    signals: RawSignals,
}

impl Signals {
    /// Catches them from now on, SIGHUP only if `hangup` says so: it ends a program that does not.
    ///
    /// # Errors
    /// The operating system refuses the handler.
    pub fn new(hangup: bool) -> io::Result<Self> {
        let mut wanted = vec![Raw::Int];
        if cfg!(unix) {
            wanted.push(Raw::Term);
            wanted.extend(hangup.then_some(Raw::Hup));
        }
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
            Some(Ok(Raw::Hup)) => Ok(Signal::Hangup),
            Some(Ok(_)) => Ok(Signal::Terminate),
            Some(Err(error)) => Err(error),
            None => Err(io::Error::other("the sequence of signals ended")),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{Signal as Raw, getpid, kill_process};

    use super::*;
    use crate::runtime::smol;

    #[test]
    fn signals_come_one_by_one_and_end_nobody() {
        smol::run(|_| async {
            let mut signals = Signals::new(true).unwrap();
            for (sent, heard) in [
                (Raw::INT, Signal::Interrupt),
                (Raw::TERM, Signal::Terminate),
                (Raw::HUP, Signal::Hangup),
                (Raw::INT, Signal::Interrupt),
            ] {
                kill_process(getpid(), sent).unwrap();
                assert_eq!(signals.next().await.unwrap(), heard);
            }
        })
        .unwrap();
    }
}
