//! What is in force at one place of a stream: for who goes through it at its own pace, such as a recording.

use super::frame::classify::{Class, classify};
use super::headers::Headers;
use crate::limits;
use crate::rtmp::wire::WireMessage;

/// The metadata and the sequence headers that are in force behind all messages that were noted. Bounded as a stream's own
/// are ([`limits::STREAM_HEADERS`], [`limits::STREAM_HEADERS_BYTES`]).
#[derive(Default)]
pub struct InForce {
    metadata: Option<WireMessage>,
    headers: Headers,
}

impl InForce {
    /// What a stream gives to who joins.
    pub fn of(prelude: &[WireMessage]) -> Self {
        let mut in_force = Self::default();
        for message in prelude {
            in_force.note(message);
        }
        in_force
    }

    /// A message has passed.
    pub fn note(&mut self, message: &WireMessage) {
        match classify(message.kind(), message) {
            Class::Metadata => {
                let fits = message.payload_len() <= limits::HEADER_BYTES;
                self.metadata = fits.then(|| message.clone());
            }
            Class::Header(part, tracks) => {
                self.headers.take(part, tracks, message);
            }
            _ => {}
        }
    }

    /// All of it, in the order in which a player that joins gets it.
    pub fn messages(&self) -> Vec<WireMessage> {
        let headers = self.headers.messages();
        self.metadata.iter().chain(headers).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::wire::MediaKind;
    use crate::time::Timestamp;

    #[test]
    fn the_newest_header_of_each_kind_is_in_force() {
        let message = |kind, payload: &[u8]| WireMessage::new(kind, Timestamp(0), payload, 128);
        let mut in_force = InForce::of(&[message(MediaKind::Audio, &[0xAF, 0, 0x12, 0x10])]);
        in_force.note(&message(MediaKind::Video, &[0x17, 0, 0, 0, 1]));
        in_force.note(&message(MediaKind::Data, b"\x02\x00\x0aonMetaData"));
        in_force.note(&message(MediaKind::Video, &[0x17, 1, 0, 0, 0]));
        in_force.note(&message(MediaKind::Video, &[0x17, 0, 0, 0, 2]));
        let messages = in_force.messages();
        let last = |message: &WireMessage| message.payload().flatten().last().copied();
        let ends: Vec<_> = messages.iter().filter_map(last).collect();
        assert_eq!(ends, [b'a', 2, 0x10]);
    }
}
