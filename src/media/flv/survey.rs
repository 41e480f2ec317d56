//! What a file holds, tag by tag: the same account while it is written, and when it is read again.

use crate::limits;
use crate::media::file::{Sync, SyncIndex};
use crate::media::frame::classify::Class;
use crate::media::lead::Lead;
use crate::rtmp::wire::MediaKind;

/// An account of a file's tags, from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) has_video: bool,
    pub(super) has_audio: bool,
    has_key: bool,
    pub(super) lead: Lead,
    /// Where the first tag stands that is neither a header nor metadata: what comes before it every viewer gets.
    pub(super) body: Option<u64>,
    /// Where the headers begin that stand directly in front of the next tag, if there are any.
    run: Option<u64>,
    video: Pace,
    audio: Pace,
    pub(super) index: SyncIndex,
}

/// The newest time of one kind of media, and how far it was from the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    last: Option<u64>,
    step: u64,
}

impl Pace {
    fn tick(&mut self, time: u64) {
        match self.last {
            Some(last) if time <= last => return,
            Some(last) => self.step = time - last,
            None => {}
        }
        self.last = Some(time);
    }

    fn end(&self) -> u64 {
        self.last.map_or(0, |last| last + self.step)
    }
}

impl Survey {
    /// An account that keeps at most `room` places to begin at.
    pub(super) fn new(room: usize) -> Self {
        Self {
            has_video: false,
            has_audio: false,
            has_key: false,
            lead: Lead::default(),
            body: None,
            run: None,
            video: Pace::default(),
            audio: Pace::default(),
            index: SyncIndex::new(room),
        }
    }

    /// Takes note of the tag at byte `offset`.
    pub(super) fn note(&mut self, kind: Option<MediaKind>, class: Class, time: u64, offset: u64) {
        let begin = self.run.unwrap_or(offset);
        self.run = None;
        match class {
            Class::Metadata if self.body.is_none() => return,
            Class::Header(part, _) => {
                self.has_video |= part.is_video();
                self.has_audio |= !part.is_video();
                // The headers at the beginning are no part of the first keyframe: viewers have them.
                self.run = self.body.map(|_| begin);
                return;
            }
            _ => {}
        }
        self.body.get_or_insert(offset);
        match class {
            Class::Picture { key, tracks } => {
                self.video.tick(time);
                self.has_video = true;
                if self.lead.picture(key, tracks) {
                    if !core::mem::replace(&mut self.has_key, true) {
                        self.index.clear(); // of sound that came first
                    }
                    self.index.push(Sync {
                        time,
                        offset: begin,
                    });
                }
            }
            Class::VideoEnd(tracks) => self.lead.ended(tracks),
            Class::Sound(_) => {
                self.audio.tick(time);
                self.has_audio = true;
                if !self.has_video {
                    self.sound_alone(time, begin);
                }
            }
            _ if kind == Some(MediaKind::Video) => self.has_video = true,
            _ => {}
        }
    }

    /// Where there is no video one may begin anywhere: a place now and then will do.
    fn sound_alone(&mut self, time: u64, offset: u64) {
        let last = self.index.entries().last();
        let distance = limits::SOUND_SYNC.as_millis() as u64;
        if last.is_none_or(|last| time >= last.time + distance) {
            self.index.push(Sync { time, offset });
        }
    }

    /// The newest time of sound and pictures.
    pub(super) fn last(&self) -> u64 {
        let of = |pace: &Pace| pace.last.unwrap_or(0);
        of(&self.video).max(of(&self.audio))
    }

    /// When the next message would come.
    pub(super) fn duration(&self) -> u64 {
        self.video.end().max(self.audio.end())
    }

    /// Whether there was sound or a picture.
    pub(super) fn has_media(&self) -> bool {
        self.video.last.is_some() || self.audio.last.is_some()
    }

    /// TypeFlags of the file header (annex E.2). Of a file that says nothing of what it holds, both.
    pub(super) fn flags(&self) -> u8 {
        match (self.has_audio, self.has_video) {
            (true, false) => 4,
            (false, true) => 1,
            _ => 5,
        }
    }
}
