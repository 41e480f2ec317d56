//! One viewer: what it asks for, and how fast it is served.
//!
//! A buffer's length is sent at once, and from then on as fast as it plays. A viewer that takes less is not sent more: the
//! file waits, and nothing piles up here. At the end it stays, as its client may seek back; so may one whose file turns out
//! to be broken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_lite::future::yield_now;

use super::source::{OpenError, Source};
use crate::limits;
use crate::media::file::Packet;
use crate::media::file::any::AnyCursor;
use crate::planted::{Bug, planted};
use crate::rtmp::session::server::{play_completed, play_failed, play_switched};
use crate::rtmp::session::{MessageStreamId, Status};
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::runtime::{Runtime, Task};
use crate::server::event::{Event, Party};
use crate::server::outbox::Outbox;
use crate::server::shard::Shard;
use crate::time::{Duration, Instant, Timestamp};

/// A file to be played, or a part of it.
pub(in crate::server) struct Item<R: Runtime> {
    /// As its client calls it.
    pub(in crate::server) name: String,
    pub(in crate::server) source: Rc<Source<R::Disk>>,
    /// From here on, milliseconds: the keyframe before it.
    pub(in crate::server) from: u64,
    /// So many milliseconds; zero: one picture (or sound); none: to the end.
    pub(in crate::server) duration: Option<u64>,
}

/// A connection's hold on its viewing. Dropping it ends it.
pub(in crate::server) struct Viewing<R: Runtime> {
    steer: Rc<Steer<R>>,
    party: Party,
    shard: Shard<R>,
    _task: Task<()>,
}

/// What the client wants now.
struct Steer<R: Runtime> {
    list: RefCell<VecDeque<Item<R>>>,
    paused: Cell<bool>,
    /// Where to go on, milliseconds.
    seek: Cell<Option<u64>>,
    audio: Cell<bool>,
    video: Cell<bool>,
    /// How long the client buffers.
    buffer: Cell<Duration>,
    /// Something of the above is new.
    changed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<R: Runtime> Steer<R> {
    fn change(&self) {
        self.changed.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl<R: Runtime> Viewing<R> {
    /// Begins with `item`, on message stream `stream`; the client has been told.
    pub(in crate::server) fn begin(
        shard: &Shard<R>,
        party: Party,
        outbox: Rc<Outbox<R::Conn>>,
        stream: MessageStreamId,
        item: Item<R>,
    ) -> Self {
        let steer = Rc::new(Steer {
            list: RefCell::new(VecDeque::from([item])),
            paused: Cell::new(false),
            seek: Cell::new(None),
            audio: Cell::new(true),
            video: Cell::new(true),
            buffer: Cell::new(limits::VOD_BUFFER),
            changed: Cell::new(false),
            waker: RefCell::default(),
        });
        let projector = Projector {
            shard: shard.clone(),
            outbox,
            stream,
            steer: Rc::clone(&steer),
            chunk_size: shard.settings().chunk_size,
            queued: Cell::new(0),
        };
        shard.emit(Event::PlayStart(party.clone()));
        shard.meters().plays.add(1);
        Self {
            steer,
            party,
            shard: shard.clone(),
            _task: shard.runtime().spawn("viewing", projector.run()),
        }
    }

    /// One more file behind those that wait; false if there are too many.
    pub(in crate::server) fn append(&self, item: Item<R>) -> bool {
        let mut list = self.steer.list.borrow_mut();
        if list.len() >= limits::PLAYLIST {
            return false;
        }
        list.push_back(item);
        drop(list);
        self.steer.change();
        true
    }

    /// `app/name` of the file that it began with.
    pub(in crate::server) fn key(&self) -> &str {
        self.party.stream.as_str()
    }

    /// Holds it, or goes on.
    pub(in crate::server) fn set_paused(&self, paused: bool) {
        self.steer.paused.set(paused);
        self.steer.change();
    }

    /// Goes on at `position` milliseconds.
    pub(in crate::server) fn seek(&self, position: f64) {
        self.steer.seek.set(Some(millis(position)));
        self.steer.change();
    }

    /// receiveAudio, receiveVideo.
    pub(in crate::server) fn set_wanted(&self, audio: Option<bool>, video: Option<bool>) {
        audio.inspect(|&audio| self.steer.audio.set(audio));
        video.inspect(|&video| self.steer.video.set(video));
    }

    /// SetBufferLength.
    pub(in crate::server) fn set_buffer(&self, buffer: Option<Duration>) {
        let buffer = buffer.unwrap_or(limits::VOD_BUFFER);
        let buffer = buffer.clamp(limits::VOD_BUFFER_MIN, limits::VOD_BUFFER_MAX);
        if self.steer.buffer.replace(buffer) != buffer {
            self.steer.change();
        }
    }

    /// The outbox has been written from: it may be empty now.
    pub(in crate::server) fn wake(&self) {
        self.steer.wake();
    }
}

impl<R: Runtime> Drop for Viewing<R> {
    fn drop(&mut self) {
        self.shard.emit(Event::PlayStop(self.party.clone()));
    }
}

/// A client's number of milliseconds; nonsense is zero.
fn millis(number: f64) -> u64 {
    number.max(0.0) as u64 // saturates; NaN is zero
}

/// Who does it.
struct Projector<R: Runtime> {
    shard: Shard<R>,
    outbox: Rc<Outbox<R::Conn>>,
    stream: MessageStreamId,
    steer: Rc<Steer<R>>,
    chunk_size: u32,
    /// Bytes that were put into the outbox since it was last found empty.
    queued: Cell<usize>,
}

/// Where a viewer is in a file.
struct Place {
    cursor: AnyCursor,
    /// When what time of the file was due to begin; none until the next message.
    anchor: Option<(Instant, u64)>,
    /// Until then what was sent before this file plays: the buffer holds that, too.
    not_before: Option<Instant>,
    /// The next message, already read.
    next: Option<Packet>,
    /// The headers have not been sent since the last jump.
    is_new: bool,
    /// The part that is wanted ends here, milliseconds.
    until: Option<u64>,
    /// A picture or sound of it has been sent.
    begun: bool,
    /// Bytes that were sent.
    sent: u64,
    /// The time of the first and the newest message that was sent.
    span: Option<(u64, u64)>,
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// What was waited for is there.
    Ready,
    /// The client wants something else.
    Steered,
}

impl<R: Runtime> Projector<R> {
    async fn run(self) {
        let mut first = true;
        let mut played = None;
        loop {
            let Some(item) = self.next_item().await else {
                continue;
            };
            if !std::mem::take(&mut first) {
                self.say(play_switched(self.stream, &item.name, self.chunk_size));
            }
            let mut place = Place::at(&item, item.from);
            place.not_before = played;
            while let Err(error) = self.play(&item, &mut place).await {
                if self.steer.seek.get().is_none() {
                    self.fail(&item, &error); // else it is elsewhere by now
                }
                if !self.until_sought(&item, &mut place).await {
                    break; // the next of the list, which may be sound
                }
            }
            played = place.end().max(place.not_before);
        }
    }

    /// The next of the list.
    async fn next_item(&self) -> Option<Item<R>> {
        if self.steer.list.borrow().is_empty() {
            self.wait(None, false).await;
        }
        self.steer.seek.set(None);
        self.steer.list.borrow_mut().pop_front()
    }

    /// Plays until the file ends and there is another to play.
    async fn play(&self, item: &Item<R>, place: &mut Place) -> Result<(), OpenError> {
        for turn in 1.. {
            if turn % limits::VOD_PACKETS_PER_TURN == 0 {
                yield_now().await; // everything may come from memory, and the neighbours wait
            }
            self.obey(item, place);
            if self.steer.paused.get() {
                place.anchor = None;
                if planted(Bug::PauseLosesFrame) {
                    place.next = None;
                }
                self.wait(None, false).await;
                continue;
            }
            if place.next.is_none() {
                if place.is_new {
                    item.source.look().await?;
                }
                place.next = item.source.next(&mut place.cursor).await?;
            }
            if place.is_over() {
                if self.is_over(item, place).await? {
                    return Ok(());
                }
                continue;
            }
            if self.until_due(place).await == Woken::Ready
                && self.until_there_is_room().await == Woken::Ready
                && !self.steer.changed.get()
            {
                // What the client asked for while the disk was busy is heard first.
                self.send_next(item, place);
            }
        }
        Ok(())
    }

    /// Does what the client has asked for since.
    fn obey(&self, item: &Item<R>, place: &mut Place) {
        self.steer.changed.set(false);
        if let Some(time) = self.steer.seek.take() {
            let (sent, until) = (place.sent, place.until);
            *place = Place::at(item, time);
            place.sent = sent;
            place.until = until.filter(|until| *until > time);
        }
    }

    /// The file has nothing more: waits until it has, or until the client seeks (false), or goes on to the next (true).
    async fn is_over(&self, item: &Item<R>, place: &mut Place) -> Result<bool, OpenError> {
        let ends = place.next.is_some() || !item.source.may_grow().await?;
        if self.steer.changed.get() {
            return Ok(false); // what the client asked for while the disk was busy is heard first
        }
        if !ends {
            let again = self.now() + limits::VOD_GROWTH;
            self.wait(Some(again), false).await;
            return Ok(false);
        }
        if self.steer.list.borrow().is_empty() {
            // The client has it, and plays it: what it appends until then follows without a break.
            let end = place.end().unwrap_or(Instant::ZERO);
            if self.now() < end && !planted(Bug::CompleteTooSoon) {
                self.wait(Some(end), false).await;
                return Ok(false);
            }
            let seconds = place.span.map_or(0, |(from, to)| to - from) as f64 / 1e3;
            let what = (seconds, place.sent);
            self.say(play_completed(
                self.stream,
                &item.name,
                what,
                self.chunk_size,
            ));
            if self.until_sought(item, place).await {
                return Ok(false);
            }
        }
        Ok(!self.steer.list.borrow().is_empty() && self.steer.seek.get().is_none())
    }

    /// Waits until the client wants to be elsewhere: in this file, or (false) in the next.
    async fn until_sought(&self, item: &Item<R>, place: &mut Place) -> bool {
        while self.steer.seek.get().is_none() && self.steer.list.borrow().is_empty() {
            self.steer.changed.set(false);
            self.wait(None, false).await;
        }
        let has_sought = self.steer.seek.get().is_some();
        self.obey(item, place);
        has_sought
    }

    /// Waits until the next message is due.
    async fn until_due(&self, place: &mut Place) -> Woken {
        let now = self.now();
        let Some(time) = place.next.as_ref().map(|packet| packet.time) else {
            return Woken::Ready;
        };
        let begins = place.not_before.map_or(now, |before| before.max(now));
        let (began, from) = *place.anchor.get_or_insert((begins, time));
        let plays = began + Duration::from_millis(time.saturating_sub(from));
        let early = plays.since(now).saturating_sub(self.steer.buffer.get());
        if early.is_zero() || planted(Bug::ViewUnpaced) {
            return Woken::Ready;
        }
        self.wait(Some(now + early), false).await
    }

    /// Waits until the outbox takes more.
    async fn until_there_is_room(&self) -> Woken {
        if self.queued.get() < limits::VOD_WRITE_BYTES {
            return Woken::Ready;
        }
        self.flush();
        match self.outbox.is_empty() {
            true => Woken::Ready,
            false => self.wait(None, true).await,
        }
    }

    /// Waits for an instant, or for room in the outbox, or for the client; whichever comes first.
    async fn wait(&self, until: Option<Instant>, room: bool) -> Woken {
        self.flush();
        let sleep = until.map(|at| self.shard.runtime().sleep_until(at));
        let mut sleep = pin!(sleep);
        poll_fn(|cx| {
            if self.steer.changed.get() {
                return Poll::Ready(Woken::Steered);
            }
            if room && self.outbox.is_empty() {
                return Poll::Ready(Woken::Ready);
            }
            *self.steer.waker.borrow_mut() = Some(cx.waker().clone());
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.poll(cx).map(|()| Woken::Ready),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn send_next(&self, item: &Item<R>, place: &mut Place) {
        let Some(packet) = place.next.take() else {
            return;
        };
        let time = Timestamp(packet.time as u32); // RTMP's clock goes round
        if std::mem::take(&mut place.is_new) {
            let info = item.source.info();
            let metadata = info.metadata.iter().map(|data| (MediaKind::Data, data));
            let headers = info.headers.iter().map(|(kind, bytes)| (*kind, bytes));
            for (kind, payload) in metadata.chain(headers) {
                self.send(kind, time, payload);
            }
        }
        let wanted = match packet.kind {
            MediaKind::Audio => self.steer.audio.get(),
            MediaKind::Video => self.steer.video.get(),
            MediaKind::Data => true,
        };
        place.begun |= packet.kind != MediaKind::Data;
        let first = place.span.map_or(packet.time, |(first, _)| first);
        place.span = Some((first.min(packet.time), packet.time.max(first)));
        if wanted {
            place.sent += packet.payload.len() as u64;
            self.send(packet.kind, time, &packet.payload);
        }
    }

    fn send(&self, kind: MediaKind, time: Timestamp, payload: &[u8]) {
        let message = WireMessage::new(kind, time, payload, self.chunk_size);
        if self.stream == 1 {
            self.queue(message.shared(0));
        } else {
            let (header, len) = message.header_for(self.stream);
            self.queue(Bytes::copy_from_slice(header.get(..len).unwrap_or(&header)));
            self.queue(message.shared(message.header_len()));
        }
    }

    fn queue(&self, bytes: Bytes) {
        if self.outbox.is_empty() {
            self.queued.set(0);
        }
        self.queued.set(self.queued.get() + bytes.len());
        self.outbox.queue(bytes);
    }

    fn say(&self, bytes: Vec<u8>) {
        self.queue(bytes.into());
        self.flush();
    }

    fn flush(&self) {
        if self.queued.get() > 0 {
            self.outbox.flush(self.now());
        }
        if self.outbox.is_empty() {
            self.queued.set(0);
        }
    }

    fn fail(&self, item: &Item<R>, error: &OpenError) {
        tracing::warn!(
            connection = self.outbox.connection,
            file = item.name,
            "cannot be played on: {error}"
        );
        let status = match error {
            OpenError::File(_) => Status::PlayFileStructureInvalid,
            _ => Status::PlayFailed,
        };
        let why = error.to_string();
        self.say(play_failed(self.stream, status, &why, self.chunk_size));
    }

    fn now(&self) -> Instant {
        self.shard.runtime().now()
    }
}

impl Place {
    fn at<R: Runtime>(item: &Item<R>, time: u64) -> Self {
        Self {
            cursor: item.source.seek(time),
            anchor: None,
            not_before: None,
            next: None,
            is_new: true,
            until: item
                .duration
                .map(|duration| item.from.saturating_add(duration)),
            begun: false,
            sent: 0,
            span: None,
        }
    }

    /// When what was sent will have been played.
    fn end(&self) -> Option<Instant> {
        let ((began, from), (_, to)) = (self.anchor?, self.span?);
        Some(began + Duration::from_millis(to.saturating_sub(from)))
    }

    /// Whether there is nothing more to be sent, for now.
    fn is_over(&self) -> bool {
        match (&self.next, self.until) {
            (None, _) => true,
            (Some(packet), Some(until)) => self.begun && packet.time >= until,
            (Some(_), None) => false,
        }
    }
}
