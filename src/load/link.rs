//! One connection of the load: bytes between a socket and a client's session.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::io::{self, IoSlice};

use super::Plan;
use crate::limits;
use crate::rtmp::session::SessionError;
use crate::rtmp::session::client::{ClientConfig, ClientSession};
use crate::runtime::{Conn as _, Dial, SocketAddr};
use crate::time::{Duration, Instant};

/// How we introduce ourselves, as encoders do.
const FLASH_VER: &str = "FMLE/3.0 (compatible; millstream load)";

/// Why a connection failed. Each says who is at fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("cannot connect to {to}: {error}")]
    Connect { to: SocketAddr, error: io::Error },
    #[error("the server refused: {code}{}{description}", if description.is_empty() { "" } else { ": " })]
    Refused { code: String, description: String },
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("server: {0}")]
    Protocol(SessionError),
    #[error("the server did not let us in within {0:?}")]
    Late(Duration),
    #[error("the server takes less than is published")]
    Behind,
}

/// A connection and its session.
pub(crate) struct Link<R: Dial> {
    runtime: R,
    conn: R::Conn,
    pub(crate) session: ClientSession,
    unsent: Vec<u8>,
    sent: usize,
}

/// What a wait was ended by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    Socket,
    Time,
}

/// Waits for `future`, at most until `at`; none if it did not come.
pub(crate) async fn within<T>(
    runtime: &impl Dial,
    at: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut alarm) = (pin!(future), pin!(runtime.sleep_until(at)));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        alarm.as_mut().poll(cx).map(|()| None)
    })
    .await
}

impl<R: Dial> Link<R> {
    /// Connects to the first address that answers until `deadline`, and says `connect` for `app`.
    pub(crate) async fn open(
        runtime: &R,
        plan: &Plan,
        app: &str,
        chunk_size: u32,
        deadline: Instant,
    ) -> Result<Self, End> {
        let mut failed = End::Late(limits::LOAD_SETUP_TIME);
        for (&to, left) in plan
            .addresses
            .iter()
            .zip((1..=plan.addresses.len() as u32).rev())
        {
            // One that does not answer at all leaves the others their share of the time.
            let now = runtime.now();
            let turn = now + deadline.since(now) / left;
            match within(runtime, turn, runtime.dial(to)).await {
                None => {
                    let error = io::ErrorKind::TimedOut.into();
                    failed = End::Connect { to, error };
                }
                Some(Err(error)) => failed = End::Connect { to, error },
                Some(Ok(conn)) => {
                    let config = ClientConfig {
                        app: app.to_owned(),
                        tc_url: plan.target.tc_url(app),
                        flash_ver: FLASH_VER.to_owned(),
                        chunk_size,
                        ..ClientConfig::default()
                    };
                    let nonce = runtime.entropy("load handshake").u64(..);
                    let mut session = ClientSession::new(config, nonce);
                    session.connect();
                    return Ok(Self {
                        runtime: runtime.clone(),
                        conn,
                        session,
                        unsent: Vec::new(),
                        sent: 0,
                    });
                }
            }
        }
        Err(failed)
    }

    /// Bytes that the session has said and the socket has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len() - self.sent + self.session.output().len()
    }

    /// Writes what the socket takes; returns how many bytes.
    pub(crate) fn flush(&mut self) -> Result<usize, End> {
        let mut written = 0;
        while self.unsent() > 0 {
            if self.sent == self.unsent.len() {
                self.unsent.clear();
                self.sent = 0;
                self.session.take_output(&mut self.unsent);
            }
            let rest = self.unsent.get(self.sent..).unwrap_or_default();
            match self.conn.try_writev(&[IoSlice::new(rest)]) {
                Ok(taken) => {
                    self.sent += taken;
                    written += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(End::Broken(error)),
            }
        }
        Ok(written)
    }

    /// Reads once and has the session look at it; returns how many bytes, none if there is nothing.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, End> {
        let taken = match self.conn.try_read(scratch) {
            Ok(0) => return Err(End::Closed),
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(End::Broken(error)),
        };
        let came = scratch.get(..taken).unwrap_or_default();
        let handled = self.session.handle_input(self.runtime.now(), came);
        handled.map_err(End::Protocol)?;
        Ok(Some(taken))
    }

    /// Waits until there is something to read, room for what is to be written, or `at` has come.
    pub(crate) async fn wait_until(&mut self, at: Instant) -> Result<Woken, End> {
        let runtime = self.runtime.clone();
        match within(&runtime, at, self.wait()).await {
            Some(woken) => woken,
            None => Ok(Woken::Time),
        }
    }

    /// Waits until there is something to read, or room for what is to be written.
    pub(crate) async fn wait(&mut self) -> Result<Woken, End> {
        let wants_room = self.unsent() > 0;
        let ready = poll_fn(|cx| {
            if let Poll::Ready(result) = self.conn.poll_readable(cx) {
                return Poll::Ready(result);
            }
            match wants_room {
                true => self.conn.poll_writable(cx),
                false => Poll::Pending,
            }
        });
        ready.await.map_err(End::Broken)?;
        Ok(Woken::Socket)
    }

    /// FIN, behind what was written.
    pub(crate) fn finish(&self) {
        // Whom the server has cut off already needs no FIN.
        let _ = self.conn.shutdown_write();
    }
}
