//! What counts as a failure, and how many in a row it takes.

use crate::support::backend::ok;
use crate::support::{Backend, Conn, Setup, eventually, get};
use crate::{Turned, pair, setup, until_ejected};

const ROOM: &str = "/?room=7";
const KEY: &str = "\"query:room\"";

#[test]
fn so_many_failures_in_a_row_eject_and_no_fewer() {
    for status in [502, 503, 504] {
        let [a, b] = pair();
        let proxy = setup(&[&a.backend, &b.backend], 4).sticky(KEY).start();
        let [own, _] = by_owner(&proxy.get(ROOM, &[]).text(), [&a, &b]);
        for _ in 0..10 {
            own.turn(status);
            (0..3).for_each(|_| assert_eq!(proxy.get(ROOM, &[]).status, status));
            own.turn(200);
            assert_eq!(proxy.get(ROOM, &[]).status, 200, "a good answer ends the row");
        }
        // Whoever is ejected gets no requests without a key.
        let before = own.count();
        assert!((0..4).all(|_| proxy.get("/", &[]).status == 200) && own.count() == before + 2);
        own.turn(status);
        (0..4).for_each(|_| assert_eq!(proxy.get(ROOM, &[]).status, status));
        until_ejected(&proxy, &own.backend.name);
    }
}

fn by_owner<'a>(owner: &str, [a, b]: [&'a Turned; 2]) -> [&'a Turned; 2] {
    if a.backend.name == owner { [a, b] } else { [b, a] }
}

#[test]
fn other_answers_are_good_ones() {
    let [a, b] = pair();
    let proxy = setup(&[&a.backend, &b.backend], 1).sticky(KEY).start();
    let [own, other] = by_owner(&proxy.get(ROOM, &[]).text(), [&a, &b]);
    for status in [200, 204, 302, 400, 404, 429, 500, 501, 505] {
        own.turn(status);
        assert_eq!(proxy.connect().send(get(ROOM, &[])).head().status, status);
    }
    own.turn(200);
    let before = (own.count(), other.count());
    assert!((0..4).all(|_| proxy.get("/", &[]).status == 200));
    assert_eq!((own.count(), other.count()), (before.0 + 2, before.1 + 2), "both take turns");
}

/// A backend `a` that fails by `script`, beside a good one: whether `a` is ejected after `failures`.
#[track_caller]
fn ejects(failures: u32, script: impl Fn(&mut Conn) + Send + Sync + 'static) {
    let (a, b) = (Backend::start("a", script), Backend::named("b"));
    let proxy = setup(&[&a, &b], failures).table("timeouts", "response = \"100ms\"").start();
    eventually("a is ejected", || {
        proxy.get("/", &[]);
        proxy.status("a").outlier
    });
    let before = a.connections();
    assert!((0..6).all(|_| proxy.get("/", &[]).text() == "b") && a.connections() == before);
}

#[test]
fn resets_time_outs_and_nonsense_are_failures() {
    ejects(3, |conn| drop(conn.request()));
    ejects(3, |conn| {
        conn.request();
        conn.reset();
    });
    ejects(2, |conn| {
        conn.request();
        conn.until_closed();
    });
    ejects(3, |conn| {
        conn.request();
        conn.send("nonsense\r\n\r\n");
    });
}

#[test]
fn a_refused_connect_is_a_failure() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let proxy = setup(&[&dead, &b], 1).start();
    assert!((0..2).all(|_| proxy.get("/", &[]).text() == "b"));
    until_ejected(&proxy, "a");
}

#[test]
fn failures_of_all_workers_count_together() {
    let (a, b) = (Backend::start("a", |conn| drop(conn.request())), Backend::named("b"));
    let proxy = setup(&[&a, &b], 40).server("workers = 4").start();
    eventually("a is ejected", || {
        proxy.get("/", &[]);
        proxy.status("a").outlier
    });
    assert!(a.requests().len() < 80, "no worker alone counts as far: {}", a.requests().len());
}

#[test]
fn an_idle_connection_that_closes_says_nothing_of_its_backend() {
    let impatient = |name: &'static str| {
        Backend::start(name, move |conn| {
            if conn.request().is_some() {
                conn.send(ok(name));
                conn.request();
            }
        })
    };
    let (a, b) = (impatient("a"), Turned::new("b"));
    let outlier = "consecutive_failures = 1\nmax_ejected_percent = 100\neject = \"1h\"";
    let proxy = Setup::of(&[&a, &b.backend]).sticky(KEY).table("outlier", outlier).start();
    let room = |backend: &str| {
        (0..100).map(|room| format!("/?room={room}")).find(|it| proxy.get(it, &[]).text() == backend).unwrap()
    };
    let (at_a, at_b) = (room("a"), room("b"));
    for _ in 0..5 {
        let post = format!("POST {at_a} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let answers = [0, 1].map(|_| proxy.ask(&post).status);
        assert!(answers == [502, 200] || answers == [200, 502], "{answers:?}");
    }
    b.turn(503);
    assert_eq!(proxy.get(&at_b, &[]).status, 503);
    until_ejected(&proxy, "b");
    assert!(!proxy.status("a").outlier, "it would have been ejected before");
}

#[test]
fn with_0_nobody_is_ejected() {
    let [a, b] = pair();
    a.turn(503);
    let proxy = setup(&[&a.backend, &b.backend], 0).start();
    (0..40).for_each(|_| drop(proxy.get("/", &[])));
    assert_eq!((a.count(), b.count()), (20, 20));
    assert!(!proxy.status("a").outlier);
}
