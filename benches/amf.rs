//! AMF: what commands and metadata cost to read and write, beside a copy of the same bytes.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use millstream::rtmp::amf::amf3;
use millstream::rtmp::amf::{Reader, Value, amf0};
use millstream::rtmp::command::{Command, Request};

/// FFmpeg's `connect`.
fn connect() -> Vec<Value> {
    let object = Value::object([
        ("app", Value::string("live")),
        ("type", Value::string("nonprivate")),
        (
            "flashVer",
            Value::string("FMLE/3.0 (compatible; Lavf59.27.100)"),
        ),
        ("tcUrl", Value::string("rtmp://127.0.0.1:1935/live")),
    ]);
    vec![Value::string("connect"), Value::Number(1.0), object]
}

/// OBS's `onMetaData`, in kind and number.
fn metadata() -> Vec<Value> {
    let numbers = [
        "duration",
        "fileSize",
        "width",
        "height",
        "videocodecid",
        "videodatarate",
        "framerate",
        "audiocodecid",
        "audiodatarate",
        "audiosamplerate",
        "audiosamplesize",
        "audiochannels",
    ];
    let flags = ["stereo", "2.1", "3.1", "4.0", "4.1", "5.1", "7.1"];
    let mut properties: Vec<_> = numbers
        .iter()
        .map(|key| ((*key).to_owned(), Value::Number(1_000.0)))
        .collect();
    properties.extend(flags.map(|key| (key.to_owned(), Value::Boolean(false))));
    let encoder = Value::string("obs-output module (libobs version 29.0.2)");
    properties.push(("encoder".to_owned(), encoder));
    vec![Value::string("onMetaData"), Value::EcmaArray(properties)]
}

fn amf(c: &mut Criterion) {
    for (name, values) in [("connect", connect()), ("metadata", metadata())] {
        let bytes = amf0::encode_all(&values);
        let mut group = c.benchmark_group("amf0");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("decode", name), &bytes, |b, bytes| {
            b.iter(|| amf0::decode_all(black_box(bytes)));
        });
        group.bench_with_input(BenchmarkId::new("encode", name), &values, |b, values| {
            let mut out = Vec::with_capacity(4_096);
            b.iter(|| {
                out.clear();
                for value in black_box(values) {
                    amf0::encode(value, &mut out);
                }
                out.len()
            });
        });
        group.bench_with_input(BenchmarkId::new("memcpy", name), &bytes, |b, bytes| {
            let mut out = Vec::with_capacity(4_096);
            b.iter(|| {
                out.clear();
                out.extend_from_slice(black_box(bytes));
                black_box(out.as_slice()).len()
            });
        });
        group.finish();
    }
}

fn amf3(c: &mut Criterion) {
    let members = (0..20).map(|n| (format!("member{n}"), amf3::Value::Integer(n)));
    let value = amf3::Value::Object(amf3::Object {
        dynamic: Some(members.collect()),
        ..Default::default()
    });
    let mut bytes = Vec::new();
    amf3::encode(&value, &mut bytes);
    let mut group = c.benchmark_group("amf3");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode/object", |b| {
        b.iter(|| amf3::decode(&mut Reader::new(black_box(&bytes))));
    });
    group.bench_function("encode/object", |b| {
        let mut out = Vec::with_capacity(4_096);
        b.iter(|| {
            out.clear();
            amf3::encode(black_box(&value), &mut out);
            out.len()
        });
    });
    group.finish();
}

fn command(c: &mut Criterion) {
    let payload = amf0::encode_all(&connect());
    c.bench_function("command/connect understood", |b| {
        b.iter(|| Command::decode(20, black_box(&payload)).map(|c| Request::new(&c)));
    });
}

criterion_group!(benches, amf, amf3, command);
criterion_main!(benches);
