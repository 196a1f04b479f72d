//! What a caller cannot make it hold.

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events};
use crate::{JSON, assert_refused, change, look, setup, told};

#[test]
fn a_body_has_at_most_64_kib() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let padded = |octets: usize| format!("{}{{\"url\":\"/\"}}", " ".repeat(octets - 11));
    assert_eq!(change(&proxy, "POST /api/explain", &padded(64 << 10)).0, 200);
    let chunk = padded((64 << 10) + 1);
    let request = format!(
        "POST /api/explain HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}",
        chunk.len()
    );
    assert_refused(&told(&proxy.connect_admin().send(request).response()), 413, "64 KiB");
}

#[test]
fn a_head_has_at_most_16_kib() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let head = |octets: usize| {
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(octets))
    };
    assert_eq!(proxy.connect_admin().send(head(15 << 10)).response().status, 200);
    assert_eq!(proxy.connect_admin().send(head(16 << 10)).response().status, 431);
}

#[test]
fn more_than_64_connections_wait() {
    let backend = echo("a", &Events::default());
    let proxy = setup(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    tunnel.hear();
    let mut held: Vec<_> = (0..64).map(|_| proxy.connect_admin()).collect();
    let mut late = proxy.connect_admin();
    let path = "/api/pools/app/backends/a";
    late.send(format!(
        "PUT {path}/state HTTP/1.1\r\nHost: [::1]\r\n{JSON}\r\nContent-Length: 17\r\n\r\n{{\"state\":\"maint\"}}"
    ));
    held[0].send(format!("GET {path}/drained?wait=300ms HTTP/1.1\r\nHost: [::1]\r\n\r\n"));
    let (status, seen) = told(&held[0].response());
    assert_eq!((status, &seen["state"]), (503, &"ready".into()), "whoever came later has to wait");
    assert_eq!(told(&late.response()).1["state"], "maint", "a place is free again");
    assert_eq!(tunnel.close_code(), Some(1012));
}

#[test]
fn a_connection_has_one_call() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let mut client = proxy.connect_admin();
    let response = client.get("/healthz", &[]);
    assert_eq!(response.status, 421, "the client's usual host is no address");
    assert_eq!(response.field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn it_ends_when_it_is_dropped_whoever_waits() {
    let backend = Backend::named("a");
    let mut proxy = setup(&[&backend]).start();
    let mut waiting = proxy.connect_admin();
    assert_eq!(proxy.get("/", &["X-Room: 1"]).status, 200);
    assert_eq!(look(&proxy, "/api/pools/app/backends/a/drained").0, 503);
    waiting.send("GET /api/pools/app/backends/a/drained?wait=1h HTTP/1.1\r\nHost: localhost\r\n\r\n");
    drop(proxy.admin.take());
    assert!(waiting.is_closed());
    assert_eq!(proxy.get("/", &[]).status, 200, "the proxy goes on");
}
