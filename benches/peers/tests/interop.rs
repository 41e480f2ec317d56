//! Our sessions and rml_rtmp's, each as the other's peer, in memory: an implementation that shares nothing with ours has
//! to understand what we say, and we what it says, however the bytes are cut.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use millstream::rtmp::handshake::HandshakeKind;
use millstream::rtmp::message::VIDEO;
use millstream::rtmp::session::Status;
use millstream::rtmp::session::client::{ClientConfig, ClientEvent, ClientSession};
use millstream::rtmp::session::server::{Event, ServerSession, SessionConfig};
use millstream::rtmp::wire::{MediaKind, WireMessage};
use millstream::time::{Instant, Timestamp};
use millstream_peers::{Frame, recording};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession as RmlClient, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, ServerSession as RmlServer, ServerSessionConfig, ServerSessionEvent,
    ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp;

/// What one side sent or the other got: kind, time, payload.
type Media = Vec<(MediaKind, u32, Vec<u8>)>;

/// Chunk sizes of both sides, and how many bytes one read brings.
const WAYS: [(u32, usize); 4] = [(128, 1), (128, 1_000), (4_096, 1_460), (60_000, 65_536)];

/// Two seconds, the first frame 100 ms before the timestamp needs its extended form.
fn broadcast() -> Vec<Frame> {
    let mut frames = recording();
    frames.retain(|frame| frame.time < 2_000);
    for frame in &mut frames {
        frame.time += 0x00FF_FFFF - 100;
    }
    frames
}

fn kind(frame: &Frame) -> MediaKind {
    if frame.type_id == VIDEO {
        MediaKind::Video
    } else {
        MediaKind::Audio
    }
}

fn expected(frames: &[Frame]) -> Media {
    let all = frames.iter();
    all.map(|frame| (kind(frame), frame.time, frame.payload.clone()))
        .collect()
}

/// rml_rtmp on one end: its handshake, then a session.
struct Rml<S> {
    handshake: Option<Handshake>,
    session: S,
    output: Vec<u8>,
}

impl<S> Rml<S> {
    fn new(side: PeerType, session: S) -> Self {
        let mut handshake = Handshake::new(side);
        let output = handshake.generate_outbound_p0_and_p1().unwrap();
        Self {
            handshake: Some(handshake),
            session,
            output,
        }
    }

    /// What is left of `input` for the session; `None` while hands are shaken.
    fn shake(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let Some(handshake) = &mut self.handshake else {
            return Some(input.to_vec());
        };
        match handshake.process_bytes(input).unwrap() {
            HandshakeProcessResult::InProgress { response_bytes } => {
                self.output.extend(response_bytes);
                None
            }
            HandshakeProcessResult::Completed {
                response_bytes,
                remaining_bytes,
            } => {
                self.output.extend(response_bytes);
                self.handshake = None;
                Some(remaining_bytes)
            }
        }
    }
}

/// Our server's end, which grants everything.
struct Ours {
    session: ServerSession,
    got: Media,
    playing: Option<u32>,
}

impl Ours {
    fn new(chunk_size: u32) -> Self {
        let config = SessionConfig {
            chunk_size,
            ..SessionConfig::default()
        };
        Self {
            session: ServerSession::new(config, 1),
            got: Media::new(),
            playing: None,
        }
    }

    fn take(&mut self, input: &[u8]) -> Vec<u8> {
        self.session.handle_input(Instant::ZERO, input).unwrap();
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::ConnectRequested(connect) => {
                    assert_eq!(connect.app, "live");
                    self.session.accept_connect();
                }
                Event::PublishRequested { stream, name, .. } => {
                    assert_eq!(name, "test");
                    self.session.accept_publish(stream);
                }
                Event::PlayRequested { stream, name, .. } => {
                    assert_eq!(name, "test");
                    self.session.accept_play(stream);
                    self.playing = Some(stream);
                }
                Event::Media { message, .. } => {
                    let payload = message.payload().flatten().copied().collect();
                    self.got
                        .push((message.kind(), message.timestamp().0, payload));
                }
                _ => {}
            }
        }
        let mut output = Vec::new();
        self.session.take_output(&mut output);
        output
    }
}

/// An rml_rtmp client and our server talk until neither has anything to say.
fn talk(client: &mut Rml<RmlClient>, server: &mut Ours, read: usize) -> (Media, Vec<String>) {
    let (mut got, mut told) = (Media::new(), Vec::new());
    while !client.output.is_empty() {
        let said = std::mem::take(&mut client.output);
        let answers: Vec<u8> = said
            .chunks(read)
            .flat_map(|read| server.take(read))
            .collect();
        for read in answers.chunks(read) {
            let Some(rest) = client.shake(read) else {
                continue;
            };
            for result in client.session.handle_input(&rest).unwrap() {
                match result {
                    ClientSessionResult::OutboundResponse(packet) => {
                        client.output.extend(packet.bytes);
                    }
                    ClientSessionResult::RaisedEvent(event) => match event {
                        ClientSessionEvent::VideoDataReceived { timestamp, data } => {
                            got.push((MediaKind::Video, timestamp.value, data.to_vec()));
                        }
                        ClientSessionEvent::AudioDataReceived { timestamp, data } => {
                            got.push((MediaKind::Audio, timestamp.value, data.to_vec()));
                        }
                        other => told.push(format!("{other:?}")),
                    },
                    ClientSessionResult::UnhandleableMessageReceived(message) => {
                        // Set Peer Bandwidth and `|RtmpSampleAccess`, for which it has no event.
                        assert!([6, 18].contains(&message.type_id), "{message:?}");
                    }
                }
            }
        }
    }
    (got, told)
}

fn queue(client: &mut Rml<RmlClient>, result: ClientSessionResult) {
    let ClientSessionResult::OutboundResponse(packet) = result else {
        panic!("a request is a packet");
    };
    client.output.extend(packet.bytes);
}

/// An rml_rtmp client that our server has accepted.
fn connected(server: &mut Ours, chunk_size: u32, read: usize) -> Rml<RmlClient> {
    let mut config = ClientSessionConfig::new();
    config.chunk_size = chunk_size;
    let (session, first) = RmlClient::new(config).unwrap();
    let mut client = Rml::new(PeerType::Client, session);
    talk(&mut client, server, read);
    assert!(client.handshake.is_none(), "with digests");
    for result in first {
        queue(&mut client, result);
    }
    let connect = client.session.request_connection("live".into()).unwrap();
    queue(&mut client, connect);
    let (_, told) = talk(&mut client, server, read);
    let accepted = |told: &String| told.contains("ConnectionRequestAccepted");
    assert!(told.iter().any(accepted), "{told:?}");
    client
}

#[test]
fn rml_rtmp_publishes_to_our_server() {
    for (chunk_size, read) in WAYS {
        let mut server = Ours::new(chunk_size);
        let mut client = connected(&mut server, chunk_size, read);
        let publish = PublishRequestType::Live;
        let publish = client.session.request_publishing("test".into(), publish);
        queue(&mut client, publish.unwrap());
        let (_, told) = talk(&mut client, &mut server, read);
        let accepted = |told: &String| told.contains("PublishRequestAccepted");
        assert!(told.iter().any(accepted), "{told:?}");
        let frames = broadcast();
        for frame in &frames {
            let (data, time) = (frame.payload.clone().into(), RtmpTimestamp::new(frame.time));
            let sent = match kind(frame) {
                MediaKind::Video => client.session.publish_video_data(data, time, false),
                _ => client.session.publish_audio_data(data, time, false),
            };
            queue(&mut client, sent.unwrap());
        }
        talk(&mut client, &mut server, read);
        assert!(server.got == expected(&frames), "chunks of {chunk_size}");
    }
}

#[test]
fn rml_rtmp_plays_from_our_server() {
    for (chunk_size, read) in WAYS {
        let mut server = Ours::new(chunk_size);
        let mut client = connected(&mut server, chunk_size, read);
        let play = client.session.request_playback("test".into()).unwrap();
        queue(&mut client, play);
        let (_, told) = talk(&mut client, &mut server, read);
        let accepted = |told: &String| told.contains("PlaybackRequestAccepted");
        assert!(told.iter().any(accepted), "{told:?}");
        assert_eq!(server.playing, Some(1));
        let frames = broadcast();
        let mut got = Media::new();
        for frame in &frames {
            let time = Timestamp(frame.time);
            let message = WireMessage::new(kind(frame), time, &frame.payload, chunk_size);
            for read in message.bytes().chunks(read) {
                for result in client.session.handle_input(read).unwrap() {
                    if let ClientSessionResult::RaisedEvent(event) = result {
                        got.push(match event {
                            ClientSessionEvent::VideoDataReceived { timestamp, data } => {
                                (MediaKind::Video, timestamp.value, data.to_vec())
                            }
                            ClientSessionEvent::AudioDataReceived { timestamp, data } => {
                                (MediaKind::Audio, timestamp.value, data.to_vec())
                            }
                            other => panic!("{other:?}"),
                        });
                    }
                }
            }
        }
        assert!(got == expected(&frames), "chunks of {chunk_size}");
    }
}

/// An rml_rtmp server that grants everything.
struct Granting {
    rml: Rml<RmlServer>,
    /// Its first words, for when hands are shaken.
    held: Vec<ServerSessionResult>,
    got: Media,
    playing: Option<u32>,
}

impl Granting {
    fn new(chunk_size: u32) -> Self {
        let mut config = ServerSessionConfig::new();
        config.chunk_size = chunk_size;
        let (session, held) = RmlServer::new(config).unwrap();
        Self {
            rml: Rml::new(PeerType::Server, session),
            held,
            got: Media::new(),
            playing: None,
        }
    }

    fn take(&mut self, input: &[u8]) -> Vec<u8> {
        if let Some(rest) = self.rml.shake(input) {
            let held = std::mem::take(&mut self.held);
            self.act(held);
            let results = self.rml.session.handle_input(&rest).unwrap();
            self.act(results);
        }
        std::mem::take(&mut self.rml.output)
    }

    fn act(&mut self, results: Vec<ServerSessionResult>) {
        for result in results {
            match result {
                ServerSessionResult::OutboundResponse(packet) => {
                    self.rml.output.extend(packet.bytes);
                }
                ServerSessionResult::RaisedEvent(event) => self.on_event(event),
                ServerSessionResult::UnhandleableMessageReceived(message) => {
                    panic!("a message of type {}", message.type_id);
                }
            }
        }
    }

    fn on_event(&mut self, event: ServerSessionEvent) {
        match event {
            ServerSessionEvent::PlayStreamRequested {
                request_id,
                stream_id,
                ..
            } => {
                self.playing = Some(stream_id);
                self.grant(request_id);
            }
            ServerSessionEvent::ConnectionRequested { request_id, .. }
            | ServerSessionEvent::ReleaseStreamRequested { request_id, .. }
            | ServerSessionEvent::PublishStreamRequested { request_id, .. } => {
                self.grant(request_id);
            }
            ServerSessionEvent::VideoDataReceived {
                data, timestamp, ..
            } => self
                .got
                .push((MediaKind::Video, timestamp.value, data.to_vec())),
            ServerSessionEvent::AudioDataReceived {
                data, timestamp, ..
            } => self
                .got
                .push((MediaKind::Audio, timestamp.value, data.to_vec())),
            _ => {}
        }
    }

    fn grant(&mut self, request: u32) {
        let results = self.rml.session.accept_request(request).unwrap();
        self.act(results);
    }
}

/// Our client and an rml_rtmp server talk until neither has anything to say; what the client was told.
fn converse(client: &mut ClientSession, server: &mut Granting, read: usize) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    loop {
        let mut said = Vec::new();
        client.take_output(&mut said);
        if said.is_empty() {
            return events;
        }
        let pieces = said.chunks(read);
        let answers: Vec<u8> = pieces.flat_map(|piece| server.take(piece)).collect();
        for piece in answers.chunks(read) {
            client.handle_input(Instant::ZERO, piece).unwrap();
            events.extend(std::iter::from_fn(|| client.poll_event()));
        }
    }
}

fn client(chunk_size: u32, handshake: HandshakeKind) -> ClientSession {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        chunk_size,
        handshake,
        ..ClientConfig::default()
    };
    let mut client = ClientSession::new(config, 1);
    client.connect();
    client
}

fn has_status(events: &[ClientEvent], wanted: Status) -> bool {
    events
        .iter()
        .any(|event| matches!(event, ClientEvent::Status { code, .. } if code == wanted.code()))
}

const HANDSHAKES: [HandshakeKind; 3] = [
    HandshakeKind::Simple,
    HandshakeKind::DigestSchema0,
    HandshakeKind::DigestSchema1,
];

#[test]
fn our_client_publishes_to_rml_rtmp() {
    for (chunk_size, read) in WAYS {
        for handshake in HANDSHAKES {
            let mut server = Granting::new(chunk_size);
            let mut client = client(chunk_size, handshake);
            client.publish("test");
            let events = converse(&mut client, &mut server, read);
            assert!(has_status(&events, Status::PublishStart), "{events:?}");
            let frames = broadcast();
            for frame in &frames {
                client.send_media(kind(frame), Timestamp(frame.time), &frame.payload);
            }
            converse(&mut client, &mut server, read);
            assert!(server.got == expected(&frames), "chunks of {chunk_size}");
        }
    }
}

#[test]
fn our_client_plays_from_rml_rtmp() {
    for (chunk_size, read) in WAYS {
        for handshake in HANDSHAKES {
            let mut server = Granting::new(chunk_size);
            let mut client = client(chunk_size, handshake);
            client.play("test");
            let events = converse(&mut client, &mut server, read);
            assert!(has_status(&events, Status::PlayStart), "{events:?}");
            let stream = server.playing.unwrap();
            let frames = broadcast();
            let mut got = Media::new();
            for frame in &frames {
                let data: Bytes = frame.payload.clone().into();
                let (session, time) = (&mut server.rml.session, RtmpTimestamp::new(frame.time));
                let packet = match kind(frame) {
                    MediaKind::Video => session.send_video_data(stream, data, time, false),
                    _ => session.send_audio_data(stream, data, time, false),
                };
                for piece in packet.unwrap().bytes.chunks(read) {
                    client.handle_input(Instant::ZERO, piece).unwrap();
                }
                while let Some(event) = client.poll_event() {
                    if let ClientEvent::Media {
                        kind,
                        timestamp,
                        payload,
                        ..
                    } = event
                    {
                        got.push((kind, timestamp.0, payload.to_vec()));
                    }
                }
            }
            assert!(got == expected(&frames), "chunks of {chunk_size}");
        }
    }
}
