//! Responses: framing, those without a body, and that one that was cut short never looks complete.

use crate::support::{Backend, Client, Proxy, Response, get};

/// A client that has asked, and whom.
struct Asked {
    client: Client,
    backend: Backend,
    _proxy: Proxy,
}

impl Asked {
    #[track_caller]
    fn response(&mut self) -> Response {
        self.client.response()
    }
}

/// Asks a backend that answers this, and then closes.
fn asked(request: &str, answer: &str) -> Asked {
    let answer = answer.to_owned();
    let backend = Backend::start("a", move |conn| {
        if conn.request().is_some() {
            conn.send(&answer);
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(request);
    Asked { client, backend, _proxy: proxy }
}

fn got(answer: &str) -> Asked {
    asked(&get("/", &[]), answer)
}

#[test]
fn bodies_of_known_length_keep_it() {
    let mut asked = got("HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nhello");
    let response = asked.response();
    assert_eq!((response.status, response.length(), response.text().as_str()), (201, Some(5), "hello"));
}

#[test]
fn chunked_bodies_stay_chunked() {
    let mut asked = got(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nX-T: 1\r\n\r\n",
    );
    let response = asked.response();
    assert!(response.is_chunked() && response.complete);
    assert_eq!(response.text(), "abc");
}

#[test]
fn a_body_up_to_the_end_of_the_connection_gets_a_framing() {
    let mut asked = got("HTTP/1.1 200 OK\r\n\r\nall there is");
    let response = asked.response();
    assert!(response.is_chunked() && response.complete, "{}", response.head);
    assert_eq!(response.text(), "all there is");
}

#[test]
fn old_backends_do_not_make_the_proxy_old() {
    let mut asked = got("HTTP/1.0 200 OK\r\n\r\nold");
    let response = asked.response();
    assert_eq!((response.start_line(), response.text().as_str()), ("HTTP/1.1 200 OK", "old"));
    assert!(response.is_chunked() && response.complete, "{}", response.head);
    let mut asked = got("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
    assert_eq!(asked.response().start_line(), "HTTP/1.1 200 OK");
}

#[test]
fn old_clients_get_a_body_up_to_the_end() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut asked = asked("GET / HTTP/1.0\r\nHost: h\r\n\r\n", chunked);
    let response = asked.response();
    assert_eq!((response.field("transfer-encoding"), response.text().as_str()), (None, "abc"));
}

#[test]
fn a_length_beside_a_coding_does_not_reach_the_client() {
    let mut asked = got(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let response = asked.response();
    match response.status {
        502 => {}
        _ => assert_eq!((response.length(), response.text().as_str()), (None, "abc")),
    }
}

#[test]
fn a_body_cut_short_of_its_length_never_looks_complete() {
    let mut asked = got("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    let response = asked.response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "hello", false));
}

#[test]
fn a_body_cut_short_of_its_last_chunk_never_looks_complete() {
    for cut in ["5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n5"] {
        let mut asked = got(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{cut}"));
        let response = asked.response();
        assert!(!response.complete, "{cut:?} became {:?}", response.text());
    }
}

#[test]
fn a_broken_body_never_looks_complete() {
    let mut asked = got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX\r\n0\r\n\r\n");
    assert!(!asked.response().complete);
}

#[test]
fn a_connection_reset_within_an_unframed_body_never_looks_complete() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\n\r\nsome of it");
        // What the proxy has not read yet would be lost in a reset.
        conn.next.wait();
        conn.reset();
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(get("/", &[])).head();
    assert!(client.octets(15).eq_ignore_ascii_case(b"a\r\nsome of it\r\n"));
    backend.next.open();
    assert!(client.is_closed(), "not even a last chunk");
}

#[test]
fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let mut asked = asked(
        "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: x\r\n\r\n",
    );
    let response = asked.client.response_to_head();
    assert_eq!((response.field("content-length"), response.field("etag")), (Some("1234"), Some("x")));
    assert_eq!(asked.backend.request().method(), "HEAD");
}

#[test]
fn an_answer_to_head_is_given_no_length_it_did_not_have() {
    let mut asked = asked("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nETag: x\r\n\r\n");
    let response = asked.client.response_to_head();
    assert_eq!((response.status, response.field("content-length")), (200, None));
}

#[test]
fn after_answers_without_a_body_the_connection_goes_on() {
    let head = "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    let plain = get("/x", &[]);
    for (request, status, fields) in [
        (&head, 200, "Content-Length: 9\r\n"),
        (&head, 200, "Transfer-Encoding: chunked\r\n"),
        (&plain, 204, ""),
        (&plain, 304, "Content-Length: 9\r\nETag: x\r\n"),
        (&plain, 304, ""),
    ] {
        let backend = Backend::answering("a", format!("HTTP/1.1 {status} Fine\r\n{fields}\r\n"));
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..2 {
            assert_eq!(client.send(request).response_to_head().status, status, "{fields}");
        }
        assert_eq!((backend.requests().len(), backend.connections()), (2, 1), "{status} {fields}");
    }
}

#[test]
fn not_modified_keeps_its_length() {
    let mut asked = got("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n");
    assert_eq!(asked.response().field("content-length"), Some("77"));
    let mut asked = got("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(asked.response().field("content-length"), None);
}

#[test]
fn the_reason_does_not_matter_and_any_status_passes() {
    for status in [200, 207, 299, 404, 418, 429, 500, 503, 599] {
        let mut asked = got(&format!("HTTP/1.1 {status} Odd\r\nContent-Length: 1\r\n\r\nx"));
        assert_eq!((asked.response().status, status), (status, status));
    }
}
