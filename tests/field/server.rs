//! The program around the protocol.

use std::sync::mpsc;
use std::time::Duration;

use millstream::Server;
use millstream::rtmp::wire::MediaKind::Video;

use crate::rtmp_client::{Client, picture};

#[test]
fn b18_limits_and_ipv6() {
    let Ok(server) = Server::builder().listen("[::1]:0".parse().unwrap()).start() else {
        println!("no IPv6 here");
        return;
    };
    let address = server.local_addrs()[0];
    assert!(address.is_ipv6());
    let mut publisher = Client::publisher(address, "six");
    let mut player = Client::player(address, "six");
    publisher.send(Video, 0, &picture(0, 100));
    player.until("the picture", |p| p.media.len() == 1);
    // The 17th message stream of a connection is one too many; nobody else notices.
    let mut greedy = Client::connect(address);
    for n in 0..17 {
        greedy.session.play(&format!("s{n}"));
    }
    greedy.until_closed();
    publisher.send(Video, 40, &picture(1, 100));
    player.until("the next picture", |p| p.media.len() == 2);
    server.stop().unwrap();
}

#[test]
fn b19_callbacks_under_locks() {
    // A handler that waits for the server itself: it publishes and plays meanwhile.
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .on_event(move |event| {
            let _ = tell.send(event.name());
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(10));
        })
        .start()
        .unwrap();
    let address = server.local_addrs()[0];
    let mut publisher = Client::publisher(address, "held");
    let mut player = Client::player(address, "held");
    assert_eq!(
        told.recv_timeout(Duration::from_secs(10)),
        Ok("publish.start")
    );
    // The handler sits in its first call; everybody else goes on.
    for n in 0..10 {
        publisher.send(Video, n * 40, &picture(n, 100));
    }
    player.until("ten pictures", |p| p.media.len() == 10);
    drop(go);
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok("play.start"));
    drop((publisher, player));
    server.stop().unwrap();
}
