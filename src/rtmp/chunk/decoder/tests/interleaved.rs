//! Many messages at once, cut and mixed in every way that chunks allow.

use super::*;
use crate::rtmp::chunk::encoder::{Encoder, Unsent};
use crate::rtmp::message::{ABORT, SET_CHUNK_SIZE};

/// csid, time, payload
type Sent = (u32, u32, Vec<u8>);

/// What a sender does next.
#[derive(Debug, Clone)]
enum Step {
    /// A chunk of the n-th open message.
    Chunk(usize),
    /// Opens the next message.
    Open,
    Resize(u32),
    /// Aborts the n-th open message.
    Abort(usize),
}

fn any_sent() -> impl Strategy<Value = Sent> {
    (
        prop_oneof![
            Just(4u32),
            Just(6),
            Just(63),
            Just(64),
            Just(320),
            Just(65_599)
        ],
        prop_oneof![
            0u32..50,
            0xFF_FFF0u32..0x100_0010,
            0xFFFF_FFF0u32..,
            any::<u32>()
        ],
        proptest::collection::vec(any::<u8>(), 0..300),
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..6).prop_map(Step::Chunk),
        4 => Just(Step::Open),
        1 => prop_oneof![1u32..4, 1u32..200].prop_map(Step::Resize),
        1 => (0usize..6).prop_map(Step::Abort),
    ]
}

/// The bytes, and the messages in the order of their ends.
fn mix(messages: &[Sent], steps: &[Step]) -> (Vec<u8>, Vec<Got>) {
    let mut encoder = Encoder::new();
    let mut bytes = Vec::new();
    let mut want = Vec::new();
    let mut open: Vec<(Unsent<'_>, &Sent)> = Vec::new();
    let mut waiting = messages.iter().peekable();
    let mut steps = steps.iter();
    while waiting.peek().is_some() || !open.is_empty() {
        // When the steps are over, what is open is finished first.
        let step = steps.next().cloned().unwrap_or(if open.is_empty() {
            Step::Open
        } else {
            Step::Chunk(0)
        });
        match step {
            Step::Open => {
                let busy = |sent: &&Sent| open.iter().all(|(_, other)| other.0 != sent.0);
                if let Some(sent) = waiting.next_if(busy) {
                    let (csid, time, payload) = sent;
                    let time = Timestamp(*time);
                    let unsent = encoder.begin(&mut bytes, *csid, 9, 1, time, payload);
                    open.push((unsent, sent));
                }
            }
            Step::Chunk(n) if n < open.len() => {
                encoder.go_on(&mut bytes, &mut open[n].0);
            }
            Step::Abort(n) if n < open.len() => {
                let (_, (csid, ..)) = open.remove(n);
                let payload = csid.to_be_bytes();
                encoder.encode(&mut bytes, 2, ABORT, 0, Timestamp(0), &payload);
            }
            Step::Resize(size) => {
                let payload = size.to_be_bytes();
                encoder.encode(&mut bytes, 2, SET_CHUNK_SIZE, 0, Timestamp(0), &payload);
                encoder.set_chunk_size(size);
            }
            Step::Chunk(_) | Step::Abort(_) => {}
        }
        open.retain(|(unsent, (csid, time, payload))| {
            if unsent.is_empty() {
                want.push((*csid, 9, 1, *time, payload.clone()));
            }
            !unsent.is_empty()
        });
    }
    (bytes, want)
}

fn obey(decoder: &mut Decoder, message: Message, all: &mut Vec<Got>) {
    let (_, type_id, _, _, payload) = got(message.clone());
    let value = || u32::from_be_bytes(payload[..].try_into().unwrap());
    match type_id {
        SET_CHUNK_SIZE => decoder.set_chunk_size(value()).unwrap(),
        ABORT => decoder.abort(value()),
        _ => all.push(got(message)),
    }
}

proptest! {
    /// Chunk streams that interleave at every boundary, chunk sizes that change and messages that are aborted in
    /// between, in any split of the input.
    #[test]
    fn chunks_of_many_messages(
        messages in proptest::collection::vec(any_sent(), 1..12),
        steps in proptest::collection::vec(any_step(), 0..80),
        cuts in proptest::collection::vec(1usize..200, 1..10),
        out_chunk_size in prop_oneof![Just(1u32), 1u32..300, Just(60_000u32)],
        strict: bool,
    ) {
        let (bytes, want) = mix(&messages, &steps);
        let mut decoder = Decoder::new(out_chunk_size);
        decoder.set_strict_extended(strict);
        let mut all = Vec::new();
        let mut left = &bytes[..];
        for cut in cuts.into_iter().cycle() {
            let (mut part, rest) = left.split_at(cut.min(left.len()));
            while let Some(message) = decoder.decode(&mut part).unwrap() {
                obey(&mut decoder, message, &mut all);
            }
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        prop_assert_eq!(all, want);
        prop_assert_eq!(decoder.buffered_bytes(), 0);
    }
}
