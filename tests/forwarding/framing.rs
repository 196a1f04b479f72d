//! One well-framed request to the backend for each request of a client, whatever its framing was.
//!
//! The backend reads strictly, and what is no whole request fails the test: a body that is lost, or left over, would be
//! the start of the next request.

use crate::support::{Backend, Message, Proxy};

const CHUNKED: &str = "Transfer-Encoding: chunked";

fn with_fields(method: &str, fields: &[&str], body: &str) -> String {
    let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
    format!("{method} /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

/// Sends a request and an ordinary one behind it on the same connection; returns what the backend got of the first.
#[track_caller]
fn forwarded(request: &str) -> Message {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(request);
    assert_eq!(client.response().status, 200, "{request:?}");
    assert_eq!(client.get("/next", &[]).status, 200, "{request:?}");
    let mut requests = backend.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!((requests[1].target(), requests[1].text().as_str()), ("/next", ""));
    requests.remove(0)
}

#[track_caller]
fn assert_refused(request: &str, status: u16) {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(request);
    assert_eq!(client.response().status, status, "{request:?}");
    assert!(client.is_closed(), "what follows {request:?} means nothing");
    assert!(backend.requests().is_empty(), "{request:?}");
}

#[test]
fn bodies_of_known_length_keep_it_with_any_method() {
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS", "HEAD2"] {
        let request = forwarded(&with_fields(method, &["Content-Length: 5"], "hello"));
        assert_eq!(
            (request.field("content-length"), request.text().as_str()),
            (Some("5"), "hello"),
            "{method}"
        );
    }
}

#[test]
fn chunked_bodies_stay_chunked_with_any_method() {
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS"] {
        let body = "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n";
        let request = forwarded(&with_fields(method, &[CHUNKED], body));
        assert!(request.is_chunked(), "{method}: {}", request.head);
        assert_eq!(request.text(), "hello world", "{method}");
    }
}

#[test]
fn an_empty_body_is_no_body() {
    assert_eq!(
        forwarded(&with_fields("POST", &["Content-Length: 0"], "")).field("content-length"),
        Some("0")
    );
    assert_eq!(forwarded(&with_fields("GET", &[], "")).length(), None);
    assert_eq!(forwarded(&with_fields("POST", &[CHUNKED], "0\r\n\r\n")).text(), "");
}

/// Trailer fields go through where they are announced and may come last (RFC 9110 §6.5.1); `TE` says that they are
/// welcome, to this hop and to the next (§10.1.4).
#[test]
fn announced_trailers_go_through_and_do_not_break_the_framing() {
    let body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Unannounced: 2\r\nHost: evil\r\n\r\n";
    let fields = [CHUNKED, "Trailer: X-Sum, Host", "TE: trailers"];
    let request = forwarded(&with_fields("POST", &fields, body));
    assert_eq!((request.text().as_str(), request.field("host")), ("abc", Some("h")));
    assert_eq!(request.trailers, ["x-sum: 1"]);
    assert_eq!((request.field("te"), request.field("connection")), (Some("trailers"), Some("te")));
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: X-Sum\r\n\r\n\
                  3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n";
    let backend = Backend::answering("a", answer);
    let proxy = Proxy::to(&backend);
    let response = proxy.ask("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    assert_eq!((response.text().as_str(), &response.trailers[..]), ("abc", &["x-sum: 1".to_owned()][..]));
    assert!(proxy.get("/", &[]).trailers.is_empty(), "nobody asked for them");
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let smuggled = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
    let length = format!("Content-Length: {}", smuggled.len());
    assert_eq!(forwarded(&with_fields("GET", &[&length], smuggled)).text(), smuggled);
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    assert_eq!(forwarded(&with_fields("GET", &[CHUNKED], &chunk)).text(), smuggled);
}

#[test]
fn codings_other_than_one_chunked_are_refused() {
    for coding in ["gzip, chunked", "chunked, chunked", "identity", "gzip", "xchunked", "chunked, identity"] {
        let backend = Backend::named("a");
        let request = with_fields("POST", &[&format!("Transfer-Encoding: {coding}")], "0\r\n\r\n");
        let status = Proxy::to(&backend).ask(request).status;
        assert!(matches!(status, 400 | 501), "{coding}: {status}");
        assert!(backend.requests().is_empty(), "{coding}");
    }
    assert_refused(&with_fields("POST", &["Transfer-Encoding: gzip, chunked"], ""), 501);
    assert_refused(&with_fields("POST", &["Transfer-Encoding: x", CHUNKED], ""), 501);
    assert_refused(&with_fields("POST", &[CHUNKED, CHUNKED], ""), 501);
}

#[test]
fn the_coding_may_be_spelt_in_any_case() {
    assert!(
        forwarded(&with_fields("POST", &["transfer-encoding:  CHUNKED "], "1\r\nx\r\n0\r\n\r\n"))
            .is_chunked()
    );
}

#[test]
fn a_length_beside_a_coding_never_reaches_the_backend() {
    for fields in [["Content-Length: 4", CHUNKED], [CHUNKED, "Content-Length: 4"]] {
        let backend = Backend::named("a");
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        client.send(with_fields(
            "POST",
            &fields,
            "2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        ));
        let status = client.response().status;
        client.rest();
        let requests = backend.requests();
        match status {
            400 => assert!(requests.is_empty()),
            _ => assert_eq!((requests.len(), requests[0].text().as_str()), (1, "ab"), "{requests:?}"),
        }
    }
}

#[test]
fn lengths_that_differ_or_are_no_numbers_are_refused() {
    assert_refused(&with_fields("POST", &["Content-Length: 1", "Content-Length: 2"], "ab"), 400);
    for length in ["-1", "+1", "0x1", "1, 2", "99999999999999999999", "1 1", "a"] {
        assert_refused(&with_fields("POST", &[&format!("Content-Length: {length}")], "ab"), 400);
    }
}

#[test]
fn equal_lengths_become_one() {
    let request = forwarded(&with_fields("POST", &["Content-Length: 2", "Content-Length: 2"], "ab"));
    assert_eq!(request.all("content-length"), ["2"]);
}

#[test]
fn codings_of_old_clients_are_refused() {
    let backend = Backend::named("a");
    let request = "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    assert_eq!(Proxy::to(&backend).ask(request).status, 400);
    assert!(backend.requests().is_empty());
}

#[test]
fn chunks_that_are_no_chunks_break_the_request_off() {
    for chunks in ["x\r\n", "-1\r\n", "1\r\nabc\r\n0\r\n\r\n", "fffffffffffffffff\r\n"] {
        let backend = Backend::named("a");
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        assert_eq!(client.send(with_fields("POST", &[CHUNKED], chunks)).response().status, 400, "{chunks:?}");
        assert!(client.is_closed());
        assert!(backend.garbage().len() < 2, "at most the beginning of one request");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            conn.send(crate::support::backend::ok(&format!("{} {}", request.target(), request.text())));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let post = |n| format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{n:02}");
    client.send((0..20).map(post).collect::<Vec<_>>().concat());
    for n in 0..20 {
        assert_eq!(client.response().text(), format!("/{n} {n:02}"));
    }
}
