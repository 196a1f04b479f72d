//! Faults that were found once and mended, where no other test speaks of just that.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::websocket::{ASK, TEXT, frame, masked};
use support::{Backend, Proxy, Setup, eventually, get};

/// The proxy took the version of the backend's answer for its own: HTTP/1.1 clients were answered in HTTP/1.0, without
/// a framing that tells a whole body from a broken one.
#[test]
fn an_old_backend_that_breaks_off_is_not_taken_for_whole() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.0 200 OK\r\n\r\nhalf of");
        conn.next.wait();
        conn.reset();
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let head = client.send(get("/", &[])).head();
    assert_eq!(head.start_line(), "HTTP/1.1 200 OK");
    assert_eq!(client.octets(12).len(), 12);
    backend.next.open();
    assert!(!client.rest().ends_with(b"0\r\n\r\n"));
}

/// A body that the backend refused to wait for was still waited for, with its connection and the client's.
#[test]
fn a_refused_expectation_frees_both_connections() {
    let backend = Backend::start("a", |conn| {
        conn.head();
        conn.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
        conn.until_closed();
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert!(client.is_closed());
    eventually("the backend's connection is closed", || backend.open() == 0);
}

/// `Connection: x-request-id` had the id removed that the log speaks of.
#[test]
fn a_request_id_cannot_be_removed_by_naming_it() {
    let backend = Backend::named("a");
    assert_eq!(Proxy::to(&backend).get("/", &["Connection: x-request-id"]).status, 200);
    assert!(backend.request().field("x-request-id").is_some());
}

/// The first octets of a tunnel came with the 101 and were more than a socket takes at once.
#[test]
fn much_right_behind_the_101_arrives_whole() {
    let much = vec![b'x'; 3 << 20];
    let mut answer = format!("{}\r\n", support::websocket::AGREE).into_bytes();
    answer.extend(frame(TEXT, &much));
    let backend = Backend::answering("a", answer);
    let proxy = Setup::of(&[&backend]).start();
    let mut client = proxy.connect();
    let mut asked = get("/", &ASK).into_bytes();
    asked.extend(masked(TEXT, b"early"));
    assert_eq!(client.send(asked).head().status, 101);
    let frame = support::websocket::read_frame(&mut client.reader).unwrap();
    assert_eq!(frame.payload.len(), much.len());
}
