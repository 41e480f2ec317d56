//! What applications have of their own, and settings that change under way.

use super::*;
use crate::config::Config;

fn settings(text: &str) -> Settings {
    let mut config = Config::default();
    config.apply_toml("test", text).unwrap();
    Settings {
        limits: config.limits.clone(),
        applications: config.applications.table(),
        ..Settings::default()
    }
}

/// A publisher of one keyframe, and what somebody sees at once who comes then.
fn seen_by_joiner(machine: &mut Machine) -> Vec<u32> {
    let mut publisher = machine.publisher(0);
    publisher.picture(10, 100);
    machine.settle();
    let mut player = machine.player(0);
    player.read();
    let seen = player.pictures();
    publisher.session.close_stream();
    publisher.talk(machine);
    seen
}

#[test]
fn an_application_has_its_own_cache() {
    for (text, seen) in [
        ("", vec![10]),
        ("[[application]]\nname = \"live\"\ngop_cache = 0", vec![]),
        ("[[application]]\nname = \"other\"\ngop_cache = 0", vec![10]),
        ("[[application]]\nname = \"li*\"\ngop_cache = 0", vec![]),
    ] {
        let mut machine = Machine::set(1, 1, settings(text));
        assert_eq!(seen_by_joiner(&mut machine), seen, "{text}");
    }
}

#[test]
fn a_reload_is_for_the_next_publication_and_disturbs_none() {
    let mut machine = Machine::new(2);
    let mut publisher = machine.publisher(0);
    let mut player = machine.player(1);
    publisher.picture(10, 100);
    machine.settle();
    let none = settings("[[application]]\nname = \"*\"\ngop_cache = 0");
    machine.reload.reload(none);
    machine.settle();
    publisher.picture(20, 100);
    machine.settle();
    player.read();
    assert_eq!(player.pictures(), [10, 20]);
    let mut joiner = machine.player(1);
    joiner.read();
    assert_eq!(joiner.pictures(), [20], "as its publication began");
    publisher.session.close_stream();
    publisher.talk(&machine);
    let mut publisher = machine.publisher(0);
    publisher.picture(30, 100);
    machine.settle();
    player.read();
    joiner.read();
    assert_eq!(player.pictures(), [10, 20, 30], "it has stayed");
    for shard in 0..2 {
        let mut late = machine.player(shard);
        late.read();
        assert!(
            late.pictures().is_empty(),
            "the new settings, on shard {shard}"
        );
    }
}

#[test]
fn less_patience_is_in_force_at_once() {
    let mut machine = Machine::new(1);
    let idle = machine.client(0);
    machine.pass_time(Duration::from_secs(5));
    assert!(!idle.is_closed());
    machine
        .reload
        .reload(settings("[limits]\ncommand_time = \"3s\""));
    machine.settle();
    assert!(idle.is_closed(), "it has had its 3 s");
}

#[test]
fn tickets_come_back() {
    let mut machine = Machine::new(1);
    let half = Socket(Arc::default());
    let admitted = machine.gate.admit(
        [127, 0, 0, 1].into(),
        &ConnectionLimits::default(),
        machine.clock.get(),
    );
    machine.mail[0].post(ShardMessage::Accepted {
        socket: half,
        peer: ([127, 0, 0, 1], 1).into(),
        connection: 7,
        ticket: admitted.unwrap(),
    });
    let _player = machine.player(0);
    let count = |machine: &Machine| {
        let attendance = &machine.attendance;
        (attendance.connections(), attendance.handshakes())
    };
    assert_eq!(count(&machine), (2, 1));
    machine.pass_time(limits::HANDSHAKE_TIME);
    assert_eq!(count(&machine), (1, 0), "cut off");
    machine.stop.stop();
    machine.settle();
    machine.pass_time(limits::DRAIN_DEFAULT);
    assert_eq!(count(&machine), (0, 0));
}

const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

/// One who asks to play `name`.
fn asker(machine: &mut Machine, shard: usize, name: &str) -> Client {
    let mut client = machine.client(shard);
    client.session.play(name);
    client.talk(machine);
    client
}

#[test]
fn a_player_of_a_missing_stream_may_be_refused() {
    let text = "[[application]]\nname = \"live\"\nmissing = \"refuse\"";
    let mut machine = Machine::set(2, 2, settings(text));
    let refused = asker(&mut machine, 1, "s");
    assert!(refused.told(NOT_FOUND) && !refused.told("NetStream.Play.Start"));
    assert_eq!(machine.census(1).players, 0);
    assert_eq!(machine.census(1).requests, 0);
    let _publisher = machine.publisher(0);
    let player = asker(&mut machine, 1, "s");
    assert!(player.told("NetStream.Play.Start"));
    assert!(asker(&mut machine, 0, "t").told(NOT_FOUND), "another one");
    assert!(!refused.is_closed(), "it may ask for something else");
    machine.pass_time(limits::COMMAND_TIME);
    assert!(refused.is_closed());
}

#[test]
fn a_player_waits_for_as_long_as_it_may() {
    let text = "[[application]]\nname = \"*\"\nwait_max = \"5s\"";
    let mut machine = Machine::set(2, 2, settings(text));
    let mut early = asker(&mut machine, 1, "s");
    let mut vain = asker(&mut machine, 0, "t");
    machine.pass_time(Duration::from_secs(3));
    let mut later = asker(&mut machine, 0, "t");
    let _publisher = machine.publisher(0);
    machine.pass_time(Duration::from_secs(2));
    for client in [&mut early, &mut vain, &mut later] {
        client.read();
    }
    assert!(!early.told(NOT_FOUND), "its publisher has come");
    assert!(vain.told(NOT_FOUND));
    assert!(!later.told(NOT_FOUND), "it has 3 s left");
    machine.pass_time(Duration::from_secs(3));
    later.read();
    assert!(later.told(NOT_FOUND));
    assert_eq!(machine.census(0).players, 0);
    assert_eq!(machine.census(1).players, 1);
}

#[test]
fn an_application_has_as_many_streams_as_it_may() {
    let text = "[[application]]\nname = \"li*\"\nstreams = 1";
    let mut machine = Machine::set(2, 2, settings(text));
    let mut first = machine.publisher(0);
    let publish = |machine: &mut Machine, name: &str| {
        let mut client = machine.client(1);
        client.session.publish(name);
        client.talk(machine);
        client
    };
    let refused = publish(&mut machine, "t");
    assert!(refused.told("NetStream.Publish.BadName"));
    first.session.close_stream();
    first.talk(&machine);
    let second = publish(&mut machine, "t");
    assert!(second.told("NetStream.Publish.Start"));
    let third = publish(&mut machine, "u");
    assert!(!third.told("NetStream.Publish.Start"));
}
