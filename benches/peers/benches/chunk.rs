//! Chunk decoding and encoding of the recording, beside `memcpy` of the same bytes, `rml_rtmp` and `shiguredo_rtmp`.
//!
//! Every decoder is fed the same bytes in 64 KiB reads, as from a shard's scratch buffer, and hands out whole
//! messages, which are dropped at once. Before anything is timed, each must have handed out the same messages.
//!
//! * `memcpy` copies those reads, each into the same 64 KiB: what any reader costs at the very least.
//! * `memcpy into messages` allocates each message and copies its payload: what any decoder costs that hands out
//!   messages of their own.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::limits::{CHUNK_SIZE_DEFAULT, SCRATCH_BYTES};
use millstream::rtmp::chunk::decoder::{Body, Decoder};
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::Timestamp;
use millstream_peers::{Frame, encode, recording};
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;
use shiguredo_rtmp::ErrorKind;
use shiguredo_rtmp::tests as shiguredo;

const CHUNK_SIZES: [u32; 3] = [128, 4_096, 60_000];

/// Time, type and payload.
type Seen = (u32, u8, Vec<u8>);

fn ours(
    bytes: &[u8],
    chunk_size: u32,
    mut seen: impl FnMut(millstream::rtmp::chunk::decoder::Message),
) {
    let mut decoder = Decoder::new(CHUNK_SIZE_DEFAULT);
    decoder
        .set_chunk_size(chunk_size)
        .expect("a legal chunk size");
    for mut input in bytes.chunks(SCRATCH_BYTES) {
        while let Some(message) = decoder.decode(&mut input).expect("a legal stream") {
            seen(message);
        }
    }
}

fn rml(bytes: &[u8], chunk_size: u32, mut seen: impl FnMut(MessagePayload)) {
    let mut decoder = ChunkDeserializer::new();
    decoder
        .set_max_chunk_size(chunk_size as usize)
        .expect("a legal chunk size");
    for input in bytes.chunks(SCRATCH_BYTES) {
        let mut next = decoder.get_next_message(input).expect("a legal stream");
        while let Some(message) = next {
            seen(message);
            next = decoder.get_next_message(&[]).expect("a legal stream");
        }
    }
}

/// It reads chunks from a buffer that its caller keeps, as its own message decoder does.
fn shiguredo(bytes: &[u8], chunk_size: u32, mut seen: impl FnMut(shiguredo::RtmpChunk)) {
    let mut decoder = shiguredo::RtmpChunkDecoder::default();
    decoder.set_chunk_size(shiguredo::RtmpChunkSize::saturating_new(
        chunk_size as usize,
    ));
    let mut buffer = Vec::new();
    for input in bytes.chunks(SCRATCH_BYTES) {
        buffer.extend_from_slice(input);
        let mut read = 0;
        loop {
            match decoder.decode(&buffer[read..]) {
                Ok((n, message)) => {
                    read += n;
                    if let Some(message) = message {
                        seen(message);
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::InsufficientBuffer);
                    break;
                }
            }
        }
        buffer.drain(..read);
    }
}

/// All three read `frames` out of `bytes`.
fn check(frames: &[Frame], bytes: &[u8], chunk_size: u32) {
    let want: Vec<Seen> = frames
        .iter()
        .map(|frame| (frame.time, frame.type_id, frame.payload.clone()))
        .collect();
    let mut got: Vec<Seen> = Vec::new();
    ours(bytes, chunk_size, |message| {
        let Body::Wire(wire) = message.body else {
            unreachable!("media is laid out");
        };
        let payload = wire.payload().flatten().copied().collect();
        got.push((message.timestamp.0, message.type_id, payload));
    });
    assert!(got == want, "ours at {chunk_size}");
    got.clear();
    rml(bytes, chunk_size, |message| {
        got.push((
            message.timestamp.value,
            message.type_id,
            message.data.to_vec(),
        ));
    });
    assert!(got == want, "rml_rtmp at {chunk_size}");
    got.clear();
    shiguredo(bytes, chunk_size, |message| {
        let time = message.timestamp.as_millis();
        got.push((time, message.message_type as u8, message.payload));
    });
    assert!(got == want, "shiguredo_rtmp at {chunk_size}");
}

fn decode(c: &mut Criterion) {
    let frames = recording();
    for chunk_size in CHUNK_SIZES {
        let mut bytes = Vec::new();
        encode(&frames, chunk_size, &mut bytes);
        check(&frames, &bytes, chunk_size);
        let mut group = c.benchmark_group(format!("chunk decode/{chunk_size}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("memcpy", |b| {
            let mut to = vec![0; SCRATCH_BYTES];
            b.iter(|| {
                for part in bytes.chunks(SCRATCH_BYTES) {
                    to[..part.len()].copy_from_slice(black_box(part));
                    black_box(&to);
                }
            });
        });
        group.bench_function("memcpy into messages", |b| {
            b.iter(|| {
                let mut from = &bytes[..];
                for frame in &frames {
                    let (payload, rest) = from.split_at(frame.payload.len());
                    from = rest;
                    black_box(black_box(payload).to_vec());
                }
            });
        });
        group.bench_function("millstream", |b| {
            b.iter(|| ours(&bytes, chunk_size, |message| drop(black_box(message))));
        });
        group.bench_function("rml_rtmp", |b| {
            b.iter(|| rml(&bytes, chunk_size, |message| drop(black_box(message))));
        });
        group.bench_function("shiguredo_rtmp", |b| {
            b.iter(|| shiguredo(&bytes, chunk_size, |message| drop(black_box(message))));
        });
        group.finish();
    }
}

/// Messages to bytes, all of them in one buffer. What many players share is made once, by `wire`.
fn encoders(c: &mut Criterion) {
    let frames = recording();
    for chunk_size in CHUNK_SIZES {
        let mut bytes = Vec::new();
        encode(&frames, chunk_size, &mut bytes);
        let room = 2 * bytes.len();
        let mut group = c.benchmark_group(format!("chunk encode/{chunk_size}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("memcpy", |b| {
            let make = || Vec::with_capacity(room);
            b.iter_batched_ref(
                make,
                |out| out.extend_from_slice(black_box(&bytes)),
                BatchSize::LargeInput,
            );
        });
        group.bench_function("millstream", |b| {
            let make = || Vec::with_capacity(room);
            b.iter_batched_ref(
                make,
                |out| encode(&frames, chunk_size, out),
                BatchSize::LargeInput,
            );
        });
        let messages: Vec<_> = frames
            .iter()
            .map(|frame| MessagePayload {
                timestamp: RtmpTimestamp::new(frame.time),
                type_id: frame.type_id,
                message_stream_id: 1,
                data: frame.payload.clone().into(),
            })
            .collect();
        group.bench_function("rml_rtmp", |b| {
            let make = || Vec::with_capacity(room);
            let encode = |out: &mut Vec<u8>| {
                let mut encoder = ChunkSerializer::new();
                encoder
                    .set_max_chunk_size(chunk_size, RtmpTimestamp::new(0))
                    .expect("a legal chunk size");
                for message in &messages {
                    let packet = encoder
                        .serialize(message, false, true)
                        .expect("a legal message");
                    out.extend_from_slice(&packet.bytes);
                }
            };
            b.iter_batched_ref(make, encode, BatchSize::LargeInput);
        });
        let messages: Vec<_> = frames.iter().map(shiguredo_message).collect();
        group.bench_function("shiguredo_rtmp", |b| {
            let make = || Vec::with_capacity(room);
            let encode = |out: &mut Vec<u8>| {
                let mut encoder = shiguredo::RtmpChunkEncoder::default();
                encoder.set_chunk_size(shiguredo::RtmpChunkSize::saturating_new(
                    chunk_size as usize,
                ));
                for message in &messages {
                    encoder.encode(out, message);
                }
            };
            b.iter_batched_ref(make, encode, BatchSize::LargeInput);
        });
        group.finish();
    }
}

fn shiguredo_message(frame: &Frame) -> shiguredo::RtmpChunk {
    shiguredo::RtmpChunk {
        chunk_stream_id: shiguredo::RtmpChunkStreamId::new(frame.csid).expect("a legal csid"),
        message_stream_id: shiguredo::RtmpMessageStreamId::new(1),
        message_type: shiguredo::RtmpMessageType::from_type_id(frame.type_id).expect("media"),
        timestamp: shiguredo::RtmpTimestamp::from_millis(frame.time),
        payload: frame.payload.clone(),
    }
}

/// What a frame costs once, for all its players.
fn wire(c: &mut Criterion) {
    let frames = recording();
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Bytes(
        frames.iter().map(|f| f.payload.len() as u64).sum(),
    ));
    group.bench_function("new", |b| {
        b.iter(|| {
            for frame in &frames {
                let time = Timestamp(frame.time);
                let payload = black_box(&frame.payload);
                black_box(WireMessage::new(
                    MediaKind::Video,
                    time,
                    payload,
                    CHUNK_SIZE_DEFAULT,
                ));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode, encoders, wire);
criterion_main!(benches);
