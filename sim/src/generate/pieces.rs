//! What scripts of every kind are made of.

use core::fmt::Debug;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Select, select};

use super::swarm::{Kind, Swarm};
use crate::media::{JUMPS, TimeJump, Tracks};
use crate::scenario::{
    Chunking, Connect, Cut, CutKind, Garbage, GarbageKind, SendMedia, Step, Stream, Tell,
};

/// Steps that belong together.
pub(super) type Steps = Vec<Step>;

/// One of a few, all alike.
pub(super) fn pick<T: Clone + Debug + 'static>(from: &'static [T]) -> Select<T> {
    select(from)
}

/// Steps that are taken at `rate` if the seed has their kind.
pub(super) fn maybe(
    swarm: Swarm,
    kind: Kind,
    rate: f64,
    steps: impl Strategy<Value = Steps> + 'static,
) -> BoxedStrategy<Steps> {
    if !swarm.has(kind) {
        return Just(Steps::new()).boxed();
    }
    let steps = option::weighted(rate, steps);
    steps.prop_map(Option::unwrap_or_default).boxed()
}

/// Few names, so that they are hot: independent claims of cold names never meet.
pub(super) fn stream() -> impl Strategy<Value = Stream> {
    pick(&["hot", "hot", "hot", "other"]).prop_map(named)
}

/// A stream that somebody else may have, or close.
pub(super) fn named(name: &str) -> Stream {
    Stream {
        name: name.into(),
        may_be_refused: true,
    }
}

/// Many clients start at the same instant, others anywhere: meeting is what breaks things.
pub(super) fn start() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(100_u64), 2 => 20_u64..1_200]
}

/// How a client introduces itself.
pub(super) fn connect(swarm: Swarm) -> impl Strategy<Value = Connect> {
    (
        pick(&[128, 128, 1_024, 4_096, 60_000]),
        swarm.sometimes(Kind::Handshakes, 0.6),
        any::<bool>(),
        swarm.sometimes(Kind::Pipelining, 0.4),
        swarm.sometimes(Kind::Amf3, 0.5),
        swarm.sometimes(Kind::Flow, 0.3),
        pick(&[0, 0, 0, 2_000, 50_000]),
    )
        .prop_map(
            |(chunk_size, digest, schema0, pipelined, amf3, never_acks, window_ack_size)| Connect {
                chunk_size,
                digest,
                pipelined,
                amf3,
                schema0: digest && schema0,
                never_acks,
                window_ack_size,
                ..Connect::default()
            },
        )
}

/// How a connection ends that is not to be told of it.
pub(super) fn leave() -> impl Strategy<Value = Step> {
    pick(&[Step::Close, Step::Close, Step::Abort, Step::HalfClose])
}

/// Waiting, in milliseconds.
pub(super) fn wait(ms: core::ops::Range<u64>) -> impl Strategy<Value = Step> {
    ms.prop_map(Step::WaitMs)
}

/// A piece of a broadcast: many small messages at short distances, seldom large ones.
pub(super) fn media(swarm: Swarm) -> impl Strategy<Value = SendMedia> {
    let tracks: BoxedStrategy<Tracks> = match swarm.has(Kind::Enhanced) {
        true => prop_oneof![1 => Just(Tracks::Legacy), 2 => pick(&Tracks::ALL)].boxed(),
        false => Just(Tracks::Legacy).boxed(),
    };
    let floods = swarm.has(Kind::Floods);
    let [picture_bytes, aggregates] = sizes(swarm);
    let [starts, every] = times(swarm);
    (
        (
            1_usize..90,
            prop_oneof![4 => 1_u32..16, 1 => Just(1_000)],
            prop_oneof![3 => Just(0), 1 => 1_u32..16],
        ),
        (pick(&[10, 16, 20, 33, 40]), pick(&[0, 10, 21, 23])),
        pick(picture_bytes),
        pick(every),
        tracks,
        pick(starts),
        proptest::bool::weighted(if floods { 0.4 } else { 1.0 }),
        (
            swarm.sometimes(Kind::Timestamps, 0.1),
            jumps(swarm),
            swarm.sometimes(Kind::Changes, 0.4),
        ),
        pick(aggregates),
        chunking(swarm),
    )
        .prop_map(
            |(
                size,
                pace,
                picture_bytes,
                headers_every,
                tracks,
                start,
                paced,
                (leaps, jumps, zero_headers),
                together,
                chunking,
            )| {
                let mut media = SendMedia {
                    frames: size.0,
                    gop: size.1,
                    // Of a GOP that never ends nobody would see the next.
                    phase: if size.1 > 16 { 0 } else { size.2 },
                    picture_ms: pace.0,
                    audio_ms: pace.1,
                    picture_bytes,
                    headers_every,
                    tracks,
                    first_timestamp: start,
                    jumps: jumps_of(start, jumps),
                    // Just before the clock goes round, 0 lies ahead.
                    zero_headers: zero_headers && start < 0x8000_0000,
                    paced,
                    aggregate: if chunking == Chunking::default() {
                        together
                    } else {
                        0
                    },
                    chunking,
                    ..SendMedia::default()
                };
                leap(&mut media, leaps);
                media
            },
        )
}

/// What there is to choose from: bytes of a picture, and messages in one.
fn sizes(swarm: Swarm) -> [&'static [usize]; 2] {
    [
        match swarm.has(Kind::Floods) {
            true => &[200, 2_000, 2_000, 20_000],
            false => &[200, 200, 600, 2_000],
        },
        match swarm.has(Kind::Aggregates) {
            true => &[0, 0, 2, 9],
            false => &[0],
        },
    ]
}

/// What there is to choose from: first timestamps, and pictures from one changed header to the next.
fn times(swarm: Swarm) -> [&'static [u32]; 2] {
    [
        match swarm.has(Kind::Timestamps) {
            true => &[
                0,
                0x00ff_fe00,
                0x00ff_fff0,
                0x7fff_ff00,
                0xffff_fe00,
                0xffff_fff0,
            ],
            false => &[0, 0, 1_000],
        },
        match swarm.has(Kind::Changes) {
            true => &[0, 3, 4, 7, 30],
            false => &[0],
        },
    ]
}

/// From one picture to the next more than 24 bits of milliseconds, and no sound between.
fn leap(media: &mut SendMedia, leaps: bool) {
    if !leaps {
        return;
    }
    media.jumps.clear();
    media.picture_ms = LEAP_MS;
    media.audio_ms = 0;
    media.frames = media.frames.min(20);
    media.paced = false;
}

/// What a publisher's time does: when, by how much or (without) to 0, and how much later for pictures.
type Jump = (u32, Option<i32>, u32);

fn jumps(swarm: Swarm) -> BoxedStrategy<Vec<Jump>> {
    if !swarm.has(Kind::Timestamps) {
        return Just(Vec::new()).boxed();
    }
    let hour = 3_600_000;
    // Far enough for nothing else to explain them: no gap between two frames is half as long.
    let by = select(vec![
        None,
        None,
        Some(60_000),
        Some(hour),
        Some(-60_000),
        Some(-hour),
        Some(0x0100_0000),
        Some(-0x0100_0000),
    ]);
    let one = (50_u32..1_200, by, pick(&[0, 0, 20, 60, 150]));
    prop_oneof![1 => Just(Vec::new()), 1 => proptest::collection::vec(one, 1..=JUMPS)].boxed()
}

/// Their sum, should there be several, is far from 0 as well.
fn jumps_of(start: u32, mut jumps: Vec<Jump>) -> Vec<TimeJump> {
    jumps.sort_by_key(|(at_ms, ..)| *at_ms);
    let mut time = start;
    let mut last = 0;
    let jumps = jumps.into_iter().map(|(at_ms, by_ms, lag_ms)| {
        // Pictures of before the one have jumped before sound does at the next.
        let at_ms = at_ms.max(last + 400);
        last = at_ms;
        let now = time.wrapping_add(at_ms);
        let to_zero = 0_u32.wrapping_sub(now).cast_signed();
        // From a small time to 0 is no more than a step back.
        let small = to_zero.unsigned_abs() < 60_000;
        let by_ms = by_ms.unwrap_or(if small { -60_000 } else { to_zero });
        time = time.wrapping_add_signed(by_ms);
        TimeJump {
            at_ms,
            by_ms,
            lag_ms,
        }
    });
    jumps.collect()
}

/// 4.66 hours and a little: more than a delta of 24 bits can say.
const LEAP_MS: u32 = 0x0100_0010;

/// Chunk streams for media: each of them and the next two are nobody else's, and their basic headers have one byte,
/// two, three, and change their form between them.
const CSIDS: [u32; 8] = [10, 20, 60, 62, 64, 318, 1_000, 65_500];

fn chunking(swarm: Swarm) -> BoxedStrategy<Chunking> {
    let kinds = [
        (Kind::Interleaving, 0.6),
        (Kind::Resizing, 0.6),
        (Kind::Aborts, 0.5),
    ];
    let timestamps = swarm.has(Kind::Timestamps);
    if !timestamps && !kinds.iter().any(|(kind, _)| swarm.has(*kind)) {
        return Just(Chunking::default()).boxed();
    }
    // Long basic headers are not in nearly every seed.
    let long = swarm.has(Kind::Interleaving) || swarm.has(Kind::Resizing);
    let csids = if long { &CSIDS[..] } else { &CSIDS[..3] };
    let [interleave, resize, take_back] = kinds.map(|(kind, rate)| swarm.sometimes(kind, rate));
    let sizes = proptest::collection::vec(pick(&[48, 64, 128, 129, 300, 1_000, 60_000]), 1..4);
    let drawn = (
        pick(csids),
        interleave,
        (resize, sizes),
        take_back,
        proptest::bool::weighted(0.3),
        swarm.sometimes(Kind::Timestamps, 0.4),
    );
    let drawn = drawn.prop_map(
        |(csid, interleave, (resizes, sizes), take_back, full_headers, omit_extended)| Chunking {
            csid,
            interleave,
            resize: if resizes { sizes } else { Vec::new() },
            take_back,
            full_headers,
            omit_extended,
        },
    );
    prop_oneof![1 => Just(Chunking::default()), 2 => drawn].boxed()
}

/// What harms nobody, whoever sends it, and when; it needs a connection that waits for answers.
pub(super) fn asides(swarm: Swarm) -> BoxedStrategy<Steps> {
    let mut kinds: Vec<BoxedStrategy<Step>> = Vec::new();
    if swarm.has(Kind::Unknowns) {
        let calls = ["getStreamLength", "_checkbw", "frobnicate", "FCSubscribe"];
        let call = select(calls.map(String::from).to_vec()).prop_map(Step::Call);
        let types = pick(&[0_u8, 7, 10, 12, 14, 21, 23, 99, 200, 255]);
        let strange = (types, 0_usize..300).prop_map(|(type_id, size)| {
            let payload = vec![type_id ^ 0x55; size];
            Step::Tell(Tell::Message { type_id, payload })
        });
        kinds.extend([
            call.boxed(),
            strange.boxed(),
            Just(Step::SharedObject("chat".into())).boxed(),
        ]);
    }
    if swarm.has(Kind::Aborts) {
        kinds.push(Just(Step::AbortMessage).boxed());
    }
    if swarm.has(Kind::ChunkSizes) {
        let sizes = pick(&[1, 48, 128, 500, 8_192, 60_000]);
        kinds.push(sizes.prop_map(Step::ChunkSize).boxed());
    }
    if swarm.has(Kind::Pings) {
        let pings = (1_u16..300).prop_map(|n| Step::Tell(Tell::Pings(n)));
        kinds.push(pings.boxed());
    }
    if swarm.has(Kind::Flow) {
        kinds.push(flow().prop_map(Step::Tell).boxed());
    }
    if kinds.is_empty() {
        return Just(Steps::new()).boxed();
    }
    let one = proptest::strategy::Union::new(kinds);
    prop_oneof![1 => Just(Steps::new()), 2 => proptest::collection::vec(one, 1..3)].boxed()
}

fn flow() -> impl Strategy<Value = Tell> {
    let sizes = pick(&[0_u32, 1, 100, 1_000, 50_000, 2_500_000, u32::MAX]);
    prop_oneof![
        sizes.clone().prop_map(Tell::WindowAckSize),
        sizes.clone().prop_map(Tell::Acknowledgement),
        (sizes, 0_u8..4).prop_map(|(size, limit)| Tell::PeerBandwidth { size, limit }),
        (0_u32..4, any::<u32>()).prop_map(|(stream, ms)| Tell::BufferLength { stream, ms }),
    ]
}

/// The connection ends at some byte, counted from here; most of the bytes of a session are among the first few.
pub(super) fn cut() -> impl Strategy<Value = Steps> {
    let how = pick(&[CutKind::Rst, CutKind::Fin, CutKind::HalfClose]);
    (0_u32..15, any::<u16>(), how).prop_map(|(magnitude, rest, how)| {
        let least = 1_u64 << magnitude;
        let after = least + u64::from(rest) % least;
        vec![Step::CutAfter(Cut { after, how })]
    })
}

/// What breaks the session that sends it, and a while to see it broken.
pub(super) fn breaking() -> impl Strategy<Value = Steps> {
    let kinds = pick(&GarbageKind::BREAKS);
    (kinds, any::<u16>(), wait(1..300)).prop_map(|(kind, any, wait)| {
        let (low, high) = match kind {
            GarbageKind::ManyChunkStreams => (65, 100),
            GarbageKind::DeepAmf => (33, 2_000),
            GarbageKind::WideAmf => (4_097, 6_000),
            GarbageKind::ManyStreams => (17, 40),
            GarbageKind::LongName => (1_025, 3_000),
            _ => (0, 300),
        };
        vec![Step::Garbage(sized(kind, low, high, any)), wait]
    })
}

/// A command that is hard to read; whether it breaks the session, its reader decides.
pub(super) fn bomb() -> impl Strategy<Value = Steps> {
    let kinds = pick(&[
        GarbageKind::DeepAmf,
        GarbageKind::WideAmf,
        GarbageKind::HugeArray,
        GarbageKind::LongString,
    ]);
    (kinds, any::<u16>(), wait(1..100)).prop_map(|(kind, any, wait)| {
        let high = match kind {
            GarbageKind::DeepAmf => 40,
            GarbageKind::LongString => 60_000,
            _ => 4_500,
        };
        vec![Step::Garbage(sized(kind, 1, high, any)), wait]
    })
}

pub(super) fn sized(kind: GarbageKind, low: u32, high: u32, any: u16) -> Garbage {
    Garbage {
        kind,
        size: low + u32::from(any) % (high - low),
        seed: u64::from(any),
    }
}
