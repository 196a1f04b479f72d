//! What goes through TLS: requests of any size, WebSockets, and what backends and cookies are told of it.

use homing::config::Wanted;
use homing::server::Stop;

use crate::support::authority::Authority;
use crate::support::raw_http2::{END_STREAM, End, NO_ERROR, Peer, data, request};
use crate::support::secure::{Hello, Tls};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};
use crate::{secure, showing};

#[track_caller]
fn open(hello: &Hello, proxy: &Proxy) -> Peer<Tls> {
    let mut peer = Peer::over(hello.shake(proxy.address, "homing.test").unwrap());
    peer.begin(&[]);
    peer
}

#[test]
fn backends_hear_that_there_was_tls() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    for (top, proto) in [("", "https"), ("trusted_proxies = [\"127.0.0.0/8\"]", "gopher")] {
        let proxy = Setup::of(&[&backend]).top(top).listener(&showing(&[&issued])).start();
        let told = || backend.requests().last().unwrap().field("x-forwarded-proto").map(str::to_owned);
        Hello::plain().connect(proxy.address).get("/", &[]);
        assert_eq!(told().as_deref(), Some("https"));
        Hello::plain().connect(proxy.address).get("/", &["X-Forwarded-Proto: gopher"]);
        assert_eq!(told().as_deref(), Some(proto));
        assert_eq!(open(&Hello::http2(), &proxy).get("/").status(), 200);
        assert_eq!(told().as_deref(), Some("https"));
    }
}

/// RFC 6265 §4.1.2.5: a cookie that was issued through TLS goes through nothing else.
#[test]
fn a_sealed_cookie_is_secure_on_tls_only() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    let plain = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let proxy = Setup::of(&[&backend])
        .listener(&(showing(&[&issued]) + plain))
        .table("sticky", "mode = \"cookie\"")
        .table("sticky.cookie", "name = \"home\"\nsecret_env = \"CARGO_PKG_DESCRIPTION\"")
        .start();
    let is_secure =
        |line: Option<&str>| line.expect("a cookie").split("; ").any(|attribute| attribute == "Secure");
    assert!(is_secure(Hello::plain().connect(proxy.address).get("/", &[]).field("set-cookie")));
    assert!(is_secure(open(&Hello::http2(), &proxy).get("/").field("set-cookie")));
    let plain = proxy.server().addresses()[1];
    assert!(!is_secure(crate::support::Client::connect(plain).get("/", &[]).field("set-cookie")));
    assert!(!is_secure(Peer::open(plain).get("/").field("set-cookie")));
}

/// Larger than any record or window, in both directions, over both versions of HTTP.
#[test]
fn large_bodies_go_through_whole() {
    const LARGE: usize = 3 << 20;
    let body: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len()));
            conn.send(&request.body);
        }
    });
    let authority = Authority::new("test");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    let mut client = Hello::plain().connect(proxy.address);
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n")).send(&body);
    assert!(client.response().body == body);
    let mut peer = open(&Hello::http2(), &proxy);
    let stream = peer.start(0, &request("POST", "/"));
    // As much as the window has; the rest of the test is about what comes back.
    let part = &body[..60_000];
    for chunk in part.chunks(16_000) {
        peer.send(data(stream, 0, chunk));
    }
    assert!(peer.send(data(stream, END_STREAM, "")).answer(stream).body == part);
}

#[test]
fn websockets_go_through_tls() {
    let events = Events::default();
    let backend = echo("a", &events);
    let authority = Authority::new("test");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    let mut tunnel = Tunnel::open(Hello::plain().connect(proxy.address), "/");
    assert!(tunnel.hear().starts_with("a "));
    let long = "x".repeat(200_000);
    for text in ["hello", "", &long] {
        assert_eq!(tunnel.say(text).hear(), text);
    }
    assert_eq!(backend.request().field("x-forwarded-proto"), Some("https"));
    drop(tunnel);
    eventually("the backend's side is closed", || backend.open() == 0);
}

/// RFC 6455 §7.4.1, RFC 8446 §6.1: a Close, and then an end that nobody can have forged.
#[test]
fn tunnels_are_closed_cleanly() {
    let events = Events::default();
    let backends = ["a", "b"].map(|name| echo(name, &events));
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let proxy = Setup::of(&backends.each_ref())
        .listener(&showing(&[&issued]))
        .sticky("\"query:room\"")
        .table("drain", "timeout = \"300ms\"\nspread = \"100ms\"")
        .server("workers = 1\nshutdown_timeout = \"2s\"")
        .start();
    let mut tunnel = Tunnel::open(Hello::plain().connect(proxy.address), "/?room=1");
    let home = tunnel.hear()[..1].to_owned();
    proxy.control().set_state("app", &home, Wanted::Drain, None).unwrap();
    assert_eq!(tunnel.close_code(), Some(1012));
    let reader = &tunnel.client.reader;
    assert!(reader.ended && reader.failed.is_none(), "closed without a word: {:?}", reader.failed);
    let mut tunnel = Tunnel::open(Hello::plain().connect(proxy.address), "/?room=1");
    assert_ne!(tunnel.hear()[..1], home);
    proxy.server().stop(Stop::Graceful);
    assert_eq!(tunnel.close_code(), Some(1001));
    assert!(tunnel.client.reader.failed.is_none(), "{:?}", tunnel.client.reader.failed);
}

/// RFC 8446 §6.1: connections end with a word, whoever ends them, so that nothing that was cut off looks whole.
#[test]
fn connections_end_with_a_word() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::start("a", |conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.0 200 OK\r\n\r\nto the end");
        }
    });
    let proxy =
        Setup::of(&[&backend]).listener(&showing(&[&issued])).limits("keep_alive = \"300ms\"").start();
    // A body that only the end of the connection ends.
    let mut client = Hello::plain().connect(proxy.address);
    let response = client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n").response();
    assert_eq!(response.text(), "to the end");
    assert!(client.reader.failed.is_none(), "{:?}", client.reader.failed);
    // An error after which nothing may follow, and a connection that idles.
    let mut client = Hello::plain().connect(proxy.address);
    assert_eq!(client.send("GET / HTTP/1.1\r\n\r\n").response().status, 400);
    assert!(client.is_closed() && client.reader.failed.is_none(), "{:?}", client.reader.failed);
    let mut peer = open(&Hello::http2(), &proxy);
    assert_eq!(peer.get("/").status(), 200);
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
    assert!(peer.reader.failed.is_none(), "{:?}", peer.reader.failed);
}

/// A client that leaves within a response, or cuts the connection off, is heard of at the backend.
#[test]
fn a_client_that_leaves_reaches_the_backend() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst");
        conn.until_closed();
    });
    let authority = Authority::new("test");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    let mut client = Hello::plain().connect(proxy.address);
    client.send(crate::support::get("/", &[])).head();
    drop(client);
    eventually("it is given up", || backend.open() == 0 && proxy.status("a").in_flight == 0);
}
