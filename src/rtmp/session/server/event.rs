//! What a server's session tells the shell.

use crate::rtmp::command::{ConnectRequest, PublishKind};
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::wire::WireMessage;

/// What a client asked for, or sent.
#[derive(Clone, Debug)]
pub enum Event {
    /// Answer with [`ServerSession::accept_connect`] or [`ServerSession::reject_connect`]; until then what follows is
    /// held back.
    ///
    /// [`ServerSession::accept_connect`]: super::ServerSession::accept_connect
    /// [`ServerSession::reject_connect`]: super::ServerSession::reject_connect
    ConnectRequested(Box<ConnectRequest>),
    /// Answer with `accept_publish` or `reject_publish`.
    PublishRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Stream name, without query.
        name: String,
        /// Behind `?`.
        query: String,
        /// live, record, append.
        kind: PublishKind,
    },
    /// Answer with `accept_play` or `reject_play`.
    PlayRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Stream name, without query.
        name: String,
        /// Behind `?`.
        query: String,
        /// As sent: -2 live or recorded, -1 live, ≥0 recorded.
        start: f64,
    },
    /// Audio, video or data on a message stream that has asked to publish (also before it was accepted).
    Media {
        /// Message stream.
        stream: MessageStreamId,
        /// The message.
        message: WireMessage,
    },
    /// `@clearDataFrame`.
    MetadataCleared {
        /// Message stream.
        stream: MessageStreamId,
    },
    /// The stream's publish or play has ended: FCUnpublish of its name, closeStream, deleteStream, close,
    /// publish(false), play(false), or another publish/play on the same message stream. Sent once per accepted or
    /// requested role, not for one that we ended ourselves.
    StreamClosed {
        /// Message stream.
        stream: MessageStreamId,
    },
    /// pause(true/false).
    Paused {
        /// Message stream.
        stream: MessageStreamId,
        /// Hold, or go on.
        paused: bool,
        /// Milliseconds.
        position: f64,
    },
    /// seek(ms).
    SeekRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Milliseconds.
        position: f64,
    },
    /// receiveAudio / receiveVideo.
    Receive {
        /// Message stream.
        stream: MessageStreamId,
        /// None: unchanged.
        audio: Option<bool>,
        /// None: unchanged.
        video: Option<bool>,
    },
}

impl Event {
    /// The message stream it is about; none for `connect`.
    pub fn stream(&self) -> Option<MessageStreamId> {
        match self {
            Self::ConnectRequested(_) => None,
            Self::PublishRequested { stream, .. }
            | Self::PlayRequested { stream, .. }
            | Self::Media { stream, .. }
            | Self::MetadataCleared { stream }
            | Self::StreamClosed { stream }
            | Self::Paused { stream, .. }
            | Self::SeekRequested { stream, .. }
            | Self::Receive { stream, .. } => Some(*stream),
        }
    }

    /// The message stream of a publish or play that waits for an answer.
    pub(super) fn requested(&self) -> Option<MessageStreamId> {
        match self {
            Self::PublishRequested { stream, .. } | Self::PlayRequested { stream, .. } => {
                Some(*stream)
            }
            _ => None,
        }
    }
}
