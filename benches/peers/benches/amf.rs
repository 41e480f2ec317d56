//! AMF: what commands and metadata cost to read and write, beside `memcpy` of the same bytes, `rml_amf0` (the AMF of
//! `rml_rtmp`) and `shiguredo_rtmp`.
//!
//! `rml_amf0` keeps properties in a hash map, so it loses their order and writes an ECMA array as an object.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use millstream::rtmp::amf::amf3;
use millstream::rtmp::amf::{Reader, Value, amf0};
use millstream::rtmp::command::{Command, Request};
use shiguredo_rtmp::tests::Amf0Value;

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

fn rml(bytes: &[u8]) -> Vec<rml_amf0::Amf0Value> {
    rml_amf0::deserialize(&mut &bytes[..]).expect("legal AMF0")
}

fn shiguredo(mut bytes: &[u8]) -> Vec<Amf0Value> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (n, value) = Amf0Value::decode(bytes).expect("legal AMF0");
        values.push(value);
        bytes = &bytes[n..];
    }
    values
}

/// Names and values of the last value's properties, by name.
fn properties(values: &[Value]) -> Vec<(String, String)> {
    let properties = match values.last() {
        Some(Value::Object(properties) | Value::EcmaArray(properties)) => properties,
        other => unreachable!("an object or array, not {other:?}"),
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        other => unreachable!("{other:?}"),
    };
    sorted(
        properties
            .iter()
            .map(|(key, value)| (key.clone(), text(value))),
    )
}

fn rml_properties(values: &[rml_amf0::Amf0Value]) -> Vec<(String, String)> {
    use rml_amf0::Amf0Value as V;
    let Some(V::Object(properties)) = values.last() else {
        unreachable!("an object");
    };
    let text = |value: &V| match value {
        V::Utf8String(text) => text.clone(),
        V::Number(number) => number.to_string(),
        V::Boolean(flag) => flag.to_string(),
        other => unreachable!("{other:?}"),
    };
    sorted(
        properties
            .iter()
            .map(|(key, value)| (key.clone(), text(value))),
    )
}

fn shiguredo_properties(values: &[Amf0Value]) -> Vec<(String, String)> {
    let entries = match values.last() {
        Some(Amf0Value::Object { entries, .. } | Amf0Value::EcmaArray { entries }) => entries,
        other => unreachable!("an object or array, not {other:?}"),
    };
    let text = |value: &Amf0Value| match value {
        Amf0Value::String(text) => text.clone(),
        Amf0Value::Number(number) => number.to_string(),
        Amf0Value::Boolean(flag) => flag.to_string(),
        other => unreachable!("{other:?}"),
    };
    sorted(
        entries
            .iter()
            .map(|pair| (pair.key.clone(), text(&pair.value))),
    )
}

fn sorted(properties: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut properties: Vec<_> = properties.collect();
    properties.sort();
    properties
}

/// All three read the same properties.
fn check(bytes: &[u8]) {
    let (values, error) = amf0::decode_all(bytes);
    assert_eq!(error, None);
    let want = properties(&values);
    assert!(want.len() > 3);
    assert_eq!(rml_properties(&rml(bytes)), want);
    assert_eq!(shiguredo_properties(&shiguredo(bytes)), want);
}

fn decode(c: &mut Criterion) {
    for (name, values) in [("connect", connect()), ("metadata", metadata())] {
        let bytes = amf0::encode_all(&values);
        check(&bytes);
        let mut group = c.benchmark_group(format!("amf0 decode/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("memcpy", |b| {
            let mut out = Vec::with_capacity(4_096);
            b.iter(|| {
                out.clear();
                out.extend_from_slice(black_box(&bytes));
                black_box(out.as_slice()).len()
            });
        });
        group.bench_function("millstream", |b| {
            b.iter(|| amf0::decode_all(black_box(&bytes)))
        });
        group.bench_function("rml_amf0", |b| b.iter(|| rml(black_box(&bytes))));
        group.bench_function("shiguredo_rtmp", |b| {
            b.iter(|| shiguredo(black_box(&bytes)))
        });
        group.finish();
    }
}

/// `rml_amf0` has no buffer to write to: it makes one each time.
fn encode(c: &mut Criterion) {
    for (name, values) in [("connect", connect()), ("metadata", metadata())] {
        let bytes = amf0::encode_all(&values);
        let mut out = Vec::with_capacity(4_096);
        let mut group = c.benchmark_group(format!("amf0 encode/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("millstream", |b| {
            b.iter(|| {
                out.clear();
                for value in black_box(&values) {
                    amf0::encode(value, &mut out);
                }
                out.len()
            });
        });
        assert_eq!(out, bytes);
        let theirs = rml(&bytes);
        group.bench_function("rml_amf0", |b| {
            b.iter(|| rml_amf0::serialize(black_box(&theirs)).map(|bytes| bytes.len()));
        });
        let theirs = shiguredo(&bytes);
        group.bench_function("shiguredo_rtmp", |b| {
            b.iter(|| {
                out.clear();
                for value in black_box(&theirs) {
                    value.encode(&mut out);
                }
                out.len()
            });
        });
        assert_eq!(
            shiguredo_properties(&shiguredo(&out)),
            shiguredo_properties(&theirs)
        );
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

criterion_group!(benches, decode, encode, amf3, command);
criterion_main!(benches);
