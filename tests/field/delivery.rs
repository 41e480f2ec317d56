//! What players get, over real sockets.

use millstream::Server;
use millstream::rtmp::session::client::ClientEvent;
use millstream::rtmp::wire::MediaKind::{Audio, Data, Video};

use crate::rtmp_client::{AUDIO_CONFIG, Client, METADATA, VIDEO_CONFIG, number, picture};

fn server(shards: usize) -> Server {
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into());
    builder.shards(shards).start().unwrap()
}

fn send_headers(publisher: &mut Client) {
    publisher.send(Data, 0, METADATA);
    publisher.send(Video, 0, VIDEO_CONFIG);
    publisher.send(Audio, 0, AUDIO_CONFIG);
}

fn numbers(player: &Client) -> Vec<u32> {
    let pictures = player.media.iter();
    pictures
        .filter_map(|(_, _, payload)| number(payload))
        .collect()
}

fn has(player: &Client, picture: u32) -> bool {
    numbers(player).contains(&picture)
}

#[test]
fn b13_the_gop_before_the_last_and_then_nothing() {
    let server = server(2);
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "gop");
    let mut early = Client::player(address, "gop");
    send_headers(&mut publisher);
    for n in 0..25 {
        publisher.send(Video, n * 40, &picture(n, 300));
    }
    early.until("picture 24", |p| has(p, 24));
    let mut late = Client::player(address, "gop");
    late.until("picture 24", |p| has(p, 24));
    assert_eq!(
        numbers(&late),
        [20, 21, 22, 23, 24],
        "the GOP that is going on"
    );
    // And every picture from now on, without waiting for the next keyframe.
    publisher.send(Video, 1_000, &picture(25, 300));
    late.until("picture 25", |p| has(p, 25));
    server.stop().unwrap();
}

/// A player that reads nothing while 72 MB are sent, more than the ring and all socket buffers hold; in the middle of it
/// the encoder changes its configuration. What it has in the end.
fn overtaken() -> (Vec<u32>, Vec<Vec<u8>>) {
    const PICTURES: u32 = 1_200;
    let server = server(1);
    let address = server.local_addrs()[0];
    let mut slow = Client::player(address, "heavy");
    let mut quick = Client::player(address, "heavy");
    let mut publisher = Client::publisher(address, "heavy");
    send_headers(&mut publisher);
    for n in 0..PICTURES {
        if n == 600 {
            publisher.send(Video, n, &[VIDEO_CONFIG, &[1]].concat());
        }
        publisher.send(Video, n, &picture(n, 60_000));
        if n.is_multiple_of(8) {
            quick.until("the pictures so far", |p| has(p, n));
        }
    }
    quick.until("the last picture", |p| has(p, PICTURES - 1));
    assert_eq!(
        numbers(&quick),
        (0..PICTURES).collect::<Vec<_>>(),
        "others lose nothing"
    );
    slow.until("the last picture", |p| has(p, PICTURES - 1));
    let payloads = slow.payloads().iter().map(|p| p.to_vec()).collect();
    let numbers = numbers(&slow);
    server.stop().unwrap();
    (numbers, payloads)
}

#[test]
fn b14_a_full_queue_loses_sequence_headers() {
    let (numbers, payloads) = overtaken();
    assert!(
        numbers.len() < 1_200,
        "it must have lost some, or nothing was tested"
    );
    let changed = [VIDEO_CONFIG, &[1]].concat();
    let header = payloads
        .iter()
        .position(|p| *p == changed)
        .expect("the new header");
    let first = payloads
        .iter()
        .position(|p| number(p).is_some_and(|n| n >= 600))
        .unwrap();
    assert!(header < first, "it stands before the pictures that need it");
}

#[test]
fn c03_a_slow_player_gets_garbage() {
    let (numbers, payloads) = overtaken();
    for pair in numbers.windows(2) {
        let [before, after] = [pair[0], pair[1]];
        assert!(
            after == before + 1 || after.is_multiple_of(10),
            "a gap ends at a keyframe: {pair:?}"
        );
        assert!(after > before, "in order: {pair:?}");
    }
    for payload in &payloads {
        let whole = number(payload).is_none_or(|n| *payload == picture(n, 60_000));
        assert!(whole, "whole messages only");
    }
}

#[test]
fn c04_latency_creeps_up() {
    // What the slow one goes on with is the present, not the oldest of what there is.
    let (numbers, _) = overtaken();
    let gap = numbers
        .windows(2)
        .rfind(|pair| pair[1] != pair[0] + 1)
        .expect("a gap");
    assert!(gap[1] >= 600, "it goes on at {}", gap[1]);
}

#[test]
fn b17_players_are_not_told_that_the_publisher_left() {
    let server = server(2);
    let address = server.local_addrs()[0];
    let mut player = Client::player(address, "gone");
    for polite in [true, false] {
        let mut publisher = Client::publisher(address, "gone");
        let before = player.statuses("NetStream.Play.UnpublishNotify");
        if polite {
            publisher.session.close_stream();
            publisher.flush();
        } else {
            publisher.reset();
        }
        player.until("the end", |p| {
            p.statuses("NetStream.Play.UnpublishNotify") > before
        });
        let eof = |e: &ClientEvent| matches!(e, ClientEvent::Control { event: 1, .. });
        assert!(
            player.told.iter().any(eof),
            "StreamEOF, on which GStreamer leaves"
        );
    }
    server.stop().unwrap();
}

#[test]
fn c01_already_publishing_after_a_network_drop() {
    let server = server(3);
    let address = server.local_addrs()[0];
    let mut player = Client::player(address, "again");
    for n in 0..10 {
        // In before the player, who stays, has heard of the end.
        let mut publisher = republish(address, "again");
        publisher.send(Video, 0, &picture(n * 10, 100));
        player.until("the picture", |p| has(p, n * 10));
        publisher.reset();
    }
    server.stop().unwrap();
}

/// An encoder that tries again at once, as all do; the RST of the one before may still be on its way.
fn republish(address: std::net::SocketAddr, name: &str) -> Client {
    let start = std::time::Instant::now();
    loop {
        let mut client = Client::connect(address);
        client.session.publish(name);
        while !client.closed && !client.status("NetStream.Publish.Start") {
            client.read();
            assert!(
                start.elapsed().as_secs() < 2,
                "the name is held: {:?}",
                client.told
            );
        }
        if !client.closed {
            return client;
        }
    }
}

#[test]
fn c02_memory_grows_with_a_paused_player() {
    let server = server(1);
    let address = server.local_addrs()[0];
    let mut paused = Client::player(address, "pause");
    let mut publisher = Client::publisher(address, "pause");
    send_headers(&mut publisher);
    publisher.send(Video, 0, &picture(0, 1_000));
    paused.until("the first picture", |p| has(p, 0));
    paused.session.pause(true, 0.0);
    paused.until("the pause", |p| p.status("NetStream.Pause.Notify"));
    let mut witness = Client::player(address, "pause");
    for n in 1..200 {
        publisher.send(Video, n, &picture(n, 30_000));
        witness.until("the picture", |p| has(p, n));
    }
    while paused.read() {}
    assert_eq!(numbers(&paused), [0], "nothing is queued for it");
    paused.session.pause(false, 0.0);
    publisher.send(Video, 200, &picture(200, 100));
    paused.until("the present", |p| has(p, 200));
    let after = numbers(&paused)[1];
    assert!(
        after >= 190 && after.is_multiple_of(10),
        "a keyframe of the present: {after}"
    );
    server.stop().unwrap();
}

#[test]
fn c06_a_jump_in_time_kills_the_stream() {
    let server = server(1);
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "jump");
    let mut player = Client::player(address, "jump");
    send_headers(&mut publisher);
    player.until("the headers", |p| p.media.len() >= 3); // its shard has the stream now
    let times = [
        1_000,
        1_040,
        3_600_000,
        3_600_040,
        5,
        45,
        0xFFF0_0000,
        20,
        16_777_216,
        0,
    ];
    for (n, time) in times.into_iter().enumerate() {
        publisher.send(Video, time, &picture(n as u32 * 10, 100));
        publisher.send(Audio, time, &[0xAF, 1, n as u8]);
    }
    player.until("the last picture", |p| has(p, 90));
    player.until("its sound", |p| {
        p.media.last().is_some_and(|(kind, ..)| *kind == Audio)
    });
    let times_of = |wanted| -> Vec<u32> {
        let media = player.media[3..]
            .iter()
            .filter(|(kind, ..)| *kind == wanted);
        media.map(|(_, time, _)| time.0).collect()
    };
    // Wherever its time jumps, it goes on as it went before, sound and picture together.
    let expected: Vec<u32> = (0..10).map(|n| 1_000 + n * 40).collect();
    assert_eq!(times_of(Video), expected);
    assert_eq!(times_of(Audio), expected);
    server.stop().unwrap();
}

#[test]
fn c07_sound_and_picture_drift_apart() {
    let server = server(2);
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "sync");
    let mut player = Client::player(address, "sync");
    send_headers(&mut publisher);
    player.until("the headers", |p| p.media.len() >= 3); // its shard has the stream now
    // Cadences that share no divisor, and sound a little behind, an hour in.
    let mut sent = Vec::new();
    for n in 0..300u32 {
        let (video, audio) = (3_600_000 + n * 33, 3_600_000 + n * 23 + 7);
        publisher.send(Video, video, &picture(n, 200));
        publisher.send(Audio, audio, &[&[0xAF, 1][..], &n.to_be_bytes()].concat());
        sent.extend([(Video, video), (Audio, audio)]);
    }
    player.until("everything", |p| p.media.len() >= 3 + sent.len());
    let got: Vec<_> = player.media[3..]
        .iter()
        .map(|(kind, time, _)| (*kind, time.0))
        .collect();
    assert!(got == sent, "every time and the order are the publisher's");
    server.stop().unwrap();
}

#[test]
fn c08_black_screen_at_the_start() {
    let server = server(2);
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "start");
    send_headers(&mut publisher);
    for n in 0..15 {
        publisher.send(Video, n * 40, &picture(n, 300));
        publisher.send(Audio, n * 40, &[0xAF, 1, n as u8]);
    }
    let mut witness = Client::player(address, "start");
    witness.until("picture 14", |p| has(p, 14));
    let mut late = Client::player(address, "start");
    late.until("picture 14", |p| has(p, 14));
    assert_eq!(late.payloads()[..3], [METADATA, VIDEO_CONFIG, AUDIO_CONFIG]);
    let first = late
        .media
        .get(3)
        .map(|(_, time, payload)| (time.0, number(payload)));
    assert_eq!(first, Some((400, Some(10))), "then a keyframe, at once");
    server.stop().unwrap();
}

#[test]
fn c10_a_refused_obs_loops() {
    let server = server(2);
    let address = server.local_addrs()[0];
    let _first = Client::publisher(address, "taken");
    for _ in 0..5 {
        let mut second = Client::connect(address);
        second.session.publish("taken");
        second.until_closed();
        assert!(
            second.refused("NetStream.Publish.BadName"),
            "told why: {:?}",
            second.told
        );
        assert!(
            !second.status("NetStream.Publish.Start"),
            "no Start before it"
        );
    }
    server.stop().unwrap();
}

#[test]
fn c13_streams_lost_between_processes() {
    let server = server(4);
    let address = server.local_addrs()[0];
    let mut players: Vec<_> = (0..12).map(|_| Client::player(address, "one")).collect();
    let mut publisher = Client::publisher(address, "one");
    send_headers(&mut publisher);
    for n in 0..10 {
        publisher.send(Video, n * 40, &picture(n, 500));
    }
    for player in &mut players {
        player.until("the last picture", |p| has(p, 9));
        assert_eq!(numbers(player), (0..10).collect::<Vec<_>>());
    }
    server.stop().unwrap();
}

#[test]
fn c15_playing_what_is_missing_hangs() {
    let server = server(2);
    let address = server.local_addrs()[0];
    // It is answered at once (`player` waits for that), and begins by itself.
    let mut player = Client::player(address, "later");
    assert!(player.media.is_empty());
    let mut publisher = Client::publisher(address, "later");
    send_headers(&mut publisher);
    publisher.send(Video, 0, &picture(0, 100));
    player.until("the picture", |p| has(p, 0));
    assert!(player.status("NetStream.Play.PublishNotify"));
    server.stop().unwrap();
}
