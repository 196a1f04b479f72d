//! Every request of a connection goes its own way, by its own key, whatever came before on that connection.

use std::collections::BTreeSet;

use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup};

fn cookie(peer: &mut Peer, value: &str) -> String {
    let cookie = format!("room={value}");
    let stream = peer.ask(&with(get("/"), &[("cookie", &cookie)]));
    peer.answer(stream).text()
}

/// RFC 6265 §5.4, §8.2.3: two rooms on one connection live on two backends, and stay there on others.
#[test]
fn each_request_is_routed_by_its_own_key() {
    let backends = ["a", "b", "c"].map(Backend::named);
    let proxy = Setup::of(&backends.each_ref()).sticky("\"cookie:room\"").start();
    let mut peer = Peer::open(proxy.address);
    let rooms: Vec<String> = (0..12).map(|n| format!("room-{n}")).collect();
    let homes: Vec<String> = rooms.iter().map(|room| cookie(&mut peer, room)).collect();
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3, "{homes:?}");
    let mut another = Peer::open(proxy.address);
    for (room, home) in rooms.iter().zip(&homes).rev() {
        assert_eq!(cookie(&mut peer, room), *home);
        assert_eq!(cookie(&mut another, room), *home);
        assert_eq!(proxy.get("/", &[&format!("Cookie: room={room}")]).text(), *home, "the same over HTTP/1");
    }
}

/// The same where all are under way at one time.
#[test]
fn requests_at_one_time_are_not_mixed_up() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            conn.send(crate::support::backend::ok(request.target()));
        }
    });
    let proxy = Setup::of(&[&backend]).start();
    let mut peer = Peer::open(proxy.address);
    let paths: Vec<String> = (0..90).map(|n| format!("/{n}")).collect();
    let streams: Vec<u32> = paths.iter().map(|path| peer.ask(&get(path))).collect();
    for (stream, path) in streams.into_iter().zip(&paths) {
        assert_eq!(peer.answer(stream).text(), *path);
    }
}

/// Routes go by `:authority` and by Host alike, whatever their case.
#[test]
fn routes_go_by_the_host_of_each_request() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let other = format!("[[pool]]\nname = \"other\"\nbackend = [{{ address = \"{}\" }}]\n", b.address);
    let routes =
        "[[route]]\nhost = \"a.test\"\npool = \"app\"\n[[route]]\nhost = \"*.b.test\"\npool = \"other\"";
    let proxy = Setup::start_toml(&(Setup::of(&[&a]).routes(routes).toml() + &other));
    let mut peer = Peer::open(proxy.address);
    let hosts = [("a.test", "a"), ("x.b.test:99", "b"), ("X.B.Test", "b"), ("A.TEST", "a")];
    for name in [":authority", "host"] {
        for (host, served_by) in hosts {
            let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), (name, host)];
            fields.sort_by_key(|(name, _)| !name.starts_with(':'));
            let stream = peer.ask(&fields);
            assert_eq!(peer.answer(stream).text(), served_by, "{name}: {host}");
        }
    }
    let stream =
        peer.ask(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "c.test")]);
    assert_eq!(peer.answer(stream).status(), 404);
}

/// A sealed cookie is issued over HTTP/2 as over HTTP/1, and opened though it comes as a crumb of its own (§8.2.3).
#[test]
fn a_sealed_cookie_leads_home() {
    let backends = ["a", "b", "c"].map(Backend::named);
    let proxy = Setup::of(&backends.each_ref())
        .table("sticky", "mode = \"cookie\"")
        .table("sticky.cookie", "name = \"home\"\nsecret_env = \"CARGO_PKG_DESCRIPTION\"")
        .start();
    let mut peer = Peer::open(proxy.address);
    for _ in 0..6 {
        let first = peer.get("/");
        let line = first.field("set-cookie").expect("a cookie");
        assert!(!line.contains("Secure"), "there is no TLS: {line}");
        let crumb = line.split(';').next().unwrap().to_owned();
        for _ in 0..4 {
            let stream =
                peer.ask(&with(get("/"), &[("cookie", "a=1"), ("cookie", &crumb), ("cookie", "b=2")]));
            assert_eq!(peer.answer(stream).text(), first.text());
        }
    }
    let sent =
        backends.iter().flat_map(Backend::requests).filter_map(|r| r.field("cookie").map(str::to_owned));
    assert!(sent.collect::<BTreeSet<_>>().iter().eq(["a=1; b=2"]), "backends do not see it");
}

/// A worker's connections to backends are used again, whichever stream they served.
#[test]
fn backend_connections_are_used_again() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    for _ in 0..3 {
        let mut peer = Peer::open(proxy.address);
        assert!((0..5).all(|_| peer.get("/").status() == 200));
    }
    assert_eq!(backend.connections(), 1);
}
