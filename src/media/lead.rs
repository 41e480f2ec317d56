//! Which video track's keyframes begin the GOPs of a stream.

use super::frame::TrackSet;

/// The leading video track: the lowest of which a keyframe has come, so that it is 0 for everybody who sends track 0,
/// and what comes alone for everybody else. It stops leading when it ends, or when another track had a whole GOP
/// without a picture of it: players would wait for a keyframe that never comes.
///
/// What players may begin at depends on it; so a shard that takes over a stream in the middle is told.
///
/// Other tracks have no say: a player that begins at a keyframe of the leading track gets their pictures from there
/// on. Encoders of multitrack (OBS, FFmpeg) send the keyframes of all tracks at one time, track 0 first.
#[derive(Clone, Debug, Default)]
pub struct Lead {
    track: Option<u8>,
    /// Tracks of which a keyframe has come since the last picture of the leading one.
    ahead: TrackSet,
}

impl Lead {
    /// The leading track, once there is one.
    pub(super) fn track(&self) -> Option<u8> {
        self.track
    }

    /// Takes note of pictures of `tracks`; true if a GOP begins here.
    pub(super) fn picture(&mut self, key: bool, tracks: TrackSet) -> bool {
        let leads = self.track.is_some_and(|track| tracks.contains(track));
        if leads {
            self.ahead = TrackSet::EMPTY;
        }
        let Some(lowest) = tracks.first().filter(|_| key) else {
            return false;
        };
        let leader_is_gone = !self.ahead.intersection(&tracks).is_empty();
        if self.track.is_none_or(|track| lowest < track) || leader_is_gone {
            *self = Self {
                track: Some(lowest),
                ahead: TrackSet::EMPTY,
            };
            return true;
        }
        if !leads {
            self.ahead = self.ahead.union(&tracks);
        }
        leads
    }

    /// The video of `tracks` is over.
    pub(super) fn ended(&mut self, tracks: TrackSet) {
        if self.track.is_some_and(|track| tracks.contains(track)) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: bool = true;

    fn only(track: u8) -> TrackSet {
        TrackSet::of(track)
    }

    #[test]
    fn the_lowest_track_with_keyframes_leads_from_its_first_one() {
        let mut lead = Lead::default();
        assert!(!lead.picture(!KEY, only(2)));
        assert!(lead.picture(KEY, only(2)));
        assert!(!lead.picture(!KEY, only(0)), "it has no keyframe yet");
        assert!(!lead.picture(KEY, only(3)));
        assert!(lead.picture(KEY, only(0)), "takes over");
        assert!(!lead.picture(KEY, only(2)));
        assert!(lead.picture(KEY, [0, 2].into_iter().collect()));
        assert!(!lead.picture(KEY, TrackSet::EMPTY));
    }

    #[test]
    fn when_the_leading_track_ends_another_leads() {
        let mut lead = Lead::default();
        assert!(lead.picture(KEY, only(0)));
        lead.ended(only(1));
        assert!(!lead.picture(KEY, only(1)));
        lead.ended(only(0));
        assert!(lead.picture(KEY, only(1)));
        assert!(lead.picture(KEY, only(0)), "it came back");
    }

    #[test]
    fn one_that_falls_silent_leads_no_more() {
        let mut lead = Lead::default();
        assert!(lead.picture(KEY, only(0)));
        assert!(!lead.picture(KEY, only(1)));
        assert!(!lead.picture(!KEY, only(0)), "still there");
        assert!(!lead.picture(KEY, only(1)));
        assert!(!lead.picture(KEY, only(2)), "no whole GOP yet");
        assert!(!lead.picture(!KEY, only(1)));
        assert!(lead.picture(KEY, only(1)), "a whole GOP of track 1");
        assert!(!lead.picture(KEY, only(2)));
    }
}
