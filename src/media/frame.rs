//! What a payload is: sequence header, keyframe, inter frame, audio, data; and of which tracks.
//!
//! * [`classify`]: what a message is by itself; what is unknown is passed on, never an error.
//! * [`enhanced`]: the headers of Enhanced RTMP v2.
//! * [`Frame`]: a message in its stream, where it also counts what came before ([`super::stream`]).

pub mod classify;
pub mod codec;
pub mod enhanced;
mod fuzz;
mod payload;
mod tracks;

#[doc(hidden)]
pub use fuzz::fuzz_enhanced;
pub use payload::Payload;
pub use tracks::TrackSet;

use crate::rtmp::wire::WireMessage;

/// What a message is to the players of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// `onMetaData`, a decoder configuration and the like: who joins later gets it, too.
    Header,
    /// Any other data message: passed on, not kept.
    Data,
    /// A picture of the stream's leading video track that needs no other: where a GOP begins.
    Keyframe,
    /// A picture that needs others, or one of another track.
    Inter,
    /// Sound.
    Audio,
    /// What is none of these, as commands and what nobody has heard of: passed on as long as nothing is missing
    /// before it.
    Other,
}

/// A message and what it is.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The message as it leaves.
    pub message: WireMessage,
    /// What it is in its stream.
    pub kind: FrameKind,
}
