//! The simulator's stage for scripts.

use core::future::Future;
use std::io;

use millstream::time::Instant;

use super::SERVER;
use crate::client::Stage;
use crate::faults::Fault;
use crate::host::PORT;
use crate::net::{Net, SimConn, now};

/// The simulator's stage for scripts.
#[derive(Clone)]
pub(super) struct SimStage(pub(super) Net);

impl Stage for SimStage {
    type Conn = SimConn;

    fn connect(&self, client: &str, attempt: usize) -> impl Future<Output = io::Result<SimConn>> {
        self.0.connect(SERVER, PORT, client, attempt)
    }

    fn fires(&self, fault: Fault) {
        self.0.counts().count(fault);
    }

    fn now(&self) -> Instant {
        now()
    }

    async fn sleep_until(&self, at: Instant) {
        let wait = at.since(now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
