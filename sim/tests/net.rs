//! The simulated network does what TCP does where plain turmoil does not.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use millstream::runtime::Conn;
use millstream_sim::faults::{FaultConfig, FaultCounts};
use millstream_sim::journal::Journal;
use millstream_sim::net::{Net, SimConn, SimListener, TCP_CAPACITY};

/// Runs `server` and `client` on both ends of one connection until both have ended; returns the network.
fn connection<S, C>(
    faults: FaultConfig,
    server: impl Fn(SimConn) -> S + 'static,
    client: impl FnOnce(SimConn) -> C + 'static,
) -> (Net, FaultCounts)
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(60))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .tcp_capacity(TCP_CAPACITY)
        .build();
    let counts = FaultCounts::default();
    let net = Net::new(1, faults, counts.clone(), Journal::new());
    let at_server = net.clone();
    sim.client("server", async move {
        let listener = SimListener::bind(1_935).await?;
        let (socket, _) = at_server.accept(&listener).await?;
        let conn = at_server.adopt(socket)?;
        tokio::task::unconstrained(server(conn)).await;
        // What is under way still has to arrive.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    });
    let at_client = net.clone();
    sim.client("client", async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let conn = at_client.connect("server", 1_935, "alice", 0).await?;
        tokio::task::unconstrained(client(conn)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    });
    sim.run().unwrap();
    drop(sim);
    (net, counts)
}

async fn read(conn: &SimConn, buf: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match conn.try_read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| conn.poll_readable(cx)).await?;
            }
            other => return other,
        }
    }
}

async fn write_all(conn: &SimConn, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match conn.try_writev(&[IoSlice::new(bytes)]) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| conn.poll_writable(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_to_end(conn: &SimConn) -> (Vec<u8>, std::io::Result<()>) {
    let mut all = Vec::new();
    let mut buf = [0; 1_000];
    loop {
        match read(conn, &mut buf).await {
            Ok(0) => return (all, Ok(())),
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(error) => return (all, Err(error)),
        }
    }
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn narrow(bytes: usize) -> FaultConfig {
    FaultConfig {
        upstream_window: [bytes, bytes],
        downstream_window: [bytes, bytes],
        ..FaultConfig::default()
    }
}

#[test]
fn a_window_takes_exactly_its_bytes_and_a_fin_behind_a_full_one_arrives() {
    let (net, _) = connection(
        narrow(10_000),
        |conn| async move {
            let bytes = pattern(30_000);
            let mut taken = 0;
            while let Ok(n) = conn.try_writev(&[IoSlice::new(&bytes[taken..])]) {
                taken += n;
            }
            assert_eq!(taken, 10_000);
            conn.shutdown_write().unwrap();
            assert!(conn.shutdown_write().is_err());
            // Stays until the client has gone.
            assert_eq!(read(&conn, &mut [0; 1]).await.unwrap(), 0);
        },
        |conn| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (all, end) = read_to_end(&conn).await;
            assert_eq!(all, pattern(10_000));
            end.unwrap();
        },
    );
    assert_eq!((net.server_sockets(), net.windows()), (0, 0));
}

#[test]
fn a_reset_wakes_a_blocked_writer() {
    let ended = Rc::new(RefCell::new(None));
    let seen = ended.clone();
    connection(
        narrow(5_000),
        move |conn| {
            let ended = ended.clone();
            async move {
                let result = write_all(&conn, &pattern(20_000)).await;
                let micros = millstream_sim::net::now().as_millis();
                *ended.borrow_mut() = Some((result.unwrap_err().kind(), micros));
            }
        },
        |conn| async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            conn.abort();
        },
    );
    let (kind, millis) = seen.borrow_mut().take().unwrap();
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!((205..230).contains(&millis), "woken at {millis} ms");
}

#[test]
fn every_byte_arrives_in_order_whatever_is_torn_stalled_or_pretended() {
    let torn = FaultConfig {
        short_reads: 0.5,
        short_writes: 0.5,
        spurious_pending: 0.3,
        stalls: 0.05,
        stall_ms: 30,
        ..narrow(3_000)
    };
    for single_bytes in [false, true] {
        let n = if single_bytes { 2_000 } else { 100_000 };
        let faults = FaultConfig {
            single_bytes,
            segment: if single_bytes { [20, 20] } else { [100, 3_000] },
            ..torn.clone()
        };
        let (net, counts) = connection(
            faults,
            |conn| async move {
                let (all, end) = read_to_end(&conn).await;
                end.unwrap();
                write_all(&conn, &all).await.unwrap();
            },
            move |conn| async move {
                let bytes = pattern(n);
                write_all(&conn, &bytes).await.unwrap();
                conn.shutdown_write().unwrap();
                let (all, end) = read_to_end(&conn).await;
                end.unwrap();
                assert!(all == bytes, "came back altered");
            },
        );
        assert_eq!((net.server_sockets(), net.windows()), (0, 0));
        for kind in ["short read", "short write", "spurious pending", "stall"] {
            assert!(counts.totals().contains_key(kind), "{kind} never fired");
        }
    }
}

#[test]
fn closing_with_unread_input_is_a_reset_and_without_is_a_fin() {
    for (reads, reset) in [(5_000, false), (4_999, true)] {
        let result = Rc::new(RefCell::new(None));
        let seen = result.clone();
        connection(
            FaultConfig::default(),
            move |conn| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut buf = vec![0; reads];
                let mut got = 0;
                while got < reads {
                    got += read(&conn, &mut buf[got..]).await.unwrap();
                }
            },
            move |conn| async move {
                write_all(&conn, &pattern(5_000)).await.unwrap();
                *result.borrow_mut() = Some(read_to_end(&conn).await.1);
            },
        );
        let end = seen.borrow_mut().take().unwrap();
        assert_eq!(end.is_err(), reset, "{end:?}");
    }
}

#[test]
fn a_reset_fault_breaks_both_ends() {
    let faults = FaultConfig {
        resets: 1.0,
        reset_within: 4_000,
        ..FaultConfig::default()
    };
    let (net, counts) = connection(
        faults,
        |conn| async move {
            let (_, end) = read_to_end(&conn).await;
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        },
        |conn| async move {
            write_all(&conn, &pattern(4_001)).await.unwrap();
            let (_, end) = read_to_end(&conn).await;
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        },
    );
    assert_eq!(counts.totals().get("reset"), Some(&1));
    assert_eq!((net.server_sockets(), net.windows()), (0, 0));
}
