//! Chunks in, messages out (RTMP 1.0 §5.3, errata §4–6).
//!
//! The rules where senders or readings of the specification differ:
//!
//! * A new message with fmt 3 repeats the last delta; after fmt 0 that "delta" is its timestamp (RTMP 1.0 §5.3.1.2.4).
//! * Fmt 3 carries an extended timestamp whenever the csid's last header did, and may leave it out if this sender
//!   does: see `extended.rs`.
//! * Fmt 0, 1 or 2 while a message is unfinished drops that message and starts another; payloads are never spliced.
//! * A fresh csid may start with fmt 1 (librtmp's pongs do): message stream 0, timestamp = delta. Not with 2 or 3.
//! * An aborted or dropped message still sets the time for later deltas (errata §6).

pub use super::error::ChunkError;
use super::header::{Basic, Fields, HEADER_MAX};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;
use crate::time::Timestamp;

mod extended;
mod fuzz;
mod state;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use fuzz::fuzz_decoder;
use state::{ChunkStream, Head, Partial, length_limit, parse_repeat};

/// A message's payload.
#[derive(Debug, Clone)]
pub enum Body {
    /// Types 8 and 9: laid out for leaving.
    Wire(WireMessage),
    /// Everything else, contiguous.
    Plain(Vec<u8>),
}

/// One message of the peer.
#[derive(Debug, Clone)]
pub struct Message {
    /// The chunk stream it came on.
    pub csid: u32,
    /// Message type id.
    pub type_id: u8,
    /// Message stream id.
    pub stream: u32,
    /// Absolute time. Meaningless for types 1..=6.
    pub timestamp: Timestamp,
    /// Payload.
    pub body: Body,
}

/// Reads one connection's chunks.
///
/// Holds at most the payload that came of unfinished messages ([`limits::PARTIAL_BYTES`]) and as much again, what
/// growing by doubling costs, and for each chunk stream a reserve no larger than the input it was fed with, or than
/// the largest message that came on it before ([`limits::PARTIAL_RESERVE`] at most). A declared length reserves
/// nothing. All this in the layout of [`Body::Wire`], whose headers add little unless our chunks are tiny.
#[derive(Debug)]
pub struct Decoder {
    out_chunk_size: u32,
    chunk_size: u32,
    /// Sorted by csid.
    streams: Vec<ChunkStream>,
    /// Index of the chunk stream whose chunk is being read.
    current: usize,
    /// Payload bytes of that chunk still to come; 0 between chunks.
    chunk_left: usize,
    /// Payload bytes held in all partial messages.
    unfinished: usize,
    /// The begin of a header, kept from the last input. Behind it may stand up to three payload bytes, if it took
    /// them to see that no extended timestamp is there.
    carry: [u8; HEADER_MAX],
    carry_len: usize,
    habit: extended::Habit,
}

/// A header read, not yet acted on.
enum Header {
    /// The partial message of `streams[index]` goes on.
    Continue {
        index: usize,
        habit: extended::Habit,
    },
    /// A message starts; `slot` is its chunk stream's index, or the place for it.
    Start {
        csid: u32,
        slot: Result<usize, usize>,
        head: Head,
    },
}

impl Decoder {
    /// A decoder that expects chunks of 128 bytes. `out_chunk_size` is the layout of [`Body::Wire`].
    pub fn new(out_chunk_size: u32) -> Self {
        Self {
            out_chunk_size: out_chunk_size.max(1),
            chunk_size: limits::CHUNK_SIZE_INITIAL,
            streams: Vec::new(),
            current: 0,
            chunk_left: 0,
            unfinished: 0,
            carry: [0; HEADER_MAX],
            carry_len: 0,
            habit: extended::Habit::default(),
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next message, and returns it. `Ok(None)`: all of
    /// `input` was taken, and more is needed.
    ///
    /// # Errors
    /// The peer broke the protocol or a bound; there is no way on, and the decoder must not be fed any more.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if self.chunk_left == 0 && !self.read_header(input)? {
                return Ok(None);
            }
            self.read_payload(input)?;
            if self.chunk_left > 0 {
                return Ok(None);
            }
            if let Some(message) = self.finish() {
                return Ok(Some(message));
            }
        }
    }

    /// The peer's Set Chunk Size: effective at its next chunk, also in the middle of a message.
    ///
    /// # Errors
    /// 0, or more than 31 bits.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        if size == 0 || size > limits::CHUNK_SIZE_RECEIVE_MAX {
            return Err(ChunkError::ChunkSize { got: size });
        }
        if planted(Bug::ChunkSizeHeldBack) && self.unfinished > 0 {
            return Ok(());
        }
        self.chunk_size = size;
        Ok(())
    }

    /// The peer's Abort Message: drops the partial message of `csid`, if there is one. Its time stays.
    pub fn abort(&mut self, csid: u32) {
        if let Ok(index) = self.find(csid)
            && !planted(Bug::AbortIgnored)
        {
            self.drop_partial(index);
        }
    }

    /// Bytes of memory held for messages that are not finished.
    pub fn buffered_bytes(&self) -> usize {
        let partials = self.streams.iter().filter_map(|s| s.partial.as_ref());
        partials.map(Partial::capacity).sum::<usize>() + self.carry_len
    }

    /// Whether every fmt 3 header must carry the extended timestamp where the errata demand it, instead of looking
    /// whether this sender leaves it out. Off at first.
    pub fn set_strict_extended(&mut self, strict: bool) {
        self.habit.strict = strict;
    }

    fn find(&self, csid: u32) -> Result<usize, usize> {
        // Nearly always the one before: encoders that interleave do so per message.
        match self.streams.get(self.current) {
            Some(stream) if stream.csid == csid => Ok(self.current),
            _ => self.streams.binary_search_by_key(&csid, |s| s.csid),
        }
    }

    /// Reads a chunk's header; false if there is not enough input for it, which is then kept.
    #[inline]
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        if self.goes_on(input) {
            return Ok(true);
        }
        self.read_any_header(input)
    }

    /// Whether the next chunk is the plain one-byte continuation of the one before: most are, and at 128 bytes a
    /// chunk they are what decoding costs. Whole chunks of that kind are taken at once; then another one has begun,
    /// or the message is complete.
    #[inline]
    fn goes_on(&mut self, input: &mut &[u8]) -> bool {
        let (0, Some(&first)) = (self.carry_len, input.first()) else {
            return false;
        };
        let chunk_size = self.chunk_size as usize;
        let Some(stream) = self.streams.get_mut(self.current) else {
            return false;
        };
        // The sum: a csid of 64 or more has no one-byte form, and here nothing to equal.
        if u32::from(first) != 0xC0 + stream.csid || stream.last.extended.is_some() {
            return false;
        }
        let Some(partial) = &mut stream.partial else {
            return false;
        };
        let budget = limits::PARTIAL_BYTES.saturating_sub(self.unfinished);
        self.unfinished += partial.push_run(input, first, chunk_size, budget);
        let missing = partial.missing();
        if missing > 0 {
            match input.split_first() {
                Some((&next, rest)) if next == first => *input = rest,
                _ => return false,
            }
        }
        self.chunk_left = missing.min(chunk_size);
        true
    }

    fn read_any_header(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        let header = if self.carry_len == 0 {
            match self.parse(input)? {
                Some((header, len)) => {
                    *input = input.get(len..).unwrap_or_default();
                    Some(header)
                }
                None => {
                    self.keep(input);
                    None
                }
            }
        } else {
            let before = self.carry_len;
            let mut more = *input;
            self.keep(&mut more);
            let kept = self.carry;
            match self.parse(kept.get(..self.carry_len).unwrap_or_default())? {
                Some((header, len)) => {
                    // What was just kept and is not header goes back to the input; what was kept earlier stays.
                    let from_input = len.saturating_sub(before);
                    *input = input.get(from_input..).unwrap_or_default();
                    self.carry_len = before;
                    self.drop_carry(len.min(before));
                    Some(header)
                }
                None => {
                    *input = more;
                    None
                }
            }
        };
        match header {
            Some(header) => self.apply(header).map(|()| true),
            None => Ok(false),
        }
    }

    /// Moves what fits of `input` behind the carried bytes.
    fn keep(&mut self, input: &mut &[u8]) {
        let room = self.carry.get_mut(self.carry_len..).unwrap_or_default();
        let n = room.len().min(input.len());
        for (to, from) in room.iter_mut().zip(*input) {
            *to = *from;
        }
        self.carry_len += n;
        *input = input.get(n..).unwrap_or_default();
    }

    fn drop_carry(&mut self, n: usize) {
        let n = n.min(self.carry_len);
        self.carry.copy_within(n..self.carry_len, 0);
        self.carry_len -= n;
    }

    /// Reads the header at the front of `bytes` and tells its length. Changes nothing.
    #[inline]
    fn parse(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, ChunkError> {
        let Some(Basic { fmt, csid, len }) = Basic::parse(bytes) else {
            return Ok(None);
        };
        let slot = match self.find(csid) {
            Ok(_) if planted(Bug::ContinuationMisplaced) && fmt == 3 => Ok(self.current),
            slot => slot,
        };
        let stream = slot.ok().and_then(|index| self.streams.get(index));
        let rest = bytes.get(len..).unwrap_or_default();
        let parsed = match (fmt, stream) {
            (3, Some(stream)) => match (&stream.partial, slot) {
                (Some(_), Ok(index)) => self.parse_continuation(index, &stream.last, rest),
                _ => parse_repeat(&stream.last, rest)
                    .map(|(head, n)| (Header::Start { csid, slot, head }, n)),
            },
            (2 | 3, None) => return Err(ChunkError::FreshChunkStream { csid, fmt }),
            (_, stream) => Fields::parse(fmt, rest).map(|fields| {
                let head = Head::inherit(stream.map(|s| &s.last), &fields);
                (Header::Start { csid, slot, head }, fields.len)
            }),
        };
        Ok(parsed.map(|(header, n)| (header, len + n)))
    }

    fn parse_continuation(
        &self,
        index: usize,
        last: &Head,
        rest: &[u8],
    ) -> Option<(Header, usize)> {
        let (habit, len) = match last.extended {
            Some(_) if planted(Bug::ExtendedTimestampUnread) => (self.habit, 0),
            None => (self.habit, 0),
            Some(field) => self.habit.continuation(field, last.timestamp, rest)?,
        };
        Some((Header::Continue { index, habit }, len))
    }

    fn apply(&mut self, header: Header) -> Result<(), ChunkError> {
        match header {
            Header::Continue { index, habit } => {
                self.current = index;
                self.habit = habit;
            }
            Header::Start { csid, slot, head } => self.start(csid, slot, head)?,
        }
        let missing = self.partial().map_or(0, |partial| partial.missing());
        self.chunk_left = missing.min(self.chunk_size as usize);
        Ok(())
    }

    fn start(
        &mut self,
        csid: u32,
        slot: Result<usize, usize>,
        head: Head,
    ) -> Result<(), ChunkError> {
        let Head {
            type_id, length, ..
        } = head;
        let limit = length_limit(type_id);
        if length > limit {
            return Err(ChunkError::MessageTooLong {
                type_id,
                length,
                limit,
            });
        }
        let partial = Some(Partial::new(&head, self.out_chunk_size));
        match slot {
            Ok(index) => {
                self.drop_partial(index);
                self.current = index;
                if let Some(stream) = self.streams.get_mut(index) {
                    stream.last = head;
                    stream.partial = partial;
                }
            }
            Err(place) => {
                if self.streams.len() >= limits::CHUNK_STREAMS {
                    return Err(ChunkError::TooManyChunkStreams { csid });
                }
                let place = place.min(self.streams.len());
                self.current = place;
                let stream = ChunkStream {
                    csid,
                    last: head,
                    partial,
                    largest: 0,
                };
                self.streams.insert(place, stream);
            }
        }
        Ok(())
    }

    fn drop_partial(&mut self, index: usize) {
        let stream = self.streams.get_mut(index);
        if let Some(partial) = stream.and_then(|s| s.partial.take()) {
            self.unfinished -= partial.received();
        }
    }

    fn partial(&mut self) -> Option<&mut Partial> {
        self.streams.get_mut(self.current)?.partial.as_mut()
    }

    fn read_payload(&mut self, input: &mut &[u8]) -> Result<(), ChunkError> {
        if self.carry_len > 0 {
            let carry = self.carry;
            let n = self.chunk_left.min(self.carry_len);
            self.store(carry.get(..n).unwrap_or_default(), n + input.len())?;
            self.drop_carry(n);
        }
        let n = self.chunk_left.min(input.len());
        let (data, rest) = input.split_at(n);
        self.store(data, input.len())?;
        *input = rest;
        Ok(())
    }

    /// Copies `data`, at most what the chunk still takes. `at_hand`: how much input is here, `data` included.
    #[inline]
    fn store(&mut self, data: &[u8], at_hand: usize) -> Result<(), ChunkError> {
        self.chunk_left -= data.len();
        let unfinished = self.unfinished + data.len();
        // None: the message was aborted in the middle of its chunk, the rest of which is skipped.
        if let Some(stream) = self.streams.get_mut(self.current)
            && let Some(partial) = &mut stream.partial
        {
            if unfinished > limits::PARTIAL_BYTES {
                return Err(ChunkError::TooMuchUnfinished);
            }
            // A message that crosses reads need not grow, if one as large came on this chunk stream before.
            let learnt = stream.largest.saturating_sub(partial.received());
            partial.push(data, at_hand.max(learnt));
            self.unfinished = unfinished;
        }
        Ok(())
    }

    /// The message whose chunk has just ended, if that was its last.
    #[inline]
    fn finish(&mut self) -> Option<Message> {
        let stream = self.streams.get_mut(self.current)?;
        if stream.partial.as_ref()?.missing() > 0 {
            return None;
        }
        let partial = stream.partial.take()?;
        let received = partial.received();
        self.unfinished -= received;
        stream.largest = stream.largest.max(received.min(limits::PARTIAL_RESERVE));
        Some(Message {
            csid: stream.csid,
            type_id: stream.last.type_id,
            stream: stream.last.stream,
            timestamp: stream.last.timestamp,
            body: partial.finish(),
        })
    }
}
