//! MP4 files (ISO/IEC 14496-12; F4V and QuickTime as far as they are the same), without IO.
//!
//! * [`Mp4Writer`]: fragmented MP4 of a stream, playable at every moment.

mod bits;
mod boxes;
mod build;
mod entry;
mod error;
mod fragment;
mod movie;
mod parts;
mod picture;
mod sound;
mod track;
mod writer;

pub use error::Mp4Error;
pub use writer::Mp4Writer;
