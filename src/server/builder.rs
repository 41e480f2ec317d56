//! The library's face: build a server, start it, stop it.

use std::io;
use std::rc::Rc;

use super::control;
use super::ear::{Ear, Manager, Reloader, Reread, Rereader};
use super::event::{Event, EventSink};
use super::http::{Http, Reload};
use super::message::{ControlPlan, OperatorHandle, ShardPlan, StopHandle, World, world};
use super::shard::Shard;
use super::{RawSocket, Settings};
use crate::config::{Backend, Config, ConfigError, HTTP_DEFAULT, HttpListen, Key};
use crate::runtime::launch::{self, Thread};
use crate::runtime::service::{self, State};
use crate::runtime::signals::Signals;
use crate::runtime::{self, Runtime, SocketAddr};
use crate::time::Duration;

/// Why a server did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", hint(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// What the service manager opened for us cannot be used.
    #[error("a socket of the service manager (LISTEN_FDS) is of no use: {0}")]
    Given(io::Error),
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no thread or no signal handler.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has the port: end it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have the address",
        io::ErrorKind::PermissionDenied => {
            "; a port below 1024 needs more rights: choose another port"
        }
        _ => "",
    }
}

/// A server to be: settings first, then [`Builder::start`]. Operators' HTTP is off unless [asked for](Builder::http).
pub struct Builder {
    config: Config,
    listen: Vec<SocketAddr>,
    events: EventSink,
    signals: bool,
    manager: Manager,
    reread: Option<Reread>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            // A program that embeds a server has not asked for another port.
            config: Config {
                http: HttpListen::Off,
                ..Config::default()
            },
            listen: Vec::new(),
            events: EventSink::default(),
            signals: false,
            manager: Manager { is_told: false },
            reread: None,
        }
    }
}

impl Builder {
    /// Takes over a whole configuration; what was set before is forgotten, events excepted.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self.listen.clear();
        self
    }

    /// Listens on `address`; call it again for more. Without any call: the configuration's, `0.0.0.0:1935`.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Where operators ask by HTTP: metrics, streams, clients. Beyond loopback only with a token.
    #[must_use]
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.config.http = HttpListen::At(address);
        self
    }

    /// Data shards (threads that carry connections); 0: one per core.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// Which backend parks the data shards.
    #[must_use]
    pub fn runtime(mut self, backend: Backend) -> Self {
        self.config.runtime = backend;
        self
    }

    /// Chunk size of everything sent, bytes; for the bounds see [`Config`].
    #[must_use]
    pub fn chunk_size(mut self, bytes: u32) -> Self {
        self.config.chunk_size = bytes;
        self
    }

    /// Demands extended timestamps on every format 3 chunk, instead of looking who leaves them out.
    #[must_use]
    pub fn strict_extended_timestamps(mut self, strict: bool) -> Self {
        self.config.strict_extended_timestamps = strict;
        self
    }

    /// Frames of the past that a new player may be given, in every application that has no section of its own; 0: it
    /// begins at the next keyframe.
    #[must_use]
    pub fn gop_cache(mut self, frames: usize) -> Self {
        self.config.applications.every.gop_cache = frames;
        self
    }

    /// How long a frame waits at most for others that leave with it in one write, in every application that has no section
    /// of its own; zero, the default: it leaves at once.
    #[must_use]
    pub fn merge(mut self, most: Duration) -> Self {
        self.config.applications.every.merge = most;
        self
    }

    /// Set Peer Bandwidth announced to every client, bytes.
    #[must_use]
    pub fn peer_bandwidth(mut self, bytes: u32) -> Self {
        self.config.peer_bandwidth = bytes;
        self
    }

    /// Window Acknowledgement Size announced to every client, bytes.
    #[must_use]
    pub fn window_ack_size(mut self, bytes: u32) -> Self {
        self.config.window_ack_size = bytes;
        self
    }

    /// How long a graceful stop waits for connections to drain.
    #[must_use]
    pub fn drain(mut self, patience: Duration) -> Self {
        self.config.drain = patience;
        self
    }

    /// Calls `handler` for every [`Event`], on the thread where it happens: it must be quick and must not block.
    #[must_use]
    pub fn on_event(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events = EventSink::new(handler);
        self
    }

    /// Stops gracefully on SIGINT or SIGTERM; a second one ends the process at once.
    #[must_use]
    pub fn stop_on_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Is a service as systemd has it: serves clients on the listening sockets that it is given (`LISTEN_FDS`), if there are
    /// any, instead of opening its own; and says when it is ready, reloads and stops (`NOTIFY_SOCKET`; the last two where
    /// signals cause them). [`Builder::start`] must come before the program's second thread: it takes `LISTEN_FDS` out of
    /// the environment.
    #[must_use]
    pub fn as_service(mut self) -> Self {
        self.manager.is_told = true;
        self
    }

    /// Has SIGHUP call `reread` for the configuration (on the control thread), and [reloads](Server::reload) it. Where it
    /// has none to give, it says why, and everything stays as it is. Only with [`Builder::stop_on_signals`].
    #[must_use]
    pub fn reload_on_hangup(
        mut self,
        reread: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> Self {
        self.reread = Some(Box::new(reread));
        self
    }

    /// Opens the ports and starts the threads; when it returns, clients can connect.
    ///
    /// # Errors
    /// A setting is out of its bounds, a port cannot be opened, or the system gives no thread.
    pub fn start(self) -> Result<Server, StartError> {
        let Self {
            mut config,
            listen,
            events,
            signals,
            manager,
            reread,
        } = self;
        if !listen.is_empty() {
            config.listen = listen;
        }
        config.check()?;
        let (listeners, addresses) = doors(manager, &config.listen)?;
        let http = operators(config.http)?;
        if let Err(error) = launch::raise_file_limit() {
            tracing::warn!(%error, "cannot raise the limit of open files; fewer clients will find room");
        }
        let shards = if config.shards == 0 {
            launch::parallelism()
        } else {
            config.shards
        };
        let World {
            control,
            shards,
            stop,
            reload,
            operator,
            attendance: _,
        } = world::<RawSocket>(shards, settings(&config), events);
        let reloader = Reloader::new(config.clone(), reload);
        let ear = match signals {
            true => Some(ear(reread.is_some(), &stop, manager)?),
            false => None,
        };
        let rereader = reread.map(|reread| Rereader {
            reloader: reloader.clone(),
            reread,
            manager,
        });
        let http_address = http.as_ref().and_then(|it| it.local_addr().ok());
        let outside = Outside {
            listeners,
            http,
            ear,
            rereader,
        };
        // Control first: should a shard not start, a stop ends those that have.
        let mut threads = vec![control_thread(config.runtime, control, outside)?];
        for plan in shards {
            match shard_thread(config.runtime, plan) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    stop.stop();
                    return Err(error.into());
                }
            }
        }
        manager.tell(State::Ready);
        Ok(Server {
            addresses,
            http: http_address,
            stop,
            reloader,
            operator,
            threads,
        })
    }
}

/// The ports for clients, listeners and where they are: those that the service manager has opened, or else our own.
fn doors(
    manager: Manager,
    addresses: &[SocketAddr],
) -> Result<(Vec<launch::RawListener>, Vec<SocketAddr>), StartError> {
    if manager.is_told {
        let given = service::listeners().map_err(StartError::Given)?;
        if !given.is_empty() {
            return given_doors(given);
        }
    }
    let open = |&address: &SocketAddr| {
        let failed = |error| StartError::Listen { address, error };
        let listener = launch::listen(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok((listener, bound))
    };
    let open: Result<Vec<_>, StartError> = addresses.iter().map(open).collect();
    Ok(open?.into_iter().unzip())
}

/// Who hears signals: SIGHUP only where there is something to reload.
fn ear(hangup: bool, stop: &StopHandle, manager: Manager) -> io::Result<Ear> {
    Ok(Ear {
        signals: Signals::new(hangup)?,
        stop: stop.clone(),
        manager,
    })
}

/// The ports that the service manager has opened for clients.
fn given_doors(
    listeners: Vec<launch::RawListener>,
) -> Result<(Vec<launch::RawListener>, Vec<SocketAddr>), StartError> {
    let addresses: io::Result<Vec<_>> = listeners.iter().map(|it| it.local_addr()).collect();
    let addresses = addresses.map_err(StartError::Given)?;
    tracing::info!(
        ?addresses,
        "listening on what the service manager has opened; `listen` is not heeded"
    );
    Ok((listeners, addresses))
}

pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        chunk_size: config.chunk_size,
        strict_extended_timestamps: config.strict_extended_timestamps,
        limits: config.limits.clone(),
        applications: config.applications.table(),
        peer_bandwidth: config.peer_bandwidth,
        window_ack_size: config.window_ack_size,
        drain: config.drain,
        http_token: config.http_token.clone(),
        vod: config.vod.clone(),
        ..Settings::default()
    }
}

fn shard_thread(
    backend: Backend,
    plan: ShardPlan<RawSocket>,
) -> io::Result<Thread<io::Result<()>>> {
    let name = format!("shard-{}", plan.id);
    launch::spawn_thread(&name, move || match backend {
        #[cfg(target_os = "linux")]
        Backend::Shard => runtime::shard::run(|runtime| Shard::new(runtime, plan).run()),
        // Where our reactor does not exist, the configuration does not offer it; be served all the same.
        _ => runtime::smol::run(|runtime| Shard::new(runtime, plan).run()),
    })
}

/// Accepting goes by the shards' reactor where there is one: async-io takes 20 system calls and two threads to accept a
/// connection, a quarter of what a session costs. Signals come from async-io everywhere.
fn control_thread(
    backend: Backend,
    plan: ControlPlan<RawSocket>,
    outside: Outside<launch::RawListener>,
) -> io::Result<Thread<io::Result<()>>> {
    launch::spawn_thread("control", move || match backend {
        #[cfg(target_os = "linux")]
        Backend::Shard => runtime::shard::run(|runtime| {
            let outside = outside.registered(|listener| runtime.listen(listener));
            control_side(runtime, plan, outside)
        }),
        _ => runtime::smol::run(|runtime| {
            let outside = outside.registered(|listener| runtime.listen(listener));
            control_side(runtime, plan, outside)
        }),
    })
}

/// Opens the operators' port, if they are to have one. A default that is taken is not worth a server.
fn operators(wanted: HttpListen) -> Result<Option<launch::RawListener>, StartError> {
    match wanted {
        HttpListen::Off => Ok(None),
        HttpListen::At(address) => {
            let listener = launch::listen(address);
            listener
                .map(Some)
                .map_err(|error| StartError::Listen { address, error })
        }
        HttpListen::Auto => match launch::listen(HTTP_DEFAULT) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) => {
                tracing::warn!(address = %HTTP_DEFAULT, %error, "no HTTP for operators; --http takes another address, or off");
                Ok(None)
            }
        },
    }
}

/// What the control thread has to do with the world outside.
struct Outside<L> {
    listeners: Vec<L>,
    http: Option<L>,
    ear: Option<Ear>,
    rereader: Option<Rereader>,
}

impl Outside<launch::RawListener> {
    fn registered<L>(self, register: impl Fn(launch::RawListener) -> io::Result<L>) -> Outside<L> {
        let register = |listener| {
            let registered = register(listener);
            registered
                .inspect_err(|error| tracing::error!(%error, "a listening socket was lost"))
                .ok()
        };
        Outside {
            listeners: self.listeners.into_iter().filter_map(register).collect(),
            http: self.http.and_then(register),
            ear: self.ear,
            rereader: self.rereader,
        }
    }
}

async fn control_side<R: Runtime<Socket = RawSocket>>(
    runtime: R,
    plan: ControlPlan<RawSocket>,
    outside: Outside<R::Listener>,
) {
    let rereader = outside.rereader.map(Rc::new);
    let ear = outside
        .ear
        .map(|ear| runtime.spawn("signals", ear.heed(rereader.clone())));
    let http = outside.http.map(|listener| Http {
        listener,
        reload: rereader.map(|rereader| -> Reload { Box::new(move || rereader.reload()) }),
    });
    let names = control::run(runtime, plan, outside.listeners, http).await;
    if names > 0 {
        tracing::warn!(names, "a shard failed and did not give back its names");
    }
    drop(ear);
}

/// A running server. Dropping it stops it gracefully, without waiting.
///
/// # Example
/// ```
/// use millstream::{Event, Server};
///
/// let server = Server::builder()
///     .listen("127.0.0.1:0".parse()?) // port 0: any free one
///     .shards(1)
///     .chunk_size(60_000)
///     .gop_cache(5_000)
///     .on_event(|event| match event {
///         Event::PublishStart(who) => println!("{} is live", who.stream),
///         Event::PublishStop(who) => println!("{} has ended", who.stream),
///         other => println!("{other}"),
///     })
///     .start()?;
///
/// println!("publish to rtmp://{}/live/test", server.local_addrs()[0]);
/// // … clients come and go on the server's own threads …
/// server.stop()?; // tells everybody, drains, ends the threads
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    addresses: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    stop: StopHandle,
    reloader: Reloader,
    operator: OperatorHandle,
    threads: Vec<Thread<io::Result<()>>>,
}

impl Server {
    /// A server to be, with defaults for everything.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens, as bound: port 0 has become a real one.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where operators ask by HTTP, as bound, if they do.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Stops it from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Takes another configuration as a whole, without disturbing a stream: bounds on connections are in force at once,
    /// what applications have of their own from the next publication or play on. Returns the keys whose new values need a
    /// restart; they keep their old ones.
    ///
    /// # Errors
    /// A setting is out of its bounds; nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static Key>, ConfigError> {
        self.reloader.reload(config)
    }

    /// Reloads it from elsewhere.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Closes connections and ends streams; [`Event`]s say which there are.
    pub fn operator(&self) -> OperatorHandle {
        self.operator.clone()
    }

    /// Stops accepting, tells publishers and players, drains within the configured bound, and waits for the end.
    ///
    /// # Errors
    /// A thread failed: a defect of ours, or a system without resources.
    pub fn stop(self) -> io::Result<()> {
        self.stop.stop();
        self.wait()
    }

    /// Waits until it has been stopped: by a signal ([`Builder::stop_on_signals`]) or a [`StopHandle`].
    ///
    /// # Errors
    /// A thread failed: a defect of ours, or a system without resources.
    pub fn wait(mut self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in std::mem::take(&mut self.threads) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => result = Err(error),
                Err(panic) => {
                    result = Err(io::Error::other(format!(
                        "a thread of ours panicked: {panic}"
                    )))
                }
            }
        }
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop();
    }
}
