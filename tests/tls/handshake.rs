//! Handshakes: certificates by name, protocols, versions, sessions that are resumed, and what is no handshake.

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::support::authority::{Authority, Issued};
use crate::support::raw_http2::Peer;
use crate::support::secure::Hello;
use crate::support::{Backend, Client, Proxy, Setup};
use crate::{secure, showing};

/// RFC 6066 §3, RFC 9525 §6.3: exact before wildcard before the first; a wildcard is one label.
#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let authority = Authority::new("test");
    let [first, exact, wildcard] =
        [&["first.test"][..], &["a.test", "x.b.test"], &["*.b.test", "*.c.b.test"]]
            .map(|names| authority.issue(names));
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).listener(&showing(&[&first, &exact, &wildcard])).start();
    let cases: [(&str, &Issued); 10] = [
        ("first.test", &first),
        ("a.test", &exact),
        ("A.Test", &exact),
        ("x.b.test", &exact),
        ("y.b.test", &wildcard),
        ("Y.B.TEST", &wildcard),
        ("x.c.b.test", &wildcard),
        ("b.test", &first),
        ("x.y.b.test", &first),
        // No name is sent for an address.
        ("127.0.0.1", &first),
    ];
    for (name, expected) in cases {
        let stream = Hello::plain().shake(proxy.address, name).unwrap();
        assert_eq!(stream.conn.peer_certificates(), Some(&expected.chain()[..]), "{name}");
    }
}

/// RFC 7301 §3.2, RFC 9113 §3.2: the proxy's choice of what the client offers; nothing in common is an alert.
#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    let both = secure(&backend, &issued);
    let only = Setup::of(&[&backend]).listener(&(showing(&[&issued]) + "http2 = false")).start();
    let cases: [(&Proxy, &[&str], Option<Option<&str>>); 9] = [
        (&both, &["h2", "http/1.1"], Some(Some("h2"))),
        (&both, &["http/1.1", "h2"], Some(Some("h2"))),
        (&both, &["h2"], Some(Some("h2"))),
        (&both, &["http/1.1"], Some(Some("http/1.1"))),
        (&both, &[], Some(None)),
        (&both, &["h3"], None),
        (&only, &["h2", "http/1.1"], Some(Some("http/1.1"))),
        (&only, &["h2"], None),
        (&only, &[], Some(None)),
    ];
    for (proxy, offered, expected) in cases {
        let hello = Hello::new(rustls::DEFAULT_VERSIONS, offered, None);
        let stream = hello.shake(proxy.address, "homing.test");
        let Some(expected) = expected else {
            assert!(stream.is_err(), "{offered:?}");
            continue;
        };
        let stream = stream.unwrap();
        assert_eq!(stream.conn.alpn_protocol(), expected.map(str::as_bytes), "{offered:?}");
        if expected == Some("h2") {
            let mut peer = Peer::over(stream);
            peer.begin(&[]);
            assert_eq!(peer.get("/").text(), "a", "{offered:?}");
        } else {
            assert_eq!(hello.connect(proxy.address).get("/", &[]).text(), "a", "{offered:?}");
        }
    }
}

/// RFC 8446, RFC 5246; older ones are not spoken (RFC 8996).
#[test]
fn two_versions_are_spoken() {
    let authority = Authority::new("test");
    let backend = Backend::named("a");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    for version in [&TLS12, &TLS13] {
        let mut client = Hello::new(&[version], &[], None).connect(proxy.address);
        assert_eq!(client.get("/", &[]).text(), "a");
        assert_eq!(client.reader.source.conn.protocol_version(), Some(version.version));
    }
    // A hello for TLS 1.1 with one cipher suite of that time.
    let hello = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let answer = Client::connect(proxy.address).send(hello).rest();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

/// RFC 8446 §2.2, RFC 5077: in both versions, also over a change of the configuration, also over HTTP/2.
#[test]
fn sessions_are_resumed() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    let setup = Setup::of(&[&backend]).listener(&showing(&[&issued]));
    let proxy = setup.start();
    for version in [&TLS12, &TLS13] {
        let hello = Hello::new(&[version], &[], None);
        let kind = || {
            let mut client = hello.connect(proxy.address);
            assert_eq!(client.get("/", &[]).status, 200);
            client.reader.source.conn.handshake_kind()
        };
        assert_eq!(kind(), Some(HandshakeKind::Full), "{version:?}");
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
        proxy.apply(&setup.clone().limits("keep_alive = \"10s\""));
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

/// RFC 9110 §15.5.1: who speaks plain HTTP is told so in words that it understands.
#[test]
fn plain_http_is_told_that_this_is_tls() {
    let authority = Authority::new("test");
    let backend = Backend::named("a");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "G", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0"]
    {
        let mut client = Client::connect(proxy.address);
        let response = client.send(request).response();
        assert_eq!((response.status, response.field("connection")), (400, Some("close")), "{request:?}");
        assert!(response.text().contains("TLS") && response.complete, "{response:?}");
        assert!(client.is_closed());
    }
    assert!(backend.requests().is_empty() && backend.garbage().is_empty());
}

/// A handshake has as long as a request head, wherever it stops.
#[test]
fn a_slow_handshake_is_cut_off() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    let limits = "header_timeout = \"300ms\"\nkeep_alive = \"1h\"";
    let proxy = Setup::of(&[&backend]).listener(&showing(&[&issued])).limits(limits).start();
    for begun in [&[][..], &[22], &[22, 3, 1, 2, 0], &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0]] {
        let mut client = Client::connect(proxy.address);
        assert!(client.send(begun).is_closed(), "{begun:?}");
    }
    // Nor does a connection stay that is open and never asks for anything.
    for hello in [Hello::plain(), Hello::http2()] {
        let mut silent = hello.connect(proxy.address);
        silent.rest();
        assert!(silent.reader.ended);
    }
    assert_eq!(Hello::plain().connect(proxy.address).get("/", &[]).status, 200);
}

/// What is no handshake ends the connection with an alert, and harms nobody.
#[test]
fn nonsense_is_an_alert() {
    let authority = Authority::new("test");
    let backend = Backend::named("a");
    let proxy = secure(&backend, &authority.issue(&["homing.test"]));
    for nonsense in [&[22, 3, 1, 0, 4, 1, 2, 3, 4][..], &[22, 3, 1, 255, 255, 1], &[22; 600]] {
        let answer = Client::connect(proxy.address).send(nonsense).rest();
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    assert_eq!(Hello::plain().connect(proxy.address).get("/", &[]).status, 200);
}

/// Those who connect and say nothing, or stop within their handshake, shut nobody out, however many they are.
#[test]
fn handshakes_that_stand_still_hold_up_no_others() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let backend = Backend::named("a");
    let limits = "header_timeout = \"1h\"";
    let proxy = Setup::of(&[&backend]).listener(&showing(&[&issued])).limits(limits).start();
    for begun in [&[][..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]] {
        // More than the proxy has room for at one time.
        let standing: Vec<Client> = (0..600).map(|_| Client::connect(proxy.address)).collect();
        for mut client in standing.iter().map(|client| client.reader.source.try_clone().unwrap()) {
            std::io::Write::write_all(&mut client, begun).unwrap();
        }
        assert_eq!(Hello::plain().connect(proxy.address).get("/", &[]).status, 200, "{begun:?}");
    }
}
