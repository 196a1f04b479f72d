//! Active checks: what they ask, what counts as good, and how many in a row it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::backend::ok;
use crate::support::{Backend, Conn, Proxy, Setup, eventually};

/// A backend whose health can be turned.
pub(crate) fn turned(name: &str, status: u16) -> (Backend, Arc<AtomicU16>) {
    let health = Arc::new(AtomicU16::new(status));
    let own = health.clone();
    (Backend::checked(name, move || own.load(Ordering::SeqCst)), health)
}

/// The health of a backend after its first check, which decides.
#[track_caller]
fn first_health(backend: &Backend, table: &str) -> String {
    let proxy = Setup::of(&[backend]).table("health", &format!("{table}\ninterval = \"30ms\"")).start();
    eventually("the first check is over", || proxy.status("a").health.as_str() != "unknown");
    proxy.status("a").health.as_str().to_owned()
}

#[test]
fn a_check_asks_as_configured() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend])
        .table("health", "path = \"/check?deep=1\"\nhost = \"health.example\"\ninterval = \"30ms\"")
        .start();
    proxy.until("a", "up");
    let check = &backend.requests()[0];
    assert_eq!(
        (check.start_line(), check.field("host")),
        ("GET /check?deep=1 HTTP/1.1", Some("health.example"))
    );
    assert!(check.field("user-agent").is_some_and(|agent| agent.starts_with("homing/")));
}

#[test]
fn the_backends_address_is_the_host_of_a_check() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).table("health", "path = \"/check\"").start();
    proxy.until("a", "up");
    assert_eq!(backend.requests()[0].field("host"), Some(&*backend.address.to_string()));
}

#[test]
fn statuses_from_200_to_399_are_good() {
    for (status, health) in [(200, "up"), (204, "up"), (302, "up"), (399, "up"), (400, "down"), (503, "down")]
    {
        let (backend, _) = turned("a", status);
        assert_eq!(first_health(&backend, "path = \"/healthz\""), health, "{status}");
    }
}

#[test]
fn the_good_statuses_can_be_chosen() {
    for (status, health) in [(200, "down"), (204, "up"), (401, "up"), (404, "down")] {
        let (backend, _) = turned("a", status);
        let table = "path = \"/healthz\"\nstatus = \"204,401-403\"";
        assert_eq!(first_health(&backend, table), health, "{status}");
    }
}

#[test]
fn without_a_path_a_connection_is_enough() {
    let silent = Backend::start("a", Conn::until_closed);
    assert_eq!(first_health(&silent, "rise = 1"), "up");
    assert_eq!(first_health(&Backend::killed("a"), "rise = 1"), "down");
}

#[test]
fn a_check_that_is_not_answered_in_time_has_failed() {
    let silent = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let table = "path = \"/healthz\"\ntimeout = \"100ms\"\ninterval = \"30ms\"\nfall = 2";
    let proxy = Setup::of(&[&silent]).table("health", table).start();
    proxy.until("a", "down");
}

#[test]
fn fall_failures_in_a_row_take_it_down_and_no_fewer() {
    let (backend, health) = turned("a", 200);
    let proxy = Setup::of(&[&backend]).checks(1, 4).start();
    proxy.until("a", "up");
    let before = backend.checks();
    health.store(503, Ordering::SeqCst);
    proxy.until("a", "suspect");
    assert_eq!(proxy.get("/", &[]).status, 200, "suspect, but the only one");
    proxy.until("a", "down");
    assert!(backend.checks() >= before + 4, "{} checks", backend.checks() - before);
    assert_eq!(proxy.get("/", &[]).status, 503);
}

#[test]
fn a_good_check_in_between_starts_the_count_anew() {
    let (backend, health) = turned("a", 200);
    let proxy = Setup::of(&[&backend]).checks(1, 50).start();
    proxy.until("a", "up");
    for _ in 0..3 {
        health.store(503, Ordering::SeqCst);
        proxy.until("a", "suspect");
        health.store(200, Ordering::SeqCst);
        proxy.until("a", "up");
    }
}

#[test]
fn rise_good_checks_in_a_row_bring_it_up_and_no_fewer() {
    let (backend, health) = turned("a", 503);
    let proxy = Setup::of(&[&backend]).checks(4, 1).start();
    proxy.until("a", "down");
    assert_eq!(proxy.get("/", &[]).status, 503);
    let before = backend.checks();
    health.store(200, Ordering::SeqCst);
    proxy.until("a", "up");
    assert!(backend.checks() >= before + 4, "{} checks", backend.checks() - before);
    assert_eq!(proxy.get("/", &[]).status, 200);
}

#[test]
fn a_down_backend_gets_nothing_new() {
    let (a, health) = turned("a", 200);
    let (b, _) = turned("b", 200);
    let proxy = Setup::of(&[&a, &b]).checks(1, 1).start();
    health.store(500, Ordering::SeqCst);
    proxy.until("a", "down");
    for _ in 0..10 {
        assert_eq!(proxy.get("/", &[]).text(), "b");
    }
    assert!(a.requests().is_empty());
    health.store(200, Ordering::SeqCst);
    proxy.until("a", "up");
    let answers: Vec<String> = (0..4).map(|_| proxy.get("/", &[]).text()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "a").count(), 2, "{answers:?}");
}

#[test]
fn what_a_down_backend_has_begun_it_may_finish() {
    let health = Arc::new(AtomicU16::new(200));
    let own = health.clone();
    let backend = Backend::start("a", move |conn| {
        while let Some(request) = conn.request() {
            let status = own.load(Ordering::SeqCst);
            if request.target() == "/healthz" {
                conn.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            } else {
                conn.next.wait();
                conn.send(ok("finished"));
            }
        }
    });
    let proxy = Setup::of(&[&backend]).checks(1, 1).start();
    proxy.until("a", "up");
    let mut client = proxy.connect();
    client.send(crate::support::get("/", &[]));
    eventually("it is there", || backend.requests().len() == 1);
    health.store(500, Ordering::SeqCst);
    proxy.until("a", "down");
    backend.next.open();
    assert_eq!(client.response().text(), "finished");
}

#[test]
fn nothing_is_sent_before_the_first_check() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/healthz" {
                conn.next.wait();
            }
            conn.send(ok("a"));
        }
    });
    let proxy: Proxy = Setup::of(&[&backend]).checks(1, 1).start();
    let mut client = proxy.connect();
    client.send(crate::support::get("/", &[]));
    eventually("a check waits", || backend.checks() == 1);
    assert!(backend.requests().is_empty());
    backend.next.open();
    assert_eq!(client.response().status, 200, "the client had to wait, no more");
}

#[test]
fn silence_at_the_first_check_counts_as_up() {
    let backend = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/healthz" {
                return conn.until_closed();
            }
            conn.send(ok("a"));
        }
    });
    let proxy = Setup::of(&[&backend]).table("health", "path = \"/healthz\"\ntimeout = \"300ms\"").start();
    assert_eq!(proxy.get("/", &[]).status, 200);
}
