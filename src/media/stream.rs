//! One live stream as one shard sees it: its ring, the headers late joiners need, and where they begin.
//!
//! The same type serves on the publisher's shard, where messages come from the connection, and on every other
//! shard that has players, where they come by mailbox (first a snapshot, then batch by batch).

use bytes::Bytes;

use super::codecs::Codecs;
use super::cursor::Cursor;
use super::frame::classify::{Class, classify};
use super::frame::{Frame, FrameKind};
use super::headers::Headers;
use super::lead::Lead;
use super::ring::{Item, Notice, NoticeKind, Ring};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;
use crate::time::{Instant, Timestamp};

/// A live stream on one shard.
pub struct Stream {
    ring: Ring,
    gop_cache: usize,
    live: bool,
    metadata: Option<WireMessage>,
    headers: Headers,
    codecs: Codecs,
    has_video: bool,
    has_key: bool,
    lead: Lead,
    newest: Timestamp,
    orphans: u64,
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
}

impl Stream {
    /// A stream without a publisher. `gop_cache` is how many frames a joiner may be given from the past; 0: it
    /// begins at the next keyframe.
    pub fn new(gop_cache: usize) -> Self {
        Self::with_ring(gop_cache, limits::RING_FRAMES_DEFAULT)
    }

    /// The same with a ring of `ring_frames`, or more if `gop_cache` asks for more.
    pub fn with_ring(gop_cache: usize, ring_frames: usize) -> Self {
        Self {
            ring: Ring::new(gop_cache.max(ring_frames)),
            gop_cache,
            live: false,
            metadata: None,
            headers: Headers::default(),
            codecs: Codecs::default(),
            has_video: false,
            has_key: false,
            lead: Lead::default(),
            newest: Timestamp(0),
            orphans: 0,
        }
    }

    /// From now on joiners are given so much of the past, see [`Stream::with_ring`].
    pub fn set_gop_cache(&mut self, gop_cache: usize, ring_frames: usize) {
        self.gop_cache = gop_cache;
        self.ring.set_max_frames(gop_cache.max(ring_frames));
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

    /// The codecs of its tracks.
    pub fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// A publisher has come. With a notice (its bytes for message stream 1), the players are told.
    pub fn begin(&mut self, notice: Option<Bytes>, now: Instant) {
        self.live = true;
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

    /// The stream of another shard, as it is there by now. With a notice, the players are told of a publisher.
    pub fn begin_from(&mut self, snapshot: Snapshot, notice: Option<Bytes>, now: Instant) {
        self.begin(notice, now);
        self.lead = snapshot.lead;
        self.has_video = snapshot.has_video;
        for message in snapshot.messages {
            self.push(message, now);
        }
        if !snapshot.has_metadata {
            self.metadata = None;
        }
    }

    /// Takes a published message; false if it was left out (a picture before any keyframe).
    pub fn push(&mut self, message: WireMessage, now: Instant) -> bool {
        let class = classify(message.kind(), &message);
        let Some(kind) = self.admit(class) else {
            self.orphans += 1;
            return false;
        };
        self.newest = message.timestamp();
        self.codecs.note(class, &message);
        self.keep_header(class, &message);
        self.ring.push(Item::Frame(Frame { message, kind }), now);
        true
    }

    /// `@clearDataFrame`: late joiners get no metadata any more. False if there was none.
    pub fn clear_metadata(&mut self) -> bool {
        self.metadata.take().is_some()
    }

    /// Whether late joiners get metadata.
    pub fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Where a new player begins, and what it is given first: metadata and headers, with the time of the first
    /// frame that follows.
    pub fn join(&self) -> (Cursor, Vec<WireMessage>) {
        let head = self.ring.head();
        let key = self.cached_key();
        let cursor = match key {
            Some(key) => Cursor::at(key),
            None if self.has_video && !planted(Bug::GateForgottenOnJoin) => {
                Cursor::waiting_for_key(head)
            }
            None => Cursor::at(head),
        };
        (cursor, self.prelude(key))
    }

    /// Where a player goes on that fell behind the ring or held its stream: at the newest keyframe, never
    /// before `past`. A stream that ended: at its last word.
    pub(super) fn resume(&self, past: u64) -> (u64, bool, Vec<WireMessage>) {
        let head = self.ring.head();
        if !self.live {
            return (
                head.saturating_sub(1).max(self.ring.base()).max(past),
                false,
                Vec::new(),
            );
        }
        match self.ring.newest_key().filter(|&key| key >= past) {
            Some(key) => (key, false, self.prelude(Some(key))),
            None => (head, self.has_video, self.prelude(None)),
        }
    }

    /// What a shard needs that begins to carry this stream.
    pub fn snapshot(&self) -> Snapshot {
        let key = self.cached_key();
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
        }
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

    /// The newest keyframe, unless it is further back than a new player may be given.
    fn cached_key(&self) -> Option<u64> {
        let head = self.ring.head();
        self.ring
            .newest_key()
            .filter(|key| head - key <= self.gop_cache as u64)
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
            }
            // What lies before a changed header cannot be decoded with the new one: begin no player there.
            Class::Header(part, tracks)
                if self.headers.take(part, tracks, message)
                    && !planted(Bug::ChangedHeaderKeepsKey) =>
            {
                self.ring.forget_key();
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
        self.orphans = 0;
        self.has_video = false;
        self.has_key = planted(Bug::GateForgottenOnTakeover) && self.has_key;
        self.lead = Lead::default();
        self.ring.forget_key();
    }
}

#[cfg(test)]
mod tests;
