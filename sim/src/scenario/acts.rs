//! What clients do that few encoders and players do, and a server must bear: each a part of a step.

use serde::{Deserialize, Serialize};

use super::hex;

/// Where a connection ends, whatever is being said at that byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Bytes the connection still sends.
    pub after: u64,
    /// How it ends then.
    pub how: CutKind,
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutKind {
    /// With a RST.
    Rst,
    /// Both directions closed, as a killed process leaves it.
    Fin,
    /// FIN, and it goes on reading.
    HalfClose,
}

/// How media becomes chunks, where the session would do it otherwise. The default leaves it to the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chunking {
    /// The chunk stream of video; audio and data have the next two. 0 leaves everything to the session.
    pub csid: u32,
    /// Chunks of audio stand among the chunks of the picture behind it.
    #[serde(skip_serializing_if = "super::is_false")]
    pub interleave: bool,
    /// The chunk size changes in the middle of each message that is longer than a chunk: to these in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resize: Vec<u32>,
    /// Every third message that is longer than a chunk is begun, taken back, and sent anew.
    #[serde(skip_serializing_if = "super::is_false")]
    pub take_back: bool,
    /// Every header is whole (format 0).
    #[serde(skip_serializing_if = "super::is_false")]
    pub full_headers: bool,
    /// Continuations leave the extended timestamp out, as encoders of 2009 do.
    #[serde(skip_serializing_if = "super::is_false")]
    pub omit_extended: bool,
}

impl Chunking {
    /// Whether it is left to the session.
    pub fn is_sessions(&self) -> bool {
        self.csid == 0
    }
}

/// A message that a session may send at any time, and does not by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tell {
    /// Wants to hear of every so many bytes that they came.
    WindowAckSize(u32),
    /// Limits what the server may have under way.
    PeerBandwidth {
        /// Bytes.
        size: u32,
        /// 0 hard, 1 soft, 2 dynamic, and others that nobody defined.
        limit: u8,
    },
    /// Says that so many bytes came, true or not.
    Acknowledgement(u32),
    /// So many ping requests at once.
    Pings(u16),
    /// Says how long it buffers, milliseconds, of a message stream that it may not have.
    BufferLength {
        /// Message stream.
        stream: u32,
        /// Milliseconds.
        ms: u32,
    },
    /// A message of any type, on message stream 0.
    Message {
        /// Message type id.
        type_id: u8,
        /// Its payload.
        #[serde(with = "hex")]
        payload: Vec<u8>,
    },
}

/// Which recording is played, and what of it. It need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct View {
    /// Application and stream as they were published; `-2` and so on behind that are the files that followed the first.
    pub name: String,
    /// From where, milliseconds. (A server takes what lies behind the end for another unit.)
    pub start_ms: u64,
    /// For how long, milliseconds; none: to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// How a publish or play ends while its connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `deleteStream` alone.
    DeleteStream,
    /// `closeStream`: the message stream stays.
    CloseStream,
    /// `FCUnpublish` alone: the message stream stays.
    FcUnpublish,
    /// `FCUnpublish`, `closeStream`, `deleteStream`, as FMLE does.
    All,
    /// Another `publish` or `play`, with `false` for a name.
    False,
}

/// Something an operator wants of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervention {
    /// When, milliseconds from the start.
    pub at_ms: u64,
    /// What. Nothing happens if there is nobody, or nothing, of the name at that time.
    pub order: Order,
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// To close the present connection of this script.
    Kick(String),
    /// To end what is published as this: application and stream.
    EndStream(String),
}

/// Bytes that no session would send, made from few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Garbage {
    /// What it looks like.
    pub kind: GarbageKind,
    /// How much: bytes, or whatever the kind counts.
    pub size: u32,
    /// Its bytes come from it.
    #[serde(default)]
    pub seed: u64,
}

/// What garbage looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GarbageKind {
    /// So many bytes of anything.
    Random,
    /// A request of a browser.
    Http,
    /// The beginning of a TLS handshake, and so many bytes of anything.
    Tls,
    /// The first so many bytes of C0, C1 and C2; 3,073 are a whole simple handshake.
    Handshake,
    /// The header of a command of 16 MiB, and so many bytes of it.
    LongCommand,
    /// The header of a picture of 16 MiB, and so many bytes of it.
    LongPicture,
    /// A chunk size of 0, or with the highest bit set, by its seed.
    BadChunkSize,
    /// A chunk that leans on a header that was never sent.
    FreshChunk,
    /// So many chunk streams.
    ManyChunkStreams,
    /// A command with so many objects or arrays in one another.
    DeepAmf,
    /// A command with so many values.
    WideAmf,
    /// A command whose array says it had 4 billion members, and has so many.
    HugeArray,
    /// A command with a string of so many bytes.
    LongString,
    /// So many calls of `createStream`.
    ManyStreams,
    /// `play` of a name of so many bytes.
    LongName,
}

impl GarbageKind {
    /// What breaks a session that stands.
    pub const BREAKS: [Self; 9] = [
        Self::LongCommand,
        Self::LongPicture,
        Self::BadChunkSize,
        Self::FreshChunk,
        Self::ManyChunkStreams,
        Self::DeepAmf,
        Self::WideAmf,
        Self::ManyStreams,
        Self::LongName,
    ];
}

impl Garbage {
    /// Whether no server may go on with a connection that has sent this behind its `connect`.
    pub fn is_fatal(&self) -> bool {
        use millstream::limits;
        let size = self.size as usize;
        match self.kind {
            GarbageKind::LongCommand
            | GarbageKind::LongPicture
            | GarbageKind::BadChunkSize
            | GarbageKind::FreshChunk => true,
            GarbageKind::ManyChunkStreams => size > limits::CHUNK_STREAMS,
            GarbageKind::DeepAmf => size > limits::AMF_DEPTH,
            GarbageKind::WideAmf => size > limits::AMF_VALUES,
            GarbageKind::ManyStreams => size > limits::MESSAGE_STREAMS,
            GarbageKind::LongName => size > limits::NAME_BYTES,
            _ => false,
        }
    }
}
