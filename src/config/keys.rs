//! The one table of keys. From it come what a file may say, the names of variables and flags, what is refused and in
//! which words, and the printed default. A new setting is a field and an entry here.

use core::fmt;

use super::Config;
use super::application::AppSettings;
use super::choice::{Backend, LogFormat, LogLevel, Missing, OnConflict, Record, RecordFormat};
use super::value::{Field, Kind, Setting};
use crate::limits;
use crate::time::Duration;

/// A section of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Section {
    /// `[server]`
    Server,
    /// `[limits]`
    Limits,
    /// `[logging]`
    Logging,
    /// `[[application]]`, once for each name or pattern.
    Application,
}

impl Section {
    /// All of them, in the order of the printed default.
    pub const ALL: [Self; 4] = [Self::Server, Self::Limits, Self::Logging, Self::Application];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Limits => "limits",
            Self::Logging => "logging",
            Self::Application => "application",
        }
    }

    /// What it is about, in the printed default.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Server => "The server as a whole.",
            Self::Limits => {
                "What peers may cost. Each that crosses a limit costs itself its connection, nobody else."
            }
            Self::Logging => "What is written to stderr.",
            Self::Application => {
                "Applications: what streams may have of their own. The application of rtmp://host/live/test is live. \
                 A section is for the application of its name, or for all whose names begin with what stands before \
                 the star. Key by key the most specific section that has it decides: the exact name, then the longest \
                 pattern. This one is for all, and what flags and the environment set."
            }
        }
    }
}

/// As the file spells it.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application => write!(f, "[[{}]]", self.name()),
            _ => write!(f, "[{}]", self.name()),
        }
    }
}

/// Where a key's value is kept.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// Once a server.
    Server {
        get: fn(&Config) -> Setting,
        set: fn(&mut Config, Setting),
    },
    /// Once an application.
    Application {
        get: fn(&AppSettings) -> Setting,
        set: fn(&mut AppSettings, Setting),
    },
}

/// One key of the configuration.
pub struct Key {
    /// Where it belongs in the file.
    pub section: Section,
    /// As the file spells it.
    pub name: &'static str,
    /// As variables and flags spell it, with underscores: unique among all sections.
    pub global: &'static str,
    /// What stands for its value in `--help`.
    pub placeholder: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether a running server keeps its old value until it is started anew.
    pub needs_restart: bool,
    pub(super) slot: Slot,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// With its section: `[server] shards`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.section, self.name)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.section, self.name) == (other.section, other.name)
    }
}

impl Key {
    const fn new(
        section: Section,
        name: &'static str,
        placeholder: &'static str,
        kind: Kind,
        slot: Slot,
        about: &'static str,
    ) -> Self {
        Self {
            section,
            name,
            global: name,
            placeholder,
            about,
            kind,
            needs_restart: false,
            slot,
        }
    }

    const fn called(self, global: &'static str) -> Self {
        Self { global, ..self }
    }

    const fn restart(self) -> Self {
        Self {
            needs_restart: true,
            ..self
        }
    }

    /// The key `name` of `section`.
    pub fn find(section: Section, name: &str) -> Option<&'static Self> {
        let mut keys = KEYS.iter();
        keys.find(|key| key.section == section && key.name == name)
    }

    /// The key `name` of applications.
    pub(super) fn of_applications(name: &str) -> Option<&'static Self> {
        Self::find(Section::Application, name)
    }

    /// As the environment spells it.
    pub fn variable(&self) -> String {
        format!("MILLSTREAM_{}", self.global.to_uppercase())
    }

    /// As the command line spells it, without the dashes before it.
    pub fn flag(&self) -> String {
        self.global.replace('_', "-")
    }

    /// Its value in `config`; that of an application's key is the one for every application.
    pub fn value(&self, config: &Config) -> Setting {
        match self.slot {
            Slot::Server { get, .. } => get(config),
            Slot::Application { get, .. } => get(&config.applications.every),
        }
    }

    /// Gives `to` the value that it has in `from`.
    pub fn copy(&self, from: &Config, to: &mut Config) {
        self.set(to, self.value(from));
    }

    /// Sets its value in `config`; that of an application's key for every application.
    pub(super) fn set(&self, config: &mut Config, setting: Setting) {
        match self.slot {
            Slot::Server { set, .. } => set(config, setting),
            Slot::Application { set, .. } => set(&mut config.applications.every, setting),
        }
    }
}

macro_rules! server {
    ($($field:ident).+) => {
        Slot::Server {
            get: |config| Field::get(&config.$($field).+),
            set: |config, setting| Field::set(&mut config.$($field).+, setting),
        }
    };
}

macro_rules! application {
    ($($field:ident).+) => {
        Slot::Application {
            get: |settings| Field::get(&settings.$($field).+),
            set: |settings, setting| Field::set(&mut settings.$($field).+, setting),
        }
    };
}

const fn whole(min: u64, max: u64) -> Kind {
    Kind::Whole { min, max }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn time(min: Duration, max: Duration) -> Kind {
    Kind::Time { min, max }
}

/// As many connections as all shards may have.
const CONNECTIONS_MAX: u64 = (limits::SHARDS_MAX * limits::CONNECTIONS_PER_SHARD) as u64;

/// Every key, section by section, in the order of the printed default.
pub static KEYS: &[Key] = &[
    Key::new(
        Section::Server,
        "listen",
        "ADDR",
        Kind::Addresses,
        server!(listen),
        "Where to accept RTMP connections, one address or several. \"[::]:1935\" hears IPv6 and IPv4; port 0 takes a \
         free one.",
    )
    .restart(),
    Key::new(
        Section::Server,
        "shards",
        "N",
        whole(0, limits::SHARDS_MAX as u64),
        server!(shards),
        "Threads that carry connections; 0 means one per core.",
    )
    .restart(),
    Key::new(
        Section::Server,
        "runtime",
        "NAME",
        Kind::Word(Backend::HERE),
        server!(runtime),
        "What carries connections: our reactor (shard, on Linux) or smol.",
    )
    .restart(),
    Key::new(
        Section::Server,
        "chunk_size",
        "BYTES",
        whole(1, limits::CHUNK_SIZE_SEND_MAX as u64),
        server!(chunk_size),
        "Payload bytes of the chunks we send.",
    )
    .restart(),
    Key::new(
        Section::Server,
        "strict_extended_timestamps",
        "BOOL",
        Kind::Flag,
        server!(strict_extended_timestamps),
        "Demand extended timestamps on every format 3 chunk, instead of looking who leaves them out.",
    ),
    Key::new(
        Section::Server,
        "peer_bandwidth",
        "BYTES",
        whole(limits::WINDOW_MIN as u64, u32::MAX as u64),
        server!(peer_bandwidth),
        "Set Peer Bandwidth, as announced to peers.",
    ),
    Key::new(
        Section::Server,
        "window_ack_size",
        "BYTES",
        whole(limits::WINDOW_MIN as u64, u32::MAX as u64),
        server!(window_ack_size),
        "Bytes after which a peer acknowledges.",
    ),
    Key::new(
        Section::Server,
        "drain",
        "TIME",
        time(Duration::ZERO, limits::DRAIN_MAX),
        server!(drain),
        "How long a graceful stop may take.",
    ),
    Key::new(
        Section::Server,
        "http",
        "ADDR",
        Kind::HttpListen,
        server!(http),
        "Where operators ask: metrics, streams, clients, and what to do with them. \"auto\" is 127.0.0.1:8935, or nowhere if \
         another program has that port. Beyond this machine (not 127.0.0.1 or [::1]) only with http_token.",
    )
    .restart(),
    Key::new(
        Section::Server,
        "http_token",
        "TOKEN",
        Kind::Token,
        server!(http_token),
        "What operators must show (Authorization: Bearer TOKEN). Better kept in the environment than in a file or a flag.",
    ),
    Key::new(
        Section::Server,
        "vod",
        "DIR",
        Kind::Directory,
        server!(vod),
        "A directory whose FLV, MP4 and F4V files are played as rtmp://host/vod/FILE; nothing means none.",
    ),
    Key::new(
        Section::Limits,
        "connections",
        "N",
        whole(0, CONNECTIONS_MAX),
        server!(limits.connections),
        "Connections in all; 0 means no limit. Whoever is one too many is closed at once.",
    ),
    Key::new(
        Section::Limits,
        "connections_per_address",
        "N",
        whole(0, CONNECTIONS_MAX),
        server!(limits.connections_per_address),
        "Connections from one address (IPv6: from one /64); 0 means no limit. Many may share an address behind a NAT.",
    ),
    Key::new(
        Section::Limits,
        "connects_per_second",
        "N",
        whole(0, limits::CONNECTS_PER_SECOND_MAX as u64),
        server!(limits.connects_per_second),
        "Connections a second from one address (IPv6: from one /64), of which as many may come at once; 0 means no limit.",
    ),
    Key::new(
        Section::Limits,
        "handshakes",
        "N",
        whole(0, CONNECTIONS_MAX),
        server!(limits.handshakes),
        "Connections whose handshake is not complete yet; 0 means no limit.",
    ),
    Key::new(
        Section::Limits,
        "handshake_time",
        "TIME",
        time(limits::PATIENCE_MIN, limits::PATIENCE_MAX),
        server!(limits.handshake_time),
        "How long a handshake may take.",
    ),
    Key::new(
        Section::Limits,
        "connect_time",
        "TIME",
        time(limits::PATIENCE_MIN, limits::PATIENCE_MAX),
        server!(limits.connect_time),
        "How long a peer may take from the handshake to its connect command.",
    ),
    Key::new(
        Section::Limits,
        "command_time",
        "TIME",
        time(limits::PATIENCE_MIN, limits::PATIENCE_MAX),
        server!(limits.command_time),
        "How long a peer may take from the handshake to its first publish or play.",
    ),
    Key::new(
        Section::Limits,
        "publisher_idle",
        "TIME",
        time(limits::PATIENCE_MIN, limits::PATIENCE_MAX),
        server!(limits.publisher_idle),
        "How long a publisher may be silent before it is taken for dead.",
    ),
    Key::new(
        Section::Limits,
        "write_stall",
        "TIME",
        time(limits::PATIENCE_MIN, limits::PATIENCE_MAX),
        server!(limits.write_stall),
        "How long a peer may take nothing while we have something for it.",
    ),
    Key::new(
        Section::Limits,
        "media_bytes",
        "SIZE",
        size(0, limits::MEDIA_BYTES_MAX),
        server!(limits.media_bytes),
        "Frames kept for players and for recordings in all, an equal part on each shard: beyond it the longest streams keep \
         less, and players that need what is gone jump. Of recordings whose disk is behind, a quarter of it may wait: \
         beyond that the end of one is lost. 0 means no limit.",
    ),
    Key::new(
        Section::Logging,
        "level",
        "LEVEL",
        Kind::Word(LogLevel::WORDS),
        server!(log),
        "How much is logged.",
    )
    .called("log")
    .restart(),
    Key::new(
        Section::Logging,
        "format",
        "WORD",
        Kind::Word(LogFormat::WORDS),
        server!(log_format),
        "What a line looks like: text for people, JSON for machines.",
    )
    .called("log_format")
    .restart(),
    Key::new(
        Section::Application,
        "gop_cache",
        "FRAMES",
        whole(0, limits::RING_FRAMES_MAX as u64),
        application!(gop_cache),
        "Frames kept for players that join later; 0 means none: they begin at the next keyframe.",
    ),
    Key::new(
        Section::Application,
        "gop_cache_bytes",
        "SIZE",
        size(0, limits::RING_BYTES_MAX),
        application!(gop_cache_bytes),
        "No more bytes of it for one player; 0 means whatever is kept.",
    ),
    Key::new(
        Section::Application,
        "gop_cache_time",
        "TIME",
        time(Duration::ZERO, limits::PATIENCE_MAX),
        application!(gop_cache_time),
        "And nothing older; \"0s\" means whatever is kept.",
    ),
    Key::new(
        Section::Application,
        "behind",
        "TIME",
        time(Duration::ZERO, limits::RING_AGE),
        application!(behind),
        "How far behind live a player begins, at the keyframe before that: its buffer is full at once. \"0s\" means at \
         the newest keyframe.",
    ),
    Key::new(
        Section::Application,
        "latency_max",
        "TIME",
        time(Duration::ZERO, limits::PATIENCE_MAX),
        application!(latency_max),
        "How far behind live a player may fall until it jumps to a newer keyframe; \"0s\" means as far as frames are kept.",
    ),
    Key::new(
        Section::Application,
        "player_bytes",
        "SIZE",
        size(limits::RING_BYTES_MIN, limits::RING_BYTES_MAX),
        application!(player_bytes),
        "Bytes a player may be behind until it jumps, which is what a stream keeps for all of its players together.",
    ),
    Key::new(
        Section::Application,
        "jumps_per_minute",
        "N",
        whole(0, limits::JUMPS_PER_MINUTE_MAX as u64),
        application!(jumps_per_minute),
        "How often a player may lose frames in a minute until it is cut off; 0 means as often as it likes.",
    ),
    Key::new(
        Section::Application,
        "bitrate_max",
        "KBIT",
        whole(0, u32::MAX as u64),
        application!(bitrate_max),
        "Kilobits a second that a publisher may send, over some seconds; 0 means no limit.",
    ),
    Key::new(
        Section::Application,
        "merge",
        "TIME",
        time(Duration::ZERO, limits::MERGE_MAX),
        application!(merge),
        "How long frames wait for others that leave in the same write: latency for CPU.",
    ),
    Key::new(
        Section::Application,
        "missing",
        "WORD",
        Kind::Word(Missing::WORDS),
        application!(missing),
        "What becomes of a player that comes when nobody publishes its stream: it waits, or it is refused.",
    ),
    Key::new(
        Section::Application,
        "wait_max",
        "TIME",
        time(Duration::ZERO, limits::PATIENCE_MAX),
        application!(wait_max),
        "How long such a player waits until it is refused after all; \"0s\" means as long as it likes.",
    ),
    Key::new(
        Section::Application,
        "on_conflict",
        "WORD",
        Kind::Word(OnConflict::WORDS),
        application!(on_conflict),
        "What becomes of a publisher whose name somebody publishes already: it is refused, it takes the name over, or it takes it over and may also come back after it vanished. Whoever may publish may take over.",
    ),
    Key::new(
        Section::Application,
        "grace",
        "TIME",
        time(Duration::ZERO, limits::GRACE_MAX),
        application!(grace),
        "How long a stream with on_conflict = \"resume\" waits for a publisher that vanished; its players notice nothing.",
    ),
    Key::new(
        Section::Application,
        "streams",
        "N",
        whole(0, limits::STREAMS_MAX as u64),
        application!(streams),
        "Streams published at a time in one application (one name, also of a pattern); 0 means no limit.",
    ),
    Key::new(
        Section::Application,
        "record_dir",
        "DIR",
        Kind::Directory,
        application!(record_dir),
        "Where streams are recorded; nothing means they are not. It is made if it does not exist.",
    )
    .called("record"),
    Key::new(
        Section::Application,
        "record",
        "WORD",
        Kind::Word(Record::WORDS),
        application!(record),
        "What is recorded, where there is a record_dir: nothing, every stream, or those that their publisher (type record or \
         append) or an operator wants recorded.",
    )
    .called("record_mode"),
    Key::new(
        Section::Application,
        "record_format",
        "WORD",
        Kind::Word(RecordFormat::WORDS),
        application!(record_format),
        "What recordings are made of: FLV, which takes whatever RTMP carries, MP4 (fragmented), or a file of both.",
    ),
    Key::new(
        Section::Application,
        "record_name",
        "PATTERN",
        Kind::Pattern,
        application!(record_name),
        "What they are called in record_dir, without the ending: {app}, {stream}, {date} and {time} (UTC), {n} (the number of \
         the file in its recording), letters, digits, . _ - and / between directories. Where a name is taken, a number \
         follows.",
    ),
    Key::new(
        Section::Application,
        "segment_time",
        "TIME",
        time(Duration::ZERO, limits::RECORD_TIME_MAX),
        application!(segment_time),
        "A file is no longer than that: the next one begins at the keyframe behind it. \"0s\" means one file a stream.",
    ),
    Key::new(
        Section::Application,
        "segment_bytes",
        "SIZE",
        size(0, u64::MAX >> 1),
        application!(segment_bytes),
        "Nor has it more bytes, likewise; 0 means any number.",
    ),
    Key::new(
        Section::Application,
        "record_keep_time",
        "TIME",
        time(Duration::ZERO, limits::RECORD_TIME_MAX),
        application!(record_keep_time),
        "Recordings that are older are removed; \"0s\" means that they stay. Other files in record_dir are left alone.",
    ),
    Key::new(
        Section::Application,
        "record_keep_bytes",
        "SIZE",
        size(0, u64::MAX >> 1),
        application!(record_keep_bytes),
        "The oldest recordings are removed, when all in record_dir have more bytes; 0 means that they stay.",
    ),
    Key::new(
        Section::Application,
        "record_buffer",
        "SIZE",
        size(limits::RECORD_BUFFER_MIN, limits::RECORD_BUFFER_MAX),
        application!(record_buffer),
        "Bytes of a recording that may wait for a slow disk, beside what the stream keeps for players; if that does not \
         suffice, the recording has a gap, and players notice nothing.",
    ),
];
