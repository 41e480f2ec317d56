//! What a decoder remembers of each chunk stream: the last header, and the message that is not finished.

use super::Body;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::chunk::header::Fields;
use crate::rtmp::message;
use crate::rtmp::wire::{MediaKind, WireBuilder, append_run};
use crate::time::Timestamp;

/// One chunk stream.
#[derive(Debug)]
pub(super) struct ChunkStream {
    pub(super) csid: u32,
    pub(super) last: Head,
    pub(super) partial: Option<Partial>,
    /// Payload bytes of the largest message that was completed on it, at most [`limits::PARTIAL_RESERVE`].
    pub(super) largest: usize,
}

/// What a chunk stream's headers inherit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) timestamp: Timestamp,
    /// What a new message with fmt 3 adds.
    pub(super) delta: u32,
    pub(super) length: u32,
    pub(super) type_id: u8,
    pub(super) stream: u32,
    /// The extended timestamp field, if there was one.
    pub(super) extended: Option<u32>,
}

/// A message of which some payload is still to come, or none: the caller asks [`Partial::missing`].
#[derive(Debug)]
pub(super) enum Partial {
    Wire(WireBuilder),
    Plain { bytes: Vec<u8>, length: usize },
}

/// The longest message of a type, in bytes. Media, data, shared objects and aggregates may be large; unknown types
/// are let through to be ignored.
pub(super) fn length_limit(type_id: u8) -> u32 {
    match type_id {
        message::SET_CHUNK_SIZE..=message::SET_PEER_BANDWIDTH
        | message::COMMAND_AMF0
        | message::COMMAND_AMF3 => limits::COMMAND_BYTES,
        _ => limits::MESSAGE_BYTES,
    }
}

/// A new message with a fmt 3 header. If the last header had an extended timestamp, this one has too, and it is the
/// delta. (Who leaves it out on continuations could leave it out here only with a delta of 4.66 h.)
pub(super) fn parse_repeat(last: &Head, rest: &[u8]) -> Option<(Head, usize)> {
    let (delta, extended, len) = match last.extended {
        None => (last.delta, None, 0),
        Some(_) => {
            let delta = u32::from_be_bytes(*rest.first_chunk()?);
            (delta, Some(delta), 4)
        }
    };
    let head = Head {
        timestamp: last.timestamp + delta,
        delta,
        extended,
        ..*last
    };
    Some((head, len))
}

impl Head {
    /// The head of a message that starts with a fmt 0, 1 or 2 header.
    pub(super) fn inherit(last: Option<&Self>, fields: &Fields) -> Self {
        let (length, type_id) = match (fields.body, last) {
            (Some(body), _) => body,
            (None, Some(last)) => (last.length, last.type_id),
            (None, None) => (0, 0),
        };
        let base = last.map_or(Timestamp(0), |last| last.timestamp);
        let timestamp = match fields.stream {
            Some(_) => Timestamp(fields.time),
            None => base + fields.time,
        };
        Self {
            timestamp,
            delta: match last {
                Some(last) if planted(Bug::StaleDelta) => last.delta,
                _ => fields.time,
            },
            length,
            type_id,
            stream: fields.stream.or(last.map(|l| l.stream)).unwrap_or(0),
            extended: fields.extended.then_some(fields.time),
        }
    }
}

impl Partial {
    pub(super) fn new(head: &Head, out_chunk_size: u32) -> Self {
        let kind = match head.type_id {
            message::AUDIO => MediaKind::Audio,
            message::VIDEO => MediaKind::Video,
            _ => {
                return Self::Plain {
                    bytes: Vec::new(),
                    length: head.length as usize,
                };
            }
        };
        let wire = WireBuilder::new(kind, head.timestamp, head.length, out_chunk_size);
        Self::Wire(wire)
    }

    pub(super) fn missing(&self) -> usize {
        match self {
            Self::Wire(wire) => wire.missing(),
            Self::Plain { bytes, length } => length - bytes.len(),
        }
    }

    pub(super) fn received(&self) -> usize {
        match self {
            Self::Wire(wire) => wire.received(),
            Self::Plain { bytes, .. } => bytes.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Wire(wire) => wire.capacity(),
            Self::Plain { bytes, .. } => bytes.capacity(),
        }
    }

    pub(super) fn push(&mut self, data: &[u8], at_hand: usize) {
        match self {
            Self::Wire(wire) => wire.push(data, at_hand),
            Self::Plain { bytes, length } => {
                if bytes.capacity() - bytes.len() < data.len() {
                    let missing = *length - bytes.len();
                    bytes.reserve_exact(missing.min(at_hand.max(bytes.len())));
                }
                bytes.extend_from_slice(data);
            }
        }
    }

    /// Takes whole chunks of `size` bytes from `input`, as long as each is behind the header `mark` and there is
    /// memory for it already; at most `budget` bytes of payload. Returns how many those were.
    #[inline]
    pub(super) fn push_run(
        &mut self,
        input: &mut &[u8],
        mark: u8,
        size: usize,
        budget: usize,
    ) -> usize {
        match self {
            Self::Wire(wire) => wire.push_run(input, mark, size, budget),
            Self::Plain { bytes, length } => {
                let most = budget.min(*length - bytes.len());
                append_run(bytes, input, mark, size, most)
            }
        }
    }

    pub(super) fn finish(self) -> Body {
        match self {
            Self::Wire(wire) => Body::Wire(wire.finish()),
            Self::Plain { bytes, .. } => Body::Plain(bytes),
        }
    }
}
