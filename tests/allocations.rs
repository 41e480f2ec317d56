//! What hostile input costs in memory: the peak of bytes allocated while it is fed, against bounds computed from
//! `millstream::limits`; and how many allocations a frame costs on the way in.
//!
//! The counter holds both blocks while one grows into the other, so its peaks are upper bounds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its corpus, and fails by panicking"
)]

use allocation_counter::{AllocationInfo, measure};

use millstream::limits;
use millstream::media::frame::classify::classify;
use millstream::rtmp::amf::{Value, amf0, amf3};
use millstream::rtmp::chunk::decoder::Decoder;
use millstream::rtmp::chunk::encoder::Encoder;
use millstream::rtmp::handshake::ServerHandshake;
use millstream::rtmp::session::client::{ClientConfig, ClientSession};
use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig};
use millstream::rtmp::wire::MediaKind;
use millstream::time::{Instant, Timestamp};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What one event of one byte may cost while it waits for the end of its read: the event itself and a message of no
/// payload, with room for the queue's growth.
const EVENT_BYTES: usize = 192;

/// Partial messages: what came, twice that while a block grows, our chunk headers in it (1 in 12,000 bytes), and for
/// each chunk stream a reserve of at most one read.
const PARTIALS: usize =
    3 * limits::PARTIAL_BYTES + limits::CHUNK_STREAMS * limits::SCRATCH_BYTES + MIB;

/// AMF values of a message of `bytes`: each in a container of its own, for which a `Vec` has room for four; text copied,
/// and once more in a table; references.
fn amf_bound(bytes: usize) -> u64 {
    let entry = size_of::<(amf3::Value, amf3::Value)>().max(size_of::<(String, Value)>());
    let values = limits::AMF_VALUES * 3 * entry;
    (values + 8 * bytes + 4 * limits::AMF_EXPANDED_BYTES) as u64
}

fn report(what: &str, info: AllocationInfo, bound: u64) {
    let AllocationInfo {
        bytes_max,
        count_total,
        ..
    } = info;
    println!("{what}: at most {bytes_max} bytes of {bound}, {count_total} allocations");
    assert!(
        bytes_max <= bound,
        "{what}: {bytes_max} bytes, more than {bound}"
    );
}

fn hello() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1_536, 0);
    let mut encoder = Encoder::new();
    let mut command = |stream, values: &[Value]| {
        let payload = amf0::encode_all(values);
        encoder.encode(&mut bytes, 3, 20, stream, Timestamp(0), &payload);
    };
    let app = Value::object([("app", Value::string("live"))]);
    command(0, &[Value::string("connect"), Value::Number(1.0), app]);
    bytes
}

fn publishing() -> Vec<u8> {
    let mut bytes = hello();
    let values = [
        Value::string("publish"),
        Value::Number(0.0),
        Value::Null,
        Value::string("x"),
    ];
    let payload = amf0::encode_all(&values);
    Encoder::new().encode(&mut bytes, 8, 20, 1, Timestamp(0), &payload);
    bytes
}

/// The shell: answers, and drops what it hears.
fn drain(session: &mut ServerSession, words: &mut Vec<u8>) -> usize {
    let mut events = 0;
    while let Some(event) = session.poll_event() {
        events += 1;
        match event {
            Event::ConnectRequested(_) => session.accept_connect(),
            Event::PublishRequested { stream, .. } => session.accept_publish(stream),
            Event::PlayRequested { stream, .. } => {
                session.accept_play(stream);
            }
            Event::Paused { stream, paused, .. } => session.confirm_pause(stream, paused),
            Event::SeekRequested { stream, .. } => session.reject_seek(stream, "live"),
            _ => {}
        }
    }
    session.take_output(words);
    words.clear();
    events
}

/// Feeds a server's session behind `hello`, in reads of `read` bytes.
fn served(hello: &[u8], input: &[u8], read: usize) -> AllocationInfo {
    measure(|| {
        let mut session = ServerSession::new(SessionConfig::default(), 1);
        let mut words = Vec::new();
        for piece in hello.chunks(read).chain(input.chunks(read)) {
            let end = session.handle_input(Instant::ZERO, piece);
            drain(&mut session, &mut words);
            if end.is_err() {
                break;
            }
        }
    })
}

/// A header of fmt 0 on a chunk stream of 64 or more.
fn head(csid: u32, length: u32, type_id: u8, stream: u8) -> Vec<u8> {
    let [_, l0, l1, l2] = length.to_be_bytes();
    let rest = csid - 64;
    let mut head = vec![1, rest as u8, (rest >> 8) as u8];
    head.extend([0, 0, 0, l0, l1, l2, type_id, stream, 0, 0, 0]);
    head
}

fn message(csid: u32, type_id: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new();
    encoder.set_chunk_size(65_536);
    let stream = stream.into();
    encoder.encode(&mut bytes, csid, type_id, stream, Timestamp(0), payload);
    bytes
}

fn chunk_size(size: u32) -> Vec<u8> {
    message(2, 1, 0, &size.to_be_bytes())
}

#[test]
fn declared_lengths_reserve_nothing() {
    // 63 chunk streams (the command's is the 64th) that declare 10 MiB each and bring a byte.
    for type_id in [9, 18, 22] {
        let mut input = chunk_size(1);
        for csid in 100..162 {
            input.extend(head(csid, limits::MESSAGE_BYTES, type_id, 1));
            input.push(0x17);
        }
        for read in [1, 100, limits::SCRATCH_BYTES] {
            let info = served(&hello(), &input, read);
            // Each may reserve as much as was at hand when it began.
            let bound = 64 * KIB + 2 * limits::CHUNK_STREAMS * input.len().min(read.max(64));
            report(
                &format!("62 × 10 MiB of type {type_id} in reads of {read}"),
                info,
                bound as u64,
            );
        }
    }
}

#[test]
fn partial_messages_are_bounded_in_all() {
    // All 62 in turn, a kilobyte each time, until they are cut off.
    let mut input = chunk_size(1_000);
    for csid in 100..162 {
        input.extend(head(csid, limits::MESSAGE_BYTES, 9, 1));
        input.extend([7; 1_000]);
    }
    for n in 0..20_000 {
        let rest = 100 + n % 62 - 64;
        input.extend([0xC1, rest as u8, 0]);
        input.extend([7; 1_000]);
    }
    let info = served(&hello(), &input, limits::SCRATCH_BYTES);
    report("20 MB on 62 chunk streams", info, PARTIALS as u64);
    let info = served(&hello(), &input, 1_460);
    report(
        "20 MB on 62 chunk streams, in packets",
        info,
        PARTIALS as u64,
    );
}

#[test]
fn amf_costs_what_it_brings() {
    let ff = |head: &[u8], tail: &[u8]| [head, &[0xFF; 4], tail].concat();
    let nested = |head: &[u8], count: usize| head.repeat(count);
    let inputs: Vec<(&str, Vec<u8>)> = vec![
        ("strict array of 2^32−1", ff(&[0x0A], &[])),
        ("the same with nulls", ff(&[0x0A], &[5; 60_000])),
        ("ECMA array of 2^32−1", ff(&[8], &[])),
        ("long string of 2^32−1", ff(&[0x0C], &[b'x'; 1_000])),
        ("XML of 2^32−1", ff(&[0x0F], &[b'x'; 1_000])),
        ("strict arrays, nested", nested(&[0x0A, 0, 0, 0, 1], 12_000)),
        ("objects, nested", nested(&[3, 0, 1, b'a'], 15_000)),
        ("AMF3 int vector", ff(&[0x11, 0x0D], &[0; 60_000])),
        ("AMF3 double vector", ff(&[0x11, 0x0F], &[0; 60_000])),
        ("AMF3 object vector", ff(&[0x11, 0x10], &[0, 1, 1, 1])),
        ("AMF3 dictionary", ff(&[0x11, 0x11], &[1; 60_000])),
        ("AMF3 array", ff(&[0x11, 9], &[1; 60_000])),
        ("AMF3 traits of 2^25 names", ff(&[0x11, 0x0A], &[1; 60_000])),
        ("AMF3 byte array", ff(&[0x11, 0x0C], &[0; 60_000])),
        (
            "AMF3 arrays, nested",
            [&[0x11][..], &nested(&[9, 3, 1], 20_000)].concat(),
        ),
        ("arrays of one", nested(&[0x0A, 0, 0, 0, 1, 5], 10_000)),
        (
            "objects of one",
            nested(&[3, 0, 1, b'a', 5, 0, 0, 9], 8_000),
        ),
        (
            "dictionaries of one",
            nested(&[0x11, 0x11, 3, 0, 1, 1], 10_000),
        ),
        (
            "bytes that are no UTF-8",
            [&[0x0C, 0, 0, 0xEA, 0x60][..], &[0xFF; 60_000]].concat(),
        ),
        ("references", nested(&[7, 0, 0], 20_000)),
        ("references to strings", references()),
        ("references to all of it", repeated()),
    ];
    for (what, input) in &inputs {
        let info = measure(|| {
            let _ = amf0::decode_all(input);
        });
        report(what, info, amf_bound(input.len()));
        // As a command, where values are copied without references, and as data.
        let command = [&[2, 0, 1, b'x', 0, 0, 0, 0, 0, 0, 0, 0, 0][..], input].concat();
        let short = &command[..command.len().min(limits::COMMAND_BYTES as usize)];
        let copies = 2 + limits::COMMAND_REFERENCES as u64;
        let bound = copies * amf_bound(short.len()) + (4 * limits::SCRATCH_BYTES + MIB) as u64;
        let input = [chunk_size(65_536), message(3, 20, 1, short)].concat();
        report(
            &format!("{what}, a command"),
            served(&publishing(), &input, 65_536),
            bound,
        );
        let input = [chunk_size(65_536), message(3, 18, 1, short)].concat();
        report(
            &format!("{what}, data"),
            served(&publishing(), &input, 65_536),
            bound,
        );
    }
}

/// A data message is passed on as it is: whatever its first value, it costs itself, its copy and what growing costs.
#[test]
fn a_long_first_value_is_not_decoded() {
    let size = 8 * MIB;
    // 2^25 - 1 bytes, as an AMF3 string's length has it: cut by the end of the message.
    for head in [&b"\x0C\x00\x7F\xFF\xF0"[..], b"\x11\x06\x88\x80\x80\x01"] {
        let mut payload = head.to_vec();
        payload.resize(size, 0xFF);
        let input = [chunk_size(16_777_215), message(3, 18, 1, &payload)].concat();
        let info = served(&publishing(), &input, limits::SCRATCH_BYTES);
        report("8 MiB of a string", info, (4 * size + MIB) as u64);
    }
}

/// A string of 60 bytes and thousands of references to it.
fn references() -> Vec<u8> {
    let mut bytes = vec![0x11, 9, 0xFF, 0xFF, 0xFF, 0xFF, 1, 6, 121];
    bytes.extend([b'x'; 60]);
    bytes.extend([6, 0].repeat(20_000));
    bytes
}

/// Everything in one array, and references to that.
fn repeated() -> Vec<u8> {
    let mut bytes = vec![0x0A, 0, 0, 0x0F, 0xA0];
    bytes.extend([2, 0, 8, b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x'].repeat(4_000));
    bytes.extend([7, 0, 0].repeat(50));
    bytes
}

/// A command as a message of its own, small.
fn call(name: &str, arguments: &[Value]) -> Vec<u8> {
    let mut values = vec![Value::string(name), Value::Number(5.0), Value::Null];
    values.extend_from_slice(arguments);
    amf0::encode_all(&values)
}

/// The same message again and again: one header, then fmt 3.
fn flood(type_id: u8, stream: u8, payload: &[u8], bytes: usize) -> Vec<u8> {
    let mut flood = chunk_size(65_536);
    flood.extend([3, 0, 0, 0, 0]);
    flood.extend([
        (payload.len() >> 8) as u8,
        payload.len() as u8,
        type_id,
        stream,
        0,
        0,
        0,
    ]);
    flood.extend(payload);
    while flood.len() + payload.len() < bytes {
        flood.push(0xC3);
        flood.extend(payload);
    }
    flood
}

#[test]
fn floods_cost_what_a_read_may_hold() {
    let name = || [Value::string("x"), Value::string("live")];
    let long = || [Value::string("x".repeat(limits::NAME_BYTES))];
    let floods = [
        (
            "createStream",
            flood(20, 0, &call("createStream", &[]), 200_000),
        ),
        ("publish", flood(20, 1, &call("publish", &name()), 200_000)),
        ("play", flood(20, 1, &call("play", &name()), 200_000)),
        (
            "play of long names",
            flood(20, 1, &call("play", &long()), 200_000),
        ),
        (
            "FCPublish of long names",
            flood(20, 1, &call("FCPublish", &long()), 200_000),
        ),
        ("unknown calls", flood(20, 0, &call("x", &[]), 200_000)),
        ("pings", flood(4, 0, &[0, 6, 1, 2, 3, 4], 200_000)),
        ("bandwidths", flood(6, 0, &[0, 0, 1, 0, 0], 200_000)),
        ("empty audio", flood(8, 1, &[], 200_000)),
        ("empty video", flood(9, 1, &[], 200_000)),
        ("video of a byte", flood(9, 1, &[0x27], 200_000)),
        (
            "metadata",
            flood(18, 1, b"\x02\0\x0AonMetaData\x05", 200_000),
        ),
    ];
    // Replies, each block twice while it grows; events of one read; and the read itself, held while `connect` waits.
    let events = limits::SCRATCH_BYTES * EVENT_BYTES;
    let bound = (4 * limits::REPLY_BYTES + events + 4 * limits::SCRATCH_BYTES) as u64;
    for (what, input) in floods {
        let info = served(&publishing(), &input, limits::SCRATCH_BYTES);
        report(&format!("a flood of {what}"), info, bound);
        let info = served(&publishing(), &input, 1_460);
        report(&format!("a flood of {what}, in packets"), info, bound / 16);
    }
}

#[test]
fn aggregates_cost_what_they_bring() {
    let mut payload = Vec::new();
    while payload.len() + 16 < 65_000 {
        payload.extend([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]);
    }
    let mut input = chunk_size(65_536);
    input.extend(message(6, 22, 1, &payload));
    let info = served(&publishing(), &input, limits::SCRATCH_BYTES);
    let bound = limits::AGGREGATE_MESSAGES * EVENT_BYTES + 4 * payload.len() + 512 * KIB;
    report("an aggregate of 4,096 parts", info, bound as u64);
}

#[test]
fn a_stranger_costs_little() {
    let noise: Vec<u8> = (0..400_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let bound = (4 * limits::PRE_CONNECT_BYTES + 4 * limits::SCRATCH_BYTES) as u64;
    for read in [1, 100, limits::SCRATCH_BYTES] {
        let shake = [&[3][..], &noise].concat();
        let info = measure(|| {
            let mut handshake = ServerHandshake::new(1);
            let mut out = Vec::new();
            for mut piece in shake.chunks(read) {
                if handshake.handle_input(&mut piece, &mut out) != Ok(false) {
                    break;
                }
            }
        });
        report("a handshake", info, 6 * 3_073);
        report("noise", served(&[], &noise, read), bound);
        report("a handshake and noise", served(&[], &shake, read), bound);
        // A `connect` that is never accepted, and what follows it.
        let info = measure(|| {
            let mut session = ServerSession::new(SessionConfig::default(), 1);
            for piece in [hello(), noise.clone()].concat().chunks(read) {
                if session.handle_input(Instant::ZERO, piece).is_err() {
                    break;
                }
            }
        });
        report(
            "noise behind `connect`",
            info,
            bound + 2 * noise.len() as u64,
        );
    }
}

#[test]
fn enhanced_headers_cost_little() {
    let mut many = vec![0x96, 0x20 | 1]; // ManyTracksManyCodecs of coded frames
    for track in 0..=255u8 {
        many.extend(b"hvc1");
        many.extend([track, 0, 0, 3, 0, 0, 0]);
    }
    let nested = [&[0x97][..], &[2, 7, 0xA1, 0x20, 0x07].repeat(10_000)].concat();
    let huge = [&[0x97, 0xFF, 0xFF, 0xFF][..], &[0; 70_000]].concat();
    for (what, payload) in [
        ("256 tracks", many),
        ("ModEx, nested", nested),
        ("a long ModEx", huge),
    ] {
        for first in [payload[0], 0x97] {
            let mut payload = payload.clone();
            payload[0] = first;
            let mut class = None;
            let info = measure(|| class = Some(classify(MediaKind::Video, payload.as_slice())));
            report(what, info, 16 * KIB as u64);
            let info = measure(|| class = Some(classify(MediaKind::Audio, payload.as_slice())));
            report(what, info, 16 * KIB as u64);
        }
    }
}

/// On the way in a frame costs its buffer, and what shares it.
#[test]
fn a_frame_costs_two_allocations() {
    const FRAMES: u64 = 2_000;
    for (size, peer_chunk_size) in [(100, 4_096), (2_000, 4_096), (20_000, 4_096), (20_000, 128)] {
        let mut encoder = Encoder::new();
        let mut input = chunk_size(peer_chunk_size);
        encoder.set_chunk_size(peer_chunk_size);
        let mut payload = vec![0x27; size];
        for n in 0..FRAMES {
            payload[1] = n as u8;
            let time = Timestamp(n as u32 * 40);
            encoder.encode(&mut input, 6, 9, 1, time, &payload);
        }
        let mut session = ServerSession::new(SessionConfig::default(), 1);
        let mut words = Vec::new();
        session.handle_input(Instant::ZERO, &publishing()).unwrap();
        drain(&mut session, &mut words);
        let mut frames = 0;
        let info = measure(|| {
            for piece in input.chunks(limits::SCRATCH_BYTES) {
                session.handle_input(Instant::ZERO, piece).unwrap();
                frames += drain(&mut session, &mut words);
            }
        });
        assert_eq!(frames as u64, FRAMES);
        let each = info.count_total as f64 / FRAMES as f64;
        println!("{size} bytes in chunks of {peer_chunk_size}: {each:.3} allocations a frame");
        assert!(each <= 2.1, "{each} allocations a frame of {size} bytes");
    }
}

/// Whatever the fuzzers have kept.
#[test]
fn the_fuzz_corpora_cost_little() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/fuzz");
    let mut most = [0u64; 4];
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let len = bytes.len();
            let info = measure(|| {
                let _ = amf0::decode_all(&bytes);
                let _ = amf3::decode_all(&bytes);
            });
            assert!(info.bytes_max <= amf_bound(len));
            most[0] = most[0].max(info.bytes_max);
            let info = measure(|| {
                let mut decoder = Decoder::new(limits::CHUNK_SIZE_DEFAULT);
                let mut input = bytes.as_slice();
                while let Ok(Some(_)) = decoder.decode(&mut input) {}
            });
            assert!(info.bytes_max <= (64 * KIB + (limits::CHUNK_STREAMS + 6) * len) as u64);
            most[1] = most[1].max(info.bytes_max);
            let behind = &bytes[len.min(2)..];
            let info = served(&publishing(), behind, 1_460);
            assert!(info.bytes_max <= (MIB + EVENT_BYTES * len) as u64 + amf_bound(len));
            most[2] = most[2].max(info.bytes_max);
            let info = listened(behind);
            assert!(info.bytes_max <= (MIB + EVENT_BYTES * len) as u64 + amf_bound(len));
            most[3] = most[3].max(info.bytes_max);
        }
    }
    println!(
        "at most: AMF {}, chunks {}, server {}, client {}",
        most[0], most[1], most[2], most[3]
    );
}

fn listened(input: &[u8]) -> AllocationInfo {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        flash_ver: "x".into(),
        ..ClientConfig::default()
    };
    let mut hello = vec![3];
    hello.resize(1 + 2 * 1_536, 0);
    measure(|| {
        let mut session = ClientSession::new(config, 1);
        session.connect();
        session.publish("a");
        for piece in [hello.as_slice()].into_iter().chain(input.chunks(1_460)) {
            if session.handle_input(Instant::ZERO, piece).is_err() {
                break;
            }
            while session.poll_event().is_some() {}
        }
    })
}
