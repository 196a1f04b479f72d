//! How streams and connections end (§5.4, §6.8): by the client, by the proxy that stops, by idling.

use homing::server::Stop;

use crate::case::goes_on;
use crate::support::raw_http2::*;
use crate::support::{Backend, Latch, Proxy, Setup, eventually};

/// Answers `/slow` when it is told to, `/body` never to its end, and others with its name.
fn slow() -> Backend {
    Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            match request.target() {
                "/slow" => conn.next.wait(),
                "/body" => {
                    conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
                    return conn.until_closed();
                }
                "/held" => return conn.until_closed(),
                _ => {}
            }
            conn.send(crate::support::backend::ok("a"));
        }
    })
}

/// §5.4.2: what a client no longer wants is given up at the backend; the connection goes on.
#[test]
fn a_reset_reaches_the_backend() {
    for path in ["/held", "/body"] {
        let backend = slow();
        let proxy = Proxy::to(&backend);
        let mut peer = Peer::open(proxy.address);
        let stream = peer.ask(&get(path));
        if path == "/body" {
            peer.until("its body begins", |peer| peer.on(stream).text() == "hello");
        }
        backend.request();
        peer.send(reset(stream, CANCEL));
        eventually("the backend's connection is closed", || backend.open() == 0);
        eventually("nothing is in flight", || proxy.status("a").in_flight == 0);
        goes_on(&mut peer);
    }
}

/// The same within a request body: half a request is never a whole one.
#[test]
fn a_reset_within_a_request_reaches_the_backend() {
    let begun = Latch::new();
    let has_begun = begun.clone();
    let backend = Backend::start("a", move |conn| {
        if let Some(mut request) = conn.head() {
            has_begun.open();
            conn.body(&mut request);
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &request("POST", "/begun"));
    peer.send(data(stream, 0, "first"));
    begun.wait();
    peer.send(reset(stream, CANCEL));
    eventually("the backend's connection is closed", || backend.open() == 0);
    let garbage = backend.garbage();
    assert!(garbage.len() == 1 && garbage[0].contains("/begun"), "{garbage:?}");
    peer.settle();
    assert!(peer.goaways.is_empty());
}

/// §5.4.1: a connection that is gone takes all of its streams along.
#[test]
fn a_connection_that_ends_reaches_every_backend_connection() {
    let backend = slow();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    for path in ["/held", "/body", "/held"] {
        peer.ask(&get(path));
    }
    eventually("all are there", || backend.open() == 3);
    drop(peer);
    eventually("all are given up", || backend.open() == 0 && proxy.status("a").in_flight == 0);
}

/// §6.8: who stops says so, finishes what was begun, and takes nothing new.
#[test]
fn a_proxy_that_stops_finishes_what_was_begun() {
    let backend = slow();
    let mut proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let (slow, mut idle) = (peer.ask(&get("/slow")), Peer::open(proxy.address));
    assert_eq!(idle.get("/").status(), 200);
    eventually("it is under way", || backend.requests().len() == 2);
    proxy.server().stop(Stop::Graceful);
    assert_eq!(idle.end(), End::GoAway(NO_ERROR), "an idle connection ends at once");
    peer.until("it says that it stops", |peer| peer.goaways.last().is_some_and(|(_, last)| *last == slow));
    // Whatever is on streams that came too late is not looked at, but for the table of fields.
    let late = peer.ask(&get("/late"));
    let upload = peer.start(0, &request("POST", "/late"));
    peer.send(
        [data(upload, 0, "x"), window_update(upload, 1), headers(upload, END_STREAM, &[("x-t", "1")])]
            .concat(),
    );
    peer.send([headers(upload + 2, END_STREAM, &[]), reset(late, CANCEL)].concat());
    peer.settle();
    backend.next.open();
    assert_eq!(peer.answer(slow).text(), "a");
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
    let untouched = |stream| peer.on(stream).head.is_empty() && peer.on(stream).reset.is_none();
    assert!([late, upload, upload + 2].into_iter().all(untouched) && backend.requests().len() == 2);
    assert!(peer.goaways.iter().skip(1).all(|(_, last)| *last == slow), "{:?}", peer.goaways);
    proxy.server.take().unwrap().wait();
}

/// A client that does not even answer the proxy's PING, and does not leave, holds nothing up.
#[test]
fn a_silent_client_does_not_hold_up_a_stop() {
    let backend = slow();
    let mut proxy = Setup::of(&[&backend]).server("workers = 1\nshutdown_timeout = \"1h\"").start();
    let mut peer = Peer::open(proxy.address);
    assert_eq!(peer.get("/").status(), 200);
    proxy.server().stop(Stop::Graceful);
    proxy.server.take().unwrap().wait();
    // It was told: only then was it left.
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

/// RFC 9110 §7.6 has no limit for it, but there must be one: between requests a connection may idle for so long, and
/// frames that ask for nothing do not keep it.
#[test]
fn an_idle_connection_is_closed_in_time_and_not_before() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("header_timeout = \"100ms\"\nkeep_alive = \"1500ms\"").start();
    let mut peer = Peer::open(proxy.address);
    assert_eq!(peer.get("/1").status(), 200);
    // Longer than a first request may take to come.
    std::thread::sleep(std::time::Duration::from_millis(700));
    peer.settle();
    assert!(peer.goaways.is_empty(), "it was served before, so it may idle");
    assert_eq!(peer.get("/2").status(), 200);
    while peer.goaways.is_empty() {
        if !peer.try_send(frame(PING, 0, 0, [0; 8])) || !peer.hears(&[0; 8]) {
            break;
        }
        peer.pongs.clear();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

/// A connection with a request under way does not idle.
#[test]
fn a_busy_connection_does_not_idle() {
    let backend = slow();
    let limits = "header_timeout = \"100ms\"\nkeep_alive = \"100ms\"";
    let proxy = Setup::of(&[&backend]).limits(limits).start();
    let mut peer = Peer::open(proxy.address);
    let stream = peer.ask(&get("/slow"));
    std::thread::sleep(std::time::Duration::from_millis(900));
    peer.settle();
    backend.next.open();
    assert_eq!(peer.answer(stream).status(), 200);
    assert_eq!(peer.end(), End::GoAway(NO_ERROR), "but then it does");
}

/// §6.8: what was begun is finished also where only the client's pace holds it up, as long as it takes something.
#[test]
fn a_slow_reader_gets_all_of_its_response() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.send(crate::support::backend::ok(&"x".repeat(5000)));
        }
    });
    let mut proxy = Proxy::to(&backend);
    let mut peer = Peer::open_with(proxy.address, &[(4, 1000)]);
    peer.reading = Reading::Not;
    let stream = peer.ask(&get("/"));
    peer.until("its window is full", |peer| peer.on(stream).body.len() == 1000);
    eventually("the backend has done its part", || proxy.status("a").in_flight == 0);
    proxy.server().stop(Stop::Graceful);
    // Longer in all than a client has that takes nothing.
    for round in 1..=6 {
        std::thread::sleep(std::time::Duration::from_millis(700));
        peer.grant(stream, 500);
        peer.until("more comes", |peer| peer.on(stream).body.len() == 1000 + round * 500);
    }
    peer.grant(stream, 1 << 20);
    assert_eq!(peer.answer(stream).body.len(), 5000);
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
    proxy.server.take().unwrap().wait();
}
