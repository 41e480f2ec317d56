//! millstream: an RTMP live-streaming server whose every timing can be replayed from a seed.
//!
//! An encoder publishes a stream; any number of players watch it. The same code runs on threads and sockets in
//! production and inside a deterministic network simulator (the crate `millstream-sim` beside this one), where a
//! seed decides every interleaving. To embed a server, see [`Server`]; to run one, `cargo run --release`.
//!
//! # The rooms
//!
//! Dependencies point one way: `server` → { `media` → `rtmp`, `runtime` } → { `time`, `limits` }.
//!
//! | room | what | knows of |
//! |---|---|---|
//! | [`rtmp`] | the protocol, without IO: bytes in, events out; decisions in, bytes out | `time`, `limits` |
//! | [`media`] | what a payload is, the ring of wire-ready frames, one stream, the directory of names | `rtmp` |
//! | [`runtime`] | the only clock, socket, entropy and thread; our executor; the backends | `time`, `limits` |
//! | [`server`] | the shell that joins them: control, shards, connections, players, the pump | all of them |
//! | [`load`] | the load tester: publishers and players that measure and verify | `media`, `rtmp`, `runtime` |
//! | [`config`] | text in, checked configuration out | `limits` |
//! | [`metrics`] | counters, histograms, and the page that Prometheus reads | nothing |
//! | [`limits`] | every bound, with its reason | `time` |
//! | [`time`] | instants and RTMP's clock as integers | nothing |
//!
//! # The life of a frame
//!
//! 1. The shard's reactor reports an edge; the connection's task (`server/connection.rs`) reads into the shard's one
//!    scratch buffer.
//! 2. [`rtmp::session::server::ServerSession::handle_input`] strips the chunk headers and copies the payload once,
//!    into the layout that leaves ([`rtmp::wire::WireMessage`]): our header, our chunk size.
//! 3. [`media::stream::Stream::push`] classifies it and appends it to the ring ([`media::ring::Ring`]), which is the
//!    GOP cache. One mailbox message per read batch goes to each other shard that has players of the stream.
//! 4. The stream's pump (`server/play.rs`) walks its players: one `writev` each, straight from the ring. No queue, no
//!    copy, no lock, no task wake per player. Whose socket is full is skipped until its writable edge.
//!
//! # Reading order
//!
//! [`limits`], [`time`]; [`runtime`] (the traits), [`runtime::executor`]; [`rtmp::wire`], [`rtmp::session::server`];
//! [`media::ring`], [`media::cursor`], [`media::stream`]; then `server`: `shard.rs`, `connection.rs`, `publish.rs`,
//! `play.rs`, `control.rs`.
#![forbid(unsafe_code)]

#[cfg(feature = "production")]
pub mod cli;
pub mod config;
pub mod limits;
pub mod load;
pub mod media;
pub mod metrics;
#[doc(hidden)]
pub mod planted;
pub mod rtmp;
pub mod runtime;
pub mod server;
#[cfg(feature = "production")]
pub mod status;
pub mod time;

pub use server::Event;
#[cfg(feature = "production")]
pub use server::{Builder, OperatorHandle, Reloader, Server, StartError};
