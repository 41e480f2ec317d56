//! Remote crashes and memory.

use std::io::Write as _;

use millstream::Server;
use millstream::media::directory::{Directory, StreamKey, Subscriber};
use millstream::rtmp::amf::{Value, amf0};
use millstream::rtmp::session::server::Event;
use millstream::rtmp::wire::MediaKind::Video;

use crate::rtmp_client::{Client, VIDEO_CONFIG, number, picture};
use crate::wire::Dialogue;

#[test]
fn b02_amf_over_read_recursion_and_nested_ecma_arrays() {
    let inner = Value::EcmaArray(vec![("b".into(), Value::string("c"))]);
    let value = Value::object([("a", inner), ("z", Value::Number(1.0))]);
    let bytes = amf0::encode_all(&[value.clone(), Value::Null]);
    // Nested, it is as long as it is: what follows is read from the right place.
    assert_eq!(amf0::decode_all(&bytes), (vec![value, Value::Null], None));
    for length in 0..bytes.len() {
        let _ = amf0::decode_all(&bytes[..length]);
    }
    // A million levels deep, in a command of a publisher's: it costs the sender its session, nothing else.
    let mut dialogue = Dialogue::publishing("a");
    let deep = [3, 0, 1, b'a'].repeat(limits() / 4);
    assert!(dialogue.call(1, "onMetaData", &[]).is_ok());
    let command = [
        &amf0::encode_all(&[Value::string("x"), Value::Null])[..],
        &deep,
    ]
    .concat();
    assert!(dialogue.say(20, 0, &command[..limits()]).is_err());
}

fn limits() -> usize {
    millstream::limits::COMMAND_BYTES as usize
}

#[test]
fn b05_long_urls_and_parameter_sets() {
    // `connect` with a tcUrl of 60,000 bytes: taken, and cut to what a name may be.
    let mut dialogue = Dialogue::connected();
    let url = format!("rtmp://{}/live", "h".repeat(60_000));
    assert_eq!(dialogue.call(0, "connect", &[Value::string(url)]), Ok(()));
    // A stream's name of 10,000 bytes: refused with the bound's name.
    let name = Value::string("n".repeat(10_000));
    let error = dialogue.call(1, "publish", &[name]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1024 bytes of an application or stream name"),
        "{error}"
    );
    // Parameter sets of 20,000 bytes (the predecessor had 4,096 for them): every player gets them whole.
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .start()
        .unwrap();
    let address = server.local_addrs()[0];
    let config = [VIDEO_CONFIG, &[0x68; 20_000]].concat();
    let mut publisher = Client::publisher(address, "sets");
    publisher.send(Video, 0, &config);
    publisher.send(Video, 0, &picture(0, 100));
    let mut player = Client::player(address, "sets");
    player.until("the picture", |p| p.media.len() == 2);
    assert_eq!(player.payloads()[0], config);
    server.stop().unwrap();
}

#[test]
fn b06_a_buffer_that_is_never_compacted() {
    // Reads that never end where a message does: what is held stays what one unfinished message needs.
    let mut dialogue = Dialogue::publishing("a");
    let mut encoder = millstream::rtmp::chunk::encoder::Encoder::new();
    let mut bytes = Vec::new();
    for n in 0..20_000 {
        let time = millstream::time::Timestamp(n);
        encoder.encode(&mut bytes, 6, 9, 1, time, &picture(n, 500));
    }
    let mut most = 0;
    for piece in bytes.chunks(701) {
        assert_eq!(dialogue.raw(piece), Ok(()));
        most = most.max(dialogue.session.buffered_bytes());
    }
    assert_eq!(dialogue.media().len(), 20_000);
    assert!(most < 4_096, "10 MB came, and {most} bytes were held");
}

#[test]
fn b07_a_probe_for_a_missing_stream_leaves_nothing() {
    let mut directory = Directory::default();
    for n in 0..1_000 {
        let key = StreamKey::new("live", &format!("missing{n}"));
        let subscriber = Subscriber {
            shard: 0,
            subscription: n,
        };
        assert_eq!(directory.subscribe(&key, subscriber), None);
        directory.unsubscribe(&key, subscriber);
    }
    assert!(directory.is_empty());
    // Over sockets: a thousand names on one connection, one after the other, and the server is as it was.
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .start()
        .unwrap();
    let address = server.local_addrs()[0];
    for n in 0..20 {
        let player = Client::player(address, &format!("missing{n}"));
        drop(player);
    }
    let mut publisher = Client::publisher(address, "missing1");
    let mut player = Client::player(address, "missing1");
    publisher.send(Video, 0, &picture(0, 100));
    player.until("the picture", |p| p.media.len() == 1);
    server.stop().unwrap();
}

#[test]
fn c12_remote_crash() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/reject");
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .start()
        .unwrap();
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "calm");
    let mut player = Client::player(address, "calm");
    publisher.send(Video, 0, VIDEO_CONFIG);
    let mut sent = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|e| e == "md") {
            continue;
        }
        let mut peer = Client::connect(address);
        peer.session.take_output(&mut Vec::new());
        let _ = peer.socket.write_all(&bytes);
        // Only the sender pays, with its connection.
        let mut rest = Vec::new();
        peer.socket
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        match std::io::Read::read_to_end(&mut peer.socket, &mut rest) {
            Ok(_) => {}
            Err(error) => {
                let kind = error.kind();
                assert_eq!(
                    kind,
                    std::io::ErrorKind::ConnectionReset,
                    "{}",
                    path.display()
                );
            }
        }
        publisher.send(Video, sent, &picture(sent, 100));
        player.until("the picture", |p| {
            p.media.iter().any(|(_, _, m)| number(m) == Some(sent))
        });
        sent += 1;
    }
    assert!(sent > 10);
    server.stop().unwrap();
    // In the session: the one byte that panics others.
    let mut dialogue = Dialogue::publishing("a");
    for type_id in 0..=255 {
        for payload in [
            &[][..],
            &[0],
            &[0x17],
            &[0xAF],
            &[0x90],
            &[0x11],
            &[0xFF, 0xFF],
        ] {
            if !(1..=7).contains(&type_id) {
                assert_eq!(dialogue.say(type_id, 1, payload), Ok(()), "type {type_id}");
            }
        }
    }
    assert!(
        dialogue
            .events
            .iter()
            .any(|e| matches!(e, Event::Media { .. }))
    );
}
