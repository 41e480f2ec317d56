//! A server's part of a handshake, from C0 to the end of C2, beside `memcpy` of the same bytes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use millstream::rtmp::handshake::{ClientHandshake, ServerHandshake};

fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for (name, digest) in [("simple", false), ("digest", true)] {
        let mut input = Vec::new();
        ClientHandshake::new(1, digest, &mut input);
        input.extend([0; 1536]);
        let mut out = Vec::with_capacity(4_096);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let done =
                    ServerHandshake::new(2).handle_input(&mut black_box(&input[..]), &mut out);
                assert_eq!(done, Ok(true));
            });
        });
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
