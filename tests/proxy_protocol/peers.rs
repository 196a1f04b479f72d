//! Who may send a header, and what its client counts for: keys, logs, other fields; the same before TLS and HTTP/2.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;

use crate::support::authority::Authority;
use crate::support::process::Process;
use crate::support::raw_http2::Peer;
use crate::support::secure::Hello;
use crate::support::{Backend, Client, DEADLINE, Proxy, Setup, get};
use crate::{over_ipv4, wanting};

fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 10.0.0.9 1111 443\r\n")
}

/// A `GET` of a client that a header names.
#[track_caller]
fn ask(proxy: &Proxy, client: &str, fields: &[&str]) -> crate::support::Response {
    proxy.ask(line(client) + &get("/", fields))
}

#[test]
fn only_trusted_proxies_may_connect() {
    let backend = Backend::named("a");
    let toml =
        Setup::of(&[&backend]).top("trusted_proxies = [\"192.0.2.0/24\"]").listener("proxy_protocol = true");
    let proxy = toml.start();
    for said in [line("192.0.2.1") + &get("/", &[]), get("/", &[])] {
        let mut client = proxy.connect();
        // It may be closed before anything is read.
        let _ = client.reader.source.write_all(said.as_bytes());
        assert!(client.is_closed());
    }
    assert_eq!(backend.connections(), 0);
}

/// A proxy that nobody named would believe anybody's header.
#[test]
fn a_listener_without_trusted_proxies_is_a_mistake() {
    let toml = Setup::of(&[]).listener("proxy_protocol = true").toml();
    let errors = homing::config::Config::parse(&toml, "test").unwrap_err().to_string();
    assert!(errors.contains("trusted_proxies"), "{errors}");
}

/// It is the named client whose word about others counts, or not.
#[test]
fn trust_is_of_the_client_that_is_named() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).start();
    let forwarded = |name| backend.requests().last().unwrap().field(name).map(str::to_owned);
    let claims = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Client-Cert-Subject: CN=admin"];
    assert_eq!(ask(&proxy, "192.0.2.1", &claims).status, 200);
    assert_eq!(forwarded("x-forwarded-for").as_deref(), Some("192.0.2.1"));
    assert_eq!(forwarded("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(forwarded("x-client-cert-subject"), None);
    assert_eq!(ask(&proxy, "127.0.0.9", &claims).status, 200);
    assert_eq!(forwarded("x-forwarded-for").as_deref(), Some("6.6.6.6, 127.0.0.9"));
    assert_eq!(forwarded("x-forwarded-proto").as_deref(), Some("https"));
}

#[test]
fn the_client_is_the_key_where_addresses_are() {
    let backends = ["a", "b", "c"].map(Backend::named);
    let proxy = wanting(&backends.each_ref()).sticky("\"client_ip\"").start();
    let home = |n: u8| ask(&proxy, &format!("192.0.2.{n}"), &[]).text();
    let homes: Vec<String> = (1..20).map(home).collect();
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3, "{homes:?}");
    assert!((1..20).all(|n| home(n) == homes[usize::from(n) - 1]));
}

#[test]
fn the_client_is_in_the_access_log() {
    let backend = Backend::named("a");
    let (process, address) = Process::proxy(&wanting(&[&backend]).log("format = \"json\""));
    Client::connect(address).send(line("192.0.2.77") + &get("/", &[])).response();
    let access = process.access(1);
    assert!(access[0].contains("192.0.2.77"), "{access:?}");
}

/// The header comes first, before anything that is encrypted or framed.
#[test]
fn tls_and_http_2_follow_the_header() {
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let tls = format!("tls = [{{ cert = '{}', key = '{}' }}]\n", issued.cert.display(), issued.key.display());
    let backend = Backend::named("a");
    let listener = format!("proxy_protocol = true\n{tls}");
    let proxy = Setup::of(&[&backend]).top(crate::TRUSTED).listener(&listener).start();
    let plain = wanting(&[&backend]).start();
    let told = || backend.requests().last().unwrap().field("x-forwarded-for").map(str::to_owned);
    let begun = |proxy: &Proxy, header: &[u8]| {
        let mut socket = TcpStream::connect(proxy.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(header).unwrap();
        socket
    };
    let headers = [line("192.0.2.1").into_bytes(), over_ipv4([192, 0, 2, 1], b"\x20\0\x03xyz")];
    for header in &headers {
        let stream = Hello::plain().shake_over(begun(&proxy, header), "homing.test").unwrap();
        let mut client = Client { reader: crate::support::message::Reader::new(stream) };
        assert_eq!(client.get("/", &[]).status, 200);
        assert_eq!(told().as_deref(), Some("192.0.2.1"));
        let mut peer = Peer::over(Hello::http2().shake_over(begun(&proxy, header), "homing.test").unwrap());
        peer.begin(&[]);
        assert_eq!(peer.get("/").status(), 200);
        assert_eq!(told().as_deref(), Some("192.0.2.1"));
        let mut peer = Peer::over(begun(&plain, header));
        peer.begin(&[]);
        assert_eq!(peer.get("/").status(), 200);
        assert_eq!(told().as_deref(), Some("192.0.2.1"));
    }
    // TLS without the header, and the header within TLS, are neither.
    assert!(Hello::plain().shake(proxy.address, "homing.test").is_err());
}
