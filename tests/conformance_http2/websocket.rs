//! WebSockets on streams (RFC 8441), which are HTTP/1.1 upgrades to the backend (RFC 6455).

use homing::config::Wanted;
use homing::server::Stop;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::case::{each, goes_on};
use crate::support::raw_http2::*;
use crate::support::websocket::{
    CLOSE, Frame as WsFrame, TEXT, echo_frames, frame as ws_frame, masked, read_frame,
};
use crate::support::{Backend, Conn, Message, Proxy, Setup, eventually};

fn connect<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let fields = vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "homing.test"),
        (":path", path),
        ("sec-websocket-version", "13"),
    ];
    with(fields, more)
}

/// Agrees to a handshake, with more fields.
fn agree(conn: &mut Conn, request: &Message, more: &str) {
    let accept = derive_accept_key(request.field("sec-websocket-key").expect("a key").as_bytes());
    conn.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n{more}\r\n"
    ));
}

/// Answers plain requests with its name, and echoes tunnels.
fn echo() -> Backend {
    named_echo("a")
}

fn named_echo(name: &'static str) -> Backend {
    Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/after" {
                conn.send(crate::support::backend::ok("a"));
            } else {
                agree(conn, &request, "sec-websocket-protocol: chat\r\nx-own: 1\r\n");
                conn.send(ws_frame(TEXT, name.as_bytes()));
                return echo_frames(conn);
            }
        }
    })
}

/// The frames that came on a stream so far.
fn frames(got: &Got) -> Vec<WsFrame> {
    let mut rest = &got.body[..];
    let mut frames = Vec::new();
    while let [first, length, payload @ ..] = rest {
        let (payload, behind) = match (length, payload) {
            (126, [a, b, payload @ ..]) => {
                let length = usize::from(u16::from_be_bytes([*a, *b]));
                if payload.len() < length {
                    break;
                }
                payload.split_at(length)
            }
            (0..126, _) if payload.len() >= usize::from(*length) => payload.split_at(usize::from(*length)),
            _ => break,
        };
        frames.push(WsFrame { opcode: first & 0xf, payload: payload.to_vec() });
        rest = behind;
    }
    frames
}

/// Opens a tunnel that greets.
#[track_caller]
fn open(peer: &mut Peer, path: &str) -> u32 {
    let stream = peer.start(0, &connect(path, &[]));
    hear(peer, stream, 1);
    assert_eq!(peer.on(stream).status(), 200);
    stream
}

/// Waits for so many frames on a stream, and returns the last.
#[track_caller]
fn hear(peer: &mut Peer, stream: u32, count: usize) -> WsFrame {
    peer.until("a frame comes", |peer| frames(&peer.on(stream)).len() >= count);
    frames(&peer.on(stream)).pop().unwrap()
}

/// RFC 8441 §5: fields are translated, frames go both ways, other streams go on.
#[test]
fn a_websocket_is_opened_and_echoes() {
    let backend = echo();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let asked = [
        ("sec-websocket-protocol", "chat, other"),
        ("sec-websocket-extensions", "x"),
        ("origin", "http://o.test"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let stream = peer.start(0, &connect("/room?x=1", &asked));
    assert_eq!(hear(&mut peer, stream, 1).text(), "a");
    let got = peer.on(stream);
    assert_eq!(got.status(), 200, "RFC 8441 §5: not 101");
    assert_eq!((got.field("sec-websocket-protocol"), got.field("x-own")), (Some("chat"), Some("1")));
    assert_eq!(got.field("sec-websocket-accept"), None, "RFC 8441 §5: nor the key's");
    let request = backend.request();
    assert_eq!(request.start_line(), "GET /room?x=1 HTTP/1.1");
    let field = |name| request.field(name);
    assert_eq!(
        (field("connection"), field("upgrade"), field("host")),
        (Some("upgrade"), Some("websocket"), Some("homing.test"))
    );
    assert_eq!(
        (field("sec-websocket-version"), field("sec-websocket-key").map(str::len)),
        (Some("13"), Some(24))
    );
    assert_eq!(
        (field("sec-websocket-protocol"), field("sec-websocket-extensions")),
        (Some("chat, other"), Some("x"))
    );
    assert_eq!(
        (field("origin"), field("cookie"), request.length()),
        (Some("http://o.test"), Some("a=1; b=2"), None)
    );
    let long = "x".repeat(60_000);
    for (n, text) in ["hello", "", "again", &long].iter().enumerate() {
        let sent = masked(TEXT, text.as_bytes());
        for chunk in sent.chunks(16_000) {
            peer.send(data(stream, 0, chunk));
        }
        assert_eq!(hear(&mut peer, stream, n + 2).text(), *text);
    }
    goes_on(&mut peer);
    assert!(!peer.on(stream).ended);
}

/// RFC 8441 §5: many tunnels of one connection, beside each other.
#[test]
fn tunnels_share_a_connection() {
    let backend = echo();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let streams: Vec<u32> = (0..20).map(|n| open(&mut peer, &format!("/{n}"))).collect();
    for stream in &streams {
        peer.send(data(*stream, 0, masked(TEXT, stream.to_string().as_bytes())));
    }
    for stream in &streams {
        assert_eq!(hear(&mut peer, *stream, 2).text(), stream.to_string());
    }
    assert_eq!((backend.open(), proxy.status("a").connections), (20, 20));
}

/// RFC 8441 §5: `END_STREAM` is the end of a TCP connection, `RST_STREAM` its reset.
#[test]
fn ends_are_passed_on_both_ways() {
    let backend = echo();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    // A Close, answered, and then the end by the backend.
    let stream = open(&mut peer, "/close");
    peer.send(data(stream, 0, masked(CLOSE, &1000_u16.to_be_bytes())));
    assert_eq!(hear(&mut peer, stream, 2).code(), Some(1000));
    peer.until("the stream ends", |peer| peer.on(stream).ended);
    peer.send(data(stream, END_STREAM, ""));
    // The end by the client.
    let stream = open(&mut peer, "/end");
    peer.send(data(stream, END_STREAM, ""));
    assert!(peer.answer(stream).ended);
    // A reset by the client.
    let stream = open(&mut peer, "/reset");
    peer.send(reset(stream, CANCEL));
    eventually("all are closed", || backend.open() == 0 && proxy.status("a").connections == 0);
    goes_on(&mut peer);
}

/// RFC 8441 §5: a backend that breaks off resets the stream or ends it; the connection goes on.
#[test]
fn a_backend_that_dies_ends_its_tunnels_only() {
    let backend = echo();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let streams = [open(&mut peer, "/1"), open(&mut peer, "/2")];
    backend.disconnect();
    for stream in streams {
        peer.until("it ends", |peer| peer.on(stream).ended || peer.on(stream).reset.is_some());
    }
    goes_on(&mut peer);
}

#[test]
fn only_a_right_101_opens_a_tunnel() {
    let cases: [(&str, &str, &str, u16); 8] = [
        (
            "RFC 6455 §4.1",
            "another key",
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
        (
            "RFC 6455 §4.1",
            "no key",
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            502,
        ),
        (
            "RFC 6455 §4.1",
            "another protocol",
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            502,
        ),
        ("CVE-2026-2833", "no upgrade", "HTTP/1.1 101 X\r\n\r\n", 502),
        (
            "RFC 8441 §5",
            "200, which is none in HTTP/1.1, but would be in HTTP/2",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            502,
        ),
        ("RFC 8441 §5", "204, for the same reason", "HTTP/1.1 204 None\r\n\r\n", 502),
        ("RFC 9110 §15.5.4", "403", "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", 403),
        (
            "RFC 6455 §4.4",
            "426 with what would be right",
            "HTTP/1.1 426 No\r\nsec-websocket-version: 13\r\ncontent-length: 2\r\n\r\nno",
            426,
        ),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, answer, status)| {
            let answer = *answer;
            let backend = Backend::start("a", move |conn| {
                while let Some(request) = conn.request() {
                    let own = crate::support::backend::ok("a");
                    conn.send(if request.target() == "/after" { &own } else { answer });
                }
            });
            let proxy = Proxy::to(&backend);
            let mut peer = Peer::open(proxy.address);
            let stream = peer.start(0, &connect("/room", &[]));
            let got = peer.answer(stream);
            assert_eq!((got.status(), got.ended), (*status, true), "{got:?}");
            assert!(*status == 502 || got.text() == "no", "{got:?}");
            goes_on(&mut peer);
        },
    );
}

/// RFC 9110 §9.3.6: what asks for a tunnel has no content, so no length; to the backend it would be owed a body.
#[test]
fn a_length_is_not_smuggled_in() {
    for more in [
        [("content-length", "5")],
        [("trailer", "x")],
        [("expect", "100-continue")],
        [("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")],
    ] {
        let backend = echo();
        let proxy = Proxy::to(&backend);
        let mut peer = Peer::open(proxy.address);
        let stream = peer.start(0, &connect("/room", &more));
        peer.until("it is answered", |peer| peer.on(stream).status() > 0 || peer.on(stream).reset.is_some());
        let got = peer.on(stream);
        if got.status() == 200 {
            let request = backend.request();
            assert_eq!((request.length(), request.is_chunked()), (None, false), "{more:?}: {}", request.head);
            assert_ne!(
                request.field("sec-websocket-key"),
                Some("AAAAAAAAAAAAAAAAAAAAAA=="),
                "a key of the proxy's"
            );
        } else {
            assert!(got.status() == 400 || got.reset.is_some(), "{more:?}: {got:?}");
            assert!(backend.requests().is_empty());
        }
        goes_on(&mut peer);
    }
}

/// §5.2: a tunnel keeps to its window, and what nobody reads holds the backend back.
#[test]
fn a_tunnel_keeps_to_its_window() {
    let backend = Backend::start("a", |conn| {
        if let Some(request) = conn.request() {
            agree(conn, &request, "");
            for _ in 0..100 {
                conn.send(ws_frame(TEXT, &vec![b'x'; 30_000]));
            }
            conn.send(ws_frame(CLOSE, &1000_u16.to_be_bytes()));
            conn.until_closed();
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open_with(proxy.address, &[(4, 1000)]);
    peer.reading = Reading::Not;
    let stream = peer.start(0, &connect("/", &[]));
    peer.until("the window is full", |peer| peer.on(stream).body.len() == 1000);
    peer.settle();
    assert_eq!(peer.on(stream).body.len(), 1000);
    peer.reading = Reading::Freely;
    peer.grant(0, 1000);
    peer.grant(stream, 1000);
    let closed = hear(&mut peer, stream, 101);
    assert_eq!(closed.code(), Some(1000));
    assert!(frames(&peer.on(stream))[..100].iter().all(|frame| frame.payload.len() == 30_000));
}

/// RFC 6455 §7.4.1: 1012 when the session leaves its backend, 1001 when the proxy stops; then the stream ends.
#[test]
fn tunnels_are_closed_with_a_code() {
    let (a, b) = (named_echo("a"), named_echo("b"));
    let proxy = Setup::of(&[&a, &b])
        .sticky("\"query:room\"")
        .table("drain", "timeout = \"300ms\"\nspread = \"100ms\"")
        .server("workers = 1\nshutdown_timeout = \"2s\"")
        .start();
    let mut peer = Peer::open(proxy.address);
    let stream = open(&mut peer, "/?room=1");
    let home = frames(&peer.on(stream))[0].text();
    proxy.control().set_state("app", &home, Wanted::Drain, None).unwrap();
    assert_eq!(hear(&mut peer, stream, 2).code(), Some(1012));
    peer.send(data(stream, 0, masked(CLOSE, &1012_u16.to_be_bytes())));
    peer.until("the stream ends", |peer| peer.on(stream).ended || peer.on(stream).reset.is_some());
    assert!(peer.on(stream).ended, "in order: {:?}", peer.on(stream));
    let stream = open(&mut peer, "/?room=1");
    assert_ne!(frames(&peer.on(stream))[0].text(), home, "it has moved");
    proxy.server().stop(Stop::Graceful);
    assert_eq!(hear(&mut peer, stream, 2).code(), Some(1001));
    peer.send(data(stream, 0, masked(CLOSE, &1001_u16.to_be_bytes())));
    assert!(peer.answer(stream).ended);
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

/// §8.2.3 and RFC 8441 §5: frames of the client arrive masked as they were sent, cut as they may be.
#[test]
fn frames_may_be_cut_anywhere() {
    let backend = Backend::start("a", |conn| {
        if let Some(request) = conn.request() {
            agree(conn, &request, "");
            let heard = read_frame(&mut conn.reader).expect("a frame");
            conn.send(ws_frame(TEXT, format!("heard {}", heard.text()).as_bytes()));
            conn.until_closed();
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.start(0, &connect("/", &[]));
    for octet in masked(TEXT, b"hello") {
        peer.send(data(stream, 0, [octet]));
    }
    assert_eq!(hear(&mut peer, stream, 1).text(), "heard hello");
}
