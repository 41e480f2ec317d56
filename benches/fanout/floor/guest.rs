//! A connection until it publishes or plays.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig};
use millstream::time::Instant;

use crate::schedule::CHUNK_SIZE;

/// What a connection has been granted.
pub(super) enum Wish {
    Publish(String),
    Play(String),
}

pub(super) struct Guest {
    pub(super) socket: TcpStream,
    session: ServerSession,
}

impl Guest {
    pub(super) fn new(socket: TcpStream) -> Self {
        let session = ServerSession::new(SessionConfig::default(), 1);
        Self { socket, session }
    }

    /// Reads and answers; `Some` when there is nothing more to talk of.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<Wish>> {
        let mut wish = None;
        while wish.is_none() {
            let taken = match self.socket.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let bytes = &scratch[..taken];
            let handled = self.session.handle_input(Instant::ZERO, bytes);
            handled.map_err(io::Error::other)?;
            wish = self.decide();
            let mut replies = Vec::new();
            self.session.take_output(&mut replies);
            if let Some(Wish::Play(_)) = wish {
                // From here on it gets the publisher's own chunks.
                replies.extend_from_slice(&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
                replies.extend_from_slice(&CHUNK_SIZE.to_be_bytes());
            }
            self.socket.write_all(&replies)?;
        }
        Ok(wish)
    }

    /// Grants everything.
    fn decide(&mut self) -> Option<Wish> {
        let mut wish = None;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::ConnectRequested(_) => self.session.accept_connect(),
                Event::PublishRequested { stream, name, .. } => {
                    self.session.accept_publish(stream);
                    wish = Some(Wish::Publish(name));
                }
                Event::PlayRequested { stream, name, .. } => {
                    self.session.accept_play(stream);
                    wish = Some(Wish::Play(name));
                }
                _ => {}
            }
        }
        wish
    }
}
