#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::decoder::{Body, Decoder};
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::command::Command;
use crate::rtmp::message;
use crate::rtmp::session::Status;
use crate::time::Timestamp;

mod bounds;
mod recordings;
mod roles;
mod tolerance;

/// A server's session and a hand that writes to it.
struct Peer {
    session: ServerSession,
    encoder: Encoder,
    /// Reads the replies.
    decoder: Decoder,
}

/// A reply: message type, message stream, payload.
type Reply = (u8, u32, Vec<u8>);

impl Peer {
    /// Behind the handshake.
    fn new() -> Self {
        let mut session = ServerSession::new(SessionConfig::default(), 1);
        let mut hello = vec![3];
        hello.resize(1 + 2 * 1_536, 0);
        session.handle_input(Instant::ZERO, &hello).unwrap();
        assert!(session.is_established());
        session.take_output(&mut Vec::new());
        Self {
            session,
            encoder: Encoder::new(),
            decoder: Decoder::new(128),
        }
    }

    /// Behind `connect`.
    fn connected() -> Self {
        let mut peer = Self::new();
        peer.connect(&[("app", Value::string("live"))]).unwrap();
        assert!(matches!(peer.event(), Some(Event::ConnectRequested(_))));
        peer.session.accept_connect();
        peer.replies();
        peer
    }

    /// Publishing `key` on message stream 1.
    fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.call(0, "createStream", 2.0, &[]).unwrap();
        peer.call(1, "publish", 0.0, &[Value::string("key")])
            .unwrap();
        assert!(matches!(
            peer.event(),
            Some(Event::PublishRequested { stream: 1, .. })
        ));
        peer.session.accept_publish(1);
        peer.replies();
        peer
    }

    fn send(&mut self, type_id: u8, stream: u32, payload: &[u8]) -> Result<(), SessionError> {
        let mut bytes = Vec::new();
        let time = Timestamp(40);
        self.encoder
            .encode(&mut bytes, 3, type_id, stream, time, payload);
        self.session.handle_input(Instant::ZERO, &bytes)
    }

    fn connect(&mut self, properties: &[(&str, Value)]) -> Result<(), SessionError> {
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
        let command = Command {
            name: "connect".into(),
            transaction: 1.0,
            object: Value::Object(properties.collect()),
            arguments: vec![],
        };
        self.send(20, 0, &command.encode())
    }

    fn call(
        &mut self,
        stream: u32,
        name: &str,
        transaction: f64,
        arguments: &[Value],
    ) -> Result<(), SessionError> {
        let command = Command {
            name: name.into(),
            transaction,
            object: Value::Null,
            arguments: arguments.to_vec(),
        };
        self.send(20, stream, &command.encode())
    }

    fn event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    fn replies(&mut self) -> Vec<Reply> {
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        let mut input = bytes.as_slice();
        let mut replies = Vec::new();
        while let Some(message) = self.decoder.decode(&mut input).unwrap() {
            let Body::Plain(payload) = message.body else {
                unreachable!("no media among replies")
            };
            if message.type_id == message::SET_CHUNK_SIZE {
                let size = u32::from_be_bytes(payload[..4].try_into().unwrap());
                self.decoder.set_chunk_size(size).unwrap();
            }
            replies.push((message.type_id, message.stream, payload));
        }
        replies
    }

    /// Each reply in a word: the command's name and code, or the type.
    fn words(&mut self) -> Vec<String> {
        self.replies().iter().map(word).collect()
    }
}

fn word((type_id, stream, payload): &Reply) -> String {
    let (values, _) = amf0::decode_all(payload);
    match (type_id, values.as_slice()) {
        (20, [name, _, _, info, ..]) => {
            let code = info.get("code").and_then(Value::as_str).unwrap_or("");
            format!("{stream}:{} {code}", name.as_str().unwrap())
        }
        (18 | 20, [name, ..]) => format!("{stream}:{}", name.as_str().unwrap()),
        (4, _) => format!("user {}:{}", payload[1], payload[5]),
        _ => format!("type {type_id}"),
    }
}

#[test]
fn connect_is_answered_in_order() {
    let mut peer = Peer::new();
    peer.connect(&[("app", Value::string("live/"))]).unwrap();
    let Some(Event::ConnectRequested(connect)) = peer.event() else {
        unreachable!("connect was sent")
    };
    assert_eq!(connect.app, "live");
    peer.session.accept_connect();
    let replies = peer.replies();
    let words: Vec<_> = replies.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "type 5",
            "type 6",
            "user 0:0",
            "type 1",
            "0:_result NetConnection.Connect.Success",
            "0:onBWDone"
        ]
    );
    let (values, _) = amf0::decode_all(&replies[4].2);
    assert_eq!(values[1], Value::Number(1.0));
    assert_eq!(
        values[2].get("fmsVer").unwrap().as_str(),
        Some("FMS/3,0,1,123")
    );
    assert_eq!(values[2].get("capsEx"), None, "nobody asked");
    assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(0.0)));
}

#[test]
fn enhanced_clients_hear_that_everything_is_forwarded() {
    let mut peer = Peer::new();
    let list = Value::StrictArray(vec![Value::string("hvc1")]);
    let encoding = ("objectEncoding", Value::Number(3.0));
    peer.connect(&[("fourCcList", list), encoding]).unwrap();
    peer.event();
    peer.session.accept_connect();
    let (values, _) = amf0::decode_all(&peer.replies()[4].2);
    let map = values[2].get("videoFourCcInfoMap").unwrap();
    assert_eq!(map.get("*"), Some(&Value::Number(4.0)));
    assert_eq!(values[2].get("capsEx"), Some(&Value::Number(15.0)));
    assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(3.0)));
}

#[test]
fn what_is_pipelined_behind_connect_waits_for_its_answer() {
    let mut peer = Peer::new();
    peer.connect(&[]).unwrap();
    peer.call(0, "createStream", 2.0, &[]).unwrap();
    peer.call(1, "publish", 3.0, &[Value::string("key")])
        .unwrap();
    assert!(matches!(peer.event(), Some(Event::ConnectRequested(_))));
    assert!(peer.event().is_none() && peer.session.output().is_empty());
    peer.session.accept_connect();
    assert_eq!(peer.words().last().unwrap(), "0:_result ");
    assert!(matches!(peer.event(), Some(Event::PublishRequested { .. })));
}

#[test]
fn calls_are_answered_as_clients_wait_for() {
    let mut peer = Peer::connected();
    let key = [Value::string("key")];
    for name in ["releaseStream", "FCPublish", "_checkbw"] {
        peer.call(0, name, 2.0, &key).unwrap();
        let (values, _) = amf0::decode_all(&peer.replies()[0].2);
        assert_eq!(values[0].as_str(), Some("_result"), "{name}");
        assert_eq!(
            values[2..],
            [Value::Null, Value::Undefined],
            "srs-bench wants the fourth"
        );
    }
    peer.call(0, "createStream", 4.0, &[]).unwrap();
    let (type_id, stream, payload) = peer.replies().remove(0);
    assert_eq!((type_id, stream), (20, 0));
    let expected = b"\x02\0\x07_result\0\x40\x10\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0";
    assert_eq!(payload, expected, "29 bytes, as the reference has them");
    peer.call(0, "FCSubscribe", 6.0, &key).unwrap();
    assert_eq!(
        peer.words(),
        ["0:_result ", "0:onFCSubscribe NetStream.Play.Start"]
    );
    peer.call(0, "frobnicate", 7.0, &key).unwrap();
    assert_eq!(peer.words(), ["0:_error NetConnection.Call.Failed"]);
    // No reply to id 0, nor to replies.
    for name in ["releaseStream", "frobnicate", "connect"] {
        peer.call(0, name, 0.0, &key).unwrap();
    }
    peer.call(0, "_result", 9.0, &key).unwrap();
    assert_eq!(peer.words(), [""; 0]);
    assert!(peer.event().is_none());
}

#[test]
fn publish_is_answered_in_order_and_ends_once() {
    let mut peer = Peer::connected();
    let key = [Value::string("key?x=y"), Value::string("live")];
    peer.call(0, "FCPublish", 0.0, &key[..1]).unwrap();
    peer.call(0, "createStream", 2.0, &[]).unwrap();
    peer.call(1, "publish", 0.0, &key).unwrap();
    peer.replies();
    peer.event();
    peer.session.accept_publish(1);
    peer.session.accept_publish(1);
    assert_eq!(
        peer.words(),
        [
            "user 0:1",
            "1:onStatus NetStream.Publish.Start",
            "0:onFCPublish NetStream.Publish.Start"
        ]
    );
    // GStreamer's end: id 0, on message stream 0, deleteStream with a name.
    peer.call(0, "FCUnpublish", 0.0, &key[..1]).unwrap();
    peer.call(0, "deleteStream", 0.0, &key[..1]).unwrap();
    assert_eq!(
        peer.words(),
        [
            "1:onStatus NetStream.Unpublish.Success",
            "0:onFCUnpublish NetStream.Unpublish.Success"
        ]
    );
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
    assert!(peer.event().is_none());
}

#[test]
fn a_refused_role_is_gone() {
    let mut peer = Peer::connected();
    let key = [Value::string("key")];
    peer.call(0, "createStream", 2.0, &[]).unwrap();
    peer.call(1, "publish", 3.0, &key).unwrap();
    peer.send(8, 1, b"\xAF\0").unwrap();
    peer.replies();
    peer.event();
    peer.session
        .reject_publish(1, Status::PublishBadName, "taken");
    assert_eq!(peer.words(), ["1:onStatus NetStream.Publish.BadName"]);
    peer.send(8, 1, b"\xAF\0").unwrap();
    peer.call(0, "deleteStream", 0.0, &[Value::Number(1.0)])
        .unwrap();
    assert!(peer.event().is_none());
    peer.call(1, "play", 3.0, &key).unwrap();
    peer.event();
    peer.session
        .reject_play(1, Status::PlayStreamNotFound, "none");
    assert_eq!(peer.words(), ["1:onStatus NetStream.Play.StreamNotFound"]);
}

#[test]
fn a_request_on_the_heels_of_a_refused_one_lives() {
    let mut peer = Peer::connected();
    peer.call(1, "publish", 0.0, &[Value::string("a")]).unwrap();
    peer.send(8, 1, b"\xAF\0").unwrap();
    peer.call(1, "publish", 0.0, &[Value::string("b")]).unwrap();
    peer.event();
    peer.session.reject_publish(1, Status::PublishDenied, "no");
    assert!(matches!(peer.event(), Some(Event::PublishRequested { name, .. }) if name == "b"));
    peer.session.accept_publish(1);
    assert_eq!(
        peer.words().last().unwrap(),
        "1:onStatus NetStream.Publish.Start"
    );
}

#[test]
fn an_empty_name_is_asked_for_or_stops() {
    for (name, code) in [
        ("publish", Status::PublishBadName),
        ("play", Status::PlayStreamNotFound),
    ] {
        let mut peer = Peer::connected();
        let empty = [Value::string("")];
        peer.call(0, "createStream", 2.0, &[]).unwrap();
        peer.replies();
        peer.call(1, name, 0.0, &empty).unwrap();
        assert_eq!(
            peer.event().unwrap().stream(),
            Some(1),
            "OBS waits for a word"
        );
        match name {
            "publish" => peer.session.reject_publish(1, code, "no name"),
            _ => peer.session.reject_play(1, code, "no name"),
        }
        assert_eq!(peer.words(), [format!("1:onStatus {}", code.code())]);
        peer.call(1, name, 0.0, &[Value::Boolean(false)]).unwrap();
        assert!(peer.event().is_none(), "nothing to stop");
        peer.call(1, name, 0.0, &[Value::string("key")]).unwrap();
        peer.event();
        peer.call(1, name, 0.0, &empty).unwrap();
        assert!(matches!(
            peer.event(),
            Some(Event::StreamClosed { stream: 1, .. })
        ));
        assert!(peer.event().is_none());
    }
}

#[test]
fn refusals_leave_what_is_queued_behind_them() {
    let mut peer = Peer::publishing();
    for _ in 0..1_000 {
        peer.call(2, "play", 0.0, &[Value::string("?")]).unwrap();
    }
    // Empty audio, one byte each.
    let mut audio = b"\x04\0\0\0\0\0\0\x08\x01\0\0\0".to_vec();
    audio.resize(audio.len() + 39_999, 0xC4);
    peer.session.handle_input(Instant::ZERO, &audio).unwrap();
    let (mut asked, mut media) = (0, 0);
    while let Some(event) = peer.event() {
        match event {
            Event::PlayRequested { stream, .. } => {
                asked += 1;
                peer.session
                    .reject_play(stream, Status::PlayStreamNotFound, "");
            }
            Event::Media { stream: 1, .. } => media += 1,
            other => unreachable!("of a refused role: {other:?}"),
        }
    }
    assert_eq!((asked, media), (1_000, 40_000));
}

#[test]
fn play_is_answered_in_order() {
    let mut peer = Peer::connected();
    peer.call(0, "createStream", 2.0, &[]).unwrap();
    let key = Value::string("key");
    let append = [
        key.clone(),
        Value::Number(-2.0),
        Value::Number(-1.0),
        Value::Boolean(false),
    ];
    peer.call(1, "play", 0.0, &append).unwrap();
    peer.event();
    peer.replies();
    peer.session.accept_play(1);
    let start = [
        "user 0:1",
        "1:onStatus NetStream.Play.Start",
        "1:|RtmpSampleAccess",
    ];
    assert_eq!(peer.words(), start);
    // Again on the same message stream, reset by default; librtmp's pause and seek come on message stream 0.
    peer.call(1, "play", 0.0, &[key]).unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
    peer.event();
    peer.session.accept_play(1);
    assert_eq!(peer.words()[1], "1:onStatus NetStream.Play.Reset");
    peer.call(0, "pause", 3.0, &[Value::Boolean(true), Value::Number(5.0)])
        .unwrap();
    peer.call(0, "seek", 4.0, &[Value::Number(4000.0)]).unwrap();
    peer.call(0, "receiveVideo", 0.0, &[Value::Boolean(false)])
        .unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::Paused {
            stream: 1,
            paused: true,
            ..
        })
    ));
    assert!(matches!(
        peer.event(),
        Some(Event::SeekRequested {
            position: 4000.0,
            ..
        })
    ));
    assert!(matches!(
        peer.event(),
        Some(Event::Receive {
            video: Some(false),
            audio: None,
            ..
        })
    ));
    peer.session.reject_seek(1, "live");
    peer.call(1, "closeStream", 0.0, &[]).unwrap();
    assert_eq!(
        peer.words(),
        [
            "1:onStatus NetStream.Seek.Failed",
            "1:onStatus NetStream.Play.Stop"
        ]
    );
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
}

fn payload(event: Option<Event>) -> Vec<u8> {
    let Some(Event::Media { message, .. }) = event else {
        unreachable!("media was sent, got {event:?}")
    };
    message.payload().flatten().copied().collect()
}

#[test]
fn data_is_unwrapped_or_passed_on() {
    let mut peer = Peer::publishing();
    let meta = amf0::encode_all(&[Value::string("onMetaData"), Value::EcmaArray(vec![])]);
    let framed = [&b"\x02\0\x0D@setDataFrame"[..], &meta].concat();
    peer.send(18, 1, &framed).unwrap();
    assert_eq!(payload(peer.event()), meta);
    peer.send(15, 1, &[&[0], &framed[..]].concat()).unwrap();
    assert_eq!(payload(peer.event()), meta, "type 15 becomes 18");
    peer.send(18, 0, &meta).unwrap();
    assert_eq!(
        payload(peer.event()),
        meta,
        "message stream 0 means the only one"
    );
    // FFmpeg's relayed timecode, and what no decoder understands: not ours to judge.
    for odd in [&b"\0\x40\0\0\0\0\0\0\0"[..], b"\x02\xFF\xFFx", b"\xFF"] {
        peer.send(18, 1, odd).unwrap();
        assert_eq!(payload(peer.event()), odd);
    }
    peer.send(18, 1, b"\x02\0\x0F@clearDataFrame").unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::MetadataCleared { stream: 1 })
    ));
}

#[test]
fn aggregates_are_split() {
    let mut peer = Peer::publishing();
    let parts = b"\x08\0\0\x02\0\0\x0A\0\0\0\0\xAF\x01\0\0\0\x0D\
        \x09\0\0\x01\0\0\x1E\0\0\0\0\x17\0\0\0\x0C";
    peer.send(22, 1, parts).unwrap();
    assert_eq!(payload(peer.event()), b"\xAF\x01");
    let Some(Event::Media { message, .. }) = peer.event() else {
        unreachable!("the second part")
    };
    assert_eq!(message.timestamp(), Timestamp(60));
}

#[test]
fn what_is_not_understood_is_ignored() {
    let mut peer = Peer::publishing();
    for type_id in [0, 7, 10, 16, 19, 21, 23, 255] {
        peer.send(type_id, 1, b"\0\0\0\x01 whatever").unwrap();
    }
    peer.send(20, 1, b"").unwrap();
    peer.send(20, 1, b"\xFF\xFF").unwrap();
    peer.send(17, 1, b"\x11").unwrap();
    peer.send(1, 0, b"\0").unwrap();
    peer.send(4, 0, b"\0\x63").unwrap();
    peer.send(22, 1, b"\x08\xFF").unwrap();
    peer.send(9, 5, b"media of a stream that is none").unwrap();
    assert!(peer.event().is_none());
    assert_eq!(peer.words(), [""; 0]);
}

#[test]
fn pings_are_answered_and_measured() {
    let mut peer = Peer::connected();
    peer.send(4, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert_eq!(peer.replies(), [(4, 0, vec![0, 7, 1, 2, 3, 4])]);
    peer.session.ping(Instant::from_micros(5_000_000));
    let (_, _, ping) = peer.replies().remove(0);
    assert_eq!(ping, [0, 6, 0, 0, 0x13, 0x88]);
    let mut pong = Vec::new();
    let payload = [0, 7, 0, 0, 0x13, 0x88];
    peer.encoder
        .encode(&mut pong, 2, 4, 0, Timestamp(0), &payload);
    let now = Instant::from_micros(5_040_000);
    peer.session.handle_input(now, &pong).unwrap();
    assert_eq!(peer.session.round_trip(), Some(Duration::from_millis(40)));
    // A second answer to it, and answers to nothing, say nothing.
    let later = Instant::from_micros(9_000_000);
    peer.session.handle_input(later, &pong).unwrap();
    peer.send(4, 0, &[0, 7, 0, 0, 0, 0]).unwrap();
    assert_eq!(peer.session.round_trip(), Some(Duration::from_millis(40)));
    let mut fresh = Peer::connected();
    fresh.send(4, 0, &payload).unwrap();
    assert_eq!(fresh.session.round_trip(), None);
}

#[test]
fn acknowledges_what_came() {
    let mut peer = Peer::publishing();
    peer.send(5, 0, &2_000u32.to_be_bytes()).unwrap();
    peer.replies();
    peer.send(8, 1, &[0xAF; 1_100]).unwrap();
    let replies = peer.replies();
    assert_eq!((replies.len(), replies[0].0), (1, message::ACKNOWLEDGEMENT));
}

#[test]
fn bounds_end_the_session_by_name() {
    let mut peer = Peer::connected();
    let mut error = None;
    for _ in 0..=limits::MESSAGE_STREAMS {
        error = peer.call(0, "createStream", 0.0, &[]).err();
    }
    let error = error.unwrap();
    assert_eq!(
        error.to_string(),
        "peer: expected at most 16 message streams, got more"
    );
    assert_eq!(error.fault(), Fault::Bound);
    assert_eq!(
        peer.send(20, 0, &[]),
        Err(error),
        "and it takes nothing more"
    );

    let long = Value::string("x".repeat(limits::NAME_BYTES + 1));
    let named = Peer::connected().call(1, "publish", 0.0, &[long]);
    assert!(named.unwrap_err().to_string().contains("name"));

    let deep = [&b"\x02\0\x01x"[..], &b"\x0A\0\0\0\x01".repeat(40)].concat();
    let deep = Peer::connected().send(20, 0, &deep).unwrap_err();
    assert_eq!(deep.fault(), Fault::Bound);

    let mut peer = Peer::new();
    let flood = (0..).find_map(|_| peer.send(8, 0, &[0; 60_000]).err());
    assert!(flood.unwrap().to_string().contains("before `connect`"));

    let mut peer = Peer::connected();
    let pings = (0..).find_map(|_| peer.send(4, 0, &[0, 6, 0, 0, 0, 0]).err());
    assert!(pings.unwrap().to_string().contains("replies"));

    let tiny = b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0".repeat(limits::AGGREGATE_MESSAGES + 1);
    let tiny = Peer::publishing().send(22, 1, &tiny).unwrap_err();
    assert!(tiny.to_string().contains("aggregate"));

    let zero = Peer::connected().send(1, 0, &[0; 4]).unwrap_err();
    assert_eq!(zero.fault(), Fault::Protocol);
}

#[test]
fn strangers_are_named() {
    for (hello, name) in [
        (&b"GET / HTTP/1.1\r\n"[..], "HTTP"),
        (b"\x16\x03\x01\x02\0\x01", "TLS"),
    ] {
        let mut session = ServerSession::new(SessionConfig::default(), 1);
        let error = session.handle_input(Instant::ZERO, hello).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(error.fault(), Fault::NotRtmp);
    }
}

#[test]
fn a_graceful_end_is_told() {
    let mut peer = Peer::publishing();
    peer.session.end_publish(1, "the server stops");
    peer.session.announce_shutdown("the server stops");
    assert_eq!(
        peer.words(),
        [
            "1:onStatus NetStream.Unpublish.Success",
            "0:onStatus NetConnection.Connect.AppShutdown"
        ]
    );
    peer.send(8, 1, b"\xAF\0").unwrap();
    assert!(peer.event().is_none());
}

proptest! {
    /// Whatever comes behind a good handshake and `connect`: no panic, and the same whatever way it is cut.
    #[test]
    fn arbitrary_messages_are_survived(
        messages in prop::collection::vec(
            (0u8..24, 0u32..3, prop::collection::vec(0u8..0x14, 0..40)), 0..30,
        ),
        cut in 1usize..50,
    ) {
        let mut whole = Peer::publishing();
        let mut pieces = Peer::publishing();
        let mut bytes = Vec::new();
        for (type_id, stream, payload) in messages {
            let time = Timestamp(1);
            whole.encoder.encode(&mut bytes, 3, type_id, stream, time, &payload);
        }
        let result = whole.session.handle_input(Instant::ZERO, &bytes);
        let mut cut_result = Ok(());
        for piece in bytes.chunks(cut) {
            cut_result = cut_result.and(pieces.session.handle_input(Instant::ZERO, piece));
        }
        prop_assert_eq!(result, cut_result);
        prop_assert_eq!(
            format!("{:?}", whole.session.events),
            format!("{:?}", pieces.session.events)
        );
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut peer = Peer::connected();
        let _ = peer.session.handle_input(Instant::ZERO, &bytes);
    }
}
