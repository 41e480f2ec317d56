//! A blocking RTMP client over a real socket, for tests: the client session, a `TcpStream`, and patience.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real sockets and clocks"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::wire::MediaKind;
use millstream::time::Timestamp;

/// How long anything may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client, connected and past `connect`.
pub(crate) struct Client {
    /// The socket.
    pub(crate) socket: TcpStream,
    /// The protocol.
    pub(crate) session: ClientSession,
    /// Every event so far that is not media.
    pub(crate) told: Vec<ClientEvent>,
    /// Every media message so far.
    pub(crate) media: Vec<(MediaKind, Timestamp, Bytes)>,
    /// The server closed (FIN or RST).
    pub(crate) closed: bool,
}

impl Client {
    /// Connects to application `live` at `address`.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_to(address, "live")
    }

    /// Connects to application `app` at `address`.
    pub(crate) fn connect_to(address: SocketAddr, app: &str) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a live socket");
        socket.set_nodelay(true).expect("a live socket");
        let config = ClientConfig {
            app: app.into(),
            tc_url: format!("rtmp://{address}/{app}"),
            flash_ver: "test".into(),
            chunk_size: 4_096,
            ..ClientConfig::default()
        };
        let mut session = ClientSession::new(config, 7);
        session.connect();
        Self {
            socket,
            session,
            told: Vec::new(),
            media: Vec::new(),
            closed: false,
        }
    }

    /// A client that publishes `name`, and was let in.
    pub(crate) fn publisher(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::connect(address);
        client.session.publish(name);
        client.until("publish", |client| client.status("NetStream.Publish.Start"));
        client
    }

    /// A client that plays `name`, and was let in.
    pub(crate) fn player(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::connect(address);
        client.session.play(name);
        client.until("play", |client| client.status("NetStream.Play.Start"));
        client
    }

    /// Whether an onStatus with this code has come.
    pub(crate) fn status(&self, code: &str) -> bool {
        self.statuses(code) > 0
    }

    /// How often an onStatus with this code has come.
    pub(crate) fn statuses(&self, code: &str) -> usize {
        let is_it = |event: &&ClientEvent| matches!(event, ClientEvent::Status { code: c, .. } if c == code);
        self.told.iter().filter(is_it).count()
    }

    /// Whether we were turned away with this code.
    pub(crate) fn refused(&self, code: &str) -> bool {
        self.told
            .iter()
            .any(|event| matches!(event, ClientEvent::Refused { code: c, .. } if c == code))
            || self.status(code)
    }

    /// Writes what the session has to say.
    pub(crate) fn flush(&mut self) {
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        if !bytes.is_empty() && self.socket.write_all(&bytes).is_err() {
            self.closed = true;
        }
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, kind: MediaKind, at: u32, payload: &[u8]) {
        self.session.send_media(kind, Timestamp(at), payload);
        self.flush();
    }

    /// Takes one read's worth of what the server said; false if nothing came within 50 ms.
    pub(crate) fn read(&mut self) -> bool {
        self.flush();
        let mut buffer = vec![0; 256 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(len) => {
                let now = millstream::time::Instant::ZERO;
                self.session
                    .handle_input(now, &buffer[..len])
                    .expect("the server keeps to the protocol");
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => self.closed = true,
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                // What every player is told for Flash's sake; not the publisher's.
                ClientEvent::Media { payload, .. }
                    if payload.starts_with(b"\x02\x00\x11|RtmpSampleAccess") => {}
                ClientEvent::Media {
                    kind,
                    timestamp,
                    payload,
                    ..
                } => {
                    self.media.push((kind, timestamp, payload));
                }
                other => self.told.push(other),
            }
        }
        self.flush();
        !self.closed
    }

    /// Reads until `done`, or fails the test.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            self.read();
            assert!(
                !self.closed || done(self),
                "the server closed while waiting for {what}: {:?}",
                self.told
            );
            assert!(
                start.elapsed() < PATIENCE,
                "no {what} within {PATIENCE:?}: {:?}",
                self.told
            );
        }
    }

    /// Reads until the server closes, or fails the test.
    pub(crate) fn until_closed(&mut self) {
        let start = Instant::now();
        while !self.closed {
            self.read();
            assert!(start.elapsed() < PATIENCE, "not closed within {PATIENCE:?}");
        }
    }

    /// The payloads received.
    pub(crate) fn payloads(&self) -> Vec<&[u8]> {
        self.media
            .iter()
            .map(|(_, _, payload)| payload.as_ref())
            .collect()
    }

    /// Drops the connection by RST.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a live socket");
    }
}

/// `onMetaData` with an empty object.
pub(crate) const METADATA: &[u8] = b"\x02\x00\x0aonMetaData\x03\x00\x00\x09";
/// An AVC sequence header.
pub(crate) const VIDEO_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x4D, 0x40, 0x1F];
/// An AAC sequence header.
pub(crate) const AUDIO_CONFIG: &[u8] = &[0xAF, 0, 0x12, 0x10];

/// A picture of `len` bytes whose content is known from `number`; every tenth is a keyframe.
pub(crate) fn picture(number: u32, len: usize) -> Vec<u8> {
    let mut payload = vec![
        if number.is_multiple_of(10) {
            0x17
        } else {
            0x27
        },
        1,
        0,
        0,
        0,
    ];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(len.max(payload.len()), number as u8);
    payload
}

/// The number of a [`picture`].
pub(crate) fn number(payload: &[u8]) -> Option<u32> {
    let is_picture = matches!(payload.first(), Some(0x17 | 0x27)) && payload.get(1) == Some(&1);
    is_picture.then(|| u32::from_be_bytes([payload[5], payload[6], payload[7], payload[8]]))
}
