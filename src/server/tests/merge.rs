//! Frames that wait for each other.

use super::*;

const MERGE: Duration = Duration::from_millis(50);

/// A publisher and a player who has seen its first picture, 1 s later.
fn broadcast() -> (Machine, Client, Client) {
    let settings = Settings {
        applications: AppTable::of_every(AppSettings {
            merge: MERGE,
            ..AppSettings::default()
        }),
        ..Settings::default()
    };
    let mut machine = Machine::set(1, 1, settings);
    let mut publisher = machine.publisher(0);
    let mut player = machine.player(0);
    publisher.picture(0, 100);
    machine.settle();
    machine.pass_time(Duration::from_secs(1));
    player.read();
    assert_eq!(player.pictures(), [0]);
    (machine, publisher, player)
}

fn writes(player: &Client) -> usize {
    player.socket.lock().writes
}

#[test]
fn frames_leave_in_one_write_when_the_first_has_waited_its_time() {
    let (machine, mut publisher, mut player) = broadcast();
    let before = writes(&player);
    for at in [1, 2, 3] {
        publisher.picture(at, 100);
        machine.settle();
        machine.pass_time(Duration::from_millis(16));
    }
    assert_eq!(writes(&player), before, "48 ms");
    machine.pass_time(Duration::from_millis(2));
    assert_eq!(writes(&player), before + 1);
    player.read();
    assert_eq!(player.pictures(), [0, 1, 2, 3]);
    machine.pass_time(Duration::from_secs(1));
    assert_eq!(writes(&player), before + 1, "nothing is due twice");
    publisher.picture(4, 100);
    machine.settle();
    machine.pass_time(MERGE);
    player.read();
    assert_eq!(player.pictures(), [0, 1, 2, 3, 4], "and so on");
}

#[test]
fn what_fills_a_write_waits_for_nobody() {
    let (machine, mut publisher, mut player) = broadcast();
    for at in 1..=limits::GATHER_SLICES as u32 {
        publisher.picture(at, 5);
        machine.settle();
    }
    player.read();
    assert_eq!(player.pictures().len(), 1 + limits::GATHER_SLICES);
    publisher.picture(100, limits::GATHER_BYTES);
    machine.settle();
    player.read();
    assert_eq!(player.pictures().last(), Some(&100));
}

#[test]
fn the_end_waits_for_nobody_and_takes_the_last_frames_along() {
    let (machine, mut publisher, mut player) = broadcast();
    publisher.picture(1, 100);
    publisher.session.close(1);
    publisher.talk(&machine);
    player.read();
    assert_eq!(player.pictures(), [0, 1]);
    assert!(player.told("NetStream.Play.UnpublishNotify"));
}

#[test]
fn one_who_comes_gets_the_picture_at_once() {
    let (mut machine, mut publisher, _) = broadcast();
    publisher.picture(1, 100);
    machine.settle();
    let player = machine.player(0);
    assert_eq!(player.pictures(), [0, 1]);
}
