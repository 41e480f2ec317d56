//! The server's settings in a scenario.

use millstream::config::{AppSettings, AppTable, Missing};
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
        let limits = &mut settings.limits;
        set(&mut limits.connections, self.connections);
        set(
            &mut limits.connections_per_address,
            self.connections_per_address,
        );
        set(&mut limits.connects_per_second, self.connects_per_second);
        set(&mut settings.window_ack_size, self.window_ack_size);
        set(&mut settings.drain, self.drain_ms.map(millis));
        let few = self.few.map(|few| AppSettings {
            streams: few.streams,
            missing: match few.wait_max_ms {
                Some(_) => Missing::Wait,
                None => Missing::Refuse,
            },
            wait_max: millis(few.wait_max_ms.unwrap_or(0)),
            ..every.clone()
        });
        settings.applications = AppTable::of_every(every);
        if let Some(few) = few {
            settings.applications.insert("few", few);
        }
        settings
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
