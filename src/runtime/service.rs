//! What a service manager (systemd) gives a program and is told by it: sockets that are open already, and its state.
//!
//! Both go by environment variables, which are its own to set: `LISTEN_FDS` and `LISTEN_PID` (sd_listen_fds(3)),
//! `NOTIFY_SOCKET` (sd_notify(3)). Without them nothing happens here.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::launch::RawListener;

/// What a service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Clients can connect; a reload is through.
    Ready,
    /// The configuration is being read again. [`State::Ready`] must follow.
    Reloading,
    /// It drains, and ends.
    Stopping,
}

/// Tells the service manager, if there is one that wants to know. It is one datagram.
///
/// # Errors
/// The socket that the environment names takes nothing.
#[cfg(target_os = "linux")]
pub fn notify(state: State) -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(name) => tell(name.as_encoded_bytes(), state),
        None => Ok(()),
    }
}

/// Sends `state` to the socket `name`: a path, or with `@` in front a name that is in no file system.
#[cfg(target_os = "linux")]
fn tell(name: &[u8], state: State) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let to = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
    };
    // A manager that reads nothing must not hold the server up.
    socket.set_nonblocking(true)?;
    socket.connect_addr(&to)?;
    socket.send(words(state).as_bytes())?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn words(state: State) -> String {
    match state {
        State::Ready => "READY=1".to_owned(),
        State::Stopping => "STOPPING=1".to_owned(),
        State::Reloading => {
            // Units of Type=notify-reload want the time of the machine's clock, so that they know the answer from an older one.
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
            format!("RELOADING=1\nMONOTONIC_USEC={micros}")
        }
    }
}

/// Does nothing on this operating system.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn notify(_: State) -> io::Result<()> {
    Ok(())
}

/// The listening sockets that the service manager has opened for this program: none without one. Call it once, and before
/// there is a second thread: it takes what it used out of the environment, so that no child takes it for its own.
///
/// # Errors
/// One of them is no listening TCP socket.
#[cfg(target_os = "linux")]
pub fn listeners() -> io::Result<Vec<RawListener>> {
    let mut given = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..given.len() {
        // `None` is one that was taken before, of which there are none.
        if let Some(listener) = given.take_tcp_listener(index)? {
            listeners.push(listening(listener)?);
        }
    }
    Ok(listeners)
}

/// None on this operating system.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn listeners() -> io::Result<Vec<RawListener>> {
    Ok(Vec::new())
}

/// The socket, if it listens: one with `Accept=yes` in its unit is a connection.
#[cfg(target_os = "linux")]
fn listening(socket: RawListener) -> io::Result<RawListener> {
    if rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Ok(socket);
    }
    let message = "it does not listen (a socket unit needs Accept=no)";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "tests make sockets")]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::super::launch;
    use super::*;

    #[test]
    fn a_manager_without_a_path_is_told_too() {
        let name = format!("millstream-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let name = format!("@{name}");
        let mut heard = [0; 100];
        for (state, said) in [
            (State::Ready, "READY=1"),
            (State::Reloading, "RELOADING=1\nMONOTONIC_USEC="),
            (State::Stopping, "STOPPING=1"),
        ] {
            tell(name.as_bytes(), state).unwrap();
            let len = manager.recv(&mut heard).unwrap();
            let heard = core::str::from_utf8(&heard[..len]).unwrap();
            let time = heard.strip_prefix(said).unwrap();
            assert_eq!(
                time.parse::<u64>().is_ok(),
                state == State::Reloading,
                "{heard}"
            );
        }
        drop(manager);
        assert!(
            tell(name.as_bytes(), State::Ready).is_err(),
            "nobody hears it"
        );
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listens = launch::listen(([127, 0, 0, 1], 0).into()).unwrap();
        assert!(listening(listens).is_ok());
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let error = listening(bound.into()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("Accept=no"), "{error}");
    }
}
