//! An accept that fails: a pause, and few words.

use std::io;

use crate::limits;
use crate::runtime::Runtime;
use crate::time::Instant;

/// One listener's failures. Without file descriptors every attempt fails for as long as nobody leaves: the log says when
/// that begins and when it is over, and neither more often than once in [`limits::ACCEPT_ERRORS_LOGGED`].
pub(super) struct Backoff {
    /// Who is not let in.
    whom: &'static str,
    /// Attempts that failed since one last succeeded.
    failed: u64,
    /// Whether the log was told of them.
    said: bool,
    quiet_until: Instant,
}

impl Backoff {
    pub(super) fn new(whom: &'static str) -> Self {
        Self {
            whom,
            failed: 0,
            said: false,
            quiet_until: Instant::ZERO,
        }
    }

    /// A peer that gave up in the queue, or no file descriptor left: neither may end the server.
    pub(super) async fn pause<R: Runtime>(&mut self, runtime: &R, error: &io::Error) {
        self.failed += 1;
        let now = runtime.now();
        if !self.said && now >= self.quiet_until {
            self.said = true;
            self.quiet_until = now + limits::ACCEPT_ERRORS_LOGGED;
            let whom = self.whom;
            tracing::warn!(%error, "accept fails: new {whom} wait until it does not, all others go on");
        }
        runtime.sleep_until(now + limits::ACCEPT_BACKOFF).await;
    }

    /// An accept succeeded.
    pub(super) fn is_over(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        if std::mem::take(&mut self.said) {
            tracing::info!(
                failed,
                "accept succeeds again: new {} are served",
                self.whom
            );
        }
    }
}
