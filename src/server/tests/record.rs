//! What recordings hold in memory while their disk takes nothing: these worlds have none, and every operation fails.

use super::settings::settings;
use super::*;

/// Streams of two million bytes each that have ended; what their recordings hold, and how many of them have lost something.
fn tails(machine: &mut Machine, streams: u32) -> (usize, u64) {
    for n in 0..streams {
        let mut publisher = machine.client(0);
        publisher.session.publish(&format!("s{n}"));
        publisher.talk(machine);
        for at in 0..40 {
            publisher.picture(at, 50_000);
            machine.settle();
        }
        publisher.session.close_stream();
        publisher.talk(machine);
        assert_eq!(machine.census(0).ring_bytes, 0);
    }
    let gaps = machine.shards[0].sums().record_gaps;
    (machine.census(0).record_held, gaps)
}

fn recording(media_bytes: &str) -> Machine {
    let text = format!(
        "[limits]\nmedia_bytes = \"{media_bytes}\"\n[[application]]\nname = \"*\"\nrecord_dir = \"/nowhere\""
    );
    Machine::set(1, 1, settings(&text))
}

#[test]
fn what_is_left_of_streams_that_have_ended_counts_as_media() {
    let (held, gaps) = tails(&mut recording("0"), 6);
    assert!((12_000_000..12_200_000).contains(&held), "{held}");
    assert_eq!(gaps, 0);
    let mut machine = recording("16MiB");
    let (held, gaps) = tails(&mut machine, 6);
    assert!(
        (4_000_000..=4 * 1024 * 1024).contains(&held),
        "a quarter: {held}"
    );
    assert_eq!(gaps, 4, "two were whole, each other has lost its end");
    // Their recorders give up.
    for _ in 0..100 {
        machine.pass_time(Duration::from_secs(1));
    }
    assert_eq!(machine.census(0).record_held, 0);
}

#[test]
fn players_keep_less_by_what_recordings_hold() {
    let mut machine = recording("8MiB");
    let (held, _) = tails(&mut machine, 2);
    let mut publisher = machine.publisher(0);
    let mut late = machine.player(0);
    late.stall();
    for at in 0..200 {
        publisher.picture(at, 50_000);
        machine.settle();
        let census = machine.census(0);
        assert!(
            census.ring_bytes + census.record_held <= 8 * 1024 * 1024 + 60_000,
            "{at}: {census:?}"
        );
        assert!(census.record_held >= held);
    }
    assert!(machine.census(0).ring_bytes > 3_000_000);
}
