//! What an embedding program hears of: the predecessor's events under their old names, typed.

use core::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use crate::media::directory::StreamKey;
use crate::runtime::SocketAddr;
use crate::time::Duration;

/// A connection's number: unique in a server's life, in order of acceptance.
pub type ConnectionId = u64;

/// Something happened to a stream. Delivered on the shard's thread: a handler must not block.
#[derive(Clone, Debug)]
pub enum Event {
    /// `publish.start`: a publisher was let in.
    PublishStart(Party),
    /// `publish.stop`: it has gone, for whatever reason. Exactly one for each start.
    PublishStop(Party),
    /// `play.start`: a player was let in, be the stream live or not.
    PlayStart(Party),
    /// `play.stop`: it has gone. Exactly one for each start.
    PlayStop(Party),
    /// `record.start`: a stream is being recorded. The party is its publisher.
    RecordStart(Party),
    /// `record.segment`: a file is complete.
    RecordSegment(Party, Recorded),
    /// `record.stop`: it is not recorded any more, and what could be written is. Exactly one for each start, unless the
    /// server stops first.
    RecordStop(Party),
    /// `record.failure`: the disk has refused something, and goes on being asked. Once for each trouble.
    RecordFailure(Party, Failure),
}

/// A file of a recording that is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is, bytes.
    pub bytes: u64,
    /// How long it plays.
    pub duration: Duration,
}

/// What a disk has refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was to be done, such as `write`.
    pub what: &'static str,
    /// Why not.
    pub kind: io::ErrorKind,
}

/// Who did it, and to which stream.
#[derive(Clone, Debug)]
pub struct Party {
    /// `app/name`.
    pub stream: StreamKey,
    /// The connection.
    pub connection: ConnectionId,
    /// Its address.
    pub peer: SocketAddr,
}

impl Event {
    /// The predecessor's name of this event, e.g. `publish.start`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PublishStart(_) => "publish.start",
            Self::PublishStop(_) => "publish.stop",
            Self::PlayStart(_) => "play.start",
            Self::PlayStop(_) => "play.stop",
            Self::RecordStart(_) => "record.start",
            Self::RecordSegment(..) => "record.segment",
            Self::RecordStop(_) => "record.stop",
            Self::RecordFailure(..) => "record.failure",
        }
    }

    /// Who, and which stream.
    pub fn party(&self) -> &Party {
        match self {
            Self::PublishStart(p)
            | Self::PublishStop(p)
            | Self::PlayStart(p)
            | Self::PlayStop(p)
            | Self::RecordStart(p)
            | Self::RecordSegment(p, _)
            | Self::RecordStop(p)
            | Self::RecordFailure(p, _) => p,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = self.party();
        write!(
            f,
            "{} {} by connection {} ({})",
            self.name(),
            party.stream,
            party.connection,
            party.peer
        )?;
        match self {
            Self::RecordSegment(_, file) => write!(
                f,
                ": {} has {} bytes and {} ms",
                file.path.display(),
                file.bytes,
                file.duration.as_millis()
            ),
            Self::RecordFailure(_, failure) => {
                write!(f, ": cannot {}: {}", failure.what, failure.kind)
            }
            _ => Ok(()),
        }
    }
}

/// Where events go; shared by every shard.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    /// Sends every event to `handler`.
    pub fn new(handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(handler))
    }

    /// Calls the handler. Its panic is its own: it may come while a connection is being dropped, where another
    /// panic would end the process.
    pub(super) fn emit(&self, event: &Event) {
        if catch_unwind(AssertUnwindSafe(|| (self.0)(event))).is_err() {
            tracing::error!(%event, "the program's event handler panicked; the server goes on");
        }
    }
}

impl Default for EventSink {
    /// Nobody listens.
    fn default() -> Self {
        Self::new(|_| ())
    }
}
