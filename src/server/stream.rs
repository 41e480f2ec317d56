//! One live stream on one shard: its media, its players, where it comes from, and the shards it goes to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

use super::Settings;
use super::event::ConnectionId;
use super::meters::Meters;
use super::play::{Joiners, Pass, Player};
use super::record::Recording;
use crate::config::AppSettings;
use crate::limits;
use crate::media::directory::{PublicationId, StreamKey, Subscriber, SubscriptionId};
use crate::media::keep::Keep;
use crate::media::stream::Stream;
use crate::rtmp::wire::WireMessage;
use crate::runtime::Task;
use crate::time::{Duration, Instant};

/// A stream that is published or played on this shard.
pub(super) struct LiveStream<C> {
    pub(super) key: StreamKey,
    /// Chunk size of everything we send.
    pub(super) chunk_size: u32,
    pub(super) state: RefCell<State<C>>,
    /// The pump's task, once it was needed, and its waker.
    pub(super) pump: RefCell<Option<Task<()>>>,
    pub(super) pump_waker: RefCell<Option<Waker>>,
    /// Set when the shard has let go of it: a pump or guard that still holds it does nothing more.
    pub(super) closed: Cell<bool>,
}

pub(super) struct State<C> {
    pub(super) media: Stream,
    pub(super) source: Source,
    /// The newest lease this shard has heard of: what still arrives of an older one is late and dropped.
    pub(super) newest: PublicationId,
    /// Our standing wish to the directory, while there are players.
    pub(super) subscription: Option<SubscriptionId>,
    pub(super) players: Slab<Player<C>>,
    /// One above the highest slot ever used in `players`.
    pub(super) slots: usize,
    pub(super) pass: Pass,
    /// How long a frame waits at most for others.
    pub(super) merge: Duration,
    /// How often a minute a player may lose frames; 0: as often as it likes.
    pub(super) jumps_per_minute: u32,
    pub(super) joiners: Joiners,
}

/// Where the stream's messages come from.
pub(super) enum Source {
    /// Nobody publishes, as far as this shard knows.
    None,
    /// A connection of this shard.
    Local(Local),
    /// Another shard.
    Remote {
        /// Its lease.
        publication: PublicationId,
    },
}

/// A publication of this shard.
pub(super) struct Local {
    pub(super) publication: PublicationId,
    /// Its publisher's connection.
    pub(super) connection: ConnectionId,
    pub(super) since: Instant,
    /// The number of its first message in the ring.
    pub(super) first: u64,
    /// The publisher has vanished, and may come back.
    pub(super) lost: bool,
    /// Shards with players; never this one.
    pub(super) audience: Vec<Listener>,
    /// What came in this read batch and was not yet sent to the audience.
    pub(super) batch: Vec<WireMessage>,
    /// It is being recorded.
    pub(super) recordings: Vec<Recording>,
}

/// Another shard that gets a local publication.
pub(super) struct Listener {
    pub(super) subscriber: Subscriber,
    /// Its mailbox was full: the first frame it has not been sent, by its number in our ring.
    pub(super) missed: Option<u64>,
}

/// What a stream of an application keeps.
fn keep(application: &AppSettings, ring_frames: usize) -> Keep {
    let latency_max = match application.latency_max {
        Duration::ZERO => Duration::ZERO,
        // Frames that wait for others are no player's fault.
        latency => latency.max(limits::LATENCY_MIN) + application.merge,
    };
    Keep {
        frames: application.gop_cache.max(ring_frames),
        bytes: application.player_bytes,
        joiner_frames: application.gop_cache,
        joiner_bytes: application.gop_cache_bytes,
        joiner_age: application.gop_cache_time,
        behind: application.behind,
        latency_max,
    }
}

impl<C> LiveStream<C> {
    pub(super) fn new(key: StreamKey, settings: &Settings, meters: Rc<Meters>) -> Rc<Self> {
        let application = settings.applications.of(key.application());
        let media = Stream::keeping(
            keep(application, settings.ring_frames),
            meters.rings.clone(),
        );
        let merge = application.merge;
        let jumps_per_minute = application.jumps_per_minute;
        Rc::new(Self {
            key,
            chunk_size: settings.chunk_size,
            state: RefCell::new(State {
                media,
                source: Source::None,
                newest: 0,
                subscription: None,
                players: Slab::new(),
                slots: 0,
                pass: Pass::default(),
                merge,
                jumps_per_minute,
                joiners: Joiners::new(meters),
            }),
            pump: RefCell::new(None),
            pump_waker: RefCell::new(None),
            closed: Cell::new(false),
        })
    }
}

impl<C> State<C> {
    /// A publication begins: its application's settings may have changed since the last one.
    pub(super) fn configure(&mut self, key: &StreamKey, settings: &Settings) {
        let application = settings.applications.of(key.application());
        self.media.set_keep(keep(application, settings.ring_frames));
        self.merge = application.merge;
        self.jumps_per_minute = application.jumps_per_minute;
    }

    /// Whether nobody needs the stream here any more.
    pub(super) fn is_unused(&self) -> bool {
        self.players.is_empty() && !matches!(self.source, Source::Local(_))
    }

    /// The local publication, if it is `publication`.
    pub(super) fn local(&mut self, publication: PublicationId) -> Option<&mut Local> {
        match &mut self.source {
            Source::Local(local) if local.publication == publication => Some(local),
            _ => None,
        }
    }
}
