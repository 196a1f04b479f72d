//! Counters of what goes wrong: sessions that lose their backend, ejections, refused reloads, broken handshakes.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use crate::page::Page;
use crate::setup;
use crate::support::authority::Authority;
use crate::support::process::File;
use crate::support::secure::Hello;
use crate::support::{Backend, Client, Proxy, Setup, eventually};

/// The name of the backend that has the session.
fn home(proxy: &Proxy) -> String {
    proxy.get("/", &["X-Room: 1"]).text()
}

fn rebinds(proxy: &Proxy) -> [u64; 4] {
    let page = Page::of(proxy);
    ["down", "removed", "restarted", "drained"]
        .map(|cause| page.count("homing_rebinds_total", &format!("pool=app,cause={cause}")))
}

#[test]
fn sessions_that_move_are_counted_by_how_they_lost_their_backend() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = setup(&[&a, &b]).table("outlier", "consecutive_failures = 1").start();
    let first = home(&proxy);
    assert_eq!((home(&proxy), rebinds(&proxy)), (first.clone(), [0; 4]));
    [&a, &b].into_iter().find(|backend| backend.name == first).unwrap().stop();
    eventually("the session moves", || {
        let response = proxy.get("/", &["X-Room: 1"]);
        response.status == 200 && response.text() != first
    });
    assert_eq!(rebinds(&proxy), [1, 0, 0, 0]);
    let page = Page::of(&proxy);
    let rebound = page.count("homing_affinity_decisions_total", "source=header,outcome=rebound");
    assert_eq!(rebound, 1);
}

#[test]
fn a_drain_that_is_over_is_another_cause() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = setup(&[&a, &b]).start();
    let first = home(&proxy);
    let wanted = homing::config::Wanted::Maint;
    proxy.control().set_state("app", &first, wanted, None).unwrap();
    assert_ne!(home(&proxy), first);
    assert_eq!(rebinds(&proxy), [0, 0, 0, 1]);
}

#[test]
fn ejections_are_counted() {
    let failing = Backend::answering("a", "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n");
    let other = Backend::named("b");
    let setup =
        Setup::of(&[&failing, &other]).admin("").table("outlier", "consecutive_failures = 2\neject = \"1h\"");
    let proxy = setup.start();
    let ejected = || Page::of(&proxy).count("homing_backend_ejected", "backend=a") == 1;
    eventually("it is ejected", || {
        proxy.get("/", &[]);
        ejected()
    });
    let page = Page::of(&proxy);
    assert_eq!(page.count("homing_ejections_total", "pool=app,backend=a"), 1);
    assert_eq!(page.count("homing_ejections_total", "pool=app,backend=b"), 0);
}

#[test]
fn reloads_are_counted_by_what_came_of_them() {
    let backend = Backend::named("a");
    let file = File::with(&setup(&[&backend]).toml());
    let proxy = Proxy::of_file(Path::new(file.path()));
    let counts = |page: &Page| {
        ["applied", "refused", "unchanged"]
            .map(|outcome| page.count("homing_reloads_total", &format!("outcome={outcome}")))
    };
    let page = Page::of(&proxy);
    assert_eq!((counts(&page), page.count("homing_config_last_reload_success", "")), ([0; 3], 1));
    let begun = page.sum("homing_config_last_reload_timestamp_seconds", "");
    std::fs::write(file.path(), "nonsense").unwrap();
    proxy.control().reload("api").unwrap_err();
    let page = Page::of(&proxy);
    assert_eq!((counts(&page), page.count("homing_config_last_reload_success", "")), ([0, 1, 0], 0));
    assert!(page.sum("homing_config_last_reload_timestamp_seconds", "") > begun);
    std::fs::write(file.path(), setup(&[&backend]).weight("a", 7).toml()).unwrap();
    proxy.control().reload("api").unwrap();
    proxy.control().reload("api").unwrap();
    let page = Page::of(&proxy);
    assert_eq!((counts(&page), page.count("homing_config_last_reload_success", "")), ([1, 1, 1], 1));
    assert_eq!(page.count("homing_backend_weight", "backend=a"), 7);
    assert!(page.count("homing_config_generation", "") > 1);
}

#[test]
fn handshakes_and_certificates_are_told_of() {
    let (authority, backend) = (Authority::new("test"), Backend::named("a"));
    let issued = authority.issue(&["homing.test"]);
    let (cert, key) = (issued.cert.display(), issued.key.display());
    let listener = format!("tls = [{{ cert = \"{cert}\", key = \"{key}\" }}]");
    let proxy = setup(&[&backend]).listener(&listener).start();
    Hello::plain().connect(proxy.address).get("/", &[]);
    Client::connect(proxy.address).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").rest();
    let mut broken = TcpStream::connect(proxy.address).unwrap();
    broken.write_all(&[22, 3, 1, 0, 5, 1, 2, 3, 4, 5]).unwrap();
    let of =
        |outcome: &str| Page::of(&proxy).count("homing_tls_handshakes_total", &format!("outcome={outcome}"));
    for outcome in ["done", "plain", "failed"] {
        eventually(outcome, || of(outcome) == 1);
    }
    let page = Page::of(&proxy);
    let labels = format!("listener={},name=homing.test", proxy.address);
    let expiry = page.sum("homing_certificate_expiry_timestamp_seconds", &labels);
    let status = proxy.control().status().listeners[0].certificates[0].not_after.unwrap();
    assert!((expiry - status as f64).abs() < 1.0, "{expiry}");
}
