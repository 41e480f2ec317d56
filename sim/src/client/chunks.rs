//! Chunks written by the specification (RTMP 1.0 §5.3) and not by the server's own hand.

use millstream::rtmp::message;
use millstream::time::Timestamp;

/// A 24-bit field of this value is followed by 32 bits of time.
const EXTENDED: u32 = 0x00ff_ffff;

/// A format 0 header at time 0, on message stream 0.
pub(super) fn header(csid: u32, type_id: u8, length: u32) -> Vec<u8> {
    let mut out = Vec::new();
    basic(&mut out, 0, csid);
    let [_, l0, l1, l2] = length.to_be_bytes();
    out.extend([0, 0, 0, l0, l1, l2, type_id, 0, 0, 0, 0]);
    out
}

/// A whole message at time 0, on message stream 0.
pub(super) fn whole(csid: u32, type_id: u8, payload: &[u8], chunk_size: u32) -> Vec<u8> {
    let mut out = header(csid, type_id, payload.len() as u32);
    for (n, chunk) in payload.chunks(chunk_size.max(1) as usize).enumerate() {
        if n > 0 {
            basic(&mut out, 3, csid);
        }
        out.extend(chunk);
    }
    out
}

/// The same of a command.
pub(super) fn command(csid: u32, payload: &[u8], chunk_size: u32) -> Vec<u8> {
    whole(csid, message::COMMAND_AMF0, payload, chunk_size)
}

/// The basic header in its shortest form.
fn basic(out: &mut Vec<u8>, fmt: u8, csid: u32) {
    let fmt = fmt << 6;
    match csid {
        2..=63 => out.push(fmt | csid as u8),
        64..=319 => out.extend([fmt, (csid - 64) as u8]),
        _ => {
            let [low, high, ..] = csid.saturating_sub(64).to_le_bytes();
            out.extend([fmt | 1, low, high]);
        }
    }
}

/// One message and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) csid: u32,
    pub(super) type_id: u8,
    pub(super) stream: u32,
    pub(super) timestamp: Timestamp,
}

/// What the last header of a chunk stream said.
#[derive(Clone, Copy, Debug)]
struct Last {
    head: Head,
    length: usize,
    /// None behind format 0.
    delta: Option<u32>,
}

/// A message of which some chunks are still to come.
#[derive(Debug)]
pub(super) struct Open<'a> {
    csid: u32,
    /// What continuations repeat, unless their sender omits it.
    extended: Option<u32>,
    omits: bool,
    rest: &'a [u8],
}

impl Open<'_> {
    /// Whether all of it is written.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes still to come.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

/// Writes messages, chunk by chunk, on chunk streams of its own.
#[derive(Debug, Default)]
pub(super) struct Weaver {
    last: Vec<Last>,
    /// Formats 0 only.
    pub(super) full_headers: bool,
    /// Continuations without extended timestamps.
    pub(super) omit_extended: bool,
}

impl Weaver {
    /// The first chunk of a message.
    pub(super) fn begin<'a>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head,
        payload: &'a [u8],
        chunk_size: u32,
    ) -> Open<'a> {
        let last = self
            .last
            .iter()
            .position(|last| last.head.csid == head.csid);
        let before = last.map(|index| self.last.swap_remove(index));
        let elapsed = |last: &Last| u32::try_from(head.timestamp.since(last.head.timestamp)).ok();
        let delta = before
            .filter(|last| !self.full_headers && last.head.stream == head.stream)
            .and_then(|last| elapsed(&last));
        let extended = write_header(out, head, payload.len(), before, delta);
        self.last.push(Last {
            head,
            length: payload.len(),
            delta,
        });
        let mut open = Open {
            csid: head.csid,
            extended,
            omits: self.omit_extended,
            rest: payload,
        };
        take_chunk(out, &mut open, chunk_size);
        open
    }

    /// Between the last message of `head`'s chunk stream and `head`: of a message with this time, `head`'s header may be
    /// the repetition (format 3). None if `head` will lean on nothing.
    pub(super) fn half_way(&self, head: Head) -> Option<Timestamp> {
        let last = self.last.iter().find(|last| last.head.csid == head.csid)?;
        let elapsed = u32::try_from(head.timestamp.since(last.head.timestamp)).ok()?;
        let leans = !self.full_headers && last.head.stream == head.stream && elapsed < EXTENDED;
        leans.then(|| last.head.timestamp + elapsed / 2)
    }

    /// The chunk stream's next message leans on nothing: its last one was taken back.
    pub(super) fn forget(&mut self, csid: u32) {
        self.last.retain(|last| last.head.csid != csid);
    }
}

/// The next chunk of a message that has begun.
pub(super) fn go_on(out: &mut Vec<u8>, open: &mut Open<'_>, chunk_size: u32) {
    basic(out, 3, open.csid);
    if let Some(field) = open.extended {
        // Zeros in its place are taken for it (gortmplib writes those), and fewer bytes than it has tell nothing.
        let doubtful = open.rest.first_chunk().is_none_or(|front| *front == [0; 4]);
        if !open.omits || doubtful {
            out.extend(field.to_be_bytes());
        }
    }
    take_chunk(out, open, chunk_size);
}

fn take_chunk(out: &mut Vec<u8>, open: &mut Open<'_>, chunk_size: u32) {
    let (chunk, rest) = open
        .rest
        .split_at(open.rest.len().min(chunk_size.max(1) as usize));
    out.extend(chunk);
    open.rest = rest;
}

/// Returns the extended timestamp, if there is one.
fn write_header(
    out: &mut Vec<u8>,
    head: Head,
    length: usize,
    before: Option<Last>,
    delta: Option<u32>,
) -> Option<u32> {
    let same = before.filter(|last| last.length == length && last.head.type_id == head.type_id);
    let fmt = match (delta, same) {
        (None, _) => 0,
        (Some(_), None) => 1,
        // Behind format 0 readers disagree on what format 3 means.
        (Some(_), Some(last)) if last.delta == delta => 3,
        (Some(_), Some(_)) => 2,
    };
    basic(out, fmt, head.csid);
    let time = delta.unwrap_or(head.timestamp.0);
    let [_, t0, t1, t2] = time.min(EXTENDED).to_be_bytes();
    let [_, l0, l1, l2] = (length as u32).to_be_bytes();
    if fmt < 3 {
        out.extend([t0, t1, t2]);
    }
    if fmt < 2 {
        out.extend([l0, l1, l2, head.type_id]);
    }
    if fmt == 0 {
        out.extend(head.stream.to_le_bytes());
    }
    let extended = (time >= EXTENDED).then_some(time);
    if let Some(time) = extended {
        out.extend(time.to_be_bytes());
    }
    extended
}

#[cfg(test)]
mod tests {
    use millstream::rtmp::chunk::decoder::{Body, Decoder};

    use super::*;

    /// What was written, with what is read of it.
    fn survives(weaver: &mut Weaver, csid: u32, times: &[u32]) {
        let mut decoder = Decoder::new(128);
        for (n, time) in times.iter().enumerate() {
            let mut out = Vec::new();
            let payload: Vec<u8> = (0..300 + n / 2).map(|at| at as u8 | 1).collect();
            let head = Head {
                csid,
                type_id: 18,
                stream: 1,
                timestamp: Timestamp(*time),
            };
            let mut open = weaver.begin(&mut out, head, &payload, 128);
            while !open.is_done() {
                go_on(&mut out, &mut open, 128);
            }
            let message = decoder.decode(&mut &out[..]).unwrap().unwrap();
            assert_eq!(
                (message.csid, message.timestamp.0, message.stream),
                (csid, *time, 1)
            );
            let Body::Plain(read) = message.body else {
                panic!("{message:?}");
            };
            assert_eq!(read, payload);
        }
    }

    #[test]
    fn the_server_reads_what_the_specification_says() {
        let times = [
            0,
            40,
            80,
            120,
            130,
            0x00ff_fffe,
            0x00ff_ffff,
            0x0100_0000,
            0x4100_0000,
            0x4100_0028,
            0x8000_0000,
            0xffff_fff0,
            0,
            40,
            80,
        ];
        for csid in [7, 70, 400] {
            for (full_headers, omit_extended) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let mut weaver = Weaver {
                    full_headers,
                    omit_extended,
                    ..Weaver::default()
                };
                survives(&mut weaver, csid, &times);
            }
        }
    }
}
