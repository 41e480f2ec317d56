//! What delivery costs the server itself: a message's way into the ring, and a pass of the pump over an audience whose
//! connections take everything at once. What the kernel adds is the bench `fanout`'s to tell.
//!
//! `cargo bench --bench delivery -- scale` grows one audience to a million instead, and tells cost and memory of each
//! player on the way.

mod audience;
mod null;
mod scale;

use core::hint::black_box;

use audience::{Audience, SPACING, picture};
use criterion::{Criterion, Throughput, criterion_group};
use millstream::limits;
use millstream::media::frame::{Frame, FrameKind};
use millstream::media::ring::{Item, Ring};
use millstream::media::stream::Stream;
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::{Instant, Timestamp};

/// A message of a live stream: laid out, put into the ring, and both with a look at what it is.
fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    let mut now = Instant::ZERO;
    let mut nth = 0_usize;
    let mut tick = || {
        now = now + SPACING;
        nth += 1;
        (now, nth)
    };
    let pictures: Vec<_> = (0..audience::GOP).map(picture).collect();
    let lay_out = |nth: usize| {
        let payload = &pictures[nth % pictures.len()];
        let chunk_size = limits::CHUNK_SIZE_DEFAULT;
        WireMessage::new(MediaKind::Video, Timestamp(0), payload, chunk_size)
    };
    group.bench_function("lay out 4 KiB", |b| b.iter(|| lay_out(black_box(1))));
    let messages: Vec<_> = (0..audience::GOP).map(lay_out).collect();
    let mut ring = Ring::new(limits::RING_FRAMES_DEFAULT);
    group.bench_function("ring", |b| {
        b.iter(|| {
            let (now, nth) = tick();
            let nth = nth % messages.len();
            let kind = match nth {
                0 => FrameKind::Keyframe,
                _ => FrameKind::Inter,
            };
            let message = messages[nth].clone();
            ring.push(Item::Frame(Frame { message, kind }), now)
        });
    });
    let mut stream = Stream::new(limits::RING_FRAMES_DEFAULT);
    stream.begin(None, Instant::ZERO);
    group.bench_function("lay out, classify, ring", |b| {
        b.iter(|| {
            let (now, nth) = tick();
            stream.push(lay_out(nth), now)
        });
    });
    group.finish();
}

/// A publisher's bytes come, and every player is written to: one message, and eight in one write.
fn pump_pass(c: &mut Criterion) {
    let mut group = c.benchmark_group("pump pass");
    for messages in [1, 8] {
        for players in [1, 128, 1_000, 10_000] {
            group.throughput(Throughput::Elements((players * messages) as u64));
            let mut audience = None;
            group.bench_function(format!("{messages} to {players}"), |b| {
                let audience = audience.get_or_insert_with(|| {
                    let mut audience = Audience::new(1);
                    audience.grow(players);
                    audience
                });
                assert_eq!(audience.pass(messages), players as u64, "a write each");
                b.iter(|| audience.pass(messages));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(core::time::Duration::from_secs(1))
        .measurement_time(core::time::Duration::from_secs(2));
    targets = append, pump_pass
}

fn main() {
    if std::env::args().any(|arg| arg == "scale") {
        scale::run();
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
