//! What a server's session tells the shell.

use crate::rtmp::command::{ConnectRequest, PlayStart, PublishKind, Transition};
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::shared_object::SharedObject;
use crate::rtmp::wire::WireMessage;

/// What a client asked for, or sent.
#[derive(Clone, Debug)]
pub enum Event {
    /// Answer with [`ServerSession::accept_connect`], [`ServerSession::reject_connect`] or
    /// [`ServerSession::redirect_connect`]; until then what follows is held back.
    ///
    /// [`ServerSession::accept_connect`]: super::ServerSession::accept_connect
    /// [`ServerSession::reject_connect`]: super::ServerSession::reject_connect
    /// [`ServerSession::redirect_connect`]: super::ServerSession::redirect_connect
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
        /// From where.
        start: PlayStart,
        /// How long, in the unit of a [`PlayStart::Recorded`]; 0 is one frame, none to the end.
        duration: Option<f64>,
        /// Whether to leave what played before, rather than append to it.
        reset: bool,
        /// `play2` of a message stream whose play was accepted: this one takes the place of the other, which
        /// `StreamClosed` has just ended. When the change is made, say so with `complete_transition`.
        transition: Option<Box<Transition>>,
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
        /// The next event is a play with `reset` false: it is to follow what plays here, rather than end it.
        append: bool,
    },
    /// pause(true/false). Answer with `confirm_pause`.
    Paused {
        /// Message stream.
        stream: MessageStreamId,
        /// Hold, or go on.
        paused: bool,
        /// Milliseconds.
        position: f64,
    },
    /// seek(ms). Answer with `confirm_seek` or `reject_seek`.
    SeekRequested {
        /// Message stream.
        stream: MessageStreamId,
        /// Milliseconds.
        position: f64,
    },
    /// getStreamLength, by a client that waits for the answer: `answer_length`.
    LengthRequested {
        /// Goes back with the answer.
        transaction: f64,
        /// Stream name, without query.
        name: String,
    },
    /// receiveAudio / receiveVideo. Answer one of true with `confirm_receive`.
    Receive {
        /// Message stream.
        stream: MessageStreamId,
        /// None: unchanged.
        audio: Option<bool>,
        /// None: unchanged.
        video: Option<bool>,
    },
    /// A shared object message. Nobody waits for an answer.
    SharedObject(Box<SharedObject>),
}

impl Event {
    /// The message stream it is about; none for `connect` and shared objects.
    pub fn stream(&self) -> Option<MessageStreamId> {
        match self {
            Self::ConnectRequested(_) | Self::LengthRequested { .. } | Self::SharedObject(_) => {
                None
            }
            Self::PublishRequested { stream, .. }
            | Self::PlayRequested { stream, .. }
            | Self::Media { stream, .. }
            | Self::MetadataCleared { stream }
            | Self::StreamClosed { stream, .. }
            | Self::Paused { stream, .. }
            | Self::SeekRequested { stream, .. }
            | Self::Receive { stream, .. } => Some(*stream),
        }
    }
}
