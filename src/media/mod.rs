//! Streaming without IO: what a payload is, the ring of wire-ready frames, one live stream, the directory of names.
//!
//! Nothing in here knows a socket, a clock, a thread or a task: `server` feeds it and acts on what it says.

pub mod clock;
pub mod codecs;
pub mod cursor;
pub mod directory;
pub mod facts;
pub mod file;
pub mod flv;
pub mod frame;
mod headers;
pub mod keep;
pub mod lead;
pub mod mp4;
pub mod prelude;
pub mod ring;
pub mod stream;
pub mod timeline;
