//! The protocol, without IO: bytes in, events out; commands in, bytes out.
pub mod chunk;
pub mod handshake;
pub mod message;
pub mod session;
pub mod wire;
