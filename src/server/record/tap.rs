//! A recording's place in its stream: a cursor like a player's, that loses nothing when the stream ends.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::held::Held;
use crate::limits;
use crate::media::cursor::Cursor;
use crate::media::frame::Frame;
use crate::media::stream::Stream;
use crate::rtmp::wire::WireMessage;
use crate::time::Instant;

/// What a recording gets next.
pub(super) enum Next {
    /// The frame that [`Tap::frame`] shows until it is taken.
    Frame,
    /// It was too far behind, and frames were lost: what is in force where it goes on.
    Gap(Vec<WireMessage>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Over,
}

/// A recording's place in its stream.
pub(super) struct Tap {
    cursor: Cursor,
    /// Shown, and not taken yet.
    ahead: Option<Frame>,
    /// Of a stream that has ended: what was not recorded by then.
    tail: VecDeque<Frame>,
    /// The bytes of that, and of what is shown of it.
    held: Held,
    /// What is in force at the tail's beginning, if frames were lost before it.
    gap: Option<Vec<WireMessage>>,
    over: bool,
    /// The recorder's, while it waits.
    waker: Option<Waker>,
}

impl Tap {
    pub(super) fn new(cursor: Cursor, held: Held) -> Self {
        Self {
            cursor,
            ahead: None,
            tail: VecDeque::new(),
            held,
            gap: None,
            over: false,
            waker: None,
        }
    }

    /// Looks for the next frame.
    pub(super) fn look(&mut self, media: Option<&Stream>, now: Instant) -> Next {
        if self.ahead.is_some() {
            return Next::Frame;
        }
        if self.over {
            if let Some(prelude) = self.gap.take() {
                return Next::Gap(prelude);
            }
            self.ahead = self.tail.pop_front();
            return match self.ahead {
                Some(_) => Next::Frame,
                None => Next::Over,
            };
        }
        let Some(media) = media else {
            return Next::Over;
        };
        if let Some(prelude) = self.cursor.catch_up(media, 0, now) {
            return Next::Gap(prelude);
        }
        self.ahead = self.step(media);
        match self.ahead {
            Some(_) => Next::Frame,
            None => Next::Nothing,
        }
    }

    fn step(&mut self, media: &Stream) -> Option<Frame> {
        while let Some(item) = media.ring().get(self.cursor.next()) {
            if self.cursor.step(item)
                && let Some(frame) = item.frame()
            {
                return Some(frame.clone());
            }
        }
        None
    }

    /// The frame that was found.
    pub(super) fn frame(&self) -> Option<&Frame> {
        self.ahead.as_ref()
    }

    /// It is recorded, or is not to be.
    pub(super) fn take(&mut self) {
        if let Some(frame) = self.ahead.take().filter(|_| self.over) {
            self.held
                .set(self.held.bytes().saturating_sub(size(&frame)));
        }
    }

    /// Nothing is being recorded, and perhaps has not been for long: what was found goes if what followed it has gone, so
    /// that no file holds one frame before its first gap.
    pub(super) fn begin_anew(&mut self, media: &Stream) {
        if !self.over && self.cursor.next() < media.ring().base() {
            self.ahead = None;
        }
    }

    /// The stream ends, or its recording: what has come until now is still to be recorded, at most
    /// [`limits::RECORD_TAIL`] bytes of it, and no more than there is `room` for. Whether that is all of it.
    pub(super) fn end(&mut self, media: &Stream, now: Instant, room: usize) -> bool {
        if self.over {
            return true;
        }
        self.gap = self.cursor.catch_up(media, 0, now);
        let most = limits::RECORD_TAIL.min(room);
        let mut bytes = self.ahead.as_ref().map_or(0, size);
        let mut is_whole = true;
        while let Some(frame) = self.step(media) {
            if bytes + size(&frame) > most {
                is_whole = false;
                break;
            }
            bytes += size(&frame);
            self.tail.push_back(frame);
        }
        self.held.set(bytes);
        self.stop();
        is_whole
    }

    /// Nothing more is to be recorded.
    pub(super) fn stop(&mut self) {
        self.over = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether the stream has ended, or its recording.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Has the recorder woken when it is over.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        self.waker = Some(cx.waker().clone());
    }
}

/// What a frame takes of memory.
fn size(frame: &Frame) -> usize {
    frame.message.bytes().len()
}
