//! The handshake (RTMP 1.0 §5.2), both sides: simple, and with the digests Adobe never documented.
//!
//! * The server writes S0, S1 and S2 in one go once C1 is in: some encoders fail on replies in pieces.
//! * C2 and S2 are counted, never compared: half of all peers send something else than the specification says.
//! * A simple S1 has zeros in bytes 4..8: FFmpeg's player takes anything else for a promise of digests.
//! * Chunks may follow C2, or S2, in the same read: the rest of the input is left alone.

mod digest;
mod fuzz;

use crate::planted::{Bug, planted};
use digest::{PACKET, Packet, Schema};
#[doc(hidden)]
pub use fuzz::fuzz_handshake;

/// The version of C0 and S0.
const VERSION: u8 = 3;
/// Where a packet says its version; zero means simple.
const VERSION_FIELD: core::ops::Range<usize> = 4..8;
/// What SRS says of itself in S1, and Flash accepts.
const SERVER_VERSION: [u8; 4] = [1, 0, 5, 4];
/// What FFmpeg says of itself in C1.
const CLIENT_VERSION: [u8; 4] = [9, 0, 0x7C, 2];

/// Why a handshake failed. Always the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A web browser, a health check, or RTMPT.
    #[error("peer: expected an RTMP handshake (first byte 3), got an HTTP request")]
    Http,
    /// RTMPS on the plain port.
    #[error("peer: expected an RTMP handshake (first byte 3), got a TLS ClientHello")]
    Tls,
    /// RTMPE; its encryption protects from nobody, and is not spoken here.
    #[error(
        "peer: expected an unencrypted RTMP handshake (first byte 3), got RTMPE (first byte {version})"
    )]
    Encrypted {
        /// 6, 8 or 9.
        version: u8,
    },
    /// A version before RTMP was published.
    #[error("peer: expected RTMP version 3, got the obsolete {version}")]
    Obsolete {
        /// 0, 1 or 2.
        version: u8,
    },
    /// S2 is not what C1 asked for. Only a client that insists on it is told.
    #[error("peer: expected an S2 that answers C1, got another one")]
    Unanswered,
    /// Nothing known.
    #[error("peer: expected an RTMP handshake (first byte 3), got first byte {first:#04x}")]
    NotRtmp {
        /// C0 or S0.
        first: u8,
    },
}

/// The server's side.
#[derive(Debug)]
pub struct ServerHandshake {
    rng: Filler,
    state: State,
}

/// Which handshake a client begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeKind {
    /// Without digests, as OBS and GStreamer do.
    #[default]
    Simple,
    /// With a digest behind the key's block, as much of Flash did.
    DigestSchema0,
    /// With a digest before the key's block, as FFmpeg does.
    DigestSchema1,
}

impl HandshakeKind {
    fn schema(self) -> Option<Schema> {
        match self {
            Self::Simple => None,
            Self::DigestSchema0 => Some(Schema::KeyFirst),
            Self::DigestSchema1 => Some(Schema::DigestFirst),
        }
    }
}

/// The client's side.
#[derive(Debug)]
pub struct ClientHandshake {
    rng: Filler,
    state: State,
    /// Of a strict client: C1, and S2 as far as it came.
    insists: Option<(Box<Packet>, Vec<u8>)>,
    /// Whether S1 is signed, as is then S2.
    signed: bool,
}

#[derive(Debug)]
enum State {
    /// C0 and C1, or S0 and S1, as far as they came.
    First(Vec<u8>),
    /// So many bytes of C2 or S2 are still to come.
    Second(usize),
}

impl ServerHandshake {
    /// Waits for C0. `nonce` fills S1 and S2.
    pub fn new(nonce: u64) -> Self {
        Self {
            rng: Filler(nonce),
            state: State::First(Vec::new()),
        }
    }

    /// Takes what belongs to the handshake from the front of `input`, and appends S0, S1 and S2 to `out` when they are
    /// due. True: done; the rest of `input` is untouched.
    ///
    /// # Errors
    /// The peer speaks something else. Nothing more must be fed.
    pub fn handle_input(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        if let State::First(bytes) = &mut self.state {
            take(bytes, input);
            check_version(bytes, true)?;
            let Some(c1) = first_packet(bytes) else {
                return Ok(false);
            };
            self.reply(&c1, out);
            self.state = State::Second(PACKET);
        }
        Ok(self.state.skip(input))
    }

    fn reply(&mut self, c1: &Packet, out: &mut Vec<u8>) {
        out.reserve(1 + 2 * PACKET);
        out.push(VERSION);
        match digest_if(c1.get(VERSION_FIELD) != Some(&[0; 4]), c1) {
            Some((schema, client_digest)) => {
                let mut s1 = self.rng.packet(SERVER_VERSION);
                digest::sign(&mut s1, schema, digest::server_key());
                let mut s2 = self.rng.packet([0; 4]);
                if !planted(Bug::DigestUnanswered) {
                    digest::answer(&mut s2, &client_digest, digest::SERVER_KEY);
                }
                out.extend_from_slice(&s1);
                out.extend_from_slice(&s2);
            }
            None => {
                out.extend_from_slice(&self.rng.packet([0; 4]));
                // C1 as it came, time2 and all: librtmp compares.
                out.extend_from_slice(c1);
            }
        }
    }
}

impl ClientHandshake {
    /// Appends C0 and C1 to `out`. `nonce` fills C1 and C2; `digest` asks for the digest handshake (schema 1), from
    /// which a server may fall back to the simple one. S2 is not compared.
    pub fn new(nonce: u64, digest: bool, out: &mut Vec<u8>) -> Self {
        let kind = match digest {
            true => HandshakeKind::DigestSchema1,
            false => HandshakeKind::Simple,
        };
        Self::with(nonce, kind, false, out)
    }

    /// The same with any kind of handshake. A `strict` one insists, as Flash did, on an S2 that answers C1: with the
    /// signature if S1 is signed, else with its bytes. (Many servers send something else.)
    pub fn with(nonce: u64, kind: HandshakeKind, strict: bool, out: &mut Vec<u8>) -> Self {
        let mut rng = Filler(nonce);
        let schema = kind.schema();
        let version = schema.map_or([0; 4], |_| CLIENT_VERSION);
        let mut c1 = rng.packet(version);
        if let Some(schema) = schema {
            digest::sign(&mut c1, schema, digest::client_key());
        }
        out.push(VERSION);
        out.extend_from_slice(&c1);
        Self {
            rng,
            state: State::First(Vec::new()),
            insists: strict.then(|| (Box::new(c1), Vec::new())),
            signed: false,
        }
    }

    /// Takes what belongs to the handshake from the front of `input`, and appends C2 to `out` when S1 is in. True:
    /// done; the rest of `input` is untouched.
    ///
    /// # Errors
    /// The peer speaks something else, or a strict client is not answered. Nothing more must be fed.
    pub fn handle_input(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        if let State::First(bytes) = &mut self.state {
            take(bytes, input);
            check_version(bytes, false)?;
            let Some(s1) = first_packet(bytes) else {
                return Ok(false);
            };
            match digest::find(&s1, digest::server_key()) {
                Some((_, server_digest)) => {
                    self.signed = true;
                    let mut c2 = self.rng.packet([0; 4]);
                    digest::answer(&mut c2, &server_digest, digest::CLIENT_KEY);
                    out.extend_from_slice(&c2);
                }
                None => out.extend_from_slice(&s1),
            }
            self.state = State::Second(PACKET);
        }
        let before = *input;
        let done = self.state.skip(input);
        if let Some((c1, s2)) = &mut self.insists {
            let taken = before.len() - input.len();
            s2.extend_from_slice(before.get(..taken).unwrap_or_default());
            if done && !answers(c1, s2, self.signed) {
                return Err(HandshakeError::Unanswered);
            }
        }
        Ok(done)
    }
}

/// C1's digest, if it is `signed`. One that does not say so is not searched: two HMACs are most of what a session costs.
fn digest_if(signed: bool, c1: &Packet) -> Option<(Schema, digest::Digest)> {
    if signed {
        digest::find(c1, digest::client_key())
    } else {
        None
    }
}

/// Whether S2 answers C1. The time in S2's second field is the server's own.
fn answers(c1: &Packet, s2: &[u8], signed: bool) -> bool {
    let Some(s2) = s2.first_chunk::<PACKET>() else {
        return false;
    };
    match digest_if(signed, c1) {
        Some((_, client_digest)) => {
            let mut expected = *s2;
            digest::answer(&mut expected, &client_digest, digest::SERVER_KEY);
            expected == *s2
        }
        None => s2.get(..4) == c1.get(..4) && s2.get(8..) == c1.get(8..),
    }
}

impl State {
    /// Skips C2 or S2; true at its end.
    fn skip(&mut self, input: &mut &[u8]) -> bool {
        let Self::Second(left) = self else {
            return false;
        };
        let n = input.len().min(*left);
        *left -= n;
        *input = input.get(n..).unwrap_or_default();
        if planted(Bug::HandshakeSwallows) && *left == 0 {
            *input = &[];
        }
        *left == 0
    }
}

/// Moves bytes of version and first packet from `input` to `bytes`.
fn take(bytes: &mut Vec<u8>, input: &mut &[u8]) {
    let n = input.len().min(1 + PACKET - bytes.len().min(1 + PACKET));
    let (taken, rest) = input.split_at(n);
    bytes.extend_from_slice(taken);
    *input = rest;
}

fn first_packet(bytes: &[u8]) -> Option<Packet> {
    bytes.get(1..)?.first_chunk().copied()
}

/// Looks at the first bytes; waits for a few more where they tell who is there. `from_client`: these are C0 and C1,
/// else S0 and S1.
fn check_version(bytes: &[u8], from_client: bool) -> Result<(), HandshakeError> {
    let Some(&first) = bytes.first() else {
        return Ok(());
    };
    match first {
        0..=2 => Err(HandshakeError::Obsolete { version: first }),
        // Also a version in the reserved range, were it not for what follows: TLS 1.x, at most 0x0304.
        0x16 if matches!(bytes, [_, 3, 0..=4, ..]) => Err(HandshakeError::Tls),
        6 | 8 | 9 => Err(HandshakeError::Encrypted { version: first }),
        // RTMP 1.0 §5.2.2: a server that does not know the version answers 3, and the client decides.
        3..=31 => Ok(()),
        b'A'..=b'Z' if from_client => {
            const METHODS: [&[u8; 4]; 10] = [
                b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"CONN", b"DELE", b"PATC", b"TRAC",
                b"PRI ",
            ];
            let Some(word) = bytes.first_chunk::<4>() else {
                // So few bytes can still become a method. A peer that stays silent meets the handshake's timeout.
                return match METHODS.iter().any(|method| method.starts_with(bytes)) {
                    true => Ok(()),
                    false => Err(HandshakeError::NotRtmp { first }),
                };
            };
            match METHODS.contains(&word) {
                true => Err(HandshakeError::Http),
                false => Err(HandshakeError::NotRtmp { first }),
            }
        }
        _ => Err(HandshakeError::NotRtmp { first }),
    }
}

/// Filler for packets: SplitMix64, so that a nonce always gives the same bytes. They hide nothing.
#[derive(Debug)]
struct Filler(u64);

impl Filler {
    /// A packet of time 0 and this version.
    fn packet(&mut self, version: [u8; 4]) -> Packet {
        let mut packet = [0; PACKET];
        for word in packet.chunks_exact_mut(8).skip(1) {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
        if let Some(field) = packet.get_mut(VERSION_FIELD) {
            field.copy_from_slice(&version);
        }
        packet
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests;
