//! Bytes that no session would send.

use millstream::rtmp::amf::Value;
use millstream::rtmp::command::Command;
use millstream::rtmp::message;

use super::chunks;
use crate::scenario::{Garbage, GarbageKind};
use crate::seed;

/// The chunk stream of what is no session's: what it leans on must not change.
const CSID: u32 = 41;
/// The first of many chunk streams.
const MANY_FROM: u32 = 100;
/// Bytes of C1 and of C2.
const HANDSHAKE: usize = 1_536;
/// The longest length a header can declare.
const LONGEST: u32 = 0x00ff_ffff;
/// A message type that nobody has defined.
const NOBODYS: u8 = 99;

/// The bytes, for a connection whose chunks have at most `chunk_size` bytes.
pub(super) fn bytes(garbage: &Garbage, chunk_size: u32) -> Vec<u8> {
    let size = garbage.size as usize;
    match garbage.kind {
        GarbageKind::Random => random(garbage.seed, size),
        GarbageKind::Http => b"GET / HTTP/1.1\r\nHost: server\r\n\r\n".to_vec(),
        GarbageKind::Tls => {
            let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
            [&hello[..], &random(garbage.seed, size)].concat()
        }
        GarbageKind::Handshake => {
            let mut bytes = vec![0; 1 + 2 * HANDSHAKE];
            bytes[0] = 3;
            bytes.truncate(size);
            bytes
        }
        GarbageKind::LongCommand => long(garbage, message::COMMAND_AMF0),
        GarbageKind::LongPicture => long(garbage, message::VIDEO),
        GarbageKind::BadChunkSize => {
            let size = [0, u32::MAX][garbage.seed as usize % 2];
            chunks::whole(2, message::SET_CHUNK_SIZE, &size.to_be_bytes(), 4)
        }
        GarbageKind::FreshChunk => vec![0xc0 | 59, 0, 0, 0],
        GarbageKind::ManyChunkStreams => (MANY_FROM..MANY_FROM.saturating_add(garbage.size))
            .flat_map(|csid| chunks::whole(csid, NOBODYS, &[0], 1))
            .collect(),
        GarbageKind::ManyStreams => {
            let call = |n: usize| command("createStream", n as f64, vec![]);
            let calls = (0..size).map(|n| chunks::command(CSID, &call(n), chunk_size));
            calls.flatten().collect()
        }
        GarbageKind::LongName => {
            let name = Value::string("n".repeat(size));
            let play = command("play", 0.0, vec![name]);
            chunks::command(CSID, &play, chunk_size)
        }
        GarbageKind::DeepAmf
        | GarbageKind::WideAmf
        | GarbageKind::HugeArray
        | GarbageKind::LongString => chunks::command(CSID, &bomb(garbage), chunk_size),
    }
}

fn random(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    seed::rng(seed, "garbage").fill(&mut bytes);
    bytes
}

fn long(garbage: &Garbage, type_id: u8) -> Vec<u8> {
    let mut bytes = chunks::header(CSID, type_id, LONGEST);
    bytes.extend(random(garbage.seed, garbage.size as usize));
    bytes
}

fn command(name: &str, transaction: f64, arguments: Vec<Value>) -> Vec<u8> {
    let command = Command {
        name: name.into(),
        transaction,
        object: Value::Null,
        arguments,
    };
    command.encode()
}

/// A command that takes more to read than it took to write: written by hand, as no encoder would.
fn bomb(garbage: &Garbage) -> Vec<u8> {
    let size = garbage.size as usize;
    let mut payload = command("frobnicate", 0.0, vec![]);
    match garbage.kind {
        GarbageKind::DeepAmf => {
            // Objects with one property, or strict arrays of one element.
            let deeper: &[u8] = match garbage.seed % 2 {
                0 => b"\x03\x00\x01a",
                _ => b"\x0a\x00\x00\x00\x01",
            };
            payload.extend(deeper.repeat(size));
            payload.push(5);
        }
        GarbageKind::WideAmf => payload.extend([5].repeat(size)),
        GarbageKind::HugeArray => {
            // An ECMA array counts for nothing, a strict one ends before its time.
            payload.push([8, 10][garbage.seed as usize % 2]);
            payload.extend(u32::MAX.to_be_bytes());
            payload.extend([5].repeat(size));
        }
        _ => {
            payload.push(12);
            payload.extend(garbage.size.to_be_bytes());
            payload.extend([b'x'].repeat(size));
        }
    }
    payload
}

#[cfg(test)]
mod tests {
    use millstream::rtmp::chunk::decoder::{Body, Decoder};

    use super::*;

    /// Whether somebody who reads these chunks and commands, and nothing else, objects.
    fn breaks(garbage: &Garbage) -> bool {
        let bytes = bytes(garbage, 128);
        let mut decoder = Decoder::new(4_096);
        let mut input = &bytes[..];
        loop {
            match decoder.decode(&mut input) {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(message)) => {
                    let Body::Plain(payload) = message.body else {
                        continue;
                    };
                    let size = payload.first_chunk().map(|size| u32::from_be_bytes(*size));
                    let resized = message.type_id != message::SET_CHUNK_SIZE
                        || size.is_some_and(|size| decoder.set_chunk_size(size).is_ok());
                    let read = message.type_id != message::COMMAND_AMF0
                        || Command::decode(message.type_id, &payload).is_ok();
                    if !resized || !read {
                        return true;
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_called_fatal_is() {
        use GarbageKind::{LongName, ManyStreams};
        for kind in GarbageKind::BREAKS {
            for seed in 0..2 {
                let size = 5_000;
                let garbage = Garbage { kind, size, seed };
                assert!(garbage.is_fatal());
                // These two break a session, not its chunks.
                let counts = [LongName, ManyStreams].contains(&kind);
                assert!(counts || breaks(&garbage), "{garbage:?}");
            }
        }
        for kind in [GarbageKind::DeepAmf, GarbageKind::ManyChunkStreams] {
            let garbage = Garbage {
                kind,
                size: 3,
                seed: 0,
            };
            assert!(!garbage.is_fatal() && !breaks(&garbage));
        }
    }
}
