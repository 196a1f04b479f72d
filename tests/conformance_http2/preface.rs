//! How a connection begins (§3.3, §3.4): by prior knowledge, on a port where HTTP/1.1 is spoken too.

use crate::case::goes_on;
use crate::support::raw_http2::{End, PREFACE, Peer, settings};
use crate::support::{Backend, Client, Proxy, Setup};

/// §3.4: whole, and cut behind every octet.
#[test]
fn the_preface_may_be_cut_anywhere() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let opening = [PREFACE, &settings(&[])].concat();
    for cut in 0..=opening.len() {
        let mut peer = Peer::silent(proxy.address);
        let (first, rest) = opening.split_at(cut);
        peer.send(first);
        std::thread::sleep(std::time::Duration::from_millis(2));
        peer.send(rest);
        goes_on(&mut peer);
    }
}

/// §3.4: the server's part begins with SETTINGS, and those of the client are acknowledged (§6.5.3).
#[test]
fn both_sides_say_their_settings() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("streams = 7\nheader_bytes = \"8KiB\"").start();
    let mut peer = Peer::open(proxy.address);
    peer.until("settings are acknowledged", |peer| peer.acknowledged == 1);
    assert_eq!(peer.settings.get(&3), Some(&7), "MAX_CONCURRENT_STREAMS");
    assert_eq!(peer.settings.get(&6), Some(&8192), "MAX_HEADER_LIST_SIZE");
    assert_eq!(peer.settings.get(&8), Some(&1), "ENABLE_CONNECT_PROTOCOL (RFC 8441 §3)");
    assert_eq!(peer.settings.get(&2).copied().unwrap_or(0), 0, "a server does not enable push (§6.5.2)");
}

/// §3.4: what is no preface is no HTTP/2; it may be HTTP/1.1, and that has a version 2.0 nowhere.
#[test]
fn a_wrong_preface_is_refused() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    for wrong in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\nHost: h\r\n\r\n",
        "PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    ] {
        let mut client = Client::connect(proxy.address);
        let answer = String::from_utf8(client.send(wrong).rest()).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 505 "), "{wrong:?}: {answer}");
        assert!(backend.requests().is_empty() && backend.garbage().is_empty(), "{wrong:?}");
    }
}

/// §3.4: the first frame is SETTINGS.
#[test]
fn something_else_than_settings_first_ends_the_connection() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::silent(proxy.address);
    peer.send([PREFACE, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    assert!(matches!(peer.end(), End::GoAway(_) | End::Silent));
    assert!(backend.requests().is_empty());
}

/// §3.3: both versions share a port, and a request that begins like the preface is HTTP/1.1.
#[test]
fn http_1_is_spoken_on_the_same_port() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(proxy.ask("PUT / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
    assert_eq!(proxy.ask("PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
    let mut client = proxy.connect();
    for octet in b"PRX / HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*octet]);
    }
    assert_eq!(client.response().status, 200);
}

/// Where it is off, a preface is a request for a version that is not spoken.
#[test]
fn a_port_without_http_2_refuses_the_preface() {
    let backend = Backend::named("a");
    let toml = Setup::of(&[&backend]).toml().replace("[[listener]]", "[[listener]]\nhttp2 = false");
    let proxy = Setup::start_toml(&toml);
    let answer = String::from_utf8(proxy.connect().send(PREFACE).rest()).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"),
        "{answer}"
    );
    assert_eq!(proxy.get("/", &[]).status, 200);
}

/// A preface that does not come in time, like any head.
#[test]
fn a_preface_that_does_not_come_ends_the_connection() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("header_timeout = \"300ms\"\nkeep_alive = \"1h\"").start();
    let mut partial = Peer::silent(proxy.address);
    partial.send(&PREFACE[..10]);
    // It might have become HTTP/1.1, and is told in its words.
    assert!(String::from_utf8_lossy(&partial.reader.rest()).starts_with("HTTP/1.1 408 "));
    let mut without_settings = Peer::silent(proxy.address);
    without_settings.send(PREFACE);
    assert!(matches!(without_settings.end(), End::GoAway(_) | End::Silent));
    let mut without_request = Peer::open(proxy.address);
    assert_eq!(without_request.end(), End::GoAway(0));
}
