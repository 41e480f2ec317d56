//! What is published, again and again: a file's tags or the built-in stream's, on a clock that runs on.

use std::rc::Rc;

use bytes::Bytes;

use crate::limits;
use crate::media::flv::FlvTag;
use crate::media::frame::classify::{Class, HeaderPart, classify};
use crate::rtmp::wire::MediaKind;
use crate::time::{Duration, Timestamp};

/// Bytes in front of an AVC picture's NAL units: frame and codec, packet type, composition time (FLV 10.1 annex E.4.3.1).
const AVC_HEADER: usize = 5;
/// NAL unit type 9: an access unit delimiter, which has to be first.
const DELIMITER: u8 = 9;
/// What a picture or a frame of sound takes where the file has only one.
const LONE_STEP: u32 = 40;

/// A stream to be repeated.
#[derive(Debug)]
pub struct Clip {
    items: Vec<Item>,
    /// Milliseconds from one beginning to the next.
    period: u32,
}

#[derive(Clone, Debug)]
struct Item {
    kind: MediaKind,
    /// Milliseconds since the clip's beginning.
    at: u32,
    payload: Bytes,
    /// It is left out when the clip is repeated.
    once: bool,
    /// Where a marker may stand, and the bytes of a NAL unit's length.
    marker: Option<(usize, usize)>,
}

/// Why tags cannot be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClipError {
    /// Nothing, or nothing that takes time.
    #[error("expected at least {}ms of sound or pictures, got {got}ms", limits::LOAD_LOOP_MIN.as_millis())]
    TooShort {
        /// Milliseconds.
        got: u32,
    },
    /// A tag is far from the one that began.
    #[error(
        "byte {offset}: expected a time within a day of the beginning, got {got}ms; remux the file"
    )]
    TooLong {
        /// Where the tag begins.
        offset: u64,
        /// Its time behind the beginning.
        got: i64,
    },
    /// A tag is older than the one before it.
    #[error("byte {offset}: the clock goes back by {by}ms; remux the file")]
    Backwards {
        /// Where the tag begins.
        offset: u64,
        /// Milliseconds.
        by: u32,
    },
}

/// A message that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cue {
    /// Since the stream's beginning.
    pub(crate) due: Duration,
    pub(crate) kind: MediaKind,
    pub(crate) timestamp: Timestamp,
    pub(crate) payload: Bytes,
    /// Where a marker may stand, and the bytes of a NAL unit's length.
    pub(crate) marker: Option<(usize, usize)>,
}

/// One publisher's way through a clip.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    clip: Rc<Clip>,
    next: usize,
    /// Milliseconds of the repetitions so far. 64 bits: RTMP's clock wraps, this one does not.
    base: u64,
    /// When the latest cue was due: one that is stamped earlier leaves with it.
    reached: u64,
}

/// What is known of one kind's clock.
#[derive(Clone, Copy, Default)]
struct Clock {
    last: Option<u32>,
    step: u32,
}

impl Clip {
    /// A clip of a file's tags in their order.
    ///
    /// # Errors
    /// See [`ClipError`].
    pub fn new(tags: Vec<FlvTag>) -> Result<Self, ClipError> {
        let first = tags
            .iter()
            .find(|tag| tag.kind != MediaKind::Data && !is_header(tag));
        let origin = first.map_or(Timestamp(0), |tag| tag.timestamp);
        let (mut items, mut clocks) = (Vec::new(), [Clock::default(); 2]);
        let (mut started, mut changes, mut length_bytes) = (false, false, None);
        for tag in tags {
            let class = classify(tag.kind, &tag.payload[..]);
            let header = matches!(class, Class::Metadata | Class::Header(..));
            if let Class::Header(HeaderPart::VideoConfig, _) = class {
                length_bytes = avc_length_bytes(&tag.payload);
            }
            if matches!(class, Class::VideoEnd(_)) {
                continue; // it goes on
            }
            // What stands in front is often stamped 0 where the stream begins later.
            let in_front = !started && (header || tag.kind == MediaKind::Data);
            let at = if in_front { 0 } else { time_of(&tag, origin)? };
            let clock = match tag.kind {
                MediaKind::Audio => Some(0),
                MediaKind::Video => Some(1),
                MediaKind::Data => None,
            };
            if let Some(clock) = clock.and_then(|index: usize| clocks.get_mut(index))
                && !header
            {
                clock.tick(at, tag.offset)?;
                started = true;
            }
            changes |= header && started;
            let pictures = matches!(class, Class::Picture { .. });
            items.push(Item {
                kind: tag.kind,
                at,
                once: header,
                marker: length_bytes
                    .filter(|_| pictures)
                    .and_then(|n| Some((place(&tag.payload, n)?, n))),
                payload: tag.payload,
            });
        }
        if changes {
            // The decoder is set up anew on the way: the beginning needs its own headers again.
            items.iter_mut().for_each(|item| item.once = false);
        }
        let ends = clocks.iter().filter_map(|clock| clock.end());
        let period = ends.max().unwrap_or(0);
        if u128::from(period) < limits::LOAD_LOOP_MIN.as_millis() {
            return Err(ClipError::TooShort { got: period });
        }
        Ok(Self { items, period })
    }

    /// Whether players can be told when its pictures left.
    pub fn takes_markers(&self) -> bool {
        self.items.iter().any(|item| item.marker.is_some())
    }
}

impl Clock {
    fn tick(&mut self, at: u32, offset: u64) -> Result<(), ClipError> {
        if let Some(last) = self.last {
            if at < last {
                let by = last - at;
                return Err(ClipError::Backwards { offset, by });
            }
            // What stands at the same time, as several tracks do, tells nothing of the next.
            if at > last {
                self.step = at - last;
            }
        }
        self.last = Some(at);
        Ok(())
    }

    /// When the next of its kind would come.
    fn end(&self) -> Option<u32> {
        let step = match self.step {
            0 => LONE_STEP,
            step => step,
        };
        self.last.map(|last| last + step)
    }
}

fn is_header(tag: &FlvTag) -> bool {
    matches!(classify(tag.kind, &tag.payload[..]), Class::Header(..))
}

/// Milliseconds since the beginning; what is stamped before it belongs to it.
fn time_of(tag: &FlvTag, origin: Timestamp) -> Result<u32, ClipError> {
    let behind = i64::from(tag.timestamp.since(origin));
    let most = limits::LOAD_TIME_MAX.as_millis() as i64;
    if behind.abs() > most {
        let offset = tag.offset;
        return Err(ClipError::TooLong {
            offset,
            got: behind,
        });
    }
    Ok(behind.clamp(0, most) as u32)
}

/// Bytes of a NAL unit's length by the avcC of a sequence header (ISO/IEC 14496-15 §5.2.4.1); none of other codecs.
fn avc_length_bytes(payload: &[u8]) -> Option<usize> {
    let is_avc = payload.first()? & 0x8F == 7;
    let bytes = usize::from(payload.get(AVC_HEADER + 4)? & 3) + 1;
    (is_avc && bytes != 3).then_some(bytes)
}

/// In front of a picture's first NAL unit, or behind it if that is a delimiter.
fn place(payload: &[u8], length_bytes: usize) -> Option<usize> {
    let rest = payload.get(AVC_HEADER..)?;
    let (length, nal) = rest.split_at_checked(length_bytes)?;
    let length = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    let delimiter = nal.first()? & 0x1F == DELIMITER && length < nal.len();
    Some(AVC_HEADER + if delimiter { length_bytes + length } else { 0 })
}

impl Script {
    pub(crate) fn new(clip: Rc<Clip>) -> Self {
        Self {
            clip,
            next: 0,
            base: 0,
            reached: 0,
        }
    }

    /// When the next cue is due, since the beginning.
    pub(crate) fn due(&self) -> Duration {
        Duration::from_millis(self.due_millis())
    }

    fn due_millis(&self) -> u64 {
        let at = self.clip.items.get(self.next).map_or(0, |item| item.at);
        (self.base + u64::from(at)).max(self.reached)
    }

    /// The next cue. There is always one: a clip holds at least a message that is repeated.
    pub(crate) fn next(&mut self) -> Option<Cue> {
        let due = self.due_millis();
        let item = self.clip.items.get(self.next)?;
        let cue = Cue {
            due: Duration::from_millis(due),
            kind: item.kind,
            // RTMP's clock wraps.
            timestamp: Timestamp((self.base + u64::from(item.at)) as u32),
            payload: item.payload.clone(),
            marker: item.marker,
        };
        self.reached = due;
        loop {
            self.next += 1;
            match self.clip.items.get(self.next) {
                Some(item) if item.once && self.base > 0 => {}
                Some(_) => break,
                None => {
                    self.base += u64::from(self.clip.period);
                    let items = &self.clip.items;
                    self.next = items.iter().position(|item| !item.once).unwrap_or(0);
                    break;
                }
            }
        }
        Some(cue)
    }
}

#[cfg(test)]
mod tests;
