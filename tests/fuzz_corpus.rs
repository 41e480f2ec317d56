//! Every input the fuzzers kept, and every wire file, through the bodies the fuzzers run; and what must be refused, is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its corpus, and fails by panicking"
)]

use std::path::{Path, PathBuf};

use millstream::media::flv::fuzz_flv;
use millstream::media::frame::fuzz_enhanced;
use millstream::media::mp4::fuzz_mp4;
use millstream::rtmp::amf::{fuzz_amf0, fuzz_amf3};
use millstream::rtmp::chunk::decoder::fuzz_decoder;
use millstream::rtmp::command::fuzz_command;
use millstream::rtmp::handshake::fuzz_handshake;
use millstream::rtmp::session::fuzz::{fuzz_client_session, fuzz_server_session};
use millstream::rtmp::session::server::{Event, Fault, ServerSession, SessionConfig};
use millstream::time::Instant;

/// A target's name and body.
type Target = (&'static str, fn(&[u8]));

/// As in `sim/fuzz`.
const TARGETS: [Target; 10] = [
    ("amf0", fuzz_amf0),
    ("amf3", fuzz_amf3),
    ("chunk", fuzz_decoder),
    ("client_session", fuzz_client_session),
    ("command", fuzz_command),
    ("enhanced", fuzz_enhanced),
    ("flv", fuzz_flv),
    ("handshake", fuzz_handshake),
    ("mp4", fuzz_mp4),
    ("server_session", fuzz_server_session),
];

fn files(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(folder);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let files = files.into_iter().map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    });
    files.collect()
}

#[test]
fn what_the_fuzzers_kept_is_survived() {
    let mut total = 0;
    for (name, body) in TARGETS {
        let files = files(&format!("fuzz/{name}"));
        assert!(!files.is_empty(), "{name} has a corpus");
        for (path, bytes) in files {
            assert!(bytes.len() < 16 * 1024, "{} is large", path.display());
            println!("{}", path.display());
            body(&bytes);
            total += bytes.len();
        }
    }
    assert!(total < 1024 * 1024, "the corpora have {total} bytes");
}

/// A wire file's bytes from the client: behind a line of JSON, records with heads of 16 bytes.
fn to_server(file: &[u8]) -> Vec<u8> {
    let line = file.iter().position(|b| *b == b'\n').unwrap();
    let mut rest = &file[line + 1..];
    let mut bytes = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (body, behind) = behind.split_at(length as usize);
        if head[..2] == [0, 0] {
            bytes.extend_from_slice(body);
        }
        rest = behind;
    }
    bytes
}

/// What the bodies make of bytes from a client's first on: the head of each says how they are meant.
fn everywhere(bytes: &[u8]) {
    let behind = bytes.get(3_073..).unwrap_or_default();
    for piece in [1, 7, 250] {
        fuzz_handshake(&[&[piece, 0], bytes].concat());
        fuzz_decoder(&[&[2, piece], behind].concat());
        for choice in [2, 6, 10, 14] {
            fuzz_server_session(&[&[choice, piece], bytes].concat());
        }
        fuzz_client_session(&[&[2, piece], bytes].concat());
    }
}

#[test]
fn wire_files_are_survived_everywhere() {
    for (path, bytes) in files("wire") {
        if path.extension().is_some_and(|e| e == "rtmpcap") {
            println!("{}", path.display());
            everywhere(&to_server(&bytes));
        }
    }
}

/// `corpus/reject`: bytes from a client's first on, named for whose fault they are and what is wrong with them.
#[test]
fn what_must_be_refused_is() {
    let files = files("reject");
    assert!(files.len() > 10, "the corpus is there");
    for (path, bytes) in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = match name.split("--").next() {
            Some("not-rtmp") => Fault::NotRtmp,
            Some("protocol") => Fault::Protocol,
            Some("bound") => Fault::Bound,
            _ => continue,
        };
        println!("{name}");
        everywhere(&bytes);
        for piece in [bytes.len(), 100, 1] {
            let mut session = ServerSession::new(SessionConfig::default(), 1);
            let mut said = Vec::new();
            for piece in bytes.chunks(piece) {
                let _ = session.handle_input(Instant::ZERO, piece);
                while let Some(event) = session.poll_event() {
                    match event {
                        Event::ConnectRequested(_) => session.accept_connect(),
                        Event::PublishRequested { stream, .. } => session.accept_publish(stream),
                        _ => {}
                    }
                }
                session.take_output(&mut said);
            }
            let fault = session.fault().map(|error| error.fault());
            assert_eq!(fault, Some(expected), "{name} in pieces of {piece}");
        }
    }
}
