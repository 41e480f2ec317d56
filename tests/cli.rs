//! The binary as a person meets it: what it says, how it refuses, how it ends.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "these tests run the real binary in the real world, and fail by panicking"
)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Ended, Program, Server, millstream, scratch, wait_for};

const SOON: Duration = Duration::from_secs(10);

fn run(arguments: &[&str]) -> Ended {
    Program::start("millstream", &mut millstream(arguments)).ended(SOON)
}

/// One sentence on stderr, nothing on stdout, exit code 1.
fn refused(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.out, "");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.starts_with("millstream: "), "{ended:?}");
    ended.err
}

#[test]
fn help_names_every_flag() {
    let ended = run(&["--help"]);
    assert!(ended.status.success());
    for flag in [
        "--listen <ADDR>",
        "--shards <N>",
        "--chunk-size",
        "--gop-cache",
        "--runtime",
        "--log <LEVEL>",
        "--config <FILE>",
        "--version",
    ] {
        assert!(ended.out.contains(flag), "{flag} in {}", ended.out);
    }
}

#[test]
fn version_is_the_packages() {
    let ended = run(&["--version"]);
    assert!(ended.status.success());
    assert_eq!(
        ended.out,
        concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let ended = run(&["--lisen", "127.0.0.1:0"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.err.contains("--lisen") && ended.err.contains("--listen"),
        "{ended:?}"
    );
}

#[test]
fn a_bad_address_is_one_sentence() {
    let said = refused(&["--listen", "1935"]);
    assert!(
        said.contains("--listen: expected an address and port"),
        "{said}"
    );
    assert!(said.contains("got \"1935\""), "{said}");
}

#[test]
fn an_address_of_another_machine_is_one_sentence() {
    // TEST-NET-1 (RFC 5737): nobody's address.
    let said = refused(&["--listen", "192.0.2.1:1935"]);
    assert!(said.contains("192.0.2.1:1935"), "{said}");
}

#[test]
fn a_busy_port_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for runtime in ["smol", "shard"] {
        if runtime == "shard" && !cfg!(target_os = "linux") {
            continue;
        }
        let said = refused(&["--listen", &address, "--runtime", runtime]);
        assert!(said.contains(&address), "{said}");
    }
}

#[test]
fn an_unreadable_file_is_one_sentence() {
    let missing = scratch("cli").join("missing.toml");
    let said = refused(&["--config", missing.to_str().unwrap()]);
    assert!(
        said.contains("cannot read the configuration file"),
        "{said}"
    );
    assert!(said.contains("missing.toml"), "{said}");
}

#[test]
fn a_bad_file_is_refused_with_line_and_column() {
    let file = scratch("cli").join("millstream.toml");
    let path = file.to_str().unwrap();
    for (text, place, what) in [
        (
            "[server]\n  chunk_sise = 5\n",
            "2:3",
            "unknown key `chunk_sise`; did you mean `chunk_size`?",
        ),
        (
            "[server]\nchunk_size = 0\n",
            "2:14",
            "expected a whole number from 1 to 65536, got 0",
        ),
        ("[logging]\nlevel = loud\n", "2:9", "not TOML"),
    ] {
        fs::write(&file, text).unwrap();
        let said = refused(&["--config", path]);
        assert!(said.contains(&format!("{path}:{place}: ")), "{said}");
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn check_explains_every_mistake_and_says_by_its_exit_code_whether_there_is_one() {
    let file = scratch("cli").join("millstream.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "[server]\nshards = 65\n[loging]\nlevel = 1\n").unwrap();
    let ended = run(&["check", path]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for said in [
        ":2:10: shards: expected a whole number from 0 to 64, got 65\n  2 | shards = 65\n    |          ^\n",
        ":3:2: unknown section `loging`; did you mean `logging`?",
        ": 2 mistakes\n",
    ] {
        assert!(ended.out.contains(said), "{said} in {}", ended.out);
    }
    let said = refused(&["--config", path]);
    assert!(said.contains("(and 1 more; millstream check "), "{said}");
    fs::write(&file, "[server]\nshards = 1\n").unwrap();
    let ended = run(&["check", path]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    refused(&["check", scratch("cli").join("missing").to_str().unwrap()]);
}

#[test]
fn the_printed_default_is_a_file_that_is_accepted() {
    let printed = run(&["config", "--default"]);
    assert!(printed.status.success(), "{printed:?}");
    let file = scratch("cli").join("millstream.toml");
    fs::write(&file, printed.out).unwrap();
    let ended = run(&["check", file.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
fn the_banner_says_where_to_publish_and_play() {
    let server = Server::start(&["--shards", "1"]);
    let said = server.program.out();
    let url = format!("rtmp://{}/live/NAME", server.address);
    assert!(said.contains(&format!("publish to   {url}")), "{said}");
    assert!(said.contains(&format!("play from    {url}")), "{said}");
}

#[test]
fn a_signal_ends_it_gracefully() {
    for (signal, runtime) in [
        ("TERM", "smol"),
        ("INT", "smol"),
        ("TERM", "shard"),
        ("INT", "shard"),
    ] {
        if runtime == "shard" && !cfg!(target_os = "linux") {
            continue;
        }
        let server = Server::start(&["--runtime", runtime]);
        let _idle = TcpStream::connect(&server.address).unwrap();
        server.program.signal(&[signal]);
        let ended = server.program.ended(SOON);
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{signal}, {runtime}: {ended:?}"
        );
        assert!(
            TcpStream::connect(&server.address).is_err(),
            "still listening"
        );
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut command = millstream(&["--listen", "127.0.0.1:0"]);
    let server = Server::launch(command.env("MILLSTREAM_DRAIN", "60s"));
    // A connection that will not go by itself, so that there is something to drain.
    let mut stuck = TcpStream::connect(&server.address).unwrap();
    stuck.write_all(&[3]).unwrap();
    let begin = Instant::now();
    server.program.signal(&["TERM", "INT"]);
    let ended = server.program.ended(SOON);
    assert_ne!(ended.status.code(), Some(0), "{ended:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "took {:?}",
        begin.elapsed()
    );
}

/// Whether a connection is served: the server answers the first byte of a handshake that is complete.
fn is_served(address: &str) -> bool {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    // One who is not let in may find its connection reset at any moment.
    let _ = socket.write_all(&[&[3][..], &[0; 1_536]].concat());
    matches!(socket.read(&mut [0]), Ok(1))
}

#[test]
#[cfg(unix)]
fn a_hangup_reloads_the_file_and_says_what_needs_a_restart() {
    let file = scratch("cli").join("millstream.toml");
    fs::write(&file, "[server]\nshards = 1\n").unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    let said = |what: &str| {
        wait_for(what, SOON, || {
            server.program.err().contains(what).then_some(())
        });
    };
    let held = TcpStream::connect(&server.address).unwrap();
    assert!(is_served(&server.address));
    fs::write(&file, "[server]\nshards = 2\n[limits]\nconnections = 1\n").unwrap();
    server.program.signal(&["HUP"]);
    said("the configuration is reloaded");
    said("key=[server] shards wanted=2 has=1");
    // The one that is held has the only place; the one before may still have to go.
    wait_for("a refusal", SOON, || {
        (!is_served(&server.address)).then_some(())
    });
    said("limit=\"connections\"");
    fs::write(&file, "[limits]\nconnections = -1\n").unwrap();
    server.program.signal(&["HUP"]);
    said("millstream.toml:2:15: connections: expected a whole number");
    assert!(!is_served(&server.address), "as it was");
    drop(held);
    wait_for("a place", SOON, || is_served(&server.address).then_some(()));
}

#[test]
fn a_closed_pipe_harms_nobody() {
    // `millstream | head -1`: the reader of the banner goes, the server stays.
    let mut command = millstream(&["--listen", "127.0.0.1:0", "--log", "debug"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut banner = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(
            std::io::BufRead::read_line(&mut banner, &mut line).unwrap(),
            0
        );
        if let Some(address) = line.trim().strip_prefix("listens on") {
            break address.trim().to_owned();
        }
    };
    drop((banner, child.stderr.take()));
    for _ in 0..3 {
        let mut noise = TcpStream::connect(&address).unwrap();
        noise.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    }
    wait_for("the next connection", SOON, || {
        TcpStream::connect(&address).ok()
    });
    assert!(
        child.try_wait().unwrap().is_none(),
        "the server died of a closed pipe"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
