//! Publishing and playing: several at once, one in place of another, and what is said of each.

use super::*;
use crate::rtmp::command::{Play2, PlayOptions, PlayStart};

fn play2(name: &str) -> Value {
    let play = Play2 {
        name: Some(name.into()),
        ..Play2::default()
    };
    play.to_value()
}

#[test]
fn one_connection_publishes_twice_and_plays_twice() {
    let mut peer = Peer::connected();
    for (stream, command, name) in [
        (1, "publish", "a"),
        (2, "play", "b"),
        (3, "publish", "c"),
        (4, "play", "d"),
    ] {
        peer.call(0, "createStream", 2.0, &[]).unwrap();
        peer.call(stream, command, 0.0, &[Value::string(name)])
            .unwrap();
        assert_eq!(peer.event().unwrap().stream(), Some(stream));
        match command {
            "publish" => peer.session.accept_publish(stream),
            _ => {
                peer.session.accept_play(stream);
            }
        }
    }
    peer.replies();
    for stream in [3, 1, 0] {
        peer.send(8, stream, b"\xAF\x01").unwrap();
    }
    // Message stream 0 could mean either of two: none.
    let streams = core::iter::from_fn(|| peer.event()).map(|e| e.stream());
    assert_eq!(streams.collect::<Vec<_>>(), [Some(3), Some(1)]);
    peer.call(0, "deleteStream", 0.0, &[Value::Number(3.0)])
        .unwrap();
    peer.call(2, "closeStream", 0.0, &[]).unwrap();
    assert_eq!(
        peer.words(),
        [
            "3:onStatus NetStream.Unpublish.Success",
            "2:onStatus NetStream.Play.Stop"
        ]
    );
    peer.send(8, 1, b"\xAF\x01").unwrap();
    peer.call(4, "pause", 0.0, &[Value::Boolean(true)]).unwrap();
    let streams = core::iter::from_fn(|| peer.event()).map(|e| e.stream());
    assert_eq!(
        streams.collect::<Vec<_>>(),
        [Some(3), Some(2), Some(1), Some(4)]
    );
    // The freed number comes again.
    peer.call(0, "createStream", 5.0, &[]).unwrap();
    let (values, _) = amf0::decode_all(&peer.replies()[0].2);
    assert_eq!(values[3], Value::Number(3.0));
}

#[test]
fn play_carries_all_it_says() {
    let mut peer = Peer::connected();
    let arguments = [
        Value::string("key?t=1"),
        Value::Number(3_000.0),
        Value::Number(10.0),
        Value::Number(0.0),
    ];
    peer.call(1, "play", 0.0, &arguments).unwrap();
    let Some(Event::PlayRequested {
        stream: 1,
        name,
        query,
        start,
        duration,
        reset,
        transition,
    }) = peer.event()
    else {
        unreachable!("play was sent")
    };
    assert_eq!((name.as_str(), query.as_str()), ("key", "t=1"));
    assert_eq!(start, PlayStart::Recorded(3_000.0));
    assert_eq!((duration, reset, transition), (Some(10.0), false, None));
}

#[test]
fn play2_changes_what_plays() {
    let mut peer = Peer::connected();
    // Where nothing plays it is a play like any other.
    peer.call(1, "play2", 0.0, &[play2("a")]).unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::PlayRequested {
            transition: None,
            ..
        })
    ));
    peer.session.accept_play(1);
    peer.session.complete_transition(1);
    assert_eq!(peer.words()[2], "1:onStatus NetStream.Play.Start");
    // Now it takes the other's place.
    peer.call(1, "play2", 0.0, &[play2("b")]).unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
    let Some(Event::PlayRequested {
        name,
        transition: Some(_),
        ..
    }) = peer.event()
    else {
        unreachable!("a transition was asked for")
    };
    assert_eq!(name, "b");
    peer.session.complete_transition(1);
    assert_eq!(peer.words(), [""; 0], "not accepted yet");
    peer.session.accept_play(1);
    assert_eq!(peer.words(), ["1:onStatus NetStream.Play.Transition"]);
    peer.session.complete_transition(1);
    peer.session.complete_transition(1);
    let replies = peer.replies();
    assert_eq!(replies.len(), 1, "told once");
    let (values, _) = amf0::decode_all(&replies[0].2);
    assert_eq!((replies[0].0, replies[0].1), (18, 1));
    assert_eq!(values[0].as_str(), Some("onPlayStatus"));
    let [level, code] = ["level", "code"].map(|k| values[1].get(k).and_then(Value::as_str));
    assert_eq!(level, Some("status"));
    assert_eq!(code, Some("NetStream.Play.TransitionComplete"));
    // Its `stop` stops.
    let mut stop = Play2 {
        name: Some("b".into()),
        options: PlayOptions::default(),
        ..Play2::default()
    };
    stop.transition.mode = "stop".into();
    peer.call(1, "play2", 0.0, &[stop.to_value()]).unwrap();
    assert_eq!(peer.words(), ["1:onStatus NetStream.Play.Stop"]);
}

#[test]
fn what_players_ask_is_answered_as_specified() {
    let mut peer = Peer::connected();
    peer.call(1, "play", 0.0, &[Value::string("a")]).unwrap();
    peer.event();
    peer.session.accept_play(1);
    peer.replies();
    for (name, argument) in [
        ("receiveAudio", Value::Boolean(false)),
        ("receiveVideo", Value::Boolean(true)),
        ("seek", Value::Number(9.0)),
        ("pauseRaw", Value::Boolean(true)),
    ] {
        peer.call(1, name, 0.0, &[argument]).unwrap();
    }
    assert_eq!(peer.words(), [""; 0], "the shell answers");
    peer.session.confirm_receive(1);
    peer.session.confirm_seek(1, 9.0, true);
    peer.session.reject_seek(1, "live");
    peer.session.confirm_pause(1, true);
    peer.session.confirm_pause(1, false);
    assert_eq!(
        peer.words(),
        [
            "1:onStatus NetStream.Seek.Notify",
            "1:onStatus NetStream.Play.Start",
            "user 4:1",
            "user 0:1",
            "1:onStatus NetStream.Seek.Notify",
            "1:onStatus NetStream.Play.Start",
            "1:onStatus NetStream.Seek.Failed",
            "1:onStatus NetStream.Pause.Notify",
            "user 1:1",
            "1:onStatus NetStream.Unpause.Notify",
            "user 0:1",
        ]
    );
}

#[test]
fn buffer_lengths_are_kept_per_message_stream() {
    let mut peer = Peer::connected();
    let buffer = |stream: u8, millis: u16| {
        let [high, low] = millis.to_be_bytes();
        [0, 3, 0, 0, 0, stream, 0, 0, high, low]
    };
    peer.send(4, 0, &buffer(1, 100)).unwrap();
    assert_eq!(peer.session.buffer_length(1), None, "nobody made it");
    for _ in 0..2 {
        peer.call(0, "createStream", 1.0, &[]).unwrap();
    }
    peer.send(4, 0, &buffer(1, 3_000)).unwrap();
    peer.send(4, 0, &buffer(2, 500)).unwrap();
    peer.send(4, 0, &buffer(2, 700)).unwrap();
    let millis = |stream| peer.session.buffer_length(stream);
    assert_eq!(millis(1), Some(Duration::from_millis(3_000)));
    assert_eq!(millis(2), Some(Duration::from_millis(700)));
    assert_eq!(millis(3), None);
}

#[test]
fn connect_is_refused_in_every_way() {
    fn refused(refuse: impl FnOnce(&mut ServerSession)) -> Value {
        let mut peer = Peer::new();
        peer.connect(&[("app", Value::string("live"))]).unwrap();
        peer.event();
        refuse(&mut peer.session);
        let replies = peer.replies();
        assert_eq!(replies.len(), 1);
        let (mut values, _) = amf0::decode_all(&replies[0].2);
        assert_eq!(values[0].as_str(), Some("_error"));
        assert_eq!(values[1..3], [Value::Number(1.0), Value::Null]);
        // Whatever comes now is ignored.
        peer.call(0, "createStream", 2.0, &[]).unwrap();
        assert_eq!(peer.words(), [""; 0]);
        assert!(peer.event().is_none());
        values.remove(3)
    }
    let text = |info: &Value, key| info.get(key).and_then(Value::as_str).unwrap().to_owned();
    let auth = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    for status in [Status::ConnectRejected, Status::ConnectInvalidApp] {
        let info = refused(|session| session.reject_connect(status, auth));
        assert_eq!(text(&info, "level"), "error");
        assert_eq!(text(&info, "code"), status.code());
        assert_eq!(text(&info, "description"), auth);
    }
    let info = refused(|session| session.redirect_connect("rtmp://b/live", "elsewhere"));
    assert_eq!(text(&info, "code"), "NetConnection.Connect.Rejected");
    let ex = info.get("ex").unwrap();
    assert_eq!(ex.get("code"), Some(&Value::Number(302.0)));
    assert_eq!(text(ex, "redirect"), "rtmp://b/live");
}

#[test]
fn only_who_can_is_asked_to_reconnect() {
    for (caps, can) in [(0.0, false), (14.0, false), (1.0, true), (15.0, true)] {
        let mut peer = Peer::new();
        peer.connect(&[("capsEx", Value::Number(caps))]).unwrap();
        assert!(!peer.session.request_reconnect(None, "too early"));
        peer.event();
        peer.session.accept_connect();
        peer.replies();
        assert_eq!(peer.session.request_reconnect(Some("/b"), "moves"), can);
        let replies = peer.replies();
        assert_eq!(replies.len(), usize::from(can));
        if can {
            let (values, _) = amf0::decode_all(&replies[0].2);
            assert_eq!((replies[0].1, values[0].as_str()), (0, Some("onStatus")));
            let [level, url] = ["level", "tcUrl"].map(|k| values[3].get(k).and_then(Value::as_str));
            assert_eq!((level, url), (Some("status"), Some("/b")));
        }
    }
}

#[test]
fn an_end_on_the_heels_of_a_request_is_not_told_twice() {
    let mut peer = Peer::connected();
    let key = [Value::string("a")];
    peer.call(1, "publish", 0.0, &key).unwrap();
    peer.call(1, "closeStream", 0.0, &[]).unwrap();
    peer.event();
    peer.session.reject_publish(1, Status::PublishDenied, "no");
    assert!(peer.event().is_none(), "its end is of no interest any more");
    // Accepted too late: the end is what there is to say.
    peer.call(1, "play", 0.0, &key).unwrap();
    peer.call(0, "deleteStream", 0.0, &[Value::Number(1.0)])
        .unwrap();
    peer.event();
    peer.replies();
    peer.session.accept_play(1);
    assert_eq!(peer.words(), [""; 0]);
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
    // And a stop by the server of what has ended already says nothing.
    peer.session.end_publish(1, "stop");
    assert_eq!(peer.words(), [""; 0]);
}

/// Of two publishes one is deleted first and FCUnpublished then: the other must not end for it.
#[test]
fn fc_unpublish_of_what_has_ended_leaves_the_others() {
    let mut peer = Peer::connected();
    for (stream, name) in [(1, "a"), (2, "b")] {
        peer.call(stream, "publish", 0.0, &[Value::string(name)])
            .unwrap();
        peer.event();
        peer.session.accept_publish(stream);
    }
    peer.call(0, "deleteStream", 0.0, &[Value::Number(2.0)])
        .unwrap();
    assert_eq!(peer.event().unwrap().stream(), Some(2));
    peer.call(0, "FCUnpublish", 0.0, &[Value::string("b")])
        .unwrap();
    assert!(peer.event().is_none(), "a still publishes");
    // Without a name it means the only one.
    peer.call(0, "FCUnpublish", 0.0, &[]).unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::StreamClosed { stream: 1, .. })
    ));
}

/// `play` and `play2` in one read are the events that they are one by one; what is said depends on what was heard.
#[test]
fn play2_on_the_heels_of_play_is_a_change_as_well() {
    for accepts in [true, false] {
        let mut peer = Peer::connected();
        peer.call(1, "play", 0.0, &[Value::string("a")]).unwrap();
        peer.call(1, "play2", 0.0, &[play2("b")]).unwrap();
        peer.event();
        match accepts {
            true => {
                peer.session.accept_play(1);
                let end = peer.event();
                assert!(matches!(end, Some(Event::StreamClosed { stream: 1, .. })));
            }
            false => peer.session.reject_play(1, Status::PlayFailed, "no"),
        }
        peer.replies();
        let Some(Event::PlayRequested { transition, .. }) = peer.event() else {
            unreachable!("play2 was sent")
        };
        assert_eq!(transition.is_some(), accepts);
        // The client has not heard of the first: it needs a Start.
        peer.session.accept_play(1);
        assert_eq!(peer.words()[2], "1:onStatus NetStream.Play.Start");
        peer.session.complete_transition(1);
        assert_eq!(peer.words(), [""; 0]);
    }
}

/// An answer to what a player asked of a role that it has left meanwhile would be taken for one of the next.
#[test]
fn nothing_is_said_of_a_play_that_was_left() {
    let mut peer = Peer::connected();
    peer.call(1, "play", 0.0, &[Value::string("a")]).unwrap();
    peer.event();
    peer.session.accept_play(1);
    peer.replies();
    peer.call(1, "pause", 0.0, &[Value::Boolean(true)]).unwrap();
    peer.call(1, "closeStream", 0.0, &[]).unwrap();
    assert_eq!(peer.words(), ["1:onStatus NetStream.Play.Stop"]);
    assert!(matches!(peer.event(), Some(Event::Paused { .. })));
    peer.session.confirm_pause(1, true);
    peer.session.confirm_receive(1);
    peer.session.confirm_seek(1, 1.0, true);
    peer.session.reject_seek(1, "live");
    assert_eq!(peer.words(), [""; 0]);
}

#[test]
fn a_request_to_reconnect_is_these_bytes() {
    let mut peer = Peer::new();
    let caps = ("capsEx", Value::Number(1.0));
    peer.connect(&[caps]).unwrap();
    peer.event();
    peer.session.accept_connect();
    peer.replies();
    for (tc_url, with) in [(None, &b""[..]), (Some("/b"), b"\0\x05tcUrl\x02\0\x02/b")] {
        assert!(peer.session.request_reconnect(tc_url, "moves"));
        let mut payload = b"\x02\0\x08onStatus".to_vec();
        payload.extend([0; 9]); // transaction 0
        payload.push(5); // null
        payload.extend(b"\x03\0\x05level\x02\0\x06status");
        payload.extend(b"\0\x04code\x02\0\x26NetConnection.Connect.ReconnectRequest");
        payload.extend(b"\0\x0bdescription\x02\0\x05moves");
        payload.extend(with);
        payload.extend([0, 0, 9]);
        assert_eq!(peer.replies(), [(20, 0, payload)], "{tc_url:?}");
    }
}
