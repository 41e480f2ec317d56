//! The server over real sockets and threads, on both production backends: what the simulator cannot show is that
//! the backends keep the traits' promises.

#![cfg(feature = "production")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real sockets and clocks"
)]

mod rtmp_client;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millstream::config::Backend;
use millstream::rtmp::wire::MediaKind::{Audio, Data, Video};
use millstream::{Builder, Server};
use rtmp_client::{AUDIO_CONFIG, Client, METADATA, VIDEO_CONFIG, number, picture};

fn builder(backend: Backend, shards: usize) -> Builder {
    Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .runtime(backend)
        .shards(shards)
}

fn start(backend: Backend, shards: usize) -> Server {
    builder(backend, shards).start().expect("a free port")
}

/// Both backends, on one and on three shards.
fn everywhere(test: impl Fn(Server)) {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        for shards in [1, 3] {
            test(start(backend, shards));
        }
    }
}

fn send_headers(publisher: &mut Client) {
    publisher.send(Data, 0, METADATA);
    publisher.send(Video, 0, VIDEO_CONFIG);
    publisher.send(Audio, 0, AUDIO_CONFIG);
}

/// What a player has, as numbers of pictures.
fn numbers(player: &Client) -> Vec<u32> {
    player
        .media
        .iter()
        .filter_map(|(_, _, payload)| number(payload))
        .collect()
}

fn has(player: &Client, picture: u32) -> bool {
    numbers(player).contains(&picture)
}

#[test]
fn players_before_and_in_the_middle_get_every_byte() {
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut early: Vec<_> = (0..3).map(|_| Client::player(address, "one")).collect();
        let mut publisher = Client::publisher(address, "one");
        send_headers(&mut publisher);
        for n in 0..25 {
            publisher.send(
                Video,
                n * 40,
                &picture(n, 70_000 * usize::from(n == 10) + 100),
            );
        }
        for player in &mut early {
            player.until("picture 24", |p| has(p, 24));
        }
        let mut late: Vec<_> = (0..3).map(|_| Client::player(address, "one")).collect();
        for n in 25..40 {
            publisher.send(Video, n * 40, &picture(n, 500));
        }
        for player in early.iter_mut().chain(&mut late) {
            player.until("the last picture", |p| has(p, 39));
            assert_eq!(
                player.payloads()[..3],
                [METADATA, VIDEO_CONFIG, AUDIO_CONFIG],
                "headers come first"
            );
            for (_, at, payload) in &player.media[3..] {
                let n = number(payload).expect("only pictures follow");
                let len = match n {
                    10 => 70_100,
                    ..25 => 100,
                    _ => 500,
                };
                assert_eq!(
                    (payload.as_ref(), at.0),
                    (picture(n, len).as_slice(), n * 40)
                );
            }
        }
        for player in &early {
            assert_eq!(numbers(player), (0..40).collect::<Vec<_>>());
        }
        for player in &late {
            assert_eq!(
                numbers(player),
                (20..40).collect::<Vec<_>>(),
                "from the newest keyframe on"
            );
        }
        server.stop().expect("a clean end");
    });
}

#[test]
fn a_name_is_published_once_and_free_again_after_a_reset() {
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut player = Client::player(address, "name");
        let first = Client::publisher(address, "name");
        let mut second = Client::connect(address);
        second.session.publish("name");
        second.until_closed();
        assert!(
            second.refused("NetStream.Publish.BadName"),
            "{:?}",
            second.told
        );
        assert!(
            !second.status("NetStream.Publish.Start"),
            "OBS loops when a Start is followed by a refusal"
        );
        player.until("the publisher", |p| {
            p.status("NetStream.Play.PublishNotify")
        });
        first.reset();
        player.until("the publisher's end", |p| {
            p.status("NetStream.Play.UnpublishNotify")
        });
        let mut third = Client::publisher(address, "name");
        send_headers(&mut third);
        third.send(Video, 0, &picture(0, 50));
        player.until("the next publisher's picture", |p| has(p, 0));
        server.stop().expect("a clean end");
    });
}

#[test]
fn a_player_that_does_not_read_harms_nobody_and_goes_on_at_a_keyframe() {
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut slow = Client::player(address, "heavy");
        let mut quick = Client::player(address, "heavy");
        let mut publisher = Client::publisher(address, "heavy");
        send_headers(&mut publisher);
        const PICTURES: u32 = 1_200; // 72 MB: more than the ring and all socket buffers hold
        for n in 0..PICTURES {
            publisher.send(Video, n, &picture(n, 60_000));
            if n.is_multiple_of(8) {
                quick.until("the pictures so far", |p| has(p, n));
            }
        }
        quick.until("the last picture", |p| has(p, PICTURES - 1));
        assert_eq!(numbers(&quick), (0..PICTURES).collect::<Vec<_>>());
        slow.until("the last picture", |p| has(p, PICTURES - 1));
        let got = numbers(&slow);
        assert!(
            got.len() < PICTURES as usize,
            "it must have lost some, or nothing was tested"
        );
        for pair in got.windows(2) {
            assert!(
                pair[1] == pair[0] + 1 || pair[1].is_multiple_of(10),
                "a gap ends at a keyframe: {pair:?}"
            );
            assert!(pair[1] > pair[0], "in order: {pair:?}");
        }
        for (_, _, payload) in &slow.media {
            assert!(
                number(payload).is_none_or(|n| payload.as_ref() == picture(n, 60_000)),
                "whole messages only"
            );
        }
        server.stop().expect("a clean end");
    });
}

#[test]
fn more_players_than_one_slice_of_the_pump() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let server = start(backend, 2);
        let address = server.local_addrs()[0];
        let mut players: Vec<_> = (0..600).map(|_| Client::player(address, "crowd")).collect();
        let mut publisher = Client::publisher(address, "crowd");
        send_headers(&mut publisher);
        for n in 0..30 {
            publisher.send(Video, n * 40, &picture(n, 2_000));
        }
        for player in &mut players {
            player.until("the last picture", |p| has(p, 29));
            assert_eq!(numbers(player), (0..30).collect::<Vec<_>>());
        }
        server.stop().expect("a clean end");
    }
}

#[test]
fn two_streams_on_one_connection_do_not_mix() {
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut player = Client::connect(address);
        player.session.play("a");
        player.until("the first play", |p| p.status("NetStream.Play.Start"));
        player.session.play("b");
        player.until("the second play", |p| {
            p.statuses("NetStream.Play.Start") == 2
        });
        let mut publishers = [
            Client::publisher(address, "a"),
            Client::publisher(address, "b"),
        ];
        for publisher in &mut publishers {
            send_headers(publisher);
        }
        for n in 0..50 {
            for (which, publisher) in publishers.iter_mut().enumerate() {
                publisher.send(Video, n, &picture(n + 1_000 * which as u32, 3_000));
            }
        }
        player.until("both ends", |p| has(p, 49) && has(p, 1_049));
        let all = numbers(&player);
        let of = |range: std::ops::Range<u32>| {
            all.iter()
                .copied()
                .filter(|n| range.contains(n))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0..1_000), (0..50).collect::<Vec<_>>());
        assert_eq!(of(1_000..2_000), (1_000..1_050).collect::<Vec<_>>());
        server.stop().expect("a clean end");
    });
}

#[test]
fn noise_costs_its_sender_its_connection_and_nobody_else_anything() {
    use std::io::Write as _;
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut player = Client::player(address, "calm");
        let mut publisher = Client::publisher(address, "calm");
        send_headers(&mut publisher);
        for noise in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0xFF; 5_000],
            &[0x16, 3, 1, 2, 0],
        ] {
            let mut noisy = Client::connect(address);
            noisy.session = millstream::rtmp::session::client::ClientSession::new(
                millstream::rtmp::session::client::ClientConfig {
                    chunk_size: 128,
                    ..Default::default()
                },
                0,
            );
            noisy.session.take_output(&mut Vec::new());
            let _ = noisy.socket.write_all(noise);
            noisy.until_closed();
        }
        publisher.send(Video, 0, &picture(0, 100));
        player.until("the picture", |p| has(p, 0));
        server.stop().expect("a clean end");
    });
}

#[test]
fn who_asks_to_play_and_reads_nothing_is_cut_off() {
    use std::io::Write as _;
    let server = start(Backend::DEFAULT, 1);
    let mut peer = Client::player(server.local_addrs()[0], "one");
    // On 16 message streams, as many as there may be: of what comes in one read, the last on each is answered.
    let plays: Vec<u8> = (1..=16)
        .flat_map(|stream| {
            let mut play =
                *b"\x08\0\0\0\0\0\x15\x14\0\0\0\0\x02\0\x04play\0\0\0\0\0\0\0\0\0\x05\x02\0\x01x";
            play[8] = stream;
            play
        })
        .collect();
    let start = Instant::now();
    let mut cut_off = false;
    while !cut_off && start.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(1));
        cut_off = peer.socket.write_all(&plays).is_err();
    }
    assert!(cut_off, "answers pile up");
    server.stop().expect("a clean end");
}

#[test]
fn a_graceful_stop_tells_everybody_and_ends_in_time() {
    everywhere(|server| {
        let address = server.local_addrs()[0];
        let mut player = Client::player(address, "last");
        let mut publisher = Client::publisher(address, "last");
        send_headers(&mut publisher);
        publisher.send(Video, 0, &picture(0, 100));
        player.until("the picture", |p| has(p, 0));
        let stop = server.stop_handle();
        let begun = Instant::now();
        stop.stop();
        player.until_closed();
        publisher.until_closed();
        assert!(player.status("NetStream.Play.Stop"), "{:?}", player.told);
        assert!(
            publisher.status("NetStream.Unpublish.Success"),
            "{:?}",
            publisher.told
        );
        drop((player, publisher));
        server.wait().expect("a clean end");
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "took {:?}",
            begun.elapsed()
        );
        assert!(
            std::net::TcpStream::connect(address).is_err(),
            "nobody listens any more"
        );
    });
}

#[test]
fn events_come_in_pairs_under_their_old_names() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let server = builder(backend, 1)
            .on_event(move |event| ear.lock().expect("no panic").push(event.name()))
            .start()
            .expect("a free port");
        let address = server.local_addrs()[0];
        let player = Client::player(address, "e");
        let publisher = Client::publisher(address, "e");
        publisher.reset();
        player.reset();
        server.stop().expect("a clean end");
        let mut heard = heard.lock().expect("no panic").clone();
        assert_eq!(heard[..2], ["play.start", "publish.start"]);
        heard[2..].sort_unstable();
        assert_eq!(heard[2..], ["play.stop", "publish.stop"]);
    }
}

#[test]
fn a_handler_that_panics_costs_nobody_anything() {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        let server = builder(backend, 1)
            .on_event(|event| panic!("{event}"))
            .start()
            .expect("a free port");
        let address = server.local_addrs()[0];
        let mut player = Client::player(address, "p");
        let mut publisher = Client::publisher(address, "p");
        send_headers(&mut publisher);
        publisher.send(Video, 0, &picture(0, 100));
        player.until("the picture", |p| has(p, 0));
        publisher.reset();
        player.until("the end", |p| p.status("NetStream.Play.UnpublishNotify"));
        server.stop().expect("a clean end");
    }
}
