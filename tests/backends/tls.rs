//! TLS to backends: whom the proxy believes, what it shows of itself, and what goes through.

use std::path::Path;

use crate::support::authority::Authority;
use crate::support::process::{File, Process, run};
use crate::support::terminator::{Farewell, Terminator, Terms};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Conn, Events, Proxy, Setup, eventually};

/// A backend with a certificate in front of it.
struct Encrypted {
    backend: Backend,
    front: Terminator,
}

fn encrypted(terms: &Terms<'_>) -> Encrypted {
    let backend = Backend::named("a");
    let front = Terminator::start(terms, backend.address);
    Encrypted { backend, front }
}

impl Encrypted {
    /// A proxy with this `[pool.tls]`.
    fn setup(&self, tls: &str) -> Setup {
        Setup::at(&[("a", self.front.address)]).table("tls", tls)
    }
}

#[test]
fn requests_arrive_encrypted_and_share_a_connection() {
    let authority = Authority::new("ca");
    let it = encrypted(&Terms { alpn: &["h2", "http/1.1"], ..Terms::of(&authority.issue(&["127.0.0.1"])) });
    let proxy = it.setup(&authority.ca()).start();
    for _ in 0..3 {
        assert_eq!(proxy.get("/", &[]).text(), "a");
    }
    let handshakes = it.front.handshakes();
    assert_eq!(handshakes.len(), 1, "{handshakes:?}");
    assert_eq!((&handshakes[0].failed, handshakes[0].alpn.as_deref()), (&None, Some("http/1.1")));
    assert_eq!(handshakes[0].server_name, None, "an address is no server name (RFC 6066 §3)");
    assert_eq!(it.backend.requests().len(), 3);
}

#[test]
fn large_bodies_pass_both_ways() {
    let authority = Authority::new("ca");
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len()));
            conn.send(&request.body);
        }
    });
    let front = Terminator::start(&Terms::of(&authority.issue(&["127.0.0.1"])), backend.address);
    let proxy = Setup::at(&[("a", front.address)]).table("tls", &authority.ca()).start();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
    let response = client.send(&body).response();
    assert!(response.status == 200 && response.body == body);
}

#[track_caller]
fn assert_refused(proxy: &Proxy, backend: &Backend) {
    let response = proxy.get("/", &[]);
    assert_eq!(response.status, 503, "{response:?}");
    assert!(backend.requests().is_empty());
    assert!(proxy.status("a").failures_total > 0);
}

#[test]
fn a_certificate_by_somebody_else_is_not_believed() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let it = encrypted(&Terms::of(&theirs.issue(&["127.0.0.1"])));
    let proxy = it.setup(&ours.ca()).start();
    assert_refused(&proxy, &it.backend);
    eventually("the backend hears why", || it.front.handshakes().iter().any(|it| it.failed.is_some()));
}

#[test]
fn a_certificate_for_somebody_else_is_not_believed() {
    let authority = Authority::new("ca");
    let it = encrypted(&Terms::of(&authority.issue(&["app.internal"])));
    assert_refused(&it.setup(&authority.ca()).start(), &it.backend);
    let right = it.setup(&format!("{}server_name = \"app.internal\"", authority.ca())).start();
    assert_eq!(right.get("/", &[]).text(), "a");
    let wrong = it.setup(&format!("{}server_name = \"other.internal\"", authority.ca())).start();
    assert_eq!(wrong.get("/", &[]).status, 503);
    let names: Vec<_> = it.front.handshakes().into_iter().filter_map(|it| it.server_name).collect();
    assert!(names.contains(&"app.internal".to_owned()), "{names:?}");
}

#[test]
fn a_backend_with_a_name_must_have_that_name() {
    let authority = Authority::new("ca");
    for (name, status) in [("localhost", 200), ("127.0.0.1", 503)] {
        let it = encrypted(&Terms::of(&authority.issue(&[name])));
        let address = it.front.address.to_string().replace("127.0.0.1", "localhost");
        let toml = it.setup(&authority.ca()).toml().replace(&it.front.address.to_string(), &address);
        let proxy = Setup::start_toml(&toml);
        assert_eq!(proxy.get("/", &[]).status, status, "{name}");
    }
}

#[test]
fn a_backend_without_tls_is_no_backend() {
    let authority = Authority::new("ca");
    let backend = Backend::start("a", |conn| {
        conn.head();
        conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    let proxy = Setup::of(&[&backend]).table("tls", &authority.ca()).start();
    assert_eq!(proxy.get("/", &[]).status, 503);
}

#[test]
fn a_handshake_has_as_long_as_a_connect() {
    let authority = Authority::new("ca");
    let silent = Backend::start("a", Conn::until_closed);
    let setup = Setup::of(&[&silent]).table("tls", &authority.ca());
    let proxy = setup.table("timeouts", "connect = \"200ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 503);
    eventually("nothing is left of it", || silent.open() == 0);
}

#[test]
fn backends_see_the_certificate_they_ask_for() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let identity = servers.issue(&["127.0.0.1"]);
    let it = encrypted(&Terms { clients: Some(&clients), ..Terms::of(&identity) });
    let own = clients.issue(&["proxy.internal"]);
    let proxy = it.setup(&format!("{}{}", servers.ca(), own.shown())).start();
    assert_eq!(proxy.get("/", &[]).text(), "a");
    assert_eq!(it.front.handshakes()[0].shown, 1);
}

#[test]
fn without_the_certificate_they_ask_for_backends_refuse() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let identity = servers.issue(&["127.0.0.1"]);
    let it = encrypted(&Terms { clients: Some(&clients), ..Terms::of(&identity) });
    let others = servers.issue(&["proxy.internal"]);
    for tls in [servers.ca(), format!("{}{}", servers.ca(), others.shown())] {
        let response = it.setup(&tls).start().get("/", &[]);
        // With TLS 1.3 the backend may refuse only when the proxy thinks that all is well.
        assert!(matches!(response.status, 502 | 503), "{response:?}");
    }
    assert!(it.backend.requests().is_empty());
}

#[test]
fn anybody_is_believed_where_the_file_says_so() {
    let theirs = Authority::new("theirs");
    let it = encrypted(&Terms::of(&theirs.issue(&["nobody.invalid"])));
    let proxy = it.setup("verify = false").start();
    assert_eq!(proxy.get("/", &[]).text(), "a");
}

#[test]
fn that_anybody_is_believed_is_said_loudly() {
    let theirs = Authority::new("theirs");
    let it = encrypted(&Terms::of(&theirs.issue(&["nobody.invalid"])));
    let file = File::with(&it.setup("verify = false").toml());
    let (process, _) = Process::of_file(&file);
    let warnings = || process.lines().iter().filter(|line| line.contains("tls.verify is off")).count();
    eventually("a warning at the start", || warnings() == 1);
    process.signal(rustix::process::Signal::HUP);
    eventually("a warning at the reload", || warnings() == 2);
    let check = run(&["check", "-c", file.path()]);
    assert!(String::from_utf8_lossy(&check.stdout).contains("WITHOUT VERIFICATION"));
}

#[test]
fn the_log_says_why_a_backend_is_not_believed() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let it = encrypted(&Terms::of(&theirs.issue(&["127.0.0.1"])));
    let (process, address) = Process::proxy(&it.setup(&ours.ca()).log("level = \"debug\""));
    assert_eq!(crate::support::Client::connect(address).get("/", &[]).status, 503);
    let is_told = |line: &String| line.contains("connect failed") && line.contains("UnknownIssuer");
    eventually("the reason", || process.lines().iter().any(is_told));
}

#[test]
fn a_websocket_goes_through_tls() {
    let authority = Authority::new("ca");
    let backend = echo("a", &Events::default());
    let front = Terminator::start(&Terms::of(&authority.issue(&["127.0.0.1"])), backend.address);
    let proxy = Setup::at(&[("a", front.address)]).table("tls", &authority.ca()).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat");
    assert_eq!(tunnel.hear(), "a -");
    for text in ["first".to_owned(), "x".repeat(300_000)] {
        assert_eq!(tunnel.say(&text).hear(), text);
    }
    drop(tunnel);
    eventually("both ends are closed", || backend.open() == 0 && proxy.status("a").in_flight == 0);
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole_only_with_a_farewell() {
    let authority = Authority::new("ca");
    let identity = authority.issue(&["127.0.0.1"]);
    for (farewell, ending) in [(Farewell::Said, "\r\n0\r\n\r\n"), (Farewell::Missing, "\r\n")] {
        let backend = Backend::start("a", |conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\n\r\nbody");
        });
        let front = Terminator::start(&Terms { farewell, ..Terms::of(&identity) }, backend.address);
        let proxy = Setup::at(&[("a", front.address)]).table("tls", &authority.ca()).start();
        let mut client = proxy.connect();
        assert_eq!(client.send(crate::support::get("/", &["Connection: close"])).head().status, 200);
        assert_eq!(String::from_utf8(client.rest()).unwrap(), format!("4\r\nbody{ending}"), "{farewell:?}");
    }
}

// === Reload ===

#[test]
fn a_reload_that_changes_nothing_keeps_connections() {
    let authority = Authority::new("ca");
    let it = encrypted(&Terms::of(&authority.issue(&["127.0.0.1"])));
    let setup = it.setup(&authority.ca());
    let proxy = setup.start();
    for _ in 0..3 {
        assert_eq!(proxy.get("/", &[]).status, 200);
        proxy.apply(&setup);
    }
    assert_eq!(it.front.handshakes().len(), 1);
}

#[test]
fn a_reload_that_changes_whom_to_believe_uses_no_connection_from_before() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let it = encrypted(&Terms::of(&ours.issue(&["127.0.0.1"])));
    let proxy = it.setup(&ours.ca()).start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    proxy.apply(&it.setup(&theirs.ca()));
    assert_eq!(proxy.get("/", &[]).status, 503, "the former connection would still do");
    proxy.apply(&it.setup(&ours.ca()));
    assert_eq!(proxy.get("/", &[]).status, 200);
    eventually("the former connection is closed", || it.backend.open() == 1);
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload() {
    let authority = Authority::new("ca");
    let identity = authority.issue(&["127.0.0.1"]);
    let it = encrypted(&Terms { clients: Some(&authority), ..Terms::of(&identity) });
    let own = authority.issue(&["proxy.internal"]);
    let setup = it.setup(&format!("{}{}", authority.ca(), own.shown()));
    let proxy = setup.start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    authority.issue_to(&["proxy.internal"], &own);
    proxy.apply(&setup);
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(it.front.handshakes().len(), 2);
    assert!(Path::new(&own.cert).exists());
}
