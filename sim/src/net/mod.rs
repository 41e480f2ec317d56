//! The simulated network: turmoil's hosts and latencies, with TCP as it really behaves on top.
//!
//! `turmoil-net` 0.1, which has byte buffers and retransmits, was measured as a second way to carry segments and left
//! alone: it retransmits after a count of passes and not after a time, so that with its defaults and 20 ms of latency a
//! connection in eighty is given up on a link that loses nothing; a host cannot crash; buffers are the same for all
//! connections; and a virtual second costs 4.5 ms instead of 6.5 (two hosts, ticks of 1 ms), which longer ticks do better.
//! What a program sees of loss on TCP is lateness, and that is here: stalls, held links, latencies, and lines given up.

use core::cell::{Cell, RefCell};
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use millstream::runtime::SocketAddr;
use millstream::time::{Duration, Instant};
use turmoil::net::{TcpListener, TcpStream};

use crate::faults::{ConnFaults, Fault, FaultConfig, FaultCounts, between};
use crate::journal::{Journal, Observation};
use crate::seed::{self, happens};

mod conn;
mod line;
mod window;

use conn::Parts;
pub use conn::SimConn;
use line::{Lines, Path};
use window::Window;

/// turmoil's capacity, in segments and in waiting connections: out of reach, so that only our byte windows
/// push back, no FIN is stranded behind a full queue, and no backlog panics the simulation.
pub const TCP_CAPACITY: usize = 1 << 16;

/// How many milliseconds an acceptor waits for a client to learn its address; it needs a tick or two, and longer only
/// on a link that is held.
const INTRODUCTION_MS: u32 = 60;

/// "Too many open files", as Linux has it.
const EMFILE: i32 = 24;

/// Now, on the clock that all hosts share.
pub fn now() -> Instant {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    Instant::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
}

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Server,
    Client,
}

/// Counts open sockets of the server, wherever they are: with the acceptor, in a mailbox, or on a shard.
type Token = Arc<()>;

/// An accepted socket on its way to its shard.
pub struct SimSocket {
    stream: TcpStream,
    token: Token,
}

/// A listening socket.
pub struct SimListener {
    listener: TcpListener,
    /// What waited when accepting failed: it waits on.
    queued: RefCell<Option<(TcpStream, SocketAddr)>>,
}

impl SimListener {
    /// Listens on `port` of the current host.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("0.0.0.0", port)).await?;
        let queued = RefCell::default();
        Ok(Self { listener, queued })
    }
}

/// The network of one world; clones share it.
#[derive(Clone)]
pub struct Net(Rc<Inner>);

struct Inner {
    seed: u64,
    /// What goes wrong on new connections.
    faults: RefCell<Rc<FaultConfig>>,
    counts: FaultCounts,
    journal: Journal,
    /// (from, to) → the window of that direction.
    windows: RefCell<BTreeMap<(SocketAddr, SocketAddr), Window>>,
    /// A client's address → its script's name and which of its connections it is.
    clients: RefCell<BTreeMap<SocketAddr, (String, usize)>>,
    sockets: Token,
    lines: Lines,
    accepting: RefCell<fastrand::Rng>,
    /// The server's process is gone, and its kernel says so.
    refuses: Cell<bool>,
    /// How often the server was gone.
    deaths: Cell<u64>,
    /// Hosts of clients whose link loses what is sent.
    cut: RefCell<BTreeSet<IpAddr>>,
}

/// What a cut loses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// One way, or acknowledgements: the clients are still there.
    OneWay,
    /// Everything, for the clients' machine is gone.
    ClientsGone,
}

impl Net {
    /// The network of the world of `seed`.
    pub fn new(seed: u64, faults: FaultConfig, counts: FaultCounts, journal: Journal) -> Self {
        Self(Rc::new(Inner {
            seed,
            faults: RefCell::new(Rc::new(faults)),
            counts,
            journal,
            windows: RefCell::default(),
            clients: RefCell::default(),
            sockets: Token::default(),
            lines: Lines::default(),
            accepting: RefCell::new(seed::rng(seed, "accept")),
            refuses: Cell::new(false),
            deaths: Cell::new(0),
            cut: RefCell::default(),
        }))
    }

    /// Opens the `attempt`th connection of the script `client` to `host`.
    ///
    /// # Errors
    /// Refused: nobody listens there, or the way is cut.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        client: &str,
        attempt: usize,
    ) -> io::Result<SimConn> {
        let deaths = self.0.deaths.get();
        if self.0.refuses.get() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let stream = TcpStream::connect((host, port)).await?;
        if self.0.deaths.get() != deaths {
            // Whoever accepted it is no more.
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let local = stream.local_addr()?;
        if self.0.cut.borrow().contains(&local.ip()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let named = (client.to_owned(), attempt);
        self.0.clients.borrow_mut().insert(local, named);
        let purpose = format!("conn/client/{client}/{attempt}");
        let config = Rc::new(self.faults_of(client).at_clients());
        let faults = ConnFaults::new(config, self.0.counts.clone(), self.0.seed, &purpose);
        self.end(stream, faults, client.to_owned(), End::Client, None)
    }

    /// Waits for the next connection, and until its client has learned its own address: the connection's dice
    /// are named after the script, not after a port.
    ///
    /// # Errors
    /// The dice say that no file descriptor is left; whoever came waits on.
    pub async fn accept(&self, listener: &SimListener) -> io::Result<(SimSocket, SocketAddr)> {
        let queued = listener.queued.borrow_mut().take();
        let (stream, peer) = match queued {
            Some(queued) => queued,
            None => listener.listener.accept().await?,
        };
        if happens(
            &mut self.0.accepting.borrow_mut(),
            self.faults().accept_errors,
        ) {
            self.0.counts.count(Fault::AcceptError);
            *listener.queued.borrow_mut() = Some((stream, peer));
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        for _ in 0..INTRODUCTION_MS {
            if self.0.clients.borrow().contains_key(&peer) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.0.journal.aside(now(), "control", || {
            let (client, _) = self.client_at(peer);
            Observation::Accepted { client }
        });
        let token = self.0.sockets.clone();
        Ok((SimSocket { stream, token }, peer))
    }

    /// Makes a connection of an accepted socket.
    ///
    /// # Errors
    /// None today; the signature is the sockets'.
    pub fn adopt(&self, socket: SimSocket) -> io::Result<SimConn> {
        let peer = socket.stream.peer_addr()?;
        let (client, attempt) = self.client_at(peer);
        let purpose = format!("conn/server/{client}/{attempt}");
        let config = Rc::new(self.faults_of(&client).at_server());
        let faults = ConnFaults::new(config, self.0.counts.clone(), self.0.seed, &purpose);
        self.end(
            socket.stream,
            faults,
            client,
            End::Server,
            Some(socket.token),
        )
    }

    /// Nothing goes wrong on new connections any more; their windows stay as narrow as they are.
    pub fn heal(&self) {
        let healed = self.faults().healed();
        *self.0.faults.borrow_mut() = Rc::new(healed);
    }

    fn faults_of(&self, client: &str) -> Rc<FaultConfig> {
        let config = self.faults();
        if config.victims.is_empty() || config.victims.iter().any(|victim| victim == client) {
            config
        } else {
            Rc::new(config.healed())
        }
    }

    fn faults(&self) -> Rc<FaultConfig> {
        self.0.faults.borrow().clone()
    }

    /// The address of the newest connection of the script `client`.
    pub fn address_of(&self, client: &str) -> Option<SocketAddr> {
        let clients = self.0.clients.borrow();
        let its = clients.iter().filter(|(_, (name, _))| name == client);
        its.max_by_key(|(_, (_, attempt))| *attempt)
            .map(|(address, _)| *address)
    }

    /// The script whose connection comes from `address`.
    pub fn script_at(&self, address: SocketAddr) -> String {
        self.client_at(address).0
    }

    fn client_at(&self, address: SocketAddr) -> (String, usize) {
        let clients = self.0.clients.borrow();
        let known = clients.get(&address).cloned();
        known.unwrap_or_else(|| (address.to_string(), 0))
    }

    fn end(
        &self,
        stream: TcpStream,
        faults: ConnFaults,
        client: String,
        end: End,
        token: Option<Token>,
    ) -> io::Result<SimConn> {
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        let (up, down) = match end {
            End::Client => ((local, peer), (peer, local)),
            End::Server => ((peer, local), (local, peer)),
        };
        let (_, attempt) = self.client_at(up.0);
        let mut rng = seed::rng(self.0.seed, &format!("window/{client}/{attempt}"));
        let faults_now = self.faults();
        let upstream = self.window(up, between(&mut rng, faults_now.upstream_window));
        let downstream = self.window(down, between(&mut rng, faults_now.downstream_window));
        let (incoming, outgoing) = match end {
            End::Client => (downstream, upstream),
            End::Server => (upstream, downstream),
        };
        let line = self.0.lines.line(up.0);
        let parts = Parts {
            line,
            stream,
            incoming,
            outgoing,
            faults,
            end,
            token,
        };
        SimConn::new(self.clone(), parts)
    }

    fn window(&self, way: (SocketAddr, SocketAddr), capacity: usize) -> Window {
        let mut windows = self.0.windows.borrow_mut();
        let window = windows.entry(way).or_insert_with(|| Window::new(capacity));
        window.clone()
    }

    /// An end is going: its windows go with the last one. Called while the end still holds its handles.
    fn forget(&self, local: SocketAddr, peer: SocketAddr) {
        let mut windows = self.0.windows.borrow_mut();
        for way in [(local, peer), (peer, local)] {
            if windows
                .get(&way)
                .is_some_and(|window| window.handles() <= 2)
            {
                windows.remove(&way);
            }
        }
    }

    /// Sockets the server still holds.
    pub fn server_sockets(&self) -> u64 {
        Arc::strong_count(&self.0.sockets) as u64 - 1
    }

    /// Directions of connections that still have an end.
    pub fn windows(&self) -> u64 {
        self.0.windows.borrow().len() as u64
    }

    /// The counts of what happened.
    pub fn counts(&self) -> &FaultCounts {
        &self.0.counts
    }

    /// What is sent on the connections of the host at `clients` is lost from now on.
    pub fn cut(&self, clients: IpAddr, cut: Cut) {
        let path = match cut {
            Cut::OneWay => Path::Lost,
            Cut::ClientsGone => Path::Vanished,
        };
        self.0.cut.borrow_mut().insert(clients);
        let hit = |address: &SocketAddr| address.ip() == clients;
        for client in self.0.lines.strike(path, hit) {
            self.ends(client, "the path of its connection is cut");
        }
    }

    /// New connections from there are whole again.
    pub fn mend(&self, clients: IpAddr) {
        self.0.cut.borrow_mut().remove(&clients);
    }

    /// The server is gone: `politely` if its kernel still tells the peers. Nobody's connection means anything.
    pub fn server_dies(&self, politely: bool) {
        self.0.deaths.set(self.0.deaths.get() + 1);
        self.0.refuses.set(politely);
        let path = if politely { Path::Whole } else { Path::Lost };
        for client in self.0.lines.strike(path, |_| true) {
            self.ends(client, "the server is gone");
        }
    }

    /// The server is there again, and knows nothing of what was.
    pub fn server_returns(&self) {
        if !self.0.refuses.replace(false) {
            self.0.lines.strike(Path::Forgotten, |_| true);
        }
    }

    fn ends(&self, client: SocketAddr, what: &'static str) {
        self.injects(client, what);
        self.lets_go(client, what);
    }

    /// `client` is an address: where the server's end is adopted before the client knows its own, the name comes later.
    fn injects(&self, client: SocketAddr, what: &'static str) {
        let (client, _) = self.client_at(client);
        let seen = Observation::Injected { what };
        self.0.journal.note(now(), &client, &seen);
    }

    fn cuts_short(&self, client: SocketAddr) {
        let (client, _) = self.client_at(client);
        self.0
            .journal
            .whisper(now(), &client, &Observation::ShortRead);
    }

    fn lets_go(&self, client: SocketAddr, why: &'static str) {
        let (client, _) = self.client_at(client);
        self.0
            .journal
            .note(now(), &client, &Observation::LetsGo { why });
    }
}
