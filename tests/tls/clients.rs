//! Certificates of clients: who has none, or one that nobody knows, is refused; what a good one says reaches the
//! backend, and nobody else can say it.

use std::io::{Read as _, Write as _};

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::showing;
use crate::support::authority::{Authority, Issued};
use crate::support::raw_http2::{Peer, get, with};
use crate::support::secure::Hello;
use crate::support::{Backend, Proxy, Setup};

const SUBJECT: &str = "x-client-cert-subject";
const FORGED: &str = "X-Client-Cert-Subject: CN=admin";

/// A proxy whose first listener asks clients for certificates of `clients`; the second speaks plain HTTP.
struct Fixture {
    backend: Backend,
    proxy: Proxy,
    clients: Authority,
    _servers: Authority,
}

impl Fixture {
    fn new(top: &str) -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let issued = servers.issue(&["homing.test"]);
        let backend = Backend::named("a");
        let listener = showing(&[&issued]) + &format!("client_ca = '{}'\n", clients.file().display());
        let plain = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
        let setup = Setup::of(&[&backend]).top(top).listener(&(listener + plain));
        Self { backend, proxy: setup.start(), clients, _servers: servers }
    }

    /// What the backend was told of the client of the last request.
    fn told(&self) -> Option<String> {
        self.backend.requests().last().unwrap().field(SUBJECT).map(str::to_owned)
    }

    fn plain(&self) -> std::net::SocketAddr {
        self.proxy.server().addresses()[1]
    }
}

/// Whether somebody is let in. In TLS 1.3 a client hears of a refusal only after its own handshake.
fn is_let_in(proxy: &Proxy, hello: &Hello) -> bool {
    let Ok(mut stream) = hello.shake(proxy.address, "homing.test") else { return false };
    let sent = stream.write_all(crate::support::get("/", &[]).as_bytes());
    sent.is_ok() && stream.read_exact(&mut [0]).is_ok()
}

/// RFC 8446 §4.4.2.4.
#[test]
fn only_clients_of_the_authority_are_let_in() {
    let fixture = Fixture::new("");
    let known = fixture.clients.issue(&["alice"]);
    let (strangers, namesakes) = (Authority::new("strangers"), Authority::new("clients"));
    let (stranger, namesake) = (strangers.issue(&["alice"]), namesakes.issue(&["alice"]));
    for version in [&TLS12, &TLS13] {
        let hello = |identity: Option<&Issued>| Hello::new(&[version], &[], identity);
        assert!(is_let_in(&fixture.proxy, &hello(Some(&known))), "{version:?}");
        for (who, identity) in
            [("nobody", None), ("a stranger", Some(&stranger)), ("a namesake", Some(&namesake))]
        {
            assert!(!is_let_in(&fixture.proxy, &hello(identity)), "{who}, {version:?}");
        }
    }
    assert_eq!(fixture.backend.requests().len(), 2);
}

/// Over both versions of HTTP, and whatever the client claims itself.
#[test]
fn the_subject_reaches_the_backend() {
    let fixture = Fixture::new("");
    let alice = fixture.clients.issue(&["alice"]);
    let mut client = Hello::of(&alice).connect(fixture.proxy.address);
    for fields in [&[][..], &[FORGED], &[FORGED, FORGED], &["Connection: x-client-cert-subject"]] {
        assert_eq!(client.get("/", fields).status, 200);
        assert_eq!(fixture.told().as_deref(), Some("CN=alice"), "{fields:?}");
    }
    let hello = Hello::new(rustls::DEFAULT_VERSIONS, &["h2"], Some(&alice));
    let mut peer = Peer::over(hello.shake(fixture.proxy.address, "homing.test").unwrap());
    peer.begin(&[]);
    for forged in [&[][..], &[(SUBJECT, "CN=admin")]] {
        let stream = peer.ask(&with(get("/"), forged));
        assert_eq!(peer.answer(stream).status(), 200);
        assert_eq!(fixture.told().as_deref(), Some("CN=alice"));
    }
}

/// A session that is resumed is that of the same client.
#[test]
fn a_resumed_session_has_the_same_subject() {
    let fixture = Fixture::new("");
    let [alice, bob] = ["alice", "bob"].map(|name| fixture.clients.issue(&[name]));
    for version in [&TLS12, &TLS13] {
        for (issued, subject) in [(&alice, "CN=alice"), (&bob, "CN=bob")] {
            let hello = Hello::new(&[version], &[], Some(issued));
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut client = hello.connect(fixture.proxy.address);
                assert_eq!(client.get("/", &[]).status, 200);
                assert_eq!(client.reader.source.conn.handshake_kind(), Some(kind), "{version:?}");
                assert_eq!(fixture.told().as_deref(), Some(subject), "{version:?}");
            }
        }
    }
}

/// Where no certificate is asked for, nobody has a subject; not in trailers either.
#[test]
fn it_is_taken_from_those_who_show_none() {
    let fixture = Fixture::new("");
    let mut client = crate::support::Client::connect(fixture.plain());
    client.get("/", &[FORGED]);
    assert_eq!(fixture.told(), None);
    let trailer = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Client-Cert-Subject\r\n\r\n\
                   1\r\nx\r\n0\r\nX-Client-Cert-Subject: CN=admin\r\n\r\n";
    assert_eq!(client.send(trailer).response().status, 200);
    assert!(fixture.backend.requests().last().unwrap().trailers.is_empty());
    let mut peer = Peer::open(fixture.plain());
    let stream = peer.ask(&with(get("/"), &[(SUBJECT, "CN=admin")]));
    assert_eq!(peer.answer(stream).status(), 200);
    assert_eq!(fixture.told(), None);
}

/// A trusted proxy has seen a certificate that this one has not; but what this one has seen itself counts more.
#[test]
fn a_trusted_proxy_may_tell_of_its_client() {
    let fixture = Fixture::new("trusted_proxies = [\"127.0.0.0/8\"]");
    let mut client = crate::support::Client::connect(fixture.plain());
    client.get("/", &["X-Client-Cert-Subject: CN=carol"]);
    assert_eq!(fixture.told().as_deref(), Some("CN=carol"));
    let alice = fixture.clients.issue(&["alice"]);
    Hello::of(&alice).connect(fixture.proxy.address).get("/", &["X-Client-Cert-Subject: CN=carol"]);
    assert_eq!(fixture.told().as_deref(), Some("CN=alice"));
}
