//! Players and the pump: every player of a stream holds a place in its ring and is written to directly, with no
//! queue, no copy and no task wake of its own.
//!
//! A pass walks all players. Its first [`limits::PUMP_PLAYERS`] are served in the turn of whoever brought the
//! frames, the rest in slices by the stream's pump task, so that a huge stream delays its neighbours by about a
//! millisecond. Frames that arrive during a pass leave merged in the next. With a merge time the first frame of a pass
//! waits that long for others, and the pump begins it.

mod joiners;
mod patience;
mod rewind;

use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;

use bytes::Bytes;
pub(super) use joiners::Joiners;
use patience::Patience;
use rewind::{Held, Rewind};

use super::event::{Event, Party};
use super::meters::Meters;
use super::outbox::{Flushed, Outbox, Slices};
use super::shard::Shard;
use super::stream::{LiveStream, Source, State};
use crate::limits;
use crate::media::cursor::Cursor;
use crate::media::directory::StreamKey;
use crate::media::frame::FrameKind;
use crate::media::ring::{Item, NoticeKind};
use crate::media::stream::Stream;
use crate::planted::{Bug, planted};
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::session::server::{publisher_began, publisher_ended};
use crate::rtmp::wire::WireMessage;
use crate::runtime::{Conn, Runtime};
use crate::time::{Duration, Instant};

/// One player of a stream.
pub(super) struct Player<C> {
    pub(super) outbox: Rc<Outbox<C>>,
    pub(super) cursor: Cursor,
    stream: MessageStreamId,
    patience: Patience,
    /// It has had its first frame.
    begun: bool,
    /// And it plays on message stream 1: most of them, most of the time.
    usual: bool,
}

/// What all players of a stream are held to in one visit.
#[derive(Clone, Copy)]
struct Rules<'a> {
    key: &'a str,
    chunk_size: u32,
    /// Whoever stands before this jumps.
    floor: u64,
    jumps_per_minute: u32,
    now: Instant,
}

/// How far the current walk over the players has come.
#[derive(Default)]
pub(super) struct Pass {
    active: bool,
    /// The next slot to serve.
    at: usize,
    /// The ring's head when the pass began.
    head: u64,
    /// And all bytes that had come by then.
    pushed: u64,
    /// Somebody open still has something to get.
    again: bool,
    /// Somebody has not had everything, open or not.
    laggards: bool,
    /// When frames that wait for others leave.
    due: Option<Instant>,
    /// Somebody holds the stream (`pause`): it goes on at the last word at the latest.
    held: bool,
}

/// How a visit to one player went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Delivery {
    /// It has everything.
    CaughtUp,
    /// It took what one write holds, and there is more.
    Behind,
    /// It takes nothing now; its own task is woken when it does.
    Stuck,
}

/// What players who stand at one place in the ring get next, gathered once for all of them.
struct Gathered<'a> {
    from: u64,
    to: u64,
    slices: Slices<'a>,
    /// How many players it was written to.
    writes: u64,
}

impl<'a> Gathered<'a> {
    fn from(media: &'a Stream, from: u64) -> Self {
        let mut slices = Slices::default();
        let mut to = from;
        for item in media.ring().items_from(from) {
            to += 1;
            if !slices.add(item.bytes()) {
                break;
            }
        }
        Self {
            from,
            to,
            slices,
            writes: 0,
        }
    }

    fn count(&self, meters: &Meters) {
        let bytes = self.slices.bytes() as u64;
        meters.write_sizes.observe(bytes, self.writes);
    }
}

/// The rewritten messages of a player on another message stream than 1 are made some at a time.
const REBUILT_AT_ONCE: usize = limits::GATHER_SLICES / 2;

impl<C: Conn> Player<C> {
    /// Whether it gets just what every player at its place gets.
    fn is_plain(&self, media: &Stream, floor: u64) -> bool {
        let next = self.cursor.next();
        self.usual
            && self.cursor.takes_all()
            && !self.cursor.is_paused()
            && (media.ring().base().max(floor)..media.ring().head()).contains(&next)
            && self.outbox.is_open()
            && self.outbox.is_empty()
    }

    /// [`Player::deliver`] to one who [is plain](Player::is_plain): most of them, most of the time.
    #[inline(always)] // 40 instructions a delivered frame
    fn deliver_gathered(
        &mut self,
        media: &Stream,
        gathered: &Gathered<'_>,
        now: Instant,
    ) -> Delivery {
        let flushed = self.outbox.write_gathered(now, &gathered.slices);
        if flushed == Flushed::Open(gathered.slices.bytes()) {
            self.cursor.advance(gathered.to - gathered.from);
        } else {
            self.took(media, flushed);
        }
        self.delivery(media, flushed)
    }

    /// [`Player::deliver`]; true if that held the player's first frame.
    fn deliver_watched(&mut self, media: &Stream, rules: Rules<'_>) -> (Delivery, bool) {
        let (from, gate) = (self.cursor.next(), self.cursor.is_waiting_for_key());
        let delivery = self.deliver(media, rules);
        if self.begun {
            return (delivery, false);
        }
        let had = usize::try_from(self.cursor.next().saturating_sub(from)).unwrap_or(0);
        let mut frames = media
            .ring()
            .items_from(from)
            .take(had)
            .filter_map(Item::frame);
        self.begun = frames.any(|frame| match frame.kind {
            FrameKind::Keyframe => true,
            FrameKind::Inter | FrameKind::Audio => !gate,
            _ => false,
        });
        self.usual = self.begun && self.stream == 1;
        (delivery, self.begun)
    }

    /// Gives the player what one write holds.
    fn deliver(&mut self, media: &Stream, rules: Rules<'_>) -> Delivery {
        let now = rules.now;
        if !self.outbox.is_open() {
            return Delivery::Stuck;
        }
        if self.cursor.is_paused() || self.cursor.next() < media.ring().base().max(rules.floor) {
            if self.outbox.flush(now) != Flushed::Open(0) {
                return Delivery::Stuck;
            }
            if self.cursor.is_paused() {
                return Delivery::Stuck;
            }
            if let Some(prelude) = self.cursor.catch_up(media, rules.floor, now) {
                if self.patience.ends(rules.jumps_per_minute, now) {
                    self.outbox.condemn("it lost frames more often than it may");
                    return Delivery::Stuck;
                }
                queue_prelude(&self.outbox, self.stream, &prelude);
            }
        }
        if self.outbox.is_empty() && self.cursor.next() == media.ring().head() {
            return Delivery::CaughtUp;
        }
        let flushed = if self.stream != 1 {
            self.write_rebuilt(media, rules)
        } else if self.cursor.takes_all() {
            self.write_all(media, now)
        } else {
            self.write_wanted(media, now)
        };
        self.delivery(media, flushed)
    }

    fn delivery(&self, media: &Stream, flushed: Flushed) -> Delivery {
        match flushed {
            Flushed::Shut(_) => Delivery::Stuck,
            Flushed::Open(_)
                if self.outbox.is_empty() && self.cursor.next() == media.ring().head() =>
            {
                Delivery::CaughtUp
            }
            Flushed::Open(_) => Delivery::Behind,
        }
    }

    fn write_all(&mut self, media: &Stream, now: Instant) -> Flushed {
        let items = media.ring().items_from(self.cursor.next());
        let flushed = self.outbox.write(now, items.map(Item::bytes));
        self.took(media, flushed);
        flushed
    }

    /// So many bytes of the ring it took: the rest of a torn message is queued.
    fn took(&mut self, media: &Stream, flushed: Flushed) {
        let (Flushed::Open(mut taken) | Flushed::Shut(mut taken)) = flushed;
        let mut count = 0;
        for item in media.ring().items_from(self.cursor.next()) {
            if taken == 0 {
                break;
            }
            count += 1;
            let len = item.bytes().len();
            if taken < len {
                self.outbox.queue_torn(item.rest(taken));
                break;
            }
            taken -= len;
        }
        self.cursor.advance(count);
    }

    fn write_wanted(&mut self, media: &Stream, now: Instant) -> Flushed {
        let mut probe = self.cursor.clone();
        let items = media.ring().items_from(self.cursor.next());
        let flushed = self
            .outbox
            .write(now, items.filter(|item| probe.step(item)).map(Item::bytes));
        let (Flushed::Open(mut taken) | Flushed::Shut(mut taken)) = flushed;
        while let Some(item) = media.ring().get(self.cursor.next()) {
            let mut after = self.cursor.clone();
            if after.step(item) {
                let len = item.bytes().len();
                if taken == 0 {
                    break;
                }
                if taken < len {
                    self.outbox.queue_torn(item.rest(taken));
                }
                taken = taken.saturating_sub(len);
            }
            self.cursor = after;
        }
        flushed
    }

    /// A player on another message stream than 1: its headers are its own, the payloads are shared.
    fn write_rebuilt(&mut self, media: &Stream, rules: Rules<'_>) -> Flushed {
        if self.outbox.is_empty() {
            let mut made = 0;
            while let Some(item) = media.ring().get(self.cursor.next())
                && made < REBUILT_AT_ONCE
            {
                if self.cursor.step(item) {
                    made += 1;
                    match item {
                        Item::Frame(frame) => {
                            (self.outbox).queue_message(self.stream, &frame.message)
                        }
                        Item::Notice(notice) => {
                            self.outbox.queue(notice_for(
                                notice.kind,
                                self.stream,
                                rules.key,
                                rules.chunk_size,
                            ));
                        }
                    }
                }
            }
        }
        self.outbox.flush(rules.now)
    }
}

fn queue_prelude<C: Conn>(outbox: &Outbox<C>, stream: MessageStreamId, prelude: &[WireMessage]) {
    for message in prelude {
        outbox.note_prelude(message.payload_len());
        outbox.queue_message(stream, message);
    }
}

/// What a player on `stream` is told about its publisher.
pub(super) fn notice_for(
    kind: NoticeKind,
    stream: MessageStreamId,
    key: &str,
    chunk_size: u32,
) -> Bytes {
    match kind {
        NoticeKind::Began => publisher_began(stream, key, chunk_size).into(),
        NoticeKind::Ended => publisher_ended(stream, key, chunk_size).into(),
    }
}

impl<C: Conn> LiveStream<C> {
    /// New items are in the ring: serves the first players at once, and leaves the rest to the pump.
    pub(super) fn deliver_new<R: Runtime<Conn = C>>(self: &Rc<Self>, runtime: &R) {
        let now = runtime.now();
        let for_pump = {
            let state = &mut *self.state.borrow_mut();
            if state.pass.active && self.has_pump() {
                return; // the pump is at it, and will see that the head has moved
            }
            if state.has_nothing_new() {
                return; // most reads bring a part of a message only
            }
            if state.players.is_empty() {
                state.media.clear_if_ended(false);
                return;
            }
            match state.pass.due {
                None if state.merges() => {
                    state.pass.due = Some(now + state.merge_time());
                    true
                }
                Some(due) if now < due && state.merges() => !self.has_pump(),
                _ => {
                    state.begin_pass();
                    state.serve(&self.key, self.chunk_size, slice(runtime), now)
                }
            }
        };
        if for_pump {
            self.wake_pump(runtime);
        }
    }

    /// Serves one player, in its own connection's turn.
    fn deliver_to<R: Runtime<Conn = C>>(self: &Rc<Self>, slot: usize, runtime: &R) -> Delivery {
        let now = runtime.now();
        let (behind, delivery) = {
            let state = &mut *self.state.borrow_mut();
            let rules = state.rules(&self.key, self.chunk_size, now);
            match state.players.get_mut(slot) {
                Some(player) => {
                    let behind = player.cursor.next() != state.media.ring().head()
                        || !player.outbox.is_empty();
                    let (delivery, begun) = player.deliver_watched(&state.media, rules);
                    if begun {
                        state.joiners.begun(slot, now);
                    }
                    (behind, delivery)
                }
                None => (false, Delivery::CaughtUp),
            }
        };
        if behind && delivery == Delivery::CaughtUp {
            self.let_go_of_the_past(runtime);
        }
        delivery
    }

    /// A laggard of a stream that has ended may have been the last: has the pump look, or the ring would stay for
    /// as long as anybody waits for the next publisher.
    fn let_go_of_the_past<R: Runtime<Conn = C>>(self: &Rc<Self>, runtime: &R) {
        {
            let state = &mut *self.state.borrow_mut();
            if !state.media.holds_the_past() || state.players.is_empty() {
                return;
            }
            state.request_pass();
        }
        self.wake_pump(runtime);
    }

    /// Whether the pump's task lives: it is spawned when first needed, and again should it have panicked.
    fn has_pump(&self) -> bool {
        self.pump
            .borrow()
            .as_ref()
            .is_some_and(|task| !task.is_finished())
    }

    /// Has the pump run soon; spawns it if there is none yet.
    pub(super) fn wake_pump<R: Runtime<Conn = C>>(self: &Rc<Self>, runtime: &R) {
        if !self.has_pump() {
            let task = runtime.spawn("pump", pump(Rc::downgrade(self), runtime.clone()));
            *self.pump.borrow_mut() = Some(task);
        } else if let Some(waker) = &*self.pump_waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// The pump: a slice of players each time it is woken, until the pass is over; then it waits for what is woken for, and
/// for the time when merged frames are due.
async fn pump<R: Runtime>(stream: Weak<LiveStream<R::Conn>>, runtime: R) {
    let mut timer = None;
    poll_fn(|cx| {
        let Some(stream) = stream.upgrade().filter(|stream| !stream.closed.get()) else {
            return Poll::Ready(());
        };
        stream
            .pump_waker
            .borrow_mut()
            .get_or_insert_with(|| cx.waker().clone())
            .clone_from(cx.waker());
        let state = &mut *stream.state.borrow_mut();
        let now = runtime.now();
        let is_due = state.pass.due.is_some_and(|due| due <= now);
        if !state.pass.active && (state.pass.again || is_due) {
            state.begin_pass();
        }
        let (key, chunk_size) = (&stream.key, stream.chunk_size);
        if state.pass.active && state.serve(key, chunk_size, slice(&runtime), now) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if timer.as_ref().map(|(at, _)| *at) != state.pass.due {
            timer = state
                .pass
                .due
                .map(|due| (due, Box::pin(runtime.sleep_until(due))));
        }
        if let Some((_, sleep)) = &mut timer
            && sleep.as_mut().poll(cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Players of one turn.
fn slice<R: Runtime>(runtime: &R) -> usize {
    if runtime.buggify("small pump slice") {
        1
    } else {
        limits::PUMP_PLAYERS
    }
}

impl<C: Conn> State<C> {
    fn detach(&mut self, slot: usize) -> Option<Player<C>> {
        let player = self.players.try_remove(slot);
        self.joiners.left(slot);
        if self.players.is_empty() {
            self.slots = 0;
        }
        player
    }

    /// Whether nothing has come since the last pass began, which has been finished and left nothing to do.
    fn has_nothing_new(&self) -> bool {
        !self.pass.active && !self.pass.again && self.pass.head == self.media.ring().head()
    }

    /// Whether frames wait for others now: not if they fill a write already, or half a small ring, and nobody waits for
    /// the word that a publisher has gone.
    fn merges(&self) -> bool {
        let ring = self.media.ring();
        let enough = limits::GATHER_SLICES.min(ring.max_frames() / 2) as u64;
        let is_full = ring.head() - self.pass.head >= enough
            || ring.pushed() - self.pass.pushed >= limits::GATHER_BYTES as u64;
        !self.merge.is_zero() && self.media.is_live() && !is_full
    }

    fn merge_time(&self) -> Duration {
        self.merge * if planted(Bug::MergeTooLong) { 200 } else { 1 }
    }

    fn begin_pass(&mut self) {
        self.pass = Pass {
            active: true,
            at: 0,
            head: self.media.ring().head(),
            pushed: self.media.ring().pushed(),
            again: false,
            laggards: false,
            due: None,
            held: false,
        };
    }

    /// Asks for a pass by the pump, for callers that may not write to sockets themselves.
    pub(super) fn request_pass(&mut self) {
        self.pass.again = true;
    }

    /// Serves the next slice of players; true if the pump is to come again.
    fn serve(&mut self, key: &StreamKey, chunk_size: u32, slice: usize, now: Instant) -> bool {
        self.serve_slice(key, chunk_size, slice, now);
        if self.pass.at < self.slots {
            return true;
        }
        self.pass.active = false;
        let moved = self.pass.head != self.media.ring().head();
        if moved && self.merges() {
            self.pass.due.get_or_insert(now + self.merge_time());
        } else {
            self.pass.again |= moved;
        }
        if !moved && !self.pass.again && !self.pass.laggards {
            self.media.clear_if_ended(self.pass.held);
        }
        self.pass.again
    }

    fn rules<'a>(&self, key: &'a StreamKey, chunk_size: u32, now: Instant) -> Rules<'a> {
        Rules {
            key: key.as_str(),
            chunk_size,
            floor: self.media.floor(now),
            jumps_per_minute: self.jumps_per_minute,
            now,
        }
    }

    fn serve_slice(&mut self, key: &StreamKey, chunk_size: u32, slice: usize, now: Instant) {
        let media = &self.media;
        let rules = self.rules(key, chunk_size, now);
        let mut served = 0;
        let mut gathered: Option<Gathered<'_>> = None;
        while self.pass.at < self.slots && served < slice {
            if let Some(player) = self.players.get_mut(self.pass.at) {
                served += 1;
                let delivery = if player.is_plain(media, rules.floor) {
                    let next = player.cursor.next();
                    let here = match &mut gathered {
                        Some(here) if here.from == next => here,
                        elsewhere => {
                            if let Some(there) = elsewhere {
                                there.count(&self.joiners.meters);
                            }
                            elsewhere.insert(Gathered::from(media, next))
                        }
                    };
                    here.writes += 1;
                    player.deliver_gathered(media, here, now)
                } else {
                    let (delivery, begun) = player.deliver_watched(media, rules);
                    if begun {
                        self.joiners.begun(self.pass.at, now);
                    }
                    delivery
                };
                self.pass.again |= delivery == Delivery::Behind;
                let held = player.cursor.is_paused();
                self.pass.held |= held;
                self.pass.laggards |= delivery != Delivery::CaughtUp && !held;
            }
            self.pass.at += 1;
        }
        if let Some(last) = gathered {
            last.count(&self.joiners.meters);
        }
    }
}

/// A connection's part in a stream it plays; dropping it detaches the player.
pub(super) struct Play<R: Runtime> {
    shard: Shard<R>,
    stream: Rc<LiveStream<R::Conn>>,
    slot: usize,
    message_stream: MessageStreamId,
    party: Party,
    outbox: Rc<Outbox<R::Conn>>,
    /// It has been back in what is recorded of the stream, or holds it and may be.
    rewind: Option<Box<Rewind<R>>>,
    held: Option<Held>,
}

impl<R: Runtime> Play<R> {
    /// Attaches a player: headers and metadata are queued behind the replies in `outbox`, the newest GOP follows
    /// from the ring.
    pub(super) fn attach(
        shard: &Shard<R>,
        party: Party,
        outbox: Rc<Outbox<R::Conn>>,
        message_stream: MessageStreamId,
    ) -> Self {
        Self::attach_to(shard, party, outbox, message_stream, true)
    }

    fn attach_to(
        shard: &Shard<R>,
        party: Party,
        outbox: Rc<Outbox<R::Conn>>,
        message_stream: MessageStreamId,
        is_live: bool,
    ) -> Self {
        let stream = shard.stream(&party.stream);
        let here = Rc::clone(&outbox);
        let slot = {
            let mut state = stream.state.borrow_mut();
            let now = shard.runtime().now();
            let (cursor, prelude) = state.media.join(now);
            if is_live {
                queue_prelude(&outbox, message_stream, &prelude);
            }
            let slot = state.players.insert(Player {
                outbox,
                cursor,
                stream: message_stream,
                patience: Patience::new(now),
                begun: false,
                usual: false,
            });
            state.joiners.came(slot, now);
            shard.meters().plays.add(1);
            state.slots = state.slots.max(slot + 1);
            slot
        };
        shard.subscribe(&stream);
        shard.emit(Event::PlayStart(party.clone()));
        Self {
            shard: shard.clone(),
            stream,
            slot,
            message_stream,
            party,
            outbox: here,
            rewind: None,
            held: None,
        }
    }

    /// The same for one who wants what is recorded of the stream first, from `start` on ([`Past`](super::vod::Past)).
    pub(super) fn attach_back(
        shard: &Shard<R>,
        party: Party,
        outbox: Rc<Outbox<R::Conn>>,
        message_stream: MessageStreamId,
        start: (f64, Option<f64>),
    ) -> Self {
        let mut play = Self::attach_to(shard, party, outbox, message_stream, false);
        play.begin_back(start);
        play
    }

    /// Whether somebody publishes the stream, as far as this shard knows.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.stream.state.borrow().source, Source::None)
    }

    /// Gives this player what one write holds.
    pub(super) fn deliver(&self) -> Delivery {
        self.stream.deliver_to(self.slot, self.shard.runtime())
    }

    /// `receiveAudio`, `receiveVideo`.
    pub(super) fn set_wanted(&self, audio: Option<bool>, video: Option<bool>) {
        if let Some(rewind) = &self.rewind {
            rewind.set_wanted(audio, video);
        }
        if let Some(player) = self.stream.state.borrow_mut().players.get_mut(self.slot) {
            player.cursor.set_wanted(audio, video);
        }
    }

    /// `app/name`.
    pub(super) fn key(&self) -> &str {
        self.party.stream.as_str()
    }

    /// The message stream it plays on.
    pub(super) fn message_stream(&self) -> MessageStreamId {
        self.message_stream
    }
}

impl<R: Runtime> Drop for Play<R> {
    fn drop(&mut self) {
        let player = self.stream.state.borrow_mut().detach(self.slot);
        if let Some(player) = player
            && player.cursor.jumps().total() > 0
            && !planted(Bug::DropUncounted)
        {
            let jumps = player.cursor.jumps();
            self.shard.meters().jumped(jumps);
            tracing::info!(
                connection = self.party.connection,
                stream = %self.party.stream,
                overrun = jumps.overrun,
                late = jumps.late,
                shed = jumps.shed,
                "the player was behind the stream and lost frames, so many times because it was too far behind, too late, \
                 or memory was short"
            );
        }
        self.stream.let_go_of_the_past(self.shard.runtime());
        self.shard.unsubscribe_if_idle(&self.stream);
        self.shard.emit(Event::PlayStop(self.party.clone()));
    }
}
