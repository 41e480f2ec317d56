//! The protocol, without IO: bytes in, events out; commands in, bytes out.
pub mod amf;
pub mod chunk;
pub mod command;
pub mod control;
pub mod handshake;
pub mod message;
pub mod session;
pub mod shared_object;
pub mod url;
pub mod wire;
