//! One connection: a task that reads, lets the protocol session make events of the bytes, acts on them, and
//! writes replies. Players are written to by their stream's pump; this task takes over only while its socket
//! was full.

mod farewell;
mod roles;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use farewell::Close;
use futures_lite::future::yield_now;

use super::Settings;
use super::deadline::{Deadlines, Due, Stage};
use super::event::ConnectionId;
use super::gate::Ticket;
use super::meters::End;
use super::outbox::{Failure, Outbox};
use super::play::{Delivery, Play};
use super::publish::Publication;
use super::shard::Shard;
use super::vod::Viewing;
use crate::limits;
use crate::media::directory::StreamKey;
use crate::planted::{Bug, planted};
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::session::server::{ServerSession, SessionConfig, SessionError};
use crate::runtime::{Conn, Runtime, SocketAddr, Task};
use crate::time::Instant;

/// What somebody else than its peer wants of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// The server stops: say goodbye.
    Drain,
    /// An operator wants it gone.
    Kick,
    /// An operator wants this publication ended.
    EndStream(StreamKey),
}

/// The shard's hold on a connection's task, and what it knows of it.
pub(super) struct Handle<C> {
    pub(super) outbox: Rc<Outbox<C>>,
    pub(super) peer: SocketAddr,
    pub(super) since: Instant,
    /// Bytes read from it.
    pub(super) received: Cell<u64>,
    /// The application it connected to.
    pub(super) app: RefCell<String>,
    /// What it publishes or plays, or did.
    pub(super) stream: RefCell<Option<StreamKey>>,
    /// Why it ended, once that is known.
    pub(super) end: Cell<End>,
    orders: RefCell<Vec<Order>>,
    /// A name it publishes has another publisher now.
    taken_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
}

impl<C: Conn> Handle<C> {
    pub(super) fn new(id: ConnectionId, peer: SocketAddr, conn: C, since: Instant) -> Self {
        Self {
            outbox: Rc::new(Outbox::new(id, conn)),
            peer,
            since,
            received: Cell::new(0),
            app: RefCell::default(),
            stream: RefCell::default(),
            end: Cell::new(End::Defect),
            orders: RefCell::default(),
            taken_over: Cell::new(false),
            waker: RefCell::default(),
            task: RefCell::default(),
        }
    }

    pub(super) fn keep(&self, task: Task<()>) {
        *self.task.borrow_mut() = Some(task);
    }

    /// The task is ending by itself.
    pub(super) fn let_go(&self) {
        if let Some(task) = self.task.borrow_mut().take() {
            task.detach();
        }
    }

    /// Ends the task; done when everything it held is given back.
    pub(super) async fn cancel(&self) {
        let task = self.task.borrow_mut().take();
        if let Some(task) = task {
            task.cancel().await;
        }
    }

    /// Has the task do what is ordered, once; an order that waits already is not given twice.
    pub(super) fn order(&self, order: Order) {
        let orders = &mut *self.orders.borrow_mut();
        if !orders.contains(&order) {
            orders.push(order);
        }
        self.wake();
    }

    /// Asks the task to look which of its names somebody else publishes now.
    pub(super) fn look_at_names(&self) {
        self.taken_over.set(true);
        self.wake();
    }

    /// Has the task look at its deadlines.
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What woke the task.
enum Wake {
    Ordered(Order),
    TakenOver,
    Readable,
    Writable,
    Failed(Failure),
    Due(Due),
    /// A player is behind, its socket open: go on writing.
    Behind,
}

/// What a message stream does. Boxed: a map's node has room for eleven, and most connections have one.
enum Role<R: Runtime> {
    Publish(Box<Publication<R>>),
    Play(Box<Play<R>>),
    View(Box<Viewing<R>>),
}

/// A timer, and what it was armed for.
type Timer = (Instant, Pin<Box<dyn Future<Output = ()>>>);

struct Connection<R: Runtime> {
    shard: Shard<R>,
    outbox: Rc<Outbox<R::Conn>>,
    handle: Rc<Handle<R::Conn>>,
    session: ServerSession,
    id: ConnectionId,
    ticket: Ticket,
    roles: BTreeMap<MessageStreamId, Role<R>>,
    /// A playlist whose next file is asked for by the event behind this one.
    list: Option<(MessageStreamId, Box<Viewing<R>>)>,
    deadlines: Deadlines,
    /// Plays whose stream nobody published when they began, and until when they may wait for it.
    waits: Vec<(Instant, MessageStreamId)>,
    timer: Option<Timer>,
    behind: bool,
    /// The last to go.
    _leave: Leave<R>,
}

/// Tells the shard that the task is gone, however it went.
struct Leave<R: Runtime>(Shard<R>, ConnectionId);

impl<R: Runtime> Drop for Leave<R> {
    fn drop(&mut self) {
        self.0.left(self.1);
    }
}

/// Who has come.
pub(super) struct Guest<C> {
    pub(super) handle: Rc<Handle<C>>,
    pub(super) id: ConnectionId,
    pub(super) ticket: Ticket,
}

fn session_config(settings: &Settings) -> SessionConfig {
    SessionConfig {
        chunk_size: settings.chunk_size,
        strict_extended_timestamps: settings.strict_extended_timestamps,
        window_ack_size: settings.window_ack_size,
        peer_bandwidth: settings.peer_bandwidth,
    }
}

/// Serves one connection to its end.
///
/// What it is made of is joined before the future begins: an `async fn` keeps its arguments beside what becomes of them,
/// for the whole life of the connection.
pub(super) fn serve<R: Runtime>(
    shard: Shard<R>,
    guest: Guest<R::Conn>,
) -> impl Future<Output = ()> + 'static {
    let Guest { handle, id, ticket } = guest;
    let runtime = shard.runtime().clone();
    let config = session_config(&shard.settings());
    let nonce = runtime.entropy("handshake").u64(..);
    let mut connection = Connection {
        outbox: Rc::clone(&handle.outbox),
        session: ServerSession::new(config, nonce),
        deadlines: Deadlines::new(runtime.now()),
        roles: BTreeMap::new(),
        list: None,
        waits: Vec::new(),
        timer: None,
        behind: false,
        _leave: Leave(shard.clone(), id),
        shard,
        handle,
        id,
        ticket,
    };
    tracing::debug!(connection = id, peer = %connection.handle.peer, "accepted");
    async move {
        let close = match connection.run().await {
            Ok(never) => match never {},
            Err(close) => close,
        };
        // Boxed: what a connection needs at its end is not to be kept for its whole life.
        Box::pin(connection.finish(close)).await;
    }
}

impl<R: Runtime> Connection<R> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Close> {
        if self.shard.is_draining() {
            self.handle.order(Order::Drain);
        }
        loop {
            match self.next_wake().await {
                Wake::Ordered(order) => Box::pin(self.obey(order)).await?,
                Wake::TakenOver => self.leave_taken_over()?,
                Wake::Failed(failure) => return Err(failure.into()),
                Wake::Readable => self.read().await?,
                Wake::Writable => self.outbox.unblock(),
                Wake::Behind => yield_now().await,
                Wake::Due(Due::Ping) => {
                    let now = self.now();
                    self.session.ping(now);
                    self.deadlines.ping(now);
                }
                Wake::Due(Due::Wait) => self.end_waits(),
                Wake::Due(Due::Close(rule)) => return Err(Close::Late(rule)),
            }
            self.reply()?;
            self.flush()?;
        }
    }

    fn now(&self) -> Instant {
        self.shard.runtime().now()
    }

    /// Waits for the first of what may happen; the order is fixed, so that a seed replays.
    async fn next_wake(&mut self) -> Wake {
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        self.outbox.set_waker(cx.waker());
        self.handle
            .waker
            .borrow_mut()
            .get_or_insert_with(|| cx.waker().clone())
            .clone_from(cx.waker());
        if let Some(order) = self.handle.orders.borrow_mut().pop() {
            return Poll::Ready(Wake::Ordered(order));
        }
        if self.handle.taken_over.replace(false) {
            return Poll::Ready(Wake::TakenOver);
        }
        if let Some(failure) = self.outbox.failed() {
            return Poll::Ready(Wake::Failed(failure));
        }
        self.deadlines.blocked_since = self.outbox.blocked_since();
        let (at, due) = self.next_due();
        if self.now() >= at {
            return Poll::Ready(Wake::Due(due)); // before reading: a flood of bytes must not put it off
        }
        // Before reading, too: one who never stops sending would never be written to again.
        if self.outbox.blocked_since().is_some() {
            match self.outbox.conn().poll_writable(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Wake::Writable),
                Poll::Ready(Err(error)) => return Poll::Ready(Wake::Failed(error.into())),
                Poll::Pending => {}
            }
        }
        match self.outbox.conn().poll_readable(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Wake::Readable),
            Poll::Ready(Err(error)) => return Poll::Ready(Wake::Failed(error.into())),
            Poll::Pending => {}
        }
        if std::mem::take(&mut self.behind) {
            return Poll::Ready(Wake::Behind);
        }
        self.poll_due(cx).map(Wake::Due)
    }

    fn next_due(&self) -> (Instant, Due) {
        let next = self.deadlines.next(&self.shard.settings().limits);
        match self.waits.iter().map(|(until, _)| *until).min() {
            Some(until) if until < next.0 && !planted(Bug::WaitsForEver) => (until, Due::Wait),
            _ => next,
        }
    }

    /// Waits for the next deadline.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let (at, due) = self.next_due();
            if self.now() >= at {
                return Poll::Ready(due);
            }
            let runtime = self.shard.runtime();
            let armed = match &mut self.timer {
                Some((armed, timer)) if *armed <= at => timer,
                timer => &mut timer.insert((at, Box::pin(runtime.sleep_until(at)))).1,
            };
            match armed.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.timer = None, // it was armed for an earlier moment: look again
            }
        }
    }

    /// Reads what is there, within this turn's share.
    async fn read(&mut self) -> Result<(), Close> {
        for _ in 0..limits::READS_PER_TURN {
            let parsed = match self.read_once() {
                Ok(parsed) => parsed,
                Err(Close::Io(io::ErrorKind::WouldBlock)) if !planted(Bug::ReadinessTrusted) => {
                    return Ok(());
                }
                Err(Close::Io(io::ErrorKind::Interrupted)) => continue,
                Err(close) => return Err(close),
            };
            let acted = self.act().await;
            self.deliver_batch();
            self.turn_away_the_excessive()?;
            self.enter_stage();
            acted?;
            // Bytes held behind `connect` are read when it is answered, and may be broken as well.
            if let Some(error) = parsed.err().or_else(|| self.session.fault()) {
                self.reply()?;
                self.flush()?; // perhaps last words
                return Err(Close::Protocol(error));
            }
            if self.shard.runtime().buggify("short turn") {
                break;
            }
        }
        self.reply()?;
        self.flush()?;
        yield_now().await;
        Ok(())
    }

    fn read_once(&mut self) -> Result<Result<(), SessionError>, Close> {
        let now = self.now();
        let scratch = &mut *self.shard.scratch().borrow_mut();
        match self.outbox.conn().try_read(scratch) {
            Ok(0) => Err(Close::PeerLeft),
            Ok(len) => {
                let received = &self.handle.received;
                received.set(received.get() + len as u64);
                let before = self.session.messages();
                let parsed = self
                    .session
                    .handle_input(now, &scratch[..len.min(scratch.len())]);
                let whole = self.session.messages() != before;
                let answers = self.session.round_trip().is_some();
                self.deadlines.hear(now, whole, answers);
                Ok(parsed)
            }
            Err(error) => Err(Close::Io(error.kind())),
        }
    }

    /// The read batch is complete.
    fn deliver_batch(&self) {
        for role in self.roles.values() {
            if let Role::Publish(publication) = role {
                publication.deliver();
            }
        }
    }

    fn enter_stage(&mut self) {
        let stage = if !self.session.is_established() {
            Stage::Handshake
        } else if !self.session.is_connected() {
            Stage::Connect
        } else if self
            .roles
            .values()
            .any(|role| matches!(role, Role::Publish(_)))
        {
            Stage::Publish
        } else if self.roles.is_empty() {
            Stage::Command
        } else {
            Stage::Play
        };
        if stage != Stage::Handshake {
            self.ticket.shook_hands();
        }
        let now = self.now();
        self.deadlines.enter(stage, now);
    }

    /// Queues the session's replies, within their bound.
    fn reply(&mut self) -> Result<(), Close> {
        if self.queue_replies() {
            Ok(())
        } else {
            Err(Close::Late("it asks faster than it reads the answers"))
        }
    }

    fn queue_replies(&mut self) -> bool {
        if !self.session.output().is_empty() {
            let mut bytes = Vec::new();
            self.session.take_output(&mut bytes);
            self.outbox.reply(bytes);
        }
        self.outbox.is_within_bounds()
    }

    /// Writes replies, and what this connection's players have not had.
    fn flush(&mut self) -> Result<(), Close> {
        let mut played = false;
        for role in self.roles.values() {
            if let Role::Play(play) = role {
                played = true;
                self.behind |= play.deliver() == Delivery::Behind;
            }
        }
        if !played {
            self.outbox.flush(self.now());
        }
        for (stream, role) in &self.roles {
            let buffer = || self.session.buffer_length(*stream);
            match role {
                Role::View(viewing) => viewing.controls.heed(buffer()),
                Role::Play(play) => play.heed(buffer),
                Role::Publish(_) => {}
            }
        }
        self.outbox
            .failed()
            .map_or(Ok(()), |failure| Err(failure.into()))
    }
}
