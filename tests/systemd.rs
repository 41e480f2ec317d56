//! The binary under a service manager: sockets that are open already, and what the manager hears of it.

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

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rtmp_client::Client;
use support::{Program, Server, scratch, through_shell};

const SOON: Duration = Duration::from_secs(10);

/// Starts the binary with its standard input on descriptor 3, as a service manager does.
const ACTIVATED: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
/// The same, meant for somebody else.
const MEANT_FOR_ANOTHER: &str =
    "exec 3<&0 </dev/null; LISTEN_PID=1 LISTEN_FDS=1 exec \"$0\" \"$@\"";

fn activated(script: &str, arguments: &[&str]) -> Command {
    let mut command = through_shell(script, arguments);
    command.args(["--http", "off", "--shards", "1"]);
    command
}

/// A manager that listens at a path short enough for a socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("millstream-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, path }
    }

    fn hears(&self) -> String {
        let mut said = [0; 200];
        let len = self.socket.recv(&mut said).expect("a word of the service");
        String::from_utf8_lossy(&said[..len]).into_owned()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn a_socket_that_is_given_is_served_and_none_other_is_opened() {
    let given = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    // Who comes before the server is there waits.
    let early = TcpStream::connect(address).unwrap();
    // The configuration's port is taken: were it opened, the server would not start.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut command = activated(ACTIVATED, &["--listen", &listen]);
    let server = Server::launch_with(&mut command, OwnedFd::from(given).into());
    drop(command); // with its copy of the socket
    assert_eq!(server.address, address.to_string());
    let said = server.program.err();
    assert!(said.contains("`listen` is not heeded"), "{said}");
    drop(early);
    let mut publisher = Client::publisher(address, "given");
    let mut player = Client::player(address, "given");
    publisher.send(
        millstream::rtmp::wire::MediaKind::Data,
        0,
        rtmp_client::METADATA,
    );
    player.until("metadata", |client| !client.media.is_empty());
    server.program.signal(&["TERM"]);
    publisher.until_closed();
    assert!(server.program.ended(SOON).status.success());
    assert!(TcpStream::connect(address).is_err(), "nobody holds it now");
}

#[test]
fn what_is_no_listening_socket_is_refused_in_a_sentence() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for given in [OwnedFd::from(udp), OwnedFd::from(connection)] {
        let mut command = activated(ACTIVATED, &[]);
        let program = Program::start_with("millstream", &mut command, given.into());
        let ended = program.ended(SOON);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.err.contains("(LISTEN_FDS) is of no use"), "{ended:?}");
    }
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let given = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    let mut command = activated(MEANT_FOR_ANOTHER, &["--listen", "127.0.0.1:0"]);
    let server = Server::launch_with(&mut command, OwnedFd::from(given).into());
    assert_ne!(server.address, address.to_string());
}

#[test]
fn the_manager_hears_of_the_start_a_reload_and_the_stop() {
    let manager = Manager::new();
    let file = scratch("systemd").join("millstream.toml");
    fs::write(&file, "[server]\nhttp = \"off\"\nshards = 1\n").unwrap();
    let mut command = support::millstream(&["--listen", "127.0.0.1:0", "--config"]);
    command.arg(&file).env("NOTIFY_SOCKET", &manager.path);
    let program = Program::start("millstream", &mut command);
    assert_eq!(manager.hears(), "READY=1");
    // A reload that fails leaves it as ready as it was.
    for text in ["[server]\nhttp = \"off\"\nshards = 1\n", "nonsense"] {
        fs::write(&file, text).unwrap();
        program.signal(&["HUP"]);
        let said = manager.hears();
        assert!(said.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said}");
        assert_eq!(manager.hears(), "READY=1");
    }
    program.signal(&["TERM"]);
    assert_eq!(manager.hears(), "STOPPING=1");
    assert!(program.ended(SOON).status.success());
}

#[test]
fn a_manager_that_is_gone_costs_a_line_in_the_log() {
    let mut command = support::millstream(&["--listen", "127.0.0.1:0", "--http", "off"]);
    command.env("NOTIFY_SOCKET", "/nonexistent/notify");
    let server = Server::launch(&mut command);
    let said = server.program.err();
    assert!(said.contains("NOTIFY_SOCKET"), "{said}");
}
