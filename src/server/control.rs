//! The control side: accepts, hands sockets to the shards round robin, owns the directory, ends the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::yield_now;

use super::Settings;
use super::gate::{Gate, Refusal, Ticket};
use super::message::{ControlMessage, ControlPlan, ShardMessage};
use crate::limits;
use crate::media::directory::{Directory, ShardId, StreamKey, Subscriber};
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
) -> usize {
    let ControlPlan {
        mut inbox,
        shards,
        settings,
        attendance,
    } = plan;
    let door = Rc::new(Door {
        next_shard: Cell::default(),
        next_connection: Cell::default(),
        seen: Cell::default(),
        gate: RefCell::new(Gate::new(attendance)),
        settings: RefCell::new(settings),
    });
    let mut acceptors: Vec<Task<()>> = listeners
        .into_iter()
        .map(|listener| {
            runtime.spawn(
                "accept",
                accept(runtime.clone(), listener, shards.clone(), Rc::clone(&door)),
            )
        })
        .collect();
    let mut control = Control {
        directory: Directory::default(),
        shards,
        door: Rc::clone(&door),
    };
    let mut running = control.shards.len();
    let mut stopping = false;
    let mut batch = Vec::new();
    while running > 0 {
        inbox.recv(&runtime, &mut batch).await;
        for (_, message) in batch.drain(..) {
            match message {
                ControlMessage::Stop if stopping => {} // asked twice
                ControlMessage::Stop => {
                    stopping = true;
                    acceptors.clear(); // dropping the tasks closes the listeners
                    let deadline = runtime.now() + door.settings.borrow().drain;
                    runtime.trace(format_args!("draining until {deadline}"));
                    for shard in &control.shards {
                        shard.post(ShardMessage::Drain { deadline });
                    }
                }
                ControlMessage::Reload(settings) => {
                    runtime.trace(format_args!("other settings"));
                    for shard in &control.shards {
                        let settings = Arc::clone(&settings);
                        shard.post(ShardMessage::Reload { settings });
                    }
                    *door.settings.borrow_mut() = settings;
                }
                ControlMessage::Drained { shard } => {
                    runtime.trace(format_args!("shard {shard} drained"));
                    running -= 1;
                }
                other => control.direct(other),
            }
        }
    }
    control.directory.len()
}

/// Who comes in, and whose turn it is to serve them.
struct Door {
    next_shard: Cell<usize>,
    next_connection: Cell<u64>,
    /// Connections accepted, those included that were refused.
    seen: Cell<u64>,
    gate: RefCell<Gate>,
    settings: RefCell<Arc<Settings>>,
}

impl Door {
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
    loop {
        match runtime.accept(&listener).await {
            Ok((socket, peer)) => {
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
            Err(error) => {
                // A peer that gave up in the queue, or no file descriptor left: neither may end the server.
                tracing::warn!(%error, "accept failed; trying again in {:?}", limits::ACCEPT_BACKOFF);
                runtime
                    .sleep_until(runtime.now() + limits::ACCEPT_BACKOFF)
                    .await;
            }
        }
    }
}

struct Control<S> {
    directory: Directory,
    shards: Vec<Sender<ShardMessage<S>>>,
    door: Rc<Door>,
}

impl<S: Send + 'static> Control<S> {
    fn direct(&mut self, message: ControlMessage) {
        match message {
            ControlMessage::Publish {
                request,
                key,
                shard,
            } => self.publish(request, key, shard),
            ControlMessage::Look {
                request,
                key,
                shard,
            } => {
                let published = self.directory.is_published(&key);
                self.shards[shard].post(ShardMessage::Seen { request, published });
            }
            ControlMessage::Unpublish { key, publication } => {
                self.directory.unpublish(&key, publication)
            }
            ControlMessage::Subscribe { key, subscriber } => self.subscribe(key, subscriber),
            ControlMessage::Unsubscribe { key, subscriber } => self.unsubscribe(key, subscriber),
            ControlMessage::Drained { .. } | ControlMessage::Reload(_) | ControlMessage::Stop => {}
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

    fn publish(&mut self, request: u64, key: StreamKey, shard: ShardId) {
        if self.is_full(&key) {
            return self.shards[shard].post(ShardMessage::Full { request });
        }
        let answer = match self.directory.publish(&key, shard) {
            Ok((lease, audience)) => ShardMessage::Granted {
                request,
                key,
                lease,
                audience,
            },
            Err(_) => ShardMessage::Refused { request },
        };
        self.shards[shard].post(answer);
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
