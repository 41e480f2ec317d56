use super::*;
use proptest::prelude::*;

fn c0c1(version: u8, filler: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend((0..PACKET).map(|i| if i < 8 { 0 } else { filler(i) }));
    bytes
}

fn serve(input: &[u8]) -> (Result<bool, HandshakeError>, Vec<u8>) {
    let mut out = Vec::new();
    let mut input = input;
    let result = ServerHandshake::new(7).handle_input(&mut input, &mut out);
    (result, out)
}

#[test]
fn simple() {
    let input = c0c1(3, |i| i as u8);
    let (result, out) = serve(&input);
    assert_eq!(result, Ok(false));
    assert_eq!(out.len(), 1 + 2 * PACKET);
    assert_eq!(out[0], 3);
    assert_eq!(
        out[1..9],
        [0; 8],
        "FFmpeg would demand digests of anything else"
    );
    assert_eq!(out[1 + PACKET..], input[1..]);
}

#[test]
fn versions_3_to_31_are_answered_with_3() {
    for version in 3..=31 {
        let (result, out) = serve(&c0c1(version, |_| 0xAA));
        match version {
            6 | 8 | 9 => assert_eq!(result, Err(HandshakeError::Encrypted { version })),
            _ => assert_eq!((result, out.first()), (Ok(false), Some(&3))),
        }
    }
}

#[test]
fn strangers_are_known() {
    let cases: [(&[u8], HandshakeError); 11] = [
        (b"GET / HTTP/1.1\r\n", HandshakeError::Http),
        (b"POST /open/1 HTTP/1.1\r\n", HandshakeError::Http),
        (b"PRI * HTTP/2.0\r\n", HandshakeError::Http),
        (&[0x16, 3, 1, 2, 0, 1], HandshakeError::Tls),
        (&[0x16, 3, 3], HandshakeError::Tls),
        (&[6], HandshakeError::Encrypted { version: 6 }),
        (&[0], HandshakeError::Obsolete { version: 0 }),
        (b"SSH-2.0", HandshakeError::NotRtmp { first: b'S' }),
        (b"GETX", HandshakeError::NotRtmp { first: b'G' }),
        (&[0xFF], HandshakeError::NotRtmp { first: 0xFF }),
        (&[0x20], HandshakeError::NotRtmp { first: 0x20 }),
    ];
    for (input, want) in cases {
        assert_eq!(serve(input), (Err(want), Vec::new()), "{input:x?}");
    }
    assert_eq!(serve(b"GE").0, Ok(false));
    assert!(HandshakeError::Tls.to_string().contains("TLS"));
}

#[test]
fn commands_behind_c2_in_the_same_read_are_left() {
    let mut bytes = c0c1(3, |i| i as u8);
    bytes.extend(vec![0; PACKET]);
    bytes.extend(b"chunks");
    let mut server = ServerHandshake::new(1);
    let mut out = Vec::new();
    let mut input = &bytes[..];
    assert_eq!(server.handle_input(&mut input, &mut out), Ok(true));
    assert_eq!(input, b"chunks");
    assert_eq!(server.handle_input(&mut input, &mut out), Ok(true));
    assert_eq!(input, b"chunks");
}

#[test]
fn c2_is_never_compared() {
    let mut server = ServerHandshake::new(1);
    let mut out = Vec::new();
    let mut input = &c0c1(3, |_| 1)[..];
    assert_eq!(server.handle_input(&mut input, &mut out), Ok(false));
    let mut input = &[0xEE; PACKET][..];
    assert_eq!(server.handle_input(&mut input, &mut out), Ok(true));
}

/// The digest handshake in the client's schema, as a strict client checks it.
#[test]
fn digest_reply_in_the_clients_schema() {
    for schema in [Schema::KeyFirst, Schema::DigestFirst] {
        let mut c1 = Filler(99).packet([0x80, 0, 7, 2]);
        digest::sign(&mut c1, schema, digest::client_key());
        let (_, client_digest) = digest::find(&c1, digest::client_key()).unwrap();
        let mut input = vec![3];
        input.extend(c1);
        let (result, out) = serve(&input);
        assert_eq!(result, Ok(false));
        let s1: Packet = *out[1..].first_chunk().unwrap();
        let s2: Packet = *out[1 + PACKET..].first_chunk().unwrap();
        assert_eq!(s1[4..8], SERVER_VERSION);
        let found = digest::find(&s1, digest::server_key());
        assert_eq!(found.map(|(schema, _)| schema), Some(schema));
        let mut expected = s2;
        digest::answer(&mut expected, &client_digest, digest::SERVER_KEY);
        assert_eq!(s2, expected);
    }
}

#[test]
fn a_wrong_digest_falls_back_to_simple() {
    let mut input = c0c1(3, |i| (i * 3) as u8);
    input[5..9].copy_from_slice(&[9, 0, 0x7C, 2]);
    let (result, out) = serve(&input);
    assert_eq!(result, Ok(false));
    assert_eq!(out[1..9], [0; 8]);
    assert_eq!(out[1 + PACKET..], input[1..]);
}

/// A zero version says simple, even if the bytes happen to be signed.
#[test]
fn version_zero_is_simple() {
    let mut c1 = Filler(5).packet([0; 4]);
    digest::sign(&mut c1, Schema::KeyFirst, digest::client_key());
    let (_, out) = serve(&[&[3][..], &c1].concat());
    assert_eq!(out[1..9], [0; 8]);
}

#[test]
fn client_and_server_agree() {
    for (digest, nonce) in [(false, 1), (true, 2), (true, 3)] {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let mut client = ClientHandshake::new(nonce, digest, &mut up);
        let mut server = ServerHandshake::new(nonce + 100);
        assert_eq!(up.len(), 1 + PACKET);
        assert_eq!(server.handle_input(&mut &up[..], &mut down), Ok(false));
        down.extend(b"rest");
        let mut input = &down[..];
        let mut c2 = Vec::new();
        assert_eq!(client.handle_input(&mut input, &mut c2), Ok(true));
        assert_eq!(input, b"rest");
        assert_eq!(server.handle_input(&mut &c2[..], &mut down), Ok(true));
        // The client's C2: signed over S1's digest, or S1 again.
        let s1: Packet = *down[1..].first_chunk().unwrap();
        match digest::find(&s1, digest::server_key()) {
            Some((schema, server_digest)) => {
                assert!(digest && schema == Schema::DigestFirst);
                let mut expected: Packet = *c2.first_chunk().unwrap();
                digest::answer(&mut expected, &server_digest, digest::CLIENT_KEY);
                assert_eq!(c2, expected);
            }
            None => assert!(!digest && c2 == s1),
        }
    }
}

/// Both sides, and what the client makes of an S2 with one byte changed.
fn meet(kind: HandshakeKind, strict: bool, spoil: bool) -> Result<bool, HandshakeError> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut client = ClientHandshake::with(5, kind, strict, &mut up);
    let mut server = ServerHandshake::new(6);
    assert_eq!(server.handle_input(&mut &up[..], &mut down), Ok(false));
    if spoil {
        down[2_000] ^= 1;
    }
    let mut c2 = Vec::new();
    let mut result = Ok(false);
    for mut piece in down.chunks(100) {
        result = client.handle_input(&mut piece, &mut c2);
    }
    if result.is_ok() {
        assert_eq!(server.handle_input(&mut &c2[..], &mut Vec::new()), Ok(true));
    }
    result
}

#[test]
fn every_client_meets_our_server_and_a_strict_one_sees_a_wrong_s2() {
    use HandshakeKind::{DigestSchema0, DigestSchema1, Simple};
    for kind in [Simple, DigestSchema0, DigestSchema1] {
        assert_eq!(meet(kind, false, false), Ok(true), "{kind:?}");
        assert_eq!(meet(kind, true, false), Ok(true), "{kind:?}");
        assert_eq!(meet(kind, false, true), Ok(true), "{kind:?}");
        let strict = meet(kind, true, true);
        assert_eq!(strict, Err(HandshakeError::Unanswered), "{kind:?}");
    }
}

/// nginx-rtmp, SRS and others without digests: S1's version is zero or not, and it is not signed.
#[test]
fn a_strict_digest_client_takes_a_simple_answer() {
    let mut up = Vec::new();
    let mut client = ClientHandshake::with(5, HandshakeKind::DigestSchema1, true, &mut up);
    let mut down = vec![3];
    down.extend([7; PACKET]);
    down.extend(&up[1..]);
    // The server's reading of its clock.
    down[1 + PACKET + 4..1 + PACKET + 8].fill(9);
    let result = client.handle_input(&mut &down[..], &mut Vec::new());
    assert_eq!(result, Ok(true));
}

/// FFmpeg with `rtmpe://` and others that would fall back: a plain S0 would have them speak cipher to us, so they are
/// told by the close, before they have sent another byte, and may come again with 3.
#[test]
fn rtmpe_is_refused_at_its_first_byte_and_a_second_try_is_met() {
    for version in [6, 8, 9] {
        let (result, out) = serve(&[version]);
        assert_eq!(result, Err(HandshakeError::Encrypted { version }));
        assert!(out.is_empty());
    }
    assert_eq!(serve(&c0c1(3, |i| i as u8)).0, Ok(false));
}

#[test]
fn tls_is_told_from_a_reserved_version() {
    assert_eq!(serve(&[0x16]).0, Ok(false));
    assert_eq!(serve(&[0x16, 3]).0, Ok(false));
    assert_eq!(serve(&[0x16, 3, 3, 0]).0, Err(HandshakeError::Tls));
    let (result, out) = serve(&c0c1(0x16, |_| 1));
    assert_eq!((result, out.first()), (Ok(false), Some(&3)));
}

#[test]
fn client_refuses_what_is_not_a_server() {
    let mut out = Vec::new();
    let mut client = ClientHandshake::new(1, false, &mut out);
    assert_eq!(
        client.handle_input(&mut &b"HTTP/1.1 400"[..], &mut out),
        Err(HandshakeError::NotRtmp { first: b'H' })
    );
}

proptest! {
    #[test]
    fn any_bytes(head: [u8; 2], first in prop_oneof![Just(3u8), any::<u8>(), Just(0x16), Just(b'G')], tail in proptest::collection::vec(any::<u8>(), 0..4000)) {
        fuzz_handshake(&[&head[..], &[first], &tail].concat());
    }

    #[test]
    fn any_split_of_a_digest_handshake(piece: u8, nonce in any::<u8>()) {
        let mut bytes = vec![piece, nonce];
        ClientHandshake::new(u64::from(nonce), true, &mut bytes);
        bytes.extend([7; PACKET + 9]);
        fuzz_handshake(&bytes);
    }
}
