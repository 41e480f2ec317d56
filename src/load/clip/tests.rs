use super::*;
use crate::rtmp::wire::MediaKind::{Audio, Data, Video};

const AVC: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x42, 0xC0, 0x1E, 0xFF];
const AAC: &[u8] = &[0xAF, 0, 0x12, 0x10];
const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88];
const INTER: &[u8] = &[0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9A];
const SOUND: &[u8] = &[0xAF, 1, 0x21];
const METADATA: &[u8] = b"\x02\x00\x0aonMetaData\x05";

fn tags(of: &[(MediaKind, u32, &'static [u8])]) -> Vec<FlvTag> {
    let tag = |(at, (kind, time, payload)): (usize, &(MediaKind, u32, &'static [u8]))| FlvTag {
        offset: at as u64,
        kind: *kind,
        timestamp: Timestamp(*time),
        payload: Bytes::from_static(payload),
    };
    of.iter().enumerate().map(tag).collect()
}

/// Kind, stamp and due milliseconds of the first `count` messages.
fn played(clip: Clip, count: usize) -> Vec<(MediaKind, u32, u128)> {
    let mut script = Script::new(Rc::new(clip));
    let mut seen = Vec::new();
    for _ in 0..count {
        let due = script.due();
        let cue = script.next().unwrap();
        assert_eq!(cue.due, due);
        seen.push((cue.kind, cue.timestamp.0, due.as_millis()));
    }
    seen
}

fn plain(begin: u32) -> Vec<FlvTag> {
    tags(&[
        (Data, 0, METADATA),
        (Video, 0, AVC),
        (Audio, 0, AAC),
        (Video, begin, KEY),
        (Audio, begin.wrapping_add(3), SOUND),
        (Video, begin.wrapping_add(40), INTER),
        (Audio, begin.wrapping_add(26), SOUND),
        (Video, begin.wrapping_add(80), INTER),
        (Video, begin.wrapping_add(80), &[0x17, 2, 0, 0, 0]),
    ])
}

#[test]
fn the_clock_runs_on_and_headers_come_once() {
    for begin in [0, 5_000, u32::MAX - 50] {
        let clip = Clip::new(plain(begin)).unwrap();
        assert_eq!(
            played(clip, 13),
            [
                (Data, 0, 0),
                (Video, 0, 0),
                (Audio, 0, 0),
                (Video, 0, 0),
                (Audio, 3, 3),
                (Video, 40, 40),
                (Audio, 26, 40), // the file has it behind the picture: it leaves with it
                (Video, 80, 80),
                (Video, 120, 120),
                (Audio, 123, 123),
                (Video, 160, 160),
                (Audio, 146, 160),
                (Video, 200, 200),
            ],
            "a file that begins at {begin}"
        );
    }
}

#[test]
fn headers_come_again_where_they_change_on_the_way() {
    let mut changing = plain(0);
    changing.insert(7, tags(&[(Video, 60, AVC)]).remove(0));
    let seen = played(Clip::new(changing).unwrap(), 13);
    assert_eq!(
        seen[9..12],
        [(Data, 120, 120), (Video, 120, 120), (Audio, 120, 120)]
    );
}

#[test]
fn weeks_later_the_stamp_has_wrapped_and_the_schedule_has_not() {
    let mut script = Script::new(Rc::new(Clip::new(plain(0)).unwrap()));
    script.base = u64::from(u32::MAX) / 120 * 120;
    script.reached = script.base;
    let due: Vec<_> = (0..40)
        .map(|_| {
            (
                script.due().as_millis() as u64,
                script.next().unwrap().timestamp.0,
            )
        })
        .collect();
    assert!(due.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert!(due.last().unwrap().0 > 1 << 32);
    assert!(due.last().unwrap().1 < 1_000);
}

#[test]
fn files_that_cannot_be_paced_are_refused() {
    let refused = |of: &[(MediaKind, u32, &'static [u8])]| Clip::new(tags(of)).unwrap_err();
    assert_eq!(refused(&[]), ClipError::TooShort { got: 0 });
    assert_eq!(refused(&[(Video, 9, KEY)]), ClipError::TooShort { got: 40 });
    assert_eq!(
        refused(&[(Data, 0, METADATA), (Video, 0, AVC)]),
        ClipError::TooShort { got: 0 }
    );
    assert_eq!(
        refused(&[(Video, 500, KEY), (Video, 540, INTER), (Video, 539, INTER)]),
        ClipError::Backwards { offset: 2, by: 1 }
    );
    let day = 24 * 3_600_000;
    assert_eq!(
        refused(&[(Video, 0, KEY), (Video, day + 1, INTER)]),
        ClipError::TooLong {
            offset: 1,
            got: i64::from(day) + 1
        }
    );
}

#[test]
fn markers_stand_before_the_slices_and_behind_a_delimiter() {
    let delimited: &[u8] = &[0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x09, 0xF0, 0, 0, 0, 1, 0x41];
    let places = |config: &'static [u8], picture: &'static [u8]| {
        let clip = Clip::new(tags(&[
            (Video, 0, config),
            (Video, 0, picture),
            (Video, 500, picture),
        ]));
        clip.unwrap().items[1].marker
    };
    assert_eq!(places(AVC, KEY), Some((5, 4)));
    assert_eq!(places(AVC, delimited), Some((11, 4)));
    let short: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x42, 0xC0, 0x1E, 0xFD];
    assert_eq!(places(short, &[0x27, 1, 0, 0, 0, 0, 1, 0x41]), Some((5, 2)));
    assert_eq!(
        places(&[0x1C, 0, 0, 0, 0, 1, 0, 0, 0, 3], KEY),
        None,
        "HEVC"
    );
    assert_eq!(places(&[0x17, 0], KEY), None, "no avcC");
    assert_eq!(places(AVC, &[0x27, 1, 0, 0, 0]), None, "no NAL unit");
}
