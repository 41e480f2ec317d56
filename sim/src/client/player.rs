//! Plays one script, step by step, and writes down what it does and sees.

use std::rc::Rc;

use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::wire::MediaKind;
use millstream::runtime::Conn;
use millstream::time::{Duration, Instant};

use super::Stage;
use super::link::{Link, Over};
use crate::journal::{Journal, Observation};
use crate::media::{Broadcast, Shape};
use crate::scenario::{Connect, Script, SendMedia, Step, Stream, Wait, Within};
use crate::seed;

/// How long an answer to a command may take: faults, stalls and slow links included.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// How long a polite leaver waits for the server's FIN.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// The chunk stream of commands that the session does not know; the session uses others.
const RECEIVE_CSID: u8 = 40;

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
        state: State::default(),
    };
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
    /// A stream was closed on this connection: until the next one starts, what comes is late.
    closed: bool,
    played: Option<Rc<str>>,
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
            Step::ChunkSize(size) => self.with_link(|link| link.session.set_chunk_size(size)),
            Step::Pause(paused) => {
                self.note(&Observation::Pauses);
                self.with_link(|link| link.session.pause(paused, 0.0));
            }
            Step::ReceiveAudio(wanted) => self.receive("receiveAudio", wanted),
            Step::ReceiveVideo(wanted) => self.receive("receiveVideo", wanted),
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
            let nobody = ClientConfig {
                app: String::new(),
                tc_url: String::new(),
                flash_ver: String::new(),
                chunk_size: 128,
                digest: false,
            };
            let session = ClientSession::new(nobody, 0);
            let mut link = Link::new(self.stage.clone(), conn, session);
            link.go_raw();
            self.link = Some(link);
        }
    }

    /// `receiveAudio` and `receiveVideo`, which the session does not offer: one chunk on the played stream.
    fn receive(&mut self, command: &str, wanted: bool) {
        let Some(stream) = self.link.as_ref().and_then(|link| link.session.stream()) else {
            return;
        };
        let mut payload = vec![2, 0, command.len() as u8];
        payload.extend(command.as_bytes());
        payload.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, u8::from(wanted)]);
        let mut chunk = vec![RECEIVE_CSID, 0, 0, 0, 0, 0, payload.len() as u8, 20];
        chunk.extend(stream.to_le_bytes());
        chunk.extend(payload);
        self.with_link(|link| link.session.send_raw(&chunk));
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
                digest: config.digest,
            },
            self.nonces.u64(..),
        );
        session.connect();
        self.state = State::default();
        self.link = Some(Link::new(self.stage.clone(), conn, session));
        let pipelined = config.pipelined;
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
        self.state = State {
            established: self.state.established,
            connected: self.state.connected,
            closed: self.state.closed,
            played: Some(name),
            ..State::default()
        };
        self.with_link(|link| link.session.play(&stream.name));
        if self.config.pipelined {
            return;
        }
        let answered = |state: &State, _: &Link<S>| state.playing || state.refused;
        self.must("the answer to play", ANSWER_TIME, answered).await;
        self.refusal("play", &stream);
    }

    fn refusal(&mut self, what: &str, stream: &Stream) {
        if self.state.refused && !stream.may_be_refused {
            let what = format!("permission to {what} {}", stream.name);
            self.note(&Observation::Starved { what });
        }
    }

    async fn send_media(&mut self, media: &SendMedia) {
        for _ in 0..media.frames {
            let Some(on_air) = self.broadcast.as_mut().filter(|_| !self.state.refused) else {
                return;
            };
            let now = self.stage.now();
            if on_air.source.is_none() {
                on_air.began = now;
            }
            let (client, publication) = (&self.name, on_air.publication);
            let source = on_air
                .source
                .get_or_insert_with(|| Broadcast::new(shape(media), client, publication));
            let offset = Duration::from_millis(u64::from(source.next_offset()));
            let due = if media.paced {
                on_air.began + offset
            } else {
                now
            };
            let frame = Rc::new(source.next_frame());
            let index = on_air.index;
            on_air.index += 1;
            let name = on_air.name.clone();
            if due > now {
                self.until(due, |_, _| false).await;
            }
            let Some(link) = self.link.as_mut().filter(|link| link.over().is_none()) else {
                return;
            };
            link.session
                .send_media(frame.kind, frame.timestamp, &frame.payload);
            self.note(&Observation::Sent {
                name,
                publication,
                index,
                frame,
            });
            self.until(self.stage.now() + ANSWER_TIME * 10, |_, link| {
                link.is_flushed()
            })
            .await;
        }
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
            ClientEvent::Status { code, level, .. } => self.handle_status(code, &level),
            ClientEvent::Media { .. } if self.state.closed && !self.state.playing => {}
            ClientEvent::Media {
                kind,
                timestamp,
                payload,
                ..
            } => {
                if kind != MediaKind::Data {
                    self.state.frames += 1;
                }
                let name = self.state.played.clone().unwrap_or_else(|| Rc::from("?"));
                self.note(&Observation::Received {
                    name,
                    kind,
                    timestamp,
                    payload,
                });
            }
            ClientEvent::StreamCreated { .. }
            | ClientEvent::Control { .. }
            | ClientEvent::ChunkSize(_)
            | ClientEvent::Acknowledged(_)
            | ClientEvent::Redirected { .. } => {}
        }
    }

    fn handle_status(&mut self, code: String, level: &str) {
        match &*code {
            "NetStream.Publish.Start" => {
                self.state.publishing = true;
                if let Some(on_air) = &self.broadcast {
                    let name = on_air.name.clone();
                    self.note(&Observation::Publishes { name });
                }
            }
            "NetStream.Play.Start" => {
                self.state.playing = true;
                if let Some(name) = self.state.played.clone() {
                    self.note(&Observation::Plays { name });
                }
            }
            // Late words about what was closed.
            "NetStream.Play.UnpublishNotify" | "NetStream.Play.PublishNotify"
                if self.state.closed && !self.state.playing =>
            {
                return;
            }
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
}

fn shape(media: &SendMedia) -> Shape {
    Shape {
        gop: media.gop,
        picture_ms: media.picture_ms,
        audio_ms: media.audio_ms,
        picture_bytes: media.picture_bytes,
        start: media.first_timestamp,
        headers_every: media.headers_every,
        tracks: media.tracks,
    }
}
