//! Plays one script, step by step, and writes down what it does and sees.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use millstream::rtmp::command::Play2;
use millstream::rtmp::handshake::HandshakeKind;
use millstream::rtmp::message;
use millstream::rtmp::session::MessageStreamId;
use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::shared_object::{SharedEvent, SharedObject};
use millstream::rtmp::wire::MediaKind;
use millstream::runtime::Conn;
use millstream::time::{Duration, Instant, Timestamp};

use super::Stage;
use super::link::{Link, Over};
use crate::journal::{Journal, Observation};
use crate::media::{Broadcast, Frame, Shape};
use crate::scenario::{Connect, Script, SendMedia, Step, Stream, Wait, Within};
use crate::seed;

/// How long an answer to a command may take: faults, stalls and slow links included.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// How long a polite leaver waits for the server's FIN.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// The chunk stream of messages that are taken back; the session uses others.
const ABORTED_CSID: u8 = 40;

/// Plays `script` to its end.
pub async fn play_script<S: Stage>(stage: S, journal: Journal, world_seed: u64, script: Script) {
    let start = Instant::from_micros(script.start_ms.saturating_mul(1_000));
    stage.sleep_until(start).await;
    let mut actor = Actor {
        nonces: seed::rng(world_seed, &format!("nonce/{}", script.name)),
        stage,
        journal,
        name: script.name,
        link: None,
        config: Connect::default(),
        attempts: 0,
        publications: 0,
        broadcast: None,
        beside: None,
        chunk_size: 128,
        state: State::default(),
    };
    let beside = script
        .steps
        .iter()
        .any(|step| matches!(step, Step::PlayBeside(_)));
    actor.beside = beside.then(|| format!("{}/2", actor.name));
    for step in script.steps {
        actor.step(step).await;
        actor.drop_dead_link();
    }
    actor.leave("left");
}

struct Actor<S: Stage> {
    stage: S,
    journal: Journal,
    name: String,
    link: Option<Link<S>>,
    config: Connect,
    attempts: usize,
    publications: usize,
    /// The running broadcast: its name, its number, its next frame, and when it began.
    broadcast: Option<OnAir>,
    /// What its second play is called, if its script has one.
    beside: Option<String>,
    /// What it sends with.
    chunk_size: u32,
    state: State,
    nonces: fastrand::Rng,
}

struct OnAir {
    name: Rc<str>,
    publication: usize,
    index: usize,
    source: Option<Broadcast>,
    began: Instant,
}

/// What the events of this connection have said so far.
#[derive(Default)]
struct State {
    established: bool,
    connected: bool,
    publishing: bool,
    playing: bool,
    refused: bool,
    frames: usize,
    ended: bool,
    /// A stream was closed on this connection: what comes on a message stream that is nobody's is late.
    closed: bool,
    /// Whose createStream will be answered, in order.
    asked: VecDeque<Asked>,
    played: Option<Rc<str>>,
    /// Where that plays.
    stream: Option<MessageStreamId>,
    /// What `play2` is about to put in its place.
    next: Option<Rc<str>>,
    /// The second play: its name, where, and whether it has begun.
    beside: Option<Beside>,
    answers: usize,
}

/// What a message stream was asked for.
enum Asked {
    Publish,
    Play,
    Beside,
}

struct Beside {
    name: Rc<str>,
    stream: Option<MessageStreamId>,
    playing: bool,
}

impl<S: Stage> Actor<S> {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Connect(connect) => self.connect(connect).await,
            Step::ConnectRaw => self.connect_raw().await,
            Step::WaitMs(ms) if self.link.is_none() => self.sleep(ms).await,
            Step::SilenceMs(ms) => {
                self.note(&Observation::Strays { how: "is silent" });
                self.sleep(ms).await;
            }
            _ if self.link.is_none() => {}
            Step::Publish(stream) => self.publish(stream).await,
            Step::Play(stream) => self.play(stream).await,
            Step::PlayBeside(stream) => self.play_beside(stream).await,
            Step::Play2(stream) => self.play2(stream).await,
            Step::Call(name) => self.call(&name).await,
            Step::SharedObject(name) => self.shared_object(name).await,
            Step::AbortMessage => self.abort_message().await,
            Step::SendMedia(media) => self.send_media(&media).await,
            Step::WaitMs(ms) => {
                let deadline = self.stage.now() + Duration::from_millis(ms);
                self.until(deadline, |_, _| false).await;
            }
            Step::WaitForFrames(wait) => self.wait_for_frames(wait).await,
            Step::WaitForEnd(within) => self.wait_for_end(within).await,
            Step::CloseStream => self.close_stream().await,
            Step::HalfClose => self.half_close().await,
            Step::Close => self.close().await,
            Step::Abort => self.abort(),
            Step::ReadSlowly(pace) => {
                self.note(&Observation::Strays {
                    how: "reads slowly",
                });
                self.with_link(|link| link.read_slowly(pace));
            }
            Step::ChunkSize(size) => {
                self.chunk_size = size;
                self.with_link(|link| link.session.set_chunk_size(size));
            }
            Step::Pause(paused) => {
                self.note(&Observation::Pauses);
                self.with_link(|link| link.session.pause(paused, 0.0));
            }
            Step::ReceiveAudio(wanted) => self.with_link(|link| link.session.receive_audio(wanted)),
            Step::ReceiveVideo(wanted) => self.with_link(|link| link.session.receive_video(wanted)),
            Step::Raw(bytes) => {
                self.note(&Observation::Strays {
                    how: "sends raw bytes",
                });
                self.with_link(|link| link.session.send_raw(&bytes));
                self.flush().await;
            }
        }
    }

    async fn sleep(&self, ms: u64) {
        let until = self.stage.now() + Duration::from_millis(ms);
        self.stage.sleep_until(until).await;
    }

    fn with_link(&mut self, act: impl FnOnce(&mut Link<S>)) {
        if let Some(link) = &mut self.link {
            act(link);
        }
    }

    fn note(&self, seen: &Observation) {
        self.journal.note(self.stage.now(), &self.name, seen);
        if let (
            Some(beside),
            Observation::Dials | Observation::Strays { .. } | Observation::Pauses,
        ) = (&self.beside, seen)
        {
            self.journal.note(self.stage.now(), beside, seen);
        }
    }

    fn note_beside(&self, seen: &Observation) {
        if let Some(beside) = &self.beside {
            self.journal.note(self.stage.now(), beside, seen);
        }
    }

    async fn dial(&mut self) -> Option<S::Conn> {
        self.leave("connects anew");
        let attempt = self.attempts;
        self.attempts += 1;
        match self.stage.connect(&self.name, attempt).await {
            Ok(conn) => {
                self.note(&Observation::Dials);
                Some(conn)
            }
            Err(error) => {
                let text = format!("cannot connect: {}", error.kind());
                self.note(&Observation::World { text });
                None
            }
        }
    }

    async fn connect_raw(&mut self) {
        if let Some(conn) = self.dial().await {
            self.state = State::default();
            let session = ClientSession::new(ClientConfig::default(), 0);
            let mut link = Link::new(self.stage.clone(), conn, session);
            link.go_raw();
            self.link = Some(link);
        }
    }

    async fn connect(&mut self, config: Connect) {
        let Some(conn) = self.dial().await else {
            return;
        };
        let mut session = ClientSession::new(
            ClientConfig {
                app: config.app.clone(),
                tc_url: format!("rtmp://server/{}", config.app),
                flash_ver: "FMLE/3.0 (millstream sim)".into(),
                chunk_size: config.chunk_size,
                handshake: match (config.digest, config.schema0) {
                    (true, false) => HandshakeKind::DigestSchema1,
                    (true, true) => HandshakeKind::DigestSchema0,
                    (false, _) => HandshakeKind::Simple,
                },
                object_encoding: if config.amf3 { 3 } else { 0 },
                ..ClientConfig::default()
            },
            self.nonces.u64(..),
        );
        session.connect();
        self.state = State::default();
        self.link = Some(Link::new(self.stage.clone(), conn, session));
        let pipelined = config.pipelined;
        self.chunk_size = config.chunk_size;
        self.config = config;
        if !pipelined {
            let done = |state: &State, _: &Link<S>| state.connected || state.refused;
            self.must("the answer to connect", ANSWER_TIME, done).await;
        }
    }

    fn full_name(&self, stream: &Stream) -> Rc<str> {
        Rc::from(format!("{}/{}", self.config.app, stream.name))
    }

    async fn publish(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        let publication = self.publications;
        self.publications += 1;
        self.note(&Observation::AsksToPublish {
            name: name.clone(),
            publication,
        });
        self.broadcast = Some(OnAir {
            name,
            publication,
            index: 0,
            source: None,
            began: self.stage.now(),
        });
        self.state.publishing = false;
        self.state.refused = false;
        self.state.asked.push_back(Asked::Publish);
        self.with_link(|link| link.session.publish(&stream.name));
        if self.config.pipelined {
            // Frames may follow as soon as there is a stream to put them on.
            let created =
                |state: &State, link: &Link<S>| link.session.stream().is_some() || state.refused;
            return self.must("a stream", ANSWER_TIME, created).await;
        }
        let answered = |state: &State, _: &Link<S>| state.publishing || state.refused;
        self.must("the answer to publish", ANSWER_TIME, answered)
            .await;
        self.refusal("publish", &stream);
    }

    async fn play(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        self.note(&Observation::AsksToPlay { name: name.clone() });
        let state = std::mem::take(&mut self.state);
        self.state = State {
            played: Some(name),
            stream: None,
            next: None,
            playing: false,
            refused: false,
            frames: 0,
            ended: false,
            ..state
        };
        self.state.asked.push_back(Asked::Play);
        self.with_link(|link| link.session.play(&stream.name));
        if self.config.pipelined {
            return;
        }
        let answered = |state: &State, _: &Link<S>| state.playing || state.refused;
        self.must("the answer to play", ANSWER_TIME, answered).await;
        self.refusal("play", &stream);
    }

    async fn play_beside(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        self.note_beside(&Observation::AsksToPlay { name: name.clone() });
        self.state.beside = Some(Beside {
            name,
            stream: None,
            playing: false,
        });
        self.state.asked.push_back(Asked::Beside);
        self.with_link(|link| link.session.play(&stream.name));
        if !self.config.pipelined {
            let playing = |state: &State, _: &Link<S>| {
                state.refused || state.beside.as_ref().is_some_and(|beside| beside.playing)
            };
            self.must("the answer to a second play", ANSWER_TIME, playing)
                .await;
        }
    }

    /// Until the answer, what comes is still of the other stream.
    async fn play2(&mut self, stream: Stream) {
        let Some(on) = self.state.stream.filter(|_| self.state.playing) else {
            return;
        };
        self.state.next = Some(self.full_name(&stream));
        let play = Play2 {
            name: Some(stream.name.clone()),
            ..Play2::default()
        };
        self.with_link(|link| link.session.play2(on, &play));
        let answered = |state: &State, _: &Link<S>| state.next.is_none() || state.refused;
        self.must("the answer to play2", ANSWER_TIME, answered)
            .await;
        self.refusal("play2", &stream);
    }

    async fn call(&mut self, name: &str) {
        let before = self.state.answers;
        self.with_link(|link| {
            // None is open: each is waited for.
            let _ = link.session.call(0, name, vec![]);
        });
        let answered = |state: &State, _: &Link<S>| state.answers > before || state.refused;
        let what = format!("the answer to {name}");
        self.must(&what, ANSWER_TIME, answered).await;
    }

    async fn shared_object(&mut self, name: String) {
        let data = b"\x00\x04name\x02\x00\x05value".to_vec();
        let object = SharedObject {
            name,
            version: 1,
            flags: 2,
            events: vec![SharedEvent { kind: 3, data }],
        };
        let (type_id, payload) = (message::SHARED_OBJECT_AMF0, object.encode());
        self.with_link(|link| {
            link.session
                .send_message(type_id, 0, Timestamp(0), &payload);
        });
        self.flush().await;
    }

    /// The first chunk of a command, which is all of it that ever comes.
    async fn abort_message(&mut self) {
        if !self.state.established {
            return;
        }
        let chunk = self.chunk_size;
        let [_, l0, l1, l2] = (chunk + 1).to_be_bytes();
        let mut bytes = vec![ABORTED_CSID, 0, 0, 0, l0, l1, l2, 20, 0, 0, 0, 0];
        bytes.resize(bytes.len() + chunk as usize, 0);
        bytes.extend([2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, ABORTED_CSID]);
        self.with_link(|link| link.session.send_raw(&bytes));
        self.flush().await;
    }

    fn refusal(&mut self, what: &str, stream: &Stream) {
        if self.state.refused && !stream.may_be_refused {
            let what = format!("permission to {what} {}", stream.name);
            self.note(&Observation::Starved { what });
        }
    }

    async fn send_media(&mut self, media: &SendMedia) {
        let mut batch = Vec::new();
        for n in 1..=media.frames {
            let Some((due, frame)) = self.next_frame(media) else {
                return;
            };
            if due > self.stage.now() {
                self.until(due, |_, _| false).await;
            }
            batch.push(frame);
            if batch.len() < media.aggregate && n < media.frames {
                continue;
            }
            if !self.send_frames(media.aggregate > 0, std::mem::take(&mut batch)) {
                return;
            }
            self.until(self.stage.now() + ANSWER_TIME * 10, |_, link| {
                link.is_flushed()
            })
            .await;
        }
    }

    /// The next frame of what is on air, and when it is due.
    fn next_frame(&mut self, media: &SendMedia) -> Option<(Instant, Rc<Frame>)> {
        let now = self.stage.now();
        let client = &self.name;
        let on_air = self.broadcast.as_mut().filter(|_| !self.state.refused)?;
        if on_air.source.is_none() {
            on_air.began = now;
        }
        let publication = on_air.publication;
        let source = on_air
            .source
            .get_or_insert_with(|| Broadcast::new(shape(media), client, publication));
        let offset = Duration::from_millis(u64::from(source.next_offset()));
        let due = match media.paced {
            true => on_air.began + offset,
            false => now,
        };
        Some((due, Rc::new(source.next_frame())))
    }

    /// Sends them, in one message or each alone. False if there is nobody to send to any more.
    fn send_frames(&mut self, together: bool, frames: Vec<Rc<Frame>>) -> bool {
        let stands = |link: &&mut Link<S>| link.over().is_none();
        let (Some(link), Some(on_air)) =
            (self.link.as_mut().filter(stands), self.broadcast.as_mut())
        else {
            return false;
        };
        let parts = frames.iter().map(|f| (f.kind, f.timestamp, &f.payload[..]));
        match link.session.stream().filter(|_| together) {
            Some(stream) => {
                let parts: Vec<_> = parts.collect();
                link.session.send_aggregate(stream, &parts);
            }
            None => {
                for (kind, timestamp, payload) in parts {
                    link.session.send_media(kind, timestamp, payload);
                }
            }
        }
        let first = on_air.index;
        on_air.index += frames.len();
        let (name, publication) = (on_air.name.clone(), on_air.publication);
        for (index, frame) in (first..).zip(frames) {
            self.note(&Observation::Sent {
                name: name.clone(),
                publication,
                index,
                frame,
            });
        }
        true
    }

    async fn wait_for_frames(&mut self, wait: Wait) {
        let what = format!("{} frames", wait.frames);
        let within = Duration::from_millis(wait.within_ms);
        let enough = |state: &State, _: &Link<S>| state.frames >= wait.frames || state.refused;
        self.must(&what, within, enough).await;
        if self.state.frames < wait.frames {
            self.must_stand(&what);
        }
    }

    async fn wait_for_end(&mut self, within: Within) {
        let within = Duration::from_millis(within.within_ms);
        let ended = |state: &State, _: &Link<S>| state.ended || state.refused;
        self.must("the end of the stream", within, ended).await;
        if !self.state.ended {
            self.must_stand("the end of the stream");
        }
    }

    /// A script that waits for something reckons with no end of its connection.
    fn must_stand(&self, what: &str) {
        if self.link.as_ref().is_some_and(|link| link.over().is_some()) {
            let what = format!("{what}: the connection ended");
            self.note(&Observation::Starved { what });
        }
    }

    async fn flush(&mut self) {
        let deadline = self.stage.now() + ANSWER_TIME;
        self.until(deadline, |_, link| link.is_flushed()).await;
    }

    async fn close_stream(&mut self) {
        self.flush().await;
        self.with_link(|link| link.session.close_stream());
        self.broadcast = None;
        self.state.publishing = false;
        self.state.playing = false;
        self.state.closed = true;
        self.state.stream = None;
        self.state.beside = None;
        self.note(&Observation::LetsGo {
            why: "closes its stream",
        });
        self.flush().await;
    }

    async fn half_close(&mut self) {
        self.flush().await;
        if let Some(link) = &self.link {
            self.note(&Observation::LetsGo { why: "half-closes" });
            self.note(&Observation::Strays { how: "half-closes" });
            // It may be over already; then there is nothing left to close.
            let _ = link.conn.shutdown_write();
        }
    }

    async fn close(&mut self) {
        let stream = self.link.as_ref().and_then(|link| link.session.stream());
        if stream.is_some() {
            self.close_stream().await;
        }
        self.half_close().await;
        let deadline = self.stage.now() + FAREWELL_TIME;
        self.until(deadline, |_, _| false).await;
        self.leave("left");
    }

    fn abort(&mut self) {
        if let Some(link) = &self.link {
            link.conn.abort();
        }
        self.leave("aborts");
    }

    fn leave(&mut self, why: &'static str) {
        if let Some(link) = self.link.take() {
            self.broadcast = None;
            self.note(&Observation::LetsGo { why });
            drop(link);
        }
    }

    /// A connection that has ended is taken down; the next `connect` makes another.
    fn drop_dead_link(&mut self) {
        let over = self.link.as_ref().and_then(|link| link.over().cloned());
        match &over {
            Some(Over::Fin) => self.note(&Observation::Lost { how: "FIN" }),
            Some(Over::Broken) => self.note(&Observation::Lost { how: "RST" }),
            Some(Over::Protocol(_)) | None => {}
        }
        match over {
            None => {}
            Some(Over::Fin) => self.leave("the server closed"),
            Some(Over::Broken) => self.leave("the connection broke"),
            Some(Over::Protocol(error)) => {
                self.journal.fail(
                    self.stage.now(),
                    "the server speaks the protocol",
                    format!("{}: {error}", self.name),
                );
                self.leave("the server broke the protocol");
            }
        }
    }

    /// Runs the connection until `done`; on a connection that stands, that must come within `within`.
    async fn must(
        &mut self,
        what: &str,
        within: Duration,
        done: impl Fn(&State, &Link<S>) -> bool,
    ) {
        let deadline = self.stage.now() + within;
        let reached = self.until(deadline, &done).await;
        let stands = self.link.as_ref().is_some_and(|link| link.over().is_none());
        if !reached && stands {
            let what = format!("{what} for {} ms", within.as_millis());
            self.note(&Observation::Starved { what });
        }
    }

    /// Runs the connection until `done`, its end, or `deadline`. True if done.
    async fn until(&mut self, deadline: Instant, done: impl Fn(&State, &Link<S>) -> bool) -> bool {
        loop {
            let Some(link) = &mut self.link else {
                return false;
            };
            let moved = link.step();
            while let Some(event) = self.link.as_mut().and_then(Link::poll_event) {
                self.handle(event);
            }
            let Some(link) = &self.link else {
                return false;
            };
            if done(&self.state, link) {
                return true;
            }
            if link.over().is_some() || self.stage.now() >= deadline {
                return false;
            }
            if !moved {
                link.ready(deadline).await;
            }
        }
    }

    fn handle(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Established => self.state.established = true,
            ClientEvent::Connected => {
                self.state.connected = true;
                self.note(&Observation::Connected);
            }
            ClientEvent::Refused { code, .. } => {
                self.state.refused = true;
                self.note(&Observation::Told { code });
            }
            ClientEvent::Status {
                stream,
                code,
                level,
                ..
            } => self.handle_status(stream, code, &level),
            ClientEvent::Media {
                stream,
                kind,
                timestamp,
                payload,
            } => self.receive(stream, kind, timestamp, payload),
            ClientEvent::StreamCreated { stream } => match self.state.asked.pop_front() {
                Some(Asked::Play) => self.state.stream = Some(stream),
                Some(Asked::Beside) => {
                    if let Some(beside) = &mut self.state.beside {
                        beside.stream = Some(stream);
                    }
                }
                Some(Asked::Publish) | None => {}
            },
            ClientEvent::Answered { .. } => self.state.answers += 1,
            ClientEvent::Control { .. }
            | ClientEvent::ChunkSize(_)
            | ClientEvent::Acknowledged(_)
            | ClientEvent::Redirected { .. } => {}
        }
    }

    fn receive(
        &mut self,
        stream: MessageStreamId,
        kind: MediaKind,
        timestamp: Timestamp,
        payload: Bytes,
    ) {
        let received = |name: &Rc<str>| Observation::Received {
            name: name.clone(),
            kind,
            timestamp,
            payload: payload.clone(),
        };
        let beside = self.state.beside.as_ref();
        if let Some(beside) = beside.filter(|beside| beside.stream == Some(stream)) {
            return self.note_beside(&received(&beside.name));
        }
        if self.state.stream == Some(stream) {
            if kind != MediaKind::Data {
                self.state.frames += 1;
            }
            if let Some(name) = &self.state.played {
                self.note(&received(name));
            }
        } else if !self.state.closed {
            let what = format!("{}: media on message stream {stream}", self.name);
            let now = self.stage.now();
            self.journal
                .fail(now, "the server speaks the protocol", what);
        }
    }

    fn handle_status(&mut self, stream: MessageStreamId, code: String, level: &str) {
        if self.handle_beside(stream, &code) {
            return;
        }
        let mine = self.state.stream == Some(stream);
        match &*code {
            "NetStream.Publish.Start" => {
                self.state.publishing = true;
                if let Some(on_air) = &self.broadcast {
                    let name = on_air.name.clone();
                    self.note(&Observation::Publishes { name });
                }
            }
            "NetStream.Play.Start" if mine && !self.state.playing => {
                self.state.playing = true;
                if let Some(name) = self.state.played.clone() {
                    self.note(&Observation::Plays { name });
                }
            }
            "NetStream.Play.Transition" if mine => {
                if let Some(name) = self.state.next.take() {
                    self.note(&Observation::AsksToPlay { name: name.clone() });
                    self.note(&Observation::Plays { name: name.clone() });
                    self.state.played = Some(name);
                    self.state.frames = 0;
                    self.state.ended = false;
                }
            }
            // Late words about what was closed.
            "NetStream.Play.UnpublishNotify" | "NetStream.Play.PublishNotify" if !mine => return,
            "NetStream.Play.UnpublishNotify" | "NetStream.Play.Stop" => self.state.ended = true,
            "NetStream.Play.PublishNotify" => self.state.ended = false,
            // Sent to whoever closes, too; by then it may have asked anew.
            "NetStream.Unpublish.Success" if self.state.publishing => {
                self.note(&Observation::LetsGo { why: "is told so" });
            }
            _ => {}
        }
        if level == "error" {
            self.state.refused = true;
        }
        self.note(&Observation::Told { code });
    }

    /// What the second play is told; false if it is not meant.
    fn handle_beside(&mut self, stream: MessageStreamId, code: &str) -> bool {
        let beside = self.state.beside.as_mut();
        let Some(beside) = beside.filter(|beside| beside.stream == Some(stream)) else {
            return false;
        };
        if code == "NetStream.Play.Start" && !beside.playing {
            beside.playing = true;
            let name = beside.name.clone();
            self.note_beside(&Observation::Plays { name });
        }
        self.note_beside(&Observation::Told { code: code.into() });
        true
    }
}

fn shape(media: &SendMedia) -> Shape {
    Shape {
        gop: media.gop,
        picture_ms: media.picture_ms,
        audio_ms: media.audio_ms,
        picture_bytes: media.picture_bytes,
        start: media.first_timestamp,
        headers_every: media.headers_every,
    }
}
