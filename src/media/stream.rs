//! One live stream as one shard sees it: its ring, the headers late joiners need, and where they begin.
//!
//! The same type serves on the publisher's shard, where messages come from the connection, and on every other
//! shard that has players, where they come by mailbox (first a snapshot, then batch by batch).

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::clock::Clock;
use super::codecs::Codecs;
use super::cursor::Cursor;
use super::directory::PublicationId;
use super::facts::{Gop, Picture};
use super::frame::classify::{Class, classify};
use super::frame::{Frame, FrameKind};
use super::headers::Headers;
use super::keep::Keep;
use super::lead::Lead;
use super::ring::{Item, Notice, NoticeKind, Ring, Tally};
use super::timeline::Timeline;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;
use crate::time::{Instant, Timestamp};

/// A live stream on one shard.
pub struct Stream {
    ring: Ring,
    keep: Keep,
    live: bool,
    metadata: Option<WireMessage>,
    headers: Headers,
    codecs: Codecs,
    has_video: bool,
    has_key: bool,
    lead: Lead,
    newest: Timestamp,
    orphans: u64,
    /// Of what is published on this shard: what comes from another has been through the clock there.
    clock: Clock,
    picture: Picture,
    gop: Gop,
    /// What of it is recorded, if it is. It outlives its publication.
    timeline: Option<Arc<Timeline>>,
}

/// What a shard needs that begins to carry a stream of another. It goes on as that one does.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Metadata and headers, then the newest GOP as far as players may be given the past.
    pub messages: Vec<WireMessage>,
    /// Whether there is video: players without a GOP wait for one.
    pub has_video: bool,
    /// The leading video track; its last keyframe need not be among the messages.
    pub lead: Lead,
    /// Whether there is metadata: what the GOP holds may have been cleared since.
    pub has_metadata: bool,
    /// What of it is recorded.
    pub timeline: Option<Arc<Timeline>>,
}

impl Stream {
    /// A stream without a publisher. `gop_cache` is how many frames a joiner may be given from the past; 0: it
    /// begins at the next keyframe.
    pub fn new(gop_cache: usize) -> Self {
        Self::keeping(Keep::frames(gop_cache), Tally::default())
    }

    /// A stream without a publisher that keeps so much, counted in `tally`.
    pub fn keeping(keep: Keep, tally: Tally) -> Self {
        Self {
            ring: Ring::counted(keep.frames, keep.bytes, tally),
            keep,
            live: false,
            metadata: None,
            headers: Headers::default(),
            codecs: Codecs::default(),
            has_video: false,
            has_key: false,
            lead: Lead::default(),
            newest: Timestamp(0),
            orphans: 0,
            clock: Clock::default(),
            picture: Picture::default(),
            gop: Gop::default(),
            timeline: None,
        }
    }

    /// Keeps so much from now on.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
        self.ring.set_bounds(keep.frames, keep.bytes);
    }

    /// Lets go of the oldest frames until no more than `bytes` are held, or one item: memory is short.
    pub fn shed_to(&mut self, bytes: usize) {
        self.ring.shed_to(bytes);
    }

    /// Players that stand before this jump, see [`Keep::latency_max`].
    pub fn floor(&self, now: Instant) -> u64 {
        if self.live && !planted(Bug::LatencyUnbounded) {
            self.keep.floor(&self.ring, self.has_video, now)
        } else {
            0 // who has not had the end of it yet is to have it
        }
    }

    /// Its frames.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whether somebody publishes it.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Pictures of this publication that came before any keyframe and were left out, since nobody could decode them.
    pub fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Sequence headers of this publication that were passed on and not kept for late joiners: above [`limits::HEADER_BYTES`]
    /// or beyond [`limits::STREAM_HEADERS`].
    pub fn headers_left_out(&self) -> u64 {
        self.headers.left_out()
    }

    /// How often the publisher's time jumped in this publication, and was repaired for the players.
    pub fn clock_jumps(&self) -> u64 {
        self.clock.jumps()
    }

    /// The codecs of its tracks.
    pub fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// The time of its newest message.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// What of it is recorded, if it is, or was until its publisher went.
    pub fn timeline(&self) -> Option<&Arc<Timeline>> {
        self.timeline.as_ref()
    }

    /// As another shard has it, or as the publication before had it, whose time this one goes on with.
    pub fn set_timeline(&mut self, timeline: Option<Arc<Timeline>>) {
        self.timeline = timeline;
    }

    /// `publication` is recorded in the file `path` from now on: its first message there has the time `first`, which is
    /// `lead` milliseconds in the file. What is recorded by now.
    pub fn recorded_in(
        &mut self,
        publication: PublicationId,
        (path, first, lead): (PathBuf, Timestamp, i64),
    ) -> Arc<Timeline> {
        let timeline = self.timeline.take();
        let mut timeline = timeline.unwrap_or_else(|| Arc::new(Timeline::new(publication, first)));
        Arc::make_mut(&mut timeline).push(path, first, lead);
        self.timeline = Some(Arc::clone(&timeline));
        timeline
    }

    /// What its metadata says of the picture.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The newest whole group of pictures.
    pub fn gop(&self) -> &Gop {
        &self.gop
    }

    /// A publisher has come. With a notice (its bytes for message stream 1), the players are told.
    pub fn begin(&mut self, notice: Option<Bytes>, now: Instant) {
        self.live = true;
        self.clock = Clock::default();
        self.timeline = None;
        self.forget();
        if let Some(bytes) = notice {
            self.ring.push(
                Item::Notice(Notice {
                    kind: NoticeKind::Began,
                    bytes,
                }),
                now,
            );
        }
    }

    /// The publisher has gone; the players are told with `notice`, behind the last frame.
    pub fn end(&mut self, notice: Bytes, now: Instant) {
        self.live = false;
        self.forget();
        self.ring.push(
            Item::Notice(Notice {
                kind: NoticeKind::Ended,
                bytes: notice,
            }),
            now,
        );
    }

    /// Whether it has pictures, and no keyframe of them has come here yet: nobody was given any.
    pub fn waits_for_key(&self) -> bool {
        self.has_video && !self.has_key
    }

    /// Goes on with the time that players had of the publication before, whose clock this was.
    pub fn inherit(&mut self, clock: Clock) {
        self.clock = clock;
        self.clock.next_publication();
    }

    /// The clock, for the next publication; this one is over.
    pub fn bequeath(&mut self) -> Clock {
        std::mem::take(&mut self.clock)
    }

    /// The stream of another shard, as it is there by now. With a notice, the players are told of a publisher.
    pub fn begin_from(&mut self, snapshot: Snapshot, notice: Option<Bytes>, now: Instant) {
        self.begin(notice, now);
        self.lead = snapshot.lead;
        self.timeline = snapshot.timeline;
        self.has_video = snapshot.has_video;
        for message in snapshot.messages {
            self.push(message, now);
        }
        if !snapshot.has_metadata {
            self.metadata = None;
        }
    }

    /// Takes a message from its publisher, and puts it into the stream's time ([`super::clock`]). False if it was left
    /// out (a picture before any keyframe); otherwise it is the ring's newest item.
    pub fn publish(&mut self, message: WireMessage, now: Instant) -> bool {
        let class = classify(message.kind(), &message);
        let (kind, time) = (message.kind(), message.timestamp());
        let time = match class {
            Class::Picture { .. } | Class::Sound(_) => self.clock.media(kind, time, now),
            Class::Header(..) | Class::Metadata => self.clock.header(kind, time),
            _ => self.clock.follower(kind, time),
        };
        self.take(class, message.moved_to(time), now)
    }

    /// Takes a message as it is, from a shard where it has been published; false if it was left out.
    pub fn push(&mut self, message: WireMessage, now: Instant) -> bool {
        let class = classify(message.kind(), &message);
        self.take(class, message, now)
    }

    fn take(&mut self, class: Class, message: WireMessage, now: Instant) -> bool {
        let Some(kind) = self.admit(class) else {
            self.orphans += 1;
            return false;
        };
        self.newest = message.timestamp();
        self.codecs.note(class, &message);
        if kind == FrameKind::Keyframe {
            self.gop.begin(self.ring.head(), message.timestamp());
        }
        self.keep_header(class, &message);
        self.ring.push(Item::Frame(Frame { message, kind }), now);
        true
    }

    /// `@clearDataFrame`: late joiners get no metadata any more. False if there was none.
    pub fn clear_metadata(&mut self) -> bool {
        self.metadata.take().is_some()
    }

    /// What late joiners get for metadata.
    pub fn metadata(&self) -> Option<&WireMessage> {
        self.metadata.as_ref()
    }

    /// Whether late joiners get metadata.
    pub fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Where a new player begins, and what it is given first: metadata and headers, with the time of the first
    /// frame that follows.
    pub fn join(&self, now: Instant) -> (Cursor, Vec<WireMessage>) {
        let head = self.ring.head();
        let key = self.keep.joiners_key(&self.ring, now);
        let cursor = match key {
            Some(key) => Cursor::at(key),
            None if self.has_video && !planted(Bug::GateForgottenOnJoin) => {
                Cursor::waiting_for_key(head)
            }
            None => Cursor::at(head),
        };
        (cursor, self.prelude(key))
    }

    /// Where a player goes on that fell behind or held its stream: at the newest keyframe (or an older one, see
    /// [`Keep::behind`]), never before `past`. A stream that ended: at its last word.
    pub(super) fn resume(&self, past: u64, now: Instant) -> (u64, bool, Vec<WireMessage>) {
        let head = self.ring.head();
        if !self.live {
            return (
                head.saturating_sub(1).max(self.ring.base()).max(past),
                false,
                Vec::new(),
            );
        }
        let key = self.keep.key(&self.ring, now);
        match key.filter(|&key| key >= past) {
            Some(key) => (key, false, self.prelude(Some(key))),
            None => (head, self.has_video, self.prelude(None)),
        }
    }

    /// What a shard needs that begins to carry this stream.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let key = self.keep.joiners_key(&self.ring, now);
        let mut messages = self.prelude(key);
        if planted(Bug::SnapshotWithoutHeaders) {
            messages.clear();
        }
        if let Some(key) = key {
            messages.extend(
                self.ring
                    .items_from(key)
                    .filter_map(Item::frame)
                    .map(|frame| frame.message.clone()),
            );
        }
        Snapshot {
            messages,
            has_video: self.has_video,
            lead: match &self.lead {
                _ if planted(Bug::SnapshotWithoutLead) => Lead::default(),
                lead => lead.clone(),
            },
            has_metadata: self.metadata.is_some(),
            timeline: self.timeline.clone(),
        }
    }

    /// Where in the ring who gets a [`Stream::snapshot`] goes on.
    pub fn snapshot_begins(&self, now: Instant) -> u64 {
        let key = self.keep.joiners_key(&self.ring, now);
        key.unwrap_or(self.ring.head())
    }

    /// Lets go of the frames of a stream that has ended, once every player has had them. With `keep_word` its last
    /// word stays, for players that hold the stream: they go on there.
    pub fn clear_if_ended(&mut self, keep_word: bool) {
        if self.live {
            return;
        }
        if keep_word {
            self.ring.keep_newest();
        } else {
            self.ring.clear();
        }
    }

    /// Whether it has ended and still holds more than its last word.
    pub fn holds_the_past(&self) -> bool {
        !self.live && self.ring.head() - self.ring.base() > 1
    }

    fn prelude(&self, key: Option<u64>) -> Vec<WireMessage> {
        let at = key
            .and_then(|key| self.ring.get(key)?.frame())
            .map_or(self.newest, |frame| frame.message.timestamp());
        self.metadata
            .iter()
            .chain(self.headers.messages())
            .map(|message| match message {
                _ if planted(Bug::PreludeTimesStale) => message.clone(),
                message => message.restamped(at),
            })
            .collect()
    }

    /// What a message is in this stream; `None` for a picture that nobody can decode.
    fn admit(&mut self, class: Class) -> Option<FrameKind> {
        match class {
            Class::Metadata => Some(FrameKind::Header),
            Class::Data => Some(FrameKind::Data),
            Class::Header(part, _) => {
                self.has_video |= part.is_video();
                Some(FrameKind::Header)
            }
            Class::Sound(_) => Some(FrameKind::Audio),
            Class::Other => Some(FrameKind::Other),
            Class::VideoEnd(tracks) => {
                if !planted(Bug::VideoEndIgnored) {
                    self.lead.ended(tracks);
                }
                Some(FrameKind::Other)
            }
            Class::Picture { key, tracks } => {
                self.has_video = true;
                if self.lead.picture(key, tracks) {
                    self.has_key = true;
                    return Some(FrameKind::Keyframe);
                }
                self.has_key.then_some(FrameKind::Inter)
            }
        }
    }

    fn keep_header(&mut self, class: Class, message: &WireMessage) {
        match class {
            // Too long is passed on, but not worth its memory for the whole life of the stream.
            Class::Metadata => {
                let fits = message.payload_len() <= limits::HEADER_BYTES;
                self.metadata = fits.then(|| message.clone());
                self.picture = self.metadata.as_ref().map(Picture::of).unwrap_or_default();
            }
            // What lies before a changed header cannot be decoded with the new one: begin no player there.
            Class::Header(part, tracks)
                if self.headers.take(part, tracks, message)
                    && !planted(Bug::ChangedHeaderKeepsKey) =>
            {
                self.ring.forget_keys();
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.metadata = None;
        if !planted(Bug::HeadersOutlivePublisher) {
            self.headers.clear();
        }
        self.codecs = Codecs::default();
        self.picture = Picture::default();
        self.gop = Gop::default();
        self.orphans = 0;
        self.has_video = false;
        self.has_key = planted(Bug::GateForgottenOnTakeover) && self.has_key;
        self.lead = Lead::default();
        self.ring.forget_keys();
    }
}

#[cfg(test)]
mod tests;
