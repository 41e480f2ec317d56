//! Hand-made viewings.

use std::rc::Rc;

use super::super::testing::{frames, name, sent};
use super::*;
use crate::scenario::{Record, Scenario};

enum Does {
    /// A frame; with the first header comes the second.
    Gets(usize, u32),
    Seeks(u64),
    Told(&'static str),
    Says(&'static str),
    Pauses,
    Appends,
    Waits(u64),
    Looks,
}
use Does::{Appends, Gets, Looks, Pauses, Says, Seeks, Told, Waits};

fn climate() -> Observation {
    let mut scenario: Scenario =
        serde_json::from_str(r#"{"format": 1, "seed": 1, "clients": []}"#).unwrap();
    scenario.faults.upstream_window = [65_536; 2];
    scenario.faults.downstream_window = [65_536; 2];
    scenario.server.record = Some(Record {
        segment_ms: 0,
        segment_bytes: 0,
        vod: true,
        format: Format::Flv,
    });
    Observation::Climate(Climate::of(&scenario))
}

fn checker() -> (Viewings, Vec<Rc<Frame>>) {
    let mut checker = Viewings::default();
    let frames = frames("alice", 0, 200);
    let now = Instant::ZERO;
    checker.observe_at(now, "world", &climate()).unwrap();
    let asks = Observation::AsksToPublish {
        name: name(),
        publication: 0,
    };
    let allowed = Observation::Publishes { name: name() };
    for seen in [asks, allowed] {
        checker.observe_at(now, "alice", &seen).unwrap();
    }
    for (index, frame) in frames.iter().enumerate() {
        checker
            .observe_at(now, "alice", &sent(0, index, frame))
            .unwrap();
    }
    (checker, frames)
}

fn asks(appended: bool) -> Observation {
    Observation::AsksToView {
        name: Rc::from("vod/live/test"),
        from_ms: 0,
        for_ms: None,
        appended,
    }
}

fn told(code: &str) -> Observation {
    Observation::Told { code: code.into() }
}

/// What bob does, ten seconds after all was published.
fn judge(does: &[Does]) -> Result<(), String> {
    let (mut checker, frames) = checker();
    let mut now = Instant::ZERO + Duration::from_secs(10);
    let viewed = |kind, payload, ms| Observation::Viewed {
        kind,
        timestamp: Timestamp(ms),
        payload,
    };
    checker.observe_at(now, "bob", &asks(false))?;
    for one in does {
        let seen = match one {
            Gets(index, ms) => {
                let get = |index: usize| viewed(frames[index].kind, frames[index].delivered(), *ms);
                if *index == 1 {
                    checker.observe_at(now, "bob", &get(2))?;
                }
                get(*index)
            }
            Says(code) => {
                let text = format!("\u{2}\0\u{c}onPlayStatus{code}");
                viewed(MediaKind::Data, Bytes::from(text), 0)
            }
            Seeks(ms) => {
                checker.observe_at(now, "bob", &Observation::Seeks)?;
                Observation::Sought { ms: *ms }
            }
            Told(code) => told(code),
            Pauses => Observation::Pauses,
            Appends => asks(true),
            Waits(ms) => {
                now = now + Duration::from_millis(*ms);
                continue;
            }
            Looks => Observation::Stands {
                sent: 0,
                last_sent: now,
            },
        };
        checker.observe_at(now, "bob", &seen)?;
    }
    Ok(())
}

const PAUSED: Does = Told("NetStream.Pause.Notify");
const GOES_ON: Does = Told("NetStream.Unpause.Notify");

#[test]
fn a_recording_from_its_beginning_and_from_where_it_was_sought_is_right() {
    // Pictures every 40 ms; keyframes #3, #6, #9 …
    let whole = [Gets(0, 0), Gets(1, 0), Gets(3, 0), Gets(4, 40)];
    assert_eq!(judge(&whole), Ok(()));
    let back = [
        Gets(1, 0),
        Gets(3, 0),
        Gets(4, 40),
        Seeks(130),
        Gets(1, 120),
        Gets(6, 120),
        Gets(7, 160),
        Pauses,
        PAUSED,
        Seeks(0),
        Pauses,
        GOES_ON,
        Gets(1, 0),
        Gets(3, 0),
    ];
    assert_eq!(judge(&back), Ok(()));
    let listed = [
        Gets(1, 0),
        Gets(3, 0),
        Appends,
        Says("NetStream.Play.Switch"),
        Gets(1, 0),
        Gets(3, 0),
        Says("NetStream.Play.Complete"),
    ];
    assert_eq!(judge(&listed), Ok(()));
}

#[test]
fn holes_wrong_times_and_wrong_beginnings_are_found() {
    for (does, what) in [
        (vec![Gets(1, 0), Gets(3, 0), Gets(5, 80)], "no #4"),
        (vec![Gets(1, 0), Gets(3, 0), Gets(3, 0)], "stands behind"),
        (vec![Gets(1, 0), Gets(3, 0), Gets(4, 41)], "belongs at 40"),
        (vec![Gets(1, 0), Gets(4, 0)], "no keyframe"),
        (vec![Gets(3, 0)], "was in force"),
        (
            vec![Seeks(1_000), Gets(1, 120), Gets(6, 120)],
            "#9 is at or before",
        ),
        (vec![Gets(1, 900), Gets(3, 900), Gets(1, 40)], "not sought"),
    ] {
        let said = judge(&does).unwrap_err();
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn what_comes_while_it_is_held_too_early_or_behind_the_end_is_found() {
    let all = |from: usize, to: usize| {
        let frame = |index: usize| Gets(index, (index as u32 - 3) * 40);
        let header = Gets(1, (from as u32 - 3) * 40);
        core::iter::once(header)
            .chain((from..to).map(frame))
            .collect::<Vec<_>>()
    };
    let then = |mut does: Vec<Does>, more: Vec<Does>| {
        does.extend(more);
        does
    };
    for (does, what) in [
        (
            then(all(3, 5), vec![Pauses, PAUSED, Gets(5, 80)]),
            "what it holds",
        ),
        (all(3, 100), "and buffers 1000 ms"),
        (
            then(all(3, 10), vec![Says("NetStream.Play.Complete")]),
            "before it can have played it",
        ),
        (
            then(
                all(3, 4),
                vec![Says("NetStream.Play.Complete"), Gets(4, 40)],
            ),
            "behind the end",
        ),
        (
            then(
                all(3, 4),
                vec![
                    Says("NetStream.Play.Complete"),
                    Says("NetStream.Play.Complete"),
                ],
            ),
            "told twice",
        ),
        (
            then(all(3, 4), vec![Says("NetStream.Play.Switch")]),
            "not asked for",
        ),
        (then(all(3, 10), vec![Waits(9_000), Looks]), "and not #10"),
    ] {
        let said = judge(&does).unwrap_err();
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(judge(&then(all(3, 10), vec![Looks])), Ok(()));
}

#[test]
fn what_was_recorded_can_be_played() {
    let (mut checker, _) = checker();
    let mut refused = |after: u64| {
        let at = Instant::ZERO + Duration::from_secs(after);
        checker.observe_at(at, "bob", &asks(false)).unwrap();
        let seen = Observation::Unplayable {
            code: "NetStream.Play.StreamNotFound".into(),
            refused: Some(Rc::from("vod/live/test")),
        };
        checker.observe_at(at, "bob", &seen)
    };
    assert_eq!(refused(1), Ok(()));
    assert!(refused(9).unwrap_err().contains("which was recorded"));
}

#[test]
fn an_end_that_is_none_is_found_in_the_file() {
    let (mut checker, frames) = checker();
    let at = Instant::ZERO + Duration::from_secs(10);
    checker.observe_at(at, "bob", &asks(false)).unwrap();
    for index in [1, 2, 3] {
        let frame = &frames[index];
        let seen = Observation::Viewed {
            kind: frame.kind,
            timestamp: Timestamp(0),
            payload: frame.delivered(),
        };
        checker.observe_at(at, "bob", &seen).unwrap();
    }
    let seen = Observation::Viewed {
        kind: MediaKind::Data,
        timestamp: Timestamp(0),
        payload: Bytes::from_static(b"\x02\0\x0conPlayStatus NetStream.Play.Complete"),
    };
    checker.observe_at(at, "bob", &seen).unwrap();
    let picks: Vec<_> = frames.iter().skip(1).take(5).collect();
    let file = crate::checkers::recordings::testing::flv(&picks);
    let path = PathBuf::from(format!("{RECORDINGS}/live/test.flv"));
    let shelf = Shelf {
        files: Rc::new([(path, file)].into()),
        ..Shelf::default()
    };
    let said = checker
        .observe_at(at, "world", &Observation::Recorded(shelf))
        .unwrap_err();
    assert!(said.contains("ends with #3, and it does with #5"), "{said}");
}
