//! Bodies that are sent again: the same octets, as far as they were kept.

use crate::support::backend::ok;
use crate::support::{Backend, Message, eventually};
use crate::{breaking, setup, with_body};

/// As documented.
const MOST_KEPT: usize = 64 * 1024;

fn octets(count: usize) -> String {
    (0..count).map(|n| char::from(b'a' + (n % 23) as u8)).collect()
}

fn chunked(pieces: &[&str]) -> String {
    let chunk = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len());
    let chunks: Vec<_> = pieces.iter().map(chunk).collect();
    let chunks = chunks.concat();
    format!("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

/// What a backend gets that breaks the first try at a request off; the status is the client's.
fn sent_twice(request: &str) -> (u16, Vec<Message>) {
    let backend = breaking("a", 1);
    let status = setup(&[&backend]).start().ask(request).status;
    (status, backend.requests())
}

#[test]
fn a_body_is_sent_again_octet_by_octet() {
    for body in [octets(1), octets(1000), octets(MOST_KEPT)] {
        let (status, requests) = sent_twice(&with_body("PUT", &body));
        assert_eq!((status, requests.len()), (200, 2), "{}", body.len());
        for request in requests {
            assert_eq!(request.text(), body);
            assert_eq!((request.length(), request.is_chunked()), (Some(body.len()), false));
        }
    }
}

#[test]
fn so_is_a_chunked_one() {
    let (first, second, rest) = (octets(5), octets(3000), octets(MOST_KEPT - 3005));
    let (status, requests) = sent_twice(&chunked(&[&first, &second, &rest]));
    assert_eq!((status, requests.len()), (200, 2));
    for request in requests {
        assert!(request.is_chunked() && request.field("content-length").is_none(), "{}", request.head);
        assert!(request.text() == format!("{first}{second}{rest}"));
    }
}

#[test]
fn trailer_fields_come_again_too() {
    let announced = chunked(&["abc"]).replacen("\r\n\r\n", "\r\nTrailer: X-Sum\r\n\r\n", 1);
    let (status, requests) = sent_twice(&announced.replacen("0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n", 1));
    assert_eq!((status, requests.len()), (200, 2));
    for request in requests {
        assert_eq!((request.text().as_str(), &request.trailers[..]), ("abc", &["x-sum: 1".to_owned()][..]));
    }
}

#[test]
fn bodies_of_other_idempotent_requests_are_sent_again_too() {
    for method in ["GET", "DELETE", "OPTIONS"] {
        let (status, requests) = sent_twice(&with_body(method, "why not"));
        assert_eq!((status, requests.len()), (200, 2), "{method}");
        assert!(requests.iter().all(|request| request.text() == "why not"), "{method}");
    }
}

#[test]
fn a_body_longer_than_is_kept_is_not_sent_again() {
    let long = octets(MOST_KEPT + 1);
    for request in
        [with_body("PUT", &long), chunked(&[&long]), chunked(&[&long[..MOST_KEPT], &long[MOST_KEPT..]])]
    {
        let (status, requests) = sent_twice(&request);
        assert_eq!((status, requests.len()), (502, 1));
        assert!(requests[0].text() == long);
    }
}

#[test]
fn what_the_client_has_not_sent_yet_follows_what_was_kept() {
    let backend = Backend::start("a", |conn| {
        if conn.number == 0 {
            conn.head();
            conn.reader.take(10);
            return;
        }
        conn.request();
        conn.send(ok("a"));
    });
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n0123456789");
    eventually("it is tried again", || backend.connections() == 2);
    client.send("abcdefghij");
    assert_eq!(client.response().text(), "a");
    assert_eq!(backend.request().text(), "0123456789abcdefghij");
}

#[test]
fn the_same_in_chunks_and_over_several_tries() {
    let backend = Backend::start("a", |conn| {
        if conn.number < 3 {
            conn.head();
            // One octet more with each try; all but the last are one chunk by then.
            (0..=conn.number).for_each(|_| drop(conn.reader.through(b"x")));
            return;
        }
        conn.request();
        conn.send(ok("a"));
    });
    let proxy = setup(&[&backend]).table("retry", "attempts = 4").start();
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for tries in 1..=3 {
        client.send("1\r\nx\r\n");
        eventually("it is tried again", || backend.connections() == tries + 1);
    }
    client.send("1\r\ny\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    assert_eq!(backend.request().text(), "xxxy");
}

#[test]
fn a_client_that_sends_nonsense_is_not_sent_again() {
    let backend = breaking("a", 1);
    let proxy = setup(&[&backend]).start();
    let nonsense = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
    assert_eq!(proxy.ask(nonsense).status, 400);
    let status = proxy.status("a");
    assert_eq!((status.requests_total, status.retries_total), (1, 0));
}

#[test]
fn a_body_too_long_for_the_proxy_is_not_sent_again() {
    let backend = breaking("a", 1);
    let proxy = setup(&[&backend]).limits("body_bytes = \"10\"").start();
    assert_eq!(proxy.ask(chunked(&["0123456", "0123456"])).status, 413);
    let status = proxy.status("a");
    assert_eq!((status.requests_total, status.retries_total), (1, 0));
}

#[test]
fn the_limit_of_a_body_counts_what_the_client_sent() {
    let backend = breaking("a", 1);
    let proxy = setup(&[&backend]).limits("body_bytes = \"10\"").start();
    assert_eq!(proxy.ask(with_body("PUT", "0123456789")).status, 200);
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn the_second_backend_too_is_asked_whether_it_wants_the_body() {
    let backend = Backend::start("a", |conn| {
        let mut request = conn.head().unwrap();
        assert_eq!(request.field("expect"), Some("100-continue"));
        if conn.number == 1 {
            assert!(conn.reader.buffer.is_empty(), "the body is held back");
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            conn.body(&mut request);
            conn.send(ok("a"));
        }
    });
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("body").response().text(), "a");
    assert_eq!((backend.request().text(), backend.connections()), ("body".into(), 2));
}

#[test]
fn a_body_that_was_let_go_is_sent_again_at_once() {
    let backend = Backend::start("a", |conn| {
        // Says nothing, so that the body comes after a while.
        if conn.request().is_some() && conn.number == 1 {
            conn.send(ok("a"));
        }
    });
    let proxy = setup(&[&backend]).start();
    let expecting = with_body("PUT", "body").replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(proxy.ask(expecting).text(), "a");
    assert_eq!(backend.requests().iter().map(Message::text).collect::<Vec<_>>(), ["body", "body"]);
}
