//! HTTP/2 to backends: what a request and a response become, and what ends them early.

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response};

use crate::frames;
use crate::support::authority::Authority;
use crate::support::http2::Http2Backend;
use crate::support::terminator::{Terminator, Terms};
use crate::support::websocket::ASK;
use crate::support::{Backend, Proxy, Setup, eventually, get};

pub(crate) fn setup(backends: &[&Http2Backend]) -> Setup {
    let backends: Vec<_> = backends.iter().map(|backend| (&*backend.name, backend.address)).collect();
    Setup::at(&backends).pool("protocol = \"http2\"")
}

fn start(backend: &Http2Backend) -> Proxy {
    setup(&[backend]).start()
}

#[test]
fn a_request_has_its_host_in_the_target_and_no_fields_of_one_hop() {
    let backend = Http2Backend::named("a");
    let proxy = start(&backend);
    let fields = [
        "Connection: keep-alive, X-Own",
        "X-Own: 1",
        "TE: trailers, gzip",
        "Cookie: a=1; b=2",
        "X-Two: 1",
        "X-Two: 2",
    ];
    let response = proxy.get("/path?q=%20", &fields);
    assert_eq!((response.status, response.text().as_str()), (200, "a"));
    assert_eq!(response.start_line(), "HTTP/1.1 200 OK");
    let asked = backend.request();
    assert_eq!(asked.uri.to_string(), "http://homing.test/path?q=%20");
    assert_eq!((asked.field("te"), asked.field("cookie")), (Some("trailers"), Some("a=1; b=2")));
    assert_eq!(asked.field("x-forwarded-host"), Some("homing.test"));
    assert_eq!(asked.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
    for absent in ["host", "connection", "keep-alive", "x-own", "transfer-encoding", "content-length"] {
        assert_eq!(asked.field(absent), None, "{absent}");
    }
}

#[test]
fn te_is_sent_only_where_the_client_takes_trailers() {
    let backend = Http2Backend::named("a");
    start(&backend).get("/", &["TE: gzip"]);
    assert_eq!(backend.request().field("te"), None);
}

#[test]
fn a_client_of_http_1_0_needs_no_host() {
    let backend = Http2Backend::named("a");
    let response = start(&backend).ask("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (200, "a"));
    assert_eq!((backend.request().uri.authority(), backend.request().uri.path()), (None, "/old"));
}

#[test]
fn the_server_itself_can_be_asked() {
    let backend = Http2Backend::named("a");
    let response = start(&backend).ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(backend.request().uri.path(), "*");
}

#[test]
fn a_body_of_known_length_keeps_it_and_one_of_unknown_has_none() {
    for (framing, length) in [
        ("Content-Length: 5\r\n\r\nhello", Some("5")),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", None),
    ] {
        let backend = Http2Backend::start("a", |mut exchange| {
            Box::pin(async move {
                let body = exchange.whole().await.unwrap();
                exchange.answer(200, std::str::from_utf8(&body).unwrap());
            })
        });
        let response = start(&backend).ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}"));
        assert_eq!(response.text(), "hello");
        assert_eq!(backend.request().field("content-length"), length);
        assert_eq!(backend.request().field("transfer-encoding"), None);
    }
}

#[test]
fn large_bodies_pass_both_ways() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            let body = exchange.whole().await.unwrap();
            let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(body.into(), true).unwrap();
            // A stream that is dropped with data unsent is reset.
            std::future::poll_fn(|cx| stream.poll_reset(cx)).await.ok();
        })
    });
    let proxy = start(&backend);
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
    let response = client.send(&body).response();
    assert!(response.complete && response.body == body, "{} octets", response.body.len());
}

#[test]
fn bodies_stream_both_ways_at_the_same_time() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
            while let Some(Ok(data)) = exchange.body.data().await {
                exchange.body.flow_control().release_capacity(data.len()).unwrap();
                stream.send_data(data, false).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
    });
    let proxy = start(&backend);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for word in ["one", "two"] {
        client.send(format!("3\r\n{word}\r\n"));
        assert_eq!(client.reader.take(8), format!("3\r\n{word}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.reader.take(5), b"0\r\n\r\n");
}

#[test]
fn answers_without_a_body_have_none() {
    for (request, status, length) in [("HEAD", 200, Some("7")), ("GET", 204, None), ("GET", 304, Some("7"))] {
        let backend = Http2Backend::start("a", move |mut exchange| {
            Box::pin(async move {
                let head = Response::builder().status(status);
                let head = length.map_or(Response::builder().status(status), |length| {
                    head.header("content-length", length)
                });
                exchange.respond.send_response(head.body(()).unwrap(), true).unwrap();
            })
        });
        let proxy = start(&backend);
        let mut client = proxy.connect();
        let response = client.send(format!("{request} / HTTP/1.1\r\nHost: h\r\n\r\n")).response_to_head();
        assert_eq!((response.status, response.field("content-length")), (status, length));
        let again = client.send(format!("{request} / HTTP/1.1\r\nHost: h\r\n\r\n")).response_to_head();
        assert_eq!(again.status, status, "nothing came in between");
    }
}

#[test]
fn trailers_do_not_break_an_answer() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
            stream.send_data("body".into(), false).unwrap();
            stream
                .send_trailers(HeaderMap::from_iter([("x-end".parse().unwrap(), "1".parse().unwrap())]))
                .unwrap();
        })
    });
    assert_eq!(start(&backend).get("/", &[]).text(), "body");
}

#[test]
fn a_websocket_is_not_offered() {
    let backend = Http2Backend::named("a");
    assert_eq!(start(&backend).get("/chat", &ASK).status, 200);
    assert_eq!(backend.request().field("upgrade"), None);
}

#[test]
fn the_body_waits_for_a_backend_that_is_asked_first() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            exchange.wait().await;
            exchange.respond.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
            let body = exchange.whole().await.unwrap();
            exchange.answer(200, std::str::from_utf8(&body).unwrap());
        })
    });
    let proxy = start(&backend);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    eventually("the head arrives", || backend.requests().len() == 1);
    backend.next.add_permits(1);
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("ok").response().text(), "ok");
}

// === TLS ===

#[test]
fn http2_is_agreed_on_by_alpn() {
    let authority = Authority::new("ca");
    let identity = authority.issue(&["127.0.0.1"]);
    let cases = [(&["h2", "http/1.1"][..], 200), (&["h2"], 200), (&["http/1.1"], 503), (&[], 503)];
    for (alpn, status) in cases {
        let backend = Http2Backend::named("a");
        let front = Terminator::start(&Terms { alpn, ..Terms::of(&identity) }, backend.address);
        let setup = Setup::at(&[("a", front.address)]).pool("protocol = \"http2\"");
        let proxy = setup.table("tls", &authority.ca()).start();
        assert_eq!(proxy.get("/", &[]).status, status, "{alpn:?}");
        if status == 200 {
            assert_eq!(front.handshakes()[0].alpn.as_deref(), Some("h2"));
            assert_eq!(backend.request().uri.scheme_str(), Some("https"));
        } else {
            assert!(backend.requests().is_empty());
        }
    }
}

#[test]
fn a_backend_that_speaks_http_1_only_is_no_backend() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).pool("protocol = \"http2\"").start();
    assert_eq!(proxy.get("/", &[]).status, 503);
    assert_eq!(proxy.status("a").failures_total, 1);
}

// === What ends early ===

#[test]
fn a_reset_before_the_head_is_a_bad_gateway() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let backend = Http2Backend::start("a", move |mut exchange| {
            Box::pin(async move { exchange.respond.send_reset(reason) })
        });
        let proxy = start(&backend);
        assert_eq!(proxy.get("/", &[]).status, 502, "{reason}");
        assert_eq!(backend.requests().len(), 1, "{reason}");
        assert_eq!(proxy.status("a").failures_total, 1);
    }
}

/// hyper takes the last two for the end of the body.
#[test]
fn a_reset_within_the_body_never_passes_for_its_end() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let backend = Http2Backend::start("a", move |mut exchange| {
            Box::pin(async move {
                let mut stream = exchange.respond.send_response(Response::new(()), false).unwrap();
                stream.send_data("part".into(), false).unwrap();
                exchange.wait().await;
                stream.send_reset(reason);
            })
        });
        let proxy = start(&backend);
        let mut client = proxy.connect();
        client.send(get("/", &[]));
        assert_eq!(client.head().status, 200);
        assert_eq!(client.octets(9), b"4\r\npart\r\n");
        backend.next.add_permits(1);
        assert_eq!(client.rest(), b"", "{reason}: no last chunk");
    }
}

#[test]
fn a_broken_connection_within_the_body_never_passes_for_its_end() {
    let backend = Backend::start("a", |conn| {
        frames::preface(conn);
        frames::greet(conn);
        let stream = frames::request(conn).unwrap();
        frames::begin(conn, stream);
        frames::data(conn, stream, "part");
        conn.next.wait();
    });
    let proxy = Setup::of(&[&backend]).pool("protocol = \"http2\"").start();
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.octets(9), b"4\r\npart\r\n");
    backend.next.open();
    assert_eq!(client.rest(), b"");
}

#[test]
fn nonsense_in_an_answer_is_a_bad_gateway() {
    let backend = Backend::start("a", |conn| {
        frames::preface(conn);
        frames::greet(conn);
        let stream = frames::request(conn).unwrap();
        // DATA before HEADERS (RFC 9113 §8.1).
        frames::data(conn, stream, "early");
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).pool("protocol = \"http2\"").start();
    assert_eq!(proxy.get("/", &[]).status, 502);
}

#[test]
fn a_head_that_is_too_long_is_a_bad_gateway() {
    for (octets, status) in [(60_000, 200), (70_000, 502)] {
        let backend = Http2Backend::start("a", move |mut exchange| {
            Box::pin(async move {
                let head = Response::builder().header("x-long", "x".repeat(octets)).body(()).unwrap();
                exchange.respond.send_response(head, true).unwrap();
            })
        });
        let proxy = start(&backend);
        assert_eq!(proxy.get("/", &[]).status, status, "{octets}");
    }
}

#[test]
fn an_answer_before_the_body_is_whole_passes_whole() {
    let backend = Backend::start("a", |conn| {
        frames::preface(conn);
        frames::greet(conn);
        let stream = frames::request(conn).unwrap();
        frames::answer(conn, stream, "too long");
        // RFC 9113 §8.1: the answer is whole, and the rest of the request is not wanted.
        frames::reset(conn, stream, frames::NO_ERROR);
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).pool("protocol = \"http2\"").start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf ");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "too long", true));
}

#[test]
fn a_client_that_gives_up_resets_its_stream_and_no_other() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            if exchange.head.uri.path() == "/kept" {
                exchange.wait().await;
                return exchange.answer(200, "kept");
            }
            let reason = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await;
            exchange.note(format!("{} {:?}", exchange.head.uri.path(), reason.unwrap()));
        })
    });
    let proxy = start(&backend);
    let mut kept = proxy.connect();
    kept.send(get("/kept", &[]));
    for request in
        [get("/given-up", &[]), "POST /given-up HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf".into()]
    {
        let (mut client, before) = (proxy.connect(), backend.requests().len());
        client.send(request);
        eventually("the request arrives", || backend.requests().len() > before);
        drop(client);
        eventually("it is given up", || {
            backend.notes().len() == backend.requests().len() - 1 || backend.requests().len() == 1
        });
    }
    eventually("both are given up", || backend.notes() == ["/given-up CANCEL"; 2]);
    eventually("one is left", || proxy.status("a").in_flight == 1);
    backend.next.add_permits(1);
    assert_eq!(kept.response().text(), "kept");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_given_up() {
    let backend = Http2Backend::start("a", |mut exchange| {
        Box::pin(async move {
            if exchange.head.uri.path() == "/slow" {
                let reason = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await;
                return exchange.note(format!("{:?}", reason.unwrap()));
            }
            exchange.answer(200, "a");
        })
    });
    let proxy = setup(&[&backend]).table("timeouts", "response = \"300ms\"").start();
    assert_eq!(proxy.get("/slow", &[]).status, 504);
    eventually("the stream is reset", || backend.notes() == ["CANCEL"]);
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(backend.connections(), 1);
}
