//! A name goes from one publisher to the next: who stays, what everybody hears, and what time it is then.

use super::settings::settings;
use super::*;

const TAKEOVER: &str = "on_conflict = \"takeover\"";
const RESUME: &str = "on_conflict = \"resume\"\ngrace = \"5s\"";
const START: &str = "NetStream.Publish.Start";
const BAD_NAME: &str = "NetStream.Publish.BadName";

/// Three shards with a player each, and a publisher on the first, up to 1,035 ms.
fn stage(policy: &str) -> (Machine, Vec<Client>, Client) {
    let text = format!("[[application]]\nname = \"live\"\n{policy}");
    let mut machine = Machine::set(3, 3, settings(&text));
    let mut players: Vec<_> = (0..3).map(|shard| machine.player(shard)).collect();
    let mut publisher = machine.publisher(0);
    publisher.picture(1_000, 10);
    publisher.picture(1_035, 10);
    machine.settle();
    for player in &mut players {
        player.read();
        assert_eq!(player.pictures(), [1_000, 1_035]);
        player.media.clear();
        player.codes.clear();
    }
    (machine, players, publisher)
}

/// One who asks for the name on `shard`, and publishes two pictures with header `header` if it may, from time 0 on.
fn rival(machine: &mut Machine, shard: usize, header: u8) -> Client {
    let mut rival = machine.client(shard);
    rival.session.publish("s");
    rival.talk(machine);
    if rival.told(START) {
        rival.send(Video, 0, &[0x17, 0, 0, 0, 0, header]);
        rival.picture(0, 10);
        rival.picture(35, 10);
        machine.settle();
    }
    rival
}

/// Ends and beginnings that a player heard of, and times and headers (or 0) of what it got.
fn heard(player: &mut Client) -> (Vec<&str>, Vec<(u32, u8)>) {
    player.read();
    let codes = player.codes.iter();
    let notices = codes.filter_map(|code| code.strip_prefix("NetStream.Play."));
    let media = player
        .media
        .iter()
        .map(|(_, at, payload)| match payload[1] {
            0 => (*at, payload[5]),
            _ => (*at, 0),
        });
    (notices.collect(), media.collect())
}

/// What a rival sends, as players get it who had the time 1,035 before.
const GOES_ON: [(u32, u8); 3] = [(1_035, 2), (1_075, 0), (1_110, 0)];

#[test]
fn the_second_publisher_is_refused_unless_configured_and_the_first_feels_nothing() {
    let (mut machine, mut players, mut first) = stage("");
    let second = rival(&mut machine, 1, 2);
    assert!(
        second.told(BAD_NAME) && !second.told(START),
        "{:?}",
        second.codes
    );
    machine.pass_time(limits::LINGER);
    assert!(second.is_closed(), "told first");
    first.picture(1_070, 10);
    machine.settle();
    for player in &mut players {
        assert_eq!(heard(player), (vec![], vec![(1_070, 0)]));
    }
}

#[test]
fn a_name_is_taken_over_on_any_shard_and_players_stay() {
    for shard in 0..3 {
        let (mut machine, mut players, mut first) = stage(TAKEOVER);
        let second = rival(&mut machine, shard, 2);
        assert!(second.told(START) && !second.told(BAD_NAME));
        first.read();
        assert!(first.told(BAD_NAME), "{:?}", first.codes);
        first.picture(2_000, 10); // too late
        machine.pass_time(limits::LINGER);
        assert!(first.is_closed());
        let told = vec!["UnpublishNotify", "PublishNotify"];
        for player in &mut players {
            assert_eq!(
                heard(player),
                (told.clone(), GOES_ON.to_vec()),
                "shard {shard}"
            );
            assert!(!player.is_closed());
        }
        for of in 0..3 {
            let mut late = machine.player(of);
            assert_eq!(heard(&mut late).1, [(1_075, 2), (1_075, 0), (1_110, 0)]);
        }
    }
}

#[test]
fn a_publisher_that_comes_back_in_time_is_not_missed() {
    for shard in 0..3 {
        let (mut machine, mut players, first) = stage(RESUME);
        first.vanish(&machine);
        assert!(first.is_closed());
        machine.pass_time(Duration::from_millis(4_900));
        let second = rival(&mut machine, shard, 2);
        assert!(second.told(START));
        for player in &mut players {
            assert_eq!(heard(player), (vec![], GOES_ON.to_vec()), "shard {shard}");
            player.media.clear();
        }
        second.vanish(&machine);
        machine.pass_time(Duration::from_millis(4_900));
        for player in &mut players {
            assert_eq!(heard(player), (vec![], vec![]), "its own time of grace");
        }
        machine.pass_time(Duration::from_millis(100));
        for player in &mut players {
            assert_eq!(heard(player).0, ["UnpublishNotify"]);
        }
        let third = rival(&mut machine, shard, 3);
        assert!(third.told(START));
        for player in &mut players {
            let (told, media) = heard(player);
            assert_eq!(told, ["UnpublishNotify", "PublishNotify"]);
            assert_eq!(media, [(0, 3), (0, 0), (35, 0)], "a stream of its own");
        }
    }
}

#[test]
fn nobody_waits_for_one_that_says_goodbye_or_hangs_on_while_it_comes_back() {
    let (mut machine, mut players, mut first) = stage(RESUME);
    first.session.close_stream();
    first.talk(&machine);
    for player in &mut players {
        assert_eq!(heard(player), (vec!["UnpublishNotify"], vec![]));
    }
    let mut second = rival(&mut machine, 1, 1);
    let _third = rival(&mut machine, 2, 2);
    second.read();
    assert!(second.told(BAD_NAME), "half-open, for all we know");
    for player in &mut players {
        let (told, media) = heard(player);
        assert_eq!(told[2..], ["UnpublishNotify", "PublishNotify"]);
        assert_eq!(media[3..], [(35, 2), (75, 0), (110, 0)]);
    }
}

#[test]
fn a_stop_waits_for_nobody_to_come_back() {
    let (machine, mut players, first) = stage(RESUME);
    first.vanish(&machine);
    machine.stop.stop();
    machine.settle();
    for player in &mut players {
        let (told, _) = heard(player);
        assert!(
            told.contains(&"UnpublishNotify") || told.contains(&"Stop"),
            "{told:?}"
        );
    }
    machine.pass_time(limits::DRAIN_DEFAULT);
    assert!(machine.control_task.is_finished(), "and no name is left");
}

/// Passes the time in seconds until the server closes `client`, who does `each` in between. How many that were.
fn lives(machine: &Machine, client: &mut Client, mut each: impl FnMut(&mut Client, u64)) -> u64 {
    for second in 1..100 {
        machine.pass_time(Duration::from_secs(1));
        if client.is_closed() {
            return second;
        }
        each(client, second);
        machine.settle();
    }
    panic!("it lives for ever")
}

#[test]
fn half_open_publishers_are_found() {
    let idle = limits::PUBLISHER_IDLE.as_secs();
    let (machine, _, mut silent) = stage(TAKEOVER);
    assert_eq!(
        lives(&machine, &mut silent, |_, _| ()),
        idle,
        "it never answered"
    );

    let (machine, _, mut dribbles) = stage(TAKEOVER);
    // The header of a long picture, and then a byte of it now and then.
    let picture = [0x04, 0, 0, 0, 1, 0, 0, 9, 1, 0, 0, 0, 0x27];
    dribbles.socket.lock().to_server.extend(picture);
    let lived = lives(&machine, &mut dribbles, |client, second| {
        if second % 29 == 0 {
            client.socket.lock().to_server.push_back(1);
            client.socket.wake();
        }
    });
    assert_eq!(lived, idle, "a byte is no message");

    let (machine, _, mut answered) = stage(TAKEOVER);
    let ping = limits::PUBLISHER_PING.as_secs();
    let lived = lives(&machine, &mut answered, |client, second| {
        if second == ping {
            client.read();
            client.flush();
        }
    });
    assert_eq!(lived, 2 * ping + limits::PUBLISHER_ANSWER.as_secs());
    assert!(lived < idle);
}
