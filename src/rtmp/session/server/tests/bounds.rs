//! Each bound of a server's session, and what it costs to keep.

use super::*;

/// A connection on its way: the bytes of a handshake and of a `connect`.
fn hello() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1_536, 0);
    let command = Command {
        name: "connect".into(),
        transaction: 1.0,
        object: Value::Null,
        arguments: vec![],
    };
    let (csid, time) = (3, Timestamp(0));
    Encoder::new().encode(&mut bytes, csid, 20, 0, time, &command.encode());
    bytes
}

fn fresh() -> ServerSession {
    ServerSession::new(SessionConfig::default(), 1)
}

/// Audio messages of nothing, which nobody asked for: 12 bytes, then one each.
fn noise(length: usize) -> Vec<u8> {
    let mut noise = b"\x04\0\0\0\0\0\0\x08\x01\0\0\0".to_vec();
    noise.resize(length, 0xC4);
    noise
}

#[test]
fn bytes_before_connect_are_bounded_to_the_byte_however_they_are_cut() {
    let mut handshake = vec![3];
    handshake.resize(1 + 2 * 1_536, 0);
    let room = limits::PRE_CONNECT_BYTES - handshake.len();
    for piece in [997, 64 * 1_024, usize::MAX] {
        for (more, good) in [(0, true), (1, false)] {
            let mut session = fresh();
            let all = [handshake.clone(), noise(room + more)].concat();
            let mut result = Ok(());
            for piece in all.chunks(piece.min(all.len())) {
                result = result.and(session.handle_input(Instant::ZERO, piece));
            }
            assert_eq!(result.is_ok(), good, "{piece}, {more} more");
        }
    }
}

#[test]
fn bytes_behind_connect_are_held_within_the_same_bound() {
    let mut session = fresh();
    session.handle_input(Instant::ZERO, &hello()).unwrap();
    let room = limits::PRE_CONNECT_BYTES - hello().len();
    session.handle_input(Instant::ZERO, &noise(room)).unwrap();
    assert!(session.buffered_bytes() >= room);
    let error = session.handle_input(Instant::ZERO, &[0xC4]).unwrap_err();
    assert!(error.to_string().contains("before `connect`"), "{error}");
    // What was read together with `connect` is one read of the caller's, and held.
    let mut session = fresh();
    let together = [hello(), noise(limits::PRE_CONNECT_BYTES)].concat();
    session.handle_input(Instant::ZERO, &together).unwrap();
    session.accept_connect();
    assert_eq!(session.fault(), None);
}

/// 17 bytes a command: a read of 64 KiB holds thousands, and the shell refuses each.
#[test]
fn a_flood_of_requests_costs_a_step_each() {
    for name in ["publish", "play"] {
        let mut peer = Peer::connected();
        let command = Command {
            name: name.into(),
            transaction: 0.0,
            object: Value::Null,
            arguments: vec![Value::string("")],
        };
        let mut flood = Vec::new();
        let mut sent = 0;
        while flood.len() < 64 * 1_024 {
            // On as many message streams as there may be.
            let stream = 1 + sent % limits::MESSAGE_STREAMS as u32;
            let payload = command.encode();
            let time = Timestamp(0);
            peer.encoder
                .encode(&mut flood, 3, 20, stream, time, &payload);
            sent += 1;
        }
        peer.session.handle_input(Instant::ZERO, &flood).unwrap();
        let queued = peer.session.events.len() as u64;
        let before = peer.session.events.steps;
        let mut answered = 0;
        while let Some(event) = peer.event() {
            match event {
                Event::PublishRequested { stream, .. } => {
                    peer.session
                        .reject_publish(stream, Status::PublishBadName, "");
                    answered += 1;
                }
                Event::PlayRequested { stream, .. } => {
                    peer.session.accept_play(stream);
                    answered += 1;
                }
                _ => {}
            }
            peer.session.take_output(&mut Vec::new());
        }
        assert!(answered >= limits::MESSAGE_STREAMS, "{answered}");
        assert_eq!(peer.session.events.steps - before, queued, "{name}");
    }
}

#[test]
fn messages_of_one_read_are_bounded() {
    let mut peer = Peer::publishing();
    let error = peer
        .session
        .handle_input(Instant::ZERO, &noise(limits::SESSION_EVENTS + 13))
        .unwrap_err();
    assert!(
        error.to_string().contains("messages in one read"),
        "{error}"
    );
    assert_eq!(error.fault(), Fault::Bound);
    let mut peer = Peer::publishing();
    let full = noise(limits::SESSION_EVENTS + 11);
    peer.session.handle_input(Instant::ZERO, &full).unwrap();
}

#[test]
fn names_are_bounded() {
    let long = || Value::string("x".repeat(limits::NAME_BYTES + 1));
    let fits = || Value::string("x".repeat(limits::NAME_BYTES));
    for name in ["publish", "play", "FCPublish", "FCUnpublish"] {
        let error = Peer::connected().call(1, name, 0.0, &[long()]);
        assert!(error.unwrap_err().to_string().contains("name"), "{name}");
        Peer::connected().call(1, name, 0.0, &[fits()]).unwrap();
    }
    let error = Peer::new().connect(&[("app", long())]).unwrap_err();
    assert_eq!(error.fault(), Fault::Bound);
    Peer::new().connect(&[("app", fits())]).unwrap();
}

#[test]
fn message_streams_are_bounded_however_they_are_made() {
    let mut peer = Peer::connected();
    for stream in 1..=limits::MESSAGE_STREAMS as u32 {
        peer.call(100 * stream, "play", 0.0, &[Value::string("a")])
            .unwrap();
    }
    let error = peer.call(7, "play", 0.0, &[Value::string("a")]);
    assert!(error.unwrap_err().to_string().contains("message streams"));
}

#[test]
fn names_of_fc_publish_are_forgotten_in_order() {
    let mut peer = Peer::connected();
    for n in 0..=limits::MESSAGE_STREAMS {
        let name = [Value::string(format!("s{n}"))];
        peer.call(0, "FCPublish", 0.0, &name).unwrap();
    }
    for (name, told) in [("s0", 0), ("s1", 1)] {
        peer.call(1, "publish", 0.0, &[Value::string(name)])
            .unwrap();
        while peer.event().is_some() {}
        peer.replies();
        peer.session.accept_publish(1);
        let words = peer.words();
        let fc = words.iter().filter(|word| word.contains("onFCPublish"));
        assert_eq!(fc.count(), told, "{name}");
    }
}
