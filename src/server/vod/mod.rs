//! Recordings and other files, played.
//!
//! * [`names`]: which file a client means.
//! * [`blocks`]: what was read of files lately, kept for all viewers of a shard.
//! * [`source`]: an opened file, one for all its viewers on a shard.
//! * [`viewing`]: one viewer: what it asks for, and how fast it is served.
//!
//! A viewer is a task of its connection's shard: it asks the file for its next message, waits until that is due, and puts
//! it into the connection's outbox. What is read comes from the disk in blocks, so that a hundred viewers of one place
//! cost one read. Nothing here is on the path of a live frame.

mod blocks;
mod names;
mod source;
mod viewing;

pub(super) use source::{Library, OpenError, Source};
pub(super) use viewing::{Item, Viewing};
