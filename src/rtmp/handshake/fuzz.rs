//! Handshakes on arbitrary bytes: a body for fuzzers and property tests.

use super::digest::{self, PACKET, Packet, Schema};
use super::{ClientHandshake, HandshakeError, ServerHandshake, VERSION, VERSION_FIELD};

/// Both sides on arbitrary bytes, whole and in pieces: no panic, the pieces change nothing, and nothing behind the
/// handshake is touched. Then the bytes as a first packet, unsigned and signed in either schema: it is answered in kind.
#[doc(hidden)]
pub fn fuzz_handshake(data: &[u8]) {
    let (&[piece, nonce], data) = data.split_first_chunk().unwrap_or((&[1, 0], data));
    let piece = usize::from(piece).max(1);
    let nonce = u64::from(nonce);
    both_sides(data, piece, nonce);
    let mut packet: Packet = [0; PACKET];
    for (to, from) in packet.iter_mut().zip(data) {
        *to = *from;
    }
    let behind = data.get(PACKET..).unwrap_or_default();
    packet_is_answered(&packet, behind, piece, nonce);
    for schema in [Schema::KeyFirst, Schema::DigestFirst] {
        let mut signed = packet;
        let simple = signed.get(VERSION_FIELD) == Some(&[0; 4]);
        if let Some(version) = signed.get_mut(4).filter(|_| simple) {
            *version = 9;
        }
        digest::sign(&mut signed, schema, digest::client_key());
        packet_is_answered(&signed, behind, piece, nonce);
    }
}

fn both_sides(data: &[u8], piece: usize, nonce: u64) {
    let server = || {
        let mut handshake = ServerHandshake::new(nonce);
        move |input: &mut &[u8], out: &mut Vec<u8>| handshake.handle_input(input, out)
    };
    let _ended = fuzz_side(server, data, piece);
    let client = || {
        let mut handshake = ClientHandshake::new(nonce, nonce.is_multiple_of(2), &mut Vec::new());
        move |input: &mut &[u8], out: &mut Vec<u8>| handshake.handle_input(input, out)
    };
    let _ended = fuzz_side(client, data, piece);
}

/// How it ended, what was said, and what of the input is left.
type Outcome = (Result<bool, HandshakeError>, Vec<u8>, usize);

fn fuzz_side<F>(start: impl Fn() -> F, data: &[u8], piece: usize) -> Outcome
where
    F: FnMut(&mut &[u8], &mut Vec<u8>) -> Result<bool, HandshakeError>,
{
    let run = |piece: usize| {
        let mut handle = start();
        let mut out = Vec::new();
        let mut left = 0;
        let mut result = Ok(false);
        for mut part in data.chunks(piece) {
            if result == Ok(false) {
                result = handle(&mut part, &mut out);
            }
            left += part.len();
        }
        (result, out, result.map_or(0, |_| left))
    };
    let whole = run(data.len().max(1));
    assert_eq!(run(piece), whole);
    if whole.0 == Ok(true) {
        assert_eq!(data.len() - whole.2, 1 + 2 * PACKET);
    }
    whole
}

/// C0, this C1, some C2, and bytes behind them that are not the handshake's.
fn packet_is_answered(c1: &Packet, behind: &[u8], piece: usize, nonce: u64) {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(c1);
    bytes.extend_from_slice(c1);
    bytes.extend_from_slice(behind);
    let server = || {
        let mut handshake = ServerHandshake::new(nonce);
        move |input: &mut &[u8], out: &mut Vec<u8>| handshake.handle_input(input, out)
    };
    let (result, out, left) = fuzz_side(server, &bytes, piece);
    assert_eq!((result, left), (Ok(true), behind.len()));
    let (Some((&VERSION, s1)), 3_073) = (out.split_first(), out.len()) else {
        unreachable!("S0, S1 and S2 in one go")
    };
    let (s1, s2) = s1.split_at(PACKET);
    let signed = c1.get(VERSION_FIELD) != Some(&[0; 4]);
    let found = digest::find(c1, digest::client_key()).filter(|_| signed);
    let s1 = s1.first_chunk().copied().unwrap_or([0; PACKET]);
    match found {
        Some((schema, c1_digest)) => {
            // S1 is signed in the client's schema, or could be read in both; S2 answers C1's digest.
            let at = digest::find(&s1, digest::server_key()).map(|(schema, _)| schema);
            assert!(at == Some(schema) || at == Some(Schema::KeyFirst));
            let mut answer = s2.first_chunk().copied().unwrap_or([0; PACKET]);
            digest::answer(&mut answer, &c1_digest, digest::SERVER_KEY);
            assert_eq!(answer.as_slice(), s2);
        }
        None => {
            assert_eq!(s1.get(VERSION_FIELD), Some(&[0; 4][..]));
            assert_eq!(s2, c1);
        }
    }
}
