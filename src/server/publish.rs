//! Publications: a lease of a name, its messages to the players here and, a batch at a time, to other shards.

mod look;
mod pace;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pace::Pace;

use super::event::{ConnectionId, Event, Party};
use super::message::{Beginning, ControlMessage, Heritage, RequestId, Route, ShardMessage};
use super::play::notice_for;
use super::record::NotRecorded;
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

struct Request {
    connection: ConnectionId,
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

    /// Returns whose question that was, unless the connection has gone.
    fn answer(&self, request: RequestId, answer: Answer) -> Option<ConnectionId> {
        self.asked.set(self.asked.get().saturating_sub(1));
        if self.asked.get() == 0
            && let Some(waker) = self.idle.borrow_mut().take()
        {
            waker.wake();
        }
        let (connection, waker) = {
            let mut waiting = self.waiting.borrow_mut();
            let waiting = waiting.get_mut(&request)?;
            waiting.answer = Some(answer);
            (waiting.connection, waiting.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(connection)
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
    /// It has ended in good order.
    closed: Cell<bool>,
    /// Its publisher wanted it recorded, and was told that it is.
    recorded: bool,
    pace: Pace,
}

impl<R: Runtime> Publication<R> {
    /// Asks the directory for the name.
    ///
    /// # Errors
    /// Why it is not to be had, in words that follow the name.
    pub(super) async fn claim(shard: &Shard<R>, party: Party) -> Result<Self, &'static str> {
        let request = shard.next_request();
        let application = party.stream.application();
        let bitrate_max = shard.settings().applications.of(application).bitrate_max;
        // From here on dropping `claim` (the connection died while it waited) takes the question back.
        let mut claim = Self {
            shard: shard.clone(),
            request,
            party,
            granted: None,
            warned: Cell::new(false),
            closed: Cell::new(false),
            recorded: false,
            pace: Pace::new(bitrate_max, shard.runtime().now()),
        };
        let asked = Request {
            connection: claim.party.connection,
            answer: None,
            waker: None,
        };
        shard.requests().waiting.borrow_mut().insert(request, asked);
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
                    ..
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

    /// Has it recorded, if its application is, or if that is `wanted` and may be.
    ///
    /// # Errors
    /// Why it is not recorded.
    pub(super) fn record(&mut self, wanted: bool) -> Result<(), NotRecorded> {
        let (_, stream) = self.granted.as_ref().ok_or(NotRecorded::NotHere)?;
        if self.is_taken_over() {
            return Err(NotRecorded::NotHere);
        }
        self.shard.begin_recording(stream, &self.party, wanted)?;
        self.recorded = wanted;
        Ok(())
    }

    /// Whether its publisher wanted it recorded, and was told that it is.
    pub(super) fn is_recorded_on_demand(&self) -> bool {
        self.recorded
    }

    /// Takes one message of this read batch.
    pub(super) fn push(&self, message: WireMessage) {
        let Some((publication, stream)) = &self.granted else {
            return;
        };
        let state = &mut *stream.state.borrow_mut();
        let Some(local) = state.local(*publication) else {
            return; // somebody else publishes the name now, and this connection is about to hear of it
        };
        let now = self.shard.runtime().now();
        self.pace.count(message.payload_len(), now);
        let listened = !local.audience.is_empty();
        let taken = state.media.publish(message, now);
        if taken
            && listened
            && let Some(copy) = state.media.ring().newest().and_then(Item::frame)
            && let Source::Local(local) = &mut state.source
        {
            local.batch.push(copy.message.clone());
        }
    }

    /// `@clearDataFrame`.
    pub(super) fn clear_metadata(&self) {
        self.deliver(); // what came before it
        if let Some((publication, stream)) = &self.granted
            && !self.is_taken_over()
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
            self.shard.keep_within_memory();
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

    /// The bitrate that it may have, in kilobits a second, if it sends more than that.
    pub(super) fn excess(&self) -> Option<u32> {
        self.pace.excess()
    }

    /// It ends in good order: nobody is to wait for its publisher.
    pub(super) fn close(self) {
        self.closed.set(true);
    }

    /// Whether somebody else publishes the name now.
    pub(super) fn is_taken_over(&self) -> bool {
        self.granted.as_ref().is_some_and(|(publication, stream)| {
            stream.state.borrow_mut().local(*publication).is_none()
        })
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
            if self.closed.get() {
                self.shard.end_publication(&stream, publication);
            } else {
                self.shard.lose_publication(&stream, publication);
            }
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
        heritage: Option<Box<Heritage>>,
    ) {
        let publication = lease.publication;
        let asker = (self.requests()).answer(request, Answer::Granted(publication));
        // The connection may have gone while it waited. Who took over has players to tell of the end.
        if asker.is_none() && heritage.is_none() {
            if planted(Bug::GrantKeptByTheDead) {
                return;
            }
            self.tell_control(ControlMessage::Unpublish {
                key: key.clone(),
                publication,
                heritage: None,
            });
            return;
        }
        let stream = self.stream(key);
        let resumes = heritage.as_ref().is_some_and(|heritage| heritage.quiet);
        let audience = audience.into_iter();
        let audience = audience.filter(|subscriber| subscriber.shard != self.id());
        let listeners = audience.map(|subscriber| Listener {
            subscriber,
            missed: None,
        });
        let local = Local {
            publication,
            connection: asker.unwrap_or_default(),
            since: self.runtime().now(),
            first: 0,
            lost: false,
            audience: listeners.collect(),
            batch: Vec::new(),
            recordings: Vec::new(),
        };
        self.take_up(&stream, local, heritage);
        let beginning = if resumes {
            Beginning::Resumption
        } else {
            Beginning::Publication
        };
        let timeline = stream.state.borrow().media.timeline().cloned();
        if !(resumes && planted(Bug::ResumeLosesPlayers)) {
            self.tell_audience(&stream, publication, |route| ShardMessage::Snapshot {
                route,
                beginning,
                snapshot: Snapshot {
                    timeline: timeline.clone(),
                    ..Snapshot::default()
                },
            });
        }
        stream.deliver_new(self.runtime());
        if asker.is_none() {
            self.end_publication(&stream, publication);
        }
    }

    /// The stream is published here from now on; the players here are told, unless they know of no end of it.
    fn take_up(
        &self,
        stream: &LiveStream<R::Conn>,
        mut local: Local,
        heritage: Option<Box<Heritage>>,
    ) {
        let state = &mut *stream.state.borrow_mut();
        let resumes = heritage.as_ref().is_some_and(|heritage| heritage.quiet);
        let quiet = resumes && state.media.is_live();
        if !quiet {
            // A lease elsewhere has ended, or this one would not be granted: its last word may still be on its way.
            self.end_remote(&stream.key, state);
        }
        state.configure(&stream.key, &self.settings());
        state.newest = local.publication;
        let told = !state.players.is_empty() && !quiet;
        let (key, chunk_size) = (stream.key.as_str(), self.settings().chunk_size);
        let notice = told.then(|| notice_for(NoticeKind::Began, 1, key, chunk_size));
        if !(quiet && planted(Bug::ResumeKeepsOldHeaders)) {
            state.media.begin(notice, self.runtime().now());
        }
        if let Some(heritage) = heritage {
            state.media.inherit(heritage.clock);
            state.media.set_timeline(heritage.timeline);
        }
        state.joiners.begin_anew(self.runtime().now());
        local.first = state.media.ring().head();
        state.source = Source::Local(local);
        self.meters().publications.add(1);
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
        let snapshot = state.media.snapshot(self.runtime().now());
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
                beginning: Beginning::Copy,
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
            let now = self.runtime().now();
            let lost = media.snapshot_begins(now).saturating_sub(missed);
            self.note_missed(shard, &route.key, lost);
            let snapshot = media.snapshot(now);
            let message = ShardMessage::Snapshot {
                route,
                beginning: Beginning::Copy,
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

    pub(super) fn tell_audience(
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
    pub(super) fn send_tail(&self, stream: &LiveStream<R::Conn>, publication: PublicationId) {
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
            } else {
                let lost = state.media.ring().head().saturating_sub(missed);
                self.note_missed(subscriber.shard, &stream.key, lost);
            }
        }
    }

    /// A shard was so far behind that frames are gone which its players have not had.
    fn note_missed(&self, shard: usize, key: &StreamKey, frames: u64) {
        self.meters().missed.add(frames);
        tracing::warn!(
            shard,
            stream = %key,
            frames,
            "that shard is too busy to take what is published on this one: its players of the stream go on at a keyframe"
        );
    }
}
