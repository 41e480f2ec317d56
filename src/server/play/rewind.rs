//! Players that hold a live stream, or seek in it: if it is recorded they go back in it.

use std::rc::Rc;

use super::{Play, queue_prelude};
use crate::limits;
use crate::media::frame::{Frame, FrameKind};
use crate::media::ring::Item;
use crate::runtime::{Conn, Runtime};
use crate::server::stream::LiveStream;
use crate::server::vod::{Controls, Had, Last, Past, Recorded};
use crate::time::{Duration, Instant, Timestamp};

/// A player's way to what is recorded of its stream.
pub(super) struct Rewind<R: Runtime> {
    past: Rc<Past<R>>,
    controls: Controls<R>,
}

/// Where a player holds what is live.
#[derive(Clone, Copy)]
pub(super) struct Held {
    had: Had,
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

    /// The player in `slot` goes on just where it has held the stream; false if that is not in the ring any more.
    fn let_go(&self, slot: usize) -> bool {
        let state = &mut *self.state.borrow_mut();
        let base = state.media.ring().base();
        let player = state.players.get_mut(slot);
        player.is_some_and(|player| player.cursor.let_go(base))
    }

    /// The player in `slot` goes on with what is live, as if it had come now.
    pub(in crate::server) fn rejoin(&self, slot: usize, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        if let Some(player) = state.players.get_mut(slot) {
            let prelude = player.cursor.rejoin(&state.media, now);
            queue_prelude(&player.outbox, player.stream, &prelude);
        }
    }
}

impl<R: Runtime> Play<R> {
    /// `pause`: holds the stream, or goes on where it was held, if that is recorded, and otherwise with what is live.
    ///
    /// Where that is, is known here: what clients say of their position counts from anywhere, or is 0.
    pub(in crate::server) fn set_paused(&mut self, paused: bool) {
        if let Some(rewind) = self.rewind.as_ref().filter(|one| one.past.is_away()) {
            return rewind.controls.set_paused(paused);
        }
        match self.held.take() {
            Some(held) if !paused && self.return_to(held) => {}
            held => {
                self.held = match paused {
                    true => held.or_else(|| self.place()),
                    false => None,
                };
                self.hold(paused);
            }
        }
    }

    /// `seek` to the stream's time `position`, milliseconds. Whether it is recorded, rather than live; none: nothing of
    /// the stream is recorded.
    pub(in crate::server) fn seek(&mut self, position: f64) -> Option<bool> {
        let recorded = self.recorded()?;
        let timeline = &recorded.timeline;
        let time = timeline.long(stamp(position));
        let time = u64::try_from(time).unwrap_or(0);
        let is_now = recorded.is_now(time);
        match &self.rewind {
            Some(rewind) if rewind.past.is_away() => rewind.controls.seek(time),
            // It goes on with what is live when it goes on.
            _ if is_now && self.is_held() => self.held = None,
            // Who seeks has nothing left of before.
            _ if is_now => self.rejoin(),
            _ => self.go_back(timeline.id(), (time, None), self.is_held()),
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

    fn is_held(&self) -> bool {
        let state = self.stream.state.borrow();
        let player = state.players.get(self.slot);
        player.is_some_and(|player| player.cursor.is_paused())
    }

    fn rejoin(&self) {
        self.stream.rejoin(self.slot, self.shard.runtime().now());
    }

    fn hold(&self, held: bool) {
        self.stream
            .hold(self.slot, held, self.shard.runtime().now());
    }

    fn recorded(&self) -> Option<Recorded> {
        Recorded::of(&self.stream.state.borrow().media)
    }

    /// Where the player is; none if it has had nothing as yet, or the stream is over.
    fn place(&self) -> Option<Held> {
        let state = self.stream.state.borrow();
        let ring = state.media.ring();
        let cursor = &state.players.get(self.slot)?.cursor;
        if cursor.waits_for_key() || state.media.waits_for_key() {
            return None; // it has not had the pictures that have passed it by
        }
        let next = cursor.next();
        let first = next.saturating_sub(limits::REWIND_LOOK_BACK);
        let frames = (first.max(ring.base())..next).rev();
        let frames = frames.filter_map(|at| ring.get(at).and_then(Item::frame));
        let frames = frames.filter(|frame| match frame.kind {
            FrameKind::Keyframe | FrameKind::Inter | FrameKind::Audio => true,
            FrameKind::Header | FrameKind::Data | FrameKind::Other => false,
        });
        let of = |frame: &Frame| (frame.message.kind(), frame.message.timestamp());
        let lately = frames.map(of);
        let last = |(kind, time)| Last {
            kind,
            time,
            nth: lately.clone().filter(|one| *one == (kind, time)).count(),
        };
        let newest = lately.clone().next()?;
        let other = lately.clone().find(|(kind, _)| *kind != newest.0);
        Some(Held {
            had: Had {
                last: last(newest),
                other: other.map(last),
            },
            timeline: state.media.timeline().map(|timeline| timeline.id()),
        })
    }

    /// Goes on where it was held; false if that is not recorded.
    fn return_to(&mut self, held: Held) -> bool {
        let Some(recorded) = self.recorded() else {
            return false;
        };
        let timeline = &recorded.timeline;
        let Ok(time) = u64::try_from(timeline.long(held.had.last.time)) else {
            return false;
        };
        if held.timeline.is_some_and(|id| id != timeline.id()) {
            return false;
        }
        if recorded.is_now(time) {
            // So short a time is not on the disk yet, and in the ring still.
            return self.stream.let_go(self.slot);
        }
        self.go_back(timeline.id(), (time, Some(held.had)), false);
        true
    }

    /// Goes back to `time` of that timeline, behind what the player has had; `paused`: when it does not hold it any more.
    fn go_back(&mut self, timeline: u64, (time, had): (u64, Option<Had>), paused: bool) {
        self.held = None;
        self.hold(true);
        let rewind = self.rewind();
        rewind.past.leave(timeline);
        rewind.controls.set_paused(paused);
        rewind.controls.go_on(time, had);
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
