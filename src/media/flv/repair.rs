//! A recording that was cut off: what is whole stays, and gets its duration and its index.
//!
//! The body of `onMetaData` is written anew as a whole, whatever a torn write has left of it: where it stands and how long
//! it is, the header of its tag says, which no patch touches. The stream's own properties in it stay, as far as they can be
//! read; they stand in front of everything that is patched but three numbers.

use super::FlvError;
use super::script::Script;
use super::survey::Survey;
use super::tag::{self, FILE_HEADER, Head, TAG_HEADER, TRAILER};
use super::walk::{Seen, Walked, Walker};
use super::writer::{FLAGS_AT, SCRIPT_AT, facts, flags};
use crate::limits;
use crate::media::file::{Patch, Repaired, Step, Task};

/// Repairs a file that [`super::FlvWriter`] has written, and that ends somewhere.
///
/// Reads it once, in blocks of [`limits::REPAIR_BLOCK`]. A tag is whole if its PreviousTagSize says so.
pub struct FlvRepair {
    size: u64,
    state: State,
    flags: u8,
    survey: Survey,
    /// The metadata's body as it is, and as it should be made.
    script: Option<(Vec<u8>, Script)>,
    /// Behind the last whole tag.
    whole: u64,
}

enum State {
    Begin,
    /// The file header and the first tag's.
    Front,
    /// The metadata's body and the size behind it.
    Script(Head),
    Walk(Walker, u64),
}

impl FlvRepair {
    /// For a file of `size` bytes, which does not grow any more.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            state: State::Begin,
            flags: 0,
            survey: Survey::new(limits::FLV_KEYFRAMES),
            script: None,
            whole: 0,
        }
    }

    fn front(&mut self, input: &[u8]) -> Result<State, FlvError> {
        let header = tag::file_header(input)? as u64;
        self.flags = input.get(FLAGS_AT as usize).copied().unwrap_or_default();
        let first = header + TRAILER as u64;
        self.whole = first.min(self.size);
        let head = input.get(FILE_HEADER + TRAILER..).and_then(Head::guess);
        let is_script = |head: &Head| {
            head.kind == Some(crate::rtmp::wire::MediaKind::Data)
                && header == FILE_HEADER as u64
                && head.body_end(first) + TRAILER as u64 <= self.size
        };
        Ok(match head.filter(is_script) {
            Some(head) => State::Script(head),
            None => State::Walk(Walker::new(first, limits::REPAIR_BLOCK), 0),
        })
    }

    fn script(&mut self, head: Head, input: &[u8]) -> State {
        let mut next = self.whole;
        if let Some((body, trailer)) = input.split_last_chunk::<TRAILER>()
            && tag::trailer_is_true(head.length, u32::from_be_bytes(*trailer))
            && body.len() == head.length as usize
            && let Some(script) = Script::restore(body)
        {
            next = SCRIPT_AT + input.len() as u64;
            self.whole = next;
            self.survey = Survey::new(script.room());
            self.script = Some((body.to_vec(), script));
        }
        State::Walk(Walker::new(next, limits::REPAIR_BLOCK), 0)
    }

    fn take(&mut self, seen: Seen) -> bool {
        let head = seen.head;
        let is_ours = head.kind.is_some() && head.stream == 0;
        let is_whole = |got| tag::trailer_is_true(head.length, got);
        if !is_ours || !seen.trailer.is_some_and(is_whole) {
            return false;
        }
        let time = u64::from(head.timestamp.0);
        self.survey.note(head.kind, seen.class, time, seen.offset);
        self.whole = seen.end;
        true
    }

    fn repaired(&self) -> Repaired {
        let mut patches = Vec::new();
        if let Some((body, script)) = &self.script {
            let bytes = script.finished(facts(&self.survey, self.whole), &self.survey.index);
            if bytes != *body {
                patches.push(Patch {
                    offset: SCRIPT_AT,
                    bytes,
                });
            }
        }
        if self.survey.has_media() {
            patches.extend(flags(&self.survey, self.flags));
        }
        Repaired {
            len: self.whole,
            patches,
            duration: self.survey.duration(),
            is_empty: !self.survey.has_media(),
        }
    }
}

impl Task for FlvRepair {
    type Output = Repaired;
    type Error = FlvError;

    fn step(&mut self, input: &[u8]) -> Result<Step<Repaired>, FlvError> {
        loop {
            match &mut self.state {
                State::Begin => {
                    let front = FILE_HEADER + TRAILER + TAG_HEADER;
                    if self.size < FILE_HEADER as u64 {
                        return Ok(Step::Done(self.repaired()));
                    }
                    self.state = State::Front;
                    return Ok(Step::Read {
                        offset: 0,
                        len: front.min(usize::try_from(self.size).unwrap_or(front)),
                    });
                }
                State::Front => {
                    self.state = self.front(input)?;
                    if let State::Script(head) = self.state {
                        return Ok(Step::Read {
                            offset: SCRIPT_AT,
                            len: head.length as usize + TRAILER,
                        });
                    }
                }
                State::Script(head) => {
                    let head = *head;
                    self.state = self.script(head, input);
                }
                State::Walk(walker, asked) => {
                    if *asked > 0 {
                        walker.fill(*asked, input);
                        *asked = 0;
                    }
                    let step = walker.next(self.size);
                    match step {
                        Walked::Read { offset, len } => {
                            *asked = offset;
                            return Ok(Step::Read { offset, len });
                        }
                        Walked::Tag(seen) if self.take(seen) => {}
                        _ => return Ok(Step::Done(self.repaired())),
                    }
                }
            }
        }
    }
}
