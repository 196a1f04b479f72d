//! What an ejected backend still gets, who may be ejected at one time, and the way back.

use std::fmt::Write as _;

use http::HeaderMap;

use crate::support::process::Process;
use crate::support::{Backend, Client, Proxy, Setup, eventually};
use crate::{Turned, pair, setup, until_ejected};

const KEY: &str = "\"query:room\"";

fn rooms(proxy: &Proxy, rooms: std::ops::Range<usize>) -> Vec<(String, String)> {
    rooms
        .map(|room| format!("/?room={room}"))
        .map(|room| (room.clone(), proxy.get(&room, &[]).text()))
        .collect()
}

/// Has `a` fail once for a room of its own.
fn eject(proxy: &Proxy, a: &Turned, rooms: &[(String, String)]) {
    let (room, _) = rooms.iter().find(|(_, owner)| *owner == a.backend.name).expect("a room of its own");
    a.turn(503);
    assert_eq!(proxy.get(room, &[]).status, 503);
    until_ejected(proxy, &a.backend.name);
    a.turn(200);
}

#[test]
fn it_keeps_its_sessions_and_takes_nothing_new() {
    let sealed = format!("mode = \"cookie\"\nkey = [{KEY}]");
    for sticky in [format!("mode = \"table\"\nkey = [{KEY}]"), sealed] {
        let is_table = sticky.contains("table");
        let [a, b] = pair();
        let proxy = setup(&[&a.backend, &b.backend], 1).table("sticky", &sticky).start();
        let visit = |room: usize, cookie: &str| proxy.get(&format!("/?room={room}"), &[cookie]);
        let cookie = |room: usize| {
            let first = visit(room, "X: y");
            let set = first.field("set-cookie").unwrap_or_default().split(';').next().unwrap().to_owned();
            (room, first.text(), format!("Cookie: {set}"))
        };
        let bound: Vec<_> = (0..20).map(cookie).collect();
        let (room, _, own) = bound.iter().find(|(_, owner, _)| owner == "a").unwrap();
        a.turn(503);
        assert_eq!(visit(*room, own).status, 503);
        until_ejected(&proxy, "a");
        a.turn(200);
        for (room, owner, cookie) in &bound {
            assert_eq!(visit(*room, cookie).text(), *owner, "table: {is_table}");
        }
        assert!((100..120).all(|room| visit(room, "X: y").text() == "b"), "table: {is_table}");
        assert!((0..6).all(|_| proxy.get("/", &[]).text() == "b"), "table: {is_table}");
        let status = proxy.status("a");
        assert_eq!((status.health.as_str(), status.outlier), ("up", true), "it is not down");
    }
}

#[test]
fn in_hash_mode_it_keeps_its_keys_all_the_same() {
    let [a, b] = pair();
    let sticky = format!("mode = \"hash\"\nkey = [{KEY}]");
    let proxy = setup(&[&a.backend, &b.backend], 1).table("sticky", &sticky).start();
    let before = rooms(&proxy, 0..20);
    eject(&proxy, &a, &before);
    assert_eq!(rooms(&proxy, 0..20), before);
    assert!((0..6).all(|_| proxy.get("/", &[]).text() == "b"), "what has no key goes elsewhere");
}

#[test]
fn it_is_told_by_status_and_explanation() {
    let [a, b] = pair();
    let proxy = setup(&[&a.backend, &b.backend], 1).sticky(KEY).start();
    let bound = rooms(&proxy, 0..20);
    let told = || serde_json::to_value(proxy.status("a")).unwrap()["outlier"].clone();
    assert_eq!(told(), false);
    eject(&proxy, &a, &bound);
    assert_eq!(told(), true);
    let new = proxy.explain("/?room=new", &HeaderMap::new());
    let why = |name: &str| new.candidates.iter().find(|it| it.name == name).unwrap().why_not.clone();
    assert_eq!((why("a").as_deref(), why("b"), new.backend.as_deref()), (Some("ejected"), None, Some("b")));
    assert!(new.to_string().contains("ejected"), "{new}");
    let (room, _) = bound.iter().find(|(_, owner)| owner == "a").unwrap();
    assert_eq!(proxy.explain(room, &HeaderMap::new()).backend.as_deref(), Some("a"));
}

#[test]
fn it_returns_when_its_time_is_over() {
    let [a, b] = pair();
    let outlier = "consecutive_failures = 2\neject = \"300ms\"";
    let proxy = Setup::of(&[&a.backend, &b.backend]).table("outlier", outlier).start();
    for _ in 0..3 {
        a.turn(503);
        eventually("it is ejected", || {
            proxy.get("/", &[]);
            proxy.status("a").outlier
        });
        a.turn(200);
        eventually("it returns", || !proxy.status("a").outlier);
        let before = a.count();
        assert!(
            (0..4).all(|_| proxy.get("/", &[]).status == 200) && a.count() == before + 2,
            "it takes its turns"
        );
    }
}

#[test]
fn after_its_return_it_may_fail_as_often_as_before() {
    let [a, b] = pair();
    let outlier = "consecutive_failures = 2\neject = \"300ms\"";
    let proxy = Setup::of(&[&a.backend, &b.backend]).table("outlier", outlier).start();
    a.turn(503);
    eventually("it is ejected", || {
        proxy.get("/", &[]);
        proxy.status("a").outlier
    });
    eventually("it returns", || !proxy.status("a").outlier);
    while proxy.get("/", &[]).status != 503 {}
    a.turn(200);
    let before = a.count();
    assert!(
        (0..4).all(|_| proxy.get("/", &[]).status == 200) && a.count() == before + 2,
        "once is not twice"
    );
}

#[test]
fn both_are_in_the_log() {
    let a = Backend::answering("a", "HTTP/1.1 503 So\r\ncontent-length: 0\r\n\r\n");
    let b = Backend::named("b");
    let outlier = "consecutive_failures = 1\neject = \"100ms\"";
    let (process, address) = Process::proxy(&Setup::of(&[&a, &b]).table("outlier", outlier));
    let mut client = Client::connect(address);
    (0..2).for_each(|_| drop(client.get("/", &[])));
    let said = |level: &str, what: &str| {
        let is_it = |line: &String| line.contains(level) && line.contains(what) && line.contains("backend=a");
        eventually(what, || process.lines().iter().any(is_it));
    };
    said("WARN", "ejected: it failed too often in a row");
    said("INFO", "no longer ejected");
}

/// How many of these are ejected after each has failed as often as it takes.
#[track_caller]
fn ejected(backends: usize, percent: u32) -> usize {
    let all: Vec<_> = (0..backends).map(|n| Turned::new(&format!("b{n}"))).collect();
    let refs: Vec<_> = all.iter().map(|one| &one.backend).collect();
    // The last one says that all others were heard of: it is in a pool of its own.
    let sentinel = Turned::new("sentinel");
    let spare = Turned::new("spare");
    let outlier = format!("consecutive_failures = 1\neject = \"1h\"\nmax_ejected_percent = {percent}");
    let mut toml = Setup::of(&refs)
        .routes("[[route]]\npath = \"/sentinel\"\npool = \"other\"\n[[route]]\npool = \"app\"")
        .table("outlier", &outlier)
        .toml();
    toml += "[[pool]]\nname = \"other\"\n[pool.outlier]\nconsecutive_failures = 1\neject = \"1h\"\n";
    for one in [&sentinel.backend, &spare.backend] {
        let _ = write!(toml, "[[pool.backend]]\nname = \"{}\"\naddress = \"{}\"\n", one.name, one.address);
    }
    let proxy = Setup::start_toml(&toml);
    for one in &all {
        one.turn(503);
    }
    (0..6 * backends).for_each(|_| assert_eq!(proxy.get("/", &[]).status, 503));
    sentinel.turn(503);
    (0..2).for_each(|_| drop(proxy.get("/sentinel", &[])));
    until_ejected(&proxy, "sentinel");
    all.iter().filter(|one| proxy.status(&one.backend.name).outlier).count()
}

#[test]
fn no_more_are_ejected_than_their_share() {
    assert_eq!(ejected(4, 50), 2);
    assert_eq!(ejected(3, 50), 1);
    assert_eq!(ejected(3, 10), 1, "one of several may be");
    assert_eq!(ejected(3, 0), 0);
    assert_eq!(ejected(1, 50), 0, "there is no other");
}

#[test]
fn when_all_are_ejected_all_are_asked() {
    let [a, b] = pair();
    let outlier = "consecutive_failures = 1\neject = \"1h\"\nmax_ejected_percent = 100";
    let proxy = Setup::of(&[&a.backend, &b.backend]).table("outlier", outlier).start();
    for one in [&a, &b] {
        one.turn(503);
        eventually("it is ejected", || {
            proxy.get("/", &[]);
            proxy.status(&one.backend.name).outlier
        });
    }
    a.turn(200);
    b.turn(200);
    let before = (a.count(), b.count());
    assert!((0..4).all(|_| proxy.get("/", &[]).status == 200));
    assert_eq!((a.count(), b.count()), (before.0 + 2, before.1 + 2));
}

#[test]
fn a_reload_keeps_it_out_unless_nobody_is_ejected_any_more() {
    let [a, b] = pair();
    let both = [&a.backend, &b.backend];
    let proxy = setup(&both, 1).sticky(KEY).start();
    let bound = rooms(&proxy, 0..20);
    eject(&proxy, &a, &bound);
    proxy.apply(&setup(&both, 7).sticky(KEY));
    assert!((0..4).all(|_| proxy.get("/", &[]).text() == "b"));
    proxy.apply(&setup(&both, 0).sticky(KEY));
    eventually("it returns", || !proxy.status("a").outlier);
    eventually("it is used", || proxy.get("/", &[]).text() == "a");
}
