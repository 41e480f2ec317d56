//! A stream's messages in, an FLV file out.
//!
//! Where sequence headers change, or further ones come, they are written where they come; and from then on all that are
//! in force once more in front of every keyframe, so that one who begins there has them.

use super::script::{Facts, Script};
use super::survey::Survey;
use super::tag::{self, FILE_HEADER, TAG_HEADER, TRAILER};
use crate::limits;
use crate::media::file::{Muxer, Patch, Pushed, SyncIndex};
use crate::media::frame::classify::Class;
use crate::media::headers::Headers;
use crate::rtmp::wire::{MediaKind, WireMessage};

/// Where TypeFlags stands (annex E.2).
pub(super) const FLAGS_AT: u64 = 4;
/// Where the body of `onMetaData` begins.
pub(super) const SCRIPT_AT: u64 = (FILE_HEADER + TRAILER + TAG_HEADER) as u64;

/// Writes an FLV file.
pub struct FlvWriter {
    room: usize,
    script: Script,
    survey: Survey,
    headers: Headers,
    /// Others are in force than at the file's beginning.
    changed: bool,
    /// TypeFlags as written.
    flags: u8,
    /// Bytes of the file so far.
    size: u64,
}

impl Default for FlvWriter {
    fn default() -> Self {
        Self::new(limits::FLV_KEYFRAMES)
    }
}

impl FlvWriter {
    /// A file that can list `keyframes` of its keyframes, at most [`limits::FLV_KEYFRAMES`]. Each takes 18 bytes at the
    /// file's beginning, whether it comes or not; of more, every second, fourth … is listed.
    pub fn new(keyframes: usize) -> Self {
        let room = keyframes.clamp(2, limits::FLV_KEYFRAMES);
        Self {
            room,
            script: Script::new(None, room),
            survey: Survey::new(room),
            headers: Headers::default(),
            changed: false,
            flags: 0,
            size: 0,
        }
    }

    fn tag(&mut self, message: &WireMessage, time: u32, out: &mut Vec<u8>) {
        let class = class_of(message);
        let (kind, length) = (message.kind(), message.payload_len());
        (self.survey).note(Some(kind), class, time.into(), self.size);
        tag::write(kind, time, length, message.payload(), out);
        self.size += (TAG_HEADER + length + TRAILER) as u64;
    }

    fn header(&mut self, class: Class, message: &WireMessage) {
        if let Class::Header(part, tracks) = class {
            let same = |kept: &WireMessage| {
                kept.kind() == message.kind()
                    && kept.payload().flatten().eq(message.payload().flatten())
            };
            let is_known = self.headers.messages().any(same);
            self.changed |= !is_known && self.survey.body.is_some();
            self.headers.take(part, tracks, message);
        }
    }
}

impl Muxer for FlvWriter {
    fn begin(&mut self, prelude: &[WireMessage], out: &mut Vec<u8>) {
        let is_metadata = |message: &WireMessage| class_of(message) == Class::Metadata;
        let metadata = prelude.iter().find(|message| is_metadata(message));
        let metadata = metadata.filter(|message| message.payload_len() <= limits::HEADER_BYTES);
        let metadata: Option<Vec<u8>> =
            metadata.map(|message| message.payload().flatten().copied().collect());
        self.script = Script::new(metadata.as_deref(), self.room);
        let headers = prelude.iter().filter(|message| !is_metadata(message));
        for message in headers.clone() {
            if let Class::Header(part, _) = class_of(message) {
                self.survey.has_video |= part.is_video();
                self.survey.has_audio |= !part.is_video();
            }
        }
        self.flags = self.survey.flags();
        out.extend_from_slice(&[b'F', b'L', b'V', 1, self.flags, 0, 0, 0, 9, 0, 0, 0, 0]);
        let body = self.script.unfinished();
        tag::write(
            MediaKind::Data,
            0,
            body.len(),
            core::iter::once(&body[..]),
            out,
        );
        self.size = SCRIPT_AT + (body.len() + TRAILER) as u64;
        for message in headers {
            self.header(class_of(message), message);
            self.tag(message, 0, out);
        }
    }

    fn push(&mut self, message: &WireMessage, time: u64, out: &mut Vec<u8>) -> Pushed {
        if time > limits::FLV_TIME_MAX {
            return Pushed::NewSegment;
        }
        if message.payload_len() > limits::MESSAGE_BYTES as usize {
            return Pushed::LeftOut;
        }
        let class = class_of(message);
        self.header(class, message);
        if self.changed && matches!(class, Class::Picture { key: true, .. }) {
            let headers: Vec<WireMessage> = self.headers.messages().cloned().collect();
            headers
                .iter()
                .for_each(|header| self.tag(header, time as u32, out));
        }
        self.tag(message, time as u32, out);
        Pushed::Taken
    }

    /// Nothing: every message is in the file at once.
    fn flush(&mut self, _out: &mut Vec<u8>) {}

    fn finish(&mut self, _out: &mut Vec<u8>) -> Vec<Patch> {
        let facts = facts(&self.survey, self.size);
        let mut patches = self.script.patches(facts, &self.survey.index, SCRIPT_AT);
        patches.extend(flags(&self.survey, self.flags));
        patches
    }

    fn index(&self) -> &SyncIndex {
        &self.survey.index
    }

    fn duration(&self) -> u64 {
        self.survey.duration()
    }
}

/// What the metadata of a file of `size` bytes says.
pub(super) fn facts(survey: &Survey, size: u64) -> Facts {
    Facts {
        duration: survey.duration(),
        last: survey.last(),
        size,
    }
}

/// TypeFlags as they should be, if they are other ones.
pub(super) fn flags(survey: &Survey, written: u8) -> Option<Patch> {
    let flags = survey.flags();
    (flags != written).then(|| Patch {
        offset: FLAGS_AT,
        bytes: vec![flags],
    })
}

fn class_of(message: &WireMessage) -> Class {
    let mut head = [0; limits::FLV_GLANCE];
    let length = message.peek(&mut head);
    let head = head.get(..length).unwrap_or(&head);
    tag::class_of(Some(message.kind()), head, message.payload_len())
}
