//! One viewer's task: it asks its file for the next message, and sends that when it is due.
//!
//! A buffer's length is sent at once, and from then on as fast as it plays. A viewer that takes less is not sent more: the
//! file waits, and nothing piles up here. At the end it stays, as its client may seek back; so may one whose file turns out
//! to be broken.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use futures_lite::future::yield_now;

use super::past::Part;
use super::source::OpenError;
use super::viewing::{Had, Item, Last, Steer};
use crate::limits;
use crate::media::file::Packet;
use crate::media::file::any::AnyCursor;
use crate::planted::{Bug, planted};
use crate::rtmp::session::server::{play_completed, play_failed, play_switched};
use crate::rtmp::session::{MessageStreamId, Status};
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::runtime::Runtime;
use crate::server::outbox::Outbox;
use crate::server::shard::Shard;
use crate::time::{Duration, Instant, Timestamp};

/// A viewer's task.
pub(super) struct Projector<R: Runtime> {
    pub(super) shard: Shard<R>,
    outbox: Rc<Outbox<R::Conn>>,
    stream: MessageStreamId,
    pub(super) steer: Rc<Steer<R>>,
    chunk_size: u32,
    /// Bytes that were put into the outbox since it was last found empty.
    queued: Cell<usize>,
}

/// Where a viewer is in a file.
pub(super) struct Place {
    cursor: AnyCursor,
    /// Where it began, milliseconds.
    from: u64,
    /// Everything up to those messages is passed over, if they are there.
    pub(super) behind: Option<Had>,
    /// When what time of the file was due to begin; none until the next message.
    pub(super) anchor: Option<(Instant, i64)>,
    /// When it is due to begin, if what was sent before is still being played then.
    not_before: Option<Instant>,
    /// The next message, already read.
    next: Option<Packet>,
    /// Since when there is nothing more in a file that may still grow.
    dry: Option<Instant>,
    /// The headers have not been sent since the last jump.
    is_new: bool,
    /// The part that is wanted ends here, milliseconds.
    pub(super) until: Option<u64>,
    /// A picture or sound of it has been sent.
    begun: bool,
    /// Bytes that were sent.
    pub(super) sent: u64,
    /// The time of the first and the newest message that was sent.
    pub(super) span: Option<(u64, u64)>,
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// What was waited for is there.
    Ready,
    /// The client wants something else.
    Steered,
}

impl<R: Runtime> Projector<R> {
    pub(super) fn new(
        shard: &Shard<R>,
        outbox: Rc<Outbox<R::Conn>>,
        stream: MessageStreamId,
        steer: Rc<Steer<R>>,
    ) -> Self {
        Self {
            shard: shard.clone(),
            outbox,
            stream,
            steer,
            chunk_size: shard.settings().chunk_size,
            queued: Cell::new(0),
        }
    }

    /// Plays one file after another.
    pub(super) async fn run(self) {
        let mut first = true;
        // When what was sent of the file before will have been played.
        let mut due: Option<Instant> = None;
        loop {
            let Some(item) = self.next_item().await else {
                continue;
            };
            if !std::mem::take(&mut first) {
                self.say(play_switched(self.stream, &item.name, self.chunk_size));
            }
            let mut place = Place::at(&item, item.from);
            place.not_before = due;
            loop {
                match self.play(&item, &mut place, None).await {
                    Ok(()) if self.goes_on(&item, &mut place).await => break,
                    Ok(()) => {}
                    Err(error) => {
                        if self.steer.seek.get().is_none() {
                            self.fail(&item.name, &error); // else it is elsewhere by now
                        }
                        if !self.until_sought(&item, &mut place).await {
                            break; // the next of the list, which may be sound
                        }
                    }
                }
            }
            due = place.end().max(place.not_before);
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

    /// Plays until the file ends, or (of the past of a live stream) until the client seeks.
    pub(super) async fn play(
        &self,
        item: &Item<R>,
        place: &mut Place,
        part: Option<Part<'_, R>>,
    ) -> Result<(), OpenError> {
        for turn in 1.. {
            if turn % limits::VOD_PACKETS_PER_TURN == 0 {
                yield_now().await; // everything may come from memory, and the neighbours wait
            }
            if part.is_some() && self.steer.seek.get().is_some() {
                return Ok(());
            }
            self.obey(item, place);
            if self.steer.paused.get() {
                place.hold(self.now());
                if planted(Bug::PauseLosesFrame) {
                    place.next = None;
                }
                self.wait(None, false).await;
                place.go_on(self.now());
                continue;
            }
            if place.next.is_none() {
                if place.is_new {
                    item.source.look().await?;
                }
                place.next = item.source.next(&mut place.cursor).await?;
            }
            if place.is_over() {
                if self.has_ended(item, place, part).await? {
                    return Ok(());
                }
                continue;
            }
            place.dry = None;
            if place.passes_over(item) {
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

    /// There is nothing more to be sent: whether it stays so. Otherwise waits until there may be.
    async fn has_ended(
        &self,
        item: &Item<R>,
        place: &mut Place,
        part: Option<Part<'_, R>>,
    ) -> Result<bool, OpenError> {
        let ends = place.next.is_some() || !item.source.may_grow().await?;
        if self.steer.changed.get() {
            return Ok(false); // what the client asked for while the disk was busy is heard first
        }
        if ends {
            return Ok(true);
        }
        let now = self.now();
        let dry = now.since(*place.dry.get_or_insert(now));
        if part.is_some_and(|part| part.is_left()) && dry >= limits::REWIND_GAP {
            return Ok(true);
        }
        self.wait(Some(now + limits::VOD_GROWTH), false).await;
        Ok(false)
    }

    /// The file has nothing more: waits until the client seeks (false), or goes on to the next (true).
    async fn goes_on(&self, item: &Item<R>, place: &mut Place) -> bool {
        if self.steer.list.borrow().is_empty() {
            // The client has it, and plays it: what it appends until then follows without a break.
            let end = place.end().unwrap_or(Instant::ZERO);
            if self.now() < end && !planted(Bug::CompleteTooSoon) {
                self.wait(Some(end), false).await;
                return false;
            }
            self.completed(&item.name, place.played(), place.sent);
            if self.until_sought(item, place).await {
                return false;
            }
        }
        !self.steer.list.borrow().is_empty() && self.steer.seek.get().is_none()
    }

    /// Tells the client that it has had everything: so many milliseconds and bytes.
    pub(super) fn completed(&self, name: &str, millis: u64, bytes: u64) {
        let what = (millis as f64 / 1e3, bytes);
        self.say(play_completed(self.stream, name, what, self.chunk_size));
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
        let Some(time) = place.next.as_ref().map(|packet| packet.time as i64) else {
            return Woken::Ready;
        };
        let begins = place.not_before.map_or(now, |before| before.max(now));
        let (began, from) = *place.anchor.get_or_insert((begins, time));
        let plays = began + Duration::from_millis(u64::try_from(time - from).unwrap_or(0));
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
    pub(super) async fn wait(&self, until: Option<Instant>, room: bool) -> Woken {
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
        let time = item.origin + packet.time as u32; // RTMP's clock goes round
        if std::mem::take(&mut place.is_new) {
            let info = item.source.info();
            let metadata = info.metadata.iter().filter(|_| item.tells_metadata);
            let metadata = metadata.map(|data| (MediaKind::Data, data));
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
        self.send_message(&WireMessage::new(kind, time, payload, self.chunk_size));
    }

    pub(super) fn send_message(&self, message: &WireMessage) {
        self.note_queued(message.bytes().len());
        self.outbox.queue_message(self.stream, message);
    }

    fn queue(&self, bytes: Bytes) {
        self.note_queued(bytes.len());
        self.outbox.queue(bytes);
    }

    /// So many bytes are about to be queued.
    fn note_queued(&self, bytes: usize) {
        if self.outbox.is_empty() {
            self.queued.set(0);
        }
        self.queued.set(self.queued.get() + bytes);
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

    pub(super) fn fail(&self, name: &str, error: &OpenError) {
        tracing::warn!(
            connection = self.outbox.connection,
            file = name,
            "cannot be played on: {error}"
        );
        let status = match error {
            OpenError::File(_) => Status::PlayFileStructureInvalid,
            _ => Status::PlayFailed,
        };
        let why = error.to_string();
        self.say(play_failed(self.stream, status, &why, self.chunk_size));
    }

    pub(super) fn now(&self) -> Instant {
        self.shard.runtime().now()
    }
}

impl Place {
    pub(super) fn at<R: Runtime>(item: &Item<R>, time: u64) -> Self {
        Self {
            cursor: item.source.seek(time),
            from: time,
            behind: None,
            anchor: None,
            not_before: None,
            next: None,
            dry: None,
            is_new: true,
            until: item
                .duration
                .map(|duration| item.from.saturating_add(duration)),
            begun: false,
            sent: 0,
            span: None,
        }
    }

    /// Whether the next message is one that its player has had. If what it had last is not in the file, it gets everything
    /// from the keyframe on.
    fn passes_over<R: Runtime>(&mut self, item: &Item<R>) -> bool {
        let (Some(had), Some(packet)) = (&mut self.behind, &self.next) else {
            return false;
        };
        let time = item.origin + packet.time as u32;
        let is_last = packet.kind == had.last.kind;
        let is_found = had.last.nth == 0;
        let one = match is_last {
            true => Some(&mut had.last),
            false => had.other.as_mut().filter(|other| other.kind == packet.kind),
        };
        let passes = match one.map(|one| (time.since(one.time), one)) {
            Some((0, one)) if one.nth > 0 => {
                one.nth -= 1;
                true
            }
            Some((since, _)) => since < 0,
            // Data, and what it has had none of lately: in the order of times.
            None => !is_found && time.since(had.last.time) < 0,
        };
        if is_last && !passes && !is_found {
            let until = self.until;
            *self = Self::at(item, self.from);
            self.until = until;
            return true;
        }
        if passes {
            self.next = None;
            return true;
        }
        self.is_new = false; // it has had the headers
        let is_beyond = |one: &Last| time.since(one.time) > 0;
        if is_found && is_beyond(&had.last) && had.other.as_ref().is_none_or(is_beyond) {
            self.behind = None;
        }
        false
    }

    /// When what was sent will have been played.
    pub(super) fn end(&self) -> Option<Instant> {
        let ((began, from), (_, to)) = (self.anchor?, self.span?);
        let length = u64::try_from(to as i64 - from).unwrap_or(0);
        Some(began + Duration::from_millis(length))
    }

    /// The client holds it: what it has not played by `now` it has still when it goes on.
    fn hold(&mut self, now: Instant) {
        if let Some((began, from)) = &mut self.anchor {
            let played = i64::try_from(now.since(*began).as_millis()).unwrap_or(i64::MAX);
            let sent = self.span.map_or(*from, |(_, to)| to as i64);
            *from = from.saturating_add(played).min(sent);
            *began = now;
        }
    }

    fn go_on(&mut self, now: Instant) {
        self.anchor = self.anchor.map(|(_, from)| (now, from));
    }

    /// Milliseconds that were sent.
    pub(super) fn played(&self) -> u64 {
        self.span.map_or(0, |(from, to)| to - from)
    }

    /// Whether that part of it ends here that was wanted.
    pub(super) fn has_enough(&self) -> bool {
        let next = self.next.as_ref().zip(self.until);
        next.is_some_and(|(packet, until)| self.begun && packet.time >= until)
    }

    /// Whether there is nothing more to be sent, for now.
    fn is_over(&self) -> bool {
        self.next.is_none() || self.has_enough()
    }
}
