//! Chunk streams (RTMP 1.0 §5.3, errata §4–6): messages cut into chunks, interleaved, with headers that lean on the
//! one before.
//!
//! * [`decoder`]: chunks in, messages out; payload is copied once, to where it stays.
//! * [`encoder`]: messages in, chunks out, for what one connection alone gets.
//! * What all players of a stream share is laid out by [`super::wire`].

pub mod decoder;
pub mod encoder;
mod error;
mod header;

/// Protocol control messages (RTMP 1.0 §5.4 demands 2). The encoder always starts with fmt 0 here, so that shared
/// notices may use it as well.
pub const CSID_CONTROL: u32 = 2;
/// Commands and replies on message stream 0, by everybody's habit.
pub const CSID_COMMAND: u32 = 3;
/// Audio in [`super::wire`].
pub const CSID_AUDIO: u32 = 4;
/// Data in [`super::wire`].
pub const CSID_DATA: u32 = 5;
/// Video in [`super::wire`].
pub const CSID_VIDEO: u32 = 6;
/// Commands on a message stream, such as onStatus (FFmpeg's choice).
pub const CSID_STREAM: u32 = 8;
/// Commands in bytes made once for many connections: never the encoder's, whose headers lean on what went before.
pub const CSID_NOTICE: u32 = 9;

/// A 24-bit timestamp field of this value says that the 32-bit extended one follows (RTMP 1.0 §5.3.1.3).
pub(crate) const EXTENDED: u32 = 0x00FF_FFFF;
/// The longest message its header can declare, in bytes.
pub(crate) const MESSAGE_LENGTH_MAX: u32 = 0x00FF_FFFF;
