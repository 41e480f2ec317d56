//! What control and shards say to each other, and the mailboxes between them.

use std::path::PathBuf;
use std::sync::Arc;

use super::Settings;
use super::event::{ConnectionId, EventSink};
use super::gate::{Attendance, Ticket};
use super::report::{Answer, Ask};
use crate::media::clock::Clock;
use crate::media::directory::{
    Lease, PublicationId, ShardId, StreamKey, Subscriber, SubscriptionId,
};
use crate::media::stream::Snapshot;
use crate::media::timeline::Timeline;
use crate::rtmp::wire::WireMessage;
use crate::runtime::SocketAddr;
use crate::runtime::mailbox::{CONTROL, Receiver, Sender, mailbox};
use crate::time::Instant;

/// One question of a shard's connection to the directory; numbered by the shard.
pub(super) type RequestId = u64;

/// To a shard.
#[expect(
    private_interfaces,
    reason = "what mail holds is the server's own; only the mailboxes are named outside"
)]
pub enum ShardMessage<S> {
    /// From control: an accepted socket, to be served here.
    Accepted {
        /// The socket.
        socket: S,
        /// Its peer.
        peer: SocketAddr,
        /// Its number.
        connection: ConnectionId,
        /// Its place among all connections.
        ticket: Ticket,
    },
    /// From control: the name is leased to the asker.
    Granted {
        /// The question.
        request: RequestId,
        /// The stream.
        key: StreamKey,
        /// The lease.
        lease: Lease,
        /// The shards that have players already.
        audience: Vec<Subscriber>,
        /// What it goes on with, if it took the name over.
        heritage: Option<Box<Heritage>>,
    },
    /// From control to the publisher's shard: somebody else gets the name as soon as it is given back.
    Yield {
        /// The stream.
        key: StreamKey,
        /// The lease.
        publication: PublicationId,
    },
    /// From control: the name is taken.
    Refused {
        /// The question.
        request: RequestId,
    },
    /// From control: the stream's application has as many streams as it may.
    Full {
        /// The question.
        request: RequestId,
    },
    /// From control: whether the stream is published.
    Seen {
        /// The question.
        request: RequestId,
        /// The answer.
        published: bool,
    },
    /// From control to the publisher's shard: a shard has players now.
    Subscribed {
        /// The stream.
        key: StreamKey,
        /// The lease it is published under, as far as control knew.
        publication: PublicationId,
        /// Who.
        subscriber: Subscriber,
    },
    /// From control to the publisher's shard: a shard has no players any more.
    Unsubscribed {
        /// The stream.
        key: StreamKey,
        /// The lease it is published under, as far as control knew.
        publication: PublicationId,
        /// Who.
        subscriber: Subscriber,
    },
    /// From the publisher's shard: the stream up to now.
    Snapshot {
        /// Where it goes.
        route: Route,
        /// What it is the beginning of.
        beginning: Beginning,
        /// Headers, then the newest GOP.
        snapshot: Snapshot,
    },
    /// From the publisher's shard: one read batch.
    Frames {
        /// Where it goes.
        route: Route,
        /// In order.
        messages: Vec<WireMessage>,
    },
    /// From the publisher's shard: `@clearDataFrame`.
    MetadataCleared {
        /// Where it goes.
        route: Route,
    },
    /// From the publisher's shard: another file of the stream's recording has begun.
    Recorded {
        /// Where it goes.
        route: Route,
        /// All of them.
        timeline: Arc<Timeline>,
    },
    /// From the publisher's shard: the publisher has gone.
    Ended {
        /// Where it goes.
        route: Route,
    },
    /// From control: an operator's question or order.
    Asked {
        /// To be repeated in the answer.
        number: u64,
        /// The question.
        ask: Arc<Ask>,
    },
    /// From control: what an earlier server has left of recordings is known; files may be made.
    ArchiveListed {
        /// Where.
        dir: PathBuf,
    },
    /// From control: settings have changed.
    Reload {
        /// All of them.
        settings: Arc<Settings>,
    },
    /// From control: say goodbye to everybody; whoever is left at `deadline` is cut off.
    Drain {
        /// When patience ends.
        deadline: Instant,
    },
}

/// What a snapshot is the beginning of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beginning {
    /// Of a publication: players that waited are told.
    Publication,
    /// Of a publication that goes on with a stream whose publisher had vanished: players are told only if they have not
    /// had that one.
    Resumption,
    /// Of what this shard gets of a publication that has begun before.
    Copy,
}

/// What one publication leaves to the next one, which took its name over.
pub(super) struct Heritage {
    /// Players' time goes on.
    pub(super) clock: Clock,
    /// What was recorded of it, for those who go back in it.
    pub(super) timeline: Option<Arc<Timeline>>,
    /// Its publisher had vanished: players were told of no end, and are told of no beginning.
    pub(super) quiet: bool,
}

/// Which subscription's copy of which publication a message belongs to: a message whose numbers are not the
/// current ones was overtaken by a close and is dropped.
#[derive(Clone, Debug)]
pub struct Route {
    pub(super) key: StreamKey,
    pub(super) publication: PublicationId,
    pub(super) subscription: SubscriptionId,
}

/// To control.
#[expect(
    private_interfaces,
    reason = "what mail holds is the server's own; only the mailboxes are named outside"
)]
pub enum ControlMessage {
    /// A connection wants to publish.
    Publish {
        /// To be repeated in the answer.
        request: RequestId,
        /// The stream.
        key: StreamKey,
        /// Who asks.
        shard: ShardId,
    },
    /// A connection wants to know whether a stream is published.
    Look {
        /// To be repeated in the answer.
        request: RequestId,
        /// The stream.
        key: StreamKey,
        /// Who asks.
        shard: ShardId,
    },
    /// A publisher has gone.
    Unpublish {
        /// The stream.
        key: StreamKey,
        /// Its lease.
        publication: PublicationId,
        /// For the publisher that waits for the name, if it was asked to yield.
        heritage: Option<Box<Heritage>>,
    },
    /// A shard has its first player of a stream.
    Subscribe {
        /// The stream.
        key: StreamKey,
        /// Who.
        subscriber: Subscriber,
    },
    /// A shard has lost its last player of a stream.
    Unsubscribe {
        /// The stream.
        key: StreamKey,
        /// Who.
        subscriber: Subscriber,
    },
    /// A shard's answer to an operator.
    Answered {
        /// Of the question.
        number: u64,
        /// Who.
        shard: ShardId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// The program around the server wants what an operator might.
    Order(Ask),
    /// A shard has drained and gone.
    Drained {
        /// Who.
        shard: ShardId,
    },
    /// From whoever started the server: settings have changed. Those that need a restart have not.
    Reload(Arc<Settings>),
    /// From whoever started the server: stop gracefully.
    Stop,
}

/// A server before it runs: give each plan to a thread (or, in the simulator, to a virtual one).
pub struct World<S> {
    /// For [`super::control::run`].
    pub control: ControlPlan<S>,
    /// For [`super::shard::Shard::new`], one each.
    pub shards: Vec<ShardPlan<S>>,
    /// Stops it all.
    pub stop: StopHandle,
    /// Gives it other settings.
    pub reload: ReloadHandle,
    /// Closes connections and ends streams.
    pub operator: OperatorHandle,
    /// Who is there.
    pub attendance: Arc<Attendance>,
}

/// What the control thread needs.
pub struct ControlPlan<S> {
    pub(super) inbox: Receiver<ControlMessage>,
    pub(super) shards: Vec<Sender<ShardMessage<S>>>,
    pub(super) settings: Arc<Settings>,
    pub(super) attendance: Arc<Attendance>,
}

/// What one shard needs.
pub struct ShardPlan<S> {
    pub(super) id: ShardId,
    pub(super) inbox: Receiver<ShardMessage<S>>,
    pub(super) peers: Vec<Sender<ShardMessage<S>>>,
    pub(super) control: Sender<ControlMessage>,
    pub(super) settings: Arc<Settings>,
    pub(super) events: EventSink,
    pub(super) farewell: Farewell,
}

/// Tells control, when dropped, that a shard is gone: also one whose thread failed, or a stop would wait for ever.
pub(super) struct Farewell {
    control: Sender<ControlMessage>,
    shard: ShardId,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.control
            .post(ControlMessage::Drained { shard: self.shard });
    }
}

/// Asks a running server to stop gracefully; clone freely, use from any thread.
#[derive(Clone)]
pub struct StopHandle(Sender<ControlMessage>);

impl StopHandle {
    /// Stops accepting, tells everybody, drains, ends. Asking twice is asking once.
    pub fn stop(&self) {
        self.0.post(ControlMessage::Stop);
    }
}

/// Gives a running server other settings; clone freely, use from any thread.
#[derive(Clone)]
pub struct ReloadHandle(Sender<ControlMessage>);

impl ReloadHandle {
    /// Bounds on connections are in force at once, what applications have of their own from the next publication or play
    /// on. Who sends this sees to it that `chunk_size`, `ring_frames` and `mailbox_backlog` are what they were.
    pub fn reload(&self, settings: Settings) {
        self.0.post(ControlMessage::Reload(Arc::new(settings)));
    }
}

/// Does in a running server what an operator may; clone freely, use from any thread. Orders are carried out soon, not
/// before these return.
#[derive(Clone)]
pub struct OperatorHandle(Sender<ControlMessage>);

impl OperatorHandle {
    /// Closes a connection, and tells its client; nothing if it has gone.
    pub fn kick(&self, connection: ConnectionId) {
        self.0.post(ControlMessage::Order(Ask::Kick(connection)));
    }

    /// Ends what is published under a name, and tells its publisher and players; nothing if nobody publishes it. The name
    /// is free then.
    pub fn end_stream(&self, stream: StreamKey) {
        self.0.post(ControlMessage::Order(Ask::EndStream(stream)));
    }

    /// Has what is published under a name recorded from now on, or (`on` false) no more; nothing if nobody publishes it, or
    /// its application records nothing. What began with its publication is ended likewise.
    pub fn record(&self, stream: StreamKey, on: bool) {
        self.0.post(ControlMessage::Order(Ask::Record(stream, on)));
    }
}

/// Plans a server of `shards` data shards (at least 1) and joins them by mailboxes.
pub fn world<S: Send + 'static>(shards: usize, settings: Settings, events: EventSink) -> World<S> {
    let settings = Arc::new(settings);
    let control: Receiver<ControlMessage> = mailbox();
    let inboxes: Vec<Receiver<ShardMessage<S>>> = (0..shards.max(1)).map(|_| mailbox()).collect();
    let to_shards = |lane| {
        inboxes
            .iter()
            .map(|inbox| inbox.sender(lane))
            .collect::<Vec<_>>()
    };
    let from_control = to_shards(CONTROL);
    let peers: Vec<_> = (0..inboxes.len()).map(to_shards).collect();
    let plans = inboxes
        .into_iter()
        .zip(peers)
        .enumerate()
        .map(|(id, (inbox, peers))| ShardPlan {
            id,
            inbox,
            peers,
            control: control.sender(id),
            settings: Arc::clone(&settings),
            events: events.clone(),
            farewell: Farewell {
                control: control.sender(id),
                shard: id,
            },
        })
        .collect();
    let attendance: Arc<Attendance> = Arc::default();
    World {
        stop: StopHandle(control.sender(CONTROL)),
        reload: ReloadHandle(control.sender(CONTROL)),
        operator: OperatorHandle(control.sender(CONTROL)),
        attendance: Arc::clone(&attendance),
        control: ControlPlan {
            inbox: control,
            shards: from_control,
            settings,
            attendance,
        },
        shards: plans,
    }
}

/// What a shard holds right now; all zero when everybody has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Connections served.
    pub connections: usize,
    /// Streams known: published here or played here.
    pub streams: usize,
    /// Players attached.
    pub players: usize,
    /// Bytes in rings.
    pub ring_bytes: usize,
    /// Bytes that recordings hold beside them, until their disk takes them.
    pub record_held: usize,
    /// Frames and notices in the fullest ring.
    pub fullest_ring: usize,
    /// Questions to the directory without an answer.
    pub requests: usize,
}
