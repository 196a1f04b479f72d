//! Flow control (§5.2, §6.9): nobody sends more than there is room for, and who does not read harms nobody else.

use crate::case::goes_on;
use crate::support::raw_http2::*;
use crate::support::{Backend, Proxy, Setup, eventually};

const LARGE: usize = 1 << 20;

/// Answers `/large` with a mebibyte, and others with its name.
fn large() -> Backend {
    Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/empty" {
                conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                conn.next.wait();
                conn.send("0\r\n\r\n");
            } else if request.target().starts_with("/large") {
                conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"));
                conn.send("x".repeat(LARGE));
            } else {
                conn.send(crate::support::backend::ok("a"));
            }
        }
    })
}

/// §6.9: the reader counts every octet against its windows.
#[test]
fn responses_keep_to_the_windows() {
    let backend = large();
    let proxy = Proxy::to(&backend);
    for window in [1, 100, 16_384, 65_535, 1 << 20] {
        let mut peer = Peer::open_with(proxy.address, &[(4, window)]);
        // One octet at a time for a mebibyte would take long.
        let path = if window < 100 { "/small" } else { "/large" };
        let got = peer.get(path);
        let length = if window < 100 { 1 } else { LARGE };
        assert_eq!((got.ended, got.body.len()), (true, length), "a window of {window}");
    }
}

/// §6.9.2: a window that is 0 holds back bodies, not heads, and opens by SETTINGS or by `WINDOW_UPDATE`.
#[test]
fn a_closed_window_holds_back_bodies_only() {
    let backend = large();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open_with(proxy.address, &[(4, 0)]);
    let stream = peer.ask(&get("/"));
    peer.until("the head is there", |peer| !peer.on(stream).head.is_empty());
    peer.settle();
    assert!(peer.on(stream).body.is_empty());
    peer.grant(stream, 1);
    assert_eq!(peer.answer(stream).text(), "a");
    let stream = peer.ask(&get("/large"));
    peer.until("the head is there", |peer| !peer.on(stream).head.is_empty());
    peer.window = 65_535;
    peer.send(settings(&[(4, 65_535)]));
    assert_eq!(peer.answer(stream).body.len(), LARGE);
}

/// §6.9.2: a window may become negative; then it must grow beyond 0 first.
#[test]
fn a_window_may_shrink_below_what_was_sent() {
    let backend = large();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    peer.reading = Reading::Not;
    peer.grant(0, 1 << 20);
    let stream = peer.ask(&get("/large"));
    peer.until("the window is full", |peer| peer.on(stream).body.len() == 65_535);
    peer.send(settings(&[(4, 100)]));
    peer.until("it is acknowledged", |peer| peer.acknowledged == 2);
    peer.grant(stream, 65_000);
    peer.settle();
    assert_eq!(peer.on(stream).body.len(), 65_535, "65,000 are not enough");
    // Now 100 and what was granted count, which the reader sees to.
    peer.window = 100;
    peer.grant(stream, 2000);
    peer.until("the rest comes", |peer| peer.on(stream).body.len() == 65_535 + 1565);
}

#[test]
fn windows_of_streams_grow_within_limits() {
    let cases =
        [("§6.9", "by 0", 0, PROTOCOL_ERROR), ("§6.9.1", "beyond 2^31-1", 0x7fff_ffff, FLOW_CONTROL_ERROR)];
    let backend = large();
    let proxy = Proxy::to(&backend);
    for (rule, what, octets, code) in cases {
        let mut peer = Peer::open(proxy.address);
        peer.reading = Reading::Not;
        let stream = peer.ask(&get("/large"));
        peer.until("it is under way", |peer| !peer.on(stream).body.is_empty());
        peer.send(window_update(stream, octets).repeat(2));
        peer.until("it is refused", |peer| peer.on(stream).reset.is_some() || !peer.goaways.is_empty());
        let code_seen = peer.on(stream).reset.or(peer.goaways.first().map(|(code, _)| *code));
        assert_eq!(code_seen, Some(code), "{rule}: {what}");
        goes_on(&mut Peer::open(proxy.address));
    }
    // §6.9.2: a change of all windows that makes one of them too large.
    let mut peer = Peer::open(proxy.address);
    peer.reading = Reading::Not;
    let stream = peer.ask(&get("/large"));
    peer.until("it is under way", |peer| !peer.on(stream).body.is_empty());
    peer.send([window_update(stream, 0x7fff_0000), settings(&[(4, 0x7fff_ffff)])].concat());
    peer.until("it is refused", |peer| peer.on(stream).reset.is_some() || !peer.goaways.is_empty());
    assert!(matches!(peer.end(), End::GoAway(FLOW_CONTROL_ERROR)), "{:?}", peer.goaways);
}

/// §6.9.1: a client that sends more than it may. What the proxy takes ahead of a slow backend is bounded by that.
#[test]
fn a_client_keeps_to_the_windows() {
    let backend = Backend::start("a", |conn| {
        if conn.head().is_some_and(|head| head.target() == "/after") {
            conn.send(crate::support::backend::ok("a"));
        } else {
            conn.next.wait();
        }
    });
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    peer.until("the settings are there", |peer| !peer.settings.is_empty());
    let window = peer.settings.get(&4).copied().unwrap_or(65_535);
    let stream = peer.start(0, &request("POST", "/upload"));
    let frame = data(stream, 0, [b'x'; 16_384]);
    let mut refused = false;
    // What a backend's socket takes without reading is a few mebibytes; the window stays where it was then.
    for _ in 0..4096 {
        peer.settle();
        refused = peer.on(stream).reset == Some(FLOW_CONTROL_ERROR)
            || peer.goaways.contains(&(FLOW_CONTROL_ERROR, 1));
        if refused || !peer.try_send(&frame) {
            break;
        }
    }
    assert!(refused && window <= 1 << 20, "a window of {window}");
    backend.next.open();
    goes_on(&mut Peer::open(proxy.address));
}

/// An upload of many windows arrives whole: room is made as the backend takes it.
#[test]
fn uploads_larger_than_a_window_arrive() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post("http://h/upload").body(()).unwrap();
        let (response, mut send) = client.send_request(request, false).unwrap();
        let mut left = bytes::Bytes::from(vec![b'x'; 3 * LARGE]);
        while !left.is_empty() {
            send.reserve_capacity(left.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            send.send_data(left.split_to(room.min(left.len())), false).unwrap();
        }
        send.send_data(bytes::Bytes::new(), true).unwrap();
        response.await.unwrap().status()
    });
    assert_eq!(status, 200);
    assert_eq!(backend.request().body.len(), 3 * LARGE);
}

/// §5.2.2, CVE-2019-9517: a response that nobody reads is reset in time; others of the connection go on.
#[test]
fn a_stream_that_nobody_reads_is_reset_alone() {
    let backend = large();
    let proxy = Setup::of(&[&backend]).table("timeouts", "idle = \"500ms\"").start();
    let mut peer = Peer::open(proxy.address);
    // The connection has room; the streams do not.
    peer.reading = Reading::Not;
    peer.grant(0, 1 << 24);
    let stalled = peer.ask(&get("/large"));
    peer.until("its window is full", |peer| peer.on(stalled).body.len() == 65_535);
    let mut asked = 0;
    while peer.on(stalled).reset.is_none() {
        assert_eq!(peer.get("/other").text(), "a");
        asked += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(asked > 1, "others went on meanwhile");
    assert_eq!(peer.on(stalled).reset, Some(CANCEL));
    assert!(!peer.on(stalled).ended);
    goes_on(&mut peer);
    eventually("the exchange is over", || proxy.status("a").in_flight == 0);
}

/// CVE-2019-9517: nor does a connection that is not read at all hold anything for longer.
#[test]
fn a_connection_that_nobody_reads_frees_its_exchanges() {
    let backend = large();
    let proxy = Setup::of(&[&backend]).table("timeouts", "idle = \"300ms\"").start();
    let mut peer = Peer::open_with(proxy.address, &[(4, 0x7fff_ffff)]);
    peer.reading = Reading::Not;
    peer.grant(0, 0x7000_0000);
    let asked: Vec<u8> = (0..50).flat_map(|n| headers(2 * n + 1, END_STREAM, &get("/large"))).collect();
    peer.send(asked);
    eventually("they are at the backend", || backend.connections() > 0);
    eventually("they are given up", || proxy.status("a").in_flight == 0 && backend.requests().len() >= 50);
    goes_on(&mut Peer::open(proxy.address));
}

/// §5.2: streams share what the connection has room for, a frame of each in turn.
#[test]
fn bodies_take_turns() {
    let backend = large();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open_with(proxy.address, &[(4, 1 << 24)]);
    peer.reading = Reading::Not;
    let streams: Vec<u32> = (0..4).map(|_| peer.ask(&get("/large"))).collect();
    let received = |peer: &Peer| streams.iter().map(|stream| peer.on(*stream).body.len()).collect::<Vec<_>>();
    peer.until("the connection's window is full", |peer| received(peer).iter().sum::<usize>() == 65_535);
    peer.until("all have begun", |peer| streams.iter().all(|stream| !peer.on(*stream).head.is_empty()));
    // Now all wait for room, each with something to send.
    let before = received(&peer);
    for round in 1..=10 {
        peer.grant(0, 4 * 16_384);
        peer.until("it is used", |peer| received(peer).iter().sum::<usize>() == 65_535 + round * 4 * 16_384);
        for (now, before) in received(&peer).iter().zip(&before) {
            let more = now - before;
            let share = round * 16_384;
            assert!(more.abs_diff(share) <= 2 * 16_384, "{more} octets after {round} rounds of {share}");
        }
    }
}

/// §5.2: whatever the windows are, and whoever is slower, bodies arrive as they were sent.
#[test]
fn bodies_arrive_whole_both_ways_at_one_time() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            conn.send(crate::support::backend::ok(&request.text()));
        }
    });
    let proxy = Proxy::to(&backend);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (window, connection_window) in [(100, 65_535), (20_000, 70_000), (1 << 20, 65_535), (65_535, 1 << 20)]
    {
        runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(window).initial_connection_window_size(connection_window);
            let (client, connection) = builder.handshake::<_, bytes::Bytes>(socket).await.unwrap();
            tokio::spawn(connection);
            let echoes = (0..40).map(|n| {
                let length = if window < 1000 { n * 50 } else { n * 7919 };
                echo(client.clone(), u8::try_from(n).unwrap(), length)
            });
            let echoes: Vec<_> = echoes.map(tokio::spawn).collect();
            for echo in echoes {
                echo.await.unwrap();
            }
        });
    }
    eventually("nothing is left", || proxy.status("a").in_flight == 0);
}

/// Sends so many of an octet, in pieces of several sizes, and reads them back.
async fn echo(client: h2::client::SendRequest<bytes::Bytes>, octet: u8, length: usize) {
    let mut client = client.ready().await.unwrap();
    let (response, mut send) =
        client.send_request(http::Request::post("http://h/echo").body(()).unwrap(), false).unwrap();
    let mut left = bytes::Bytes::from(vec![octet; length]);
    while !left.is_empty() {
        send.reserve_capacity(left.len().min(usize::from(octet) * 333 + 1));
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
        send.send_data(left.split_to(room.min(left.len())), false).unwrap();
    }
    send.send_data(bytes::Bytes::new(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut got = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        got.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(got == vec![octet; length], "{} of {length} octets of {octet}", got.len());
}

/// §6.9: what is refused counts no longer against what the connection has room for, however much that was.
#[test]
fn refused_bodies_leave_their_room_to_others() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    for n in 0..200 {
        // In one piece, so that it may have come whole before anybody looks at it.
        let stream = 2 * n + 1;
        let padded = with(request("POST", "/refused"), &[("x", " padded")]);
        peer.send([headers(stream, 0, &padded), data(stream, END_STREAM, [b'x'; 16_000])].concat());
        assert_eq!(peer.answer(stream).status(), 400);
    }
    peer.skip_to(1001);
    let stream = peer.start(0, &request("POST", "/after"));
    peer.send(data(stream, END_STREAM, [b'x'; 16_000]));
    assert_eq!(peer.answer(stream).status(), 200);
    assert_eq!(backend.requests().len(), 1);
}

/// §6.9.1: an end without octets needs no room.
#[test]
fn an_end_does_not_wait_for_room() {
    let backend = large();
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open_with(proxy.address, &[(4, 1 << 24)]);
    peer.reading = Reading::Not;
    let (large, empty) = (peer.ask(&get("/large")), peer.ask(&get("/empty")));
    peer.until("the window is full", |peer| peer.on(large).body.len() == 65_535);
    peer.until("the other has begun", |peer| peer.on(empty).status() == 200);
    backend.next.open();
    assert!(peer.answer(empty).ended);
}
