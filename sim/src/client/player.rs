//! Plays one script, step by step, and writes down what it does and sees.

use std::collections::VecDeque;
use std::rc::Rc;

use millstream::rtmp::command::{CAPS_RECONNECT, Enhanced};
use millstream::rtmp::handshake::HandshakeKind;
use millstream::rtmp::message;
use millstream::rtmp::session::MessageStreamId;
use millstream::rtmp::session::client::{ClientConfig, ClientSession};
use millstream::rtmp::wire::MediaKind;
use millstream::runtime::Conn;
use millstream::time::{Duration, Instant, Timestamp};

use super::Stage;
use super::link::{Link, Over};
use crate::checkers::tap::Tap;
use crate::faults::Fault;
use crate::journal::{Journal, Observation};
use crate::media::Broadcast;
use crate::scenario::{Connect, Cut, Script, Step, Stream, Wait, Within};
use crate::seed;

use super::chunks::Weaver;

mod asks;
mod hears;
mod sends;
mod strays;

/// How long an answer to a command may take: faults, stalls and slow links included.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// How long one who does not insist waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a polite leaver waits for the server's FIN.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// Plays `script` to its end.
pub async fn play_script<S: Stage>(stage: S, journal: Journal, world_seed: u64, script: Script) {
    let start = Instant::from_micros(script.start_ms.saturating_mul(1_000));
    stage.sleep_until(start).await;
    let mut actor = Actor {
        world_seed,
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
        cut: None,
        weaver: Weaver::default(),
        woven: 0,
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

/// The application of recordings.
const VOD: &str = "vod";
/// How long one buffers who plays a recording: as little as a server allows, since few recordings here are longer than
/// what most players buffer.
pub const VOD_BUFFER: Duration = millstream::limits::VOD_BUFFER_MIN;

struct Actor<S: Stage> {
    world_seed: u64,
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
    /// Where this connection, or else the next, is cut off.
    cut: Option<Cut>,
    /// What this connection's own chunk streams said last, and how many long messages that was.
    weaver: Weaver,
    woven: usize,
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
    /// Where it publishes.
    on_air: Option<MessageStreamId>,
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
    /// What it plays is a recording.
    views: bool,
    /// Where that is to go on, until the server says that it does.
    sought: Option<u64>,
    /// It cannot be played any further, or not at all.
    unplayable: bool,
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
        let fault = Fault::of_step(&step);
        let dials = matches!(step, Step::Connect(_));
        let there = self.link.is_some();
        self.act(step).await;
        // A step on a connection that is gone does nothing; one that dials needs one that came about.
        if let Some(fault) = fault
            && (if dials { self.link.is_some() } else { there })
        {
            self.stage.fires(fault);
        }
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Connect(connect) => self.connect(connect).await,
            Step::ConnectRaw => self.connect_raw().await,
            Step::CutAfter(cut) => self.cut_after(cut),
            Step::WaitMs(ms) if self.link.is_none() => self.sleep(ms).await,
            Step::SilenceMs(ms) => {
                self.note(&Observation::Strays { how: "is silent" });
                self.sleep(ms).await;
            }
            _ if self.link.is_none() => {}
            Step::Publish(stream) => self.publish(stream).await,
            Step::Play(stream) => self.play(stream).await,
            Step::View(stream) => self.view(stream).await,
            Step::Append(view) => self.append(&view).await,
            Step::Seek(ms) => self.seek(ms).await,
            Step::PlayBeside(stream) => self.play_beside(stream).await,
            Step::Play2(stream) => self.play2(stream).await,
            Step::Call(name) => self.call(&name).await,
            Step::SharedObject(name) => self.shared_object(name).await,
            Step::AbortMessage => self.abort_message().await,
            Step::SendMedia(media) => self.send_media(&media).await,
            Step::WaitMs(ms) => {
                let deadline = self.stage.now() + Duration::from_millis(ms);
                self.until(deadline, |_, _| false).await;
                self.look();
            }
            Step::WaitForFrames(wait) => self.wait_for_frames(wait).await,
            Step::WaitForEnd(within) => self.wait_for_end(within).await,
            Step::CloseStream => self.close_stream().await,
            Step::EndStream(ending) => self.end_stream(ending).await,
            Step::Tell(tell) => self.tell(&tell).await,
            Step::Garbage(garbage) => self.litter(&garbage).await,
            Step::ClearMetadata => self.clear_metadata().await,
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
            Step::ReceiveAudio(wanted) => {
                self.picks(MediaKind::Audio, |link| link.session.receive_audio(wanted));
            }
            Step::ReceiveVideo(wanted) => {
                self.picks(MediaKind::Video, |link| link.session.receive_video(wanted));
            }
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

    fn picks(&mut self, kind: MediaKind, act: impl FnOnce(&mut Link<S>)) {
        let seen = Observation::Picks { kind };
        self.whisper(&seen);
        if let Some(beside) = &self.beside {
            let now = self.stage.now();
            self.journal.whisper(now, beside, &seen);
        }
        self.with_link(act);
    }

    /// Tells the checkers if the connection stands although the client has read all that has come.
    fn look(&mut self) {
        let stands = self.link.as_mut().and_then(Link::stands);
        while let Some(event) = self.link.as_mut().and_then(Link::poll_event) {
            self.handle(event);
        }
        if let Some((sent, last_sent)) = stands {
            self.whisper(&Observation::Stands { sent, last_sent });
        }
    }

    /// For the checkers alone.
    fn whisper(&self, seen: &Observation) {
        self.journal.whisper(self.stage.now(), &self.name, seen);
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
                if attempt > 0 {
                    self.stage.fires(Fault::Reconnect);
                }
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
            let tap = self.tap(true);
            let mut link = Link::new(self.stage.clone(), conn, session, tap);
            link.go_raw();
            self.chunk_size = 128;
            self.take_up(link);
        }
    }

    async fn connect(&mut self, config: Connect) {
        let Some(conn) = self.dial().await else {
            return;
        };
        if config.reconnects {
            self.whisper(&Observation::KnowsReconnect);
        }
        if config.may_be_refused {
            self.note(&Observation::Strays {
                how: "may be refused",
            });
        }
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
                buffer: match &*config.app {
                    VOD => VOD_BUFFER,
                    _ => ClientConfig::default().buffer,
                },
                // As Flash was: S2 must answer C1.
                strict_handshake: true,
                pipelined: config.pipelined,
                object_encoding: if config.amf3 { 3 } else { 0 },
                acknowledges: !config.never_acks,
                enhanced: config.reconnects.then(|| Enhanced {
                    caps_ex: CAPS_RECONNECT,
                    ..Enhanced::default()
                }),
            },
            self.nonces.u64(..),
        );
        session.connect();
        self.state = State::default();
        let tap = self.tap(false);
        self.take_up(Link::new(self.stage.clone(), conn, session, tap));
        let pipelined = config.pipelined;
        self.chunk_size = config.chunk_size;
        self.config = config;
        if !pipelined {
            let done = |state: &State, _: &Link<S>| state.connected || state.refused;
            self.must("the answer to connect", ANSWER_TIME, done).await;
            self.announce_window();
        }
    }

    /// Says how often it wants to be acknowledged. Behind the ceremony, in which the session says so by itself.
    fn announce_window(&mut self) {
        let window = self.config.window_ack_size;
        if window > 0 && self.state.connected {
            let payload = window.to_be_bytes();
            self.with_link(|link| {
                let type_id = message::WINDOW_ACK_SIZE;
                link.session
                    .send_message(type_id, 0, Timestamp(0), &payload);
            });
        }
    }

    fn tap(&self, stranger: bool) -> Option<Tap> {
        let attempt = self.attempts.saturating_sub(1);
        Tap::on(
            &self.journal,
            self.world_seed,
            &self.name,
            attempt,
            stranger,
        )
    }

    fn take_up(&mut self, mut link: Link<S>) {
        if let Some(cut) = self.cut {
            link.cut_after(cut.after);
        }
        self.weaver = Weaver::default();
        self.link = Some(link);
    }

    fn full_name(&self, stream: &Stream) -> Rc<str> {
        Rc::from(format!("{}/{}", self.config.app, stream.name))
    }

    async fn wait_for_frames(&mut self, wait: Wait) {
        let what = format!("{} frames", wait.frames);
        let within = Duration::from_millis(wait.within_ms);
        let enough = |state: &State, _: &Link<S>| state.frames >= wait.frames || state.refused;
        self.must(&what, within, enough).await;
        if self.state.frames < wait.frames {
            self.must_stand(&what);
        }
        self.look();
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
        let deadline = self.stage.now() + PATIENCE;
        self.until(deadline, |_, link| link.is_flushed()).await;
    }

    /// Who did not wait for it must, before it asks for the same again: else it takes the one answer for the other.
    async fn answer_to_publish(&mut self) {
        if self.broadcast.is_some() && self.config.pipelined {
            // It may stand behind all that the same connection plays, however slowly: no promise of its own.
            let deadline = self.stage.now() + PATIENCE;
            self.until(deadline, |state, _| state.publishing || state.refused)
                .await;
        }
    }

    async fn close_stream(&mut self) {
        self.answer_to_publish().await;
        self.flush().await;
        self.with_link(|link| link.session.close_stream());
        self.has_closed();
        self.flush().await;
    }

    /// Nothing is published or played any more.
    fn has_closed(&mut self) {
        self.broadcast = None;
        self.state.publishing = false;
        self.state.playing = false;
        self.state.closed = true;
        self.state.stream = None;
        self.state.on_air = None;
        self.state.beside = None;
        self.note(&Observation::LetsGo {
            why: "closes its stream",
        });
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
        self.look();
        if self.link.as_ref().and_then(Link::over) == Some(&Over::Fin) {
            self.whisper(&Observation::Lost { how: "FIN" });
        }
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
            self.cut = None;
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
            if link.is_cut() {
                self.cut_off();
            }
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
}
