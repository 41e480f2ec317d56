//! Publications: a lease of a name, its messages to the players here and, a batch at a time, to other shards.

mod look;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::event::{Event, Party};
use super::message::{ControlMessage, RequestId, Route, ShardMessage};
use super::play::notice_for;
use super::shard::Shard;
use super::stream::{Listener, LiveStream, Local, Source};
use crate::limits;
use crate::media::directory::{Lease, PublicationId, StreamKey, Subscriber};
use crate::media::ring::{Item, NoticeKind, Ring};
use crate::media::stream::{Snapshot, Stream};
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;
use crate::runtime::Runtime;

/// The shard's questions to the directory that are not answered yet.
#[derive(Default)]
pub(super) struct Requests {
    waiting: RefCell<BTreeMap<RequestId, Request>>,
    /// Questions on their way, those of connections that went while they waited included.
    asked: Cell<usize>,
    /// Who waits for the last answer.
    idle: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Request {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// The directory's word.
#[derive(Clone, Copy)]
enum Answer {
    Granted(PublicationId),
    Taken,
    Full,
    /// Whether the stream is published.
    Seen(bool),
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Ready once the directory has answered every question.
    pub(super) fn poll_answered(&self, cx: &Context<'_>) -> Poll<()> {
        if self.asked.get() == 0 {
            return Poll::Ready(());
        }
        *self.idle.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn answer(&self, request: RequestId, answer: Answer) -> bool {
        self.asked.set(self.asked.get().saturating_sub(1));
        if self.asked.get() == 0
            && let Some(waker) = self.idle.borrow_mut().take()
        {
            waker.wake();
        }
        let waker = match self.waiting.borrow_mut().get_mut(&request) {
            Some(waiting) => {
                waiting.answer = Some(answer);
                waiting.waker.take()
            }
            None => return false,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// A connection's right to publish; dropping it gives the lease back and tells the players.
pub(super) struct Publication<R: Runtime> {
    shard: Shard<R>,
    request: RequestId,
    party: Party,
    granted: Option<(PublicationId, Rc<LiveStream<R::Conn>>)>,
    /// Headers were left out, and the log says so.
    warned: Cell<bool>,
}

impl<R: Runtime> Publication<R> {
    /// Asks the directory for the name.
    ///
    /// # Errors
    /// Why it is not to be had, in words that follow the name.
    pub(super) async fn claim(shard: &Shard<R>, party: Party) -> Result<Self, &'static str> {
        let request = shard.next_request();
        // From here on dropping `claim` (the connection died while it waited) takes the question back.
        let mut claim = Self {
            shard: shard.clone(),
            request,
            party,
            granted: None,
            warned: Cell::new(false),
        };
        shard
            .requests()
            .waiting
            .borrow_mut()
            .insert(request, Request::default());
        let asked = &shard.requests().asked;
        asked.set(asked.get() + 1);
        shard.tell_control(ControlMessage::Publish {
            request,
            key: claim.party.stream.clone(),
            shard: shard.id(),
        });
        let answer = poll_fn(|cx| {
            let mut waiting = shard.requests().waiting.borrow_mut();
            match waiting.get_mut(&request) {
                Some(Request {
                    answer: None,
                    waker,
                }) => {
                    *waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(Request {
                    answer: Some(answer),
                    ..
                }) => Poll::Ready(*answer),
                None => Poll::Ready(Answer::Taken),
            }
        })
        .await;
        let publication = match answer {
            Answer::Granted(publication) => publication,
            Answer::Full => return Err("is one stream more than its application may have"),
            Answer::Taken | Answer::Seen(_) => return Err("is being published already"),
        };
        shard.requests().waiting.borrow_mut().remove(&request);
        claim.granted = Some((publication, shard.stream(&claim.party.stream)));
        shard.emit(Event::PublishStart(claim.party.clone()));
        Ok(claim)
    }

    /// Takes one message of this read batch.
    pub(super) fn push(&self, message: WireMessage) {
        let Some((publication, stream)) = &self.granted else {
            return;
        };
        let state = &mut *stream.state.borrow_mut();
        let listened = state
            .local(*publication)
            .is_some_and(|local| !local.audience.is_empty());
        let copy = listened.then(|| message.clone());
        if state.media.push(message, self.shard.runtime().now())
            && let (Some(copy), Some(local)) = (copy, state.local(*publication))
        {
            local.batch.push(copy);
        }
    }

    /// `@clearDataFrame`.
    pub(super) fn clear_metadata(&self) {
        self.deliver(); // what came before it
        if let Some((publication, stream)) = &self.granted
            && stream.state.borrow_mut().media.clear_metadata()
        {
            self.shard.tell_cleared(stream, *publication);
        }
    }

    /// The read batch is complete: sends it to other shards and to the players here.
    pub(super) fn deliver(&self) {
        if let Some((publication, stream)) = &self.granted {
            self.shard.send_batch(stream, *publication);
            stream.deliver_new(self.shard.runtime());
            self.note_headers_left_out(stream);
        }
    }

    /// Says so in the log, once: people who join later miss what the publisher sent too much of.
    fn note_headers_left_out(&self, stream: &LiveStream<R::Conn>) {
        if stream.state.borrow().media.headers_left_out() > 0 && !self.warned.replace(true) {
            tracing::warn!(
                connection = self.party.connection,
                peer = %self.party.peer,
                stream = %self.party.stream,
                "the publisher sends more or longer sequence headers than are kept ({} of at most {} bytes each, {} in \
                 all): players that join later go without some",
                limits::STREAM_HEADERS,
                limits::HEADER_BYTES,
                limits::STREAM_HEADERS_BYTES,
            );
        }
    }

    /// What was published, for the log.
    fn sum_up(&self, stream: &LiveStream<R::Conn>) {
        let media = &stream.state.borrow().media;
        tracing::info!(
            connection = self.party.connection,
            stream = %self.party.stream,
            codecs = %media.codecs(),
            pictures_before_a_keyframe = media.orphans(),
            headers_left_out = media.headers_left_out(),
            "published"
        );
    }

    /// `app/name`.
    pub(super) fn key(&self) -> &str {
        self.party.stream.as_str()
    }
}

impl<R: Runtime> Drop for Publication<R> {
    fn drop(&mut self) {
        let asked = self
            .shard
            .requests()
            .waiting
            .borrow_mut()
            .remove(&self.request);
        let unclaimed = match asked.and_then(|request| request.answer) {
            Some(Answer::Granted(publication)) => Some(publication), // granted, but we died before we knew
            _ => None,
        };
        if let Some((publication, stream)) = self.granted.take() {
            self.sum_up(&stream);
            self.shard.end_publication(&stream, publication);
            self.shard.emit(Event::PublishStop(self.party.clone()));
        } else if let Some(publication) = unclaimed {
            let stream = self.shard.stream(&self.party.stream);
            self.shard.end_publication(&stream, publication);
        }
    }
}

fn frames_from(ring: &Ring, first: u64) -> Vec<WireMessage> {
    ring.items_from(first)
        .filter_map(Item::frame)
        .map(|frame| frame.message.clone())
        .collect()
}

impl<R: Runtime> Shard<R> {
    /// The directory leased `key` to the asker of `request`.
    pub(super) fn granted(
        &self,
        request: RequestId,
        key: &StreamKey,
        lease: Lease,
        audience: Vec<Subscriber>,
    ) {
        if !self
            .requests()
            .answer(request, Answer::Granted(lease.publication))
        {
            // The connection went while it waited.
            if planted(Bug::GrantKeptByTheDead) {
                return;
            }
            self.tell_control(ControlMessage::Unpublish {
                key: key.clone(),
                publication: lease.publication,
            });
            return;
        }
        let stream = self.stream(key);
        {
            let now = self.runtime().now();
            let state = &mut *stream.state.borrow_mut();
            // A lease elsewhere has ended, or this one would not be granted: its last word may still be on its way.
            self.end_remote(&stream.key, state);
            state.configure(key, &self.settings());
            let audience = audience
                .into_iter()
                .filter(|subscriber| subscriber.shard != self.id())
                .map(|subscriber| Listener {
                    subscriber,
                    missed: None,
                })
                .collect();
            state.newest = lease.publication;
            state.source = Source::Local(Local {
                publication: lease.publication,
                audience,
                batch: Vec::new(),
            });
            let told = !state.players.is_empty();
            let notice = told.then(|| {
                notice_for(
                    NoticeKind::Began,
                    1,
                    key.as_str(),
                    self.settings().chunk_size,
                )
            });
            state.media.begin(notice, now);
        }
        self.tell_audience(&stream, lease.publication, |route| ShardMessage::Snapshot {
            route,
            fresh: true,
            snapshot: Snapshot::default(),
        });
        stream.deliver_new(self.runtime());
    }

    /// The name is taken.
    pub(super) fn refused(&self, request: RequestId) {
        self.requests().answer(request, Answer::Taken);
    }

    /// The application has as many streams as it may.
    pub(super) fn full(&self, request: RequestId) {
        self.requests().answer(request, Answer::Full);
    }

    /// Another shard has players of a stream that is published here.
    pub(super) fn subscribed(
        &self,
        key: &StreamKey,
        publication: PublicationId,
        subscriber: Subscriber,
    ) {
        if subscriber.shard == self.id() {
            return; // our own players read our own ring
        }
        let Some(stream) = self.known_stream(key) else {
            return; // the publisher has gone meanwhile
        };
        self.send_batch(&stream, publication); // the snapshot holds it already: it must not come twice
        let state = &mut *stream.state.borrow_mut();
        let snapshot = state.media.snapshot();
        let Some(local) = state.local(publication) else {
            return;
        };
        local
            .audience
            .retain(|listener| listener.subscriber.shard != subscriber.shard);
        local.audience.push(Listener {
            subscriber,
            missed: None,
        });
        let route = Route {
            key: key.clone(),
            publication,
            subscription: subscriber.subscription,
        };
        self.tell_shard(
            subscriber.shard,
            ShardMessage::Snapshot {
                route,
                fresh: false,
                snapshot,
            },
        );
    }

    /// Another shard has no players any more.
    pub(super) fn unsubscribed(
        &self,
        key: &StreamKey,
        publication: PublicationId,
        subscriber: Subscriber,
    ) {
        if let Some(stream) = self.known_stream(key)
            && let Some(local) = stream.state.borrow_mut().local(publication)
        {
            local
                .audience
                .retain(|listener| listener.subscriber != subscriber);
        }
    }

    /// One message per read batch to each shard that has players.
    fn send_batch(&self, stream: &LiveStream<R::Conn>, publication: PublicationId) {
        let state = &mut *stream.state.borrow_mut();
        let Source::Local(local) = &mut state.source else {
            return;
        };
        if local.publication != publication || local.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut local.batch);
        let ring = state.media.ring();
        let first = ring.head() - batch.len() as u64;
        for listener in &mut local.audience {
            let subscriber = listener.subscriber;
            let backlog = self.backlog_of(subscriber.shard);
            let route = Route {
                key: stream.key.clone(),
                publication,
                subscription: subscriber.subscription,
            };
            let room = match listener.missed {
                None => self.settings().mailbox_backlog,
                // Rounded up, as half of one message is none, and no mailbox is ever emptier than empty.
                Some(_) => self.settings().mailbox_backlog.div_ceil(2),
            };
            if backlog >= room || self.runtime().buggify("full mailbox") {
                listener.missed.get_or_insert(first);
                continue;
            }
            match listener.missed.take() {
                None => {
                    let messages = batch.clone();
                    self.tell_shard(subscriber.shard, ShardMessage::Frames { route, messages });
                }
                Some(missed) => self.send_missed(subscriber.shard, route, &state.media, missed),
            }
        }
    }

    /// What a shard has missed from `missed` on.
    fn send_missed(&self, shard: usize, route: Route, media: &Stream, missed: u64) {
        let ring = media.ring();
        if missed < ring.base() && !planted(Bug::MissedFromGoneRing) {
            let snapshot = media.snapshot();
            let message = ShardMessage::Snapshot {
                route,
                fresh: false,
                snapshot,
            };
            return self.tell_shard(shard, message);
        }
        // Everything is here still: no player there gets a frame twice, and none loses any.
        let frames = ShardMessage::Frames {
            route: route.clone(),
            messages: frames_from(ring, missed),
        };
        self.tell_shard(shard, frames);
        if !media.has_metadata() {
            // Metadata among what it missed may have been cleared since.
            self.tell_shard(shard, ShardMessage::MetadataCleared { route });
        }
    }

    /// The metadata is gone. A shard whose mailbox is full hears it behind the frames it has missed: a publisher that
    /// clears again and again fills no mailbox either.
    fn tell_cleared(&self, stream: &LiveStream<R::Conn>, publication: PublicationId) {
        let state = &mut *stream.state.borrow_mut();
        let head = state.media.ring().head();
        let Some(local) = state.local(publication) else {
            return;
        };
        for listener in &mut local.audience {
            let subscriber = listener.subscriber;
            if self.backlog_of(subscriber.shard) >= self.settings().mailbox_backlog {
                listener.missed.get_or_insert(head);
            }
            if listener.missed.is_none() {
                let route = Route {
                    key: stream.key.clone(),
                    publication,
                    subscription: subscriber.subscription,
                };
                self.tell_shard(subscriber.shard, ShardMessage::MetadataCleared { route });
            }
        }
    }

    fn tell_audience(
        &self,
        stream: &LiveStream<R::Conn>,
        publication: PublicationId,
        message: impl Fn(Route) -> ShardMessage<R::Socket>,
    ) {
        if let Some(local) = stream.state.borrow_mut().local(publication) {
            for Listener { subscriber, .. } in &local.audience {
                let route = Route {
                    key: stream.key.clone(),
                    publication,
                    subscription: subscriber.subscription,
                };
                self.tell_shard(subscriber.shard, message(route));
            }
        }
    }

    /// What was left for later, and there is no later: the publication ends. Of a full mailbox this asks no more than
    /// the word of the end itself, as long as that mailbox is not full several times over.
    fn send_tail(&self, stream: &LiveStream<R::Conn>, publication: PublicationId) {
        self.send_batch(stream, publication);
        let state = &mut *stream.state.borrow_mut();
        let Source::Local(local) = &mut state.source else {
            return;
        };
        if local.publication != publication {
            return;
        }
        for listener in &mut local.audience {
            let Some(missed) = listener.missed.take() else {
                continue;
            };
            let subscriber = listener.subscriber;
            let most = limits::MAILBOX_BACKLOGS_AT_END * self.settings().mailbox_backlog;
            if self.backlog_of(subscriber.shard) < most {
                let route = Route {
                    key: stream.key.clone(),
                    publication,
                    subscription: subscriber.subscription,
                };
                self.send_missed(subscriber.shard, route, &state.media, missed);
            }
        }
    }

    /// A publication of this shard is over: the players here and elsewhere are told, the lease goes back.
    fn end_publication(&self, stream: &Rc<LiveStream<R::Conn>>, publication: PublicationId) {
        self.send_tail(stream, publication);
        if !planted(Bug::EndNotTold) {
            self.tell_audience(stream, publication, |route| ShardMessage::Ended { route });
        }
        let told = {
            let state = &mut *stream.state.borrow_mut();
            let ours = state.local(publication).is_some();
            if ours {
                state.source = Source::None;
                let notice = notice_for(
                    NoticeKind::Ended,
                    1,
                    stream.key.as_str(),
                    self.settings().chunk_size,
                );
                if planted(Bug::EndToldTwice) {
                    state.media.end(notice.clone(), self.runtime().now());
                }
                state.media.end(notice, self.runtime().now());
            }
            ours && !state.players.is_empty()
        };
        self.tell_control(ControlMessage::Unpublish {
            key: stream.key.clone(),
            publication,
        });
        if told {
            // Not here: this runs when a connection is dropped, perhaps by a panic.
            stream.state.borrow_mut().request_pass();
            stream.wake_pump(self.runtime());
        }
        self.forget_if_unused(stream);
    }
}
