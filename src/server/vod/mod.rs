//! Recordings and other files, played.
//!
//! * [`names`]: which file a client means.
//! * [`newest`]: the newest recording of a stream.
//! * [`blocks`]: what was read of files lately, kept for all viewers of a shard.
//! * [`source`]: an opened file, one for all its viewers on a shard.
//! * [`viewing`]: one viewer, as its connection holds it: what it asks for.
//! * [`projector`]: and its task: how fast it is served.
//! * [`past`]: players of a live stream that is recorded, while they are back in its past.
//!
//! A viewer is a task of its connection's shard: it asks the file for its next message, waits until that is due, and puts
//! it into the connection's outbox. What is read comes from the disk in blocks, so that a hundred viewers of one place
//! cost one read. Nothing here is on the path of a live frame.

mod blocks;
mod names;
mod newest;
mod past;
mod projector;
mod source;
mod viewing;

pub(super) use past::{Past, Recorded, part};
pub(super) use source::{Library, OpenError, Source};
pub(super) use viewing::{Controls, Had, Item, Last, Viewing};
