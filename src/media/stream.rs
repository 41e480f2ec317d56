//! One live stream as one shard sees it: its ring, the headers late joiners need, and where they begin.
//!
//! The same type serves on the publisher's shard, where messages come from the connection, and on every other
//! shard that has players, where they come by mailbox (first a snapshot, then batch by batch).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::cursor::Cursor;
use super::frame::{Frame, FrameKind, HeaderSlot};
use super::ring::{Item, Notice, NoticeKind, Ring};
use crate::limits;
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::{Instant, Timestamp};

/// A live stream on one shard.
pub struct Stream {
    ring: Ring,
    gop_cache: usize,
    live: bool,
    metadata: Option<Frame>,
    headers: BTreeMap<HeaderSlot, Frame>,
    has_video: bool,
    has_key: bool,
    newest: Timestamp,
    orphans: u64,
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
            headers: BTreeMap::new(),
            has_video: false,
            has_key: false,
            newest: Timestamp(0),
            orphans: 0,
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

    /// Pictures that came before any keyframe and were left out, since nobody could decode them.
    pub fn orphans(&self) -> u64 {
        self.orphans
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

    /// Takes a published message; false if it was left out (a picture before any keyframe).
    pub fn push(&mut self, message: WireMessage, now: Instant) -> bool {
        let frame = Frame::new(message);
        if frame.message.kind() == MediaKind::Video && !self.admit_video(frame.kind) {
            self.orphans += 1;
            return false;
        }
        self.newest = frame.message.timestamp();
        self.keep_header(&frame);
        self.ring.push(Item::Frame(frame), now);
        true
    }

    /// `@clearDataFrame`: late joiners get no metadata any more.
    pub fn clear_metadata(&mut self) {
        self.metadata = None;
    }

    /// Where a new player begins, and what it is given first: metadata and headers, with the time of the first
    /// frame that follows.
    pub fn join(&self) -> (Cursor, Vec<WireMessage>) {
        let head = self.ring.head();
        let key = self.cached_key();
        let cursor = match key {
            Some(key) => Cursor::at(key),
            None if self.has_video => Cursor::waiting_for_key(head),
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

    /// What a shard needs that begins to carry this stream: headers, then the newest GOP as far as players may be
    /// given the past.
    pub fn snapshot(&self) -> Vec<WireMessage> {
        let key = self.cached_key();
        let mut messages = self.prelude(key);
        if let Some(key) = key {
            messages.extend(
                self.ring
                    .items_from(key)
                    .filter_map(Item::frame)
                    .map(|frame| frame.message.clone()),
            );
        }
        messages
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
            .chain(self.headers.values())
            .map(|frame| frame.message.restamped(at))
            .collect()
    }

    fn admit_video(&mut self, kind: FrameKind) -> bool {
        self.has_video = true;
        self.has_key |= kind == FrameKind::Keyframe;
        self.has_key || kind != FrameKind::Inter
    }

    fn keep_header(&mut self, frame: &Frame) {
        if frame.message.payload_len() > limits::HEADER_BYTES {
            return; // passed on, but not worth its memory for the whole life of the stream
        }
        match frame.kind {
            FrameKind::Metadata => self.metadata = Some(frame.clone()),
            FrameKind::Header(slot) => self.keep_config(slot, frame),
            _ => {}
        }
    }

    fn keep_config(&mut self, slot: HeaderSlot, frame: &Frame) {
        match self.headers.get(&slot) {
            // What lies before a changed header cannot be decoded with the new one: begin no player there.
            Some(kept)
                if !kept
                    .message
                    .payload()
                    .flatten()
                    .eq(frame.message.payload().flatten()) =>
            {
                self.ring.forget_key();
            }
            None if self.headers.len() >= limits::STREAM_HEADERS => return,
            _ => {}
        }
        self.headers.insert(slot, frame.clone());
    }

    fn forget(&mut self) {
        self.metadata = None;
        self.headers.clear();
        self.has_video = false;
        self.has_key = false;
        self.ring.forget_key();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1];
    const KEY: &[u8] = &[0x17, 1, 0, 0, 0];
    const INTER: &[u8] = &[0x27, 1, 0, 0, 0];

    fn message(kind: MediaKind, at: u32, payload: &[u8]) -> WireMessage {
        WireMessage::new(kind, Timestamp(at), payload, 60_000)
    }
    fn video(stream: &mut Stream, at: u32, payload: &[u8]) -> bool {
        stream.push(message(MediaKind::Video, at, payload), Instant::ZERO)
    }
    fn payloads(messages: &[WireMessage]) -> Vec<Vec<u8>> {
        messages
            .iter()
            .map(|m| m.payload().flatten().copied().collect())
            .collect()
    }
    fn live(gop_cache: usize) -> Stream {
        let mut stream = Stream::new(gop_cache);
        stream.begin(None, Instant::ZERO);
        stream.push(
            message(MediaKind::Data, 0, b"\x02\x00\x0aonMetaData\x05"),
            Instant::ZERO,
        );
        video(&mut stream, 0, VIDEO_CONFIG);
        stream
    }

    #[test]
    fn a_joiner_gets_headers_then_the_newest_gop() {
        let mut stream = live(100);
        for at in [40, 80, 120] {
            video(&mut stream, at, KEY);
            video(&mut stream, at + 20, INTER);
        }
        let (cursor, prelude) = stream.join();
        assert_eq!(cursor.next(), stream.ring().head() - 2);
        assert_eq!(payloads(&prelude)[1], VIDEO_CONFIG);
        assert!(
            prelude.iter().all(|m| m.timestamp() == Timestamp(120)),
            "headers carry the GOP's time"
        );
        assert_eq!(stream.snapshot().len(), 4);
    }

    #[test]
    fn without_gop_cache_a_joiner_waits_for_the_next_keyframe() {
        let mut stream = live(0);
        video(&mut stream, 40, KEY);
        let (cursor, prelude) = stream.join();
        assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 2));
        assert!(cursor.is_waiting_for_key());
        assert_eq!(stream.snapshot().len(), 2, "nor does another shard's");
    }

    #[test]
    fn no_picture_before_the_first_keyframe() {
        let mut stream = live(100);
        assert!(!video(&mut stream, 10, INTER));
        assert_eq!(stream.orphans(), 1);
        assert!(video(&mut stream, 20, KEY));
        assert!(video(&mut stream, 30, INTER));
    }

    #[test]
    fn a_changed_header_is_no_place_to_begin_before() {
        let mut stream = live(100);
        video(&mut stream, 40, KEY);
        video(&mut stream, 50, VIDEO_CONFIG);
        assert!(
            !stream.join().0.is_waiting_for_key(),
            "the same header again changes nothing"
        );
        video(&mut stream, 60, &[0x17, 0, 0, 0, 0, 2]);
        assert!(stream.join().0.is_waiting_for_key());
        video(&mut stream, 80, KEY);
        assert_eq!(stream.join().0.next(), stream.ring().head() - 1);
    }

    #[test]
    fn a_stream_that_ended_has_no_past() {
        let mut stream = live(100);
        video(&mut stream, 40, KEY);
        stream.end(Bytes::from_static(b"gone"), Instant::ZERO);
        let (cursor, prelude) = stream.join();
        assert_eq!((cursor.next(), prelude.len()), (stream.ring().head(), 0));
        assert!(!cursor.is_waiting_for_key());
        assert_eq!(
            stream.resume(0).0,
            stream.ring().head() - 1,
            "a laggard still hears the last word"
        );
        stream.clear_if_ended(true);
        assert_eq!(
            stream.ring().bytes(),
            4,
            "the last word, for one who holds the stream"
        );
        stream.clear_if_ended(false);
        assert_eq!(stream.ring().bytes(), 0);
    }

    #[test]
    fn kept_headers_are_bounded() {
        let mut stream = live(100);
        for track in 0..=255 {
            let mut config = b"\x96\x00avc1".to_vec();
            config.push(track);
            video(&mut stream, 0, &config);
        }
        assert!(stream.headers.len() <= limits::STREAM_HEADERS);
        let mut huge = VIDEO_CONFIG.to_vec();
        huge.resize(limits::HEADER_BYTES + 1, 0);
        video(&mut stream, 0, &huge);
        assert!(
            stream
                .join()
                .1
                .iter()
                .all(|m| m.payload_len() <= limits::HEADER_BYTES)
        );
    }
}
