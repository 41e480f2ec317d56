//! What clients ask of recordings, and in which words they are answered.

use super::*;

fn play(name: &str, start: f64, reset: bool) -> [Value; 4] {
    [
        Value::string(name),
        Value::Number(start),
        Value::Number(-1.0),
        Value::Boolean(reset),
    ]
}

/// The requests and ends that the shell hears of.
fn heard(peer: &mut Peer) -> Vec<String> {
    std::iter::from_fn(|| peer.event())
        .map(|event| match event {
            Event::PlayRequested { name, reset, .. } => format!("play {name} {reset}"),
            Event::StreamClosed { append, .. } => format!("closed {append}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_recording_says_that_it_is_one_and_a_seek_says_it_again() {
    let mut peer = Peer::connected();
    peer.call(1, "play", 0.0, &play("a.flv", 0.0, true))
        .unwrap();
    assert_eq!(heard(&mut peer), ["play a.flv true"]);
    assert!(peer.session.accept_recording(1));
    assert_eq!(
        peer.words(),
        [
            "user 4:1",
            "user 0:1",
            "1:onStatus NetStream.Play.Reset",
            "1:onStatus NetStream.Play.Start",
            "1:|RtmpSampleAccess",
        ]
    );
    peer.call(1, "seek", 0.0, &[Value::Number(5_000.0)])
        .unwrap();
    assert!(matches!(
        peer.event(),
        Some(Event::SeekRequested { stream: 1, position }) if position == 5_000.0
    ));
    peer.session.confirm_seek(1, 4_000.0, true);
    assert_eq!(
        peer.words(),
        [
            "user 4:1",
            "user 0:1",
            "1:onStatus NetStream.Seek.Notify",
            "1:onStatus NetStream.Play.Start",
        ]
    );
}

#[test]
fn the_length_is_asked_of_the_shell_by_whoever_waits_for_it() {
    let mut peer = Peer::connected();
    let name = [Value::string("mp4:film.mp4?key=1")];
    peer.call(0, "getStreamLength", 0.0, &name).unwrap();
    assert!(peer.event().is_none(), "nobody waits");
    peer.call(0, "getStreamLength", 4.0, &name).unwrap();
    let Some(Event::LengthRequested { transaction, name }) = peer.event() else {
        unreachable!("it was asked")
    };
    assert_eq!((transaction, name.as_str()), (4.0, "mp4:film.mp4"));
    peer.session.answer_length(transaction, 12.5);
    let (values, _) = amf0::decode_all(&peer.replies()[0].2);
    assert_eq!(values[0].as_str(), Some("_result"));
    assert_eq!(
        values[1..],
        [Value::Number(4.0), Value::Null, Value::Number(12.5)]
    );
}

/// As Flash's playlists are sent: all at once, or one after the other.
#[test]
fn plays_that_are_not_to_reset_follow_what_plays() {
    let mut peer = Peer::connected();
    for (name, reset) in [("a", true), ("b", false), ("c", false)] {
        peer.call(1, "play", 0.0, &play(name, 0.0, reset)).unwrap();
    }
    let Some(Event::PlayRequested { .. }) = peer.event() else {
        unreachable!("a was asked for")
    };
    assert!(peer.session.accept_recording(1), "the list plays");
    assert_eq!(peer.words()[2], "1:onStatus NetStream.Play.Reset");
    for _ in 0..2 {
        let closed = peer.event();
        assert!(matches!(
            closed,
            Some(Event::StreamClosed { append: true, .. })
        ));
        assert!(matches!(
            peer.event(),
            Some(Event::PlayRequested { reset: false, .. })
        ));
        assert!(peer.session.accept_append(1));
    }
    assert_eq!(peer.words(), [""; 0], "what plays is not disturbed");
    peer.session.confirm_pause(1, true);
    assert_eq!(peer.words()[0], "1:onStatus NetStream.Pause.Notify");
    peer.call(1, "play", 0.0, &play("d", 0.0, false)).unwrap();
    assert_eq!(heard(&mut peer), ["closed true", "play d false"]);
    assert!(peer.session.accept_append(1));
    peer.call(1, "play", 0.0, &play("e", 0.0, true)).unwrap();
    assert_eq!(heard(&mut peer), ["closed false", "play e true"]);
    peer.session.confirm_pause(1, false);
    assert_eq!(peer.words(), [""; 0], "e has not been accepted");
}

#[test]
fn a_list_that_was_left_is_not_begun() {
    let mut peer = Peer::connected();
    for (name, reset) in [("a", true), ("b", false), ("c", true)] {
        peer.call(1, "play", 0.0, &play(name, 0.0, reset)).unwrap();
    }
    assert!(matches!(peer.event(), Some(Event::PlayRequested { .. })));
    assert!(!peer.session.accept_recording(1));
    assert_eq!(
        heard(&mut peer),
        ["closed true", "play b false", "closed false", "play c true"]
    );
    assert!(peer.session.accept_recording(1));
}

#[test]
fn the_last_words_of_a_recording_are_those_that_clients_leave_on() {
    let said = |bytes: Vec<u8>| {
        let mut decoder = Decoder::new(128);
        decoder.set_chunk_size(4_096).unwrap();
        let mut words = Vec::new();
        let mut input = bytes.as_slice();
        while let Some(message) = decoder.decode(&mut input).unwrap() {
            let Body::Plain(payload) = message.body else {
                unreachable!("no media among notices")
            };
            words.push(word(&(message.type_id, message.stream, payload)));
        }
        words
    };
    let complete = play_completed(1, "a", (2.5, 1_000), 4_096);
    assert_eq!(
        said(complete),
        [
            "1:onPlayStatus",
            "1:|RtmpSampleAccess",
            "1:onStatus NetStream.Play.Stop",
            "user 1:1",
        ]
    );
    assert_eq!(
        said(play_switched(1, "b", 4_096)),
        [
            "1:onPlayStatus",
            "user 4:1",
            "user 0:1",
            "1:onStatus NetStream.Play.Start",
        ]
    );
}
