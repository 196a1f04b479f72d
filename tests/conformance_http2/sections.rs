//! Field sections as octets: cut into frames (§4.3, §6.10), compressed (RFC 7541), and too large (§10.5.1, RFC 6585).

use std::fmt::Write as _;

use crate::case::{Case, Outcome::*, case, each, forwarded, goes_on, try_all};
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup};

/// The section of a `GET /case`, as `HEADERS` with these flags and `CONTINUATION` frames of `size` octets.
fn cut(fields: &[(&str, &str)], size: usize) -> Vec<u8> {
    let block = block(fields);
    let mut chunks = block.chunks(size).peekable();
    let first = chunks.next().unwrap();
    let end = |last: bool| if last { END_HEADERS } else { 0 };
    let mut octets = frame(HEADERS, END_STREAM | end(chunks.peek().is_none()), 1, first);
    while let Some(chunk) = chunks.next() {
        octets.extend(frame(CONTINUATION, end(chunks.peek().is_none()), 1, chunk));
    }
    octets
}

#[test]
fn a_section_may_be_cut_but_not_interrupted() {
    let section = block(&get("/case"));
    let open = frame(HEADERS, END_STREAM, 1, &section);
    let then = |other: Vec<u8>| [open.clone(), other].concat();
    let broken = GoAway(&[PROTOCOL_ERROR]);
    let cases: &[Case] = &[
        case("§6.10", "in two", cut(&get("/case"), section.len() - 1), Answered(200)),
        case(
            "§6.10",
            "octet by octet",
            cut(&[(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "h")], 20),
            Answered(200),
        ),
        case(
            "§6.10",
            "the last frame is empty",
            then(frame(CONTINUATION, END_HEADERS, 1, [])),
            Answered(200),
        ),
        case("§6.10", "another stream goes on", then(frame(CONTINUATION, END_HEADERS, 3, [])), broken),
        case(
            "§6.10",
            "CONTINUATION of the connection",
            then(frame(CONTINUATION, END_HEADERS, 0, [])),
            broken,
        ),
        case("§6.10", "interrupted by DATA", then(data(1, 0, "x")), broken),
        case("§6.10", "interrupted by PING", then(frame(PING, 0, 0, [0; 8])), broken),
        case("§6.10", "interrupted by SETTINGS", then(settings(&[])), broken),
        case("§5.5", "interrupted by an unknown frame", then(frame(0xbe, 0, 1, [])), broken),
        case("§6.10", "interrupted by HEADERS", then(headers(3, END_STREAM, &get("/"))), broken),
    ];
    try_all(cases);
}

/// RFC 7541, by hand: 0x82 is `:method: GET`, 0x84 `:path: /`, 0x86 `:scheme: http`.
#[test]
fn compression_that_makes_no_sense_ends_the_connection() {
    let section = |octets: &[u8]| {
        frame(HEADERS, END_HEADERS | END_STREAM, 1, [&[0x82, 0x84, 0x86, 0x41, 1, b'h'][..], octets].concat())
    };
    let plain = |octets: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, octets);
    let wrong = GoAway(&[COMPRESSION_ERROR]);
    let cases: &[Case] = &[
        case("RFC 7541 §6.1", "indexed fields", section(&[]), Answered(200)),
        case("RFC 7541 §6.1", "index 0", section(&[0x80]), wrong),
        case("RFC 7541 §2.3.3", "an index beyond the tables", section(&[0xff, 0x20]), wrong),
        case("RFC 7541 §5.1", "an integer without end", section(&[0xff; 12]), wrong),
        case(
            "RFC 7541 §5.1",
            "an integer that overflows",
            section(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            wrong,
        ),
        case("RFC 7541 §5.2", "a string longer than the section", section(&[0, 9, b'x']), wrong),
        case(
            "RFC 7541 §5.2",
            "Huffman code with an EOS",
            section(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
            wrong,
        ),
        case(
            "RFC 7541 §5.2",
            "Huffman code padded with more than 7 bits",
            section(&[0, 1, b'x', 0x82, 0x1f, 0xff]),
            wrong,
        ),
        case(
            "RFC 7541 §4.2",
            "a table smaller than the default",
            plain(&[0x20, 0x82, 0x84, 0x86, 0x41, 1, b'h']),
            Answered(200),
        ),
        case(
            "RFC 7541 §6.3",
            "a table larger than agreed",
            plain(&[0x3f, 0xe2, 0x1f, 0x82, 0x84, 0x86, 0x41, 1, b'h']),
            wrong,
        ),
        case("RFC 7541 §4.2", "a table that changes within a section", section(&[0x20]), wrong),
        case("§4.3", "a section that breaks off", plain(&[0x82, 0x84, 0x86, 0x41]), wrong),
    ];
    try_all(cases);
}

/// RFC 7541 §2.3.2: what one section puts into the table, the next refers to; also where the first was refused.
#[test]
fn the_table_stays_in_step_with_refused_sections() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    // `x-kept: 1` with indexing, in a section that is malformed by its `connection` field.
    let first = [
        &[0x82, 0x84, 0x86, 0x41, 1, b'h', 0x40, 6][..],
        b"x-kept",
        &[1, b'1', 0, 10],
        b"connection",
        &[1, b'x'],
    ];
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, first.concat()));
    assert_eq!(peer.answer(1).reset, Some(PROTOCOL_ERROR));
    // The latest entry is 62, the one before 63: `:authority: h`.
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, [0x82, 0x84, 0x86, 0xbf, 0xbe]));
    assert_eq!(peer.answer(3).status(), 200);
    let request = backend.request();
    assert_eq!((request.field("x-kept"), request.field("host")), (Some("1"), Some("h")));
}

#[test]
fn sections_that_are_too_large_are_refused_with_431() {
    let many: Vec<(String, String)> = (0..101).map(|n| (format!("x-{n}"), "v".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let (long, most) = ("v".repeat(70_000), "v".repeat(60_000));
    let target = format!("/{}", "p".repeat(20_000));
    let cases: &[Case] = &[
        case(
            "RFC 6585 §5",
            "one long field",
            cut(&with(get("/case"), &[("x-long", &long)]), 16_000),
            Answered(431),
        ),
        case("RFC 6585 §5", "many fields", cut(&with(get("/case"), &many), 16_000), Answered(431)),
        case(
            "RFC 6585 §5",
            "as many as may be",
            cut(&with(get("/case"), &many[..100]), 16_000),
            Answered(200),
        ),
        case(
            "§6.5.2",
            "almost as long as may be",
            cut(&with(get("/case"), &[("x-long", &most)]), 16_000),
            Answered(200),
        ),
        case("RFC 9110 §15.5.15", "a long target", cut(&get(&target), 16_000), Answered(414)),
    ];
    try_all(cases);
}

/// §10.5.1: what decompresses to far more than was sent.
#[test]
fn a_compression_bomb_is_refused_before_it_unfolds() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    // 4,000 octets put into the table once, then named by one octet each: 60 MB in 16 KiB.
    let mut bomb = vec![0x82, 0x84, 0x86, 0x41, 1, b'h', 0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
    bomb.extend([b'v'; 4000]);
    bomb.extend([0xbe; 12_000]);
    let mut peer = Peer::open(proxy.address);
    peer.try_send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb));
    assert_eq!(peer.end(), End::GoAway(ENHANCE_YOUR_CALM));
    goes_on(&mut Peer::open(proxy.address));
    assert_eq!(backend.requests().len(), 1);
}

/// CVE-2024-27316: a section that does not end.
#[test]
fn continuations_without_end_are_cut_off() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("header_bytes = \"8KiB\"").start();
    let small = frame(CONTINUATION, 0, 1, []);
    let with_field = frame(CONTINUATION, 0, 1, block(&[("x", "v")]));
    let large = frame(CONTINUATION, 0, 1, block(&[("x-large", &"v".repeat(16_000))]));
    let endless =
        frame(CONTINUATION, 0, 1, [&[0, 1, b'x', 0x7f, 0xff, 0xff, 0x7f][..], &[b'v'; 16_000]].concat());
    let cases = [
        ("CVE-2024-27316", "empty ones", small),
        ("CVE-2024-27316", "with small fields", with_field),
        ("CVE-2024-27316", "with large fields", large),
        ("CVE-2024-27316", "with a value that does not end", endless),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, continuation)| {
            let mut peer = Peer::open(proxy.address);
            peer.send(frame(HEADERS, END_STREAM, 1, block(&get("/flood"))));
            for _ in 0..10_000 {
                if !peer.try_send(continuation) {
                    break;
                }
            }
            // A reset by the kernel may come before what the proxy has said.
            let end = peer.end();
            assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Silent), "{end:?}");
            goes_on(&mut Peer::open(proxy.address));
        },
    );
    assert!(backend.requests().iter().all(|request| request.target() == "/after"));
}

/// §8.2.3: crumbs are one field to others than HTTP/2.
#[test]
fn cookies_are_joined() {
    let crumbs: &[(&[&str], &str)] =
        &[(&["a=1"], "a=1"), (&["a=1", "b=2"], "a=1; b=2"), (&["a=1; b=2", "c=3", "d"], "a=1; b=2; c=3; d")];
    for (crumbs, joined) in crumbs {
        let cookies: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        let request = forwarded(headers(1, END_STREAM, &with(get("/case"), &cookies)));
        assert_eq!(request.all("cookie"), [*joined]);
    }
    let many: Vec<String> = (0..90).map(|n| format!("c{n}=v")).collect();
    let cookies: Vec<(&str, &str)> = many.iter().map(|crumb| ("cookie", &crumb[..])).collect();
    let mut joined = String::new();
    for crumb in &many {
        let _ = write!(joined, "; {crumb}");
    }
    let request = forwarded(headers(1, END_STREAM, &with(get("/case"), &cookies)));
    assert_eq!(request.field("cookie"), Some(&joined[2..]));
}

/// RFC 7541 §5.2, §C.4.1: `www.example.com` in Huffman code, as a value and, with a name so coded, in a field.
#[test]
fn coded_strings_are_understood() {
    let coded = b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let block = [
        &[0x82, 0x86, 0x84, 0x41, 0x8c][..],
        coded,
        // `custom-key: custom-value`.
        b"\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
    ];
    let request = forwarded(frame(HEADERS, END_HEADERS | END_STREAM, 1, block.concat()));
    assert_eq!(
        (request.field("host"), request.field("custom-key")),
        (Some("www.example.com"), Some("custom-value"))
    );
}

/// A refusal comes in the form that suits its request: nothing behind the head for `HEAD` (RFC 9110 §9.3.2), JSON for those
/// who ask for it, and for gRPC a status of its own.
#[test]
fn a_refusal_suits_its_request() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let long = "v".repeat(70_000);
    let mut ask = |method, name, value| {
        let stream = peer.ask(&with(request(method, "/case"), &[(name, value), ("x-padded", " v")]));
        peer.answer(stream)
    };
    let got = ask("HEAD", "accept", "*/*");
    assert_eq!((got.status(), got.body.len(), got.ended), (400, 0, true));
    let got = ask("POST", "content-type", "application/grpc");
    assert_eq!((got.status(), got.field("grpc-status")), (200, Some("13")));
    let got = ask("GET", "accept", "application/json");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&got.body).unwrap()["status"], 400);
    let section = cut(&with(request("HEAD", "/case"), &[("x-long", &long)]), 16_000);
    let got = Peer::open(proxy.address).send(section).answer(1);
    assert_eq!((got.status(), got.body.len(), got.ended), (431, 0, true));
    assert!(backend.requests().is_empty());
}
