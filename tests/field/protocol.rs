//! What the predecessor and others misread.

use millstream::rtmp::amf::{Value, amf0};
use millstream::rtmp::chunk::decoder::Body;
use millstream::rtmp::handshake::{ClientHandshake, ServerHandshake};
use millstream::rtmp::session::client::{ClientConfig, ClientSession};
use millstream::rtmp::session::server::Event;
use millstream::rtmp::wire::MediaKind;
use millstream::time::{Instant, Timestamp};

use crate::wire::Dialogue;

#[test]
fn b10_amf3_aggregates_play2_acknowledgements_and_pongs() {
    let mut dialogue = Dialogue::connected();
    let publish = [
        Value::string("publish"),
        Value::Number(3.0),
        Value::Null,
        Value::string("a"),
    ];
    let publish = [&[0], &amf0::encode_all(&publish)[..]].concat();
    assert_eq!(dialogue.say(17, 1, &publish), Ok(()));
    assert_eq!(dialogue.say(15, 1, b"\0\x02\0\x0AonMetaData\x05"), Ok(()));
    let part = b"\x08\0\0\x02\0\0\0\0\0\0\0\xAF\x01\0\0\0\x0D";
    assert_eq!(dialogue.say(22, 1, &part.repeat(2)), Ok(()));
    assert_eq!(dialogue.media().len(), 3);
    let next = Value::object([("streamName", Value::string("b"))]);
    assert_eq!(dialogue.call(2, "play2", &[next]), Ok(()));
    let played = |e: &Event| matches!(e, Event::PlayRequested { name, .. } if name == "b");
    assert!(dialogue.events.iter().any(played));
    assert_eq!(dialogue.say(5, 0, &1_000u32.to_be_bytes()), Ok(()));
    assert_eq!(dialogue.say(4, 0, &[0, 6, 0, 0, 0x12, 0x34]), Ok(()));
    assert_eq!(dialogue.say(8, 1, &[0xAF; 800]), Ok(()));
    let heard = dialogue.heard();
    let plain = |type_id, wanted: &[u8]| {
        let mut all = heard.iter().filter(|m| m.type_id == type_id);
        all.any(|m| matches!(&m.body, Body::Plain(p) if p.starts_with(wanted)))
    };
    assert!(plain(3, &[]), "an acknowledgement");
    assert!(plain(4, &[0, 7, 0, 0, 0x12, 0x34]), "a pong");
}

#[test]
fn b11_metadata_cut_short_bare_on_meta_data_and_queries_in_names() {
    let mut dialogue = Dialogue::publishing("key?token=1");
    let named = |e: &Event| matches!(e, Event::PublishRequested { name, query, .. } if name == "key" && query == "token=1");
    assert!(dialogue.events.iter().any(named));
    // A path of its own for another command on the same message stream changes nothing.
    assert_eq!(
        dialogue.call(1, "FCSubscribe", &[Value::string("other")]),
        Ok(())
    );
    let values = Value::EcmaArray(vec![
        ("null".into(), Value::Null),
        (
            "date".into(),
            Value::Date {
                millis: 1.0,
                timezone: 0,
            },
        ),
        ("array".into(), Value::StrictArray(vec![Value::Number(1.0)])),
        ("long".into(), Value::String("x".repeat(70_000))),
        ("width".into(), Value::Number(640.0)),
    ]);
    let bare = amf0::encode_all(&[Value::string("onMetaData"), values]);
    let framed = [
        &amf0::encode_all(&[Value::string("@setDataFrame")])[..],
        &bare,
    ]
    .concat();
    assert_eq!(dialogue.say(18, 1, &framed), Ok(()));
    assert_eq!(dialogue.say(18, 1, &bare), Ok(()));
    assert_eq!(dialogue.media(), [bare.clone(), bare]);
}

#[test]
fn b12_digest_handshake_and_c2() {
    for digest in [true, false] {
        let mut c0_c1 = Vec::new();
        let mut client = ClientHandshake::new(5, digest, &mut c0_c1);
        let mut server = ServerHandshake::new(6);
        let mut answer = Vec::new();
        assert_eq!(
            server.handle_input(&mut c0_c1.as_slice(), &mut answer),
            Ok(false)
        );
        assert_eq!(answer.len(), 1 + 2 * 1_536);
        // A player of FFmpeg's takes anything here but zeros for a promise of digests.
        assert_eq!(answer[5..9] != [0; 4], digest);
        let mut c2 = Vec::new();
        assert_eq!(
            client.handle_input(&mut answer.as_slice(), &mut c2),
            Ok(true)
        );
        // Any C2 will do: half of all clients send another than the specification's.
        for byte in &mut c2 {
            *byte ^= 0x5A;
        }
        c2.extend(b"chunks");
        let mut input = c2.as_slice();
        assert_eq!(server.handle_input(&mut input, &mut answer), Ok(true));
        assert_eq!(input, b"chunks");
    }
}

#[test]
fn b20_a_client_opened_twice_and_on_meta_data() {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        flash_ver: "test".into(),
        chunk_size: 4_096,
        ..ClientConfig::default()
    };
    let mut client = ClientSession::new(config, 1);
    client.connect();
    client.connect();
    client.publish("s");
    let mut server = millstream::rtmp::session::server::ServerSession::new(
        millstream::rtmp::session::server::SessionConfig::default(),
        2,
    );
    let mut events = Vec::new();
    let metadata = amf0::encode_all(&[
        Value::string("onMetaData"),
        Value::object([("width", Value::Number(640.0))]),
    ]);
    for turn in 0..8 {
        let mut bytes = Vec::new();
        client.take_output(&mut bytes);
        server.handle_input(Instant::ZERO, &bytes).unwrap();
        while let Some(event) = server.poll_event() {
            match &event {
                Event::ConnectRequested(_) => server.accept_connect(),
                Event::PublishRequested { stream, .. } => server.accept_publish(*stream),
                _ => {}
            }
            events.push(event);
        }
        let mut bytes = Vec::new();
        server.take_output(&mut bytes);
        client.handle_input(Instant::ZERO, &bytes).unwrap();
        if turn == 6 {
            client.send_media(MediaKind::Data, Timestamp(0), &metadata);
        }
    }
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
    assert_eq!(
        count(|e| matches!(e, Event::ConnectRequested(c) if c.app == "live")),
        1
    );
    assert_eq!(
        count(|e| matches!(e, Event::PublishRequested { name, .. } if name == "s")),
        1
    );
    let media = events.iter().find_map(|e| match e {
        Event::Media { message, .. } => Some(crate::wire::payload(message)),
        _ => None,
    });
    assert_eq!(media, Some(metadata));
}
