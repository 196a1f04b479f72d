//! What is tried again: requests that have the same effect however often they arrive, of whose answer nothing came.

use crate::support::backend::ok;
use crate::support::websocket::ASK;
use crate::support::{Backend, Conn, Proxy, eventually, get};
use crate::{breaking, impatient, setup, with_body};

const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
const OTHERS: [&str; 4] = ["POST", "PATCH", "LOCK", "get"];

#[track_caller]
fn status(proxy: &Proxy, method: &str) -> u16 {
    let mut client = proxy.connect();
    client.send(format!("{method} /x?y=1 HTTP/1.1\r\nHost: h\r\nX-Mine: 1\r\n\r\n"));
    if method == "HEAD" { client.response_to_head().status } else { client.response().status }
}

#[test]
fn a_request_on_a_connection_that_breaks_is_answered_over_a_fresh_one() {
    for method in IDEMPOTENT {
        let backend = impatient("a");
        let proxy = setup(&[&backend]).start();
        assert_eq!(proxy.get("/", &[]).status, 200);
        assert_eq!(status(&proxy, method), 200, "{method}");
        let [_, first, second] = &backend.requests()[..] else {
            panic!("{method}: {:?}", backend.requests())
        };
        assert_eq!((first.method(), &first.head), (method, &second.head), "it is the same request");
        assert_eq!(backend.connections(), 2, "{method}");
    }
}

#[test]
fn so_is_one_on_a_connection_that_was_new() {
    for method in IDEMPOTENT {
        let backend = breaking("a", 1);
        assert_eq!(status(&setup(&[&backend]).start(), method), 200, "{method}");
        assert_eq!(backend.requests().len(), 2, "{method}");
    }
}

#[test]
fn a_connection_that_is_reset_is_as_good_as_closed() {
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some() {
            if conn.number == 0 {
                return conn.reset();
            }
            conn.send(ok("a"));
        }
    });
    assert_eq!(setup(&[&backend]).start().get("/", &[]).text(), "a");
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn other_methods_are_never_sent_twice() {
    for method in OTHERS {
        let backend = breaking("a", usize::MAX);
        assert_eq!(status(&setup(&[&backend]).start(), method), 502, "{method}");
        assert_eq!(backend.requests().len(), 1, "{method}");
        let backend = impatient("a");
        let proxy = setup(&[&backend]).start();
        assert_eq!(proxy.get("/", &[]).status, 200);
        assert_eq!(status(&proxy, method), 502, "{method} on a used connection");
        assert_eq!(backend.requests().len(), 2, "{method} on a used connection");
    }
}

/// Ways to fail a request that was read.
const WAYS: [fn(&mut Conn); 5] = [
    |_| {},
    |conn| conn.reset(),
    |conn| assert!(conn.send("HTTP/1.1 ")),
    |conn| assert!(conn.send("nonsense\r\n\r\n")),
    |conn| assert!(conn.send("HTTP/1.1 100 Continue\r\n\r\n")),
];

#[test]
fn a_post_reaches_its_backend_once_however_that_fails() {
    for (n, way) in WAYS.into_iter().enumerate() {
        let fail = move |conn: &mut Conn| {
            if conn.request().is_some() {
                way(conn);
            }
        };
        let (a, b) = (Backend::start("a", fail), Backend::start("b", fail));
        let proxy = setup(&[&a, &b]).table("retry", "attempts = 16\nbudget_percent = 100").start();
        assert_eq!(proxy.ask(with_body("POST", "pay")).status, 502, "way {n}");
        assert_eq!(a.requests().len() + b.requests().len(), 1, "way {n}");
    }
}

#[test]
fn a_post_whose_body_broke_midway_is_not_begun_again() {
    let backend = Backend::start("a", |conn| {
        conn.head();
        conn.reader.take(3);
    });
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n012");
    assert_eq!(client.response().status, 502);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn one_octet_of_an_answer_is_an_answer() {
    for answer in ["H", "\r\n", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 100 Continue\r\n\r\n", "no\r\n\r\n"]
    {
        let backend = Backend::start("a", move |conn| {
            if conn.request().is_some() {
                conn.send(answer);
            }
        });
        assert_eq!(setup(&[&backend]).start().get("/", &[]).status, 502, "{answer:?}");
        assert_eq!(backend.requests().len(), 1, "{answer:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let backend = Backend::start("a", |conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
        }
    });
    let got = setup(&[&backend]).start().connect().send(get("/", &[])).rest();
    assert!(got.ends_with(b"01234"), "{}", String::from_utf8_lossy(&got));
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn what_came_with_an_earlier_answer_does_not_count() {
    let backend = impatient("a");
    let proxy = setup(&[&backend]).start();
    for _ in 0..3 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    // The second broke and was sent again, then the third.
    assert_eq!((backend.requests().len(), backend.connections()), (5, 3));
}

#[test]
fn a_time_out_is_not_tried_again() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let proxy = setup(&[&backend]).table("timeouts", "response = \"300ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 504);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn an_upgrade_is_never_tried_again() {
    let backend = breaking("a", usize::MAX);
    assert_eq!(setup(&[&backend]).start().get("/", &ASK).status, 502);
    assert_eq!(backend.requests().len(), 1);
    let backend = impatient("a");
    let proxy = setup(&[&backend]).start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(proxy.get("/", &ASK).status, 502);
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn a_client_that_left_is_not_served_again() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
    });
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.send(get("/", &[]));
    eventually("it is there", || backend.requests().len() == 1);
    drop(client);
    eventually("it is over", || proxy.status("a").in_flight == 0);
    backend.next.open();
    assert_eq!(proxy.status("a").retries_total, 0);
    assert_eq!(backend.requests().len(), 1);
}
