//! PROXY headers to backends: what they say, and that a connection with one is for nobody else.

use std::net::SocketAddr;

use crate::support::authority::Authority;
use crate::support::backend::ok;
use crate::support::http2::Http2Backend;
use crate::support::{Backend, Client, Conn, Events, Setup, eventually};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A backend that notes the header of each connection, and then answers with that connection's number.
fn backend(version: &str, events: &Events) -> (Backend, Setup) {
    let (own, reads) = (events.clone(), version.to_owned());
    let backend = Backend::start("a", move |conn| {
        own.note(header(conn, &reads));
        while conn.request().is_some() {
            conn.send(ok(&conn.number.to_string()));
        }
    });
    let setup = Setup::of(&[&backend]).pool(&format!("proxy_protocol = \"{version}\""));
    (backend, setup)
}

/// A line as it is, the binary form in hexadecimal.
fn header(conn: &mut Conn, version: &str) -> String {
    if version == "v1" {
        return String::from_utf8(conn.reader.through(b"\n").unwrap_or_default()).unwrap();
    }
    let head = conn.reader.take(16);
    let length = head.get(14..16).map_or(0, |length| usize::from(length[0]) << 8 | usize::from(length[1]));
    let rest = conn.reader.take(length);
    hex(&[head, rest].concat())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

fn local(client: &Client) -> SocketAddr {
    client.reader.source.local_addr().unwrap()
}

#[test]
fn version_1_tells_of_the_client_and_where_it_connected_to() {
    let events = Events::default();
    let (_backend, setup) = backend("v1", &events);
    let proxy = setup.start();
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).text(), "0");
    let (from, to) = (local(&client).port(), proxy.address.port());
    assert_eq!(events.all(), [format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\n")]);
}

#[test]
fn version_2_tells_of_the_client_and_where_it_connected_to() {
    let events = Events::default();
    let (_backend, setup) = backend("v2", &events);
    let proxy = setup.start();
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).text(), "0");
    let ports = [local(&client).port().to_be_bytes(), proxy.address.port().to_be_bytes()].concat();
    let rest = [0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1];
    assert_eq!(events.all(), [hex(&[SIGNATURE, &rest, &ports].concat())]);
}

#[test]
fn a_connection_serves_its_client_and_no_other() {
    let events = Events::default();
    let (backend, setup) = backend("v1", &events);
    let proxy = setup.start();
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    for _ in 0..3 {
        assert_eq!(first.get("/", &[]).text(), "0");
        assert_eq!(second.get("/", &[]).text(), "1");
    }
    assert_eq!(backend.connections(), 2);
    drop(first);
    eventually("the connection ends with its client's", || backend.open() == 1);
    assert_eq!(second.get("/", &[]).text(), "1");
}

#[test]
fn an_idle_connection_of_one_client_is_closed_in_time() {
    let events = Events::default();
    let (backend, setup) = backend("v2", &events);
    let proxy = setup.table("timeouts", "keep_alive = \"100ms\"").start();
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).text(), "0");
    eventually("it is closed", || backend.open() == 0);
    assert_eq!(client.get("/", &[]).text(), "1");
}

#[test]
fn a_reload_changes_the_header_of_clients_that_stay() {
    let events = Events::default();
    let (backend, setup) = backend("v1", &events);
    let proxy = setup.start();
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &[]).text(), "0");
    let plain = Backend::named("plain");
    let other = Setup::at(&[("a", plain.address)]);
    proxy.apply(&other);
    assert_eq!(client.get("/", &[]).text(), "plain");
    proxy.apply(&setup);
    assert_eq!(client.get("/", &[]).status, 200);
    assert_eq!(events.count(|line| line.starts_with("PROXY TCP4")), backend.connections());
}

#[test]
fn the_header_comes_before_tls() {
    let (events, authority) = (Events::default(), Authority::new("ca"));
    let own = events.clone();
    let backend = Backend::start("a", move |conn| {
        let header = header(conn, "v1");
        own.note(format!("{} {}", &header[..10], hex(&conn.reader.take(2))));
    });
    let setup = Setup::of(&[&backend]).pool("proxy_protocol = \"v1\"");
    let proxy = setup.table("tls", &authority.ca()).start();
    assert_eq!(proxy.get("/", &[]).status, 503);
    // A handshake record of TLS (RFC 8446 §5.1).
    assert!(events.all().iter().all(|event| event == "PROXY TCP4 1603"), "{:?}", events.all());
    assert!(!events.all().is_empty());
}

#[test]
fn checks_introduce_nobody() {
    for (version, header) in
        [("v1", "PROXY UNKNOWN\r\n".to_owned()), ("v2", hex(&[SIGNATURE, &[0x20, 0, 0, 0]].concat()))]
    {
        for table in ["path = \"/healthz\"", "rise = 1"] {
            let events = Events::default();
            let (_backend, setup) = backend(version, &events);
            let proxy = setup.table("health", table).start();
            proxy.until("a", "up");
            eventually("the header arrives", || !events.all().is_empty());
            assert!(events.all().iter().all(|event| *event == header), "{:?}", events.all());
        }
    }
}

#[test]
fn http2_behind_a_header_is_not_shared_either() {
    let events = Events::default();
    let http2 = Http2Backend::named("a");
    let (to, own) = (http2.address, events.clone());
    let backend = Backend::start("a", move |conn| {
        own.note(header(conn, "v1"));
        crate::checks::relay(conn, to);
    });
    let setup = Setup::of(&[&backend]).pool("protocol = \"http2\"\nproxy_protocol = \"v1\"");
    let proxy = setup.start();
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    for _ in 0..2 {
        assert_eq!(first.get("/", &[]).text(), "a");
        assert_eq!(second.get("/", &[]).text(), "a");
    }
    let ports = [local(&first).port(), local(&second).port()];
    assert_eq!(events.all().len(), 2);
    assert!(ports.iter().all(|port| events.count(|line| line.contains(&format!(" {port} "))) == 1));
}
