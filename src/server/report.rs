//! What a shard tells operators, and does for them. Made when asked, a bounded number of rows at a time; nothing is kept
//! for it on the path of a frame.

use serde::Serialize;

use super::connection::Order;
use super::event::ConnectionId;
use super::message::ControlMessage;
use super::meters::End;
use super::shard::Shard;
use super::stream::{LiveStream, Source, State};
use crate::limits;
use crate::media::cursor::Jumps;
use crate::media::directory::StreamKey;
use crate::media::stream::Stream;
use crate::metrics::Distribution;
use crate::runtime::{Conn, Load, Runtime, SocketAddr};
use crate::time::{Duration, Instant};

/// A question of an operator, or an order.
#[derive(Clone, Debug)]
pub enum Ask {
    /// What it counts.
    Sums,
    /// Its streams behind this name.
    Streams {
        /// `app/name`; nothing for the first ones.
        after: Option<StreamKey>,
    },
    /// Its connections from this number on.
    Clients {
        /// The first.
        from: ConnectionId,
    },
    /// To close a connection.
    Kick(ConnectionId),
    /// To end what is published under a name.
    EndStream(StreamKey),
    /// To record what is published under a name from now on, or no more.
    Record(StreamKey, bool),
}

/// A shard's answer.
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Sums`].
    Sums(Box<Sums>),
    /// To [`Ask::Streams`], by name, at most [`limits::REPORT_ROWS`].
    Streams(Vec<StreamRow>),
    /// To [`Ask::Clients`], by number, at most [`limits::REPORT_ROWS`].
    Clients(Vec<ClientRow>),
    /// To an order: whether there was what it was about.
    Done(bool),
}

/// At least how far players are behind, for each a gauge: milliseconds.
pub(super) const BEHIND: [u64; 5] = [100, 500, 1_000, 2_000, 5_000];

/// What a shard counts, and what it has now: of what is over, and of what still lives.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Connections now.
    pub connections: u64,
    /// Streams that are published here now.
    pub live: u64,
    /// Players now.
    pub players: u64,
    /// Those of them that hold their stream.
    pub paused: u64,
    /// Players that are behind by at least so much, see `BEHIND`.
    pub behind: [u64; BEHIND.len()],
    /// How far the one is behind that is furthest behind, microseconds.
    pub furthest_behind: u64,
    /// Bytes held for players.
    pub ring_bytes: u64,
    /// How many connections have ended, by reason.
    pub ended: Vec<(End, u64)>,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Messages that were published.
    pub frames_in: u64,
    /// How often a player has lost frames.
    pub jumps: Jumps,
    /// How often a publisher's time has jumped, and was repaired.
    pub clock_jumps: u64,
    /// Messages that were passed on to nobody, as no keyframe had come.
    pub orphans: u64,
    /// Headers that were not kept for who joins later.
    pub headers_left_out: u64,
    /// Frames that another shard was too far behind to be sent, for all of its players.
    pub missed: u64,
    /// Files that are open for viewers.
    pub vod_files: u64,
    /// Bytes of them that are kept.
    pub vod_bytes: u64,
    /// Publications that began.
    pub publications: u64,
    /// Plays that began.
    pub plays: u64,
    /// Bytes of writes.
    pub write_sizes: Distribution,
    /// Microseconds from a play to its first frame.
    pub first_frame: Distribution,
    /// Streams that are being recorded, and recordings that are being finished.
    pub recording: u64,
    /// Bytes that recordings hold until they are written.
    pub record_held: u64,
    /// Bytes of recordings written.
    pub record_bytes: u64,
    /// Files of recordings finished.
    pub record_segments: u64,
    /// How often a recording has lost frames, because the disk was too slow.
    pub record_gaps: u64,
    /// How often the disk has refused something.
    pub record_failures: u64,
    /// Microseconds of a write to the disk.
    pub record_writes: Distribution,
    /// What the thread has to do.
    pub load: Load,
}

/// What is known of a stream's media.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaFacts {
    /// Codecs of its video tracks.
    pub video: Vec<String>,
    /// Codecs of its audio tracks.
    pub audio: Vec<String>,
    /// Pixels, as its metadata says.
    pub width: Option<u32>,
    /// Pixels, as its metadata says.
    pub height: Option<u32>,
    /// Frames a second, as its metadata says.
    pub frame_rate: Option<f64>,
    /// Bits a second, of the last seconds.
    pub bitrate: Option<u64>,
    /// The distance of the two newest keyframes.
    pub gop_ms: Option<u64>,
}

/// A stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamRow {
    /// `app/name`.
    pub stream: String,
    /// Whether somebody publishes it; otherwise players wait for that.
    pub live: bool,
    /// The publisher's connection.
    pub publisher: Option<ConnectionId>,
    /// How long it has been published.
    pub age_ms: Option<u64>,
    /// Players, on all shards.
    pub players: u64,
    /// What it is made of.
    pub media: Option<MediaFacts>,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub struct ClientRow {
    /// Its number.
    pub id: ConnectionId,
    /// Its address.
    pub address: SocketAddr,
    /// `publish`, `play`, or nothing (yet, or any more).
    pub role: Option<&'static str>,
    /// The application it connected to.
    pub app: String,
    /// The newest stream it publishes or plays, or did: `app/name`.
    pub stream: Option<String>,
    /// How long it has been here.
    pub age_ms: u64,
    /// How far a player is behind what is published: since when what it gets next has been there.
    pub lag_ms: Option<u64>,
    /// How often a player has lost frames because it was too slow.
    pub jumps: u64,
    /// Bytes read from it.
    pub received: u64,
    /// Bytes written to it.
    pub sent: u64,
    /// What it sends or gets.
    pub media: Option<MediaFacts>,
    /// The shard that serves it.
    pub shard: usize,
}

impl<R: Runtime> Shard<R> {
    /// An operator asks.
    pub(super) fn asked(&self, number: u64, ask: &Ask) {
        let answer = self.answer(ask);
        self.tell_control(ControlMessage::Answered {
            number,
            shard: self.id(),
            answer: Box::new(answer),
        });
    }

    /// Answers, or does as it is told.
    pub fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Sums => Answer::Sums(Box::new(self.sums())),
            Ask::Streams { after } => Answer::Streams(self.stream_rows(after.as_ref())),
            Ask::Clients { from } => Answer::Clients(self.client_rows(*from)),
            Ask::Kick(connection) => Answer::Done(self.give(*connection, Order::Kick)),
            Ask::EndStream(key) => Answer::Done(self.end_stream(key)),
            Ask::Record(key, on) => Answer::Done(self.record(key, *on).is_ok()),
        }
    }

    fn give(&self, connection: ConnectionId, order: Order) -> bool {
        let connections = self.connections();
        let handle = connections.get(&connection);
        handle.inspect(|handle| handle.order(order)).is_some()
    }

    fn end_stream(&self, key: &StreamKey) -> bool {
        let publisher = self.known_stream(key).and_then(|stream| {
            let state = stream.state.borrow();
            match &state.source {
                Source::Local(local) => Some(local.connection),
                _ => None,
            }
        });
        publisher.is_some_and(|connection| self.give(connection, Order::EndStream(key.clone())))
    }

    /// What it has counted.
    pub fn sums(&self) -> Sums {
        let (meters, now) = (self.meters(), self.runtime().now());
        let mut sums = Sums {
            ended: meters.endings(),
            bytes_in: meters.bytes_in.get(),
            bytes_out: meters.bytes_out.get(),
            frames_in: meters.frames_in.get(),
            jumps: meters.jumps.get(),
            clock_jumps: meters.clock_jumps.get(),
            orphans: meters.orphans.get(),
            missed: meters.missed.get(),
            vod_files: self.library().len() as u64,
            vod_bytes: self.library().bytes() as u64,
            headers_left_out: meters.headers_left_out.get(),
            publications: meters.publications.get(),
            plays: meters.plays.get(),
            write_sizes: meters.write_sizes.snapshot(),
            first_frame: meters.first_frame.snapshot(),
            recording: self.recorders().len() as u64,
            record_held: meters.record_held.bytes() as u64,
            record_bytes: meters.record_bytes.get(),
            record_segments: meters.record_segments.get(),
            record_gaps: meters.record_gaps.get(),
            record_failures: meters.record_failures.get(),
            record_writes: meters.record_writes.snapshot(),
            load: self.runtime().load(),
            ..Sums::default()
        };
        for handle in self.connections().values() {
            sums.connections += 1;
            sums.bytes_in += handle.received.get();
            sums.bytes_out += handle.outbox.sent();
        }
        for stream in self.streams().values() {
            sums.add(&stream.state.borrow(), now);
        }
        sums
    }

    fn stream_rows(&self, after: Option<&StreamKey>) -> Vec<StreamRow> {
        use core::ops::Bound::{Excluded, Unbounded};
        let now = self.runtime().now();
        let streams = self.streams();
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let rows = streams.range::<StreamKey, _>(behind);
        rows.take(limits::REPORT_ROWS)
            .map(|(_, stream)| StreamRow::of(stream, now))
            .collect()
    }

    /// Each connection's newest role; the streams are walked for whom the rows are about.
    fn client_rows(&self, from: ConnectionId) -> Vec<ClientRow> {
        let now = self.runtime().now();
        let connections = self.connections();
        let mut rows: Vec<ClientRow> = connections
            .range(from..)
            .take(limits::REPORT_ROWS)
            .map(|(&id, handle)| ClientRow {
                id,
                address: handle.peer,
                role: None,
                app: handle.app.borrow().clone(),
                stream: handle.stream.borrow().as_ref().map(ToString::to_string),
                age_ms: millis(now.since(handle.since)),
                lag_ms: None,
                jumps: 0,
                received: handle.received.get(),
                sent: handle.outbox.sent(),
                media: None,
                shard: self.id(),
            })
            .collect();
        let Some(last) = rows.last().map(|row| row.id) else {
            return rows;
        };
        for stream in self.streams().values() {
            let state = stream.state.borrow();
            let mut facts = None;
            let mut note = |id: ConnectionId, role, behind: Option<Duration>, jumps| {
                if !(from..=last).contains(&id) {
                    return;
                }
                if let Ok(at) = rows.binary_search_by_key(&id, |row| row.id)
                    && let Some(row) = rows.get_mut(at)
                {
                    row.role = Some(role);
                    row.stream = Some(stream.key.to_string());
                    row.lag_ms = behind.map(millis);
                    row.jumps = jumps;
                    let facts = facts.get_or_insert_with(|| MediaFacts::of(&state.media));
                    row.media = Some(facts.clone());
                }
            };
            for (_, player) in &state.players {
                let behind = lag(player.cursor.next(), &state.media, now);
                let behind = (!player.cursor.is_paused()).then_some(behind);
                note(
                    player.outbox.connection,
                    "play",
                    behind,
                    player.cursor.jumps().total(),
                );
            }
            if let Source::Local(local) = &state.source {
                note(local.connection, "publish", None, 0);
            }
        }
        rows
    }
}

/// How long what a player gets next has been there.
fn lag(next: u64, media: &Stream, now: Instant) -> Duration {
    let ring = media.ring();
    let waits = ring.pushed_at(next.max(ring.base()));
    waits.map_or(Duration::ZERO, |since| now.since(since))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Sums {
    fn add<C>(&mut self, state: &State<C>, now: Instant) {
        if let Source::Local(local) = &state.source {
            self.live += 1;
            self.frames_in += state.media.ring().head().saturating_sub(local.first);
            self.orphans += state.media.orphans();
            self.headers_left_out += state.media.headers_left_out();
            self.clock_jumps += state.media.clock_jumps();
        }
        self.ring_bytes += state.media.ring().bytes() as u64;
        for (_, player) in &state.players {
            self.players += 1;
            self.jumps += player.cursor.jumps();
            if player.cursor.is_paused() {
                self.paused += 1;
                continue;
            }
            let behind = lag(player.cursor.next(), &state.media, now);
            let micros = u64::try_from(behind.as_micros()).unwrap_or(u64::MAX);
            self.furthest_behind = self.furthest_behind.max(micros);
            for (count, bound) in self.behind.iter_mut().zip(BEHIND) {
                *count += u64::from(micros >= bound * 1_000);
            }
        }
    }
}

impl MediaFacts {
    fn of(media: &Stream) -> Self {
        let (codecs, picture) = (media.codecs(), media.picture());
        Self {
            video: codecs.video().map(|(_, codec)| codec.to_string()).collect(),
            audio: codecs.audio().map(|(_, codec)| codec.to_string()).collect(),
            width: picture.width,
            height: picture.height,
            frame_rate: picture.frame_rate,
            bitrate: media.ring().bitrate(),
            gop_ms: media.gop().length().map(millis),
        }
    }
}

impl StreamRow {
    fn of<C: Conn>(stream: &LiveStream<C>, now: Instant) -> Self {
        let state = stream.state.borrow();
        let local = match &state.source {
            Source::Local(local) => Some(local),
            _ => None,
        };
        Self {
            stream: stream.key.to_string(),
            live: local.is_some(),
            publisher: local.map(|local| local.connection),
            age_ms: local.map(|local| millis(now.since(local.since))),
            players: state.players.len() as u64,
            media: local.map(|_| MediaFacts::of(&state.media)),
        }
    }

    /// Takes what another shard knows of the same stream.
    pub(super) fn join(&mut self, other: Self) {
        let players = self.players + other.players;
        if other.live {
            *self = other;
        }
        self.players = players;
    }
}
