//! Errors made by the proxy: which status, in which form, and whether the connection goes on.

use std::io::Write as _;

use crate::support::{Backend, Proxy, Response, Setup, get};

/// What a client gets when the backend answers this and closes.
fn answered(answer: &'static str) -> Response {
    let backend = Backend::start("a", move |conn| {
        if conn.request().is_some() {
            conn.send(answer);
        }
    });
    Proxy::to(&backend).get("/", &[])
}

#[test]
fn errors_are_small_and_say_what_went_wrong() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).routes("[[route]]\npath = \"/known\"\npool = \"app\"").start();
    let response = proxy.get("/unknown", &[]);
    assert_eq!(response.status, 404);
    assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
    assert!(response.text().contains("404") && response.length().is_some_and(|length| length < 200));
    assert_eq!(proxy.get("/known/x", &[]).status, 200);
    assert_eq!(proxy.get("/knownx", &[]).status, 404);
}

#[test]
fn errors_are_json_for_those_who_ask_for_it() {
    let proxy = Setup::of(&[&Backend::killed("a")]).start();
    let json = proxy.get("/", &["Accept: application/json"]);
    assert_eq!(json.field("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(body["status"], 503);
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()));
    for accept in ["text/html, application/json", "*/*", "text/plain"] {
        let text = proxy.get("/", &[&format!("Accept: {accept}")]);
        assert_eq!(text.field("content-type"), Some("text/plain; charset=utf-8"), "{accept}");
    }
}

#[test]
fn proxy_status_names_the_cause_without_internals() {
    let backend = Backend::killed("secret-name");
    let response = Setup::of(&[&backend]).start().get("/", &[]);
    let status = response.field("proxy-status").unwrap();
    assert!(status.starts_with("homing; error="), "{status}");
    let all = format!("{}{}", response.head, response.text());
    assert!(!all.contains("secret-name") && !all.contains("127.0.0.1"), "{all}");
    assert!(answered("").field("proxy-status").is_some());
}

#[test]
fn nothing_that_takes_requests_is_unavailable_at_once() {
    let (a, b) = (Backend::killed("a"), Backend::killed("b"));
    let proxy = Setup::of(&[&a, &b]).checks(1, 1).start();
    proxy.until("a", "down");
    proxy.until("b", "down");
    let begun = std::time::Instant::now();
    let response = proxy.get("/", &[]);
    assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "it was known before");
}

#[test]
fn a_backend_that_talks_nonsense_is_a_bad_gateway() {
    for answer in ["nonsense\r\n\r\n", "HTTP/1.1 abc Fine\r\n\r\n", "HTTP/3.0 200 OK\r\n\r\n", "\0\0\0\0"] {
        assert_eq!(answered(answer).status, 502, "{answer:?}");
    }
    for fields in ["Content-Length: x", "Content-Length: 1\r\nContent-Length: 2", "bad field: 1"] {
        let backend = Backend::answering("a", format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nab"));
        assert_eq!(Proxy::to(&backend).get("/", &[]).status, 502, "{fields}");
    }
}

#[test]
fn a_head_without_end_is_a_bad_gateway() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\n");
        while conn.send(format!("X-Long: {}\r\n", "x".repeat(4000))) {}
    });
    assert_eq!(Proxy::to(&backend).get("/", &[]).status, 502);
}

#[test]
fn a_backend_that_closes_without_an_answer_is_a_bad_gateway() {
    let response = answered("");
    assert_eq!((response.status, response.complete), (502, true));
    assert_eq!(answered("HTTP/1.1 200 OK\r\nContent-").status, 502);
}

#[test]
fn a_request_that_was_sent_is_not_sent_again() {
    let backend = Backend::start("a", |conn| drop(conn.request()));
    let proxy = Proxy::to(&backend);
    assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").status, 502);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).table("timeouts", "response = \"300ms\"").start();
    let mut client = proxy.connect();
    let begun = std::time::Instant::now();
    assert_eq!(client.get("/", &[]).status, 504);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    crate::support::eventually("the backend's connection is closed", || backend.open() == 0);
    assert_eq!(client.get("/", &[]).status, 504, "the client's goes on");
}

#[test]
fn an_upgrade_nobody_asked_for_is_a_bad_gateway() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let backend = Backend::answering("a", switching);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).status, 502);
    let json = client.get("/", &["Accept: application/json"]);
    assert_eq!(json.status, 502, "nor is the client's connection changed");
    assert_eq!(json.field("content-type"), Some("application/json"));
    crate::support::eventually("both are closed", || backend.open() == 0);
}

#[test]
fn bodies_longer_than_allowed_are_refused() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("body_bytes = \"10\"").start();
    let long = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n";
    let mut client = proxy.connect();
    assert_eq!(client.send(long).response().status, 413);
    assert!(client.is_closed());
    let chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n";
    assert_eq!(proxy.ask(chunked).status, 413);
    assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789").status, 200);
    assert_eq!(backend.garbage().iter().filter(|seen| seen.contains("content-length: 11")).count(), 0);
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("body_bytes = \"10\"").start();
    for _ in 0..5 {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
        // Some of it cannot be written any more, which is not what this is about.
        let _ = client.reader.source.write_all(&vec![b'x'; 300_000]);
        assert_eq!(client.response().status, 413);
    }
}

#[test]
fn long_targets_and_heads_are_refused() {
    let backend = Backend::named("a");
    let proxy =
        Setup::of(&[&backend]).limits("uri_bytes = \"100\"\nheader_bytes = \"8KiB\"\nheaders = 20").start();
    let ask = |target: &str, fields: &[&str]| proxy.ask(get(target, fields)).status;
    assert_eq!(ask(&format!("/{}", "x".repeat(99)), &[]), 200);
    assert_eq!(ask(&format!("/{}", "x".repeat(100)), &[]), 414);
    assert_eq!(ask("/", &[&format!("X-Long: {}", "x".repeat(7000))]), 200);
    assert_eq!(ask("/", &[&format!("X-Long: {}", "x".repeat(8200))]), 431);
    assert_eq!(ask("/", &["X: 1"; 19]), 200);
    assert_eq!(ask("/", &["X: 1"; 20]), 431);
    assert_eq!(backend.requests().len(), 3);
}

#[test]
fn the_limits_of_a_head_are_kept_to_the_octet() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let head = |octets: usize| get("/", &[&format!("X: {}", "x".repeat(octets - get("/", &["X: "]).len()))]);
    assert_eq!(proxy.ask(head(64 << 10)).status, 200);
    for octets in [(64 << 10) + 1, 70_032, 200_000] {
        let mut client = proxy.connect();
        // The end may be refused before it is written.
        let _ = client.reader.source.write_all(head(octets).as_bytes());
        assert_eq!(client.response().status, 431, "{octets}");
    }
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn a_target_too_long_for_anybody_is_refused() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("uri_bytes = \"1MiB\"\nheader_bytes = \"1MiB\"").start();
    assert_eq!(proxy.get(&format!("/{}", "x".repeat(60_000)), &[]).status, 200);
    assert_eq!(proxy.get(&format!("/{}", "x".repeat(70_000)), &[]).status, 414);
}

#[test]
fn what_is_not_http_is_refused() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    for request in [
        "nonsense\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        assert_eq!(client.send(request).response().status, 400, "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!(proxy.ask("GET / HTTP/9.9\r\nHost: h\r\n\r\n").status, 505);
}

#[test]
fn after_an_error_of_the_backend_the_client_goes_on() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/bad" {
                return;
            }
            conn.send(crate::support::backend::ok("a"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let statuses = ["/", "/bad", "/", "/bad", "/"].map(|target| client.get(target, &[]).status);
    assert_eq!(statuses, [200, 502, 200, 502, 200]);
}
