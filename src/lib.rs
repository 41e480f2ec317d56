//! millstream: an RTMP live-streaming server whose every timing can be replayed from a seed.
#![forbid(unsafe_code)]

#[cfg(feature = "production")]
pub mod cli;
pub mod config;
pub mod limits;
pub mod media;
pub mod rtmp;
pub mod runtime;
pub mod server;
pub mod time;
