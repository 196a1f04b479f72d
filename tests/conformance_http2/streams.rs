//! Streams: their numbers, their states, and frames on those that are not open (§5.1, §6.1, §6.2, §6.4).

use crate::case::{Case, Outcome::*, case, goes_on, try_all};
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup, eventually};

#[test]
fn streams_have_odd_numbers_that_grow() {
    let asked = |stream| headers(stream, END_STREAM, &get("/case"));
    let cases: &[Case] = &[
        case("§5.1.1", "0", asked(0), GoAway(&[PROTOCOL_ERROR])),
        case("§5.1.1", "an even one", asked(2), GoAway(&[PROTOCOL_ERROR])),
        case("§5.1.1", "the first need not be 1", asked(1), Answered(200)),
    ];
    try_all(cases);
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    peer.send(asked(5));
    assert_eq!(peer.answer(5).status(), 200);
    peer.send(asked(3));
    let end = peer.end();
    assert!(matches!(end, End::GoAway(PROTOCOL_ERROR | STREAM_CLOSED)), "§5.1.1: a smaller one: {end:?}");
    let mut peer = Peer::open(proxy.address);
    peer.send(asked(0x7fff_ffff));
    assert_eq!(peer.answer(0x7fff_ffff).status(), 200, "§5.1.1: the last one");
}

#[test]
fn frames_belong_to_streams_that_are_open() {
    let whole = headers(1, END_STREAM, &get("/case"));
    let cases: &[Case] = &[
        case("§6.1", "DATA of the connection", data(0, 0, "x"), GoAway(&[PROTOCOL_ERROR])),
        case("§5.1", "DATA on an idle stream", data(1, 0, "x"), GoAway(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        case("§6.4", "RST_STREAM of the connection", reset(0, CANCEL), GoAway(&[PROTOCOL_ERROR])),
        case("§6.4", "RST_STREAM on an idle stream", reset(1, CANCEL), GoAway(&[PROTOCOL_ERROR])),
        case(
            "§6.10",
            "CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, block(&get("/"))),
            GoAway(&[PROTOCOL_ERROR]),
        ),
        case(
            "§6.1",
            "padding longer than the frame",
            [headers(1, 0, &request("POST", "/")), frame(DATA, PADDED, 1, [9, 0, 0])].concat(),
            GoAway(&[PROTOCOL_ERROR]),
        ),
        case(
            "§6.2",
            "padding longer than the fields",
            frame(HEADERS, PADDED | END_HEADERS, 1, [200, 0x82]),
            GoAway(&[PROTOCOL_ERROR]),
        ),
        case(
            "§6.2",
            "a stream that depends on itself (RFC 7540 §5.3.1)",
            frame(
                HEADERS,
                WITH_PRIORITY | END_HEADERS | END_STREAM,
                1,
                [&[0, 0, 0, 1, 0][..], &block(&get("/case"))].concat(),
            ),
            Reset(&[PROTOCOL_ERROR]),
        ),
        case(
            "§6.2",
            "priorities are ignored",
            frame(
                HEADERS,
                WITH_PRIORITY | END_HEADERS | END_STREAM,
                1,
                [&[0, 0, 0, 3, 0][..], &block(&get("/case"))].concat(),
            ),
            Answered(200),
        ),
        case(
            "§6.2",
            "padding is no field",
            frame(
                HEADERS,
                PADDED | END_HEADERS | END_STREAM,
                1,
                [&[3][..], &block(&get("/case")), &[0; 3]].concat(),
            ),
            Answered(200),
        ),
    ];
    try_all(cases);
    let after_end = |second: Vec<u8>| {
        let backend = Backend::start("a", |conn| {
            conn.request();
            conn.until_closed();
        });
        let proxy = Proxy::to(&backend);
        let mut peer = Peer::open(proxy.address);
        peer.send([whole.clone(), second].concat());
        peer.until("it is refused", |peer| peer.on(1).reset.is_some() || !peer.goaways.is_empty());
        peer.on(1).reset.or(peer.goaways.first().map(|(code, _)| *code)).unwrap()
    };
    // §5.1, half-closed (remote).
    for second in [data(1, END_STREAM, "x"), headers(1, END_STREAM, &get("/again"))] {
        assert_eq!(after_end(second), STREAM_CLOSED);
    }
}

/// §5.1, closed: a stream that has ended on both sides carries nothing more, but what was under way is borne.
#[test]
fn a_stream_that_has_ended_carries_nothing_more() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let wrong = [data(1, 0, "x"), headers(1, END_STREAM, &get("/again")), headers(1, 0, &[("x-t", "1")])];
    for frame in wrong {
        let mut peer = Peer::open(proxy.address);
        peer.send(headers(1, END_STREAM, &get("/case")));
        assert_eq!(peer.answer(1).status(), 200);
        peer.send(&frame);
        peer.until("it is refused", |peer| peer.on(1).reset.is_some() || !peer.goaways.is_empty());
        let code = peer.on(1).reset.or(peer.goaways.first().map(|(code, _)| *code));
        assert_eq!(code, Some(STREAM_CLOSED), "{frame:?}");
    }
    let mut peer = Peer::open(proxy.address);
    peer.send(headers(1, END_STREAM, &get("/case")));
    assert_eq!(peer.answer(1).status(), 200);
    peer.send([window_update(1, 1), reset(1, NO_ERROR), frame(PRIORITY, 0, 1, [0; 5])].concat());
    goes_on(&mut peer);
    assert!(backend.requests().iter().all(|request| request.target() != "/again"));
}

/// §5.1, closed: frames that were under way when a stream was reset are ignored, or end it again.
#[test]
fn what_comes_after_a_reset_disturbs_nobody() {
    let backend = Backend::start("a", |conn| {
        while conn.head().is_some_and(|mut head| conn.body(&mut head)) {
            conn.send(crate::support::backend::ok("a"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &with(request("POST", "/"), &[("content-length", "3")]));
    peer.send(data(stream, 0, "four"));
    assert_eq!(peer.answer(stream).reset, Some(PROTOCOL_ERROR));
    peer.send([data(stream, 0, "more"), window_update(stream, 5), reset(stream, CANCEL)].concat());
    goes_on(&mut peer);
}

/// §5.1.2: more than agreed are refused; nothing was done for them, so they may be sent again (§8.7).
#[test]
fn more_streams_than_agreed_are_refused() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.next.wait();
            conn.send(crate::support::backend::ok("a"));
        }
    });
    let proxy = Setup::of(&[&backend]).limits("streams = 4").start();
    let mut peer = Peer::open(proxy.address);
    peer.until("settings are agreed", |peer| peer.settings.contains_key(&3));
    peer.settle();
    let streams: Vec<u32> = (0..4).map(|_| peer.ask(&get("/"))).collect();
    eventually("they are at the backend", || backend.connections() == 4);
    let beyond = peer.ask(&get("/beyond"));
    assert_eq!(peer.answer(beyond).reset, Some(REFUSED_STREAM));
    backend.next.open();
    for stream in streams {
        assert_eq!(peer.answer(stream).status(), 200);
    }
    goes_on(&mut peer);
    assert!(backend.requests().iter().all(|request| request.target() != "/beyond"));
}

/// §5: an exchange that takes long holds up no other.
#[test]
fn streams_are_answered_as_they_are_ready() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/slow" {
                conn.next.wait();
            }
            conn.send(crate::support::backend::ok(request.target()));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let slow = peer.ask(&get("/slow"));
    for n in 0..20 {
        let path = format!("/{n}");
        assert_eq!(peer.get(&path).text(), path);
    }
    assert!(peer.on(slow).head.is_empty());
    backend.next.open();
    assert_eq!(peer.answer(slow).text(), "/slow");
}
