//! A server's part of a handshake, from C0 to the end of C2, beside `memcpy` of the same bytes, `rml_rtmp` and
//! `shiguredo_rtmp`. The latter knows no digests.
//!
//! Part of `rml_rtmp`'s time is entropy: it draws 3 KB for each handshake, ours expands a number it is given.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::rtmp::handshake::{ClientHandshake, ServerHandshake};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use shiguredo_rtmp::tests::RtmpServerHandshake;

/// Bytes of the answer.
fn ours(input: &[u8], out: &mut Vec<u8>) -> usize {
    out.clear();
    let done = ServerHandshake::new(2).handle_input(&mut &input[..], out);
    assert_eq!(done, Ok(true));
    out.len()
}

fn rml(input: &[u8]) -> usize {
    let mut handshake = Handshake::new(PeerType::Server);
    match handshake.process_bytes(input).expect("a legal handshake") {
        HandshakeProcessResult::Completed { response_bytes, .. } => response_bytes.len(),
        HandshakeProcessResult::InProgress { .. } => 0,
    }
}

fn shiguredo(input: &[u8]) -> usize {
    let mut handshake = RtmpServerHandshake::new();
    handshake.feed_recv_buf(input).expect("a legal handshake");
    if handshake.is_recv_complete() {
        handshake.send_buf().len()
    } else {
        0
    }
}

fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    group.throughput(Throughput::Elements(1));
    for (name, digest) in [("simple", false), ("digest", true)] {
        let mut input = Vec::new();
        ClientHandshake::new(1, digest, &mut input);
        // C2: shiguredo_rtmp wants its S1, which is all zeros; the others take anything.
        input.extend([0; 1536]);
        let mut out = Vec::with_capacity(4_096);
        assert_eq!(ours(&input, &mut out), 3_073);
        assert_eq!(rml(&input), 3_073);
        group.bench_function(format!("{name}/millstream"), |b| {
            b.iter(|| ours(black_box(&input), &mut out));
        });
        group.bench_function(format!("{name}/rml_rtmp"), |b| {
            b.iter(|| rml(black_box(&input)));
        });
        if !digest {
            assert_eq!(shiguredo(&input), 3_073);
            group.bench_function(format!("{name}/shiguredo_rtmp"), |b| {
                b.iter(|| shiguredo(black_box(&input)));
            });
        }
    }
    group.bench_function("memcpy", |b| {
        let from = vec![7u8; 3_073];
        let mut to = Vec::with_capacity(4_096);
        b.iter(|| {
            to.clear();
            to.extend_from_slice(black_box(&from));
            black_box(&to);
        });
    });
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
