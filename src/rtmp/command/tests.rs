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
    assert_eq!(connect.enhanced, None);
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
            options: PlayOptions::default()
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

fn connect(properties: Vec<(String, Value)>) -> ConnectRequest {
    let mut command = command("connect", &[]);
    command.object = Value::EcmaArray(properties);
    ConnectRequest::new(&command)
}

#[test]
fn connect_properties_are_taken_as_they_come() {
    let map = Value::object([("hvc1", Value::Number(7.0)), ("too long", Value::Null)]);
    let properties = [
        ("app", Value::string("/live/_definst_?t=1")),
        ("tcurl", Value::string("rtmp://h/live")),
        ("flashVer", Value::string("x".repeat(5_000))),
        ("type", Value::string("nonprivate")),
        ("fpad", Value::Boolean(true)),
        ("capabilities", Value::Number(239.0)),
        ("audioCodecs", Value::Number(3575.0)),
        ("videoCodecs", Value::Number(252.0)),
        ("videoFunction", Value::Number(1.0)),
        ("objectEncoding", Value::Number(3.0)),
        ("capsEx", Value::Number(7.0)),
        (
            "fourCcList",
            Value::StrictArray(vec![Value::string("hvc1"), Value::Null, Value::string("*")]),
        ),
        ("videoFourCcInfoMap", map.clone()),
        (
            "audioFourCcInfoMap",
            Value::object([("*", Value::Number(4.0))]),
        ),
    ];
    let connect = connect(properties.map(|(k, v)| (k.to_owned(), v)).into());
    assert_eq!(
        (connect.app.as_str(), connect.query.as_str()),
        ("live", "t=1")
    );
    assert_eq!(connect.tc_url, "rtmp://h/live");
    assert_eq!(connect.flash_ver.len(), limits::NAME_BYTES);
    assert_eq!((connect.kind.as_str(), connect.fpad), ("nonprivate", true));
    assert_eq!(
        (
            connect.capabilities,
            connect.audio_codecs,
            connect.video_codecs,
            connect.video_function,
            connect.object_encoding
        ),
        (239, 3575, 252, 1, 3)
    );
    assert!(connect.can_reconnect());
    let enhanced = connect.enhanced.unwrap();
    assert_eq!(enhanced.four_cc_list, ["hvc1", "*"]);
    assert_eq!(enhanced.video, [("hvc1".to_owned(), 7)]);
    assert_eq!(enhanced.audio, [("*".to_owned(), 4)]);
    assert_eq!(enhanced.caps_ex, 7);
}

#[test]
fn connect_may_say_nothing_or_too_much() {
    assert_eq!(connect(vec![]), ConnectRequest::default());
    assert!(!connect(vec![]).can_reconnect());
    let many = || vec![Value::string("x"); limits::FOUR_CCS + 1];
    let map = (0..=limits::FOUR_CCS).map(|n| (n.to_string(), Value::Null));
    let enhanced = connect(vec![
        ("fourCcList".into(), Value::StrictArray(many())),
        ("videoFourCcInfoMap".into(), Value::Object(map.collect())),
        ("capsEx".into(), Value::Number(f64::NAN)),
    ]);
    let enhanced = enhanced.enhanced.unwrap();
    assert_eq!(enhanced.four_cc_list.len(), limits::FOUR_CCS);
    assert_eq!(enhanced.video.len(), limits::FOUR_CCS);
    assert_eq!(enhanced.caps_ex, 0);
    // Everything of the wrong type is as if it were not there.
    let wrong = ["app", "tcUrl", "audioCodecs", "fpad"];
    let wrong = wrong.map(|key| (key.to_owned(), Value::Null));
    assert_eq!(connect(wrong.into()), ConnectRequest::default());
}

#[test]
fn play_says_from_where_and_how_long() {
    let number = Value::Number;
    // FFmpeg and librtmp multiply by 1,000; GStreamer does not.
    for (sent, start) in [
        (-2_000.0, PlayStart::LiveOrRecorded),
        (-2.0, PlayStart::LiveOrRecorded),
        (-1_000.0, PlayStart::Live),
        (-1.0, PlayStart::Live),
        (0.0, PlayStart::Recorded(0.0)),
        (7_500.0, PlayStart::Recorded(7_500.0)),
        (-3.0, PlayStart::LiveOrRecorded),
        (f64::NAN, PlayStart::LiveOrRecorded),
    ] {
        let arguments = [Value::string("s"), number(sent), number(5.0), number(1.0)];
        let Request::Play { options, .. } = request("play", &arguments) else {
            unreachable!("play was sent")
        };
        let duration = Some(5.0);
        let reset = true;
        let expected = PlayOptions {
            start,
            duration,
            reset,
        };
        assert_eq!(options, expected, "{sent}");
    }
    for (sent, duration) in [(-1.0, None), (0.0, Some(0.0)), (f64::NAN, None)] {
        let arguments = [Value::string("s"), Value::Null, number(sent)];
        let Request::Play { options, .. } = request("play", &arguments) else {
            unreachable!("play was sent")
        };
        assert_eq!(options.duration, duration);
    }
}

#[test]
fn play2_has_all_of_its_options() {
    let play = Play2 {
        name: Some("b".into()),
        options: PlayOptions {
            start: PlayStart::Live,
            duration: Some(9.0),
            reset: true,
        },
        transition: Transition {
            old_name: "a".into(),
            offset: Some(2.5),
            mode: "switch".into(),
        },
    };
    let round = request("play2", &[play.to_value()]);
    assert_eq!(round, Request::Play2(Box::new(play.clone())));
    let mut stop = play;
    stop.transition.mode = "stop".into();
    let Request::Play2(stop) = request("play2", &[stop.to_value()]) else {
        unreachable!("play2 was sent")
    };
    assert_eq!(stop.name, None);
    let bare = Request::Play2(Box::default());
    assert_eq!(request("play2", &[]), bare);
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
            options: PlayOptions {
                reset: false,
                ..PlayOptions::default()
            }
        }
    );
    let play2 = Value::object([("streamName", text("b"))]);
    assert!(matches!(
        request("play2", &[play2]),
        Request::Play2(play) if play.name.as_deref() == Some("b")
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
    fn enhanced_properties_round_trip(
        list in prop::collection::vec("[a-z0-9]{4}", 0..9),
        video in prop::collection::vec(("[a-z0-9]{4}", 0u32..8), 0..9),
        audio in prop::collection::vec(("[a-zA-Z.*-]{1,4}", 0u32..8), 0..9),
        caps_ex in 0u32..16,
    ) {
        let enhanced = Enhanced { four_cc_list: list, video, audio, caps_ex };
        let read = Enhanced::of(&Value::Object(enhanced.properties()));
        let nothing = enhanced == Enhanced::default();
        prop_assert_eq!(read, (!nothing).then_some(enhanced));
    }

    #[test]
    fn transitions_round_trip(
        name in "[a-z]{0,9}", old_name in "[a-z]{0,9}", mode in "[a-r]{0,9}",
        start in -2i32..99, duration in proptest::option::of(0u32..99), offset in proptest::option::of(0u32..99),
    ) {
        let play = Play2 {
            name: Some(name),
            options: PlayOptions {
                start: PlayStart::from_number(start.into()),
                duration: duration.map(f64::from),
                reset: true,
            },
            transition: Transition { old_name, offset: offset.map(f64::from), mode },
        };
        prop_assert_eq!(request("play2", &[play.to_value()]), Request::Play2(Box::new(play)));
    }

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
