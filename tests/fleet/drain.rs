//! Draining: nothing new, everything kept, and an end for each session at its own moment.

use homing::backend::Cause;
use homing::config::Wanted;

use super::{homes, room_on, rooms_of};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};

fn drain(proxy: &Proxy, backend: &str, timeout: &str) {
    let timeout = humantime::parse_duration(timeout).unwrap();
    proxy.control().set_state("app", backend, Wanted::Drain, Some(timeout)).unwrap();
}

/// Rooms of tunnels that stay open as long as the test does.
fn tunnels(proxy: &Proxy, count: usize) -> Vec<Tunnel> {
    let open = |room| Tunnel::open(proxy.connect(), &format!("/game/{room}"));
    (0..count).map(open).collect()
}

#[test]
fn a_draining_backend_keeps_its_own_and_takes_no_new() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).start();
    let before = homes(&proxy);
    drain(&proxy, "a", "1h");
    assert_eq!(homes(&proxy), before);
    let new = (0..40).map(|n| proxy.get(&format!("/game/new-{n}"), &[]).text());
    assert!(new.into_iter().all(|backend| backend == "b"));
    assert!((0..8).all(|_| proxy.get("/no-room", &[]).text() == "b"), "nor what has no key");
    let left = proxy.status("a").drain.unwrap();
    assert_eq!(left.cause, Cause::Operator);
    assert!(left.sessions > 0 && !left.done && left.seconds_left > 3500.0, "{left:?}");
}

#[test]
fn a_drain_can_be_called_off() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).start();
    drain(&proxy, "a", "1h");
    proxy.control().set_state("app", "a", Wanted::Ready, None).unwrap();
    assert!(proxy.status("a").drain.is_none());
    room_on(&proxy, "a");
}

#[test]
fn every_session_ends_by_the_deadline_and_moves_once() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let proxy = rooms_of(&[&a, &b]).table("drain", "spread = \"1s\"").start();
    let mut all = tunnels(&proxy, 24);
    let greetings: Vec<String> = all.iter_mut().map(Tunnel::hear).collect();
    drain(&proxy, "a", "1s");
    let mut moved = 0;
    for (room, (mut tunnel, greeting)) in all.into_iter().zip(greetings).enumerate() {
        if greeting.starts_with("b ") {
            assert_eq!(tunnel.say("still here?").hear(), "still here?");
            continue;
        }
        assert_eq!(tunnel.close_code(), Some(1012));
        moved += 1;
        let again = Tunnel::open(proxy.connect(), &format!("/game/{room}")).hear();
        let (owner, epoch) = again.split_once(' ').unwrap();
        assert_eq!(owner, "b");
        assert!(epoch.parse::<u64>().unwrap() > greeting[2..].parse().unwrap(), "{again} after {greeting}");
    }
    eventually("nothing is left", || proxy.status("a").drain.is_some_and(|drain| drain.done));
    let a = proxy.status("a");
    assert_eq!(a.tunnels_closed_total + a.tunnels_dropped_total, moved, "{a:?}");
}

#[test]
fn sessions_end_one_after_the_other_and_those_of_one_key_together() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let proxy = rooms_of(&[&a, &b]).server("workers = 2").table("drain", "spread = \"3s\"").start();
    let of_a: Vec<String> =
        (0..30).map(|n| format!("/game/{n}")).filter(|room| proxy.get(room, &[]).text() == "a").collect();
    let open = |room: &String| [0, 1].map(|_| Tunnel::open(proxy.connect(), room));
    let mut pairs: Vec<_> = of_a.iter().map(open).collect();
    drain(&proxy, "a", "3s");
    eventually("some have gone, and some have not", || {
        let closed = events.count(|event| event.starts_with("a closed"));
        closed > 0 && closed < 2 * pairs.len()
    });
    for tunnel in pairs.iter_mut().flatten() {
        assert_eq!(tunnel.close_code(), Some(1012));
    }
    let order: Vec<String> = events.all().into_iter().filter(|event| event.starts_with("a closed")).collect();
    // Keys with nearly the same moment are closed by one sweep, in any order; the sweeps of two workers are 250 ms apart
    // at most. In a random order hardly any two of a key would be so near, and never all of them.
    for room in of_a {
        let closed = format!("a closed {room}");
        let first = order.iter().position(|event| *event == closed).unwrap();
        let last = order.iter().rposition(|event| *event == closed).unwrap();
        assert!(last - first <= order.len() / 3, "{room} in {order:?}");
    }
}

#[test]
fn requests_under_way_are_not_cut_before_the_deadline() {
    let slow = Backend::start("a", |conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi");
            conn.next.wait();
            conn.send("ne");
        }
    });
    let b = Backend::named("b");
    let proxy = rooms_of(&[&slow, &b]).weight("b", 0).start();
    let mut client = proxy.connect();
    client.send(crate::support::get("/game/7", &[]));
    assert_eq!(client.head().status, 200);
    drain(&proxy, "a", "1h");
    eventually("it is seen", || proxy.status("a").drain.is_some());
    slow.next.open();
    assert_eq!(client.octets(4), b"fine");
}

#[test]
fn what_is_still_under_way_at_the_deadline_ends() {
    let never = Backend::start("a", |conn| {
        conn.request();
        conn.until_closed();
    });
    let proxy = rooms_of(&[&never]).table("drain", "spread = \"0s\"").start();
    let mut client = proxy.connect();
    client.send(crate::support::get("/game/7", &[]));
    eventually("it has arrived", || never.requests().len() == 1);
    drain(&proxy, "a", "100ms");
    assert_eq!(client.response().status, 503);
}

#[test]
fn maintenance_ends_everything_at_once() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let proxy = rooms_of(&[&a, &b]).start();
    let room = room_on(&proxy, "a");
    let mut tunnel = Tunnel::open(proxy.connect(), &room);
    proxy.control().set_state("app", "a", Wanted::Maint, None).unwrap();
    assert_eq!(proxy.get(&room, &[]).text(), "b");
    assert_eq!(tunnel.close_code(), Some(1012));
    assert_eq!(proxy.status("a").state, "maint");
}

#[test]
fn in_hash_mode_only_what_is_open_stays() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let proxy =
        Setup::of(&[&a, &b]).table("sticky", "mode = \"hash\"\nkey = [\"path:/game/{room}\"]").start();
    let room = room_on(&proxy, "a");
    let mut tunnel = Tunnel::open(proxy.connect(), &room);
    tunnel.hear();
    drain(&proxy, "a", "1h");
    assert_eq!(proxy.get(&room, &[]).text(), "b", "it leaves the hash at once");
    assert_eq!(tunnel.say("open").hear(), "open");
    drain(&proxy, "a", "0s");
    assert_eq!(tunnel.close_code(), Some(1012));
}

#[test]
fn a_removed_backend_leaves_with_its_sessions_and_is_forgotten_when_it_is_empty() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let both = |timeout: &str| {
        rooms_of(&[&a, &b]).table("drain", &format!("timeout = \"{timeout}\"\nspread = \"0s\""))
    };
    let only_b =
        |timeout: &str| rooms_of(&[&b]).table("drain", &format!("timeout = \"{timeout}\"\nspread = \"0s\""));
    let proxy = both("1h").start();
    let room = room_on(&proxy, "a");
    let mut tunnel = Tunnel::open(proxy.connect(), &room);
    tunnel.hear();
    proxy.apply(&only_b("1h"));
    assert_eq!(proxy.get(&room, &[]).text(), "a");
    assert_eq!(tunnel.say("open").hear(), "open");
    assert_eq!(proxy.status("a").drain.unwrap().cause, Cause::Removed);
    proxy.apply(&both("1h"));
    assert!(proxy.status("a").drain.is_none(), "it is back");
    proxy.apply(&only_b("100ms"));
    assert_eq!(tunnel.close_code(), Some(1012));
    assert_eq!(proxy.get(&room, &[]).text(), "b");
    let names = || proxy.control().pool_status("app").unwrap().backends.len();
    eventually("it is forgotten", || names() == 1);
}

#[test]
fn the_file_speaks_when_it_changes_and_the_operator_in_between() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let ready = rooms_of(&[&a, &b]);
    let draining = rooms_of(&[&a, &b]).backend("a", "state = \"drain\"");
    let proxy = draining.start();
    assert_eq!(proxy.status("a").state, "drain");
    proxy.control().set_state("app", "a", Wanted::Ready, None).unwrap();
    proxy.apply(&draining);
    assert_eq!(proxy.status("a").state, "ready", "the file says what it said before");
    proxy.apply(&ready);
    proxy.apply(&draining);
    assert_eq!(proxy.status("a").state, "drain", "now it says something new");
    proxy.apply(&ready);
    assert_eq!(proxy.status("a").state, "ready");
}

#[test]
fn drained_waits_for_the_last_session() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).table("drain", "spread = \"0s\"").start();
    let room = room_on(&proxy, "a");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let drained = |wait: &str| {
        let wait = humantime::parse_duration(wait).unwrap();
        runtime.block_on(proxy.control().drained("app", "a", wait)).unwrap().done
    };
    drain(&proxy, "a", "1h");
    assert!(!drained("50ms"));
    drain(&proxy, "a", "50ms");
    assert!(drained("20s"));
    assert_eq!(proxy.get(&room, &[]).text(), "b");
}

#[test]
fn who_is_made_ready_after_its_deadline_has_none_of_its_former_sessions() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = rooms_of(&[&a, &b]).start();
    let room = room_on(&proxy, "a");
    let key = room.rsplit('/').next().unwrap();
    drain(&proxy, "a", "0s");
    proxy.control().set_state("app", "a", Wanted::Ready, None).unwrap();
    let session = proxy.control().session("app", key.as_bytes()).unwrap();
    assert!(session.is_none_or(|session| session.backend.is_none()), "its time was over, however briefly");
}

#[test]
fn asking_again_does_not_start_a_drain_anew() {
    let a = Backend::named("a");
    let proxy = rooms_of(&[&a]).table("drain", "timeout = \"1h\"").start();
    let again =
        |timeout| proxy.control().set_state("app", "a", Wanted::Drain, timeout).unwrap().drain.unwrap();
    let first = again(None).seconds_left;
    eventually("time passes", || proxy.status("a").drain.unwrap().seconds_left < first);
    assert!(again(None).seconds_left < first);
    assert!(
        again(Some(std::time::Duration::from_hours(2))).seconds_left > first,
        "unless it is told how long"
    );
}

#[test]
fn a_removed_pool_leaves_with_its_sessions_too() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), Backend::named("b"));
    let rest = format!("[[pool]]\nname = \"rest\"\nbackend = [{{ address = \"{}\" }}]\n", b.address);
    let routes = "[[route]]\npath = \"/game\"\npool = \"app\"\n[[route]]\npool = \"rest\"";
    let both =
        rooms_of(&[&a]).routes(routes).table("drain", "timeout = \"300ms\"\nspread = \"0s\"").toml() + &rest;
    let top = rooms_of(&[&a]).routes("[[route]]\npool = \"rest\"").toml();
    let without = top[..top.find("[[pool]]").unwrap()].to_owned() + &rest;
    let proxy = Setup::start_toml(&both);
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    tunnel.hear();
    proxy.control().apply(&homing::config::Config::parse(&without, "test").unwrap()).unwrap();
    assert_eq!(proxy.get("/game/7", &[]).text(), "b", "no route leads there any more");
    assert!(proxy.control().unready().is_empty(), "nor does anybody miss it");
    assert_eq!(tunnel.close_code(), Some(1012));
    eventually("it is forgotten", || proxy.control().pool_status("app").is_err());
}
