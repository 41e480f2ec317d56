//! The deterministic simulator of millstream: the same server inside turmoil, from a seed.
//!
//! | room | what |
//! |---|---|
//! | [`scenario`] | a run as data, in one JSON file |
//! | [`generate`] | scenarios drawn from a seed |
//! | [`world`] | builds a scenario's world, runs it to its end, reports |
//! | [`host`] | the server's virtual threads inside one turmoil host |
//! | [`watch`] | when its tasks run, for a tripwire |
//! | [`runtime`] | what the server's runtime is in here |
//! | [`net`], [`faults`], [`order`], [`clocks`], [`seed`] | connections, what goes wrong, who runs next, what clocks show, all from the seed |
//! | [`client`], [`media`] | scripts over the real client session; broadcasts whose frames say which they are |
//! | [`planted`] | bugs on purpose in the server, and how soon each is found |
//! | [`sweep`], [`shrink`] | many seeds; and a failing scenario made small |
//! | [`canary`] | the run that must fail |
//! | [`scorecard`] | how good all this is, in figures |
//! | [`picture`] | a run for eyes: in a terminal, as a page |
//! | [`journal`], [`trace`], [`checkers`] | what was seen; as lines and a hash; and judged |
//!
//! Only this crate names tokio and turmoil. Nothing in it may depend on hash seeds, real clocks, addresses
//! of memory or task numbers: the same scenario gives the same trace, byte for byte.
#![forbid(unsafe_code)]

pub mod canary;
pub mod checkers;
pub mod client;
pub mod clocks;
pub mod disk;
pub mod faults;
pub mod generate;
pub mod host;
pub mod journal;
pub mod media;
pub mod memory;
pub mod net;
pub mod order;
pub mod picture;
pub mod planted;
pub mod runtime;
pub mod scenario;
pub mod scorecard;
pub mod seed;
pub mod shrink;
pub mod sweep;
pub mod trace;
pub mod watch;
pub mod world;
