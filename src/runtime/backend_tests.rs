//! What every production backend must do, written once and run on each.

use core::cell::{Cell, RefCell};
use core::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;

use super::mailbox::mailbox;
use super::{Conn, Dial, RawSocket, Runtime, launch, real};
use crate::time::{Duration, Instant};

/// A backend under test.
trait Backend {
    type Rt: Dial<Socket = RawSocket>;

    fn run<Fut>(start: impl FnOnce(Self::Rt) -> Fut) -> io::Result<()>
    where
        Fut: Future<Output = ()> + 'static;

    fn listen(runtime: &Self::Rt, listener: TcpListener) -> <Self::Rt as Runtime>::Listener;

    /// How often the executor polled a task.
    fn polls(runtime: &Self::Rt) -> u64;
}

macro_rules! backend {
    ($name:ident, $module:ident, $runtime:ident) => {
        struct $name;

        impl Backend for $name {
            type Rt = super::$module::$runtime;

            fn run<Fut>(start: impl FnOnce(Self::Rt) -> Fut) -> io::Result<()>
            where
                Fut: Future<Output = ()> + 'static,
            {
                super::$module::run(start)
            }

            fn listen(rt: &Self::Rt, listener: TcpListener) -> <Self::Rt as Runtime>::Listener {
                rt.listen(listener).unwrap()
            }

            fn polls(rt: &Self::Rt) -> u64 {
                rt.executor().polls()
            }
        }
    };
}

backend!(OnSmol, smol, SmolRuntime);
#[cfg(target_os = "linux")]
backend!(OnShard, shard, ShardRuntime);

macro_rules! on_all {
    ($($test:ident),* $(,)?) => {
        mod smol {
            $(#[test] fn $test() { super::$test::<super::OnSmol>(); })*
        }
        #[cfg(target_os = "linux")]
        mod shard {
            $(#[test] fn $test() { super::$test::<super::OnShard>(); })*
        }
    };
}

on_all!(
    accepts_and_echoes,
    dials_and_is_told_of_refusals,
    tells_eof_that_comes_with_data,
    tells_eof_to_a_task_that_waits,
    wakes_the_writer_after_a_short_write,
    aborts_with_rst,
    tells_the_peers_rst,
    half_closes,
    sleeps_in_order_and_never_too_short,
    wakes_from_another_thread_while_parked,
    drops_everything_at_the_end,
    a_panic_in_main_is_an_error,
    survives_the_reuse_of_descriptors,
    a_hot_task_does_not_starve_io_or_timers,
    an_idle_task_is_not_polled,
    writes_after_the_peer_is_gone,
);

/// What no test takes when all is well, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test's body; hanging is failing.
fn check<B: Backend, Fut>(body: impl FnOnce(B::Rt) -> Fut + 'static)
where
    Fut: Future<Output = ()> + 'static,
{
    B::run(|rt| async move {
        let alarm = rt.sleep_until(real::read_clock() + PATIENCE);
        let alarm = async move {
            alarm.await;
            panic!("hangs");
        };
        futures_lite::future::or(body(rt), alarm).await;
    })
    .unwrap();
}

/// A connection of the runtime, and its peer's plain socket.
fn pair<R: Runtime<Socket = RawSocket>>(rt: &R) -> (R::Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    real::prepare(&listener).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, addr) = real::accept(&listener).unwrap();
    let conn = rt.adopt(socket).unwrap();
    assert_eq!(conn.peer(), addr);
    (conn, peer)
}

/// What is set on a listener holds for what it accepts: nothing is set on a connection itself.
#[test]
fn an_accepted_socket_is_as_all_our_connections_are() {
    let listener = launch::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    real::prepare(&listener).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, addr) = real::accept(&listener).unwrap();
    assert_eq!((socket.peer, addr), (addr, peer.local_addr().unwrap()));
    let error = (&socket.stream).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(socket.stream.nodelay().unwrap());
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(&socket.stream);
        let timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(crate::limits::USER_TIMEOUT));
        let unsent = socket.tcp_notsent_lowat().unwrap();
        assert_eq!(unsent, crate::limits::NOTSENT_LOWAT);
    }
}

async fn readable(conn: &impl Conn) {
    poll_fn(|cx| conn.poll_readable(cx)).await.unwrap();
}

async fn writable(conn: &impl Conn) {
    poll_fn(|cx| conn.poll_writable(cx)).await.unwrap();
}

/// Reads once, waiting as long as it takes.
async fn read(conn: &impl Conn, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        readable(conn).await;
        match conn.try_read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

async fn write_all(conn: &impl Conn, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        writable(conn).await;
        match conn.try_writev(&[IoSlice::new(bytes)]) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

async fn sleep(rt: &impl Runtime, millis: u64) {
    rt.sleep_until(rt.now() + Duration::from_millis(millis))
        .await;
}

/// Makes everything queued run, and the I/O that is there be seen.
async fn settle(rt: &impl Runtime) {
    for _ in 0..3 {
        sleep(rt, 2).await;
    }
}

fn accepts_and_echoes<B: Backend>() {
    check::<B, _>(|rt| async move {
        let listener = launch::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = B::listen(&rt, listener);
        let clients = thread::spawn(move || {
            for round in 0..20_u8 {
                // Two at a time: one event for the listener may stand for several connections.
                let mut pair = [
                    TcpStream::connect(addr).unwrap(),
                    TcpStream::connect(addr).unwrap(),
                ];
                for stream in &mut pair {
                    stream.write_all(&[round; 100]).unwrap();
                    let mut back = [0; 100];
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(back, [round; 100]);
                }
            }
        });
        let mut echoes = Vec::new();
        for _ in 0..40 {
            let (socket, _) = rt.accept(&listener).await.unwrap();
            let conn = rt.adopt(socket).unwrap();
            let echo = async move {
                let mut buf = [0; 64];
                loop {
                    let n = read(&conn, &mut buf).await.unwrap();
                    if n == 0 {
                        break;
                    }
                    write_all(&conn, &buf[..n]).await;
                }
            };
            echoes.push(rt.spawn("echo", echo));
        }
        for echo in echoes {
            echo.await;
        }
        clients.join().unwrap();
    });
}

fn dials_and_is_told_of_refusals<B: Backend>() {
    check::<B, _>(|rt| async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let conn = rt.dial(addr).await.unwrap();
        assert_eq!(conn.peer(), addr);
        let (mut peer, _) = listener.accept().unwrap();
        write_all(&conn, b"hello").await;
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).unwrap();
        peer.write_all(&heard).unwrap();
        let mut back = [0; 8];
        assert_eq!(read(&conn, &mut back).await.unwrap(), 5);
        drop((listener, peer));
        let refused = rt.dial(addr).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

fn tells_eof_that_comes_with_data<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        let mut buf = [0; 100];
        // The reactor has seen the new connection, and the cache knows that nothing is there.
        settle(&rt).await;
        assert_eq!(
            conn.try_read(&mut buf).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        settle(&rt).await;
        // On loopback both have arrived before this thread polls again, so one edge tells them.
        peer.write_all(b"hello").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&conn, &mut buf).await.unwrap(), 5);
        assert_eq!(read(&conn, &mut buf).await.unwrap(), 0);
        assert_eq!(read(&conn, &mut buf).await.unwrap(), 0, "the end stays");
    });
}

fn tells_eof_to_a_task_that_waits<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        let task = rt.spawn("reader", async move {
            let mut buf = [0; 100];
            assert_eq!(read(&conn, &mut buf).await.unwrap(), 5);
            assert_eq!(read(&conn, &mut buf).await.unwrap(), 0);
        });
        settle(&rt).await;
        thread::spawn(move || {
            peer.write_all(b"hello").unwrap();
        });
        task.await;
    });
}

fn wakes_the_writer_after_a_short_write<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        let block = vec![7_u8; 300_000];
        let mut sent = 0;
        // Fill the window, until the socket says it is full in one of its two ways.
        loop {
            match conn.try_writev(&[IoSlice::new(&block), IoSlice::new(&block[..5])]) {
                Ok(n) if n == block.len() + 5 => sent += n,
                Ok(n) => {
                    sent += n;
                    break;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        for round in 0..5 {
            let drained = thread::spawn(move || {
                let mut left = sent;
                let mut buf = vec![0; 1 << 16];
                while left > 0 {
                    let n = peer.read(&mut buf).unwrap();
                    assert!(n > 0 && buf[..n].iter().all(|b| *b == 7));
                    left -= n;
                }
                peer
            });
            writable(&conn).await;
            peer = drained.join().unwrap();
            sent = 0;
            // Write past what the window takes, with waits in between.
            while sent < 8_000_000 {
                match conn.try_writev(&[IoSlice::new(&block)]) {
                    Ok(n) => sent += n,
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "round {round}");
                        break;
                    }
                }
            }
            assert!(sent > 0, "round {round}");
        }
    });
}

fn aborts_with_rst<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        conn.abort();
        drop(conn);
        let error = peer.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        // Without it, FIN.
        let (conn, mut peer) = pair(&rt);
        drop(conn);
        assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0);
    });
}

fn tells_the_peers_rst<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        settle(&rt).await;
        assert!(conn.try_read(&mut [0; 10]).is_err());
        peer.write_all(b"lost").unwrap();
        real::reset_on_close(&peer);
        drop(peer);
        let error = loop {
            match read(&conn, &mut [0; 10]).await {
                Ok(n) => assert_eq!(n, 4, "not the end by FIN"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

fn half_closes<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, mut peer) = pair(&rt);
        write_all(&conn, b"bye").await;
        conn.shutdown_write().unwrap();
        let mut said = Vec::new();
        peer.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"bye");
        peer.write_all(b"and you").unwrap();
        drop(peer);
        let mut buf = [0; 100];
        assert_eq!(read(&conn, &mut buf).await.unwrap(), 7);
        assert_eq!(read(&conn, &mut buf).await.unwrap(), 0);
    });
}

fn sleeps_in_order_and_never_too_short<B: Backend>() {
    check::<B, _>(|rt| async move {
        let log = Rc::new(RefCell::new(Vec::new()));
        let start = rt.now();
        let mut tasks = Vec::new();
        for millis in [30_u64, 10, 20, 10, 0] {
            let (rt2, log) = (rt.clone(), Rc::clone(&log));
            tasks.push(rt.spawn("sleeper", async move {
                let at = start + Duration::from_millis(millis);
                rt2.sleep_until(at).await;
                assert!(rt2.now() >= at && real::read_clock() >= at);
                log.borrow_mut().push(millis);
            }));
        }
        let far = rt.spawn("far", rt.sleep_until(Instant::FAR_FUTURE));
        for task in tasks {
            task.await;
        }
        assert!(!far.is_finished());
        assert_eq!(*log.borrow(), [0, 10, 10, 20, 30]);
        assert!(rt.now().since(start) < PATIENCE / 2);
    });
}

fn wakes_from_another_thread_while_parked<B: Backend>() {
    check::<B, _>(|rt| async move {
        let mut inbox = mailbox::<u32>();
        let sender = inbox.sender(1);
        let (answer, hear) = std::sync::mpsc::channel();
        let other = thread::spawn(move || {
            for i in 0..200 {
                if i % 20 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                sender.post(i);
                // Waiting for the answer makes the shard go back to sleep, on every edge of the race.
                assert_eq!(hear.recv_timeout(PATIENCE).unwrap(), i);
            }
        });
        let mut batch = Vec::new();
        let mut seen = 0;
        while seen < 200 {
            inbox.recv(&rt, &mut batch).await;
            for (_, message) in batch.drain(..) {
                answer.send(message).unwrap();
                seen += 1;
            }
        }
        other.join().unwrap();
    });
}

fn drops_everything_at_the_end<B: Backend>() {
    let held = Rc::new(());
    let (inside, slot) = (Rc::clone(&held), Rc::new(RefCell::new(None)));
    let mut peer = None;
    B::run(|rt| {
        let (conn, socket) = pair(&rt);
        peer = Some(socket);
        let rt2 = rt.clone();
        // A cycle: the task holds the runtime, the runtime the task.
        let waits = async move {
            let _inside = inside;
            let _ = read(&conn, &mut [0; 10]).await;
            rt2.sleep_until(Instant::FAR_FUTURE).await;
        };
        rt.spawn("waits", waits).detach();
        let sleeps = rt.spawn("sleeps", rt.sleep_until(Instant::FAR_FUTURE));
        *slot.borrow_mut() = Some(sleeps);
        async move { sleep(&rt, 5).await }
    })
    .unwrap();
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(
        peer.unwrap().read(&mut [0; 10]).unwrap(),
        0,
        "the socket is closed"
    );
    assert!(slot.borrow().as_ref().is_some_and(super::Task::is_finished));
}

fn a_panic_in_main_is_an_error<B: Backend>() {
    let result = B::run(|rt| async move {
        rt.spawn("bystander", pending()).detach();
        sleep(&rt, 1).await;
        panic!("for the test");
    });
    assert!(result.is_err());
}

fn survives_the_reuse_of_descriptors<B: Backend>() {
    check::<B, _>(|rt| async move {
        for round in 0..50_u8 {
            let (old, mut old_peer) = pair(&rt);
            settle(&rt).await;
            // An event for the old one is on its way when its descriptor and its place go to the new one.
            old_peer.write_all(b"old").unwrap();
            drop(old);
            let (new, mut new_peer) = pair(&rt);
            let mut buf = [0; 10];
            if let Err(error) = new.try_read(&mut buf) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
            new_peer.write_all(&[round]).unwrap();
            assert_eq!(read(&new, &mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

fn a_hot_task_does_not_starve_io_or_timers<B: Backend>() {
    check::<B, _>(|rt| async move {
        let stop = Rc::new(Cell::new(false));
        let flag = Rc::clone(&stop);
        let hot = rt.spawn("hot", async move {
            while !flag.get() {
                futures_lite::future::yield_now().await;
            }
        });
        let (conn, mut peer) = pair(&rt);
        assert!(conn.try_read(&mut [0; 10]).is_err());
        sleep(&rt, 5).await;
        peer.write_all(b"x").unwrap();
        assert_eq!(read(&conn, &mut [0; 10]).await.unwrap(), 1);
        stop.set(true);
        hot.await;
    });
}

fn an_idle_task_is_not_polled<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, peer) = pair(&rt);
        let reader = rt.spawn("reader", async move {
            let _ = read(&conn, &mut [0; 10]).await;
        });
        settle(&rt).await;
        let before = B::polls(&rt);
        sleep(&rt, 50).await;
        assert_eq!(B::polls(&rt), before + 1, "only this task, once");
        drop(peer);
        reader.await;
    });
}

fn writes_after_the_peer_is_gone<B: Backend>() {
    check::<B, _>(|rt| async move {
        let (conn, peer) = pair(&rt);
        drop(peer);
        // FIN, then RST in answer to the first write; SIGPIPE must not end the process.
        let error = loop {
            writable(&conn).await;
            match conn.try_writev(&[IoSlice::new(b"anyone?")]) {
                Ok(_) => sleep(&rt, 1).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break error,
            }
        };
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{kind}"
        );
    });
}
