#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn command(name: &str, arguments: &[Value]) -> Command {
    Command {
        name: name.into(),
        transaction: 3.0,
        object: Value::Null,
        arguments: arguments.to_vec(),
    }
}

fn request(name: &str, arguments: &[Value]) -> Request {
    Request::new(&command(name, arguments))
}

#[test]
fn a_command_is_read_in_every_dress() {
    let plain = command("publish", &[Value::string("key"), Value::string("live")]);
    let payload = plain.encode();
    assert_eq!(Command::decode(20, &payload), Ok(plain.clone()));
    assert_eq!(Command::decode(17, &payload), Ok(plain.clone()));
    let prefixed = [&[0], &payload[..]].concat();
    assert_eq!(Command::decode(17, &prefixed), Ok(plain.clone()));
    let amf3 = [
        &b"\x06\x0Fpublish\x04\x03\x01"[..],
        b"\x06\x07key\x06\x09live",
    ];
    assert_eq!(Command::decode(17, &amf3.concat()), Ok(plain));
}

#[test]
fn connect_through_amf3_is_understood() {
    let mut payload = vec![0];
    amf0::encode(&Value::string("connect"), &mut payload);
    amf0::encode(&Value::Number(1.0), &mut payload);
    payload.extend(b"\x11\x0A\x0B\x01\x07app\x06\x09live\x01");
    let command = Command::decode(17, &payload).unwrap();
    let Request::Connect(connect) = Request::new(&command) else {
        unreachable!("connect was sent")
    };
    assert_eq!(connect.app, "live");
    assert!(!connect.enhanced);
}

#[test]
fn what_is_no_command_costs_itself() {
    assert_eq!(Command::decode(20, &[]), Err(CommandError::Name));
    assert_eq!(Command::decode(20, &[5]), Err(CommandError::Name));
    assert_eq!(
        Command::decode(20, &[2, 0, 9, b'x']),
        Err(CommandError::Name)
    );
    // Only a name: everything else has its default.
    let bare = Command::decode(20, b"\x02\x00\x04play").unwrap();
    assert_eq!((bare.transaction, bare.wants_reply()), (0.0, false));
    assert_eq!(
        Request::new(&bare),
        Request::Play {
            name: None,
            start: -2.0,
            reset: true
        }
    );
    let deep = [b"\x02\x00\x04play".to_vec(), b"\x0A\0\0\0\x01".repeat(99)].concat();
    assert_eq!(
        Command::decode(20, &deep),
        Err(CommandError::Bound(AmfError::Depth))
    );
}

#[test]
fn references_are_followed_a_few_times() {
    let mut payload = command("f", &[Value::object([("a", Value::Null)])]).encode();
    payload.extend(b"\x07\0\0".repeat(limits::COMMAND_REFERENCES + 1));
    let command = Command::decode(20, &payload).unwrap();
    assert_eq!(command.argument(1), command.argument(0));
    assert_eq!(command.arguments.last(), Some(&Value::Null));
}

#[test]
fn connect_properties_are_taken_as_they_come() {
    let object = Value::EcmaArray(vec![
        ("app".into(), Value::string("/live/_definst_?t=1")),
        ("tcurl".into(), Value::string("rtmp://h/live")),
        ("flashVer".into(), Value::string("x".repeat(5_000))),
        ("objectEncoding".into(), Value::Number(3.0)),
        ("capsEx".into(), Value::Number(7.0)),
        (
            "fourCcList".into(),
            Value::StrictArray(vec![Value::string("hvc1"), Value::Null, Value::string("*")]),
        ),
    ]);
    let connect = ConnectRequest::new(&object);
    assert_eq!(
        (connect.app.as_str(), connect.query.as_str()),
        ("live", "t=1")
    );
    assert_eq!(connect.tc_url, "rtmp://h/live");
    assert_eq!(connect.flash_ver.len(), limits::NAME_BYTES);
    assert_eq!((connect.object_encoding, connect.caps_ex), (3, 7));
    assert_eq!(connect.four_cc_list, ["hvc1", "*"]);
    assert!(connect.enhanced);
    assert_eq!(ConnectRequest::new(&Value::Null), ConnectRequest::default());
}

#[test]
fn arguments_are_tolerant() {
    let publish = |name, kind| Request::Publish { name, kind };
    let text = Value::string;
    for (arguments, expected) in [
        (
            vec![text("k"), text("LIVE")],
            publish(Some("k".into()), PublishKind::Live),
        ),
        (
            vec![text("k"), text("Record")],
            publish(Some("k".into()), PublishKind::Record),
        ),
        (
            vec![text("k"), text("append")],
            publish(Some("k".into()), PublishKind::Append),
        ),
        (
            vec![text("k")],
            publish(Some("k".into()), PublishKind::Live),
        ),
        (
            vec![Value::Number(7.0)],
            publish(Some("7".into()), PublishKind::Live),
        ),
        (
            vec![Value::Boolean(false)],
            publish(None, PublishKind::Live),
        ),
        (
            vec![text("")],
            publish(Some(String::new()), PublishKind::Live),
        ),
        (vec![], publish(None, PublishKind::Live)),
    ] {
        assert_eq!(request("publish", &arguments), expected);
    }
    let play = request(
        "play",
        &[
            text("s"),
            Value::Number(-2000.0),
            Value::Number(-1.0),
            Value::Number(0.0),
        ],
    );
    assert_eq!(
        play,
        Request::Play {
            name: Some("s".into()),
            start: -2000.0,
            reset: false
        }
    );
    let play2 = Value::object([("streamName", text("b"))]);
    assert!(matches!(
        request("play2", &[play2]),
        Request::Play { name: Some(name), .. } if name == "b"
    ));
    // GStreamer's rtmp2sink sends the stream's name.
    assert_eq!(
        request("deleteStream", &[text("stream")]),
        Request::DeleteStream { stream: None }
    );
    assert_eq!(
        request("DeleteStream", &[Value::Number(1.0)]),
        Request::DeleteStream { stream: Some(1) }
    );
    assert_eq!(
        request("receiveAudio", &[Value::Number(0.0)]),
        Request::ReceiveAudio(false)
    );
    assert_eq!(request("connect me", &[]), Request::Unknown);
}

proptest! {
    #[test]
    fn commands_round_trip(name in "[a-z]{1,9}", transaction in 0u32..9, text in ".{0,9}") {
        let command = Command {
            name,
            transaction: f64::from(transaction),
            object: Value::object([("k", Value::string(text.as_str()))]),
            arguments: vec![Value::string(text)],
        };
        prop_assert_eq!(Command::decode(20, &command.encode()), Ok(command));
    }

    #[test]
    fn arbitrary_bytes_are_survived(
        type_id in 15u8..21,
        name in "[a-zA-Z]{1,14}",
        bytes in prop::collection::vec(0u8..0x20, 0..200),
    ) {
        fuzz_command(&[&[type_id], &bytes[..]].concat());
        let mut named = vec![type_id];
        amf0::encode(&Value::String(name), &mut named);
        named.extend(bytes);
        fuzz_command(&named);
    }
}
