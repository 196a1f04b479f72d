//! Bodies are streamed both ways, no faster than they are read.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use crate::support::backend::ok;
use crate::support::{Backend, Events, Proxy, Setup, eventually, get};

/// More than the kernel's buffers and the proxy's hold together.
const MUCH: usize = 64 << 20;

#[test]
fn the_first_octets_of_a_request_arrive_before_the_last_are_sent() {
    let events = Events::default();
    let seen = events.clone();
    let backend = Backend::start("a", move |conn| {
        let mut request = conn.head().unwrap();
        assert_eq!(conn.reader.through(b"first").unwrap(), b"5\r\nfirst");
        seen.note("first");
        conn.reader.buffer.splice(0..0, *b"5\r\nfirst");
        conn.body(&mut request);
        conn.send(ok(&request.text()));
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    eventually("the first octets arrive", || events.all() == ["first"]);
    assert_eq!(client.send("5\r\n last\r\n0\r\n\r\n").response().text(), "first last");
}

#[test]
fn the_first_octets_of_a_response_arrive_before_the_last_are_sent() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        conn.next.wait();
        conn.send(" last");
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    assert_eq!(client.send(get("/", &[])).head().status, 200);
    assert_eq!(client.octets(5), b"first");
    backend.next.open();
    assert_eq!(client.octets(5), b" last");
}

#[test]
fn a_response_may_begin_before_the_request_has_ended() {
    let backend = Backend::start("a", |conn| {
        let mut request = conn.head().unwrap();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
        conn.body(&mut request);
        conn.send("b");
        conn.request();
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nsl");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.octets(1), b"a");
    client.send("ow");
    assert_eq!(client.octets(1), b"b");
    assert_eq!(backend.request().text(), "slow");
}

#[test]
fn a_backend_that_does_not_read_stalls_the_client() {
    let backend = Backend::start("a", |conn| {
        let mut request = conn.head().unwrap();
        conn.next.wait();
        conn.body(&mut request);
        conn.send(ok(&request.body.len().to_string()));
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\n"));
    let accepted = send_until_stalled(&mut client.reader.source);
    assert!(accepted < MUCH / 2, "{accepted} octets were taken that nobody read");
    backend.next.open();
    client.reader.source.set_write_timeout(None).unwrap();
    client.send(vec![b'x'; MUCH - accepted]);
    assert_eq!(client.response().text(), MUCH.to_string());
}

#[test]
fn a_client_that_does_not_read_stalls_the_backend() {
    let events = Events::default();
    let told = events.clone();
    let backend = Backend::start("a", move |conn| {
        conn.request();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
        let sent = send_until_stalled(&mut conn.reader.source);
        told.note(sent.to_string());
        conn.reader.source.set_write_timeout(None).unwrap();
        conn.send(vec![b'x'; MUCH - sent]);
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    eventually("the backend is stalled", || !events.all().is_empty());
    let sent: usize = events.all()[0].parse().unwrap();
    assert!(sent < MUCH / 2, "{sent} octets were taken that nobody read");
    let response = client.response();
    assert!(response.complete && response.body.len() == MUCH);
}

/// Sends until nothing is taken any more; returns how much was, less than all of it.
fn send_until_stalled(socket: &mut std::net::TcpStream) -> usize {
    socket.set_write_timeout(Some(Duration::from_millis(400))).unwrap();
    let block = vec![b'x'; 256 << 10];
    let mut sent = 0;
    while sent + block.len() < MUCH {
        match socket.write(&block) {
            Ok(n) => sent += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "idle = \"200ms\"").start();
    let response = proxy.get("/", &[]);
    assert_eq!((response.text().as_str(), response.complete), ("first", false));
    eventually("the backend's connection is closed", || backend.open() == 0);
}

#[test]
fn a_slow_body_that_moves_is_not_given_up() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(150));
            conn.send("x");
        }
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "idle = \"600ms\"").start();
    assert!(proxy.get("/", &[]).complete);
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
        conn.send(vec![b'x'; MUCH]);
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "idle = \"300ms\"").start();
    let mut client = proxy.connect();
    client.send(get("/", &[])).head();
    eventually("the backend's connection is closed", || backend.connections() == 1 && backend.open() == 0);
}
