//! Frames in masses, cheap to send and costly to serve (§10.5): the proxy closes the connection or bears them, and
//! serves others meanwhile.

use crate::case::{each, goes_on};
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup, eventually};

/// What cannot be borne ends in this.
const CALM: End = End::GoAway(ENHANCE_YOUR_CALM);

/// Octets of memory that this process holds.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn floods_are_borne_or_ended() {
    let open = headers(1, 0, &request("POST", "/held"));
    let cases = [
        ("CVE-2019-9512", "PING", vec![], frame(PING, 0, 0, [0; 8])),
        ("CVE-2019-9515", "SETTINGS", vec![], settings(&[])),
        ("CVE-2019-9515", "SETTINGS that change the window", vec![], settings(&[(4, 1), (4, 65_535)])),
        ("CVE-2019-9518", "empty DATA", open.clone(), data(1, 0, "")),
        ("CVE-2019-9518", "DATA of padding alone", open.clone(), frame(DATA, PADDED, 1, [0])),
        ("CVE-2019-9518", "DATA of one octet", open.clone(), data(1, 0, "x")),
        ("CVE-2019-9513", "PRIORITY", vec![], frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
        ("§10.5", "WINDOW_UPDATE", vec![], window_update(0, 1)),
        ("§10.5", "frames of an unknown kind", vec![], frame(0xbe, 0, 0, [])),
        ("§10.5", "PING that answers nothing", vec![], frame(PING, ACK, 0, [0; 8])),
    ];
    each(
        &cases,
        |case| (case.0, case.1),
        |(_, _, before, flood)| {
            let backend = Backend::start("a", |conn| {
                // Never reads a body.
                while conn.head().is_some_and(|head| head.target() != "/held") {
                    conn.send(crate::support::backend::ok("a"));
                }
                conn.until_closed();
            });
            let proxy = Proxy::to(&backend);
            let mut peer = Peer::open(proxy.address);
            peer.send(before);
            // Read while it is sent, so that only the proxy's own bounds count.
            let mut all = peer.reader.source.try_clone().unwrap();
            let many = flood.repeat(1000);
            let base = resident();
            let sending = std::thread::spawn(move || {
                use std::io::Write as _;
                (0..50).all(|_| all.write_all(&many).is_ok())
                    && all.write_all(&frame(PING, 0, 0, b"the last")).is_ok()
            });
            peer.hears(b"the last");
            let grown = resident().saturating_sub(base);
            assert!(grown < 64 << 20, "{grown} octets more");
            sending.join().unwrap();
            goes_on(&mut Peer::open(proxy.address));
        },
    );
}

/// A client that makes the proxy answer, and does not read: what waits for it is bounded.
#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    for (rule, flood) in [("CVE-2019-9512", frame(PING, 0, 0, [0; 8])), ("CVE-2019-9515", settings(&[]))] {
        let peer = Peer::open(proxy.address);
        let mut socket = peer.reader.source.try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        let base = resident();
        let many = flood.repeat(4000);
        // The proxy stops to read when its answers are not taken: then the kernel's buffers fill.
        let stuck = (0..10_000).any(|_| {
            use std::io::Write as _;
            let is_full = socket.write(&many).is_err();
            if is_full {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            is_full && socket.write(&many).is_err()
        });
        assert!(stuck, "{rule}: everything was taken");
        assert!(resident().saturating_sub(base) < 64 << 20, "{rule}");
        goes_on(&mut Peer::open(proxy.address));
    }
}

/// CVE-2023-44487: streams that are opened and reset at once.
#[test]
fn rapid_resets_are_cut_off() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some_and(|request| request.target() == "/after") {
            conn.send(crate::support::backend::ok("a"));
        }
        conn.until_closed();
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let burst: Vec<u8> = (0..400)
        .flat_map(|n| [headers(2 * n + 1, END_STREAM, &get("/")), reset(2 * n + 1, CANCEL)].concat())
        .collect();
    peer.try_send(burst);
    assert_eq!(peer.end(), CALM);
    goes_on(&mut Peer::open(proxy.address));
}

/// The same one after the other, so that each is on its way to a backend when it is reset.
#[test]
fn resets_one_by_one_are_cut_off() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some_and(|request| request.target() == "/after") {
            conn.send(crate::support::backend::ok("a"));
        }
        conn.until_closed();
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let mut asked = 0;
    for n in 0..2000 {
        let stream = 2 * n + 1;
        if !peer.try_send(headers(stream, END_STREAM, &get("/"))) {
            break;
        }
        asked += 1;
        let mark = u64::from(stream).to_be_bytes();
        if !peer.try_send(frame(PING, 0, 0, mark))
            || !peer.hears(&mark)
            || !peer.try_send(reset(stream, CANCEL))
        {
            break;
        }
    }
    assert_eq!(peer.end(), CALM, "after {asked}");
    goes_on(&mut Peer::open(proxy.address));
    eventually("nothing is left of them", || proxy.status("a").in_flight == 0);
}

/// A client that gives up what it no longer needs, as browsers do, is no attacker.
#[test]
fn resets_now_and_then_are_fine() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/given-up" {
                return conn.until_closed();
            }
            conn.send(crate::support::backend::ok("a"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    for _ in 0..300 {
        let stream = peer.ask(&get("/given-up"));
        peer.settle();
        peer.send(reset(stream, CANCEL));
        assert_eq!(peer.get("/1").status(), 200);
        assert_eq!(peer.get("/2").status(), 200);
    }
}

/// CVE-2025-8671: a client that makes the proxy reset its streams, by what it does wrong.
#[test]
fn resets_by_the_proxy_are_cut_off_too() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some_and(|request| request.target() == "/after") {
            conn.send(crate::support::backend::ok("a"));
        }
        conn.until_closed();
    });
    let proxy = Proxy::to(&backend);
    let wrong: [(&str, fn(u32) -> Vec<u8>); 3] = [
        ("a window of 0", |stream| window_update(stream, 0)),
        ("a window that overflows", |stream| window_update(stream, 0x7fff_ffff)),
        ("malformed requests", |_| Vec::new()),
    ];
    for (what, mistake) in wrong {
        let mut peer = Peer::open(proxy.address);
        for n in 0..2000 {
            let stream = 2 * n + 1;
            let mut fields = get("/");
            if what == "malformed requests" {
                fields.push(("connection", "x"));
            }
            if !peer.try_send([headers(stream, END_STREAM, &fields), mistake(stream)].concat()) {
                break;
            }
        }
        let end = peer.end();
        // Where the proxy closes while more comes, what it has said may be lost.
        assert!(
            matches!(end, End::GoAway(ENHANCE_YOUR_CALM | PROTOCOL_ERROR) | End::Silent),
            "{what}: {end:?}"
        );
        goes_on(&mut Peer::open(proxy.address));
    }
    eventually("nothing is left of them", || proxy.status("a").in_flight == 0);
}

/// Requests in masses keep to the number that was agreed, whatever is refused.
#[test]
fn more_requests_than_agreed_never_reach_a_backend() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).limits("streams = 10").start();
    let mut peer = Peer::open(proxy.address);
    peer.until("settings are agreed", |peer| peer.settings.contains_key(&3));
    peer.settle();
    let all: Vec<u8> = (0..2000).flat_map(|n| headers(2 * n + 1, END_STREAM, &get("/"))).collect();
    peer.try_send([all, frame(PING, 0, 0, b"the last")].concat());
    // What is refused counts as what the client does wrong, of which there may be so much.
    let end = if peer.hears(b"the last") { End::Silent } else { peer.end() };
    assert!(matches!(end, CALM | End::Silent), "{end:?}");
    goes_on_elsewhere(&proxy);
    assert!(backend.requests().len() <= 10, "{}", backend.requests().len());
}

fn goes_on_elsewhere(proxy: &Proxy) {
    // The backend answers nobody; that the proxy takes new connections is what counts.
    Peer::open(proxy.address).settle();
}
