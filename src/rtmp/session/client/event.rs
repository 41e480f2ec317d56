//! What a client's session tells its owner.

use bytes::Bytes;

use crate::rtmp::amf::Value;
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

/// What the server did.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Handshake done.
    Established,
    /// NetConnection.Connect.Success.
    Connected,
    /// createStream answered.
    StreamCreated {
        /// its number
        stream: MessageStreamId,
    },
    /// `_error` to connect or createStream, or onStatus of level error.
    Refused {
        /// code
        code: String,
        /// description; Adobe's authentication speaks through it
        description: String,
    },
    /// The server sends us elsewhere: `ex.redirect` in a refusal (SRS), or Enhanced RTMP's ReconnectRequest, which lets
    /// us finish first. `_error` or status of it follow as their own event.
    Redirected {
        /// The URL to go to; may be relative in a ReconnectRequest, and empty for the same.
        tc_url: String,
    },
    /// onStatus.
    Status {
        /// message stream
        stream: MessageStreamId,
        /// level
        level: String,
        /// code
        code: String,
        /// description
        description: String,
    },
    /// The answer to a [`ClientSession::call`].
    ///
    /// [`ClientSession::call`]: super::ClientSession::call
    Answered {
        /// its number
        transaction: f64,
        /// whether it was `_result`, not `_error`
        granted: bool,
        /// what stands behind the command object; null if nothing
        value: Value,
    },
    /// User control StreamBegin (0), StreamEOF (1), StreamDry (2), StreamIsRecorded (4), buffer empty (31) and ready
    /// (32).
    Control {
        /// event type
        event: u16,
        /// message stream
        stream: MessageStreamId,
    },
    /// A media or data message.
    Media {
        /// message stream
        stream: MessageStreamId,
        /// kind
        kind: MediaKind,
        /// time
        timestamp: Timestamp,
        /// payload
        payload: Bytes,
    },
    /// The server's new chunk size.
    ChunkSize(u32),
    /// An acknowledgement's sequence number.
    Acknowledged(u32),
}
