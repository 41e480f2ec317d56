//! Players that hold a live stream, or seek in it: if it is recorded they go back in it.

use std::rc::Rc;
use std::sync::Arc;

use super::{Play, queue_prelude};
use crate::limits;
use crate::media::ring::Item;
use crate::media::timeline::{LongTime, Timeline};
use crate::runtime::{Conn, Runtime};
use crate::server::stream::LiveStream;
use crate::server::vod::{Controls, Past, is_now};
use crate::time::{Duration, Instant, Timestamp};

/// A player's way to what is recorded of its stream.
pub(super) struct Rewind<R: Runtime> {
    past: Rc<Past<R>>,
    controls: Controls<R>,
}

/// Where a player holds what is live.
#[derive(Clone, Copy)]
pub(super) struct Held {
    at: Timestamp,
    /// What was recorded then.
    timeline: Option<u64>,
}

impl<R: Runtime> Rewind<R> {
    pub(super) fn set_wanted(&self, audio: Option<bool>, video: Option<bool>) {
        self.controls.set_wanted(audio, video);
    }
}

impl<C: Conn> LiveStream<C> {
    /// The player in `slot` holds the stream, or goes on with what is live.
    pub(in crate::server) fn hold(&self, slot: usize, held: bool, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        if let Some(player) = state.players.get_mut(slot) {
            let prelude = player.cursor.set_paused(held, &state.media, now);
            queue_prelude(&player.outbox, player.stream, &prelude);
        }
    }
}

impl<R: Runtime> Play<R> {
    /// `pause`, with the client's position in milliseconds: holds the stream, or goes on where it was held, if that is
    /// recorded, and otherwise with what is live.
    pub(in crate::server) fn set_paused(&mut self, paused: bool, position: f64) {
        if let Some(rewind) = self.rewind.as_ref().filter(|one| one.past.is_away()) {
            return rewind.controls.set_paused(paused);
        }
        match self.held.take() {
            Some(held) if !paused && self.return_to(held) => {}
            held => {
                self.held = paused.then(|| held.unwrap_or(self.place(position)));
                self.hold(paused);
            }
        }
    }

    /// `seek` to the stream's time `position`, milliseconds. Whether it is recorded, rather than live; none: nothing of
    /// the stream is recorded.
    pub(in crate::server) fn seek(&mut self, position: f64) -> Option<bool> {
        let (timeline, edge) = self.recorded()?;
        let time = timeline.long(stamp(position));
        let time = u64::try_from(time).unwrap_or(0);
        let is_now = self.is_now(time, edge);
        match &self.rewind {
            Some(rewind) if rewind.past.is_away() => rewind.controls.seek(time),
            _ if is_now => {}
            _ => self.go_back(timeline.id(), time),
        }
        Some(!is_now)
    }

    /// Plays from the recording's beginning on, before anything that is live.
    pub(super) fn begin_back(&mut self, start: (f64, Option<f64>)) {
        self.hold(true);
        self.rewind = Some(self.way_back(Some(start)));
    }

    /// The outbox has been written from; the client buffers so much.
    pub(in crate::server) fn heed(&self, buffer: impl Fn() -> Option<Duration>) {
        if let Some(rewind) = &self.rewind {
            rewind.controls.heed(buffer());
        }
    }

    fn hold(&self, held: bool) {
        self.stream
            .hold(self.slot, held, self.shard.runtime().now());
    }

    /// What is recorded, and how far.
    fn recorded(&self) -> Option<(Arc<Timeline>, LongTime)> {
        let state = self.stream.state.borrow();
        let timeline = Arc::clone(state.media.timeline()?);
        let edge = timeline.long(state.media.newest());
        Some((timeline, edge))
    }

    fn is_now(&self, time: u64, edge: LongTime) -> bool {
        self.stream.state.borrow().media.is_live() && is_now(time, edge)
    }

    /// Where the player is by its own word, or (if that can hardly be) by ours.
    fn place(&self, position: f64) -> Held {
        let state = self.stream.state.borrow();
        let player = state.players.get(self.slot);
        let next = player.and_then(|player| state.media.ring().get(player.cursor.next()));
        let frame = next.and_then(Item::frame);
        let next = frame.map_or(state.media.newest(), |frame| frame.message.timestamp());
        let said = stamp(position);
        let most = i32::try_from(limits::VOD_BUFFER_MAX.as_millis()).unwrap_or(i32::MAX);
        Held {
            at: match (0..=most).contains(&next.since(said)) {
                true => said,
                false => next,
            },
            timeline: state.media.timeline().map(|timeline| timeline.id()),
        }
    }

    /// Goes on where it was held; false if that is not recorded, or as good as live.
    fn return_to(&mut self, held: Held) -> bool {
        let Some((timeline, edge)) = self.recorded() else {
            return false;
        };
        let Ok(time) = u64::try_from(timeline.long(held.at)) else {
            return false;
        };
        let is_its = held.timeline.is_none_or(|id| id == timeline.id());
        if !is_its || self.is_now(time, edge) {
            return false;
        }
        self.go_back(timeline.id(), time);
        true
    }

    /// Goes back to `time` of that timeline.
    fn go_back(&mut self, timeline: u64, time: u64) {
        self.hold(true);
        let paused = self.held.take().is_some();
        let rewind = self.rewind();
        rewind.past.leave(timeline);
        rewind.controls.set_paused(paused);
        rewind.controls.seek(time);
    }

    fn rewind(&mut self) -> &mut Rewind<R> {
        let rewind = self.rewind.take();
        let rewind = rewind.unwrap_or_else(|| self.way_back(None));
        self.rewind.insert(rewind)
    }

    fn way_back(&self, start: Option<(f64, Option<f64>)>) -> Box<Rewind<R>> {
        let past = Rc::new(Past::new(Rc::clone(&self.stream), self.slot, start));
        let outbox = Rc::clone(&self.outbox);
        let controls =
            Controls::of_past(&self.shard, outbox, self.message_stream, Rc::clone(&past));
        let state = self.stream.state.borrow();
        if let Some(player) = state.players.get(self.slot) {
            let (audio, video) = player.cursor.wanted();
            controls.set_wanted(Some(audio), Some(video));
        }
        Box::new(Rewind { past, controls })
    }
}

/// A client's number of milliseconds on the stream's clock; nonsense is zero.
fn stamp(position: f64) -> Timestamp {
    Timestamp(position.max(0.0) as u64 as u32) // saturates, NaN is zero; the clock goes around
}
