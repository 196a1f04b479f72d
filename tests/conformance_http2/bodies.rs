//! Bodies of requests (§8.1, §8.1.1): one framing to the backend, whatever DATA frames they come in; trailers.

use crate::case::{Case, Outcome::*, case, each, forwarded, goes_on, try_all};
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup, eventually};

fn post(more: &[(&str, &str)]) -> Vec<u8> {
    headers(1, 0, &with(request("POST", "/case"), more))
}

fn sized(length: &str, body: &str) -> Vec<u8> {
    [post(&[("content-length", length)]), data(1, END_STREAM, body)].concat()
}

#[test]
fn a_length_is_kept_to() {
    let malformed = Reset(&[PROTOCOL_ERROR]);
    let alone =
        |length| headers(1, END_STREAM, &with(request("POST", "/case"), &[("content-length", length)]));
    let twice =
        |a, b| [post(&[("content-length", a), ("content-length", b)]), data(1, END_STREAM, "abc")].concat();
    let cases: &[Case] = &[
        case("§8.1.1", "as said", sized("3", "abc"), Answered(200)),
        case("§8.1.1", "no body where one was said", alone("3"), malformed),
        case("§8.1.1", "none said, none sent", alone("0"), Answered(200)),
        case("RFC 9110 §8.6", "not a number", sized("x", "abc"), malformed),
        case("RFC 9110 §8.6", "with a sign", sized("+3", "abc"), malformed),
        case("RFC 9110 §8.6", "negative", sized("-3", "abc"), malformed),
        case("RFC 9110 §8.6", "empty", sized("", "abc"), malformed),
        case("RFC 9110 §8.6", "in hexadecimal", sized("0x3", "abc"), malformed),
        case("RFC 9110 §8.6", "too large to count", sized("18446744073709551619", "abc"), malformed),
        case("RFC 9110 §8.6", "a list", sized("3, 3", "abc"), malformed),
        case("RFC 9112 §6.3", "two that differ", twice("3", "4"), malformed),
        case("CVE-2021-33193", "two that are equal", twice("3", "3"), Answered(400)),
    ];
    try_all(cases);
}

/// §8.1.1: more or fewer octets than were said; the backend never takes what came for a whole request.
#[test]
fn a_body_of_another_length_is_no_whole_request() {
    let smuggled = "abcGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
    let cases = [
        ("§8.1.1", "more", data(1, END_STREAM, "abcd")),
        ("§8.1.1", "more, in two frames", [data(1, 0, "abc"), data(1, END_STREAM, "d")].concat()),
        ("CVE-2021-33193", "more, which looks like a request", data(1, END_STREAM, smuggled)),
        ("§8.1.1", "fewer", data(1, END_STREAM, "ab")),
        ("§8.1.1", "fewer, and an empty frame", [data(1, 0, "ab"), data(1, END_STREAM, "")].concat()),
        ("§8.1.1", "none", data(1, END_STREAM, "")),
        (
            "§8.1.1",
            "fewer, then trailers",
            [data(1, 0, "ab"), headers(1, END_STREAM, &[("x-t", "1")])].concat(),
        ),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, body)| {
            let backend = Backend::named("a");
            let proxy = Proxy::to(&backend);
            let mut peer = Peer::open(proxy.address);
            let got = peer.send([post(&[("content-length", "3")]), body.clone()].concat()).answer(1);
            assert!(got.reset == Some(PROTOCOL_ERROR) || got.status() == 400, "{got:?}");
            goes_on(&mut peer);
            eventually("what was begun is given up", || proxy.status("a").in_flight == 0);
            // What came of it, if anything, is no whole request; `requests` would fail for the rest.
            let broken = backend.garbage();
            assert!(broken.iter().all(|begun| begun.starts_with("POST /case")), "{broken:?}");
            let whole = if broken.is_empty() { backend.requests().len() } else { 1 };
            assert_eq!(whole, 1, "only the one after");
        },
    );
}

/// RFC 9112 §6: a body with a length keeps it, any other is chunked; padding and empty frames are no part of it.
#[test]
fn bodies_arrive_with_one_framing() {
    let frames = |frames: &[Vec<u8>]| [vec![post(&[])], frames.to_vec()].concat().concat();
    let padded = frame(DATA, PADDED | END_STREAM, 1, [&[4][..], b"abc", &[0; 4]].concat());
    let cases = [
        ("§6.1", "in one frame", frames(&[data(1, END_STREAM, "abc")])),
        (
            "§6.1",
            "in many",
            frames(&[data(1, 0, "a"), data(1, 0, ""), data(1, 0, "b"), data(1, END_STREAM, "c")]),
        ),
        ("§6.1", "ended by an empty frame", frames(&[data(1, 0, "abc"), data(1, END_STREAM, "")])),
        ("§6.1", "padded", frames(&[padded])),
        ("§8.1", "ended by trailers", frames(&[data(1, 0, "abc"), headers(1, END_STREAM, &[("x-t", "1")])])),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, sent)| {
            let request = forwarded(sent);
            assert!(request.is_chunked() && request.text() == "abc", "{request:?}");
            assert!(request.trailers.is_empty(), "not announced: {request:?}");
        },
    );
    let request = forwarded(sized("3", "abc"));
    assert_eq!((request.length(), request.text().as_str()), (Some(3), "abc"));
    let request = forwarded([post(&[]), data(1, END_STREAM, "")].concat());
    assert_eq!(
        (request.is_chunked(), request.text().as_str()),
        (true, ""),
        "not known in advance to be empty"
    );
    for method in ["GET", "DELETE", "OPTIONS"] {
        let head = headers(1, 0, &crate::support::raw_http2::request(method, "/case"));
        assert_eq!(forwarded([head, data(1, END_STREAM, "abc")].concat()).text(), "abc", "{method}");
    }
}

/// RFC 9110 §6.5.1: announced ones go on, but those that must come before the body.
#[test]
fn trailers_go_to_the_backend() {
    let announced = ("trailer", "x-sum, content-length, host, x-forwarded-for");
    let sent = [
        ("x-sum", "1"),
        ("x-unannounced", "2"),
        ("content-length", "9"),
        ("host", "evil"),
        ("x-forwarded-for", "6.6.6.6"),
    ];
    let whole = [post(&[announced]), data(1, 0, "abc"), headers(1, END_STREAM, &sent)].concat();
    let request = forwarded(whole);
    assert_eq!((request.text().as_str(), &request.trailers[..]), ("abc", &["x-sum: 1".to_owned()][..]));
    let with_length =
        [post(&[announced, ("content-length", "3")]), data(1, 0, "abc"), headers(1, END_STREAM, &sent[..1])];
    let request = forwarded(with_length.concat());
    assert_eq!(
        (request.length(), request.text().as_str()),
        (Some(3), "abc"),
        "a length leaves no room for them"
    );
}

#[test]
fn trailers_are_fields_that_end_a_stream() {
    let trailers =
        |flags, fields: &[(&str, &str)]| [post(&[]), data(1, 0, "abc"), headers(1, flags, fields)].concat();
    let wrong = [
        ("§8.1", "that do not end it", trailers(0, &[("x-t", "1")])),
        ("§8.2.2", "with a field of a connection", trailers(END_STREAM, &[("connection", "close")])),
        ("§8.2", "with upper case", trailers(END_STREAM, &[("X-T", "1")])),
    ];
    each(
        &wrong,
        |case| (case.0, case.1),
        |(_, _, sent)| {
            let backend = Backend::named("a");
            let proxy = Proxy::to(&backend);
            let mut peer = Peer::open(proxy.address);
            peer.send(sent);
            peer.until("it is refused", |peer| {
                let got = peer.on(1);
                got.reset == Some(PROTOCOL_ERROR) || got.status() == 400 || !peer.goaways.is_empty()
            });
            goes_on(&mut Peer::open(proxy.address));
            assert!(backend.requests().iter().all(|request| request.target() == "/after"));
        },
    );
}

/// RFC 9110 §10.1.1: told to go on when the backend is, and not where it refuses.
#[test]
fn who_expects_to_be_told_is_told() {
    let expecting = with(request("POST", "/case"), &[("expect", "100-continue"), ("content-length", "3")]);
    let backend = Backend::start("a", |conn| {
        let mut request = conn.head().unwrap();
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        conn.body(&mut request);
        conn.send(crate::support::backend::ok("thanks"));
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &expecting);
    peer.until("it is told", |peer| !peer.on(stream).interim.is_empty());
    assert_eq!(peer.on(stream).interim, [vec![(":status".to_owned(), "100".to_owned())]]);
    assert_eq!(peer.send(data(stream, END_STREAM, "abc")).answer(stream).text(), "thanks");

    let backend = Backend::start("a", |conn| {
        conn.head();
        conn.send("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n");
        assert!(conn.reader.rest().is_empty(), "no body was to be sent");
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &expecting);
    let got = peer.answer(stream);
    assert_eq!((got.status(), got.interim.len()), (417, 0));
    eventually("the backend's connection is closed", || backend.open() == 0);
}

#[test]
fn a_body_has_a_limit_and_a_pace() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("body_bytes = \"1KiB\"\nbody_timeout = \"300ms\"").start();
    let long = "x".repeat(1025);
    let mut peer = Peer::open(proxy.address);
    let length = ("content-length", "1025");
    let stream = peer.start(0, &with(request("POST", "/known"), &[length]));
    assert_eq!(peer.answer(stream).status(), 413, "RFC 9110 §15.5.14");
    let stream = peer.start(0, &request("POST", "/unknown"));
    assert_eq!(peer.send(data(stream, END_STREAM, &long)).answer(stream).status(), 413, "RFC 9110 §15.5.14");
    let stream = peer.start(0, &request("POST", "/slow"));
    assert_eq!(peer.send(data(stream, 0, "x")).answer(stream).status(), 408, "RFC 9110 §15.5.9");
    goes_on(&mut peer);
}
