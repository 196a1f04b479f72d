//! The library's side: `Stop::Graceful` and `Stop::Now`.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use homing::server::Stop;

use crate::support::backend::ok;
use crate::support::websocket::{AGREE, BINARY, CLOSE, TEXT, Tunnel, echo, frame, masked, read_frame};
use crate::support::{Backend, Conn, Events, Proxy, Setup, eventually, get};

fn stopping(backend: &Backend, timeout: &str) -> Proxy {
    Setup::of(&[backend]).server(&format!("workers = 2\nshutdown_timeout = \"{timeout}\"")).start()
}

/// Waits for the proxy's end; how long that took.
fn wait(mut proxy: Proxy) -> Duration {
    let begun = Instant::now();
    proxy.server.take().unwrap().wait();
    begun.elapsed()
}

fn slow() -> Backend {
    Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.next.wait();
            conn.send(ok("finished"));
        }
    })
}

#[test]
fn with_nothing_open_it_ends_at_once() {
    let backend = Backend::named("a");
    let proxy = stopping(&backend, "1h");
    assert_eq!(proxy.get("/", &[]).status, 200);
    proxy.server().stop(Stop::Graceful);
    assert!(wait(proxy) < Duration::from_secs(3));
}

#[test]
fn requests_in_flight_finish_and_no_connections_are_accepted() {
    let backend = slow();
    let proxy = stopping(&backend, "1h");
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    eventually("the request is there", || backend.requests().len() == 1);
    proxy.server().stop(Stop::Graceful);
    let address = proxy.address;
    eventually("connections are refused", || TcpStream::connect(address).is_err());
    backend.next.open();
    let response = client.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("finished", Some("close")));
    assert!(client.is_closed());
    assert!(wait(proxy) < Duration::from_secs(3));
}

#[test]
fn a_response_body_on_its_way_finishes() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        conn.next.wait();
        conn.send(" last");
    });
    let proxy = stopping(&backend, "1h");
    let mut client = proxy.connect();
    client.send(get("/", &[])).head();
    assert_eq!(client.octets(5), b"first");
    proxy.server().stop(Stop::Graceful);
    let address = proxy.address;
    eventually("connections are refused", || TcpStream::connect(address).is_err());
    backend.next.open();
    assert_eq!(client.octets(5), b" last");
    wait(proxy);
}

#[test]
fn idle_connections_are_closed() {
    let backend = Backend::named("a");
    let proxy = stopping(&backend, "1h");
    let (mut used, mut fresh) = (proxy.connect(), proxy.connect());
    assert_eq!(used.get("/", &[]).status, 200);
    assert_eq!(fresh.send("").get("/", &[]).status, 200);
    proxy.server().stop(Stop::Graceful);
    assert!(used.is_closed() && fresh.is_closed());
    assert!(wait(proxy) < Duration::from_secs(3));
}

/// What was on its way when the proxy was told to stop is answered, once.
#[test]
fn a_connection_that_was_just_accepted_is_answered() {
    let backend = Backend::named("a");
    let authority = crate::support::authority::Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let (cert, key) = (issued.cert.display(), issued.key.display());
    let tls = format!("tls = [{{ cert = '{cert}', key = '{key}' }}]");
    for listener in ["", "http2 = false", &tls] {
        let proxy = Setup::of(&[&backend]).listener(listener).start();
        let hello = crate::support::secure::Hello::plain();
        let accepted = || proxy.control().status().listeners[0].connections;
        let response = if listener == tls {
            let mut client = hello.connect(proxy.address);
            proxy.server().stop(Stop::Graceful);
            client.get("/", &[])
        } else {
            let mut client = proxy.connect();
            eventually("it is in", || accepted() == 1);
            proxy.server().stop(Stop::Graceful);
            client.get("/", &[])
        };
        assert_eq!((response.status, response.field("connection")), (200, Some("close")), "{listener:?}");
        wait(proxy);
    }
}

/// And who says nothing holds nobody up.
#[test]
fn a_silent_connection_is_closed_soon() {
    let backend = Backend::named("a");
    let proxy = stopping(&backend, "1h");
    let mut silent = proxy.connect();
    eventually("it is in", || proxy.control().status().listeners[0].connections == 1);
    proxy.server().stop(Stop::Graceful);
    assert!(silent.is_closed());
    wait(proxy);
}

#[test]
fn what_takes_longer_than_allowed_is_cut() {
    let backend = slow();
    let proxy = stopping(&backend, "700ms");
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    eventually("the request is there", || backend.requests().len() == 1);
    proxy.server().stop(Stop::Graceful);
    let took = wait(proxy);
    assert!(took >= Duration::from_millis(650) && took < Duration::from_secs(3), "{took:?}");
    assert!(client.is_closed());
}

#[test]
fn tunnels_are_closed_near_the_end_and_work_until_then() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = stopping(&backend, "2s");
    let mut tunnels: Vec<Tunnel> =
        (0..8).map(|room| Tunnel::open(proxy.connect(), &format!("/{room}"))).collect();
    for tunnel in &mut tunnels {
        tunnel.hear();
    }
    let begun = Instant::now();
    proxy.server().stop(Stop::Graceful);
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.say("still open").hear(), "still open");
    }
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.close_code(), Some(1001));
    }
    let closed = begun.elapsed();
    assert!(closed >= Duration::from_millis(450), "too early: {closed:?}");
    drop(tunnels);
    wait(proxy);
    assert!(begun.elapsed() < Duration::from_millis(2900), "{:?}", begun.elapsed());
}

#[test]
fn tunnels_of_one_key_are_closed_together() {
    let events = Events::default();
    let backend = echo("a", &events);
    let server = "workers = 2\nshutdown_timeout = \"4s\"";
    let proxy = Setup::of(&[&backend]).server(server).sticky("\"path:/{room}\"").start();
    let tunnels: Vec<Tunnel> = (0..6).map(|_| Tunnel::open(proxy.connect(), "/room")).collect();
    proxy.server().stop(Stop::Graceful);
    let closing = |mut tunnel: Tunnel| std::thread::spawn(move || (tunnel.close_code(), Instant::now()));
    let threads: Vec<_> = tunnels.into_iter().map(closing).collect();
    let ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(ends.iter().all(|(code, _)| *code == Some(1001)));
    let (first, last) =
        (ends.iter().map(|end| end.1).min().unwrap(), ends.iter().map(|end| end.1).max().unwrap());
    assert!(last - first < Duration::from_millis(600), "{:?} apart", last - first);
}

/// Sends frames in halves for as long as anybody listens.
fn babble(conn: &mut Conn) {
    let whole = frame(BINARY, b"0123456789");
    let (one, other) = whole.split_at(7);
    while conn.send(one) {
        std::thread::sleep(Duration::from_millis(20));
        if !conn.send(other) {
            return;
        }
    }
}

#[test]
fn the_close_to_a_client_comes_between_two_frames() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send(format!("{AGREE}\r\n"));
        babble(conn);
    });
    let proxy = stopping(&backend, "1s");
    let mut tunnels: Vec<Tunnel> = (0..6).map(|_| Tunnel::open(proxy.connect(), "/")).collect();
    proxy.server().stop(Stop::Graceful);
    for tunnel in &mut tunnels {
        let mut frames = 0;
        let end = loop {
            let next = tunnel.frame().expect("a Close before the end");
            if next.opcode != BINARY {
                break next;
            }
            assert_eq!(next.payload, b"0123456789");
            frames += 1;
        };
        assert_eq!((end.opcode, end.code(), frames > 0), (CLOSE, Some(1001), true));
        assert_eq!(tunnel.frame(), None, "nothing follows a Close");
    }
}

#[test]
fn the_close_to_a_backend_comes_between_two_frames() {
    let events = Events::default();
    let log = events.clone();
    let backend = Backend::start("a", move |conn| {
        conn.request();
        conn.send(format!("{AGREE}\r\n"));
        let whole = |payload: &[u8]| payload == b"0123456789";
        while let Some(next) = read_frame(&mut conn.reader) {
            match next.opcode {
                BINARY if whole(&next.payload) => {}
                CLOSE => log.note(format!("closed {:?}", next.code())),
                _ => log.note(format!("torn {next:?}")),
            }
        }
        log.note(format!("end, {} octets left", conn.reader.buffer.len()));
    });
    let proxy = stopping(&backend, "1s");
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    proxy.server().stop(Stop::Graceful);
    let whole = masked(BINARY, b"0123456789");
    let (one, other) = whole.split_at(9);
    while std::io::Write::write_all(&mut tunnel.client.reader.source, one).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
        let _ = std::io::Write::write_all(&mut tunnel.client.reader.source, other);
    }
    eventually("the backend saw the end", || events.all().len() == 2);
    assert_eq!(events.all(), ["closed Some(1001)", "end, 0 octets left"]);
}

#[test]
fn a_client_that_has_closed_already_is_not_told_again() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send(format!("{AGREE}\r\n"));
        conn.send(frame(CLOSE, &1000_u16.to_be_bytes()));
        conn.until_closed();
    });
    let proxy = stopping(&backend, "600ms");
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    assert_eq!(tunnel.frame().unwrap().code(), Some(1000));
    proxy.server().stop(Stop::Graceful);
    assert_eq!(tunnel.frame(), None);
}

#[test]
fn now_is_now() {
    let events = Events::default();
    let (tunnels, waiting) = (echo("a", &events), slow());
    for backend in [&tunnels, &waiting] {
        let proxy = stopping(backend, "1h");
        let mut client = proxy.connect();
        if backend.name == "a" && std::ptr::eq(backend, &raw const tunnels) {
            client = Tunnel::open(client, "/").client;
        } else {
            client.send(get("/", &[]));
            eventually("the request is there", || waiting.requests().len() == 1);
        }
        proxy.server().stop(Stop::Now);
        assert!(wait(proxy) < Duration::from_secs(2));
        client.rest();
    }
}

#[test]
fn stopping_can_be_made_faster_and_not_undone() {
    let backend = slow();
    let proxy = stopping(&backend, "1h");
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    eventually("the request is there", || backend.requests().len() == 1);
    proxy.server().stop(Stop::Graceful);
    proxy.server().stopper().stop(Stop::Now);
    proxy.server().stop(Stop::Graceful);
    assert!(wait(proxy) < Duration::from_secs(2));
    assert!(client.is_closed());
}

#[test]
fn a_tunnel_that_is_about_to_open_is_not_left_behind() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
        conn.send(format!("{AGREE}\r\n"));
        conn.send(frame(TEXT, b"hello"));
        conn.until_closed();
    });
    let proxy = stopping(&backend, "2s");
    let mut client = proxy.connect();
    client.send(get("/", &crate::support::websocket::ASK));
    backend.request();
    proxy.server().stop(Stop::Graceful);
    backend.next.open();
    assert_eq!(client.head().status, 101);
    assert_eq!(read_frame(&mut client.reader).unwrap().text(), "hello");
    assert_eq!(read_frame(&mut client.reader).unwrap().code(), Some(1001));
    assert!(wait(proxy) < Duration::from_secs(4));
}
