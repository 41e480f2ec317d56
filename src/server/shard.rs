//! One data shard: its connections, its streams, its mailbox. Everything in here lives on one thread.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_lite::future::yield_now;

use super::Settings;
use super::connection::{self, Handle, Order};
use super::event::{ConnectionId, Event, EventSink};
use super::gate::Ticket;
use super::handover::Graces;
use super::message::{Census, ControlMessage, Farewell, RequestId, ShardMessage, ShardPlan};
use super::meters::{End, Meters};
use super::publish::Requests;
use super::record::Recorders;
use super::stream::LiveStream;
use super::vod::Library;
use crate::limits;
use crate::media::directory::{ShardId, StreamKey, Subscriber, SubscriptionId};
use crate::planted::{Bug, planted};
use crate::runtime::mailbox::{Receiver, Sender};
use crate::runtime::{Runtime, SocketAddr};
use crate::time::Instant;

/// A data shard; clones are the same shard.
pub struct Shard<R: Runtime>(Rc<Inner<R>>);

impl<R: Runtime> Clone for Shard<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// Connections by number.
type Connections<C> = RefCell<BTreeMap<ConnectionId, Rc<Handle<C>>>>;

struct Inner<R: Runtime> {
    runtime: R,
    id: ShardId,
    settings: RefCell<Arc<Settings>>,
    events: EventSink,
    control: Sender<ControlMessage>,
    peers: Vec<Sender<ShardMessage<R::Socket>>>,
    inbox: RefCell<Option<Receiver<ShardMessage<R::Socket>>>>,
    /// Leaves with [`Shard::run`], however that ends.
    farewell: RefCell<Option<Farewell>>,
    streams: RefCell<BTreeMap<StreamKey, Rc<LiveStream<R::Conn>>>>,
    connections: Connections<R::Conn>,
    meters: Rc<Meters>,
    requests: Requests,
    graces: Graces,
    library: Library<R::Disk>,
    recorders: Recorders,
    /// When the log last said that memory is short.
    shed_said: Cell<Option<Instant>>,
    scratch: RefCell<Vec<u8>>,
    next_request: Cell<RequestId>,
    next_subscription: Cell<SubscriptionId>,
    /// Set by a graceful stop: when whoever is left is cut off.
    draining: Cell<Option<Instant>>,
    /// Woken when a connection has ended.
    idle: RefCell<Option<Waker>>,
}

impl<R: Runtime> Shard<R> {
    /// The shard that `plan` describes, on `runtime`.
    pub fn new(runtime: R, plan: ShardPlan<R::Socket>) -> Self {
        Self(Rc::new(Inner {
            runtime,
            id: plan.id,
            settings: RefCell::new(plan.settings),
            events: plan.events,
            control: plan.control,
            peers: plan.peers,
            inbox: RefCell::new(Some(plan.inbox)),
            farewell: RefCell::new(Some(plan.farewell)),
            streams: RefCell::default(),
            connections: RefCell::default(),
            meters: Rc::default(),
            requests: Requests::default(),
            graces: Graces::default(),
            library: Library::default(),
            recorders: Recorders::default(),
            shed_said: Cell::new(None),
            scratch: RefCell::new(vec![0; limits::SCRATCH_BYTES]),
            next_request: Cell::new(0),
            next_subscription: Cell::new(0),
            draining: Cell::new(None),
            idle: RefCell::new(None),
        }))
    }

    /// Serves until a graceful stop has drained the shard.
    pub async fn run(self) {
        let Some(mut inbox) = self.0.inbox.borrow_mut().take() else {
            return; // it runs already
        };
        let farewell = self.0.farewell.take();
        let mail = {
            let shard = self.clone();
            self.0.runtime.spawn("inbox", async move {
                let mut batch = Vec::new();
                loop {
                    inbox.recv(&shard.0.runtime, &mut batch).await;
                    for (_, message) in batch.drain(..) {
                        shard.handle(message);
                        if shard.0.runtime.buggify("mail in parts") {
                            yield_now().await;
                        }
                    }
                }
            })
        };
        self.drained().await;
        self.close_all().await;
        // The directory may have granted what nobody waits for any more: it goes back before we go.
        if !planted(Bug::AnswersNotAwaited) {
            poll_fn(|cx| self.0.requests.poll_answered(cx)).await;
        }
        let deadline = self.0.draining.get().unwrap_or(Instant::ZERO);
        self.recordings_finished(deadline).await;
        drop(mail);
        drop(farewell);
    }

    /// What the shard holds right now.
    pub fn census(&self) -> Census {
        let streams = self.0.streams.borrow();
        let states = streams.values().map(|stream| stream.state.borrow());
        let (players, ring_bytes, fullest_ring) = states.fold((0, 0, 0), |sums, state| {
            let ring = state.media.ring();
            let (players, bytes, fullest) = sums;
            (
                players + state.players.len(),
                bytes + ring.bytes(),
                fullest.max(ring.len()),
            )
        });
        Census {
            connections: self.0.connections.borrow().len(),
            streams: streams.len(),
            players,
            ring_bytes,
            record_held: self.0.meters.record_held.bytes(),
            fullest_ring,
            requests: self.0.requests.len(),
        }
    }

    /// Serves a new connection.
    pub(super) fn accepted(
        &self,
        socket: R::Socket,
        peer: SocketAddr,
        id: ConnectionId,
        ticket: Ticket,
    ) {
        if self.0.connections.borrow().len() >= limits::CONNECTIONS_PER_SHARD
            || self.0.draining.get().is_some()
        {
            self.0.meters.ended(End::Unserved);
            tracing::warn!(connection = id, %peer, "refused: this shard serves as many connections as it may");
            return;
        }
        match self.0.runtime.adopt(socket) {
            Ok(conn) => {
                let handle = Rc::new(Handle::new(id, peer, conn, self.0.runtime.now()));
                self.0
                    .connections
                    .borrow_mut()
                    .insert(id, Rc::clone(&handle));
                let guest = connection::Guest {
                    handle: Rc::clone(&handle),
                    id,
                    ticket,
                };
                let task = self
                    .0
                    .runtime
                    .spawn("connection", connection::serve(self.clone(), guest));
                handle.keep(task);
            }
            Err(error) => {
                self.0.meters.ended(End::Unserved);
                tracing::info!(connection = id, %peer, %error, "gone before it was served");
            }
        }
    }

    /// A connection's task has ended.
    pub(super) fn left(&self, id: ConnectionId) {
        let handle = self.0.connections.borrow_mut().remove(&id);
        if let Some(handle) = handle {
            handle.let_go();
            self.count_out(&handle);
        }
        if self.0.connections.borrow().is_empty()
            && let Some(waker) = self.0.idle.borrow_mut().take()
        {
            waker.wake();
        }
    }

    fn count_out(&self, handle: &Handle<R::Conn>) {
        let meters = &self.0.meters;
        meters.ended(handle.end.get());
        meters.bytes_in.add(handle.received.get());
        meters.bytes_out.add(handle.outbox.sent());
    }

    /// Tells every connection that the server stops; patience ends at `deadline`.
    pub(super) fn drain(&self, deadline: Instant) {
        self.0.draining.set(Some(deadline));
        self.end_graces();
        for handle in self.0.connections.borrow().values() {
            handle.order(Order::Drain);
        }
        if let Some(waker) = self.0.idle.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether a graceful stop is under way.
    pub(super) fn is_draining(&self) -> bool {
        self.0.draining.get().is_some()
    }

    /// Waits for a graceful stop, and then until everybody has gone or patience has ended.
    async fn drained(&self) {
        let mut patience = None;
        poll_fn(|cx| {
            let Some(deadline) = self.0.draining.get() else {
                *self.0.idle.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if self.0.connections.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.0.idle.borrow_mut() = Some(cx.waker().clone());
            let sleep =
                patience.get_or_insert_with(|| Box::pin(self.0.runtime.sleep_until(deadline)));
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    /// Cuts off whoever is left; done when all they held is given back.
    async fn close_all(&self) {
        let left = std::mem::take(&mut *self.0.connections.borrow_mut());
        for (id, handle) in left {
            tracing::warn!(
                connection = id,
                "cut off: it did not leave within the drain time"
            );
            if planted(Bug::CutOffNotAwaited) {
                handle.let_go();
            }
            handle.cancel().await;
            handle.end.set(End::CutOff);
            self.count_out(&handle);
        }
    }

    /// The stream of this name, made if it is not known yet.
    pub(super) fn stream(&self, key: &StreamKey) -> Rc<LiveStream<R::Conn>> {
        let mut streams = self.0.streams.borrow_mut();
        if planted(Bug::MediaCrossesNames)
            && let Some(any) = streams.values().next()
        {
            return Rc::clone(any);
        }
        let settings = self.settings();
        let stream = streams
            .entry(key.clone())
            .or_insert_with(|| LiveStream::new(key.clone(), &settings, Rc::clone(&self.0.meters)));
        Rc::clone(stream)
    }

    /// The stream of this name, if it is known.
    pub(super) fn known_stream(&self, key: &StreamKey) -> Option<Rc<LiveStream<R::Conn>>> {
        self.0.streams.borrow().get(key).cloned()
    }

    /// Bytes of media that this shard may hold, unless there is no bound: an equal part of what the server may.
    pub(super) fn media_part(&self) -> Option<u64> {
        let all = self.settings().limits.media_bytes;
        let is_bounded = all > 0 && !planted(Bug::MemoryUnbounded);
        is_bounded.then(|| all / self.0.peers.len().max(1) as u64)
    }

    /// Media has come: if all streams together hold more than this shard's part of what the server may, less what their
    /// recordings may hold, the longest let go of the oldest, down to what each could have if they shared three quarters of
    /// it.
    pub(super) fn keep_within_memory(&self) {
        let Some(part) = self.media_part() else {
            return;
        };
        // Whether they hold that or not: a slow disk is nothing that players notice.
        let rings = self.0.meters.rings.bytes() as u64;
        let beside = part - part / limits::RECORD_SHARE;
        let part = match rings > beside && self.recorders().len() > 0 {
            true => beside,
            false => part,
        };
        if rings <= part {
            return;
        }
        let streams = self.0.streams.borrow();
        let fair = usize::try_from(part / 4 * 3 / streams.len().max(1) as u64);
        for stream in streams.values() {
            stream
                .state
                .borrow_mut()
                .media
                .shed_to(fair.unwrap_or(usize::MAX));
        }
        if self
            .0
            .shed_said
            .get()
            .is_none_or(|said| self.0.runtime.now().since(said) >= limits::REFUSALS_LOGGED)
        {
            self.0.shed_said.set(Some(self.0.runtime.now()));
            tracing::warn!(
                shard = self.0.id,
                streams = streams.len(),
                media_bytes = self.settings().limits.media_bytes,
                "frames kept for players and recordings have come to what the server may hold (media_bytes in [limits]): each stream of \
                 this shard keeps less, and players that are far behind lose frames"
            );
        }
    }

    /// The first player has come: asks the directory for the stream.
    pub(super) fn subscribe(&self, stream: &LiveStream<R::Conn>) {
        let state = &mut *stream.state.borrow_mut();
        if state.subscription.is_none() {
            let subscription = self.0.next_subscription.get();
            self.0.next_subscription.set(subscription + 1);
            state.subscription = Some(subscription);
            let subscriber = Subscriber {
                shard: self.0.id,
                subscription,
            };
            self.tell_control(ControlMessage::Subscribe {
                key: stream.key.clone(),
                subscriber,
            });
        }
    }

    /// The last player has gone: takes the wish back, and lets go of the stream if nobody publishes it here.
    pub(super) fn unsubscribe_if_idle(&self, stream: &Rc<LiveStream<R::Conn>>) {
        {
            let state = &mut *stream.state.borrow_mut();
            if state.players.is_empty()
                && let Some(subscription) = state.subscription.take()
                && !planted(Bug::UnsubscribeLost)
            {
                let subscriber = Subscriber {
                    shard: self.0.id,
                    subscription,
                };
                self.tell_control(ControlMessage::Unsubscribe {
                    key: stream.key.clone(),
                    subscriber,
                });
            }
        }
        self.forget_if_unused(stream);
    }

    /// Lets go of a stream that nobody publishes or plays here.
    pub(super) fn forget_if_unused(&self, stream: &Rc<LiveStream<R::Conn>>) {
        if !stream.state.borrow().is_unused() || stream.closed.replace(true) {
            return;
        }
        self.0.streams.borrow_mut().remove(&stream.key);
        stream.pump.borrow_mut().take();
    }

    pub(super) fn runtime(&self) -> &R {
        &self.0.runtime
    }

    pub(super) fn id(&self) -> ShardId {
        self.0.id
    }

    /// The settings of now; not to be held across an await.
    pub(super) fn settings(&self) -> Ref<'_, Settings> {
        Ref::map(self.0.settings.borrow(), |settings| &**settings)
    }

    /// Settings have changed. Every connection looks whether it has now had its time.
    pub(super) fn reload(&self, settings: Arc<Settings>) {
        *self.0.settings.borrow_mut() = settings;
        for handle in self.0.connections.borrow().values() {
            handle.wake();
        }
    }

    /// The streams it knows.
    pub(super) fn streams(&self) -> Ref<'_, BTreeMap<StreamKey, Rc<LiveStream<R::Conn>>>> {
        self.0.streams.borrow()
    }

    /// The connections it serves.
    pub(super) fn connections(&self) -> Ref<'_, BTreeMap<ConnectionId, Rc<Handle<R::Conn>>>> {
        self.0.connections.borrow()
    }

    pub(super) fn meters(&self) -> &Rc<Meters> {
        &self.0.meters
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    pub(super) fn library(&self) -> &Library<R::Disk> {
        &self.0.library
    }

    pub(super) fn graces(&self) -> &Graces {
        &self.0.graces
    }

    pub(super) fn recorders(&self) -> &Recorders {
        &self.0.recorders
    }

    /// Somebody else publishes what this connection did: it is to look.
    pub(super) fn wake_taken_over(&self, connection: ConnectionId) {
        if let Some(handle) = self.0.connections.borrow().get(&connection) {
            handle.look_at_names();
        }
    }

    pub(super) fn next_request(&self) -> RequestId {
        let request = self.0.next_request.get();
        self.0.next_request.set(request + 1);
        request
    }

    /// The shard's one read buffer; never held across an await.
    pub(super) fn scratch(&self) -> &RefCell<Vec<u8>> {
        &self.0.scratch
    }

    pub(super) fn tell_control(&self, message: ControlMessage) {
        self.0.control.post(message);
    }

    pub(super) fn tell_shard(&self, shard: ShardId, message: ShardMessage<R::Socket>) {
        if let Some(peer) = self.0.peers.get(shard) {
            peer.post(message);
        }
    }

    /// Messages that wait in the mailbox of `shard`.
    pub(super) fn backlog_of(&self, shard: ShardId) -> usize {
        self.0.peers.get(shard).map_or(0, Sender::backlog)
    }

    /// Tells the log, the trace and the embedding program.
    pub(super) fn emit(&self, event: Event) {
        let party = event.party();
        tracing::info!(connection = party.connection, peer = %party.peer, stream = %party.stream, "{}", event.name());
        self.0.runtime.trace(format_args!("{event}"));
        self.0.events.emit(&event);
    }
}
