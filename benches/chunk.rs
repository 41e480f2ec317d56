//! Chunk decoding and encoding of ten seconds of a 4 Mbit/s broadcast, beside `memcpy` of the same bytes.
//!
//! Input comes in 64 KiB reads, as from a shard's scratch buffer. `memcpy` copies those reads into one buffer.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::limits::{CHUNK_SIZE_DEFAULT, SCRATCH_BYTES};
use millstream::rtmp::chunk::decoder::Decoder;
use millstream::rtmp::chunk::encoder::Encoder;
use millstream::rtmp::chunk::{CSID_AUDIO, CSID_VIDEO};
use millstream::rtmp::message::{AUDIO, VIDEO};
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::Timestamp;

const SECONDS: u32 = 10;
const CHUNK_SIZES: [u32; 3] = [128, 4_096, 60_000];

struct Frame {
    csid: u32,
    type_id: u8,
    time: u32,
    payload: Vec<u8>,
}

/// 30 fps at 3.85 Mbit/s with a keyframe of 100 KB every two seconds, and audio of 350 bytes every 21 ms.
fn broadcast() -> Vec<Frame> {
    let mut frames = Vec::new();
    for n in 0..SECONDS * 30 {
        let len = if n % 60 == 0 { 100_000 } else { 14_600 };
        frames.push(Frame {
            csid: CSID_VIDEO,
            type_id: VIDEO,
            time: n * 100 / 3,
            payload: vec![n as u8; len],
        });
    }
    for n in 0..SECONDS * 47 {
        frames.push(Frame {
            csid: CSID_AUDIO,
            type_id: AUDIO,
            time: n * 64 / 3,
            payload: vec![n as u8; 350],
        });
    }
    frames.sort_by_key(|frame| frame.time);
    frames
}

fn encode(frames: &[Frame], chunk_size: u32, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new();
    encoder.set_chunk_size(chunk_size);
    for frame in frames {
        let time = Timestamp(frame.time);
        encoder.encode(out, frame.csid, frame.type_id, 1, time, &frame.payload);
    }
}

fn decode(bytes: &[u8], chunk_size: u32) -> usize {
    let mut decoder = Decoder::new(CHUNK_SIZE_DEFAULT);
    decoder
        .set_chunk_size(chunk_size)
        .expect("a legal chunk size");
    let mut messages = 0;
    for mut input in bytes.chunks(SCRATCH_BYTES) {
        while let Some(message) = decoder.decode(&mut input).expect("a legal stream") {
            black_box(message);
            messages += 1;
        }
    }
    messages
}

fn chunk(c: &mut Criterion) {
    let frames = broadcast();
    for chunk_size in CHUNK_SIZES {
        let mut bytes = Vec::new();
        encode(&frames, chunk_size, &mut bytes);
        assert_eq!(decode(&bytes, chunk_size), frames.len());

        let mut group = c.benchmark_group(format!("chunk/{chunk_size}"));
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
        // What any decoder must do that hands out messages: memory for each, and one copy.
        group.bench_function("memcpy into messages", |b| {
            b.iter(|| {
                for frame in &frames {
                    black_box(black_box(&frame.payload).clone());
                }
            });
        });
        group.bench_function("decode", |b| b.iter(|| decode(&bytes, chunk_size)));
        group.bench_function("encode", |b| {
            b.iter_batched_ref(
                || Vec::with_capacity(2 * bytes.len()),
                |out| encode(&frames, chunk_size, out),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

fn wire(c: &mut Criterion) {
    let frames = broadcast();
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Bytes(
        frames.iter().map(|f| f.payload.len() as u64).sum(),
    ));
    group.bench_function("new", |b| {
        b.iter(|| {
            for frame in &frames {
                let time = Timestamp(frame.time);
                black_box(WireMessage::new(
                    MediaKind::Video,
                    time,
                    &frame.payload,
                    CHUNK_SIZE_DEFAULT,
                ));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, chunk, wire);
criterion_main!(benches);
