//! A connection until it publishes or plays.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::time::Instant;

use super::sample::Sample;
use crate::clock;
use crate::schedule::CHUNK_SIZE;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Publish,
    Play,
    /// Play, and look at what comes.
    Sample,
    /// Play from the middle, until the first frame.
    Join,
    /// Ask to play, and leave.
    Visit,
}

pub(super) struct Guest {
    pub(super) socket: TcpStream,
    pub(super) session: ClientSession,
    pub(super) purpose: Purpose,
    pub(super) stream: usize,
    /// When it connected.
    pub(super) began: u64,
    /// When it asked to play.
    pub(super) asked: u64,
    /// What came with the end of the set-up, and behind it.
    pub(super) sample: Sample,
}

/// How far a guest has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    NotYet,
    Ready,
}

impl Guest {
    /// Connects. On loopback the kernel does it without the server.
    ///
    /// # Errors
    /// Nobody listens.
    pub(super) fn new(port: u16, purpose: Purpose, stream: usize) -> io::Result<Self> {
        let began = clock::now();
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let config = ClientConfig {
            app: "live".to_owned(),
            tc_url: format!("rtmp://127.0.0.1:{port}/live"),
            flash_ver: "LNX 9,0,124,2".to_owned(),
            chunk_size: match purpose {
                Purpose::Publish => CHUNK_SIZE,
                _ => 128,
            },
            ..ClientConfig::default()
        };
        let mut session = ClientSession::new(config, began);
        session.connect();
        let name = format!("stream{stream}");
        match purpose {
            Purpose::Publish => session.publish(&name),
            _ => session.play(&name),
        }
        let mut guest = Self {
            socket,
            session,
            purpose,
            stream,
            began,
            asked: 0,
            sample: Sample::default(),
        };
        guest.write()?;
        Ok(guest)
    }

    /// Reads and answers.
    ///
    /// # Errors
    /// The server refuses, or the connection is over.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Step> {
        let mut step = Step::NotYet;
        // To the end, as no further edge tells what is left; but a joiner's first frame is all it is for.
        while step == Step::NotYet || self.purpose != Purpose::Join {
            let taken = match self.socket.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let handled = self.session.handle_input(Instant::ZERO, &scratch[..taken]);
            handled.map_err(io::Error::other)?;
            while let Some(event) = self.session.poll_event() {
                step = self.note(&event)?.unwrap_or(step);
            }
            self.write()?;
        }
        Ok(step)
    }

    fn note(&mut self, event: &ClientEvent) -> io::Result<Option<Step>> {
        match event {
            ClientEvent::StreamCreated { .. } => self.asked = clock::now(),
            ClientEvent::Refused { code, description } => {
                return Err(io::Error::other(format!("{code}: {description}")));
            }
            ClientEvent::Status { code, .. } => {
                let wanted = match self.purpose {
                    Purpose::Publish => "NetStream.Publish.Start",
                    Purpose::Join => return Ok(None),
                    _ => "NetStream.Play.Start",
                };
                return Ok((code == wanted).then_some(Step::Ready));
            }
            ClientEvent::Media { kind, payload, .. } => {
                let frame = self.sample.note(*kind, payload);
                return Ok((frame && self.purpose == Purpose::Join).then_some(Step::Ready));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Replies are short: the socket takes them whole.
    fn write(&mut self) -> io::Result<()> {
        if self.session.output().is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        self.socket.write_all(&bytes)
    }
}
