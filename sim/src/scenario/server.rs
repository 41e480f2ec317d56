//! The server's settings in a scenario.

use millstream::config::{AppSettings, AppTable, Directory, Missing, OnConflict, RecordFormat};
use millstream::limits;
use millstream::server::Settings;
use millstream::time::Duration;
use serde::{Deserialize, Serialize};

/// Settings of the server; `None` leaves its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Chunk size of everything it sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u32>,
    /// Frames of the past a new player may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gop_cache: Option<usize>,
    /// Frames a stream's ring holds, should the cache not need more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_frames: Option<usize>,
    /// Messages that may wait in a shard's mailbox before frames for it are left for later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox_backlog: Option<usize>,
    /// How long frames wait for others that leave with them, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_ms: Option<u64>,
    /// The application `few`, if it has something of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<Few>,
    /// The application `tight`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tight: Option<Tight>,
    /// Bytes of frames that it keeps in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_bytes: Option<u64>,
    /// Connections it serves at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Connections from one address that it serves at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<usize>,
    /// Connections a second that it lets in from one address at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connects_per_second: Option<u32>,
    /// Window Acknowledgement Size it announces, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ack_size: Option<u32>,
    /// How long a graceful stop waits, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_ms: Option<u64>,
    /// What becomes of the second publisher of a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<Conflict>,
    /// How long a stream waits for a publisher that vanished, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Every stream is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// How streams are recorded. Where that is not in FLV alone, broadcasts have to be such as MP4 takes
/// ([`super::SendMedia::decodable`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// How long files get, milliseconds; 0: as long as the stream.
    pub segment_ms: u64,
    /// How large they get, bytes; 0: as large as the stream.
    pub segment_bytes: u64,
    /// What is recorded is called by its application and its stream alone, and played as `vod/APPLICATION/STREAM`.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub vod: bool,
    /// What their files are made of.
    #[serde(default, skip_serializing_if = "Format::is_flv")]
    pub format: Format,
}

/// The server's [`RecordFormat`], as a file has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// FLV.
    #[default]
    Flv,
    /// Fragmented MP4.
    Mp4,
    /// A file of each.
    Both,
}

impl Format {
    /// Whether it is FLV alone.
    pub fn is_flv(&self) -> bool {
        *self == Self::Flv
    }

    fn server(self) -> RecordFormat {
        match self {
            Self::Flv => RecordFormat::Flv,
            Self::Mp4 => RecordFormat::Mp4,
            Self::Both => RecordFormat::Both,
        }
    }
}

/// Where they are recorded.
pub const RECORDINGS: &str = "/recordings";
/// Where the operator's own files are: none.
const FILMS: &str = "/films";

/// The server's [`OnConflict`], as a file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// It is refused.
    Refuse,
    /// It takes the name over.
    Takeover,
    /// The same, and one that vanished may come back.
    Resume,
}

/// What the application `few` has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Few {
    /// Streams it may have.
    pub streams: usize,
    /// How long a player waits for a publisher, milliseconds; `None`: it is refused at once.
    pub wait_max_ms: Option<u64>,
}

/// What the application `tight` bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tight {
    /// How far behind live a player may fall, milliseconds.
    pub latency_max_ms: u64,
    /// How often a minute it may lose frames.
    pub jumps_per_minute: u32,
    /// Kilobits a second of a publisher.
    pub bitrate_max: u32,
    /// How old a picture a joiner may be given, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gop_cache_ms: Option<u64>,
    /// How far behind live a joiner begins, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_ms: Option<u64>,
}

impl ServerConfig {
    /// As the server takes them.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        let mut every = AppSettings::default();
        let millis = |time: u64| Duration::from_millis(time);
        set(&mut settings.chunk_size, self.chunk_size);
        set(&mut every.gop_cache, self.gop_cache);
        set(&mut settings.ring_frames, self.ring_frames);
        set(&mut settings.mailbox_backlog, self.mailbox_backlog);
        set(&mut every.merge, self.merge_ms.map(millis));
        every.on_conflict = self.on_conflict();
        every.grace = self.grace();
        let limits = &mut settings.limits;
        set(&mut limits.media_bytes, self.media_bytes);
        set(&mut limits.connections, self.connections);
        set(
            &mut limits.connections_per_address,
            self.connections_per_address,
        );
        set(&mut limits.connects_per_second, self.connects_per_second);
        set(&mut settings.window_ack_size, self.window_ack_size);
        set(&mut settings.drain, self.drain_ms.map(millis));
        if self.ring_frames.is_some() {
            every.jumps_per_minute = 0; // of a small ring one loses frames all the time
        }
        if let Some(record) = self.record {
            set(&mut every.record_dir, Directory::new(RECORDINGS));
            every.segment_time = millis(record.segment_ms);
            every.segment_bytes = record.segment_bytes;
            every.record_format = record.format.server();
            if record.vod {
                set(&mut settings.vod, Directory::new(FILMS));
                set(&mut every.record_name, "{app}/{stream}".parse().ok());
            }
        }
        let few = self.few.map(|few| AppSettings {
            streams: few.streams,
            missing: match few.wait_max_ms {
                Some(_) => Missing::Wait,
                None => Missing::Refuse,
            },
            wait_max: millis(few.wait_max_ms.unwrap_or(0)),
            ..every.clone()
        });
        let tight = self.tight.map(|tight| AppSettings {
            gop_cache: limits::RING_FRAMES_DEFAULT,
            latency_max: millis(tight.latency_max_ms),
            jumps_per_minute: tight.jumps_per_minute,
            bitrate_max: tight.bitrate_max,
            gop_cache_time: millis(tight.gop_cache_ms.unwrap_or(0)),
            behind: millis(tight.behind_ms.unwrap_or(0)),
            ..every.clone()
        });
        settings.applications = AppTable::of_every(every);
        if let Some(tight) = tight {
            settings.applications.insert("tight", tight);
        }
        if let Some(few) = few {
            settings.applications.insert("few", few);
        }
        settings
    }

    /// The policy.
    pub fn on_conflict(&self) -> OnConflict {
        match self.on_conflict {
            None | Some(Conflict::Refuse) => OnConflict::Refuse,
            Some(Conflict::Takeover) => OnConflict::Takeover,
            Some(Conflict::Resume) => OnConflict::Resume,
        }
    }

    /// How long a stream waits for its publisher: not at all, unless it may come back.
    pub fn grace(&self) -> Duration {
        match self.on_conflict() {
            OnConflict::Resume => self
                .grace_ms
                .map_or(limits::GRACE_DEFAULT, Duration::from_millis),
            _ => Duration::ZERO,
        }
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
