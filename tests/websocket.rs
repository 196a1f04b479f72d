//! WebSockets end to end: opening, what goes through a tunnel, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use support::websocket::{
    AGREE, ASK, BINARY, CLOSE, PING, TEXT, Tunnel, echo, echo_frames, frame, masked, read_frame,
};
use support::{Backend, Conn, Events, Message, Proxy, Setup, eventually, get};

/// A backend that grants what it is asked for, and then does this with the tunnel.
fn granting(then: impl Fn(&mut Conn) + Send + Sync + 'static) -> Backend {
    Backend::start("a", move |conn| {
        if conn.request().is_some() {
            conn.send(format!("{AGREE}\r\n"));
            then(conn);
        }
    })
}

fn open(proxy: &Proxy) -> Tunnel {
    Tunnel::open(proxy.connect(), "/chat/7")
}

// === Opening ===

#[test]
fn the_handshake_passes_untouched() {
    let backend = Backend::answering(
        "a",
        format!(
            "{AGREE}Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Extensions: x; a=\"1, 2\"\r\nX-Own: 1\r\n\r\n"
        ),
    );
    let proxy = Proxy::to(&backend);
    let offers = [
        "Sec-WebSocket-Protocol: chat.v1, chat.v2",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: x",
        "Origin: http://h",
        "Cookie: sid=1",
    ];
    let mut client = proxy.connect();
    let response = client.send(get("/chat?x=1", &[&ASK[..], &offers].concat())).head();
    assert_eq!(response.status, 101);
    for (name, value) in [
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "chat.v2"),
        ("sec-websocket-extensions", "x; a=\"1, 2\""),
        ("upgrade", "websocket"),
        ("x-own", "1"),
    ] {
        assert_eq!(response.field(name), Some(value));
    }
    assert!(response.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_handshake(&backend.request());
}

fn assert_handshake(request: &Message) {
    assert_eq!(request.target(), "/chat?x=1");
    assert_eq!(request.field("sec-websocket-protocol"), Some("chat.v1, chat.v2"));
    assert_eq!(request.all("sec-websocket-extensions"), ["permessage-deflate; client_max_window_bits", "x"]);
    assert_eq!(request.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(request.field("sec-websocket-version"), Some("13"));
    assert_eq!((request.field("connection"), request.field("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!((request.field("origin"), request.field("cookie")), (Some("http://h"), Some("sid=1")));
}

#[test]
fn octets_right_behind_the_request_are_kept() {
    let backend = granting(echo_frames);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let mut all = get("/", &ASK).into_bytes();
    all.extend(masked(TEXT, b"early"));
    all.extend(masked(TEXT, b"bird"));
    client.send(all);
    assert_eq!(client.head().status, 101);
    assert_eq!(read_frame(&mut client.reader).unwrap().text(), "early");
    assert_eq!(read_frame(&mut client.reader).unwrap().text(), "bird");
}

#[test]
fn octets_sent_before_the_answer_are_kept() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
        conn.send(format!("{AGREE}\r\n"));
        echo_frames(conn);
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(get("/", &ASK));
    backend.request();
    client.send(masked(TEXT, b"impatient"));
    backend.next.open();
    assert_eq!(client.head().status, 101);
    assert_eq!(read_frame(&mut client.reader).unwrap().text(), "impatient");
}

#[test]
fn octets_right_behind_the_answer_are_kept() {
    let mut answer = format!("{AGREE}\r\n").into_bytes();
    answer.extend(frame(TEXT, b"early"));
    answer.extend(frame(TEXT, &vec![b'x'; 100_000]));
    let backend = Backend::answering("a", answer);
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    assert_eq!(tunnel.hear(), "early");
    assert_eq!(tunnel.hear().len(), 100_000);
}

#[test]
fn an_answer_for_another_protocol_is_a_bad_gateway() {
    for fields in [
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Connection: close\r\nUpgrade: websocket\r\n",
        "",
    ] {
        let backend = Backend::answering("a", format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
        let proxy = Proxy::to(&backend);
        assert_eq!(proxy.get("/", &ASK).status, 502, "{fields:?}");
        eventually("nothing is left of it", || backend.open() == 0);
    }
}

#[test]
fn another_answer_passes_and_the_connection_goes_on() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            let denied = request.field("upgrade").is_some();
            let status = if denied { "403 Forbidden" } else { "200 OK" };
            conn.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let denied = client.send(get("/", &ASK)).response();
    assert_eq!((denied.status, denied.text().as_str()), (403, "no"));
    assert_eq!(client.get("/", &[]).status, 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn other_upgrades_are_ignored() {
    for fields in [
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ["Connection: keep-alive", "Upgrade: websocket"],
    ] {
        let backend = Backend::named("a");
        assert_eq!(Proxy::to(&backend).get("/", &fields).status, 200, "{fields:?}");
        assert_eq!(backend.request().field("upgrade"), None, "{fields:?}");
    }
}

#[test]
fn only_a_plain_get_can_ask_for_a_websocket() {
    let fields = ASK.join("\r\n");
    for request in [
        format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"),
        format!("GET / HTTP/1.0\r\nHost: h\r\n{fields}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n{fields}\r\n\r\nx"),
    ] {
        let backend = Backend::named("a");
        assert_eq!(Proxy::to(&backend).ask(&request).status, 200, "{request}");
        assert_eq!(backend.request().field("upgrade"), None, "{request}");
    }
}

#[test]
fn the_request_may_be_spelt_as_browsers_do() {
    let backend = granting(echo_frames);
    let proxy = Proxy::to(&backend);
    let fields = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", ASK[2], ASK[3]];
    assert_eq!(proxy.connect().send(get("/", &fields)).head().status, 101);
}

// === Carrying ===

#[test]
fn frames_of_every_kind_pass_both_ways() {
    let backend = granting(echo_frames);
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    for (opcode, length) in
        [(TEXT, 0), (BINARY, 125), (PING, 5), (BINARY, 126), (TEXT, 65_535), (BINARY, 65_536)]
    {
        tunnel.client.send(masked(opcode, &vec![7; length]));
        let echoed = tunnel.frame().unwrap();
        assert_eq!((echoed.opcode, echoed.payload), (opcode, vec![7; length]));
    }
}

/// Octets that do not repeat soon.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn nothing_is_lost_when_both_send_much_and_read_slowly() {
    const MUCH: usize = 12 << 20;
    let backend = granting(|conn| exchange(&mut conn.reader.source.try_clone().unwrap(), MUCH, (1, 2)));
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    exchange(&mut tunnel.client.reader.source, MUCH, (2, 1));
    eventually("the backend has it all, too", || backend.open() == 0);
}

/// Sends a frame of noise, and at the same time reads one, at first not at all.
fn exchange(socket: &mut std::net::TcpStream, length: usize, (own, other): (u64, u64)) {
    let mut writer = socket.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&frame(BINARY, &noise(length, own))).unwrap());
    std::thread::sleep(Duration::from_millis(300));
    let expected = frame(BINARY, &noise(length, other));
    let mut received = vec![0; expected.len()];
    for part in received.chunks_mut(1 << 20) {
        socket.read_exact(part).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(received == expected, "what arrived is not what was sent");
    writing.join().unwrap();
}

#[test]
fn many_tunnels_do_not_mix() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = Setup::of(&[&backend]).server("workers = 2").start();
    let mut tunnels: Vec<Tunnel> = (0..60).map(|n| Tunnel::open(proxy.connect(), &format!("/{n}"))).collect();
    for (n, tunnel) in tunnels.iter_mut().enumerate() {
        tunnel.say(&format!("I am {n}"));
    }
    for (n, tunnel) in tunnels.iter_mut().enumerate() {
        assert_eq!((tunnel.hear(), tunnel.hear()), ("a -".into(), format!("I am {n}")));
    }
    assert_eq!(proxy.status("a").connections, 60);
    drop(tunnels);
    eventually("all are closed", || proxy.status("a").connections == 0 && backend.open() == 0);
}

// === Ending ===

#[test]
fn a_close_passes_both_ways_and_ends_the_tunnel() {
    let backend = granting(echo_frames);
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    tunnel.client.send(masked(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(tunnel.close_code(), Some(1000));
    drop(tunnel);
    eventually("the backend's connection is closed", || backend.open() == 0);
    eventually("nothing is in flight", || proxy.status("a").in_flight == 0);
}

#[test]
fn a_client_that_goes_takes_the_backends_connection_along() {
    let backend = granting(Conn::until_closed);
    let proxy = Proxy::to(&backend);
    let tunnel = open(&proxy);
    assert_eq!(backend.open(), 1);
    drop(tunnel);
    eventually("the backend's connection is closed", || backend.open() == 0);
    eventually("nothing is in flight", || proxy.status("a").in_flight == 0);
}

#[test]
fn a_backend_that_goes_takes_the_clients_connection_along() {
    let backend = granting(|conn| {
        conn.send(frame(TEXT, b"last words"));
    });
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    assert_eq!(tunnel.hear(), "last words");
    assert_eq!(tunnel.frame(), None);
}

#[test]
fn a_backend_that_is_reset_takes_the_clients_connection_along() {
    let backend = granting(|conn| {
        conn.next.wait();
        conn.reset();
    });
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    backend.next.open();
    assert_eq!(tunnel.frame(), None);
}

#[test]
fn one_side_may_end_before_the_other() {
    let backend = granting(|conn| {
        conn.until_closed();
        conn.send(frame(TEXT, b"I heard you end"));
    });
    let proxy = Proxy::to(&backend);
    let mut tunnel = open(&proxy);
    tunnel.client.end();
    assert_eq!(tunnel.hear(), "I heard you end");
    assert_eq!(tunnel.frame(), None);
}

#[test]
fn an_idle_tunnel_is_closed_in_time() {
    let backend = granting(Conn::until_closed);
    let proxy = Setup::of(&[&backend]).table("timeouts", "tunnel_idle = \"400ms\"").start();
    let begun = Instant::now();
    let mut tunnel = open(&proxy);
    assert_eq!(tunnel.frame(), None);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    eventually("the backend's connection is closed", || backend.open() == 0);
}

#[test]
fn a_tunnel_in_which_one_side_speaks_is_not_idle() {
    let backend = granting(|conn| {
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(150));
            conn.send(frame(TEXT, b"tick"));
        }
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "tunnel_idle = \"700ms\"").start();
    let mut tunnel = open(&proxy);
    for _ in 0..8 {
        assert_eq!(tunnel.hear(), "tick");
    }
}
