//! No file descriptor left: who is connected goes on, who comes waits, and the log says so once.

#![cfg(all(feature = "production", target_os = "linux"))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "these tests run the real binary in the real world, and fail by panicking"
)]

#[allow(dead_code, reason = "other tests use the rest")]
mod rtmp_client;
mod support;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use millstream::rtmp::wire::MediaKind::Video;
use rtmp_client::{Client, VIDEO_CONFIG, number, picture};
use support::{Server, through_shell, wait_for};

const SOON: Duration = Duration::from_secs(10);
/// What the log says.
const FAILS: &str = "accept fails: new clients wait";
const AGAIN: &str = "accept succeeds again";

/// Sends picture `n` and waits until the player has it.
fn flows(publisher: &mut Client, player: &mut Client, n: u32) {
    publisher.send(Video, n * 40, &picture(n, 500));
    player.until("the next picture", |client| {
        let last = client.media.last();
        last.and_then(|(.., payload)| number(payload)) == Some(n)
    });
}

fn without_descriptors(runtime: &str) {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--http",
        "off",
        "--shards",
        "2",
        "--runtime",
        runtime,
    ];
    let mut command = through_shell("ulimit -n 40; exec \"$0\" \"$@\"", &arguments);
    let server = Server::launch(&mut command);
    let address: SocketAddr = server.address.parse().unwrap();
    let mut publisher = Client::publisher(address, "goes-on");
    publisher.send(Video, 0, VIDEO_CONFIG);
    let mut player = Client::player(address, "goes-on");
    flows(&mut publisher, &mut player, 0);

    // The kernel completes them all; the server takes what it can.
    let crowd: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    wait_for("an accept that fails", SOON, || {
        server.program.err().contains(FAILS).then_some(())
    });
    // Many attempts fail meanwhile.
    let begin = Instant::now();
    let mut n = 1;
    while begin.elapsed() < Duration::from_millis(1_000) {
        flows(&mut publisher, &mut player, n);
        n += 1;
    }
    let log = server.program.err();
    assert_eq!(log.matches(FAILS).count(), 1, "{log}");
    assert!(!log.contains(AGAIN), "{log}");

    drop(crowd);
    let mut late = Client::player(address, "goes-on");
    flows(&mut publisher, &mut player, n);
    flows(&mut publisher, &mut late, n + 1);
    let log = server.program.err();
    assert_eq!(log.matches(AGAIN).count(), 1, "{log}");

    server.program.signal(&["TERM"]);
    assert!(server.program.ended(SOON).status.success());
}

#[test]
fn without_descriptors_streams_go_on_and_newcomers_wait() {
    without_descriptors("shard");
}

#[test]
fn without_descriptors_streams_go_on_with_smol() {
    without_descriptors("smol");
}
