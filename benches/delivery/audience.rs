//! One publisher and an audience of any size, in a world without a kernel.

use std::sync::Arc;

use millstream::limits;
use millstream::rtmp::session::client::{ClientConfig, ClientSession};
use millstream::rtmp::wire::MediaKind;
use millstream::server::shard::Shard;
use millstream::server::{EventSink, Settings, World, control, world};
use millstream::time::{Duration, Instant, Timestamp};

use crate::null::{Feed, NullRuntime, NullSocket};

/// Payload bytes of a picture.
pub(crate) const PICTURE: usize = 4_096;
/// Pictures from a keyframe to the next.
pub(crate) const GOP: usize = 60;
/// 73 messages a second: 30 pictures and 43 of sound, as everywhere in the benches.
pub(crate) const SPACING: Duration = Duration::from_micros(13_699);

/// A picture's payload: AVC, a keyframe as the first of each GOP.
pub(crate) fn picture(nth: usize) -> Vec<u8> {
    let tag = if nth.is_multiple_of(GOP) { 0x17 } else { 0x27 };
    let mut payload = vec![tag, 1, 0, 0, 0];
    payload.resize(PICTURE, 9);
    payload
}

/// A server on one thread, its publisher and its players.
pub(crate) struct Audience {
    runtime: NullRuntime,
    shards: Vec<Shard<NullRuntime>>,
    publisher: Feed,
    /// What a player says, all of it.
    script: Arc<[u8]>,
    /// A GOP as the publisher sends it, a message each.
    gop: Vec<Vec<u8>>,
    next: usize,
}

impl Audience {
    /// A server of `shards` shards, all on this thread, with a publisher and without players.
    pub(crate) fn new(shards: usize) -> Self {
        let (runtime, shards) = server(shards);
        let publisher = Feed::default();
        let (mut session, _) = talk(&runtime, &publisher, |session| session.publish("s"));
        let mut send = |at, payload: &[u8]| {
            let mut bytes = Vec::new();
            session.send_media(MediaKind::Video, Timestamp(at), payload);
            session.take_output(&mut bytes);
            publisher.send(&bytes);
            runtime.settle();
            bytes
        };
        send(0, &[0x17, 0, 0, 0, 0, 1]);
        // The first GOP's headers tell a time, the second's only differences: that one can be sent for ever.
        let gops: Vec<_> = (0..2 * GOP)
            .map(|nth| send(nth as u32 * 33, &picture(nth)))
            .collect();
        let gop = gops[GOP..].to_vec();
        let (elsewhere, _shards) = server(1);
        let (_, script) = talk(&elsewhere, &Feed::default(), |session| session.play("s"));
        elsewhere.executor().clear();
        Self {
            runtime,
            shards,
            publisher,
            script: script.into(),
            gop,
            next: 0,
        }
    }

    /// Has players come until there are `players`, dealt out evenly; they have had everything then.
    ///
    /// # Panics
    /// One of them was not let in.
    pub(crate) fn grow(&mut self, players: usize) {
        for nth in self.players()..players {
            let script = Arc::clone(&self.script);
            self.runtime.dial(NullSocket::Scripted(script));
            if nth.is_multiple_of(256) {
                self.runtime.settle();
            }
        }
        self.runtime.settle();
        self.pass(1);
        assert_eq!(self.players(), players, "everybody plays");
    }

    /// Players there are.
    pub(crate) fn players(&self) -> usize {
        let census = self.shards.iter().map(|shard| shard.census());
        census.map(|census| census.players).sum()
    }

    /// The publisher sends so many messages in one go, and every player gets them. Returns how many writes that took.
    pub(crate) fn pass(&mut self, messages: usize) -> u64 {
        let before = self.runtime.tally().writes.get();
        for _ in 0..messages {
            self.publisher.lock().to_server.extend(&self.gop[self.next]);
            self.next = (self.next + 1) % GOP;
            self.runtime.pass_time(SPACING);
        }
        self.publisher.send(&[]);
        self.runtime.settle();
        self.runtime.tally().writes.get() - before
    }

    /// Bytes that all players took up to now.
    pub(crate) fn bytes(&self) -> u64 {
        self.runtime.tally().bytes.get()
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.runtime.executor().clear();
    }
}

/// A server without anybody, all of it on this thread.
fn server(shards: usize) -> (NullRuntime, Vec<Shard<NullRuntime>>) {
    let World {
        control: plan,
        shards: plans,
        ..
    } = world::<NullSocket>(shards, Settings::default(), EventSink::default());
    let runtime = NullRuntime::default();
    let executor = runtime.executor();
    let control = control::run(runtime.clone(), plan, vec![()]);
    let control = async move {
        control.await;
    };
    executor.spawn("control", control).detach();
    let shards: Vec<_> = plans
        .into_iter()
        .map(|plan| Shard::new(runtime.clone(), plan))
        .collect();
    for shard in &shards {
        executor.spawn("shard", shard.clone().run()).detach();
    }
    (runtime, shards)
}

/// A client connects over `feed` and asks for something; returns its session, and all that it has said.
fn talk(
    runtime: &NullRuntime,
    feed: &Feed,
    ask: impl FnOnce(&mut ClientSession),
) -> (ClientSession, Vec<u8>) {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://here/live".into(),
        chunk_size: limits::CHUNK_SIZE_DEFAULT,
        ..ClientConfig::default()
    };
    let mut session = ClientSession::new(config, 7);
    session.connect();
    ask(&mut session);
    runtime.dial(NullSocket::Fed(feed.clone()));
    let mut said = Vec::new();
    while !session.output().is_empty() {
        let from = said.len();
        session.take_output(&mut said);
        feed.send(&said[from..]);
        runtime.settle();
        let heard = std::mem::take(&mut feed.lock().from_server);
        let understood = session.handle_input(Instant::ZERO, &heard);
        debug_assert!(understood.is_ok(), "{understood:?}");
        while session.poll_event().is_some() {}
    }
    (session, said)
}
