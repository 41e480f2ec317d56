//! Shards and control on one thread, in memory, where a test decides who runs when and what a socket takes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::event::EventSink;
use super::gate::{Attendance, Gate};
use super::message::{Census, ReloadHandle, ShardMessage, StopHandle, World, world};
use super::shard::Shard;
use super::{Settings, control};
use crate::config::{AppSettings, AppTable, ConnectionLimits};
use crate::limits;
use crate::rtmp::command::Enhanced;
use crate::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use crate::rtmp::wire::MediaKind::{self, Audio, Video};
use crate::runtime::executor::Executor;
use crate::runtime::mailbox::Sender;
use crate::runtime::timer::{SharedTimers, Sleep};
use crate::runtime::{Conn, Rng, Runtime, SocketAddr, Task};
use crate::time::{Duration, Instant, Timestamp, WallTime};

mod handover;
mod late;
mod merge;
mod reconnect;
mod record;
mod settings;

#[derive(Default)]
struct Pipe {
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// Bytes the server may still write.
    room: usize,
    /// `to_server` never runs empty: what is there is given again.
    endless: bool,
    closed: bool,
    /// The client's FIN is behind `to_server`.
    left: bool,
    writes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone)]
struct Socket(Arc<Mutex<Pipe>>);

impl Socket {
    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().expect("no panic under it")
    }

    fn wake(&self) {
        let (reader, writer) = {
            let pipe = &mut *self.lock();
            (pipe.reader.take(), pipe.writer.take())
        };
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}

struct MemConn(Socket);

impl Conn for MemConn {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.lock();
        if pipe.to_server.is_empty() && !pipe.left {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(pipe.to_server.len());
        for byte in &mut buf[..len] {
            *byte = pipe.to_server.pop_front().expect("counted");
            if pipe.endless {
                pipe.to_server.push_back(*byte);
            }
        }
        Ok(len)
    }

    fn try_writev(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let pipe = &mut *self.0.lock();
        pipe.writes += 1;
        let mut taken = 0;
        for buf in bufs {
            let len = buf.len().min(pipe.room);
            pipe.from_server.extend_from_slice(&buf[..len]);
            pipe.room -= len;
            taken += len;
        }
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.lock();
        if !pipe.to_server.is_empty() || pipe.left {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.lock();
        if pipe.room > 0 {
            return Poll::Ready(Ok(()));
        }
        pipe.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn abort(&self) {}
}

impl Drop for MemConn {
    fn drop(&mut self) {
        self.0.lock().closed = true;
    }
}

#[derive(Clone)]
struct Site {
    executor: Executor,
    timers: SharedTimers,
    clock: Rc<Cell<Instant>>,
}

impl Site {
    fn new(clock: &Rc<Cell<Instant>>) -> Self {
        Self {
            executor: Executor::fifo(),
            timers: SharedTimers::default(),
            clock: Rc::clone(clock),
        }
    }

    /// Runs until nothing is due; false if nothing was.
    fn run(&self) -> bool {
        let mut due = Vec::new();
        self.timers.borrow_mut().fire(self.clock.get(), &mut due);
        due.into_iter().for_each(Waker::wake);
        let before = self.executor.polls();
        let mut turns = 0;
        while self.executor.turn() && turns < 1_000 {
            turns += 1;
        }
        self.executor.polls() > before
    }
}

impl Runtime for Site {
    type Socket = Socket;
    type Conn = MemConn;
    type Listener = ();
    type Disk = crate::runtime::disk::NoDisk;

    async fn accept(&self, (): &()) -> io::Result<(Socket, SocketAddr)> {
        pending().await
    }
    fn adopt(&self, socket: Socket) -> io::Result<MemConn> {
        Ok(MemConn(socket))
    }
    fn disk(&self) -> crate::runtime::disk::NoDisk {
        crate::runtime::disk::NoDisk
    }
    fn now(&self) -> Instant {
        self.clock.get()
    }
    fn wall(&self) -> WallTime {
        WallTime(0)
    }
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        Sleep::new(&self.timers, at)
    }
    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.executor.spawn(name, future)
    }
    fn entropy(&self, _purpose: &'static str) -> Rng {
        Rng::with_seed(1)
    }
}

struct Machine {
    clock: Rc<Cell<Instant>>,
    control: Site,
    control_task: Task<()>,
    sites: Vec<Site>,
    shards: Vec<Shard<Site>>,
    mail: Vec<Sender<ShardMessage<Socket>>>,
    stop: StopHandle,
    reload: ReloadHandle,
    gate: Gate,
    attendance: Arc<Attendance>,
    connections: u64,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.sites.iter().for_each(|site| site.executor.clear());
        self.control.executor.clear();
    }
}

impl Machine {
    /// `alive` of `shards` run; the others' threads could not.
    fn with(shards: usize, alive: usize, gop_cache: usize) -> Self {
        let settings = Settings {
            applications: AppTable::of_every(AppSettings {
                gop_cache,
                ..AppSettings::default()
            }),
            ..Settings::default()
        };
        Self::set(shards, alive, settings)
    }

    fn set(shards: usize, alive: usize, settings: Settings) -> Self {
        let clock = Rc::new(Cell::new(Instant::from_micros(1)));
        let World {
            control: plan,
            shards: mut plans,
            stop,
            reload,
            operator: _,
            attendance,
        } = world::<Socket>(shards, settings, EventSink::default());
        let control = Site::new(&clock);
        let mail = plan.shards.clone();
        let control_task = control.executor.spawn("control", {
            let ends = control::run(control.clone(), plan, Vec::new(), None);
            async move { assert_eq!(ends.await, 0, "names left in the directory") }
        });
        plans.truncate(alive);
        let sites: Vec<Site> = plans.iter().map(|_| Site::new(&clock)).collect();
        let shards: Vec<_> = sites
            .iter()
            .zip(plans)
            .map(|(site, plan)| Shard::new(site.clone(), plan))
            .collect();
        for (site, shard) in sites.iter().zip(&shards) {
            site.executor.spawn("main", shard.clone().run()).detach();
        }
        Self {
            clock,
            control,
            control_task,
            sites,
            shards,
            mail,
            stop,
            reload,
            gate: Gate::new(Arc::clone(&attendance)),
            attendance,
            connections: 0,
        }
    }

    fn new(shards: usize) -> Self {
        Self::with(shards, shards, limits::RING_FRAMES_DEFAULT)
    }

    fn settle(&self) {
        self.settle_without(usize::MAX);
    }

    /// Runs everybody but the shard `asleep`.
    fn settle_without(&self, asleep: usize) {
        for _ in 0..100 {
            let mut moved = self.control.run();
            for (_, site) in self.sites.iter().enumerate().filter(|(n, _)| *n != asleep) {
                moved |= site.run();
            }
            if !moved {
                return;
            }
        }
    }

    fn pass_time(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        self.settle();
    }

    fn census(&self, shard: usize) -> Census {
        self.shards[shard].census()
    }

    fn client(&mut self, shard: usize) -> Client {
        self.client_of(shard, None)
    }

    /// A client that says so of Enhanced RTMP.
    fn client_of(&mut self, shard: usize, enhanced: Option<Enhanced>) -> Client {
        let socket = Socket(Arc::default());
        socket.lock().room = usize::MAX;
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let unlimited = ConnectionLimits::default();
        let admitted = self.gate.admit(peer.ip(), &unlimited, self.clock.get());
        self.mail[shard].post(ShardMessage::Accepted {
            socket: socket.clone(),
            peer,
            connection: self.connections,
            ticket: admitted.expect("no limit"),
        });
        self.connections += 1;
        let config = ClientConfig {
            app: "live".into(),
            tc_url: "rtmp://here/live".into(),
            flash_ver: "test".into(),
            chunk_size: 4_096,
            enhanced,
            ..ClientConfig::default()
        };
        let mut session = ClientSession::new(config, 7);
        session.connect();
        let mut client = Client {
            socket,
            session,
            media: Vec::new(),
            metadata: 0,
            codes: Vec::new(),
        };
        client.talk(self);
        client
    }

    fn publisher(&mut self, shard: usize) -> Client {
        let mut client = self.client(shard);
        client.session.publish("s");
        client.talk(self);
        client.send(Video, 0, &[0x17, 0, 0, 0, 0, 1]);
        self.settle();
        client
    }

    fn player(&mut self, shard: usize) -> Client {
        let mut client = self.client(shard);
        client.session.play("s");
        client.talk(self);
        assert!(client.told("NetStream.Play.Start"));
        client
    }
}

struct Client {
    socket: Socket,
    session: ClientSession,
    media: Vec<(MediaKind, u32, Vec<u8>)>,
    metadata: usize,
    codes: Vec<String>,
}

impl Client {
    fn flush(&mut self) {
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        self.socket.lock().to_server.extend(bytes);
        self.socket.wake();
    }

    fn send(&mut self, kind: MediaKind, at: u32, payload: &[u8]) {
        self.session.send_media(kind, Timestamp(at), payload);
        self.flush();
    }

    fn picture(&mut self, at: u32, len: usize) {
        let mut payload = vec![if at.is_multiple_of(10) { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        payload.resize(len.max(5), 9);
        self.send(Video, at, &payload);
    }

    fn read(&mut self) {
        let bytes = std::mem::take(&mut self.socket.lock().from_server);
        let result = self.session.handle_input(Instant::ZERO, &bytes);
        result.expect("the server keeps to the protocol");
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Media {
                    kind,
                    timestamp,
                    payload,
                    ..
                } if kind != MediaKind::Data => {
                    self.media.push((kind, timestamp.0, payload.to_vec()));
                }
                ClientEvent::Media { payload, .. } => {
                    let name = b"\x02\x00\x0aonMetaData";
                    self.metadata += usize::from(payload.starts_with(name));
                }
                ClientEvent::Status { code, .. } | ClientEvent::Refused { code, .. } => {
                    self.codes.push(code);
                }
                _ => {}
            }
        }
    }

    /// Back and forth until nobody has anything to say.
    fn talk(&mut self, machine: &Machine) {
        for _ in 0..8 {
            self.flush();
            machine.settle();
            self.read();
        }
    }

    fn stall(&mut self) {
        self.socket.lock().room = 0;
    }

    fn take(&mut self, machine: &Machine, bytes: usize) {
        self.socket.lock().room = bytes;
        self.socket.wake();
        machine.settle();
        self.read();
    }

    /// Closes its socket without a word.
    fn vanish(&self, machine: &Machine) {
        self.socket.lock().left = true;
        self.socket.wake();
        machine.settle();
    }

    fn told(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c == code)
    }

    fn is_closed(&self) -> bool {
        self.socket.lock().closed
    }

    /// Times of the pictures it got.
    fn pictures(&self) -> Vec<u32> {
        let pictures = self.media.iter().filter(|(_, _, p)| p.get(1) == Some(&1));
        pictures.map(|(_, at, _)| *at).collect()
    }
}

/// What a client says to play "s" on message stream 1, `times` times.
fn plays(times: usize) -> Vec<u8> {
    let mut command =
        b"\x02\x00\x04play\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x02\x00\x01s".to_vec();
    let len = command.len() as u8;
    let mut message = vec![8, 0, 0, 0, 0, 0, len, 20, 1, 0, 0, 0];
    message.append(&mut command);
    message.repeat(times)
}

#[test]
fn one_who_asks_and_never_reads_is_cut_off() {
    let mut machine = Machine::new(1);
    let mut player = machine.player(0);
    player.stall();
    for _ in 0..3_000 {
        player.session.send_raw(&plays(1)); // of several in one read, the last is answered
        player.flush();
        machine.settle();
    }
    assert!(player.is_closed(), "replies pile up without a bound");
    assert_eq!(machine.census(0).connections, 0);
}

#[test]
fn headers_that_nobody_reads_are_bounded() {
    let mut machine = Machine::new(1);
    let mut publisher = machine.publisher(0);
    for track in 0..20 {
        let mut header = vec![0x96, 0, b'a', b'v', b'c', b'1', track];
        header.resize(60_000, 0);
        publisher.send(Video, 0, &header);
        machine.settle();
    }
    let mut player = machine.player(0);
    player.stall();
    for _ in 0..10 {
        player.session.send_raw(&plays(1)); // of several in one read, the last is answered
        player.flush();
        machine.settle();
    }
    assert!(player.is_closed(), "10 sets of 1.2 MB wait for it");
}

#[test]
fn one_who_reads_may_ask_as_often_as_it_likes() {
    let mut machine = Machine::new(1);
    let mut player = machine.player(0);
    player.session.send_raw(&plays(2_000));
    player.talk(&machine);
    assert!(!player.is_closed());
    assert_eq!(machine.census(0).players, 1);
}

#[test]
fn one_who_never_stops_sending_is_written_to() {
    let mut machine = Machine::new(1);
    let mut player = machine.player(0);
    let mut publisher = machine.publisher(0);
    player.stall();
    publisher.picture(0, 1_000);
    machine.settle();
    {
        // An acknowledgement, over and over.
        let pipe = &mut *player.socket.lock();
        pipe.to_server
            .extend([2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
        pipe.endless = true;
    }
    player.take(&machine, usize::MAX);
    player.socket.lock().endless = false;
    assert_eq!(player.pictures(), [0]);
}

#[test]
fn a_stop_ends_without_listeners_and_with_a_shard_that_never_ran() {
    for alive in [2, 1, 0] {
        let machine = Machine::with(2, alive, 0);
        machine.settle();
        assert_eq!(machine.control_task.is_finished(), alive == 0);
        machine.stop.stop();
        machine.settle();
        assert!(machine.control_task.is_finished(), "{alive} shards alive");
    }
}

#[test]
fn a_shard_whose_mailbox_was_full_gets_each_picture_once() {
    let mut machine = Machine::new(2);
    let mut player = machine.player(1);
    let mut publisher = machine.publisher(0);
    for at in 0..25 {
        publisher.picture(at, 10);
    }
    machine.settle();
    for at in 25..(25 + limits::MAILBOX_BACKLOG as u32 + 5) {
        publisher.picture(at | 1, 10); // never a keyframe: multiples of 10 are even
        machine.settle_without(1);
    }
    machine.settle();
    for at in 5_001..5_006 {
        publisher.picture(at, 10);
        machine.settle();
    }
    player.read();
    let pictures = player.pictures();
    assert!(
        pictures.is_sorted(),
        "no picture comes again: {:?}",
        &pictures[pictures.len() - 40..]
    );
    assert_eq!(
        pictures.len(),
        25 + limits::MAILBOX_BACKLOG + 5 + 5,
        "and none is lost"
    );
}

/// Nothing lets a shard have what the ring has let go of: that is said and counted.
#[test]
fn what_a_busy_shard_loses_is_counted() {
    let mut machine = Machine::new(2);
    let mut player = machine.player(1);
    let mut publisher = machine.publisher(0);
    publisher.picture(0, 10);
    machine.settle();
    let pictures = (limits::RING_FRAMES_DEFAULT + limits::MAILBOX_BACKLOG + 500) as u32;
    for at in 1..=pictures {
        publisher.picture(at, 10);
        machine.settle_without(1);
    }
    machine.settle();
    publisher.picture(pictures + 1, 10);
    machine.settle();
    player.read();
    let missed = machine.shards[0].sums().missed;
    let played = player.pictures().len() as u64;
    assert!(missed > 0 && played > 0);
    assert_eq!(missed, u64::from(pictures) + 2 - played);
}

/// What a shard has missed may hold metadata that was cleared since.
#[test]
fn metadata_cleared_while_a_mailbox_was_full_stays_cleared() {
    let mut machine = Machine::new(2);
    let mut player = machine.player(1);
    let mut publisher = machine.publisher(0);
    for at in 10..limits::MAILBOX_BACKLOG as u32 + 50 {
        publisher.picture(at, 10);
        machine.settle_without(1);
    }
    let metadata = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05";
    let clear = b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData";
    for data in [&metadata[..], clear] {
        publisher.send(MediaKind::Data, 5_000, data);
        machine.settle_without(1);
    }
    machine.settle();
    publisher.picture(6_000, 10);
    machine.settle();
    player.read();
    assert_eq!(player.metadata, 1, "who was there got it");
    let mut late = machine.player(1);
    late.read();
    assert_eq!((late.pictures(), late.metadata), (vec![6_000], 0));
}

#[test]
fn the_shard_of_a_player_does_not_decide_whether_it_gets_the_past() {
    let mut machine = Machine::with(2, 2, 0);
    let mut publisher = machine.publisher(0);
    for at in 10..15 {
        publisher.picture(at, 10);
    }
    machine.settle();
    let mut players = [machine.player(0), machine.player(1)];
    for at in 15..23 {
        publisher.picture(at, 10);
        machine.settle();
    }
    for player in &mut players {
        player.read();
        assert_eq!(player.pictures(), [20, 21, 22]);
    }
}

#[test]
fn the_ring_goes_with_the_last_laggard_of_a_stream_that_has_ended() {
    for pauses in [false, true] {
        let mut machine = Machine::new(1);
        let _waiting = machine.player(0);
        let mut player = machine.player(0);
        let mut publisher = machine.publisher(0);
        player.stall();
        for at in 0..20 {
            publisher.picture(at, 10_000);
        }
        machine.settle();
        publisher.session.close_stream();
        publisher.talk(&machine);
        assert!(machine.census(0).ring_bytes > 200_000);
        player.take(&machine, usize::MAX);
        assert_eq!(player.pictures(), (0..20).collect::<Vec<_>>());
        assert_eq!(machine.census(0).ring_bytes, 0, "everybody has had it");
        if pauses {
            player.session.pause(true, 0.0);
            player.talk(&machine);
            publisher = machine.publisher(0);
            for at in 20..40 {
                publisher.picture(at, 10_000);
            }
            publisher.session.close_stream();
            publisher.talk(&machine);
            assert!(machine.census(0).ring_bytes < 10_000, "the last word");
            let ends = |p: &Client| {
                let is_end = |code: &&String| *code == "NetStream.Play.UnpublishNotify";
                p.codes.iter().filter(is_end).count()
            };
            assert_eq!(ends(&player), 1);
            player.session.pause(false, 0.0);
            player.talk(&machine);
            assert_eq!(ends(&player), 2, "it hears of the end when it goes on");
        }
    }
}

#[test]
fn a_part_of_a_message_costs_the_players_nothing() {
    let mut machine = Machine::new(1);
    let mut player = machine.player(0);
    let mut publisher = machine.publisher(0);
    publisher.picture(0, 100);
    machine.settle();
    player.session.send_raw(&{
        let command = b"\x02\x00\x0creceiveVideo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x01\x00";
        let mut message = vec![8, 0, 0, 0, 0, 0, command.len() as u8, 20, 1, 0, 0, 0];
        message.extend_from_slice(command);
        message
    });
    player.talk(&machine);
    let writes = player.socket.lock().writes;
    publisher.picture(1, 100);
    machine.settle();
    assert_eq!(player.socket.lock().writes, writes, "it wants none");
    publisher.send(Audio, 2, &[0xAF, 1]);
    machine.settle();
    assert_eq!(player.socket.lock().writes, writes + 1);
    machine.pass_time(Duration::from_secs(1));
    assert!(!player.is_closed());
}
