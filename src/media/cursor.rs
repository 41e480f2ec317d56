//! A player's place in a stream, and the policy of what it gets: everything in order; after a gap, headers and
//! the newest keyframe, never a torn message and never a picture whose reference was left out.

use super::frame::FrameKind;
use super::ring::{Item, NoticeKind};
use super::stream::Stream;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::Instant;

/// A player's place in a stream.
#[derive(Clone, Debug)]
pub struct Cursor {
    next: u64,
    /// Nothing but headers and notices until a keyframe comes.
    gate: bool,
    paused: bool,
    audio: bool,
    video: Video,
    jumps: Jumps,
}

/// How often a player lost frames because it was behind, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Jumps {
    /// Beyond what the ring holds.
    pub overrun: u64,
    /// Older than `latency_max`.
    pub late: u64,
    /// The shard's memory was short, and the oldest frames had to go.
    pub shed: u64,
}

impl core::ops::AddAssign for Jumps {
    fn add_assign(&mut self, more: Self) {
        self.overrun += more.overrun;
        self.late += more.late;
        self.shed += more.shed;
    }
}

impl Jumps {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.overrun + self.late + self.shed
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Video {
    On,
    Off,
    /// Wanted again; nothing until a keyframe comes.
    FromKey,
}

impl Cursor {
    pub(super) fn at(next: u64) -> Self {
        Self {
            next,
            gate: false,
            paused: false,
            audio: true,
            video: Video::On,
            jumps: Jumps::default(),
        }
    }

    pub(super) fn waiting_for_key(next: u64) -> Self {
        Self {
            gate: true,
            ..Self::at(next)
        }
    }

    /// The sequence number it gets next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether it gets no media until the next keyframe.
    pub fn is_waiting_for_key(&self) -> bool {
        self.gate
    }

    /// Whether it gets no pictures until the next keyframe.
    pub fn waits_for_key(&self) -> bool {
        self.gate || self.video == Video::FromKey
    }

    /// Whether it holds the stream (`pause`).
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it gets every item: the common case, which needs no look at each.
    pub fn takes_all(&self) -> bool {
        !self.gate && self.audio && self.video == Video::On
    }

    /// Whether it wants sound, and pictures.
    pub fn wanted(&self) -> (bool, bool) {
        (self.audio, self.video != Video::Off)
    }

    /// How often it lost frames because it was behind.
    pub fn jumps(&self) -> Jumps {
        self.jumps
    }

    /// If it is behind the ring or before `floor` ([`Stream::floor`]): moves it to where it can go on, and returns what
    /// it must be given first.
    pub fn catch_up(
        &mut self,
        stream: &Stream,
        floor: u64,
        now: Instant,
    ) -> Option<Vec<WireMessage>> {
        let next = self.next + u64::from(planted(Bug::CursorOffByOne));
        let ring = stream.ring();
        let count = if next >= ring.base().max(floor) {
            return None;
        } else if next >= ring.base() {
            &mut self.jumps.late
        } else if ring.has_shed(next) {
            &mut self.jumps.shed
        } else {
            &mut self.jumps.overrun
        };
        *count += 1;
        Some(self.jump(stream, now))
    }

    /// `pause`: holds the stream, or goes on at the newest keyframe that it has not had, with headers.
    pub fn set_paused(&mut self, paused: bool, stream: &Stream, now: Instant) -> Vec<WireMessage> {
        let resumes = self.paused && !paused;
        self.paused = paused;
        if resumes && self.next < stream.ring().head() {
            self.jump(stream, now)
        } else {
            Vec::new()
        }
    }

    /// Goes on just where it has held the stream, in a ring that begins with `base`; false if that is gone.
    pub fn let_go(&mut self, base: u64) -> bool {
        let here = self.next >= base;
        self.paused &= !here;
        here
    }

    /// Goes on as one who joins now (the newest keyframe, though it may have had that), and is given this first.
    pub fn rejoin(&mut self, stream: &Stream, now: Instant) -> Vec<WireMessage> {
        let (cursor, prelude) = stream.join(now);
        (self.next, self.gate, self.paused) = (cursor.next, cursor.gate, false);
        prelude
    }

    /// `receiveAudio`, `receiveVideo`: video comes back at a keyframe.
    pub fn set_wanted(&mut self, audio: Option<bool>, video: Option<bool>) {
        self.audio = audio.unwrap_or(self.audio);
        self.video = match (self.video, video) {
            (now, None) => now,
            (_, Some(false)) => Video::Off,
            (Video::Off, Some(true)) if !planted(Bug::GateForgottenOnReceive) => Video::FromKey,
            (Video::Off, Some(true)) => Video::On,
            (now, Some(true)) => now,
        };
    }

    /// Steps over `item`, the one at [`Cursor::next`]; true if the player gets it.
    pub fn step(&mut self, item: &Item) -> bool {
        self.next += 1;
        let frame = match item {
            Item::Frame(frame) => frame,
            Item::Notice(notice) => {
                // A new publication starts with headers and a keyframe by itself.
                self.gate &= notice.kind != NoticeKind::Began;
                return true;
            }
        };
        if frame.kind == FrameKind::Keyframe {
            self.gate = false;
            if self.video == Video::FromKey {
                self.video = Video::On;
            }
        }
        match frame.kind {
            FrameKind::Header => true,
            _ if self.gate => false,
            _ => match frame.message.kind() {
                MediaKind::Audio => self.audio,
                MediaKind::Video => self.video == Video::On,
                MediaKind::Data => true,
            },
        }
    }

    /// Steps over `count` items that the player got without a look at each ([`Cursor::takes_all`]).
    pub fn advance(&mut self, count: u64) {
        self.next += count;
    }

    fn jump(&mut self, stream: &Stream, now: Instant) -> Vec<WireMessage> {
        let (next, gate, prelude) = stream.resume(self.next, now);
        self.next = next;
        self.gate = gate && !planted(Bug::GateForgottenAfterJump);
        if planted(Bug::HeadersDroppedOnJump) {
            return Vec::new();
        }
        prelude
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::limits;
    use crate::time::Timestamp;

    const KEY: &[u8] = &[0x17, 1, 0, 0, 0];
    const INTER: &[u8] = &[0x27, 1, 0, 0, 0];

    fn push(stream: &mut Stream, kind: MediaKind, payload: &[u8]) {
        stream.push(
            WireMessage::new(kind, Timestamp(0), payload, 60_000),
            Instant::ZERO,
        );
    }

    fn live() -> Stream {
        let mut stream = Stream::new(limits::RING_FRAMES_DEFAULT);
        stream.begin(None, Instant::ZERO);
        push(&mut stream, MediaKind::Video, &[0x17, 0, 0, 0, 0]);
        push(&mut stream, MediaKind::Audio, &[0xAF, 0, 0x12, 0x10]);
        push(&mut stream, MediaKind::Video, KEY);
        stream
    }

    /// First payload bytes of what the player gets until it has caught up; notices as 0.
    fn drain(cursor: &mut Cursor, stream: &Stream) -> Vec<u8> {
        let mut got = Vec::new();
        while let Some(item) = stream.ring().get(cursor.next()) {
            if cursor.step(item) {
                got.push(item.frame().map_or(0, |f| {
                    f.message.payload().flatten().copied().next().unwrap_or(0)
                }));
            }
        }
        got
    }

    #[test]
    fn a_laggard_jumps_to_the_newest_keyframe_with_headers() {
        let mut stream = live();
        let (mut cursor, _) = stream.join(Instant::ZERO);
        for _ in 0..limits::RING_FRAMES_DEFAULT {
            push(&mut stream, MediaKind::Video, INTER);
        }
        push(&mut stream, MediaKind::Video, KEY);
        push(&mut stream, MediaKind::Video, INTER);
        let prelude = cursor
            .catch_up(&stream, 0, Instant::ZERO)
            .expect("it is behind");
        assert_eq!(prelude.len(), 2);
        assert_eq!(drain(&mut cursor, &stream), [0x17, 0x27]);
        assert_eq!(cursor.jumps().overrun, 1);
        assert!(cursor.catch_up(&stream, 0, Instant::ZERO).is_none());
    }

    #[test]
    fn a_laggard_without_a_keyframe_to_go_to_waits_for_one() {
        let mut stream = live();
        let (mut cursor, _) = stream.join(Instant::ZERO);
        for _ in 0..=limits::RING_FRAMES_DEFAULT {
            push(&mut stream, MediaKind::Video, INTER);
        }
        cursor
            .catch_up(&stream, 0, Instant::ZERO)
            .expect("it is behind");
        push(&mut stream, MediaKind::Audio, &[0xAF, 1]);
        push(&mut stream, MediaKind::Video, INTER);
        push(&mut stream, MediaKind::Video, &[0x17, 0, 0, 0, 0]);
        push(&mut stream, MediaKind::Video, KEY);
        push(&mut stream, MediaKind::Audio, &[0xAF, 1]);
        assert_eq!(
            drain(&mut cursor, &stream),
            [0x17, 0x17, 0xAF],
            "header, keyframe, audio"
        );
    }

    #[test]
    fn pause_holds_and_goes_on_at_a_keyframe() {
        let mut stream = live();
        let (mut cursor, _) = stream.join(Instant::ZERO);
        drain(&mut cursor, &stream);
        assert!(cursor.set_paused(true, &stream, Instant::ZERO).is_empty());
        push(&mut stream, MediaKind::Video, INTER);
        push(&mut stream, MediaKind::Video, KEY);
        push(&mut stream, MediaKind::Video, INTER);
        assert_eq!(
            cursor.set_paused(false, &stream, Instant::ZERO).len(),
            2,
            "headers again"
        );
        assert_eq!(drain(&mut cursor, &stream), [0x17, 0x27]);
    }

    #[test]
    fn video_off_and_on_again() {
        let mut stream = live();
        let (mut cursor, _) = stream.join(Instant::ZERO);
        cursor.set_wanted(None, Some(false));
        drain(&mut cursor, &stream);
        cursor.set_wanted(None, Some(true));
        push(&mut stream, MediaKind::Video, INTER);
        push(&mut stream, MediaKind::Audio, &[0xAF, 1]);
        push(&mut stream, MediaKind::Video, KEY);
        cursor.set_wanted(Some(false), None);
        push(&mut stream, MediaKind::Audio, &[0xAF, 1]);
        assert_eq!(drain(&mut cursor, &stream), [0x17]);
        cursor.set_wanted(Some(true), None);
        assert!(cursor.takes_all());
    }

    #[test]
    fn the_last_word_reaches_one_who_waited() {
        let mut stream = live();
        push(&mut stream, MediaKind::Video, &[0x17, 0, 0, 0, 9]);
        let (mut cursor, _) = stream.join(Instant::ZERO);
        assert!(cursor.is_waiting_for_key());
        stream.end(Bytes::from_static(b"gone"), Instant::ZERO);
        stream.begin(Some(Bytes::from_static(b"here")), Instant::ZERO);
        push(&mut stream, MediaKind::Audio, &[0xAF, 1]);
        assert_eq!(
            drain(&mut cursor, &stream),
            [0, 0, 0xAF],
            "an audio-only successor needs no keyframe"
        );
    }
}
