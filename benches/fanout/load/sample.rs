//! A player who looks at what it gets.

use millstream::rtmp::wire::MediaKind;

use crate::clock;
use crate::schedule::stamp;

/// What one player has got.
#[derive(Default)]
pub(super) struct Sample {
    /// Messages with a stamp.
    pub(super) messages: u64,
    /// How long each took, nanoseconds.
    pub(super) latencies: Vec<u64>,
}

impl Sample {
    /// Counts a message; true if it is a frame of video.
    pub(super) fn note(&mut self, kind: MediaKind, payload: &[u8]) -> bool {
        let video = match kind {
            MediaKind::Video => true,
            MediaKind::Audio => false,
            MediaKind::Data => return false,
        };
        let Some((stamp, frame)) = stamp(payload, video) else {
            return false;
        };
        self.messages += 1;
        self.latencies.push(clock::now().saturating_sub(stamp));
        frame
    }
}
