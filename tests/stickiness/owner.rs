//! One owner for each key, across all workers: before the first octet of a room goes to its new owner, everything of
//! it is closed at the old one, and nothing ever goes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::backend::{is_established, ok};
use crate::support::websocket::{AGREE, TEXT, Tunnel, echo_frames, frame};
use crate::support::{Backend, Client, Conn, Events, Proxy, Setup, eventually, get};

/// A backend of rooms whose health can be turned.
struct Owner {
    backend: Backend,
    health: Arc<AtomicU16>,
}

/// What all backends of a fleet know of each other's tunnels and slow requests: whose, for which room, and both ends of
/// the connection.
#[derive(Clone, Default)]
struct Tunnels(Arc<Mutex<Vec<Held>>>);

struct Held {
    owner: &'static str,
    room: String,
    ends: (SocketAddr, SocketAddr),
}

impl Tunnels {
    fn enter(&self, name: &'static str, room: &str, conn: &Conn) {
        let socket = &conn.reader.source;
        let ends = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
        self.0.lock().unwrap().push(Held { owner: name, room: room.to_owned(), ends });
    }

    /// How many of a room are open at others than `name` now.
    fn open_elsewhere(&self, name: &str, room: &str) -> usize {
        let all = self.0.lock().unwrap();
        let elsewhere = all.iter().filter(|held| held.owner != name && held.room == room);
        elsewhere.filter(|held| is_established(held.ends)).count()
    }
}

impl Owner {
    /// Greets tunnels with `NAME EPOCH`, and never answers what is `slow`. Notes `NAME got TARGET`, how much of its room
    /// was open elsewhere then, and `NAME lost TARGET`.
    fn start(name: &'static str, events: &Events, tunnels: &Tunnels) -> Self {
        let health = Arc::new(AtomicU16::new(200));
        let (own, events, tunnels) = (health.clone(), events.clone(), tunnels.clone());
        let backend = Backend::start(name, move |conn| {
            while let Some(request) = conn.request() {
                let epoch = request.field("x-session-epoch").unwrap_or("-").to_owned();
                if request.target() == "/healthz" {
                    conn.send(format!(
                        "HTTP/1.1 {} X\r\ncontent-length: 0\r\n\r\n",
                        own.load(Ordering::SeqCst)
                    ));
                    continue;
                }
                let (room, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
                let elsewhere = tunnels.open_elsewhere(name, room);
                events.note(format!("{name} got {}, {elsewhere} elsewhere", request.target()));
                if query == "slow" {
                    tunnels.enter(name, room, conn);
                    conn.until_closed();
                } else if request.field("upgrade").is_some() {
                    tunnels.enter(name, room, conn);
                    conn.send(format!("{AGREE}\r\n"));
                    conn.send(frame(TEXT, format!("{name} {epoch}").as_bytes()));
                    echo_frames(conn);
                    events.note(format!("{name} lost {}", request.target()));
                } else {
                    conn.send(ok(&format!("{name} {epoch}")));
                }
            }
        });
        Self { backend, health }
    }

    fn turn(&self, status: u16) {
        self.health.store(status, Ordering::SeqCst);
    }
}

/// `NAME EPOCH`.
fn parse(greeting: &str) -> (String, u64) {
    let (name, epoch) = greeting.split_once(' ').unwrap();
    (name.to_owned(), epoch.parse().unwrap())
}

struct Fleet {
    events: Events,
    owners: Vec<Owner>,
    proxy: Proxy,
}

impl Fleet {
    fn start() -> Self {
        let (events, tunnels) = (Events::default(), Tunnels::default());
        let owners: Vec<Owner> = ["a", "b", "c"].map(|name| Owner::start(name, &events, &tunnels)).into();
        let backends: Vec<&Backend> = owners.iter().map(|owner| &owner.backend).collect();
        let setup = Setup::of(&backends).server("workers = 4").sticky("\"path:/game/{room}\"").checks(1, 1);
        let proxy = setup.start();
        for name in ["a", "b", "c"] {
            proxy.until(name, "up");
        }
        Self { events, owners, proxy }
    }

    fn owner(&self, name: &str) -> &Owner {
        self.owners.iter().find(|owner| owner.backend.name == name).unwrap()
    }

    /// Tunnels of one room over connections of their own, with what they were greeted with.
    fn tunnels(&self, count: usize, target: &str) -> (Vec<Tunnel>, (String, u64)) {
        let mut tunnels: Vec<Tunnel> =
            (0..count).map(|_| Tunnel::open(self.proxy.connect(), target)).collect();
        let greetings: Vec<_> = tunnels.iter_mut().map(|tunnel| parse(&tunnel.hear())).collect();
        assert!(greetings.iter().all(|greeting| *greeting == greetings[0]), "{greetings:?}");
        (tunnels, greetings[0].clone())
    }
}

#[test]
fn a_room_has_one_owner_whatever_worker_it_enters_by() {
    let fleet = Fleet::start();
    let (_tunnels, (owner, _)) = fleet.tunnels(24, "/game/7");
    let strays = fleet.events.count(|event| event != format!("{owner} got /game/7, 0 elsewhere"));
    assert_eq!(strays, 0, "{:?}", fleet.events.all());
}

#[test]
fn first_requests_at_the_same_time_agree_on_an_owner() {
    let fleet = Fleet::start();
    for room in 0..10 {
        let address = fleet.proxy.address;
        let ask = move || crate::support::Client::connect(address).get(&format!("/game/{room}"), &[]).text();
        let asking: Vec<_> = (0..8).map(|_| std::thread::spawn(ask)).collect();
        let answers: Vec<String> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

#[test]
fn a_room_moves_only_after_everything_of_it_is_closed() {
    let fleet = Fleet::start();
    let (mut tunnels, (old, epoch)) = fleet.tunnels(24, "/game/7");
    let (mut bystanders, (neighbour, _)) = fleet.tunnels(3, &room_of(&fleet, &old));
    assert_eq!(neighbour, old);

    fleet.owner(&old).turn(503);
    fleet.proxy.until(&old, "down");
    assert_eq!(fleet.events.count(|event| event.contains(" lost ")), 0, "nothing has asked for the room yet");
    let (new, later) = parse(&fleet.proxy.get("/game/7", &[]).text());
    assert!(new != old && later > epoch, "{new} {later} after {old} {epoch}");

    let first = format!("{new} got /game/7, 0 elsewhere");
    assert_eq!(fleet.events.count(|event| event == first), 1, "{:?}", fleet.events.all());
    let lost = format!("{old} lost /game/7");
    eventually("the old owner saw all its tunnels end", || fleet.events.count(|event| event == lost) == 24);
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.close_code(), Some(1012));
    }
    for tunnel in &mut bystanders {
        assert_eq!(tunnel.say("still here?").hear(), "still here?", "another room of the old owner");
    }
}

/// Another room of the same owner.
fn room_of(fleet: &Fleet, owner: &str) -> String {
    let mut rooms = (0..).map(|n| format!("/game/other-{n}"));
    rooms.find(|room| parse(&fleet.proxy.get(room, &[]).text()).0 == owner).unwrap()
}

#[test]
fn a_backend_that_returns_gets_none_of_its_rooms_back() {
    let fleet = Fleet::start();
    let (tunnels, (old, epoch)) = fleet.tunnels(6, "/game/7");
    fleet.owner(&old).turn(503);
    fleet.proxy.until(&old, "down");
    let (mut moved, (new, later)) = fleet.tunnels(6, "/game/7");
    fleet.owner(&old).turn(200);
    fleet.proxy.until(&old, "up");
    let (_more, greeting) = fleet.tunnels(6, "/game/7");
    assert_eq!(greeting, (new.clone(), later), "same owner, same epoch");
    assert!(new != old && later > epoch);
    assert_eq!(moved[0].say("unmoved").hear(), "unmoved");
    let doubled = fleet.events.count(|event| event.contains(" got ") && !event.ends_with(" 0 elsewhere"));
    assert_eq!(doubled, 0, "{:?}", fleet.events.all());
    drop(tunnels);
}

#[test]
fn requests_in_flight_end_before_their_room_moves() {
    let fleet = Fleet::start();
    let old = parse(&fleet.proxy.get("/game/7", &[]).text()).0;
    let mut clients: Vec<Client> = (0..16).map(|_| fleet.proxy.connect()).collect();
    for client in &mut clients {
        client.send(get("/game/7?slow", &[]));
    }
    let got = format!("{old} got /game/7?slow, 0 elsewhere");
    eventually("all are on their way", || fleet.events.count(|event| event == got) == 16);
    fleet.owner(&old).turn(503);
    fleet.proxy.until(&old, "down");
    let new = parse(&fleet.proxy.get("/game/7", &[]).text()).0;
    assert_eq!(fleet.events.all().last(), Some(&format!("{new} got /game/7, 0 elsewhere")));
    for mut client in clients {
        let answer = client.response();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    }
}

#[test]
fn a_key_is_held_until_its_body_is_sent_though_the_answer_is_over() {
    let backend = Backend::start("a", |conn| {
        let mut request = conn.head().unwrap();
        conn.send(ok("early"));
        conn.body(&mut request);
        conn.until_closed();
    });
    let proxy = Setup::of(&[&backend]).sticky("\"query:room\"").start();
    let live = || proxy.control().session("app", b"7").unwrap().map(|session| session.live);
    let mut client = proxy.connect();
    client.send("POST /?room=7 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nx");
    assert_eq!(client.response().text(), "early");
    eventually("the exchange is over", || proxy.status("a").in_flight == 0);
    assert_eq!(live(), Some(1));
    client.send("yz!");
    eventually("the key is let go", || live() == Some(0));
    assert_eq!(backend.request().text(), "xyz!");
}
