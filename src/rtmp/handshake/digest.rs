//! Digests in handshake packets: undocumented by Adobe, the same in SRS, nginx-rtmp, librtmp and FFmpeg.
//!
//! A packet is time (4), version (4) and two blocks of 764 bytes, one with the digest at an offset the packet itself
//! tells, one with a Diffie-Hellman key that only RTMPE uses. Which block comes first is the schema.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

/// Bytes of C1, C2, S1 and S2.
pub(super) const PACKET: usize = 1536;
/// Bytes of a digest.
const DIGEST: usize = 32;
/// Where C2 and S2 carry their signature.
const SIGNATURE_AT: usize = PACKET - DIGEST;

/// C1, C2, S1 or S2.
pub(super) type Packet = [u8; PACKET];
/// HMAC-SHA256.
pub(super) type Digest = [u8; DIGEST];

/// "Genuine Adobe Flash Player 001" and the tail both keys share.
pub(super) const CLIENT_KEY: &[u8] = b"Genuine Adobe Flash Player 001\
\xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\
\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE";
/// "Genuine Adobe Flash Media Server 001" and the tail.
pub(super) const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001\
\xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\
\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE";

/// The key of C1's digest: the text alone.
pub(super) fn client_key() -> &'static [u8] {
    CLIENT_KEY.get(..30).unwrap_or(CLIENT_KEY)
}

/// The key of S1's digest: the text alone.
pub(super) fn server_key() -> &'static [u8] {
    SERVER_KEY.get(..36).unwrap_or(SERVER_KEY)
}

/// Where the digest is. Numbers as in SRS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Schema {
    /// 0: the key's block, then the digest's.
    KeyFirst,
    /// 1: the digest's block, then the key's.
    DigestFirst,
}

impl Schema {
    /// The digest's offset in `packet`, at most 1,503: it ends within its block.
    fn offset(self, packet: &Packet) -> usize {
        let at = match self {
            Self::KeyFirst => 772,
            Self::DigestFirst => 8,
        };
        let sum: usize = packet
            .iter()
            .skip(at)
            .take(4)
            .map(|&b| usize::from(b))
            .sum();
        sum % 728 + at + 4
    }
}

/// The schema and the digest of a packet signed with `key`; `None` if it is signed in neither schema.
pub(super) fn find(packet: &Packet, key: &[u8]) -> Option<(Schema, Digest)> {
    [Schema::KeyFirst, Schema::DigestFirst]
        .into_iter()
        .find_map(|schema| {
            let digest = digest(packet, schema, key);
            let there = packet.get(schema.offset(packet)..)?.first_chunk()?;
            (*there == digest).then_some((schema, digest))
        })
}

/// Writes the digest with `key` into C1 or S1.
pub(super) fn sign(packet: &mut Packet, schema: Schema, key: &[u8]) {
    let digest = digest(packet, schema, key);
    let at = schema.offset(packet);
    if let Some(place) = packet.get_mut(at..at + DIGEST) {
        place.copy_from_slice(&digest);
    }
}

/// Writes the signature that answers `peer_digest` into C2 or S2.
pub(super) fn answer(packet: &mut Packet, peer_digest: &Digest, key: &[u8]) {
    let (data, place) = packet.split_at_mut(SIGNATURE_AT);
    let key = hmac(key, [peer_digest, &[]]);
    place.copy_from_slice(&hmac(&key, [data, &[]]));
}

/// The digest of all bytes but its own.
fn digest(packet: &Packet, schema: Schema, key: &[u8]) -> Digest {
    let at = schema.offset(packet);
    let before = packet.get(..at).unwrap_or_default();
    let behind = packet.get(at + DIGEST..).unwrap_or_default();
    hmac(key, [before, behind])
}

fn hmac(key: &[u8], data: [&[u8]; 2]) -> Digest {
    // A key is filled up with zeros to SHA-256's block, or hashed if it is longer (RFC 2104 §2).
    let mut block = [0; 64];
    let hashed: Digest;
    let key = if key.len() > block.len() {
        hashed = Sha256::digest(key).into();
        &hashed
    } else {
        key
    };
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in data {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's vector: time 0, then `version`, then 7i+3.
    fn vector(version: [u8; 4]) -> Packet {
        let mut packet = core::array::from_fn(|i| (7 * i + 3) as u8);
        packet[..4].fill(0);
        packet[4..8].copy_from_slice(&version);
        packet
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    const C1: [(Schema, usize, &str); 2] = [
        (
            Schema::KeyFirst,
            942,
            "8e211aefe949d44221d8905aa6154973bcab5ecb43dc582f65b1de1c2f94e4d5",
        ),
        (
            Schema::DigestFirst,
            290,
            "0b441119ef46c4660e578ac88d3bf4c2d8901ff9a39c94bb92cb345f63928860",
        ),
    ];

    #[test]
    fn c1_digests_of_the_reference() {
        for (schema, offset, want) in C1 {
            let mut packet = vector([0x80, 0, 7, 2]);
            assert_eq!(schema.offset(&packet), offset);
            assert_eq!(find(&packet, client_key()), None);
            sign(&mut packet, schema, client_key());
            assert_eq!(hex(&packet[offset..offset + 32]), want);
            let (found, digest) = find(&packet, client_key()).unwrap();
            assert_eq!((found, hex(&digest).as_str()), (schema, want));
            assert_eq!(find(&packet, server_key()), None);
        }
    }

    #[test]
    fn replies_of_the_reference() {
        let want = [
            (
                "fa627009",
                "12a633",
                "48d090d92a52e506eea1e3dadab7a381421bc9bb0dc0b7a55053ae33534023aa",
            ),
            (
                "dc98072b",
                "bf95a46",
                "6fad805e2a84d5f19b1a774be10226b3ef5fc7cf945661387480e8428655b6c8",
            ),
        ];
        for ((schema, offset, _), (begin, end, signature)) in C1.into_iter().zip(want) {
            let mut s1 = vector([1, 0, 5, 4]);
            sign(&mut s1, schema, server_key());
            let digest = hex(&s1[offset..offset + 32]);
            assert!(
                digest.starts_with(begin) && digest.ends_with(end),
                "{digest}"
            );

            let mut c1 = vector([0x80, 0, 7, 2]);
            sign(&mut c1, schema, client_key());
            let (_, client_digest) = find(&c1, client_key()).unwrap();
            let mut s2: Packet = core::array::from_fn(|i| (7 * i + 3) as u8);
            answer(&mut s2, &client_digest, SERVER_KEY);
            assert_eq!(hex(&s2[1504..]), signature);
        }
    }

    #[test]
    fn largest_offsets_stay_in_their_blocks() {
        let packet = [0xFF; PACKET];
        for (schema, end) in [(Schema::KeyFirst, 1536), (Schema::DigestFirst, 772)] {
            for sum in 0..=1020usize {
                let mut packet = packet;
                let at = if end == 772 { 8 } else { 772 };
                for (i, b) in packet[at..at + 4].iter_mut().enumerate() {
                    *b = sum.saturating_sub(255 * i).min(255) as u8;
                }
                assert!(schema.offset(&packet) + DIGEST <= end);
            }
        }
    }
}
