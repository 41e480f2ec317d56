//! Players that are behind, publishers that send too much, memory that is short.

use super::settings::settings;
use super::*;

/// One picture each tenth of a second, a keyframe each second; the player takes nothing meanwhile.
fn broadcast(machine: &Machine, publisher: &mut Client, from: u32, seconds: u32, len: usize) {
    for tenth in 0..seconds * 10 {
        // A keyframe where the time is a multiple of ten.
        let at = (from + tenth / 10) * 10_000 + (tenth % 10) * 1_001;
        publisher.picture(at, len);
        machine.pass_time(Duration::from_millis(100));
    }
}

#[test]
fn who_is_too_late_goes_on_at_a_newer_keyframe() {
    for (latency, first) in [("0s", 0), ("2s", 40_000), ("9s", 0)] {
        let text = format!("[[application]]\nname = \"*\"\nlatency_max = \"{latency}\"");
        let mut machine = Machine::set(1, 1, settings(&text));
        let mut publisher = machine.publisher(0);
        let (mut late, mut healthy) = (machine.player(0), machine.player(0));
        late.stall();
        broadcast(&machine, &mut publisher, 0, 5, 100);
        late.take(&machine, usize::MAX);
        healthy.read();
        assert_eq!(healthy.pictures().len(), 50, "{latency}");
        assert_eq!(late.pictures()[0], first, "{latency}");
        assert_eq!(late.pictures().last(), healthy.pictures().last());
    }
}

#[test]
fn who_jumps_too_often_is_cut_off() {
    for (jumps, minutes, stays) in [(3, 0, true), (2, 0, false), (0, 0, true), (2, 1, true)] {
        let text = format!(
            "[limits]\nwrite_stall = \"1m\"\n[[application]]\nname = \"*\"\nlatency_max = \"1s\"\njumps_per_minute = {jumps}"
        );
        let mut machine = Machine::set(1, 1, settings(&text));
        let mut publisher = machine.publisher(0);
        let mut late = machine.player(0);
        for turn in 0..3 {
            late.stall();
            broadcast(&machine, &mut publisher, turn * 3, 3, 100);
            late.take(&machine, usize::MAX);
            if minutes > 0 {
                broadcast(&machine, &mut publisher, 100 + turn * 60, 60, 100);
            }
        }
        assert_eq!(!late.is_closed(), stays, "{jumps} a minute");
        assert!(!publisher.is_closed());
    }
}

#[test]
fn who_sends_more_than_it_may_is_told_and_closed() {
    let text = "[[application]]\nname = \"*\"\nbitrate_max = 800";
    let mut machine = Machine::set(2, 2, settings(text));
    let mut publisher = machine.publisher(0);
    let mut player = machine.player(1);
    broadcast(&machine, &mut publisher, 0, 12, 9_900);
    publisher.read();
    assert!(!publisher.told("NetStream.Publish.Rejected"), "792 kbit/s");
    broadcast(&machine, &mut publisher, 12, 6, 10_500);
    publisher.read();
    player.read();
    assert!(publisher.told("NetStream.Publish.Rejected"));
    assert!(player.told("NetStream.Play.UnpublishNotify"));
    assert!(!player.is_closed());
    publisher.vanish(&machine);
    assert!(publisher.is_closed());
    assert!(
        machine.publisher(0).told("NetStream.Publish.Start"),
        "the name is free"
    );
}

#[test]
fn all_streams_together_keep_no_more_than_they_may() {
    for (most, kept) in [("0", 600_000), ("1MiB", 512 * 1_024), ("64KiB", 32 * 1_024)] {
        let text = format!("[limits]\nmedia_bytes = \"{most}\"");
        let mut machine = Machine::set(2, 2, settings(&text));
        let mut publisher = machine.publisher(0);
        let (mut late, mut healthy) = (machine.player(0), machine.player(0));
        let mut elsewhere = machine.player(1);
        late.stall();
        for n in 0..60 {
            publisher.picture(n * 10, 10_000);
            machine.settle();
            for shard in 0..2 {
                assert!(
                    machine.census(shard).ring_bytes <= kept + 12_000,
                    "{most}: {n}"
                );
            }
        }
        late.take(&machine, usize::MAX);
        for player in [&mut healthy, &mut elsewhere] {
            player.read();
            assert_eq!(
                player.pictures().len(),
                60,
                "who is not behind loses nothing"
            );
        }
        assert_eq!(late.pictures().len() == 60, most == "0");
        assert_eq!(late.pictures().last(), Some(&590));
    }
}
