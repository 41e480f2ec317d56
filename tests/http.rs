//! What operators see and do, over real sockets, on both production backends.

#![cfg(feature = "production")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real sockets and clocks"
)]

mod http_client;
#[allow(dead_code, reason = "other tests use the rest")]
mod rtmp_client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use http_client::{Answer, ask, send};
use millstream::config::{Backend, Config, HttpListen, Token};
use millstream::rtmp::wire::MediaKind::{Audio, Data, Video};
use millstream::{Server, StartError, limits};
use rtmp_client::{AUDIO_CONFIG, Client, METADATA, VIDEO_CONFIG, picture};
use serde_json::Value;

const TOKEN: &str = "0123456789abcdef";

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "")
}

fn everywhere(test: impl Fn(&Server, SocketAddr, SocketAddr)) {
    for backend in [Backend::DEFAULT, Backend::Smol] {
        for shards in [1, 3] {
            let server = Server::builder()
                .listen(([127, 0, 0, 1], 0).into())
                .http(([127, 0, 0, 1], 0).into())
                .runtime(backend)
                .shards(shards)
                .start()
                .expect("free ports");
            let http = server.http_addr().expect("it was asked for");
            test(&server, server.local_addrs()[0], http);
            server.stop().expect("a clean stop");
        }
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn publish(address: SocketAddr, name: &str) -> Client {
    let mut publisher = Client::publisher(address, name);
    publisher.send(Data, 0, METADATA);
    publisher.send(Video, 0, VIDEO_CONFIG);
    publisher.send(Audio, 0, AUDIO_CONFIG);
    for n in 0..50 {
        publisher.send(Video, n * 40, &picture(n, 500));
    }
    publisher
}

fn metric(http: SocketAddr, name: &str) -> f64 {
    let page = get(http, "/metrics").body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{name} in\n{page}"))
}

#[test]
fn streams_clients_and_metrics_say_what_is_there() {
    everywhere(|_, rtmp, http| {
        let _publisher = publish(rtmp, "one");
        let mut players: Vec<_> = (0..3).map(|_| Client::player(rtmp, "one")).collect();
        for player in &mut players {
            player.until("a frame", |player| {
                player.media.iter().any(|(kind, ..)| *kind == Video)
            });
        }
        until("all is told", || {
            get(http, "/api/v1/clients").json()["clients"]
                .as_array()
                .unwrap()
                .len()
                == 4
        });
        until("frames are counted", || {
            metric(http, "millstream_received_frames_total") >= 53.0
        });
        let streams = get(http, "/api/v1/streams").json();
        let stream = &streams["streams"][0];
        assert_eq!(stream["stream"], "live/one");
        assert_eq!(
            (&stream["live"], &stream["players"]),
            (&Value::Bool(true), &Value::from(3))
        );
        assert_eq!(stream["media"]["video"][0], "H.264");
        assert_eq!(stream["media"]["audio"][0], "AAC");
        assert!(
            stream["media"]["bitrate"].as_u64().unwrap() > 50_000,
            "{stream}"
        );
        let clients = get(http, "/api/v1/clients").json();
        let clients = clients["clients"].as_array().unwrap();
        let roles: Vec<_> = clients
            .iter()
            .map(|client| client["role"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["publish", "play", "play", "play"]);
        for client in clients {
            assert_eq!(
                (&client["app"], &client["stream"]),
                (&"live".into(), &"live/one".into())
            );
            assert_eq!(client["media"]["video"][0], "H.264");
        }
        assert!(clients[0]["received"].as_u64().unwrap() > 25_000);
        assert!(clients[1]["lag_ms"].is_u64() && clients[0]["lag_ms"].is_null());
        let last = get(http, &format!("/api/v1/clients?from={}", clients[3]["id"])).json();
        assert_eq!(last["clients"].as_array().unwrap().len(), 1);
        assert_eq!(last["clients"][0]["id"], clients[3]["id"]);
        assert_eq!(metric(http, "millstream_streams"), 1.0);
        assert_eq!(metric(http, "millstream_players"), 3.0);
        assert_eq!(metric(http, "millstream_first_frame_seconds_count"), 3.0);
        assert!(metric(http, "millstream_sent_bytes_total") > 1_500.0);
        assert!(metric(http, "millstream_received_bytes_total") > 25_000.0);
        drop(players);
        until("they are counted out", || {
            metric(
                http,
                "millstream_connections_closed_total{reason=\"left\",fault=\"peer\"}",
            ) + metric(
                http,
                "millstream_connections_closed_total{reason=\"network\",fault=\"peer\"}",
            ) >= 3.0
        });
        assert!(
            metric(http, "millstream_sent_bytes_total") > 1_500.0,
            "what has gone counts on"
        );
    });
}

#[test]
fn a_client_is_kicked_and_told() {
    everywhere(|_, rtmp, http| {
        let mut publisher = publish(rtmp, "one");
        let mut player = Client::player(rtmp, "one");
        let mut other = Client::player(rtmp, "one");
        let clients = get(http, "/api/v1/clients").json();
        let id = clients["clients"][1]["id"].as_u64().unwrap();
        let answer = ask(
            http,
            "POST",
            &format!("/api/v1/clients/{id}/kick"),
            "Content-Length: 2\r\n\r\n{}",
        );
        assert_eq!(
            (answer.status, &answer.json()["done"]),
            (200, &Value::Bool(true))
        );
        player.until("the end", |player| player.closed);
        assert!(player.status("NetStream.Play.Stop"));
        publisher.send(Video, 5_000, &picture(50, 500));
        other.until("it goes on", |other| {
            other.media.iter().any(|(_, at, _)| at.0 >= 5_000)
        });
        until("counted", || {
            metric(
                http,
                "millstream_connections_closed_total{reason=\"kicked\",fault=\"operator\"}",
            ) == 1.0
        });
        for nobody in [id.to_string(), "99999".to_owned(), "x".to_owned()] {
            until("gone", || {
                ask(http, "DELETE", &format!("/api/v1/clients/{nobody}"), "").status == 404
            });
        }
    });
}

#[test]
fn a_stream_is_ended_and_may_come_back() {
    everywhere(|_, rtmp, http| {
        let mut publisher = publish(rtmp, "a b");
        let mut player = Client::player(rtmp, "a b");
        assert_eq!(
            ask(http, "DELETE", "/api/v1/streams/live/a%20b", "").status,
            200
        );
        publisher.until("the end", |publisher| publisher.closed);
        assert!(publisher.status("NetStream.Unpublish.Success"));
        player.until("the word", |player| {
            player.status("NetStream.Play.UnpublishNotify")
        });
        assert_eq!(
            ask(http, "DELETE", "/api/v1/streams/live/a%20b", "").status,
            404
        );
        let _again = publish(rtmp, "a b");
        player.until("the next one", |player| {
            player.statuses("NetStream.Play.PublishNotify") > 0
        });
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    everywhere(|_, _, http| {
        for (method, path, headers, status) in [
            ("GET", "/", "", 404),
            ("GET", "/api/v1/nothing", "", 404),
            ("POST", "/metrics", "", 405),
            ("GET", "/api/v1/streams/live/a", "", 405),
            ("GET", "/api/v1/clients/1/kick", "", 405),
            ("GET", "/api/v1/clients?from=x", "", 400),
            ("POST", "/api/v1/reload", "", 404),
            (
                "POST",
                "/api/v1/clients/1/kick",
                "Content-Length: 99999999\r\n",
                413,
            ),
            (
                "POST",
                "/api/v1/clients/1/kick",
                "Origin: http://evil.example\r\n",
                403,
            ),
            ("GET", "/healthz", "", 200),
            ("GET", "/readyz", "Origin: http://evil.example\r\n", 200),
        ] {
            let answer = ask(http, method, path, headers);
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
            assert!(
                answer.head.contains("cache-control: no-store"),
                "{}",
                answer.head
            );
            if status >= 400 {
                assert!(answer.json()["error"].is_string(), "{}", answer.body);
            }
        }
        assert!(
            ask(http, "POST", "/metrics", "")
                .head
                .contains("allow: get, head")
        );
        let head = ask(http, "HEAD", "/metrics", "");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert!(
            head.head
                .contains("content-type: text/plain; version=0.0.4")
        );
        let alias = "GET /metrics HTTP/1.1\r\nHost: evil.example:8935\r\nConnection: close\r\n\r\n";
        assert_eq!(send(http, alias).status, 403, "DNS rebinding");
        let long = format!("X: {}\r\n", "x".repeat(2 * limits::HTTP_HEAD_BYTES));
        assert_eq!(
            send(http, &format!("GET /metrics HTTP/1.1\r\n{long}\r\n")).status,
            431
        );
    });
}

#[test]
fn a_token_is_needed_beyond_this_machine_and_asked_for() {
    let config = |at: &str, token: &str| Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        http: HttpListen::At(at.parse().unwrap()),
        http_token: Token::new(token).unwrap(),
        ..Config::default()
    };
    let refused = Server::builder().config(config("0.0.0.0:0", "")).start();
    assert!(
        matches!(refused.err(), Some(StartError::Config(error)) if error.to_string().contains("http_token"))
    );
    let server = Server::builder()
        .config(config("0.0.0.0:0", TOKEN))
        .start()
        .expect("free ports");
    let port = server.http_addr().unwrap().port();
    let http = SocketAddr::from(([127, 0, 0, 1], port));
    for headers in [
        "",
        "Authorization: Bearer 0123456789abcdeX\r\n",
        "Authorization: Basic 0123456789abcdef\r\n",
    ] {
        let answer = ask(http, "GET", "/metrics", headers);
        assert_eq!(answer.status, 401, "{headers}");
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{}",
            answer.head
        );
        assert_eq!(
            ask(http, "GET", "/nothing", headers).status,
            401,
            "not even what there is"
        );
        assert_eq!(ask(http, "GET", "/healthz", headers).status, 200);
    }
    let shown = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(ask(http, "GET", "/metrics", &shown).status, 200);
    assert_eq!(ask(http, "GET", "/nothing", &shown).status, 404);
    let mut other = config("0.0.0.0:0", "another-token-of-16");
    other.listen = vec![([127, 0, 0, 1], 0).into()];
    server.reload(other).expect("it is valid");
    until("the new token", || {
        ask(http, "GET", "/metrics", &shown).status == 401
    });
    assert!(
        server.reload(config("127.0.0.1:0", "")).is_err(),
        "the port stays open to all without a restart"
    );
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_no_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .http(address)
        .start();
    assert!(matches!(refused.err(), Some(StartError::Listen { address: at, .. }) if at == address));
}

#[test]
fn crowds_that_ask_nothing_hold_up_nobody_for_long() {
    everywhere(|_, rtmp, http| {
        let idle: Vec<_> = (0..limits::HTTP_CONNECTIONS - 1)
            .map(|_| TcpStream::connect(http).unwrap())
            .collect();
        assert_eq!(get(http, "/healthz").status, 200, "there is one seat left");
        let mut publisher = publish(rtmp, "one");
        let mut player = Client::player(rtmp, "one");
        publisher.send(Video, 5_000, &picture(50, 500));
        player.until("media flows", |player| {
            player.media.iter().any(|(_, at, _)| at.0 >= 5_000)
        });
        drop(idle);
        assert_eq!(get(http, "/healthz").status, 200);
    });
}

#[test]
fn who_drips_a_head_is_cut_off() {
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .http(([127, 0, 0, 1], 0).into())
        .shards(1)
        .start()
        .expect("free ports");
    let http = server.http_addr().unwrap();
    let mut drips = TcpStream::connect(http).unwrap();
    let begin = Instant::now();
    drips.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    drips
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let most = limits::HTTP_HEAD_TIME * 4;
    loop {
        let read = drips.read(&mut [0; 64]);
        let over = match &read {
            Ok(0) => true,
            Ok(_) => panic!("it is told something before it has asked"),
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        };
        if over || drips.write_all(b"x").is_err() {
            break;
        }
        assert!(begin.elapsed() < most, "it holds its seat");
    }
    assert!(begin.elapsed() > limits::HTTP_HEAD_TIME / 2);
    assert_eq!(get(http, "/healthz").status, 200);
    server.stop().expect("a clean stop");
}

#[test]
fn a_program_does_what_an_operator_may() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = seen.clone();
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .shards(2)
        .on_event(move |event| notes.lock().unwrap().push(event.clone()))
        .start()
        .expect("free ports");
    let rtmp = server.local_addrs()[0];
    let mut publisher = publish(rtmp, "one");
    let mut player = Client::player(rtmp, "one");
    let mut other = Client::player(rtmp, "one");
    let party = |is: fn(&millstream::Event) -> bool| {
        let seen = seen.lock().unwrap();
        seen.iter().find(|event| is(event)).unwrap().party().clone()
    };
    let first = party(|event| matches!(event, millstream::Event::PlayStart(_)));
    let operator = server.operator();
    operator.kick(first.connection);
    player.until("the end", |player| player.closed);
    operator.end_stream(first.stream);
    publisher.until("the end", |publisher| publisher.closed);
    other.until("the word", |other| {
        other.status("NetStream.Play.UnpublishNotify")
    });
    assert!(!other.closed);
    server.stop().expect("a clean stop");
}

#[test]
fn who_drains_is_not_ready() {
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .http(([127, 0, 0, 1], 0).into())
        .drain(Duration::from_secs(20))
        .shards(2)
        .start()
        .expect("free ports");
    let http = server.http_addr().unwrap();
    assert_eq!(get(http, "/readyz").status, 200);
    // One who reads nothing keeps the server draining until it lets go: what it was told waits for its FIN.
    let _lingers = publish(server.local_addrs()[0], "one");
    server.stop_handle().stop();
    let begin = Instant::now();
    let mut unready = false;
    while !unready && begin.elapsed() < Duration::from_secs(2) {
        let Ok(mut socket) = TcpStream::connect(http) else {
            break;
        };
        let mut text = String::new();
        let _ = socket.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let _ = socket.read_to_string(&mut text);
        unready = text.starts_with("HTTP/1.0 503");
    }
    assert!(unready, "a balancer never saw it");
}
