//! What becomes of a backend's response (§8.1, §8.2.2), and of one that is none.

use crate::case::{each, goes_on};
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup, eventually};

/// What a client gets of `method /case` when the backend answers `octets` and closes.
fn answered(method: &str, octets: &'static str) -> Got {
    let backend = Backend::start("a", move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/after" {
                conn.send(crate::support::backend::ok("a"));
            } else {
                conn.send(octets);
                return;
            }
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.ask(&request(method, "/case"));
    let got = peer.answer(stream);
    goes_on(&mut peer);
    got
}

#[test]
fn fields_of_the_hop_before_are_left_out() {
    let got = answered(
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nServer: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi",
    );
    // Names in lower case and no field of a connection: the reader sees to that (§8.2, §8.2.2).
    assert_eq!((got.status(), got.text().as_str(), got.field("server")), (200, "hi", Some("b")));
    assert_eq!((got.field("x-hop"), got.field("content-length")), (None, Some("2")));
    let cookies: Vec<&str> =
        got.head.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2"], "RFC 9110 §5.3: these are never joined");
}

#[test]
fn bodies_come_whole_whatever_framed_them() {
    let cases = [
        ("RFC 9112 §6.2", "a length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Some("5")),
        (
            "RFC 9112 §7.1",
            "chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            None,
        ),
        ("RFC 9112 §6.3", "the end of the connection", "HTTP/1.1 200 OK\r\n\r\nhello", None),
        ("RFC 9112 §6.3", "the same in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", None),
        (
            "RFC 9112 §6.3",
            "chunks beside a length",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            None,
        ),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, octets, length)| {
            let got = answered("GET", octets);
            assert_eq!((got.status(), got.text().as_str(), got.ended), (200, "hello", true), "{got:?}");
            assert_eq!(got.field("content-length"), *length);
        },
    );
    let empty = answered("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((empty.ended, empty.body.len(), empty.field("content-length")), (true, 0, Some("0")));
}

#[test]
fn some_responses_have_no_body() {
    let cases = [
        (
            "RFC 9110 §9.3.2",
            "to HEAD",
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            200,
            Some("5"),
        ),
        (
            "RFC 9110 §9.3.2",
            "to HEAD, chunked",
            "HEAD",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            200,
            None,
        ),
        ("RFC 9110 §15.3.5", "204", "GET", "HTTP/1.1 204 None\r\n\r\n", 204, None),
        (
            "RFC 9110 §8.6",
            "204 with a length",
            "GET",
            "HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\n",
            204,
            None,
        ),
        ("RFC 9110 §15.4.5", "304", "GET", "HTTP/1.1 304 Same\r\netag: \"x\"\r\n\r\n", 304, None),
        (
            "RFC 9110 §8.6",
            "304 with the length it would have",
            "GET",
            "HTTP/1.1 304 Same\r\ncontent-length: 5\r\n\r\n",
            304,
            Some("5"),
        ),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, method, octets, status, length)| {
            let got = answered(method, octets);
            assert_eq!((got.status(), got.ended, got.body.len()), (*status, true, 0), "{got:?}");
            assert_eq!(got.field("content-length"), *length);
        },
    );
}

/// §8.1.1: a response that broke off is never one that has ended.
#[test]
fn a_response_that_breaks_off_is_reset() {
    let cases = [
        ("RFC 9112 §8", "shorter than its length", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
        (
            "RFC 9112 §8",
            "no last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
        ("RFC 9112 §8", "within a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello"),
        (
            "RFC 9112 §7.1",
            "a size that is none",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        ),
        (
            "RFC 9112 §7.1",
            "a chunk without its CRLF",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n",
        ),
        (
            "RFC 9112 §7.1.2",
            "within its trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: ",
        ),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, octets)| {
            let got = answered("GET", octets);
            assert_eq!((got.status(), got.ended, got.reset), (200, false, Some(INTERNAL_ERROR)), "{got:?}");
            assert!(b"hello".starts_with(&got.body[..]), "{got:?}");
        },
    );
}

#[test]
fn what_is_no_response_is_502() {
    let cases = [
        ("RFC 9112 §4", "nothing", ""),
        ("RFC 9112 §4", "no status", "HTTP/1.1 OK\r\n\r\n"),
        ("RFC 9112 §4", "another protocol", "SSH-2.0-x\r\n\r\n"),
        ("RFC 9112 §4", "half a head", "HTTP/1.1 200 OK\r\ncontent-"),
        (
            "RFC 9112 §6.3",
            "lengths that differ",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        ),
        ("RFC 9112 §6.3", "a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nab"),
        (
            "RFC 9110 §15.2.2",
            "101 that nobody asked for",
            "HTTP/1.1 101 Sure\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
        ("RFC 9112 §5.1", "a space in a name", "HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9110 §5.5", "NUL in a value", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, octets)| {
            let got = answered("GET", octets);
            assert_eq!((got.status(), got.ended), (502, true), "{got:?}");
            assert!(got.text().contains("502"), "{got:?}");
        },
    );
}

/// §8.1, RFC 9110 §6.5: also those that were not announced; none that must come first.
#[test]
fn trailers_come_behind_the_body() {
    let got = answered(
        "GET",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\
         Content-Length: 9\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n",
    );
    let trailers = [("x-sum", "1"), ("x-more", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!((got.text().as_str(), got.ended), ("hi", true));
    assert_eq!(got.trailers.as_deref(), Some(&trailers[..]), "RFC 9110 §6.5.1");
    assert_eq!(got.field("trailer"), Some("x-sum"));
}

/// RFC 9110 §15.2, RFC 8297: interim responses come before the final one, but 100 and 101 which belong to the hop.
#[test]
fn interim_responses_are_passed_on() {
    let got = answered(
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: close\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    let statuses: Vec<&str> = got.interim.iter().map(|fields| fields[0].1.as_str()).collect();
    assert_eq!(statuses, ["103", "102"]);
    assert_eq!(got.interim[0][1], ("link".to_owned(), "</a.css>".to_owned()));
    assert_eq!((got.status(), got.text().as_str()), (200, "hi"));
}

/// §8.1: a response may end before its request; the rest of that is not wanted.
#[test]
fn an_early_response_comes_whole() {
    let backend = Backend::start("a", |conn| {
        while let Some(head) = conn.head() {
            if head.target() == "/after" {
                conn.send(crate::support::backend::ok("a"));
            } else {
                conn.send("HTTP/1.1 413 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
                return;
            }
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &request("POST", "/case"));
    peer.send(data(stream, 0, "begun"));
    peer.until("it is answered", |peer| peer.on(stream).ended);
    assert_eq!((peer.on(stream).status(), peer.on(stream).text().as_str()), (413, "no"));
    peer.send(data(stream, END_STREAM, "late"));
    goes_on(&mut peer);
}

/// Errors of the proxy's own, in HTTP/2 as in HTTP/1: small, with a right length, and no field of a connection (§8.2.2).
#[test]
fn errors_of_the_proxy_are_well_formed() {
    let backend = Backend::killed("a");
    let proxy = Setup::of(&[&backend]).routes("[[route]]\npath = \"/known\"\npool = \"app\"").start();
    let mut peer = Peer::open(proxy.address);
    let cases: [(&str, Vec<(&str, &str)>, u16); 5] = [
        ("RFC 9110 §15.5.5", get("/unknown"), 404),
        ("RFC 9110 §15.6.4", get("/known"), 503),
        ("RFC 9110 §15.5.1", with(get("/known"), &[("host", "other")]), 400),
        ("RFC 9110 §15.6.2", vec![(":method", "CONNECT"), (":authority", "h:1")], 501),
        ("RFC 9110 §9.3.2", request("HEAD", "/unknown"), 404),
    ];
    for (rule, fields, status) in cases {
        let stream = peer.ask(&fields);
        let got = peer.answer(stream);
        assert_eq!((got.status(), got.ended), (status, true), "{rule}: {got:?}");
        let is_head = fields[0].1 == "HEAD";
        assert!(
            is_head && got.body.is_empty() || got.text().contains(&status.to_string()),
            "{rule}: {got:?}"
        );
        assert!(is_head || got.field("content-length").is_some(), "{rule}: {got:?}");
        assert!(
            got.field("proxy-status").is_some_and(|status| status.starts_with("homing; error=")),
            "{rule}"
        );
    }
    let stream = peer.ask(&with(get("/unknown"), &[("accept", "application/json")]));
    let json: serde_json::Value = serde_json::from_slice(&peer.answer(stream).body).unwrap();
    assert_eq!(json["status"], 404);
}

/// RFC 9110 §15.6.5.
#[test]
fn a_backend_that_takes_too_long_is_504_or_a_reset() {
    let backend = Backend::start("a", |conn| {
        if conn.request().is_some_and(|request| request.target() == "/body") {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
        }
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "response = \"300ms\"\nidle = \"300ms\"").start();
    let mut peer = Peer::open(proxy.address);
    assert_eq!(peer.get("/head").status(), 504);
    let got = peer.get("/body");
    assert!(got.reset.is_some() && !got.ended && got.text() == "he", "{got:?}");
    eventually("both are given up", || backend.open() == 0);
}

/// §4.3, §6.10: a head that is longer than a frame may be.
#[test]
fn a_long_head_comes_in_several_frames() {
    let (long, longer) = ("v".repeat(16_000), "w".repeat(20_000));
    let answer =
        format!("HTTP/1.1 200 OK\r\nx-long: {long}\r\nx-longer: {longer}\r\ncontent-length: 2\r\n\r\nhi");
    let backend = Backend::start("a", move |conn| {
        conn.request();
        conn.send(&answer);
    });
    let got = Peer::open(Proxy::to(&backend).address).get("/case");
    assert_eq!((got.status(), got.text().as_str()), (200, "hi"));
    assert_eq!((got.field("x-long"), got.field("x-longer")), (Some(&long[..]), Some(&longer[..])));
}

/// RFC 7541 §4.2: whatever size the client's table has, and changes to.
#[test]
fn heads_are_understood_whatever_the_table() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            let path = request.target();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nx-same: always the same\r\nx-path: {path}\r\ncontent-length: 1\r\n\r\na"
            ));
        }
    });
    let proxy = Proxy::to(&backend);
    for sizes in [[4096, 4096], [0, 4096], [4096, 0], [100, 50], [70_000, 200]] {
        let mut peer = Peer::open_with(proxy.address, &[(1, sizes[0])]);
        for (n, size) in sizes.into_iter().cycle().take(12).enumerate() {
            let path = format!("/{n}");
            let got = peer.get(&path);
            assert_eq!(
                (got.field("x-path"), got.field("x-same")),
                (Some(&path[..]), Some("always the same"))
            );
            // What the client never says is not used: this decoder takes 4096.
            peer.send(settings(&[(1, size)]));
        }
    }
}
