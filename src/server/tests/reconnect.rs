//! A stop asks those to come back who have said that they know how.

use super::*;
use crate::rtmp::command::CAPS_RECONNECT;

const ASKED: &str = "NetConnection.Connect.ReconnectRequest";
const SHUTDOWN: &str = "NetConnection.Connect.AppShutdown";

/// What a publisher and a player with `caps_ex`, on different shards, are told when the server stops.
fn stopped(caps_ex: u32) -> [Vec<String>; 2] {
    let mut machine = Machine::new(2);
    let enhanced = Some(Enhanced {
        caps_ex,
        ..Enhanced::default()
    });
    let [mut publisher, mut player] =
        [0, 1].map(|shard| machine.client_of(shard, enhanced.clone()));
    publisher.session.publish("s");
    publisher.talk(&machine);
    player.session.play("s");
    player.talk(&machine);
    publisher.send(Video, 0, &[0x17, 0, 0, 0, 0, 1]);
    publisher.picture(1_000, 10);
    machine.settle();
    player.read();
    assert_eq!(player.pictures(), [1_000]);
    for client in [&mut publisher, &mut player] {
        client.codes.clear();
    }
    machine.stop.stop();
    machine.settle();
    player.read();
    publisher.read();
    machine.pass_time(limits::LINGER);
    for client in [&publisher, &player] {
        assert!(client.is_closed());
    }
    [publisher.codes.clone(), player.codes.clone()]
}

#[test]
fn who_knows_how_is_asked_before_its_stream_ends_and_hears_of_no_error() {
    let [publisher, player] = stopped(CAPS_RECONNECT);
    assert_eq!(publisher, [ASKED, "NetStream.Unpublish.Success"]);
    // Its publisher may have gone before it.
    let last = player
        .iter()
        .position(|code| code == ASKED)
        .map(|at| &player[at..]);
    assert_eq!(
        last,
        Some(&[ASKED.to_owned(), "NetStream.Play.Stop".to_owned()][..]),
        "{player:?}"
    );
    assert!(!player.iter().any(|code| code == SHUTDOWN), "{player:?}");
}

#[test]
fn who_does_not_is_told_of_the_shutdown() {
    let [publisher, player] = stopped(14);
    assert_eq!(publisher, ["NetStream.Unpublish.Success", SHUTDOWN]);
    assert_eq!(player.last().map(String::as_str), Some(SHUTDOWN));
    assert!(!player.iter().any(|code| code == ASKED), "{player:?}");
}
