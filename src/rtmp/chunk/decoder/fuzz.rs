//! The decoder on arbitrary bytes: a body for fuzzers and property tests.

use super::{Body, ChunkError, Decoder, Message};
use crate::limits;
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::message;
use crate::time::Timestamp;

/// Feeds `data` whole and in pieces, obeying Set Chunk Size and Abort as a session does: no panic, memory in
/// proportion to what came, and the pieces change nothing. What came out is the same again when our encoder has written
/// it. The first two bytes choose sizes.
#[doc(hidden)]
pub fn fuzz_decoder(data: &[u8]) {
    let (&[choice, piece], data) = data.split_first_chunk().unwrap_or((&[0, 1], data));
    let out_chunk_size = match choice & 3 {
        0 => 1,
        1 => 7,
        2 => 128,
        _ => limits::CHUNK_SIZE_DEFAULT,
    };
    let strict = choice & 4 != 0;
    let whole = run(data, data.len(), out_chunk_size, strict);
    let pieces = run(data, piece.into(), out_chunk_size, strict);
    assert_eq!(whole, pieces);
    let (messages, _) = whole;
    assert_eq!(written_and_read(&messages, out_chunk_size), messages);
}

/// Chunk stream, type, message stream, time, payload.
type Flat = (u32, u8, u32, u32, Vec<u8>);
type Outcome = (Vec<Flat>, Result<(), ChunkError>);

/// The same messages through our encoder and a decoder that obeys none of them.
fn written_and_read(messages: &[Flat], chunk_size: u32) -> Vec<Flat> {
    let mut encoder = Encoder::new();
    encoder.set_chunk_size(chunk_size);
    let mut bytes = Vec::new();
    for (csid, type_id, stream, time, payload) in messages {
        let time = Timestamp(*time);
        encoder.encode(&mut bytes, *csid, *type_id, *stream, time, payload);
    }
    let mut decoder = Decoder::new(1);
    let mut input = bytes.as_slice();
    let mut read = Vec::new();
    assert_eq!(decoder.set_chunk_size(chunk_size), Ok(()));
    while let Ok(Some(message)) = decoder.decode(&mut input) {
        read.push(flat(message));
    }
    assert!(input.is_empty() && decoder.buffered_bytes() == 0);
    read
}

fn run(data: &[u8], piece: usize, out_chunk_size: u32, strict: bool) -> Outcome {
    let piece = piece.max(1);
    let mut decoder = Decoder::new(out_chunk_size);
    decoder.set_strict_extended(strict);
    let mut messages = Vec::new();
    let mut fed = 0;
    for mut input in data.chunks(piece) {
        fed += input.len();
        loop {
            match decoder.decode(&mut input) {
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
                Ok(Some(message)) => {
                    if let Err(error) = obey(&mut decoder, &message) {
                        return (messages, Err(error));
                    }
                    messages.push(flat(message));
                }
            }
        }
        assert!(input.is_empty());
        // Headers of ours: at most 5 bytes for each byte of payload, and 16 at the front.
        let reserve = limits::CHUNK_STREAMS * (piece + 16);
        assert!(decoder.buffered_bytes() <= 6 * (2 * fed + reserve));
    }
    (messages, Ok(()))
}

fn obey(decoder: &mut Decoder, message: &Message) -> Result<(), ChunkError> {
    let Body::Plain(payload) = &message.body else {
        return Ok(());
    };
    let Some(&value) = payload.first_chunk() else {
        return Ok(());
    };
    let value = u32::from_be_bytes(value);
    match message.type_id {
        message::SET_CHUNK_SIZE => decoder.set_chunk_size(value),
        message::ABORT => {
            decoder.abort(value);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn flat(message: Message) -> (u32, u8, u32, u32, Vec<u8>) {
    let payload = match message.body {
        Body::Wire(wire) => {
            let payload = wire.payload().flatten().copied().collect::<Vec<_>>();
            assert_eq!(payload.len(), wire.payload_len());
            payload
        }
        Body::Plain(payload) => payload,
    };
    (
        message.csid,
        message.type_id,
        message.stream,
        message.timestamp.0,
        payload,
    )
}
