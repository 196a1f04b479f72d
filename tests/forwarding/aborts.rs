//! Clients that give up: the request to the backend is given up too, and half a request is never a whole one.

use crate::support::{Backend, Client, Conn, Proxy, eventually, get};

fn asked(request: &str, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Client, Backend, Proxy) {
    let backend = Backend::start("a", script);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    client.send(request);
    (client, backend, proxy)
}

fn assert_cancelled(proxy: &Proxy, backend: &Backend) {
    eventually("the backend's connection is closed", || backend.open() == 0);
    eventually("nothing is in flight", || proxy.status("a").in_flight == 0);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn giving_up_before_the_head_cancels() {
    let (client, backend, proxy) = asked(&get("/", &[]), |conn| {
        conn.request();
        conn.until_closed();
    });
    backend.request();
    drop(client);
    assert_cancelled(&proxy, &backend);
}

#[test]
fn giving_up_during_the_response_body_cancels() {
    let (mut client, backend, proxy) = asked(&get("/", &[]), |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        conn.until_closed();
    });
    client.head();
    assert_eq!(client.octets(5), b"first");
    drop(client);
    assert_cancelled(&proxy, &backend);
}

#[test]
fn giving_up_during_the_request_body_cancels() {
    for body in ["Content-Length: 10\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let (client, backend, proxy) = asked(&format!("POST / HTTP/1.1\r\nHost: h\r\n{body}"), |conn| {
            conn.request();
        });
        eventually("the request begins", || backend.open() == 1);
        drop(client);
        assert_cancelled(&proxy, &backend);
        let garbage = backend.garbage();
        assert!(garbage.len() == 1 && garbage[0].ends_with("first"), "half a request: {garbage:?}");
    }
}

#[test]
fn a_client_that_gives_up_makes_room_for_the_next() {
    let (client, backend, proxy) = asked(&get("/", &[]), |conn| {
        conn.request();
        if conn.number == 0 {
            conn.until_closed();
        } else {
            conn.send(crate::support::backend::ok("next"));
        }
    });
    eventually("the request is there", || backend.connections() == 1);
    drop(client);
    eventually("it is given up", || backend.open() == 0);
    assert_eq!(proxy.get("/", &[]).text(), "next");
}

#[test]
fn a_half_closed_client_is_gone() {
    let (mut client, backend, proxy) = asked(&get("/", &[]), |conn| {
        conn.request();
        conn.until_closed();
    });
    backend.request();
    client.end();
    assert_cancelled(&proxy, &backend);
}
