//! MP4 files (ISO/IEC 14496-12; F4V and QuickTime as far as they are the same), without IO.
//!
//! * [`Mp4Writer`]: fragmented MP4 of a stream, playable at every moment.
//! * [`Mp4Repair`]: what a power cut left of it, made a finished file.
//! * [`Mp4Open`], [`Mp4File`]: files of anyone, with one table of samples or in fragments, as RTMP messages.

mod ahead;
mod bits;
mod boxes;
mod build;
mod config;
mod entry;
mod error;
mod file;
mod fragment;
mod fuzz;
mod moof;
mod movie;
mod open;
mod parts;
mod picture;
mod repair;
mod sidx;
mod sound;
mod source;
mod survey;
mod table;
mod track;
mod walk;
mod writer;

pub use error::Mp4Error;
pub use file::{Mp4Cursor, Mp4File};
#[doc(hidden)]
pub use fuzz::fuzz_mp4;
pub use open::Mp4Open;
pub use repair::Mp4Repair;
pub use writer::Mp4Writer;

#[cfg(test)]
mod tests;
