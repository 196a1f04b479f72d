//! What becomes of keys whose backend is down: another backend, a wait, a refusal, or nothing while too many seem to
//! fail at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use super::{homes, room_on, rooms_of};
use crate::support::{Backend, Proxy, Setup, eventually, get};

/// Three backends whose health can be turned, with rooms.
struct Fleet {
    backends: Vec<(Backend, Arc<AtomicU16>)>,
    proxy: Proxy,
}

impl Fleet {
    fn with(change: impl Fn(Setup) -> Setup) -> Self {
        let backends: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                let health = Arc::new(AtomicU16::new(200));
                let own = health.clone();
                (Backend::checked(name, move || own.load(Ordering::SeqCst)), health)
            })
            .into();
        let all: Vec<&Backend> = backends.iter().map(|(backend, _)| backend).collect();
        let proxy = change(Setup::of(&all).checks(1, 1)).start();
        for name in ["a", "b", "c"] {
            proxy.until(name, "up");
        }
        Self { backends, proxy }
    }

    /// What becomes of keys whose backend is down.
    fn policy(policy: &str) -> Self {
        Self::with(|setup| setup.table("sticky", &format!("key = [\"path:/game/{{room}}\"]\n{policy}")))
    }

    fn turn(&self, name: &str, status: u16, health: &str) {
        let (_, own) = self.backends.iter().find(|(backend, _)| backend.name == name).unwrap();
        own.store(status, Ordering::SeqCst);
        self.proxy.until(name, health);
    }
}

#[test]
fn rejecting_keeps_the_key_until_its_backend_is_back() {
    let fleet = Fleet::policy("on_backend_down = \"reject\"");
    let room = room_on(&fleet.proxy, "b");
    fleet.turn("b", 503, "down");
    let refused = fleet.proxy.get(&room, &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_ne!(fleet.proxy.get("/game/new", &[]).text(), "b", "new keys go elsewhere");
    fleet.turn("b", 200, "up");
    assert_eq!(fleet.proxy.get(&room, &[]).text(), "b");
}

#[test]
fn waiting_ends_when_the_backend_is_back() {
    let fleet = Fleet::policy("on_backend_down = \"wait\"\nwait_timeout = \"1h\"");
    let room = room_on(&fleet.proxy, "b");
    fleet.turn("b", 503, "down");
    let mut clients: Vec<_> = (0..5).map(|_| fleet.proxy.connect()).collect();
    for client in &mut clients {
        client.send(get(&room, &[]));
    }
    eventually("all wait", || fleet.proxy.control().pool_status("app").unwrap().waiting == 5);
    fleet.turn("b", 200, "up");
    assert!(clients.iter_mut().all(|client| client.response().text() == "b"));
    assert_eq!(fleet.proxy.control().pool_status("app").unwrap().waiting, 0);
}

#[test]
fn waiting_ends_with_another_backend_when_the_time_is_over() {
    let fleet = Fleet::policy("on_backend_down = \"wait\"\nwait_timeout = \"300ms\"");
    let room = room_on(&fleet.proxy, "b");
    fleet.turn("b", 503, "down");
    let home = fleet.proxy.get(&room, &[]).text();
    assert_ne!(home, "b");
    fleet.turn("b", 200, "up");
    assert_eq!(fleet.proxy.get(&room, &[]).text(), home, "it does not go back");
}

#[test]
fn waiting_takes_no_body_in() {
    let fleet = Fleet::policy("on_backend_down = \"wait\"\nwait_timeout = \"1h\"");
    let room = room_on(&fleet.proxy, "b");
    fleet.turn("b", 503, "down");
    let mut client = fleet.proxy.connect();
    let body = vec![b'x'; 16 << 20];
    client.send(format!("POST {room} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut writer = client.reader.source.try_clone().unwrap();
    let sending = thread::spawn(move || std::io::Write::write_all(&mut writer, &body));
    eventually("it waits", || fleet.proxy.control().pool_status("app").unwrap().waiting == 1);
    assert!(!sending.is_finished(), "16 MiB fit in no socket");
    fleet.turn("b", 200, "up");
    assert_eq!(client.response().text(), "b");
    sending.join().unwrap().unwrap();
}

#[test]
fn no_more_wait_than_may() {
    let fleet = Fleet::with(|setup| {
        let policy = "key = [\"path:/game/{room}\"]\non_backend_down = \"wait\"\nwait_timeout = \"1h\"";
        setup.limits("queue = 2").table("sticky", policy)
    });
    let room = room_on(&fleet.proxy, "b");
    fleet.turn("b", 503, "down");
    let mut clients: Vec<_> = (0..2).map(|_| fleet.proxy.connect()).collect();
    for client in &mut clients {
        client.send(get(&room, &[]));
    }
    eventually("two wait", || fleet.proxy.control().pool_status("app").unwrap().waiting == 2);
    assert_eq!(fleet.proxy.get(&room, &[]).status, 503);
    fleet.turn("b", 200, "up");
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn when_too_many_fail_doubtfully_nothing_bound_moves() {
    let fleet = Fleet::with(|setup| setup.sticky("\"path:/game/{room}\"").pool("panic_threshold = 50\n"));
    let before = homes(&fleet.proxy);
    fleet.turn("a", 503, "down");
    fleet.turn("b", 503, "down");
    assert!(fleet.proxy.control().pool_status("app").unwrap().panicking);
    assert_eq!(homes(&fleet.proxy), before, "its backend answers requests all the same");
    let new = (0..20).map(|n| fleet.proxy.get(&format!("/game/new-{n}"), &[]).text());
    assert!(new.into_iter().all(|backend| backend == "c"), "new keys go to those that are up only");
    fleet.turn("c", 503, "down");
    assert_eq!(fleet.proxy.get("/game/newer", &[]).status, 503);
    assert_eq!(homes(&fleet.proxy), before);
}

#[test]
fn refused_connections_are_believed() {
    let fleet = Fleet::with(|setup| setup.sticky("\"path:/game/{room}\"").pool("panic_threshold = 50\n"));
    let room = room_on(&fleet.proxy, "a");
    for (backend, _) in &fleet.backends[..2] {
        backend.stop();
        fleet.proxy.until(&backend.name, "down");
    }
    assert!(!fleet.proxy.control().pool_status("app").unwrap().panicking);
    assert_eq!(fleet.proxy.get(&room, &[]).text(), "c");
}

#[test]
fn below_the_threshold_keys_move() {
    let fleet = Fleet::with(|setup| setup.sticky("\"path:/game/{room}\"").pool("panic_threshold = 50\n"));
    let room = room_on(&fleet.proxy, "a");
    fleet.turn("a", 503, "down");
    assert_ne!(fleet.proxy.get(&room, &[]).text(), "a");
}

#[test]
fn a_pool_of_two_waits_for_a_backend_that_restarts_in_place() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let policy = "key = [\"path:/game/{room}\"]\non_backend_down = \"wait\"\nwait_timeout = \"1h\"";
    let proxy = rooms_of(&[&a, &b])
        .checks(1, 1)
        .toml()
        .replace("mode = \"table\"\nkey = [\"path:/game/{room}\"]", policy);
    let proxy = Setup::start_toml(&proxy);
    let room = room_on(&proxy, "a");
    a.stop();
    let mut client = proxy.connect();
    client.send(get(&room, &[]));
    eventually("it waits", || proxy.control().pool_status("app").unwrap().waiting == 1);
    a.restart();
    assert_eq!(client.response().text(), "a");
}

#[test]
fn a_key_that_could_not_begin_to_move_is_not_stuck() {
    let fleet = Fleet::with(|setup| setup.limits("queue = 0").sticky("\"path:/game/{room}\""));
    let room = room_on(&fleet.proxy, "b");
    let mut slow = fleet.proxy.connect();
    // A request that keeps its key: its head is there, and its body is not.
    slow.send(format!("POST {room} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
    eventually("it is under way", || fleet.proxy.status("b").in_flight == 1);
    fleet.turn("b", 503, "down");
    assert_eq!(fleet.proxy.get(&room, &[]).status, 503, "nobody may wait for it to move");
    fleet.turn("b", 200, "up");
    assert_eq!(fleet.proxy.get(&room, &[]).text(), "b");
    slow.send("12345");
    assert_eq!(slow.response().text(), "b");
}
