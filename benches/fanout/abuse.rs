//! Whoever wants to hurt: connections that are slow, half, many or full of garbage, until the process is ended.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{self, MILLI, SECOND};
use crate::system;

/// Handshakes that are open at once, a byte a second each.
const LORIS: usize = 500;
/// Half handshakes that are kept open at once.
const HALVES: usize = 2_000;
/// Bytes of C0 and C1.
const C0_C1: usize = 1 + 1_536;
/// Bytes behind a handshake that mean nothing.
const GARBAGE: usize = 8_000;

/// What one who wants to hurt does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Abuse {
    /// 500 handshakes of a byte a second.
    SlowLoris,
    /// 500 half handshakes a second, that are left open.
    HalfHandshakes,
    /// 1,000 connections a second from one address.
    Storm,
    /// 250 handshakes a second with garbage behind them.
    Garbage,
}

impl Abuse {
    /// All of them, with their names in a table.
    pub(crate) const ALL: [(Self, &str); 4] = [
        (Self::SlowLoris, "slow-loris"),
        (Self::HalfHandshakes, "half handshakes"),
        (Self::Storm, "1,000 connects/s"),
        (Self::Garbage, "garbage"),
    ];
}

/// Does it to the server on `arguments`' port, as its plan says, until the process is ended.
///
/// # Errors
/// The arguments are none of ours.
pub(crate) fn run(arguments: &[String]) -> io::Result<()> {
    system::die_with_parent()?;
    system::raise_descriptors()?;
    let [port, abuse] = arguments else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let port = port.parse().map_err(io::Error::other)?;
    match serde_json::from_str(abuse)? {
        Abuse::SlowLoris => slow_loris(port),
        Abuse::HalfHandshakes => every(SECOND / 500, HALVES, |number| {
            let mut socket = connect(port, number)?;
            socket.write_all(&[3; C0_C1 / 2])?;
            Ok(socket)
        }),
        Abuse::Storm => every(SECOND / 1_000, 1, |_| connect(port, 0)),
        Abuse::Garbage => {
            let mut hello = vec![0xA5; C0_C1 + C0_C1 - 1 + GARBAGE];
            hello[0] = 3;
            every(SECOND / 250, 8, |number| {
                let mut socket = connect(port, number)?;
                socket.write_all(&hello)?;
                Ok(socket)
            })
        }
    }
}

/// Does something again and again; the newest `kept` of what came of it stay open.
fn every(
    nanos: u64,
    kept: usize,
    mut act: impl FnMut(usize) -> io::Result<TcpStream>,
) -> io::Result<()> {
    let began = clock::now();
    let mut open = VecDeque::new();
    for number in 0.. {
        // It may be refused or cut off: that is the server's right.
        open.extend(act(number));
        if open.len() > kept {
            open.pop_front();
        }
        let due = began + nanos * (number as u64 + 1);
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(clock::now())));
    }
    Ok(())
}

fn slow_loris(port: u16) -> io::Result<()> {
    let mut open: Vec<Option<TcpStream>> = Vec::new();
    open.resize_with(LORIS, || None);
    loop {
        for (number, slot) in open.iter_mut().enumerate() {
            let alive = slot
                .as_mut()
                .is_some_and(|socket| socket.write(&[3]).is_ok());
            if !alive {
                *slot = connect(port, number).ok();
            }
            std::thread::sleep(Duration::from_nanos(1_000 * MILLI / LORIS as u64));
        }
    }
}

/// Connects from one of 200 addresses that no healthy client has.
fn connect(port: u16, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let from = Ipv4Addr::new(127, 0, 1, (number % 200) as u8);
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    let socket = TcpStream::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}
