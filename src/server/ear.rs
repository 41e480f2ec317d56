//! What a running server heeds: signals that end it, and another configuration.

use std::rc::Rc;
use std::sync::Arc;

use super::builder::settings;
use super::message::{ReloadHandle, StopHandle};
use crate::config::{Config, ConfigError, KEYS, Key};
use crate::runtime::launch;
use crate::runtime::service::{self, State};
use crate::runtime::signals::{Signal, Signals};

/// Tells the service manager how the server is, if it is to.
#[derive(Clone, Copy)]
pub(super) struct Manager {
    pub(super) is_told: bool,
}

impl Manager {
    pub(super) fn tell(self, state: State) {
        if !self.is_told {
            return;
        }
        if let Err(error) = service::notify(state) {
            tracing::warn!(%error, ?state, "the service manager (NOTIFY_SOCKET) cannot be told");
        }
    }
}

/// Where a running server has its configuration from.
pub(super) type Reread = Box<dyn Fn() -> Result<Config, String> + Send>;

/// Reads the configuration again, and puts it in force.
pub(super) struct Rereader {
    pub(super) reloader: Reloader,
    pub(super) reread: Reread,
    pub(super) manager: Manager,
}

impl Rereader {
    /// The keys that need a restart, or why everything stays as it is.
    pub(super) fn reload(&self) -> Result<Vec<String>, String> {
        self.manager.tell(State::Reloading);
        let reloaded = (self.reread)().and_then(|config| {
            let reloaded = self.reloader.reload(config);
            reloaded.map_err(|error| error.to_string())
        });
        match &reloaded {
            Ok(_) => tracing::info!("the configuration is reloaded"),
            Err(error) => {
                tracing::error!(
                    error,
                    "the configuration is not reloaded; all stays as it is"
                );
            }
        }
        self.manager.tell(State::Ready); // either way it serves
        reloaded.map(|kept| kept.into_iter().map(ToString::to_string).collect())
    }
}

/// Who heeds the signals.
pub(super) struct Ear {
    pub(super) signals: Signals,
    pub(super) stop: StopHandle,
    pub(super) manager: Manager,
}

impl Ear {
    /// The first signal to end stops gracefully, the second at once; a hangup reloads.
    pub(super) async fn heed(mut self, rereader: Option<Rc<Rereader>>) {
        let mut stopping = false;
        loop {
            match self.signals.next().await {
                Ok(Signal::Hangup) if stopping => {}
                Ok(Signal::Hangup) => {
                    let reloaded = rereader.as_ref().map(|rereader| rereader.reload());
                    drop(reloaded); // the log has said it
                }
                // By the shell's convention: 128 and the signal's number.
                Ok(Signal::Interrupt) if stopping => launch::exit_now(130),
                Ok(Signal::Terminate) if stopping => launch::exit_now(143),
                Ok(signal) => {
                    tracing::info!(?signal, "stopping; a second signal ends at once");
                    stopping = true;
                    self.manager.tell(State::Stopping);
                    self.stop.stop();
                }
                Err(error) => {
                    tracing::error!(%error, "signals cannot be heard any more");
                    return;
                }
            }
        }
    }
}

/// Gives a running server another configuration; clone freely, use from any thread.
#[derive(Clone)]
pub struct Reloader {
    /// What does not change without a restart is as it was then.
    started: Arc<Config>,
    handle: ReloadHandle,
}

impl Reloader {
    pub(super) fn new(started: Config, handle: ReloadHandle) -> Self {
        let started = Arc::new(started);
        Self { started, handle }
    }

    /// Does what [`Server::reload`](super::Server::reload) does.
    ///
    /// # Errors
    /// A setting is out of its bounds; nothing has changed then.
    pub fn reload(&self, mut config: Config) -> Result<Vec<&'static Key>, ConfigError> {
        config.check()?;
        let mut kept = Vec::new();
        for key in KEYS.iter().filter(|key| key.needs_restart) {
            let (wanted, has) = (key.value(&config), key.value(&self.started));
            if wanted != has {
                tracing::warn!(%key, %wanted, %has, "changes with a restart only");
                key.copy(&self.started, &mut config);
                kept.push(key);
            }
        }
        config.check()?; // what is new may not go with what stays
        self.handle.reload(settings(&config));
        Ok(kept)
    }
}
