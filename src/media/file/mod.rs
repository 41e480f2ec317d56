//! What recordings and played files have in common, whatever their container. All of it without IO.
//!
//! * [`Muxer`]: messages in, bytes to append out; at the end, [`Patch`]es to what was written before.
//! * [`Task`]: work on a file that says which bytes it wants: opening one, repairing one that was not finished.
//! * [`MediaFile`]: an opened file, one for all its viewers; each has a cursor of its own.
//! * [`SyncIndex`]: where one may begin in a file, kept while it is written and found when it is opened.
//!
//! Whoever has the bytes calls again and again, with what was asked for last:
//!
//! ```ignore
//! let mut input = Vec::new();
//! let file = loop {
//!     match task.step(&input)? {
//!         Step::Read { offset, len } => input = read_at(offset, len), // fewer bytes where the file ends
//!         Step::Done(file) => break file,
//!     }
//! };
//! ```
//!
//! Reads are small and as exact as can be: who has many viewers of a file reads and keeps blocks, and answers from them.
//!
//! Errors are each container's own type, with the byte at which the file is wrong; the file, or who wrote it, is at fault.
//! After one there is no way on with that task or cursor; the opened file itself, and its other cursors, may be used on.

pub mod any;
pub mod index;

use bytes::Bytes;

pub use index::{Sync, SyncIndex};

use crate::rtmp::wire::{MediaKind, WireMessage};

/// What a task or a cursor needs, or what it came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step<T> {
    /// These bytes of the file are wanted with the next call. Where the file ends before `offset + len`, those there are.
    Read {
        /// From here on.
        offset: u64,
        /// How many; never 0, and bounded by [`crate::limits`].
        len: usize,
    },
    /// It is done.
    Done(T),
}

/// Work on a file that needs bytes of it.
pub trait Task {
    /// What it comes to.
    type Output;
    /// What can be wrong with the file.
    type Error;

    /// Goes on with `input`: what was asked for last, or as much of it as the file has; at first nothing.
    ///
    /// # Errors
    /// The file is none of this container, or beyond repair.
    fn step(&mut self, input: &[u8]) -> Result<Step<Self::Output>, Self::Error>;
}

/// Bytes that are written over some that were written before. It never makes a file longer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patch {
    /// Where.
    pub offset: u64,
    /// With what.
    pub bytes: Vec<u8>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It is in the file, or will be with the next flush.
    Taken,
    /// The container has no place for it (an unknown codec, data in MP4): it is left out, and counted by the recorder.
    LeftOut,
    /// This file cannot go on with it (another codec or size in MP4, the end of FLV's clock). Nothing was taken: finish
    /// the file, and push it to the next.
    NewSegment,
}

/// Writes a file, from messages in their order. It never sees the file: what it appends to `out` is to be appended to it.
///
/// What it holds is bounded ([`crate::limits`]).
pub trait Muxer {
    /// The beginning of the file. `prelude`: the metadata and the sequence headers in force, in the order a player that
    /// joins gets them. Called once, before anything else.
    fn begin(&mut self, prelude: &[WireMessage], out: &mut Vec<u8>);

    /// Takes a message that belongs `time` milliseconds behind the file's beginning (the message's own timestamp does
    /// not count). A file's first picture should be a keyframe.
    fn push(&mut self, message: &WireMessage, time: u64, out: &mut Vec<u8>) -> Pushed;

    /// Everything taken so far has to be in `out`, and playable: a fragment ends here.
    fn flush(&mut self, out: &mut Vec<u8>);

    /// The file is complete: the last bytes, and what is to be patched once they are on the disk. If the patches are
    /// written in part, or not at all, the file can still be repaired.
    fn finish(&mut self, out: &mut Vec<u8>) -> Vec<Patch>;

    /// Where one may begin in what was written so far: for viewers of a file that still grows.
    fn index(&self) -> &SyncIndex;

    /// The time behind the newest message, milliseconds: the file's duration so far.
    fn duration(&self) -> u64;
}

/// How an unfinished file becomes a finished one: truncate, sync, patch, sync, rename.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The file's length from now on: the end of the last thing that is whole. Never more than it was.
    pub len: u64,
    /// What is to be written over it; inside `len`, but for MP4's index, which begins there and is written behind it.
    pub patches: Vec<Patch>,
    /// Its duration, milliseconds.
    pub duration: u64,
    /// It holds no sound and no picture: there is nothing to keep.
    pub is_empty: bool,
}

/// A message of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// What it is.
    pub kind: MediaKind,
    /// Milliseconds since the file's beginning.
    pub time: u64,
    /// One may begin here: a keyframe of the leading video track; any sound if there is no video.
    pub is_sync: bool,
    /// What an RTMP message carries.
    pub payload: Bytes,
}

/// What is known of a file once it is open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileInfo {
    /// Milliseconds, if known: of a file that still grows, as long as it was when it was opened.
    pub duration: Option<u64>,
    /// The payload of `onMetaData` for a viewer: with `duration`, without what concerns the file alone.
    pub metadata: Option<Bytes>,
    /// The sequence headers at the file's beginning, in their order.
    pub headers: Vec<(MediaKind, Bytes)>,
    /// Whether it has video.
    pub has_video: bool,
    /// Whether it has sound.
    pub has_audio: bool,
}

/// An opened file: one for all its viewers.
pub trait MediaFile {
    /// Where one viewer is, and what it waits for. Small; a clone goes its own way.
    type Cursor: Clone + core::fmt::Debug;
    /// What can be wrong with the file.
    type Error;

    /// What was found when it was opened.
    fn info(&self) -> &FileInfo;

    /// A cursor whose first message is the last sync point (see [`Packet::is_sync`]) at or before `time` milliseconds, or
    /// the file's beginning if there is none. Sequence headers that are other ones there than at the beginning stand in front of it.
    /// `writer`: the index of the muxer that is still writing this file, if there is one.
    fn seek(&self, time: u64, writer: Option<&SyncIndex>) -> Self::Cursor;

    /// Goes on until the cursor's next message is there, in the order of decoding across all tracks; none: the file ends
    /// here so far. `size`: the file's length by now; it may have grown, and a cursor at the end then goes on.
    /// `input`: as [`Task::step`], after each `Done` nothing.
    ///
    /// # Errors
    /// What stands there cannot be read.
    fn next(
        &mut self,
        cursor: &mut Self::Cursor,
        size: u64,
        input: &[u8],
    ) -> Result<Step<Option<Packet>>, Self::Error>;
}
