//! Connections to backends: kept and used again, never when the backend has closed them.

use crate::support::{Backend, Latch, Proxy, Setup, eventually, get};

#[test]
fn a_connection_is_used_again_by_the_same_client_and_by_others() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!((backend.requests().len(), backend.connections()), (4, 1));
}

#[test]
fn requests_at_the_same_time_do_not_share_a_connection() {
    let all_here = Latch::new();
    let here = all_here.clone();
    let backend = Backend::start("a", move |conn| {
        while let Some(request) = conn.request() {
            if conn.number == 2 {
                here.open();
            }
            here.wait();
            conn.send(crate::support::backend::ok(request.target()));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut clients: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{n}"), &[]));
    }
    let answers: Vec<_> = clients.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(answers, ["/0", "/1", "/2"]);
    assert_eq!(backend.connections(), 3);
}

#[test]
fn a_connection_the_backend_closed_is_not_used() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..20 {
        backend.disconnect();
        let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(client.send(request).response().status, 200);
    }
    assert_eq!(backend.connections(), 20);
}

#[test]
fn a_connection_the_backend_wants_to_close_is_not_used() {
    let backend =
        Backend::answering("a", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert_eq!((backend.requests().len(), backend.connections()), (3, 3));
}

#[test]
fn a_connection_with_octets_nobody_asked_for_is_not_used() {
    let backend = Backend::answering(
        "a",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    );
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).text(), "x");
    }
}

#[test]
fn a_connection_after_a_broken_answer_is_not_used() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
        conn.until_closed();
    });
    let proxy = Proxy::to(&backend);
    for n in 1..4 {
        let got = proxy.connect().send(get("/", &[])).rest();
        assert!(!got.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&got));
        eventually("it is closed", || backend.open() == 0);
        assert_eq!(backend.connections(), n);
    }
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).table("timeouts", "keep_alive = \"100ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    eventually("the idle connection is closed", || backend.open() == 0);
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_restarted_backend_is_reached_at_once() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    assert_eq!(proxy.get("/", &[]).status, 200);
    backend.stop();
    backend.restart();
    assert_eq!(proxy.get("/", &[]).status, 200);
}
