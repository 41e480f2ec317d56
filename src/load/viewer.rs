//! What one player looks at: whether what comes is right, and when it comes.

use super::marker::Marker;
use super::tally::Tally;
use crate::media::frame::classify::{Class, HeaderPart, classify};
use crate::rtmp::wire::MediaKind;
use crate::time::{Duration, Instant, Timestamp, WallTime};

/// FLV codec ids whose pictures nobody decodes without a sequence header: AVC, and HEVC as Chinese encoders send it.
const CONFIGURED_VIDEO: [u8; 2] = [7, 12];
/// FLV's sound format AAC, the same.
const AAC: u8 = 10;

/// One player's eyes.
#[derive(Debug)]
pub(crate) struct Viewer {
    /// When it connected.
    connected: Instant,
    /// When it asked to play: marked pictures that are older lay in the server's GOP cache.
    asked: WallTime,
    /// A gap longer than this is a stall.
    patience: Duration,
    seen_frame: bool,
    seen_key: bool,
    publication: Publication,
    run: Option<(u32, u32)>,
}

/// What holds until the publisher changes.
#[derive(Debug, Default)]
struct Publication {
    /// When something came last; none if nothing need come.
    last: Option<Instant>,
    video_config: bool,
    audio_config: bool,
    key: bool,
    /// The latest stamps of sound and pictures.
    audio: Option<Timestamp>,
    video: Option<Timestamp>,
}

impl Viewer {
    pub(crate) fn new(connected: Instant, patience: Duration) -> Self {
        Self {
            connected,
            asked: WallTime(0),
            patience,
            seen_frame: false,
            seen_key: false,
            publication: Publication::default(),
            run: None,
        }
    }

    /// It asks to play.
    pub(crate) fn asks(&mut self, wall: WallTime) {
        self.asked = wall;
    }

    /// The publisher went, or another came: clocks and headers begin anew.
    pub(crate) fn turns(&mut self) {
        self.publication = Publication::default();
    }

    /// The run is over.
    pub(crate) fn ends(&mut self, now: Instant, tally: &mut Tally) {
        self.gap(now, tally);
        self.publication.last = None;
    }

    fn gap(&mut self, now: Instant, tally: &mut Tally) {
        if let Some(last) = self.publication.last
            && now.since(last) > self.patience
        {
            tally.stall(last, now);
        }
    }

    /// A media message came. `wall` is read once for all that came with it.
    pub(crate) fn sees(
        &mut self,
        (now, wall): (Instant, WallTime),
        kind: MediaKind,
        timestamp: Timestamp,
        payload: &[u8],
        tally: &mut Tally,
    ) {
        match classify(kind, payload) {
            Class::Header(HeaderPart::VideoConfig, _) => self.publication.video_config = true,
            Class::Header(HeaderPart::AudioConfig, _) => self.publication.audio_config = true,
            Class::Picture { key, .. } => {
                tally.video += 1;
                self.frame(now, tally);
                self.picture(now, key, payload, tally);
                let last = self.publication.video.replace(timestamp);
                let back = "the clock of the pictures goes back";
                self.steps(last, timestamp, back, tally);
                if let Some(marker) = Marker::find(payload) {
                    self.marked(marker, wall, tally);
                }
            }
            Class::Sound(_) => {
                tally.audio += 1;
                self.frame(now, tally);
                let first = payload.first().copied().unwrap_or(0);
                if first >> 4 == AAC && !self.publication.audio_config {
                    tally.wrong("sound before its header");
                }
                let last = self.publication.audio.replace(timestamp);
                let back = "the clock of the sound goes back";
                self.steps(last, timestamp, back, tally);
            }
            _ => {}
        }
    }

    /// A clock goes from one stamp to the next.
    fn steps(
        &self,
        last: Option<Timestamp>,
        next: Timestamp,
        back: &'static str,
        tally: &mut Tally,
    ) {
        let Some(last) = last else {
            return;
        };
        let step = i64::from(next.since(last));
        if step < 0 {
            tally.wrong(back);
        } else if step > self.patience.as_millis() as i64 {
            tally.jumps += 1;
        }
    }

    /// Sound or a picture.
    fn frame(&mut self, now: Instant, tally: &mut Tally) {
        if !self.seen_frame {
            self.seen_frame = true;
            tally.served += 1;
            tally.first_frame.add(now.since(self.connected));
        }
        self.gap(now, tally);
        self.publication.last = Some(now);
    }

    fn picture(&mut self, now: Instant, key: bool, payload: &[u8], tally: &mut Tally) {
        if key && !self.seen_key {
            self.seen_key = true;
            tally.first_key.add(now.since(self.connected));
        }
        let first = payload.first().copied().unwrap_or(0);
        let enhanced = first & 0x80 != 0;
        let configured = enhanced || CONFIGURED_VIDEO.contains(&(first & 0x0F));
        if configured && !self.publication.video_config {
            tally.wrong("a picture before its header");
        }
        if !key && !self.publication.key {
            tally.wrong("a picture before the first keyframe");
        }
        // One complaint is enough.
        self.publication.video_config = true;
        self.publication.key = true;
    }

    fn marked(&mut self, marker: Marker, wall: WallTime, tally: &mut Tally) {
        tally.marked += 1;
        if let Some((run, expected)) = self.run
            && run == marker.run
            && expected != marker.sequence
        {
            match marker.sequence.wrapping_sub(expected) as i32 {
                missing @ 0.. => tally.lost += missing as u64,
                _ => tally.wrong("a picture twice, or behind a later one"),
            }
        }
        self.run = Some((marker.run, marker.sequence.wrapping_add(1)));
        if marker.sent < self.asked {
            return;
        }
        match marker.age(wall) {
            Some(age) => tally.delay(age),
            None => tally.ahead += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MediaKind::{Audio, Data, Video};

    const AVC: &[u8] = &[0x17, 0, 0, 0, 0];
    const AAC_CONFIG: &[u8] = &[0xAF, 0, 0x12, 0x10];
    const SOUND: &[u8] = &[0xAF, 1, 0x21];

    fn picture(key: bool, marker: Option<(u32, u32, u64)>) -> Vec<u8> {
        let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        if let Some((run, sequence, sent)) = marker {
            let sent = WallTime(sent);
            let marker = Marker {
                run,
                sequence,
                sent,
            };
            marker.write(4, &mut payload);
        }
        payload
    }

    /// A player that connected at 0, asked at wall time 1 s, and calls 100 ms a stall.
    fn watch(sees: &[(u64, MediaKind, u32, Vec<u8>)]) -> Tally {
        let mut viewer = Viewer::new(Instant::ZERO, Duration::from_millis(100));
        viewer.asks(WallTime(1_000_000));
        let mut tally = Tally::default();
        for (at, kind, timestamp, payload) in sees {
            let now = Instant::from_micros(at * 1_000);
            let wall = WallTime(1_000_000 + at * 1_000);
            viewer.sees(
                (now, wall),
                *kind,
                Timestamp(*timestamp),
                payload,
                &mut tally,
            );
        }
        tally
    }

    #[test]
    fn a_stream_as_it_should_be() {
        let tally = watch(&[
            (20, Data, 0, b"\x02\x00\x0aonMetaData\x05".to_vec()),
            (20, Video, 7, AVC.to_vec()),
            (20, Audio, 7, AAC_CONFIG.to_vec()),
            (30, Audio, 5, SOUND.to_vec()),
            (40, Video, 0, picture(true, Some((1, 8, 900_000)))),
            (50, Video, 40, picture(false, Some((1, 9, 1_048_000)))),
            (151, Audio, 28, SOUND.to_vec()),
        ]);
        assert!(tally.wrong.is_empty(), "{tally:?}");
        assert_eq!(
            (tally.video, tally.audio, tally.marked, tally.lost),
            (2, 2, 2, 0)
        );
        assert_eq!(tally.first_frame.max(), Duration::from_millis(30));
        assert_eq!(tally.first_key.max(), Duration::from_millis(40));
        assert_eq!(
            tally.delays.count(),
            1,
            "what lay in the cache is no delivery"
        );
        assert_eq!(tally.delays.max(), Duration::from_millis(2));
        assert_eq!((tally.stalls, tally.served), (1, 1));
        assert_eq!(tally.longest_stall, Duration::from_millis(101));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tally = watch(&[
            (1, Video, 0, picture(false, None)),
            (2, Audio, 9, SOUND.to_vec()),
            (3, Video, 5, picture(true, None)),
            (4, Video, 4, picture(false, None)),
            (5, Audio, 8, SOUND.to_vec()),
        ]);
        let wrong: Vec<_> = tally.wrong.into_iter().collect();
        assert_eq!(
            wrong,
            [
                ("a picture before its header", 1),
                ("a picture before the first keyframe", 1),
                ("sound before its header", 2),
                ("the clock of the pictures goes back", 1),
                ("the clock of the sound goes back", 1),
            ]
        );
    }

    #[test]
    fn a_clock_that_jumps_is_counted() {
        let tally = watch(&[
            (0, Video, 0, AVC.to_vec()),
            (1, Video, 0, picture(true, None)),
            (2, Video, 100, picture(false, None)),
            (3, Video, 201, picture(false, None)),
            (4, Audio, 5_000, AAC_CONFIG.to_vec()),
            (5, Audio, 5_000, SOUND.to_vec()),
        ]);
        assert!(tally.wrong.is_empty(), "{tally:?}");
        assert_eq!(tally.jumps, 1);
    }

    #[test]
    fn gaps_in_the_sequence_are_losses_but_another_run_is_none() {
        let seen = |run, sequence| (1, Video, 0, picture(true, Some((run, sequence, 0))));
        let header = (0, Video, 0, AVC.to_vec());
        let tally = watch(&[
            header,
            seen(1, u32::MAX),
            seen(1, 0),
            seen(1, 3),
            seen(1, 3),
            seen(2, 77),
            seen(2, 78),
        ]);
        assert_eq!((tally.marked, tally.lost), (6, 2));
        let wrong: Vec<_> = tally.wrong.into_iter().collect();
        assert_eq!(wrong, [("a picture twice, or behind a later one", 1)]);
    }

    #[test]
    fn another_publisher_begins_anew_and_an_end_is_no_stall() {
        let mut viewer = Viewer::new(Instant::ZERO, Duration::from_millis(100));
        let mut tally = Tally::default();
        let mut see = |viewer: &mut Viewer, at: u64, timestamp, payload: &[u8]| {
            let now = (Instant::from_micros(at * 1_000), WallTime(at * 1_000));
            viewer.sees(now, Video, Timestamp(timestamp), payload, &mut tally);
        };
        see(&mut viewer, 0, 900, AVC);
        see(&mut viewer, 1, 900, &picture(true, None));
        viewer.turns();
        see(&mut viewer, 9_000, 0, AVC);
        see(&mut viewer, 9_001, 0, &picture(true, None));
        assert!(tally.wrong.is_empty() && tally.stalls == 0, "{tally:?}");
        viewer.ends(Instant::from_micros(9_200_000), &mut tally);
        assert_eq!(
            tally.stalls, 1,
            "it was live, and nothing came until the end"
        );
    }
}
