//! What a file holds: from its first seconds and its last.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::FlvError;
use super::file::{FlvFile, Layout};
use super::resync::{Resync, Search};
use super::script::Found;
use super::survey::Survey;
use super::tag::{self, FILE_HEADER, TAG_HEADER, TRAILER};
use super::walk::{Seen, Walked, Walker};
use crate::limits;
use crate::media::file::{FileInfo, Step, Task};
use crate::media::frame::classify::Class;
use crate::rtmp::wire::MediaKind;

/// Opens a file: any FLV file, finished or not, ours or not.
///
/// Reads its header, its first tags (see [`limits::FLV_HEAD_TAGS`]), and its end.
pub struct FlvOpen {
    size: u64,
    state: State,
    survey: Survey,
    tags: usize,
    /// Of the first sound or picture.
    first: Option<u32>,
    strict: bool,
    found: Option<Found>,
    headers: Vec<(MediaKind, Bytes)>,
    header_bytes: usize,
    /// What has a header already: parts and the tracks' sets as they came.
    known: BTreeMap<(u8, Vec<u8>), ()>,
    duration: Option<u64>,
}

enum State {
    Begin,
    Header,
    Head(Walker, u64),
    /// The payload of this tag.
    Payload(Walker, Seen),
    /// The last tags, from so many bytes before the end; how far back, and the newest time there.
    Tail(Tail),
}

struct Tail {
    back: u64,
    way: Way,
    asked: u64,
    newest: Option<u64>,
}

enum Way {
    Resync(Resync),
    Walk(Walker),
}

impl FlvOpen {
    /// For a file of `size` bytes; it may be growing.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            state: State::Begin,
            survey: Survey::new(2),
            tags: 0,
            first: None,
            strict: true,
            found: None,
            headers: Vec::new(),
            header_bytes: 0,
            known: BTreeMap::new(),
            duration: None,
        }
    }

    fn layout(&self) -> Layout {
        let begin = limits::FILE_BEGIN.as_millis() as u32;
        let is_ours = self.found.as_ref().is_some_and(|found| found.is_ours);
        Layout {
            start: self
                .first
                .filter(|first| !is_ours && *first > begin)
                .unwrap_or(0),
            has_video: self.survey.has_video,
            lead: self.survey.lead.track(),
            strict: self.strict,
        }
    }

    /// Takes note of one of the first tags. True if its payload is wanted.
    fn head(&mut self, seen: &Seen) -> bool {
        self.tags += 1;
        let is_true = |got| tag::trailer_is_true(seen.head.length, got);
        self.strict &= seen.head.stream == 0 && seen.trailer.is_none_or(is_true);
        let time = seen.head.timestamp.0;
        (self.survey).note(seen.head.kind, seen.class, time.into(), seen.offset);
        match seen.class {
            Class::Metadata => self.found.is_none(),
            Class::Header(part, tracks) => {
                let key = (part as u8, tracks.iter().collect());
                let length = seen.head.length as usize;
                let fits = length <= limits::HEADER_BYTES
                    && self.headers.len() < limits::STREAM_HEADERS
                    && self.header_bytes + length <= limits::STREAM_HEADERS_BYTES;
                fits && self.known.insert(key, ()).is_none()
            }
            Class::Picture { .. } | Class::Sound(_) => {
                self.first.get_or_insert(time);
                false
            }
            _ => false,
        }
    }

    /// Whether enough is known of what the file holds.
    fn is_known(&self, seen: &Seen) -> bool {
        let since = seen
            .head
            .timestamp
            .0
            .wrapping_sub(self.first.unwrap_or(seen.head.timestamp.0));
        let late =
            u128::from(since) > limits::FLV_HEAD_TIME.as_millis() && since <= i32::MAX as u32;
        let complete =
            self.survey.has_audio && self.survey.lead.track().is_some() && self.first.is_some();
        late || complete || self.tags >= limits::FLV_HEAD_TAGS
    }

    fn payload(&mut self, seen: &Seen, input: &[u8]) {
        match seen.head.kind {
            Some(MediaKind::Data) => self.found = Some(Found::read(input)),
            Some(kind) => {
                self.header_bytes += input.len();
                self.headers.push((kind, Bytes::copy_from_slice(input)));
            }
            None => {}
        }
    }

    fn begin(&self) -> u64 {
        self.survey.body.unwrap_or(self.size)
    }

    /// Looks at the last `back` bytes.
    fn tail(&self, back: u64) -> State {
        let begin = self.begin();
        let from = self.size.saturating_sub(back);
        let way = if from <= begin {
            Way::Walk(Walker::new(begin, limits::FILE_BLOCK))
        } else {
            Way::Resync(Resync::new(from, self.size, self.strict))
        };
        State::Tail(Tail {
            back,
            way,
            asked: 0,
            newest: None,
        })
    }

    fn opened(&mut self, newest: Option<u64>) -> FlvFile {
        let layout = self.layout();
        let found = self.found.take();
        let said = found.as_ref().and_then(|found| found.duration);
        // The metadata knows how long the last frame is; if it is far off, it is another file's, or a stream's.
        let slack = limits::FLV_INDEX_SLACK.as_millis() as u64;
        let is_true =
            |said: &u64| newest.is_none_or(|newest| (newest..=newest + slack).contains(said));
        let duration = said
            .filter(|said| *said > 0)
            .filter(is_true)
            .or(newest)
            .or(self.duration);
        let index = found.as_ref().and_then(|found| found.index.clone());
        FlvFile {
            info: FileInfo {
                duration,
                metadata: found.map(|found| found.for_viewers(duration).into()),
                headers: core::mem::take(&mut self.headers),
                has_video: self.survey.has_video,
                has_audio: self.survey.has_audio,
            },
            layout,
            body: self.begin(),
            index,
        }
    }

    fn step_tail(&mut self, mut tail: Tail, input: &[u8]) -> Step<FlvFile> {
        let layout = self.layout();
        let mut input = Some(input).filter(|_| tail.asked > 0);
        loop {
            let next = match &mut tail.way {
                Way::Resync(resync) => {
                    if let Some(input) = input.take() {
                        resync.fill(tail.asked, input);
                    }
                    match resync.next(self.size) {
                        Search::Read { offset, len } => Some((offset, len)),
                        Search::Found(at) => {
                            tail.way = Way::Walk(Walker::new(at, limits::FILE_BLOCK));
                            continue;
                        }
                        Search::Nothing => None,
                    }
                }
                Way::Walk(walker) => {
                    if let Some(input) = input.take() {
                        walker.fill(tail.asked, input);
                    }
                    match walker.next(self.size) {
                        Walked::Read { offset, len } => Some((offset, len)),
                        Walked::Tag(seen) => {
                            if seen.is_media() {
                                let time = layout.time(seen.head.timestamp);
                                tail.newest = tail.newest.max(Some(time));
                            }
                            continue;
                        }
                        Walked::End => None,
                    }
                }
            };
            if let Some((offset, len)) = next {
                tail.asked = offset;
                self.state = State::Tail(tail);
                return Step::Read { offset, len };
            }
            let all = tail.back >= limits::FLV_BACK
                || self.size - self.begin().min(self.size) <= tail.back;
            if tail.newest.is_some() || all {
                return Step::Done(self.opened(tail.newest));
            }
            if let State::Tail(further) = self.tail(tail.back * 4) {
                tail = further;
            }
        }
    }
}

impl Task for FlvOpen {
    type Output = FlvFile;
    type Error = FlvError;

    fn step(&mut self, input: &[u8]) -> Result<Step<FlvFile>, FlvError> {
        let mut input = Some(input);
        loop {
            match core::mem::replace(&mut self.state, State::Begin) {
                State::Begin => {
                    self.state = State::Header;
                    return Ok(Step::Read {
                        offset: 0,
                        len: FILE_HEADER,
                    });
                }
                State::Header => {
                    let header = tag::file_header(input.take().unwrap_or_default())?;
                    let first = (header + TRAILER) as u64;
                    self.state = State::Head(Walker::new(first, limits::FILE_BLOCK), 0);
                }
                State::Head(mut walker, asked) => {
                    if let Some(input) = input.take().filter(|_| asked > 0) {
                        walker.fill(asked, input);
                    }
                    match walker.next(self.size) {
                        Walked::Read { offset, len } => {
                            self.state = State::Head(walker, offset);
                            return Ok(Step::Read { offset, len });
                        }
                        Walked::Tag(seen) => {
                            let wanted = self.head(&seen) && seen.head.length > 0;
                            if wanted {
                                self.state = State::Payload(walker, seen);
                                return Ok(Step::Read {
                                    offset: seen.offset + TAG_HEADER as u64,
                                    len: seen.head.length as usize,
                                });
                            }
                            self.state = State::Head(walker, 0);
                            if self.is_known(&seen) {
                                self.survey.body.get_or_insert(seen.end);
                                self.state = self.tail(limits::FLV_STRETCH);
                            }
                        }
                        Walked::End => {
                            self.survey.body.get_or_insert(walker.at());
                            self.state = self.tail(limits::FLV_STRETCH);
                        }
                    }
                }
                State::Payload(walker, seen) => {
                    self.payload(&seen, input.take().unwrap_or_default());
                    self.state = State::Head(walker, 0);
                }
                State::Tail(tail) => {
                    return Ok(self.step_tail(tail, input.take().unwrap_or_default()));
                }
            }
        }
    }
}
