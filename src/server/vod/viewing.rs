//! A connection's hold on what it views: what its client asks for goes to the [`Projector`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use super::past::Past;
use super::projector::Projector;
use super::source::Source;
use crate::limits;
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::wire::MediaKind;
use crate::runtime::{Runtime, Task};
use crate::server::event::{Event, Party};
use crate::server::outbox::Outbox;
use crate::server::shard::Shard;
use crate::time::{Duration, Timestamp};

/// A file to be played, or a part of it.
pub(in crate::server) struct Item<R: Runtime> {
    /// As its client calls it.
    pub(in crate::server) name: String,
    pub(in crate::server) source: Rc<Source<R::Disk>>,
    /// From here on, milliseconds: the keyframe before it.
    pub(in crate::server) from: u64,
    /// So many milliseconds; zero: one picture (or sound); none: to the end.
    pub(in crate::server) duration: Option<u64>,
    /// What the client is told for 0.
    pub(in crate::server) origin: Timestamp,
    /// What the file says of itself is for its viewers; who plays a live stream is not to take a part of it for all.
    pub(in crate::server) tells_metadata: bool,
}

/// A connection's hold on the recording that it views. Dropping it ends that.
pub(in crate::server) struct Viewing<R: Runtime> {
    pub(in crate::server) controls: Controls<R>,
    party: Party,
    shard: Shard<R>,
}

/// What a client may ask of a recording, or of the recorded past of what it plays. Dropping it ends that.
pub(in crate::server) struct Controls<R: Runtime> {
    steer: Rc<Steer<R>>,
    _task: Task<()>,
}

/// The message of a live stream that a player has had last: of those of its kind and time, the `nth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server) struct Last {
    pub(in crate::server) kind: MediaKind,
    pub(in crate::server) time: Timestamp,
    /// From 1.
    pub(in crate::server) nth: usize,
}

/// What a player of a live stream has had last: of sound and pictures each, as a file may have those that are due at once in
/// another order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server) struct Had {
    pub(in crate::server) last: Last,
    /// Of the other kind, if there was one lately.
    pub(in crate::server) other: Option<Last>,
}

/// What the client wants now.
pub(super) struct Steer<R: Runtime> {
    pub(super) list: RefCell<VecDeque<Item<R>>>,
    pub(super) paused: Cell<bool>,
    /// Where to go on, milliseconds.
    pub(super) seek: Cell<Option<u64>>,
    /// And behind which messages there: the client has had those.
    pub(super) behind: Cell<Option<Had>>,
    pub(super) audio: Cell<bool>,
    pub(super) video: Cell<bool>,
    /// How long the client buffers.
    pub(super) buffer: Cell<Duration>,
    /// Something of the above is new.
    pub(super) changed: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
}

impl<R: Runtime> Steer<R> {
    fn new(list: VecDeque<Item<R>>) -> Rc<Self> {
        Rc::new(Self {
            list: RefCell::new(list),
            paused: Cell::new(false),
            seek: Cell::new(None),
            behind: Cell::new(None),
            audio: Cell::new(true),
            video: Cell::new(true),
            buffer: Cell::new(limits::VOD_BUFFER),
            changed: Cell::new(false),
            waker: RefCell::default(),
        })
    }

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
        let steer = Steer::new(VecDeque::from([item]));
        let projector = Projector::new(shard, outbox, stream, Rc::clone(&steer));
        shard.emit(Event::PlayStart(party.clone()));
        shard.meters().plays.add(1);
        let controls = Controls {
            steer,
            _task: shard.runtime().spawn("viewing", projector.run()),
        };
        Self {
            controls,
            party,
            shard: shard.clone(),
        }
    }

    /// One more file behind those that wait; false if there are too many.
    pub(in crate::server) fn append(&self, item: Item<R>) -> bool {
        let steer = &self.controls.steer;
        let mut list = steer.list.borrow_mut();
        if list.len() >= limits::PLAYLIST {
            return false;
        }
        list.push_back(item);
        drop(list);
        steer.change();
        true
    }

    /// `app/name` of the file that it began with.
    pub(in crate::server) fn key(&self) -> &str {
        self.party.stream.as_str()
    }
}

impl<R: Runtime> Controls<R> {
    /// Of the recorded `past` of what a player plays on message stream `stream`; it is live until it is sought.
    pub(in crate::server) fn of_past(
        shard: &Shard<R>,
        outbox: Rc<Outbox<R::Conn>>,
        stream: MessageStreamId,
        past: Rc<Past<R>>,
    ) -> Self {
        let steer = Steer::new(VecDeque::new());
        let projector = Projector::new(shard, outbox, stream, Rc::clone(&steer));
        Self {
            steer,
            _task: shard.runtime().spawn("rewind", projector.go_back(past)),
        }
    }

    /// Holds it, or goes on.
    pub(in crate::server) fn set_paused(&self, paused: bool) {
        self.steer.paused.set(paused);
        self.steer.change();
    }

    /// Goes on at `position` milliseconds.
    pub(in crate::server) fn seek(&self, position: u64) {
        self.go_on(position, None);
    }

    /// Goes on at `position` milliseconds, behind what the client has had.
    pub(in crate::server) fn go_on(&self, position: u64, had: Option<Had>) {
        self.steer.seek.set(Some(position));
        self.steer.behind.set(had);
        self.steer.change();
    }

    /// receiveAudio, receiveVideo.
    pub(in crate::server) fn set_wanted(&self, audio: Option<bool>, video: Option<bool>) {
        audio.inspect(|&audio| self.steer.audio.set(audio));
        video.inspect(|&video| self.steer.video.set(video));
    }

    /// The outbox has been written from: it may be empty now; the client buffers so much.
    pub(in crate::server) fn heed(&self, buffer: Option<Duration>) {
        self.set_buffer(buffer);
        self.steer.wake();
    }

    fn set_buffer(&self, buffer: Option<Duration>) {
        let buffer = buffer.unwrap_or(limits::VOD_BUFFER);
        let buffer = buffer.clamp(limits::VOD_BUFFER_MIN, limits::VOD_BUFFER_MAX);
        if self.steer.buffer.replace(buffer) != buffer {
            self.steer.change();
        }
    }
}

impl<R: Runtime> Drop for Viewing<R> {
    fn drop(&mut self) {
        self.shard.emit(Event::PlayStop(self.party.clone()));
    }
}
