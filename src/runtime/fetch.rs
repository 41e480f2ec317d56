//! A question to a running server's HTTP, as `millstream status` asks it: one GET, waited for.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

use crate::limits;
use crate::time::Duration;

/// Waits.
#[allow(
    clippy::disallowed_methods,
    reason = "a command without a runtime waits here"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The body behind `path` at `authority` (`host:port`), of at most [`limits::STATUS_BYTES`].
///
/// # Errors
/// Nobody is there or answers within [`limits::STATUS_TIME`], or the answer is not 200; the error says what it is.
pub fn get(authority: &str, path: &str, token: Option<&str>) -> io::Result<String> {
    let mut stream = connect(authority)?;
    stream.set_read_timeout(Some(limits::STATUS_TIME))?;
    stream.set_write_timeout(Some(limits::STATUS_TIME))?;
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    // By HTTP/1.0, the answer comes in one piece and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n{token}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream
        .take(limits::STATUS_BYTES as u64)
        .read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "what answers is no HTTP server");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.lines().next().and_then(|line| line.split_once(' '));
    match status {
        Some((version, "200 OK")) if version.starts_with("HTTP/1.") => Ok(body.to_owned()),
        Some((version, other)) if version.starts_with("HTTP/1.") => {
            Err(io::Error::other(format!("{other}: {}", body.trim())))
        }
        _ => Err(broken()),
    }
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limits::STATUS_TIME) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
