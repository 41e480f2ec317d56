//! A connection until it publishes or plays: the handshake that looks at nothing, and replies made once.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use millstream::rtmp::amf::Value;
use millstream::rtmp::chunk::decoder::{Body, Decoder, Message};
use millstream::rtmp::chunk::encoder::Encoder;
use millstream::rtmp::command::Command;
use millstream::rtmp::message::{COMMAND_AMF0, SET_CHUNK_SIZE};
use millstream::time::Timestamp;

use crate::schedule::CHUNK_SIZE;

/// Bytes of C0 and C1.
const HELLO: usize = 1_537;
/// Bytes of C2.
const ECHO: usize = 1_536;
/// Where a `_result` repeats the number of its call: behind the chunk's header, the name and the number's marker.
const TRANSACTION: std::ops::Range<usize> = 23..31;

/// What a connection has been granted.
pub(super) enum Wish {
    Publish(String),
    Play(String),
}

/// What is said to everybody.
pub(super) struct Replies {
    connected: Vec<u8>,
    created: Vec<u8>,
    publishing: Vec<u8>,
    playing: Vec<u8>,
}

impl Replies {
    pub(super) fn new() -> Self {
        let status = |code: &str| {
            let properties = [("level", "status"), ("code", code)];
            let properties = properties.map(|(key, value)| (key.to_owned(), Value::string(value)));
            Value::Object(properties.to_vec())
        };
        let message = |name: &str, stream: u32, argument: Value| {
            let command = Command {
                name: name.to_owned(),
                transaction: 0.0,
                object: Value::Null,
                arguments: vec![argument],
            };
            let (mut out, payload) = (Vec::new(), command.encode());
            let mut encoder = Encoder::new();
            encoder.set_chunk_size(CHUNK_SIZE);
            encoder.encode(&mut out, 3, COMMAND_AMF0, stream, Timestamp(0), &payload);
            out
        };
        // From the first reply on, so that a player can get the publisher's own chunks.
        let mut connected = message("_result", 0, status("NetConnection.Connect.Success"));
        connected.extend_from_slice(&[2, 0, 0, 0, 0, 0, 4, SET_CHUNK_SIZE, 0, 0, 0, 0]);
        connected.extend_from_slice(&CHUNK_SIZE.to_be_bytes());
        Self {
            connected,
            created: message("_result", 0, Value::Number(1.0)),
            publishing: message("onStatus", 1, status("NetStream.Publish.Start")),
            playing: message("onStatus", 1, status("NetStream.Play.Start")),
        }
    }
}

pub(super) struct Guest {
    pub(super) socket: TcpStream,
    /// What has come of the handshake, while that is not done.
    hello: Vec<u8>,
    answered: bool,
    decoder: Option<Decoder>,
}

impl Guest {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            hello: Vec::new(),
            answered: false,
            decoder: None,
        }
    }

    /// Reads and answers; `Some` when there is nothing more to talk of.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        replies: &mut Replies,
    ) -> io::Result<Option<Wish>> {
        let taken = match self.socket.read(scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // All there is: nobody says so much before it is granted something.
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = &scratch[..taken];
        if self.decoder.is_none() {
            bytes = self.greet(bytes)?;
        }
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        while let Some(message) = decoder.decode(&mut bytes).map_err(io::Error::other)? {
            if let Some(wish) = on_message(message, decoder, &mut self.socket, replies)? {
                return Ok(Some(wish));
            }
        }
        Ok(None)
    }

    /// Takes what belongs to the handshake, and returns what is behind it.
    fn greet<'a>(&mut self, mut bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        while self.decoder.is_none() {
            let wanted = if self.answered { ECHO } else { HELLO };
            let missing = wanted - self.hello.len();
            let (mine, rest) = bytes.split_at(missing.min(bytes.len()));
            self.hello.extend_from_slice(mine);
            bytes = rest;
            if mine.len() < missing {
                return Ok(bytes);
            }
            if self.answered {
                self.hello = Vec::new();
                self.decoder = Some(Decoder::new(CHUNK_SIZE));
            } else {
                // S0, S1 with nothing in it, S2.
                let mut answer = vec![0; HELLO];
                answer[0] = 3;
                answer.extend_from_slice(&self.hello[1..]);
                self.socket.write_all(&answer)?;
                self.hello.clear();
                self.answered = true;
            }
        }
        Ok(bytes)
    }
}

/// Grants everything.
fn on_message(
    message: Message,
    decoder: &mut Decoder,
    socket: &mut TcpStream,
    replies: &mut Replies,
) -> io::Result<Option<Wish>> {
    let Body::Plain(payload) = message.body else {
        return Ok(None);
    };
    if message.type_id == SET_CHUNK_SIZE {
        let size = payload.try_into().map(u32::from_be_bytes);
        let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
        decoder.set_chunk_size(size).map_err(io::Error::other)?;
        return Ok(None);
    }
    if message.type_id != COMMAND_AMF0 {
        return Ok(None);
    }
    let command = Command::decode(COMMAND_AMF0, &payload).map_err(io::Error::other)?;
    let name = || command.argument(0).as_str().unwrap_or("").to_owned();
    let (reply, wish) = match command.name.as_str() {
        "connect" => (&mut replies.connected, None),
        "createStream" => (&mut replies.created, None),
        "publish" => (&mut replies.publishing, Some(Wish::Publish(name()))),
        "play" => (&mut replies.playing, Some(Wish::Play(name()))),
        _ => return Ok(None),
    };
    if wish.is_none() {
        reply[TRANSACTION].copy_from_slice(&command.transaction.to_be_bytes());
    }
    socket.write_all(reply)?;
    Ok(wish)
}
