//! Why a session ends, and by whose fault.

use core::fmt;

use crate::rtmp::amf::AmfError;
use crate::rtmp::chunk::decoder::ChunkError;
use crate::rtmp::handshake::HandshakeError;

/// Why a session cannot go on. Each says who is at fault, what was expected, and what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Another protocol, or an RTMP we do not speak.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The chunk stream cannot be read on.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command nests deeper or holds more values than allowed.
    #[error(transparent)]
    Amf(AmfError),
    /// A bound of [`crate::limits`].
    #[error("peer: expected at most {limit} {what}, got more")]
    Bound {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
}

/// Who did what, in three words for a log line and a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The peer does not speak RTMP (a port scan, a browser, a TLS client), or not ours (RTMPE).
    NotRtmp,
    /// The peer broke the protocol.
    Protocol,
    /// The peer crossed one of our bounds.
    Bound,
}

impl SessionError {
    /// Who is at fault.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Handshake(_) => Fault::NotRtmp,
            Self::Chunk(
                ChunkError::TooManyChunkStreams { .. }
                | ChunkError::MessageTooLong { .. }
                | ChunkError::TooMuchUnfinished,
            )
            | Self::Amf(_)
            | Self::Bound { .. } => Fault::Bound,
            Self::Chunk(_) => Fault::Protocol,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRtmp => "peer does not speak RTMP",
            Self::Protocol => "peer broke the protocol",
            Self::Bound => "peer crossed a bound",
        })
    }
}
