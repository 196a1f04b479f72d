//! `drain`, `ready` and `maint`: what is said, what is waited for, and how a wait ends.

use crate::support::process::Process;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, eventually};
use crate::{asking, json, said, setup, told, url};

/// A tunnel of room 7 on the only backend of the pool.
fn occupied(backend: &Backend) -> (Proxy, Tunnel) {
    let proxy = setup(&[backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/room/7");
    tunnel.hear();
    eventually("the tunnel counts", || proxy.status("a").connections == 1);
    (proxy, tunnel)
}

#[test]
fn a_backend_is_drained_and_made_ready_again() {
    let proxy = setup(&[&Backend::named("a"), &Backend::named("b")]).start();
    assert_eq!(
        told(&proxy, &["drain", "app/a", "--timeout", "10m"]),
        "app/a: drain, and nothing is left of it\n"
    );
    assert_eq!(proxy.status("a").state, "drain");
    let left = proxy.status("a").drain.unwrap().seconds_left;
    assert!((590.0..=600.0).contains(&left), "{left}");
    assert_eq!(told(&proxy, &["ready", "app/a"]), "app/a takes new work again\n");
    assert_eq!(proxy.status("a").state, "ready");
    assert!(told(&proxy, &["maint", "app/a"]).starts_with("app/a"));
    assert_eq!(proxy.status("a").state, "maint");
    let answer = json(&proxy, &["ready", "app/a"], 0);
    assert_eq!((&answer["name"], &answer["state"]), (&"a".into(), &"ready".into()));
}

#[test]
fn what_is_left_is_told() {
    let backend = echo("a", &Events::default());
    let (proxy, _tunnel) = occupied(&backend);
    let said = told(&proxy, &["drain", "app/a", "--timeout", "10m"]);
    assert!(said.starts_with("app/a drains: 1 session, 1 tunnel left; at most "), "{said}");
}

#[test]
fn a_wait_ends_when_nothing_is_left() {
    let backend = echo("a", &Events::default());
    let (proxy, tunnel) = occupied(&backend);
    let drain = Process::start(&["drain", "app/a", "--timeout", "10m", "--wait", "--admin", &url(&proxy)]);
    eventually("the drain begins", || proxy.status("a").state == "drain");
    drop(tunnel);
    said(&mut asking(&proxy, &["sessions", "app", "--key", "7", "--end"]), 0);
    let (status, lines) = drain.wait();
    assert_eq!((status.code(), lines), (Some(0), vec!["app/a: nothing is left of it".to_owned()]));
}

#[test]
fn a_wait_that_is_over_says_what_is_left() {
    let backend = echo("a", &Events::default());
    let (proxy, _tunnel) = occupied(&backend);
    let said = said(&mut asking(&proxy, &["drain", "app/a", "--timeout", "10m", "--wait=10ms"]), 1);
    assert_eq!(said.out, "");
    assert!(said.err.starts_with("draining app/a: 1 session, 1 tunnel left, at most "), "{}", said.err);
    assert!(said.err.contains("the wait is over, and 1 session, 1 tunnel left"), "{}", said.err);
    let answer = json(&proxy, &["drain", "app/a", "--wait=1ms"], 1);
    assert_eq!((&answer["done"], &answer["drain"]["sessions"]), (&false.into(), &1.into()));
}

#[test]
fn the_deadline_of_a_drain_ends_the_wait() {
    let backend = echo("a", &Events::default());
    let (proxy, mut tunnel) = occupied(&backend);
    let answer = json(&proxy, &["drain", "app/a", "--timeout", "10ms", "--wait"], 0);
    assert_eq!((&answer["done"], &answer["connections"]), (&true.into(), &0.into()));
    assert_eq!(tunnel.close_code(), Some(1012));
}

#[test]
fn whoever_waits_in_vain_learns_it() {
    let backend = echo("a", &Events::default());
    let (proxy, _tunnel) = occupied(&backend);
    let drain = Process::start(&["drain", "app/a", "--wait", "--admin", &url(&proxy)]);
    eventually("the drain begins", || proxy.status("a").state == "drain");
    told(&proxy, &["ready", "app/a"]);
    assert_eq!(drain.wait().0.code(), Some(1));
}

#[test]
fn ready_waits_until_the_backend_is_up() {
    let backend = Backend::checked("a", || 200);
    backend.stop();
    let proxy = setup(&[&backend]).checks(1, 1).start();
    proxy.until("a", "down");
    let said = said(&mut asking(&proxy, &["ready", "app/a", "--wait=10ms"]), 1);
    assert!(said.err.contains("the wait is over, and it is down"), "{}", said.err);
    backend.restart();
    assert_eq!(told_out(&proxy, &["ready", "app/a", "--wait"]), "app/a is up and takes new work\n");
}

/// Standard output alone: how far a wait is goes elsewhere.
#[track_caller]
fn told_out(proxy: &Proxy, arguments: &[&str]) -> String {
    said(&mut asking(proxy, arguments), 0).out
}
