//! The control side: accepts, hands sockets to the shards round robin, owns the directory, ends the server.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::yield_now;

use super::Settings;
use super::backoff::Backoff;
use super::desk::Desk;
use super::gate::{Gate, Refusal, Ticket};
use super::http::{self, Http};
use super::message::{ControlMessage, ControlPlan, Heritage, ShardMessage};
use super::record::archive::{self, Bell};
use crate::config::{self, Token};
use crate::limits;
use crate::media::directory::{
    Claim, Claimant, Directory, Grant, OnConflict, ShardId, StreamKey, Subscriber,
};
use crate::planted::{Bug, planted};
use crate::runtime::mailbox::Sender;
use crate::runtime::{Runtime, SocketAddr, Task};
use crate::time::Instant;

/// Runs the control side until a stop has drained every shard. The listeners are closed as soon as the stop comes.
/// Returns how many names the directory still holds: 0, unless a shard failed and could not give its own back.
pub async fn run<R: Runtime>(
    runtime: R,
    plan: ControlPlan<R::Socket>,
    listeners: Vec<R::Listener>,
    http: Option<Http<R::Listener>>,
) -> usize {
    let ControlPlan {
        mut inbox,
        shards,
        settings,
        attendance,
    } = plan;
    let desk = Rc::new(Desk::new(shards.clone(), Arc::clone(&attendance)));
    let door = Rc::new(Door {
        next_shard: Cell::default(),
        next_connection: Cell::default(),
        seen: Cell::default(),
        gate: RefCell::new(Gate::new(attendance)),
        settings: RefCell::new(settings),
    });
    let acceptors: Vec<Task<()>> = listeners
        .into_iter()
        .map(|listener| {
            runtime.spawn(
                "accept",
                accept(runtime.clone(), listener, shards.clone(), Rc::clone(&door)),
            )
        })
        .collect();
    // It goes on while shards drain: a balancer is to see that the server is not ready.
    let _operators = http.map(|http| {
        let office = http::Office::new(
            runtime.clone(),
            Rc::clone(&desk),
            Rc::clone(&door),
            http.reload,
        );
        runtime.spawn("http", http::accept(http.listener, office))
    });
    let bell = Rc::default();
    let archive = keeps_archive(&runtime, &door, &shards, &bell);
    let mut control = Control {
        runtime,
        directory: Directory::default(),
        running: shards.len(),
        shards,
        door,
        desk,
        acceptors,
        bell,
        archive,
    };
    let mut batch = Vec::new();
    while control.running > 0 {
        inbox.recv(&control.runtime, &mut batch).await;
        for (_, message) in batch.drain(..) {
            control.direct(message);
        }
    }
    control.directory.len()
}

/// The task that looks after recordings, if there can be some, with what the settings of now name. Until then, no file is
/// being written.
fn keeps_archive<R: Runtime>(
    runtime: &R,
    door: &Rc<Door>,
    shards: &[Sender<ShardMessage<R::Socket>>],
    bell: &Rc<Bell>,
) -> Option<Task<()>> {
    let applications = door.settings.borrow().applications.clone();
    if !archive::is_needed(&applications) {
        return None;
    }
    bell.ring(&applications);
    let (door, shards) = (Rc::clone(door), shards.to_vec());
    let applications = move || door.settings.borrow().applications.clone();
    let listed = move |dir: &Path| {
        for shard in &shards {
            let dir = dir.to_owned();
            shard.post(ShardMessage::ArchiveListed { dir });
        }
    };
    let archive = archive::run(runtime.clone(), applications, Rc::clone(bell), listed);
    Some(runtime.spawn("archive", archive))
}

/// Who comes in, and whose turn it is to serve them.
pub(super) struct Door {
    next_shard: Cell<usize>,
    next_connection: Cell<u64>,
    /// Connections accepted, those included that were refused.
    seen: Cell<u64>,
    gate: RefCell<Gate>,
    settings: RefCell<Arc<Settings>>,
}

impl Door {
    /// What operators must show.
    pub(super) fn http_token(&self) -> Token {
        self.settings.borrow().http_token.clone()
    }

    fn admit(&self, peer: SocketAddr, now: Instant) -> Result<Ticket, Refusal> {
        let gate = &mut *self.gate.borrow_mut();
        let admitted = gate.admit(peer.ip(), &self.settings.borrow().limits, now);
        if let Err(why) = admitted {
            gate.log(peer.ip(), why, now);
        }
        admitted
    }

    fn take(&self, shards: usize) -> (ShardId, u64) {
        let shard = self.next_shard.get();
        self.next_shard.set((shard + 1) % shards);
        let connection = self.next_connection.get();
        self.next_connection.set(connection + 1);
        (shard, connection)
    }
}

async fn accept<R: Runtime>(
    runtime: R,
    listener: R::Listener,
    shards: Vec<Sender<ShardMessage<R::Socket>>>,
    door: Rc<Door>,
) {
    let mut backoff = Backoff::new("clients");
    loop {
        match runtime.accept(&listener).await {
            Ok((socket, peer)) => {
                backoff.is_over();
                match door.admit(peer, runtime.now()) {
                    Ok(ticket) => {
                        let (shard, connection) = door.take(shards.len());
                        runtime.trace(format_args!("connection {connection} to shard {shard}"));
                        shards[shard].post(ShardMessage::Accepted {
                            socket,
                            peer,
                            connection,
                            ticket,
                        });
                    }
                    Err(why) => {
                        runtime.trace(format_args!("refused by {}", why.key()));
                        drop(socket);
                    }
                }
                let seen = door.seen.replace(door.seen.get() + 1);
                let enough = seen.is_multiple_of(limits::ACCEPTS_PER_TURN);
                if enough || runtime.buggify("accept turn over") {
                    yield_now().await; // a storm of them must not keep the directory, or a stop, waiting
                }
            }
            Err(_) if planted(Bug::AcceptErrorEnds) => return,
            Err(error) => backoff.pause(&runtime, &error).await,
        }
    }
}

struct Control<R: Runtime> {
    runtime: R,
    directory: Directory,
    shards: Vec<Sender<ShardMessage<R::Socket>>>,
    /// Shards that have not drained.
    running: usize,
    door: Rc<Door>,
    desk: Rc<Desk<R::Socket>>,
    /// Gone when a stop has begun.
    acceptors: Vec<Task<()>>,
    /// Looks after recordings, once there can be some.
    archive: Option<Task<()>>,
    /// And hears of other settings.
    bell: Rc<Bell>,
}

impl<R: Runtime> Control<R> {
    fn direct(&mut self, message: ControlMessage) {
        match message {
            ControlMessage::Stop => self.stop(),
            ControlMessage::Reload(settings) => self.reload(settings),
            ControlMessage::Drained { shard } => {
                self.runtime.trace(format_args!("shard {shard} drained"));
                self.running -= 1;
                self.desk.gone(shard);
            }
            ControlMessage::Answered {
                number,
                shard,
                answer,
            } => self.desk.answered(number, shard, *answer),
            ControlMessage::Order(ask) => self.desk.order(ask),
            ControlMessage::Publish {
                request,
                key,
                shard,
            } => self.publish(key, Claimant { shard, request }),
            ControlMessage::Look {
                request,
                key,
                shard,
            } => {
                let published = self.directory.is_published(&key);
                self.shards[shard].post(ShardMessage::Seen { request, published });
            }
            ControlMessage::Unpublish {
                key,
                publication,
                heritage,
            } => {
                if let Some(grant) = self.directory.unpublish(&key, publication) {
                    self.grant(key, grant, heritage);
                }
            }
            ControlMessage::Subscribe { key, subscriber } => self.subscribe(key, subscriber),
            ControlMessage::Unsubscribe { key, subscriber } => self.unsubscribe(key, subscriber),
        }
    }

    fn stop(&mut self) {
        if self.desk.draining.replace(true) {
            return; // asked twice
        }
        self.acceptors.clear(); // dropping the tasks closes the listeners
        let deadline = self.runtime.now() + self.door.settings.borrow().drain;
        self.runtime
            .trace(format_args!("draining until {deadline}"));
        for shard in &self.shards {
            shard.post(ShardMessage::Drain { deadline });
        }
    }

    fn reload(&mut self, settings: Arc<Settings>) {
        self.runtime.trace(format_args!("other settings"));
        for shard in &self.shards {
            let settings = Arc::clone(&settings);
            shard.post(ShardMessage::Reload { settings });
        }
        *self.door.settings.borrow_mut() = settings;
        if self.archive.is_some() {
            self.bell.ring(&self.door.settings.borrow().applications);
        } else {
            self.archive = keeps_archive(&self.runtime, &self.door, &self.shards, &self.bell);
        }
    }

    /// Whether the application of `key` has as many streams as it may.
    fn is_full(&self, key: &StreamKey) -> bool {
        let application = key.application();
        let most = self
            .door
            .settings
            .borrow()
            .applications
            .of(application)
            .streams;
        most > 0
            && !planted(Bug::StreamsUncounted)
            && !self.directory.is_published(key)
            && self.directory.published_in(application, most) >= most
    }

    fn on_conflict(&self, key: &StreamKey) -> OnConflict {
        let settings = self.door.settings.borrow();
        match settings.applications.of(key.application()).on_conflict {
            config::OnConflict::Refuse => OnConflict::Refuse,
            config::OnConflict::Takeover => OnConflict::Takeover,
            config::OnConflict::Resume => OnConflict::Resume,
        }
    }

    fn publish(&mut self, key: StreamKey, claimant: Claimant) {
        if self.is_full(&key) {
            let request = claimant.request;
            return self.shards[claimant.shard].post(ShardMessage::Full { request });
        }
        let policy = self.on_conflict(&key);
        match self.directory.publish(&key, claimant, policy) {
            Claim::Granted(grant) => self.grant(key, grant, None),
            Claim::Taken => self.refuse(claimant),
            Claim::Waits { holder, displaced } => {
                if let Some(displaced) = displaced {
                    self.refuse(displaced);
                }
                if let Some(holder) = holder {
                    let publication = holder.publication;
                    self.shards[holder.shard].post(ShardMessage::Yield { key, publication });
                }
            }
        }
    }

    fn grant(&self, key: StreamKey, grant: Grant, heritage: Option<Box<Heritage>>) {
        self.shards[grant.lease.shard].post(ShardMessage::Granted {
            request: grant.claimant.request,
            key,
            lease: grant.lease,
            audience: grant.audience,
            heritage,
        });
    }

    fn refuse(&self, claimant: Claimant) {
        let request = claimant.request;
        self.shards[claimant.shard].post(ShardMessage::Refused { request });
    }

    fn subscribe(&mut self, key: StreamKey, subscriber: Subscriber) {
        if let Some(lease) = self.directory.subscribe(&key, subscriber) {
            let publication = lease.publication;
            self.shards[lease.shard].post(ShardMessage::Subscribed {
                key,
                publication,
                subscriber,
            });
        }
    }

    fn unsubscribe(&mut self, key: StreamKey, subscriber: Subscriber) {
        if let Some(lease) = self.directory.unsubscribe(&key, subscriber) {
            let publication = lease.publication;
            self.shards[lease.shard].post(ShardMessage::Unsubscribed {
                key,
                publication,
                subscriber,
            });
        }
    }
}
