//! What a client may take: time for a head and a body, idle time, connections, places among those who wait.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use support::backend::ok;
use support::websocket::{Tunnel, echo};
use support::{Backend, Client, Events, Proxy, Setup, eventually, get};

fn limited(backend: &Backend, limits: &str) -> Proxy {
    Setup::of(&[backend]).limits(limits).start()
}

// === Heads ===

#[test]
fn a_head_that_does_not_come_in_time_is_answered_and_the_connection_closed() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "header_timeout = \"300ms\"");
    let begun = Instant::now();
    let mut client = proxy.connect();
    let response = client.send("GET / HTTP/1.1\r\nHost: h\r\n").response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(client.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(backend.requests().is_empty());
}

#[test]
fn a_head_in_small_pieces_has_no_longer() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "header_timeout = \"400ms\"");
    let mut client = proxy.connect();
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n");
    let mut writer = client.reader.source.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        while writer.write_all(b"X: 1\r\n").is_ok() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let answer = String::from_utf8(client.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") || answer.is_empty(), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    dripping.join().unwrap();
}

/// It was answered, and what comes is the rest of its body, not another head.
#[test]
fn an_upload_that_is_slower_than_its_answer_is_answered_once() {
    let backend = Backend::start("a", |conn| {
        if conn.head().is_some() {
            conn.send(ok("a"));
            conn.until_closed();
        }
    });
    let proxy = limited(&backend, "header_timeout = \"300ms\"\nkeep_alive = \"900ms\"");
    let mut client = proxy.connect();
    let upload = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 38\r\n\r\nx";
    assert_eq!(client.send(upload).response().status, 200);
    eventually("the answer is over", || proxy.status("a").in_flight == 0);
    for octet in ["m", "o", "r", "e"] {
        client.send(octet);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(String::from_utf8(client.rest()).unwrap(), "");
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "header_timeout = \"300ms\"\nkeep_alive = \"1h\"");
    let begun = Instant::now();
    assert!(proxy.connect().is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[test]
fn the_second_head_has_a_limit_too() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "header_timeout = \"300ms\"\nkeep_alive = \"1h\"");
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).status, 200);
    assert_eq!(client.send("GET / HT").response().status, 408);
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_is_closed_in_time_and_not_before() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "header_timeout = \"100ms\"\nkeep_alive = \"800ms\"");
    let mut client = proxy.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/", &[]).status, 200);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(client.get("/", &[]).status, 200);
    let begun = Instant::now();
    assert!(client.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(750), "{:?}", begun.elapsed());
}

#[test]
fn these_limits_are_not_for_requests_and_tunnels_under_way() {
    let events = Events::default();
    let (tunnels, slow) = (
        echo("a", &events),
        Backend::start("b", |conn| {
            conn.request();
            std::thread::sleep(Duration::from_millis(1200));
            conn.send(support::backend::ok("late"));
        }),
    );
    let limits = "header_timeout = \"200ms\"\nkeep_alive = \"200ms\"\nbody_timeout = \"200ms\"";
    let (proxy, other) = (limited(&tunnels, limits), limited(&slow, limits));
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    tunnel.hear();
    assert_eq!(other.get("/", &[]).text(), "late");
    assert_eq!(tunnel.say("still there").hear(), "still there");
}

// === Bodies ===

#[test]
fn a_body_that_does_not_come_in_time_is_answered_and_the_connection_closed() {
    for body in [
        "Content-Length: 10\r\n\r\nfirst",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "Content-Length: 1\r\n\r\n",
    ] {
        let backend = Backend::start("a", |conn| drop(conn.request()));
        let proxy = limited(&backend, "body_timeout = \"300ms\"");
        let begun = Instant::now();
        let mut client = proxy.connect();
        let response = client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}")).response();
        assert_eq!((response.status, response.field("connection")), (408, Some("close")), "{body}");
        assert!(client.is_closed());
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        eventually("the backend's connection is closed", || backend.open() == 0);
    }
}

#[test]
fn a_slow_body_that_moves_has_time() {
    let backend = Backend::named("a");
    let proxy = limited(&backend, "body_timeout = \"700ms\"");
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(200));
        client.send("x");
    }
    assert_eq!(client.response().status, 200);
    assert_eq!(backend.request().text(), "xxxxxxxx");
}

#[test]
fn a_slow_backend_is_not_the_clients_fault() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        std::thread::sleep(Duration::from_secs(1));
        conn.send(support::backend::ok("late"));
    });
    let proxy = limited(&backend, "body_timeout = \"200ms\"");
    assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").text(), "late");
}

// === Connections ===

#[test]
fn a_connection_beyond_the_limit_waits_for_a_place() {
    for workers in [1, 3] {
        let backend = Backend::named("a");
        let setup = Setup::of(&[&backend]).server(&format!("workers = {workers}")).limits("connections = 3");
        let proxy = setup.start();
        let mut served: Vec<Client> = (0..3).map(|_| proxy.connect()).collect();
        for client in &mut served {
            assert_eq!(client.get("/", &[]).status, 200);
        }
        let mut waiting: Vec<Client> = (0..6).map(|_| proxy.connect()).collect();
        for client in &mut waiting {
            client.send(get("/waiting", &["Connection: close"]));
        }
        for _ in 0..40 {
            for client in &mut served {
                assert_eq!(client.get("/", &[]).status, 200);
            }
        }
        let early = backend.requests().iter().filter(|request| request.target() == "/waiting").count();
        assert_eq!(early, 0, "{workers} workers serve more than three connections");
        drop(served);
        for mut client in waiting {
            assert_eq!(client.response().status, 200);
        }
    }
}

#[test]
fn a_tunnel_is_a_connection_too() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = limited(&backend, "connections = 1");
    let tunnel = Tunnel::open(proxy.connect(), "/tunnel");
    let mut waiting = proxy.connect();
    waiting.send(get("/waiting", &[]));
    let mut tunnel = tunnel;
    tunnel.hear();
    for _ in 0..40 {
        assert_eq!(tunnel.say("x").hear(), "x");
    }
    assert_eq!(events.all(), ["a opened /tunnel"]);
    drop(tunnel);
    assert_eq!(waiting.response().status, 200);
}

// === Those who wait ===

#[test]
fn those_who_wait_for_a_verdict_have_bounded_places() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let setup = Setup::of(&[&a, &b]).sticky("\"query:room\"").limits("queue = 0");
    let proxy = setup.table("health", "interval = \"1h\"").start();
    let owner = if proxy.get("/?room=7", &[]).text() == "a" { &a } else { &b };
    owner.stop();
    let response = proxy.get("/?room=7", &[]);
    assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
    assert!(response.text().contains("wait"), "{}", response.text());
}
