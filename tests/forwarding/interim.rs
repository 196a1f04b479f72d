//! Interim responses, and bodies that wait for one: `Expect: 100-continue`.

use crate::support::{Backend, Client, Conn, Proxy};

const EXPECTING: &str = "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn expecting(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Client, Backend, Proxy) {
    let backend = Backend::start("a", script);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(EXPECTING);
    (client, backend, proxy)
}

#[test]
fn interim_responses_do_not_hide_the_final_one() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let backend =
            Backend::answering("a", format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..2 {
            let response = client.get("/", &[]);
            assert_eq!((response.status, response.text().as_str()), (200, "x"), "{interim:?}");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn interim_responses_without_end_are_bounded_by_the_response_timeout() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        while conn.send("HTTP/1.1 102 Processing\r\n\r\n") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let proxy = crate::support::Setup::of(&[&backend]).table("timeouts", "response = \"300ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 504);
}

#[test]
fn more_interim_responses_than_anybody_needs_are_none() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1001);
    let backend = Backend::answering("a", format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(Proxy::to(&backend).get("/", &[]).status, 502);
}

#[test]
fn an_agreeing_backend_gets_the_body() {
    let (mut client, backend, _proxy) = expecting(|conn| {
        let mut request = conn.head().unwrap();
        conn.next.wait();
        conn.send(CONTINUE);
        conn.body(&mut request);
        conn.send(crate::support::backend::ok("thanks"));
    });
    backend.next.open();
    assert_eq!(client.head().status, 100);
    let response = client.send("hello").response();
    assert_eq!((response.status, response.text().as_str()), (200, "thanks"));
    let request = backend.request();
    assert_eq!((request.text().as_str(), request.field("expect")), ("hello", Some("100-continue")));
}

#[test]
fn a_refusal_reaches_the_client_without_a_go_ahead() {
    let (mut client, backend, _proxy) = expecting(|conn| {
        conn.head();
        conn.send("HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno");
        assert!(conn.reader.rest().is_empty(), "no body was to be sent");
    });
    let response = client.head();
    assert_eq!((response.status, response.length()), (417, Some(2)), "not 100 first");
    assert_eq!(response.field("connection"), Some("close"), "what comes next may be the body");
    assert_eq!(client.octets(2), b"no");
    assert!(client.is_closed());
    crate::support::eventually("the backend's connection is closed", || backend.open() == 0);
}

#[test]
fn the_body_is_not_sent_before_the_backend_agrees() {
    let (mut client, backend, _proxy) = expecting(|conn| {
        let mut request = conn.head().unwrap();
        // The client sends its body unasked; the proxy holds it back.
        conn.reader.source.set_nonblocking(true).unwrap();
        for _ in 0..40 {
            let peeked = conn.reader.source.peek(&mut [0]);
            assert!(peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        conn.reader.source.set_nonblocking(false).unwrap();
        conn.send(CONTINUE);
        conn.body(&mut request);
        conn.send(crate::support::backend::ok("late"));
    });
    assert_eq!(client.send("hello").response().text(), "late");
    assert_eq!(backend.request().text(), "hello");
}

#[test]
fn a_backend_that_knows_no_expectations_gets_the_body_after_a_while() {
    let (mut client, backend, _proxy) = expecting(|conn| {
        conn.request();
        conn.send(crate::support::backend::ok("old"));
    });
    assert_eq!(client.head().status, 100, "after a second");
    assert_eq!(client.send("hello").response().text(), "old");
    assert_eq!(backend.request().text(), "hello");
}
