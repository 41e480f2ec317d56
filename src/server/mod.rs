//! The shell that joins protocol, media and runtime: control thread, data shards, connections, streams.
//!
//! ```text
//!  control ── accepts, hands sockets over round robin, owns the directory of names
//!     │ mailboxes (publish, play, close: never per frame)
//!  shard 0 … N-1 ── each: connections (one task each) and streams (one pump each); all `!Send`, no lock
//!     └─ shard ↔ shard: one message per read batch to each shard that has players of the stream
//! ```
//!
//! Generic over [`crate::runtime::Runtime`]: the same code runs in production and in the simulator.

mod backoff;
mod connection;
pub mod control;
mod deadline;
mod desk;
pub mod event;
pub mod gate;
mod handover;
pub mod http;
mod inbox;
pub mod message;
pub mod meters;
mod outbox;
mod play;
mod publish;
mod record;
pub mod report;
pub mod shard;
mod stream;
#[cfg(test)]
mod tests;
mod vod;

#[cfg(feature = "production")]
mod builder;
#[cfg(feature = "production")]
mod ear;
#[cfg(feature = "production")]
pub use builder::{Builder, Server, StartError};
#[cfg(feature = "production")]
pub use ear::Reloader;
pub use event::{Event, EventSink};
pub use message::{OperatorHandle, ReloadHandle, World, world};

use std::path::PathBuf;

use crate::config::{AppTable, ConnectionLimits, Directory, Token};
use crate::limits;
use crate::media::directory::StreamKey;
#[cfg(feature = "production")]
use crate::runtime::RawSocket;
use crate::time::Duration;

/// What the server needs to know of its configuration, already valid.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chunk size of everything we send, 1..=[`limits::CHUNK_SIZE_SEND_MAX`] bytes.
    pub chunk_size: u32,
    /// Whether extended timestamps are demanded on every format 3 chunk: see [`crate::config::Config`].
    pub strict_extended_timestamps: bool,
    /// What connections may cost.
    pub limits: ConnectionLimits,
    /// What streams have of their own, by application.
    pub applications: AppTable,
    /// Frames a stream's ring holds at most, should its `gop_cache` not ask for more.
    pub ring_frames: usize,
    /// Messages that may wait in another shard's mailbox before frames for it are left for later.
    pub mailbox_backlog: usize,
    /// Set Peer Bandwidth we announce, bytes.
    pub peer_bandwidth: u32,
    /// Window Acknowledgement Size we announce, bytes.
    pub window_ack_size: u32,
    /// How long a graceful stop waits for connections to drain.
    pub drain: Duration,
    /// What operators must show.
    pub http_token: Token,
    /// Files that are played under the application `vod`; empty: none.
    pub vod: Directory,
}

/// The application whose streams are files, and the slash behind it.
const VOD: &str = "vod/";

impl Settings {
    /// The name of the file that `key` means, if files are played and it means one.
    fn file_of<'k>(&self, key: &'k StreamKey) -> Option<&'k str> {
        self.vod.path()?;
        key.as_str().strip_prefix(VOD)
    }

    /// Where files are that may be played: those of the operator, then what was recorded.
    fn file_directories(&self) -> Vec<PathBuf> {
        let recorded = &self.applications.of(VOD).record_dir;
        let all = [self.vod.path(), recorded.path()];
        all.into_iter().flatten().map(PathBuf::from).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chunk_size: limits::CHUNK_SIZE_DEFAULT,
            strict_extended_timestamps: false,
            limits: ConnectionLimits::default(),
            applications: AppTable::default(),
            ring_frames: limits::RING_FRAMES_DEFAULT,
            mailbox_backlog: limits::MAILBOX_BACKLOG,
            peer_bandwidth: limits::PEER_BANDWIDTH_DEFAULT,
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            drain: limits::DRAIN_DEFAULT,
            http_token: Token::default(),
            vod: Directory::default(),
        }
    }
}
