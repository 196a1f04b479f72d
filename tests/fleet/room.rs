//! Room at a backend: sessions and connections it may have, a slow start, and requests that have no key.

use super::{room_on, rooms_of};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Proxy, Setup, eventually, get};

fn sessions(proxy: &Proxy, backend: &str) -> u64 {
    proxy.status(backend).sessions
}

#[test]
fn a_full_backend_takes_no_new_sessions_and_keeps_its_own() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).backend("a", "max_sessions = 3").start();
    let first = room_on(&proxy, "a");
    (0..40).for_each(|n| drop(proxy.get(&format!("/game/{n}"), &[])));
    assert_eq!(sessions(&proxy, "a"), 3);
    assert_eq!(proxy.get(&first, &[]).text(), "a");
    assert!(sessions(&proxy, "b") > 30);
}

#[test]
fn when_all_are_full_new_sessions_are_refused() {
    let a = Backend::named("a");
    let proxy = rooms_of(&[&a]).backend("a", "max_sessions = 1").start();
    assert_eq!(proxy.get("/game/1", &[]).status, 200);
    let refused = proxy.get("/game/2", &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(proxy.get("/elsewhere", &[]).status, 200, "no key, no session");
}

#[test]
fn many_at_once_begin_no_more_sessions_than_there_may_be() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let setup = rooms_of(&[&a, &b]).server("workers = 4");
    let proxy = setup.backend("a", "max_sessions = 5").backend("b", "max_sessions = 5").start();
    let address = proxy.address;
    let ask = move |n| Client::connect(address).get(&format!("/game/{n}"), &[]).status;
    let asking: Vec<_> = (0..40).map(|n| std::thread::spawn(move || ask(n))).collect();
    let answers: Vec<u16> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 10, "{answers:?}");
    assert_eq!((sessions(&proxy, "a"), sessions(&proxy, "b")), (5, 5));
}

#[test]
fn connections_beyond_the_limit_wait_for_room() {
    let gated = Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.next.wait();
            conn.send(crate::support::backend::ok("a"));
        }
    });
    let proxy = rooms_of(&[&gated]).backend("a", "max_connections = 2").start();
    let mut clients: Vec<Client> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(get("/game/7", &[]));
    }
    eventually("two are there, three wait", || {
        gated.connections() == 2 && proxy.control().pool_status("app").unwrap().waiting == 3
    });
    gated.next.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "a"));
    assert!(gated.connections() <= 2, "{} connections", gated.connections());
}

#[test]
fn who_waits_too_long_for_room_is_told_so() {
    let events = Events::default();
    let a = echo("a", &events);
    let proxy =
        rooms_of(&[&a]).backend("a", "max_connections = 1").table("timeouts", "queue = \"100ms\"").start();
    let tunnel = Tunnel::open(proxy.connect(), "/game/7");
    let refused = proxy.get("/game/7", &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    drop(tunnel);
    eventually("there is room", || proxy.get("/game/7", &[]).status == 200);
}

#[test]
fn what_is_bound_to_nothing_goes_where_there_is_room() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let proxy = rooms_of(&[&a, &b]).backend("a", "max_connections = 1").start();
    let room = room_on(&proxy, "a");
    let _tunnel = Tunnel::open(proxy.connect(), &room);
    assert!((0..6).all(|_| proxy.get("/no-room", &[]).text() == "b"));
    assert!((0..20).all(|n| proxy.get(&format!("/game/new-{n}"), &[]).text() == "b"));
}

#[test]
fn who_waited_while_a_backend_came_goes_there_if_its_key_does() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), Backend::named("b"));
    let narrow = |backends: &[&Backend]| rooms_of(backends).backend("a", "max_connections = 1");
    let proxy = narrow(&[&a]).start();
    let tunnel = Tunnel::open(proxy.connect(), "/game/7");
    let mut client = proxy.connect();
    client.send(get("/game/8", &[]));
    eventually("it waits", || proxy.control().pool_status("app").unwrap().waiting == 1);
    proxy.apply(&narrow(&[&a, &b]));
    assert_eq!(proxy.get("/game/8", &[]).text(), "b", "there is no room at the other");
    drop(tunnel);
    assert_eq!(client.response().text(), "b");
    assert_eq!(proxy.get("/game/8", &[]).text(), "b");
}

#[test]
fn a_backend_that_has_come_up_takes_little_at_first() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let slowly = |backends: &[&Backend]| rooms_of(backends).table("slow_start", "duration = \"1h\"");
    let proxy = slowly(&[&a]).start();
    proxy.apply(&slowly(&[&a, &b]));
    let new: Vec<String> = (0..200).map(|n| proxy.get(&format!("/game/{n}"), &[]).text()).collect();
    let taken = new.iter().filter(|backend| *backend == "b").count();
    assert!((1..=20).contains(&taken), "{taken} of 200, of which 5 in a hundred of its half are 5");
}

#[test]
fn bounded_load_keeps_a_backend_near_its_share() {
    let backends: Vec<Backend> = (0..4).map(|n| Backend::named(&format!("b{n}"))).collect();
    let all: Vec<&Backend> = backends.iter().collect();
    let proxy = rooms_of(&all).pool("hash_balance_factor = 110\n").start();
    (0..80).for_each(|n| drop(proxy.get(&format!("/game/{n}"), &[])));
    let counts: Vec<u64> = backends.iter().map(|backend| sessions(&proxy, &backend.name)).collect();
    assert!(counts.iter().all(|count| *count <= 22), "{counts:?}");
}

#[test]
fn requests_without_a_key_take_turns_and_are_counted() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).start();
    let turns: Vec<String> = (0..4).map(|_| proxy.get("/", &[]).text()).collect();
    assert!(turns[0] != turns[1] && turns[..2] == turns[2..], "{turns:?}");
    proxy.get("/game/7", &[]);
    assert_eq!(proxy.control().pool_status("app").unwrap().keyless_total, 4);
    let keyless = Setup::of(&[&a, &b]).start();
    keyless.get("/", &[]);
    assert_eq!(keyless.control().pool_status("app").unwrap().keyless_total, 0, "nobody looks for one");
}

#[test]
fn a_fleet_that_is_seen_for_the_first_time_has_not_just_started() {
    let backends = ["a", "b", "c"].map(|name| Backend::checked(name, || 200));
    let plain = rooms_of(&backends.each_ref()).checks(1, 1).start();
    let slow = rooms_of(&backends.each_ref()).table("slow_start", "duration = \"1h\"").checks(1, 1).start();
    for name in ["a", "b", "c"] {
        plain.until(name, "up");
        slow.until(name, "up");
    }
    for room in (0..60).map(|room| format!("/game/{room}")) {
        assert_eq!(slow.get(&room, &[]).text(), plain.get(&room, &[]).text(), "{room}");
    }
}
