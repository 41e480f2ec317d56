//! What real clients send that no specification has (reference §2–§6, §12).

use super::*;

/// The reference's 25 bytes of createStream, and the 29 of its answer.
#[test]
fn create_stream_to_the_byte() {
    let mut peer = Peer::connected();
    let payload = b"\x02\0\x0CcreateStream\0\x40\x10\0\0\0\0\0\0\x05";
    assert_eq!(payload.len(), 25);
    peer.send(20, 0, payload).unwrap();
    let expected = b"\x02\0\x07_result\0\x40\x10\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0";
    assert_eq!(expected.len(), 29);
    assert_eq!(peer.replies(), [(20, 0, expected.to_vec())]);
}

/// The bytes of the control messages behind `connect`, headers and all.
#[test]
fn control_messages_to_the_byte() {
    let config = SessionConfig {
        chunk_size: 4_096,
        ..SessionConfig::default()
    };
    let mut peer = Peer::new();
    peer.session.config = config;
    peer.connect(&[]).unwrap();
    peer.event();
    peer.session.accept_connect();
    let expected = [
        &b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xA0"[..],
        b"\x02\0\0\0\0\0\x05\x06\0\0\0\0\0\x26\x25\xA0\x02",
        b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\0\0\0\0\0",
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x10\0",
    ];
    assert!(peer.session.output().starts_with(&expected.concat()));
}

/// The reference's `connect` of 35 bytes.
#[test]
fn connect_to_the_byte() {
    let mut peer = Peer::new();
    let payload = b"\x02\0\x07connect\0\x3F\xF0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09";
    assert_eq!(payload.len(), 35);
    peer.send(20, 0, payload).unwrap();
    assert!(matches!(peer.event(), Some(Event::ConnectRequested(c)) if c.app == "live"));
}

#[test]
fn commands_and_data_come_as_amf3_too() {
    let mut peer = Peer::connected();
    let publish = Command {
        name: "publish".into(),
        transaction: 0.0,
        object: Value::Null,
        arguments: vec![Value::string("key")],
    };
    peer.send(17, 1, &[&[0], &publish.encode()[..]].concat())
        .unwrap();
    assert!(matches!(peer.event(), Some(Event::PublishRequested { name, .. }) if name == "key"));
    peer.session.accept_publish(1);
    assert!(peer.replies().iter().all(|(type_id, ..)| *type_id != 17));
    // The name of the data as an AMF3 string: 11 06 …
    let meta = b"\0\x11\x06\x1B@setDataFrame\x02\0\x0AonMetaData\x05";
    peer.send(15, 1, meta).unwrap();
    assert_eq!(payload(peer.event()), b"\x02\0\x0AonMetaData\x05");
}

#[test]
fn shared_objects_are_told_and_harm_nobody() {
    let mut peer = Peer::connected();
    let object = b"\0\x04chat\0\0\0\x01\0\0\0\x02\0\0\0\0\x01\0\0\0\0";
    peer.send(19, 0, object).unwrap();
    peer.send(16, 0, &[&[0], &object[..]].concat()).unwrap();
    for _ in 0..2 {
        assert!(matches!(peer.event(), Some(Event::SharedObject(o)) if o.name == "chat"));
    }
    for n in 0..18 {
        peer.send(19, 0, &object[..n]).unwrap();
    }
    let broken = b"\0\x01x\0\0\0\0\0\0\0\0\0\0\0\0\x04\xFF\xFF\xFF\xFF";
    peer.send(19, 0, broken).unwrap();
    assert!(matches!(peer.event(), Some(Event::SharedObject(o)) if o.events.is_empty()));
    assert!(peer.event().is_none());
    assert_eq!(peer.words(), [""; 0]);
    // Before `connect` is accepted they are noise.
    let mut early = Peer::new();
    early.send(19, 0, object).unwrap();
    assert!(early.event().is_none());
}

#[test]
fn an_aggregates_outer_stream_wins_and_its_tail_may_be_missing() {
    let mut peer = Peer::publishing();
    // The inner message stream is 9; the second message is cut short.
    let bytes =
        b"\x08\0\0\x02\0\0\x0A\0\0\0\x09\xAF\x01\0\0\0\x0D\x09\0\0\x09\0\0\x1E\0\0\0\x09\x17";
    peer.send(22, 1, bytes).unwrap();
    let Some(Event::Media { stream: 1, message }) = peer.event() else {
        unreachable!("the first part")
    };
    assert_eq!(message.timestamp(), Timestamp(40), "the outer time");
    assert!(peer.event().is_none());
    // Data inside is data.
    let data = b"\x12\0\0\x05\0\0\0\0\0\0\0\x02\0\x02hi\0\0\0\x10";
    peer.send(22, 1, data).unwrap();
    assert_eq!(payload(peer.event()), b"\x02\0\x02hi");
}

#[test]
fn control_that_says_nothing_is_ignored() {
    let mut peer = Peer::connected();
    let messages: [(u8, &[u8]); 14] = [
        (4, b""),
        (4, b"\0"),
        (4, b"\0\x06\0\0"),
        (4, b"\0\x03\0\0\0\x01"),
        (4, b"\0\x1A\x01"),
        (4, b"\0\x1B\x01\x01"),
        (4, b"\0\x1F\0\0\0\x01"),
        (4, b"\0\x20\0\0\0\x01"),
        (4, b"\xFF\xFF\0\0\0\x01"),
        (5, b"\0\0\0"),
        (5, b"\0\0\0\0"),
        (6, b"\0\0\0\x01"),
        (6, b"\0\0\0\x01\x07"),
        (6, b"\0\0\0\0\0"),
    ];
    for (type_id, payload) in messages {
        peer.send(type_id, 0, payload).unwrap();
        assert_eq!(peer.words(), [""; 0], "{type_id} {payload:?}");
        assert!(peer.event().is_none());
    }
}

#[test]
fn the_peers_bandwidth_is_obeyed_and_told() {
    let mut peer = Peer::connected();
    let mut limit = |size: u16, kind: u8| {
        let [high, low] = size.to_be_bytes();
        peer.send(6, 0, &[0, 0, high, low, kind]).unwrap();
        let replies = peer.replies();
        replies.first().map(|(type_id, _, payload)| {
            assert_eq!(*type_id, message::WINDOW_ACK_SIZE);
            u16::from_be_bytes([payload[2], payload[3]])
        })
    };
    assert_eq!(limit(9_000, 2), None, "dynamic, and nothing hard before");
    assert_eq!(limit(9_000, 1), Some(9_000), "soft, and smaller");
    assert_eq!(limit(9_500, 1), None, "soft, and larger");
    assert_eq!(limit(9_500, 0), Some(9_500), "hard");
    assert_eq!(limit(8_000, 2), Some(8_000), "dynamic behind hard");
}

#[test]
fn names_are_tidied_and_cases_ignored() {
    let mut peer = Peer::connected();
    peer.call(
        1,
        "Publish",
        0.0,
        &[
            Value::string("_definst_/key?a=1&b=2"),
            Value::string("LIVE"),
        ],
    )
    .unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::PublishRequested { name, query, kind: PublishKind::Live, .. })
            if name == "key" && query == "a=1&b=2"
    ));
    // OBS leaves with the key's query, others without: either ends it.
    for ending in ["key", "key?a=1&b=2"] {
        peer.call(1, "publish", 0.0, &[Value::string("key?a=1&b=2")])
            .unwrap();
        while peer.event().is_some() {}
        peer.session.accept_publish(1);
        peer.call(0, "FCUnpublish", 0.0, &[Value::string(ending)])
            .unwrap();
        assert!(matches!(peer.event(), Some(Event::StreamClosed { .. })));
    }
}

#[test]
fn streams_are_made_by_use_where_nobody_asks_for_them() {
    let mut peer = Peer::connected();
    peer.call(0, "publish", 0.0, &[Value::string("key")])
        .unwrap();
    assert_eq!(peer.event().unwrap().stream(), Some(1));
    peer.call(5, "play", 0.0, &[Value::string("key")]).unwrap();
    assert_eq!(peer.event().unwrap().stream(), Some(5));
}

proptest! {
    /// Any bytes as any message: the session stays, unless a bound was crossed or the chunk stream was changed.
    #[test]
    fn no_message_closes_a_session(
        type_id in prop_oneof![Just(4u8), 6u8..24, any::<u8>()].prop_filter("chunks", |t| *t > 3),
        stream in 0u32..4,
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut peer = Peer::publishing();
        prop_assert_eq!(peer.send(type_id, stream, &payload), Ok(()));
    }
}
