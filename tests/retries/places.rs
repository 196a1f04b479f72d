//! Where: a session's request at its own backend and never elsewhere, any other elsewhere if it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::backend::ok;
use crate::support::{Backend, Client, Proxy, Setup, eventually, get};
use crate::{breaking, impatient, setup, with_body};

const KEY: &str = "\"query:room\"";

#[test]
fn a_request_of_a_session_is_tried_again_at_its_own_backend() {
    for room in 0..10 {
        let (a, b) = (impatient("a"), impatient("b"));
        let proxy = setup(&[&a, &b]).sticky(KEY).start();
        let target = format!("/?room={room}");
        let owner = proxy.get(&target, &[]).text();
        for _ in 0..3 {
            assert_eq!(proxy.get(&target, &[]).text(), owner);
        }
        let [own, other] = if owner == "a" { [&a, &b] } else { [&b, &a] };
        // Each but the first came over a connection that broke, and then over another.
        assert_eq!((own.requests().len(), other.connections()), (7, 0));
        let epochs: Vec<_> =
            own.requests().iter().map(|it| it.field("x-session-epoch").unwrap().to_owned()).collect();
        assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    }
}

#[test]
fn a_key_that_a_failed_try_has_bound_stays_there() {
    for room in 0..10 {
        let (a, b) = (breaking("a", 1), breaking("b", 1));
        let proxy = setup(&[&a, &b]).sticky(KEY).start();
        let owner = proxy.get(&format!("/?room={room}"), &[]).text();
        let [own, other] = if owner == "a" { [&a, &b] } else { [&b, &a] };
        assert_eq!((own.requests().len(), other.connections()), (2, 0));
        assert_eq!((proxy.status(&own.name).sessions, proxy.status(&other.name).sessions), (1, 0));
    }
}

#[test]
fn a_session_whose_backend_breaks_every_try_gets_no_other() {
    let (a, b) = (breaking("a", usize::MAX), breaking("b", usize::MAX));
    let proxy = setup(&[&a, &b]).sticky(KEY).table("retry", "attempts = 4").start();
    assert_eq!(proxy.get("/?room=7", &[]).status, 502);
    let counts = (a.requests().len(), b.requests().len());
    assert!(counts == (4, 0) || counts == (0, 4), "{counts:?}");
}

#[test]
fn a_request_that_belongs_nowhere_goes_elsewhere() {
    let (a, b) = (breaking("a", usize::MAX), Backend::named("b"));
    let proxy = setup(&[&a, &b]).start();
    for _ in 0..10 {
        assert_eq!(proxy.get("/", &[]).text(), "b");
    }
    assert!(
        (5..=10).contains(&a.requests().len()) && b.requests().len() == 10,
        "a second try takes a turn as well"
    );
    let posts = [0, 1].map(|_| proxy.ask(with_body("POST", "x")).status);
    assert!(
        posts == [200, 502] || posts == [502, 200],
        "what may have been done is not done elsewhere: {posts:?}"
    );
}

#[test]
fn a_hashed_key_stays_where_a_connection_had_idled_and_goes_to_its_next_backend_where_not() {
    let hash = format!("mode = \"hash\"\nkey = [{KEY}]");
    for room in 0..8 {
        let target = format!("/?room={room}");
        let (a, b) = (impatient("a"), impatient("b"));
        let proxy = setup(&[&a, &b]).table("sticky", &hash).start();
        let owner = proxy.get(&target, &[]).text();
        assert_eq!(proxy.get(&target, &[]).text(), owner);
        let (a, b) = (breaking("a", 1), breaking("b", 0));
        let proxy = setup(&[&a, &b]).table("sticky", &hash).start();
        assert_eq!(proxy.get(&target, &[]).text(), "b", "the owner or the next");
        assert_eq!((a.connections(), b.connections()), if owner == "a" { (1, 1) } else { (0, 1) });
    }
}

#[test]
fn where_every_other_has_failed_the_last_one_is_tried_again() {
    let (a, b) = (breaking("a", 1), breaking("b", 1));
    let proxy = setup(&[&a, &b]).table("retry", "attempts = 3").start();
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(a.connections() + b.connections(), 3);
}

/// Holds the first request for `/hold` until its connection is closed; answers health checks, and all else with its
/// name.
fn holding(name: &str) -> (Backend, Arc<AtomicBool>) {
    let (answer, held) = (ok(name), Arc::new(AtomicBool::new(false)));
    let has_held = held.clone();
    let backend = Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if request.target().starts_with("/hold") && !has_held.swap(true, Ordering::SeqCst) {
                return conn.until_closed();
            }
            conn.send(&answer);
        }
    });
    (backend, held)
}

/// Two backends, a session at one of them, and a request of it that is held there while that is killed.
struct Killed {
    a: Backend,
    b: Backend,
    proxy: Proxy,
    owner: String,
    client: Client,
}

impl Killed {
    fn with(policy: &str) -> Self {
        let ((a, a_held), (b, b_held)) = (holding("a"), holding("b"));
        let sticky =
            format!("mode = \"table\"\nkey = [{KEY}]\non_backend_down = \"{policy}\"\nwait_timeout = \"1h\"");
        let setup: Setup = setup(&[&a, &b]).table("sticky", &sticky).checks(1, 1);
        let proxy = setup.start();
        let owner = proxy.get("/?room=7", &[]).text();
        let mut client = proxy.connect();
        client.send(get("/hold?room=7", &[]));
        eventually("it is held", || a_held.load(Ordering::SeqCst) || b_held.load(Ordering::SeqCst));
        // The other one has nothing to hold for: it is asked once more, if at all.
        a_held.store(true, Ordering::SeqCst);
        b_held.store(true, Ordering::SeqCst);
        let this = Self { a, b, proxy, owner, client };
        this.own().stop();
        this
    }

    fn own(&self) -> &Backend {
        if self.owner == "a" { &self.a } else { &self.b }
    }

    fn other(&self) -> &Backend {
        if self.owner == "a" { &self.b } else { &self.a }
    }
}

#[test]
fn with_its_backend_gone_a_session_moves_where_it_may() {
    let mut killed = Killed::with("rebind");
    assert_eq!(killed.client.response().text(), killed.other().name);
    let held =
        |backend: &Backend| backend.requests().iter().filter(|it| it.target().starts_with("/hold")).count();
    assert_eq!((held(killed.own()), held(killed.other())), (1, 1));
}

#[test]
fn with_its_backend_gone_a_session_waits_where_it_shall() {
    let mut killed = Killed::with("wait");
    let waiting = || killed.proxy.control().status().pools[0].waiting;
    killed.proxy.until(&killed.owner, "down");
    eventually("it waits", || waiting() == 1);
    killed.own().restart();
    assert_eq!(killed.client.response().text(), killed.owner);
    assert!(killed.other().requests().is_empty());
}

#[test]
fn with_its_backend_gone_a_session_is_refused_where_it_shall() {
    let mut killed = Killed::with("reject");
    let refused = killed.client.response();
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert!(killed.other().requests().is_empty());
}

#[test]
fn a_post_of_a_session_whose_backend_dies_midway_is_not_done_by_another() {
    let ((a, a_held), (b, b_held)) = (holding("a"), holding("b"));
    let proxy = setup(&[&a, &b]).sticky(KEY).checks(1, 1).start();
    let owner = proxy.get("/?room=7", &[]).text();
    let [own, other] = if owner == "a" { [&a, &b] } else { [&b, &a] };
    let mut client = proxy.connect();
    client.send("POST /hold?room=7 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    eventually("it is held", || a_held.load(Ordering::SeqCst) || b_held.load(Ordering::SeqCst));
    own.stop();
    assert_eq!(client.response().status, 502);
    assert!(other.requests().is_empty());
}
