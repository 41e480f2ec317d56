//! Both sides on arbitrary bytes: bodies for fuzzers, and for the property tests.

use super::SessionError;
use super::client::{ClientConfig, ClientSession};
use super::server::{Event, ServerSession, SessionConfig};
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::CSID_COMMAND;
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::message;
use crate::time::{Instant, Timestamp};

/// A first packet and a second, of zeros: the simple handshake of either side.
fn handshake() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1_536, 0);
    bytes
}

/// What a session made of its input: its events, and how it ended.
type Outcome = (Vec<String>, Result<(), SessionError>);

/// A server's session that has accepted `connect`, and accepts whatever else comes, on arbitrary bytes: no panic, and
/// the same events whole and in pieces. The first byte is the pieces' length.
pub fn fuzz_server_session(data: &[u8]) {
    let (piece, data) = data.split_first().unwrap_or((&1, data));
    let whole = serve(data, data.len());
    assert_eq!(serve(data, usize::from(*piece)), whole);
}

fn serve(data: &[u8], piece: usize) -> Outcome {
    let mut session = ServerSession::new(SessionConfig::default(), 1);
    let mut hello = handshake();
    let connect = amf0::encode_all(&[
        Value::string("connect"),
        Value::Number(1.0),
        Value::object([("app", Value::string("live"))]),
    ]);
    Encoder::new().encode(
        &mut hello,
        CSID_COMMAND,
        message::COMMAND_AMF0,
        0,
        Timestamp(0),
        &connect,
    );
    let mut result = session.handle_input(Instant::ZERO, &hello);
    let mut events = Vec::new();
    let mut replies = Vec::new();
    let mut pieces = data.chunks(piece.max(1));
    while result.is_ok() {
        while let Some(event) = session.poll_event() {
            match &event {
                Event::ConnectRequested(_) => session.accept_connect(),
                Event::PublishRequested { stream, .. } => session.accept_publish(*stream),
                Event::PlayRequested { stream, .. } => session.accept_play(*stream),
                _ => {}
            }
            events.push(format!("{event:?}"));
        }
        session.take_output(&mut replies);
        replies.clear();
        let Some(piece) = pieces.next() else {
            break;
        };
        result = session.handle_input(Instant::ZERO, piece);
    }
    events.extend(core::iter::from_fn(|| session.poll_event()).map(|e| format!("{e:?}")));
    (events, result)
}

/// A client's session that wants to publish and play, on arbitrary bytes behind a server's handshake.
pub fn fuzz_client_session(data: &[u8]) {
    let (piece, data) = data.split_first().unwrap_or((&1, data));
    let whole = consume(data, data.len());
    assert_eq!(consume(data, usize::from(*piece)), whole);
}

fn consume(data: &[u8], piece: usize) -> Outcome {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        flash_ver: "fuzz".into(),
        chunk_size: 4_096,
        ..ClientConfig::default()
    };
    let mut session = ClientSession::new(config, 1);
    session.connect();
    session.publish("a");
    session.play("b");
    let mut result = session.handle_input(Instant::ZERO, &handshake());
    for piece in data.chunks(piece.max(1)) {
        if result.is_ok() {
            result = session.handle_input(Instant::ZERO, piece);
        }
    }
    let events = core::iter::from_fn(|| session.poll_event());
    (events.map(|e| format!("{e:?}")).collect(), result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 14] = [
        "_result",
        "_error",
        "onStatus",
        "connect",
        "createStream",
        "FCPublish",
        "FCUnpublish",
        "publish",
        "play",
        "deleteStream",
        "closeStream",
        "close",
        "pause",
        "seek",
    ];

    /// One message: a command of a known name with small arguments, or a few likely bytes of any type.
    fn message_bytes() -> impl Strategy<Value = (u8, u32, Vec<u8>)> {
        let argument = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            (0u8..5).prop_map(|n| Value::Number(n.into())),
            "[ab]{0,2}".prop_map(Value::String),
            Just(Value::object([("level", Value::string("error"))])),
        ];
        let arguments = prop::collection::vec(argument, 0..5);
        let command = (0..NAMES.len(), 0u32..3, arguments).prop_map(|(name, stream, arguments)| {
            let mut values = vec![Value::string(NAMES[name])];
            values.extend(arguments);
            (message::COMMAND_AMF0, stream, amf0::encode_all(&values))
        });
        let likely = prop::collection::vec(0u8..0x14, 0..20);
        prop_oneof![command, (0u8..24, 0u32..3, likely)]
    }

    proptest! {
        #[test]
        fn likely_messages_are_survived(
            piece in 1u8..60,
            messages in prop::collection::vec(message_bytes(), 0..40),
        ) {
            let mut bytes = vec![piece];
            let mut encoder = Encoder::new();
            for (type_id, stream, payload) in messages {
                encoder.encode(&mut bytes, 3, type_id, stream, Timestamp(7), &payload);
            }
            fuzz_server_session(&bytes);
            fuzz_client_session(&bytes);
        }

        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz_server_session(&bytes);
            fuzz_client_session(&bytes);
        }
    }
}
