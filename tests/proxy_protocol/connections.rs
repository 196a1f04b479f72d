//! How many connections there may be: from one address, at one listener. Places are given back.

use crate::support::raw_http2::Peer;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Proxy, Setup, eventually, get};
use crate::wanting;

/// Whether a connection that says `opening` is served.
fn is_served(proxy: &Proxy, opening: &str) -> Option<Client> {
    use std::io::Write as _;
    let mut client = proxy.connect();
    // Fails where it was closed at once.
    let _ = client.reader.source.write_all((opening.to_owned() + &get("/", &[])).as_bytes());
    client.reader.head().map(|_| client)
}

fn line(client: &str) -> String {
    let family = if client.contains(':') { "TCP6 " } else { "TCP4 " };
    let local = if client.contains(':') { "::1" } else { "10.0.0.9" };
    format!("PROXY {family}{client} {local} 1111 443\r\n")
}

#[test]
fn connections_of_one_address_are_limited() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).limits("connections_per_ip = 2").start();
    let held = [is_served(&proxy, "").unwrap(), is_served(&proxy, "").unwrap()];
    assert!(is_served(&proxy, "").is_none(), "the third");
    let mut peer = Peer::silent(proxy.address);
    peer.try_send(crate::support::raw_http2::PREFACE);
    peer.end();
    assert!(peer.settings.is_empty(), "HTTP/2 makes no difference");
    drop(held);
    eventually("the places are free again", || is_served(&proxy, "").is_some());
}

/// It is the client that a PROXY header names whose connections are counted; of IPv6 a whole /64 is one.
#[test]
fn the_client_behind_a_load_balancer_is_counted() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).limits("connections_per_ip = 1").start();
    let first = is_served(&proxy, &line("192.0.2.1"));
    assert!(first.is_some() && is_served(&proxy, &line("192.0.2.1")).is_none());
    let other = is_served(&proxy, &line("192.0.2.2"));
    assert!(other.is_some(), "another address");
    let v6 = is_served(&proxy, &line("2001:db8::1"));
    assert!(v6.is_some() && is_served(&proxy, &line("2001:db8::2")).is_none(), "the same /64");
    assert!(is_served(&proxy, &line("2001:db8:0:1::1")).is_some(), "another");
    assert!(is_served(&proxy, &line("::ffff:192.0.2.2")).is_none(), "IPv4 in another spelling");
}

/// A tunnel is a connection as long as it is open.
#[test]
fn tunnels_count_until_they_end() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = Setup::of(&[&backend]).limits("connections_per_ip = 1").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    tunnel.hear();
    assert!(is_served(&proxy, "").is_none());
    drop(tunnel);
    eventually("the place is free again", || is_served(&proxy, "").is_some());
}

/// A listener that is full leaves the others alone; who waits is served when there is a place.
#[test]
fn connections_of_one_listener_are_limited() {
    let backend = Backend::named("a");
    let other = "max_connections = 1\n[[listener]]\naddress = \"127.0.0.1:0\"";
    let proxy = Setup::of(&[&backend]).listener(other).start();
    let second = proxy.server().addresses()[1];
    let mut held = proxy.connect();
    assert_eq!(held.get("/held", &[]).status, 200);
    let mut waiting = proxy.connect();
    waiting.send(get("/waiting", &[]));
    for _ in 0..3 {
        assert_eq!(Client::connect(second).get("/other", &[]).status, 200);
    }
    assert_eq!(held.get("/held", &[]).status, 200);
    assert!(backend.requests().iter().all(|request| request.target() != "/waiting"));
    drop(held);
    assert_eq!(waiting.response().status, 200);
}

/// A connection that is refused, or fails to open, takes no place for longer.
#[test]
fn refused_connections_take_no_place() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).limits("connections_per_ip = 1").start();
    for _ in 0..50 {
        assert!(is_served(&proxy, "nonsense, which is no header\r\n").is_none());
    }
    let held = is_served(&proxy, &line("192.0.2.1"));
    for _ in 0..50 {
        assert!(is_served(&proxy, &line("192.0.2.1")).is_none());
    }
    drop(held);
    eventually("there is a place", || is_served(&proxy, &line("192.0.2.1")).is_some());
}
