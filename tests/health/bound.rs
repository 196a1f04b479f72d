//! Sessions whose backend cannot be reached: they stay unless it is down, and then move once, for good.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::checks::turned;
use crate::support::{Backend, Proxy, Setup, eventually, get};

const KEY: &str = "\"path:/game/{room}\"";

/// The backends in the order of who has the room, first its owner.
fn by_owner<'a>(proxy: &Proxy, backends: [&'a Backend; 2]) -> [&'a Backend; 2] {
    let owner = proxy.get("/game/7", &[]).text();
    let [a, b] = backends;
    if a.name == owner { [a, b] } else { [b, a] }
}

#[test]
fn a_killed_backend_loses_its_rooms_within_two_seconds_without_an_error() {
    for with_checks in [true, false] {
        let (a, b) = (turned("a", 200).0, turned("b", 200).0);
        let setup = Setup::of(&[&a, &b]).sticky(KEY);
        let slow = "path = \"/healthz\"\ninterval = \"1h\"";
        let proxy = if with_checks { setup.table("health", slow) } else { setup }.start();
        let [owner, other] = by_owner(&proxy, [&a, &b]);
        owner.stop();
        let begun = Instant::now();
        let response = proxy.get("/game/7", &[]);
        assert_eq!((response.status, response.text()), (200, other.name.clone()), "checks: {with_checks}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(proxy.status(&owner.name).health.as_str(), "down");
    }
}

#[test]
fn a_returning_backend_does_not_take_rooms_back() {
    let (a, b) = (turned("a", 200).0, turned("b", 200).0);
    let proxy = Setup::of(&[&a, &b]).sticky(KEY).checks(1, 1).start();
    let [owner, other] = by_owner(&proxy, [&a, &b]);
    owner.stop();
    assert_eq!(proxy.get("/game/7", &[]).text(), other.name);
    owner.restart();
    proxy.until(&owner.name, "up");
    for _ in 0..5 {
        assert_eq!(proxy.get("/game/7", &[]).text(), other.name);
    }
}

#[test]
fn in_hash_mode_a_returning_backend_gets_its_own_back() {
    let (a, b) = (turned("a", 200).0, turned("b", 200).0);
    let sticky = format!("mode = \"hash\"\nkey = [{KEY}]");
    let proxy = Setup::of(&[&a, &b]).table("sticky", &sticky).checks(1, 1).start();
    let rooms =
        || -> Vec<String> { (0..20).map(|room| proxy.get(&format!("/game/{room}"), &[]).text()).collect() };
    let before = rooms();
    a.stop();
    proxy.until("a", "down");
    assert!(rooms().iter().all(|owner| owner == "b"));
    a.restart();
    proxy.until("a", "up");
    assert_eq!(rooms(), before);
}

#[test]
fn a_backend_that_refuses_but_is_not_down_keeps_its_rooms() {
    let (a, b) = (turned("a", 200).0, turned("b", 200).0);
    let patient = "path = \"/healthz\"\ninterval = \"50ms\"\nrise = 1\nfall = 100000";
    let proxy = Setup::of(&[&a, &b])
        .sticky(KEY)
        .table("health", patient)
        .table("timeouts", "connect = \"300ms\"")
        .start();
    let [owner, other] = by_owner(&proxy, [&a, &b]);
    let epoch = epoch(&proxy, owner);
    owner.stop();
    let refused = proxy.get("/game/7", &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(proxy.status(&owner.name).health.as_str(), "suspect");
    let elsewhere: Vec<String> =
        (0..4).map(|room| proxy.get(&format!("/game/new-{room}"), &[]).text()).collect();
    assert!(elsewhere.iter().all(|name| *name == other.name), "a suspect gets no new rooms: {elsewhere:?}");
    owner.restart();
    assert_eq!(proxy.get("/game/7", &[]).text(), owner.name);
    assert_eq!(self::epoch(&proxy, owner), epoch, "it never moved");
}

#[test]
fn a_backend_that_refuses_once_and_is_back_for_the_check_keeps_its_rooms() {
    let (a, b) = (turned("a", 200).0, turned("b", 200).0);
    let patient = "path = \"/healthz\"\ninterval = \"1h\"\nrise = 1\nfall = 100000";
    let proxy = Setup::of(&[&a, &b]).sticky(KEY).table("health", patient).start();
    let [owner, _] = by_owner(&proxy, [&a, &b]);
    let epoch = epoch(&proxy, owner);
    owner.stop();
    let mut client = proxy.connect();
    client.send(get("/game/7", &[]));
    eventually("the connect failed", || proxy.status(&owner.name).failures_total > 0);
    owner.restart();
    assert_eq!(client.response().text(), owner.name, "found up, it is tried once more");
    assert_eq!(self::epoch(&proxy, owner), epoch, "it never moved");
}

/// The epoch that the owner of the room sees.
fn epoch(proxy: &Proxy, owner: &Backend) -> String {
    assert_eq!(proxy.get("/game/7", &[]).text(), owner.name);
    owner.requests().last().unwrap().field("x-session-epoch").unwrap().to_owned()
}

#[test]
fn a_backend_that_does_not_answer_a_connect_keeps_its_rooms() {
    let hanging = Hanging::new();
    let other = Backend::killed("b");
    let toml = Setup::of(&[&other]).sticky(KEY).table("timeouts", "connect = \"300ms\"").toml();
    let address = hanging.address();
    let backend = format!("[[pool.backend]]\nname = \"a\"\naddress = \"{address}\"\n[[pool.backend]]");
    let proxy = Setup::start_toml(&toml.replacen("[[pool.backend]]", &backend, 1));
    assert_eq!(hanging.answer_one(|| proxy.get("/game/7", &[])).text(), "a");
    other.restart();
    hanging.fill();
    let begun = Instant::now();
    let refused = proxy.get("/game/7", &[]);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(other.requests().is_empty());
}

/// A listener that accepts one connection, and whose queue can be filled so that connects get no answer at all.
struct Hanging {
    listener: Socket,
    queued: std::sync::Mutex<Vec<Socket>>,
}

impl Hanging {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        Self { listener, queued: std::sync::Mutex::default() }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }

    /// Answers one request on one connection, which it then closes.
    fn answer_one<T>(&self, ask: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::io::{Read, Write};
                let mut stream = TcpStream::from(self.listener.accept().unwrap().0);
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na")
                    .unwrap();
            });
            ask()
        })
    }

    /// Leaves no room in the queue: the kernel ignores further connects.
    fn fill(&self) {
        let full = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = socket.connect_timeout(&self.address().into(), Duration::from_millis(300));
            self.queued.lock().unwrap().push(socket);
            connected.is_err()
        };
        eventually("the queue is full", full);
    }
}

#[test]
fn a_room_moves_when_its_backend_is_down_though_it_still_accepts() {
    let (a, health_a) = turned("a", 200);
    let (b, health_b) = turned("b", 200);
    let proxy = Setup::of(&[&a, &b]).sticky(KEY).checks(1, 1).start();
    let [owner, other] = by_owner(&proxy, [&a, &b]);
    let health = if owner.name == "a" { health_a } else { health_b };
    health.store(500, Ordering::SeqCst);
    proxy.until(&owner.name, "down");
    assert_eq!(proxy.get("/game/7", &[]).text(), other.name);
}

#[test]
fn with_nowhere_to_go_a_bound_request_is_unavailable_and_its_room_stays() {
    let (a, health) = turned("a", 200);
    let proxy = Setup::of(&[&a]).sticky(KEY).checks(1, 1).start();
    let before = epoch(&proxy, &a);
    health.store(500, Ordering::SeqCst);
    proxy.until("a", "down");
    let response = proxy.get("/game/7", &[]);
    assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
    health.store(200, Ordering::SeqCst);
    proxy.until("a", "up");
    assert_eq!(epoch(&proxy, &a), before);
}

#[test]
fn learned_sessions_move_like_others() {
    let issue = |name: &'static str| {
        Backend::start(name, move |conn| {
            while let Some(request) = conn.request() {
                let cookie = if request.target() == "/login" { "Set-Cookie: sid=s1\r\n" } else { "" };
                conn.send(format!("HTTP/1.1 200 OK\r\n{cookie}Content-Length: 1\r\n\r\n{name}"));
            }
        })
    };
    let (a, b) = (issue("a"), issue("b"));
    let proxy = Setup::of(&[&a, &b]).sticky("\"cookie:sid\"").start();
    let owner = proxy.get("/login", &[]).text();
    let (own, other) = if owner == "a" { (&a, &b) } else { (&b, &a) };
    assert_eq!(proxy.get("/", &["Cookie: sid=s1"]).text(), own.name);
    own.stop();
    assert_eq!(proxy.get("/", &["Cookie: sid=s1"]).text(), other.name);
}
