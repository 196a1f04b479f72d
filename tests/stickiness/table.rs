//! The session table: bindings last as long as their sessions, whatever else changes in the fleet.

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};
use homing::explain::Verdict;

const ROOMS: usize = 40;

fn rooms(proxy: &Proxy) -> Vec<String> {
    (0..ROOMS).map(|room| proxy.get(&format!("/game/{room}"), &[]).text()).collect()
}

fn sticky(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"path:/game/{room}\"")
}

fn sessions(proxy: &Proxy) -> u64 {
    proxy.control().status().pools[0].backends.iter().map(|backend| backend.sessions).sum()
}

#[test]
fn a_room_stays_on_every_worker_and_connection() {
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), Backend::named("c"));
    let proxy = sticky(&[&a, &b, &c]).server("workers = 3").start();
    let first = rooms(&proxy);
    assert!(["a", "b", "c"].iter().all(|name| first.contains(&(*name).to_owned())), "{first:?}");
    assert_eq!(rooms(&proxy), first);
    assert_eq!(sessions(&proxy), ROOMS as u64);
}

#[test]
fn added_backends_and_other_weights_move_nothing() {
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), Backend::named("c"));
    let proxy = sticky(&[&a, &b]).start();
    let first = rooms(&proxy);
    proxy.apply(&sticky(&[&a, &b, &c]).weight("c", 100));
    assert_eq!(rooms(&proxy), first);
    proxy.apply(&sticky(&[&c, &b, &a]).weight("a", 0));
    assert_eq!(rooms(&proxy), first, "weight 0 keeps its own");
    let new: Vec<String> = (0..20).map(|room| proxy.get(&format!("/game/new-{room}"), &[]).text()).collect();
    assert!(!new.contains(&"a".to_owned()), "and takes no new: {new:?}");
}

#[test]
fn removing_a_backend_moves_its_rooms_only() {
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), Backend::named("c"));
    let proxy = sticky(&[&a, &b, &c]).start();
    let first = rooms(&proxy);
    proxy.apply(&sticky(&[&a, &b]));
    assert_eq!(rooms(&proxy), first, "it leaves with its rooms, and has half an hour for that");
    proxy.apply(&sticky(&[&a, &b, &c]).table("drain", "timeout = \"0s\""));
    proxy.apply(&sticky(&[&a, &b]).table("drain", "timeout = \"0s\""));
    for (before, after) in first.iter().zip(rooms(&proxy)) {
        assert!(if before == "c" { after != "c" } else { after == *before }, "{before} became {after}");
    }
}

#[test]
fn a_session_ends_when_it_idles_and_not_before() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend])
        .table("sticky", "key = [\"path:/game/{room}\"]\nidle_timeout = \"1s\"")
        .start();
    let begun = std::time::Instant::now();
    proxy.get("/game/7", &[]);
    let reason = || proxy.explain("/game/7", &http::HeaderMap::new()).reason;
    assert_eq!(reason(), Verdict::Bound);
    eventually("the session ends", || reason() == Verdict::Placed);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1), "it ended after {:?}", begun.elapsed());
    eventually("its place is free", || sessions(&proxy) == 0);
}

#[test]
fn a_session_with_a_tunnel_does_not_end() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = Setup::of(&[&backend])
        .table("sticky", "key = [\"path:/game/{room}\"]\nidle_timeout = \"1s\"")
        .start();
    let tunnel = Tunnel::open(proxy.connect(), "/game/7");
    proxy.get("/game/8", &[]);
    eventually("the session without one ends", || sessions(&proxy) == 1);
    drop(tunnel);
    eventually("then the other", || sessions(&proxy) == 0);
}

#[test]
fn each_session_of_a_key_has_a_greater_epoch() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend])
        .table("sticky", "key = [\"path:/game/{room}\"]\nidle_timeout = \"1s\"")
        .start();
    proxy.get("/game/7", &[]);
    eventually("the session ends", || sessions(&proxy) == 0);
    proxy.get("/game/7", &[]);
    let requests = backend.requests();
    let epochs: Vec<u64> =
        requests.iter().map(|request| request.field("x-session-epoch").unwrap().parse().unwrap()).collect();
    assert!(epochs[0] < epochs[1], "{epochs:?}");
}

#[test]
fn a_table_full_of_live_sessions_takes_no_more() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = Setup::of(&[&backend]).table("sticky", "key = [\"path:/game/{room}\"]\ncapacity = 3").start();
    let mut tunnels: Vec<Tunnel> =
        (0..3).map(|room| Tunnel::open(proxy.connect(), &format!("/game/{room}"))).collect();
    let refused = proxy.get("/game/4", &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(proxy.get("/elsewhere", &[]).status, 200, "no key, no place");
    assert_eq!(proxy.get("/game/1", &[]).status, 200, "it has a place");
    tunnels.pop();
    eventually("there is room", || proxy.get("/game/4", &[]).status == 200);
}

#[test]
fn what_explains_agrees_with_what_happens() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = sticky(&[&a, &b]).start();
    for room in 0..20 {
        let target = format!("/game/{room}");
        let explain = || proxy.explain(&target, &http::HeaderMap::new());
        let before = explain();
        assert_eq!(
            (before.reason, before.key_source.as_deref()),
            (Verdict::Placed, Some("path:/game/{room}"))
        );
        assert_eq!(before.backend, Some(proxy.get(&target, &[]).text()));
        assert_eq!((explain().reason, explain().backend), (Verdict::Bound, before.backend));
    }
}
