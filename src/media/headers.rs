//! The sequence headers of a stream that are in force: what a late joiner needs before any media.

use super::frame::TrackSet;
use super::frame::classify::HeaderPart;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;

/// The headers in force, per part and track.
///
/// One message may configure several tracks. It is kept as it came, once, as long as it is the newest word on one of
/// them. Within a part messages stand in the order they came: where two speak of the same track, the newer comes last.
#[derive(Default)]
pub(super) struct Headers {
    kept: Vec<Kept>,
    bytes: usize,
    left_out: u64,
}

struct Kept {
    part: HeaderPart,
    /// The tracks it is the newest word on; never empty.
    tracks: TrackSet,
    message: WireMessage,
}

impl Headers {
    /// Takes a header that was published. True if another one was in force for one of its tracks: what came before
    /// cannot be decoded with this one.
    pub(super) fn take(
        &mut self,
        part: HeaderPart,
        tracks: TrackSet,
        message: &WireMessage,
    ) -> bool {
        if self.kept.iter().any(|kept| kept.is(part, tracks, message)) {
            return false;
        }
        let changed = self.override_tracks(part, tracks);
        if self.has_room_for(message) {
            let place = self.kept.partition_point(|kept| kept.part <= part);
            self.bytes += message.payload_len();
            let message = message.clone();
            self.kept.insert(
                place,
                Kept {
                    part,
                    tracks,
                    message,
                },
            );
        } else {
            self.left_out += 1;
        }
        changed
    }

    /// What a late joiner gets, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = &WireMessage> {
        self.kept.iter().map(|kept| &kept.message)
    }

    /// Headers that were passed on and not kept, for want of room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The next publication starts with none.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn override_tracks(&mut self, part: HeaderPart, tracks: TrackSet) -> bool {
        let mut changed = false;
        self.kept.retain_mut(|kept| {
            if kept.part == part {
                let rest = kept.tracks.without(&tracks);
                changed |= rest != kept.tracks;
                kept.tracks = rest;
            }
            !kept.tracks.is_empty()
        });
        self.bytes = self
            .kept
            .iter()
            .map(|kept| kept.message.payload_len())
            .sum();
        changed
    }

    fn has_room_for(&self, message: &WireMessage) -> bool {
        message.payload_len() <= limits::HEADER_BYTES
            && self.bytes + message.payload_len() <= limits::STREAM_HEADERS_BYTES
            && self.kept.len() < limits::STREAM_HEADERS
    }
}

impl Kept {
    fn is(&self, part: HeaderPart, tracks: TrackSet, message: &WireMessage) -> bool {
        self.part == part
            && self.tracks == tracks
            && self.message.payload_len() == message.payload_len()
            && (planted(Bug::ChangedHeaderNotKept)
                || (self.message.payload().flatten()).eq(message.payload().flatten()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::wire::MediaKind;
    use crate::time::Timestamp;

    const CONFIG: HeaderPart = HeaderPart::VideoConfig;

    fn message(byte: u8, size: usize) -> WireMessage {
        WireMessage::new(MediaKind::Video, Timestamp(0), &vec![byte; size], 128)
    }
    fn tracks(ids: &[u8]) -> TrackSet {
        ids.iter().copied().collect()
    }
    /// The first byte of each.
    fn bytes(headers: &Headers) -> Vec<u8> {
        let first = |message: &WireMessage| message.payload().flatten().copied().next();
        headers.messages().filter_map(first).collect()
    }

    #[test]
    fn a_message_for_several_tracks_stays_as_long_as_one_needs_it() {
        let mut headers = Headers::default();
        assert!(!headers.take(CONFIG, tracks(&[0, 1]), &message(1, 9)));
        assert!(headers.take(CONFIG, tracks(&[1]), &message(2, 9)));
        assert_eq!(
            bytes(&headers),
            [1, 2],
            "the newer word on track 1 comes last"
        );
        assert!(headers.take(CONFIG, tracks(&[0, 2]), &message(3, 9)));
        assert_eq!(bytes(&headers), [2, 3]);
        assert!(headers.take(CONFIG, tracks(&[0, 1]), &message(1, 9)));
        assert_eq!(bytes(&headers), [3, 1], "track 2 is still the third's");
        assert_eq!(headers.bytes, 18);
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let mut headers = Headers::default();
        headers.take(CONFIG, tracks(&[0, 1]), &message(1, 200));
        let again = WireMessage::new(MediaKind::Video, Timestamp(40), &[1; 200], 60_000);
        assert!(!headers.take(CONFIG, tracks(&[0, 1]), &again));
        assert_eq!(bytes(&headers), [1]);
        // After another one for track 1 it is no repetition any more.
        headers.take(CONFIG, tracks(&[1]), &message(2, 9));
        assert!(headers.take(CONFIG, tracks(&[0, 1]), &again));
        assert_eq!(bytes(&headers), [1]);
    }

    #[test]
    fn parts_do_not_override_each_other_and_have_their_order() {
        let mut headers = Headers::default();
        headers.take(HeaderPart::AudioConfig, tracks(&[0]), &message(3, 9));
        headers.take(HeaderPart::VideoMetadata, tracks(&[0]), &message(2, 9));
        assert!(!headers.take(CONFIG, tracks(&[0]), &message(1, 9)));
        assert_eq!(bytes(&headers), [1, 2, 3]);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_leaves_nothing_stale() {
        let mut headers = Headers::default();
        headers.take(CONFIG, tracks(&[0]), &message(1, 9));
        let huge = message(2, limits::HEADER_BYTES + 1);
        assert!(headers.take(CONFIG, tracks(&[0]), &huge));
        assert_eq!((bytes(&headers), headers.left_out()), (vec![], 1));
        for track in 0..=255 {
            headers.take(CONFIG, tracks(&[track]), &message(track, 9));
        }
        assert_eq!(headers.kept.len(), limits::STREAM_HEADERS);
        headers.clear();
        for track in 0..=255 {
            let large = message(track, limits::HEADER_BYTES);
            headers.take(CONFIG, tracks(&[track]), &large);
        }
        assert_eq!(headers.bytes, limits::STREAM_HEADERS_BYTES);
    }
}
