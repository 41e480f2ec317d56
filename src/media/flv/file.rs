//! An opened file, and the cursors of its viewers.

use bytes::Bytes;

use super::FlvError;
use super::seek::Seek;
use super::tag::{self, Head, TAG_HEADER, TRAILER};
use super::walk::Seen;
use crate::media::file::{FileInfo, MediaFile, Packet, Step, SyncIndex};
use crate::media::frame::classify::Class;
use crate::time::Timestamp;

/// What is the same all through a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// What its clock begins at: 0, or later if it is a piece of a live stream.
    pub(super) start: u32,
    pub(super) has_video: bool,
    /// The leading video track.
    pub(super) lead: Option<u8>,
    /// Every PreviousTagSize is what it should be.
    pub(super) strict: bool,
}

impl Layout {
    /// Milliseconds since the file's beginning.
    pub(super) fn time(&self, timestamp: Timestamp) -> u64 {
        let since = timestamp.0.wrapping_sub(self.start);
        let is_before = self.start > 0 && since > i32::MAX as u32;
        if is_before { 0 } else { since.into() }
    }

    /// Whether its time is what one seeks by: a picture of the leading track; sound if there is no video.
    pub(super) fn leads(&self, class: Class) -> bool {
        match class {
            Class::Picture { tracks, .. } => self.lead.is_none_or(|lead| tracks.contains(lead)),
            Class::Sound(_) => !self.has_video,
            _ => false,
        }
    }

    /// Whether one may begin with it.
    pub(super) fn is_sync(&self, class: Class) -> bool {
        self.leads(class) && !matches!(class, Class::Picture { key: false, .. })
    }
}

impl Seen {
    /// Whether it is sound or a picture.
    pub(super) fn is_media(&self) -> bool {
        matches!(self.class, Class::Picture { .. } | Class::Sound(_))
    }
}

/// An opened FLV file.
///
/// It seeks by its index, if it has one that is true where it is tried; otherwise by halving: it jumps into the middle,
/// finds where tags begin, and compares times, down to [`limits::FLV_STRETCH`], which it walks through; if there is no
/// keyframe in it, further back, to [`limits::FLV_BACK`].
///
/// [`limits::FLV_STRETCH`]: crate::limits::FLV_STRETCH
/// [`limits::FLV_BACK`]: crate::limits::FLV_BACK
#[derive(Debug)]
pub struct FlvFile {
    pub(super) info: FileInfo,
    pub(super) layout: Layout,
    /// Where the first tag stands that is neither a header nor metadata.
    pub(super) body: u64,
    pub(super) index: Option<SyncIndex>,
}

/// Where one viewer is.
#[derive(Clone, Debug)]
pub struct FlvCursor {
    /// Where its next tag begins.
    at: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// It is being looked for.
    Seek(Box<Seek>),
    Ready,
    /// Waits for a tag's header.
    Head,
    /// Waits for the rest.
    Body(Head),
}

impl FlvFile {
    fn packet(&self, head: Head, payload: &[u8]) -> Option<Packet> {
        let class = tag::class_of(head.kind, payload, payload.len());
        Some(Packet {
            kind: head.kind?,
            time: self.layout.time(head.timestamp),
            is_sync: self.layout.is_sync(class),
            payload: Bytes::copy_from_slice(payload),
        })
    }
}

impl MediaFile for FlvFile {
    type Cursor = FlvCursor;
    type Error = FlvError;

    fn info(&self) -> &FileInfo {
        &self.info
    }

    fn seek(&self, time: u64, writer: Option<&SyncIndex>) -> FlvCursor {
        let state = match time {
            // All there is: sound that comes before the first keyframe, too, wherever an index has that.
            0 => State::Ready,
            _ => State::Seek(Box::new(Seek::new(self, time, writer))),
        };
        let at = self.body;
        FlvCursor { at, state }
    }

    fn next(
        &mut self,
        cursor: &mut FlvCursor,
        size: u64,
        mut input: &[u8],
    ) -> Result<Step<Option<Packet>>, FlvError> {
        loop {
            match &mut cursor.state {
                State::Seek(seek) => match seek.step(self, size, input) {
                    Step::Read { offset, len } => return Ok(Step::Read { offset, len }),
                    Step::Done(at) => {
                        cursor.at = at;
                        cursor.state = State::Ready;
                    }
                },
                State::Ready => {
                    if size.saturating_sub(cursor.at) < TAG_HEADER as u64 {
                        return Ok(Step::Done(None));
                    }
                    cursor.state = State::Head;
                    return Ok(Step::Read {
                        offset: cursor.at,
                        len: TAG_HEADER,
                    });
                }
                State::Head => {
                    cursor.state = State::Ready;
                    if input.len() < TAG_HEADER {
                        return Ok(Step::Done(None));
                    }
                    let head = Head::read(input, cursor.at)?;
                    let end = head.body_end(cursor.at);
                    if end > size {
                        return Ok(Step::Done(None)); // the rest is yet to be written
                    }
                    cursor.state = State::Body(head);
                    let behind = usize::try_from(size - end).unwrap_or(TRAILER).min(TRAILER);
                    let len = head.length as usize + behind;
                    input = &[];
                    if len > 0 {
                        return Ok(Step::Read {
                            offset: cursor.at + TAG_HEADER as u64,
                            len,
                        });
                    }
                }
                State::Body(head) => {
                    let head = *head;
                    cursor.state = State::Ready;
                    let Some((payload, behind)) = input.split_at_checked(head.length as usize)
                    else {
                        return Ok(Step::Done(None));
                    };
                    let end = head.body_end(cursor.at);
                    if let Some(got) = behind.first_chunk().copied().map(u32::from_be_bytes) {
                        tag::check_trailer(head.length, got, end)?;
                    }
                    cursor.at = end + TRAILER as u64;
                    if let Some(packet) = self.packet(head, payload) {
                        return Ok(Step::Done(Some(packet)));
                    }
                }
            }
        }
    }
}
