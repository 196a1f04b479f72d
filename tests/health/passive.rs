//! Failed connects: requests go elsewhere, and without active checks they alone make a backend down.

use std::time::{Duration, Instant};

use crate::support::{Backend, Setup, eventually};

#[test]
fn requests_without_a_binding_go_elsewhere() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let proxy = Setup::of(&[&dead, &b]).start();
    let mut client = proxy.connect();
    for _ in 0..12 {
        let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(client.send(request).response().text(), "b");
    }
    assert!(b.requests().iter().all(|request| request.text() == "body"));
}

#[test]
fn new_keys_are_bound_where_a_connection_was_made() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let proxy = Setup::of(&[&dead, &b]).sticky("\"query:room\"").start();
    for room in 0..20 {
        assert_eq!(proxy.get(&format!("/?room={room}"), &[]).text(), "b");
    }
    assert_eq!((proxy.status("a").sessions, proxy.status("b").sessions), (0, 20));
}

#[test]
fn failed_connects_take_a_backend_down() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let proxy = Setup::of(&[&dead, &b]).table("outlier", "consecutive_failures = 3\neject = \"1h\"").start();
    let failures = || proxy.status("a").failures_total;
    eventually("it is down", || {
        assert_eq!(proxy.get("/", &[]).text(), "b");
        proxy.status("a").health.as_str() == "down"
    });
    assert!((1..=3).contains(&failures()), "connects and probes count together: {}", failures());
    let before = failures();
    for _ in 0..6 {
        assert_eq!(proxy.get("/", &[]).text(), "b");
    }
    assert_eq!(failures(), before, "nobody tries it any more");
}

#[test]
fn a_probe_revives_it() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = Setup::of(&[&a, &b]).table("outlier", "consecutive_failures = 1\neject = \"100ms\"").start();
    a.stop();
    while proxy.status("a").health.as_str() != "down" {
        assert_eq!(proxy.get("/", &[]).text(), "b");
    }
    a.restart();
    proxy.until("a", "up");
    eventually("it is used again", || proxy.get("/", &[]).text() == "a");
}

#[test]
fn errors_of_a_backend_do_not_take_it_down() {
    let a = Backend::answering("a", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let proxy = Setup::of(&[&a]).table("outlier", "consecutive_failures = 1").start();
    for _ in 0..5 {
        assert_eq!(proxy.get("/", &[]).field("retry-after"), None, "it is the backend that says so");
    }
    assert_eq!(proxy.status("a").health.as_str(), "up");
}

#[test]
fn when_nobody_can_be_reached_the_answer_comes_at_once() {
    let (a, b) = (Backend::killed("a"), Backend::killed("b"));
    let proxy = Setup::of(&[&a, &b]).start();
    let begun = Instant::now();
    for _ in 0..12 {
        let response = proxy.get("/", &[]);
        assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
