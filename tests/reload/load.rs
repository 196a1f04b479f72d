//! A hundred reloads under load: no request fails, no tunnel closes, and nothing bound moves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use homing::config::Wanted;

use crate::support::authority::{Authority, Issued};
use crate::support::secure::Hello;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Setup};
use crate::{Filed, setup};

const RELOADS: usize = 100;
const ROOMS: usize = 24;

/// One of two configurations: with other weights, another backend and another listener.
fn configuration(odd: bool, backends: &[Backend; 4], issued: &Issued) -> String {
    let [a, b, c, d] = backends;
    let all: &[&Backend] = if odd { &[a, b, d] } else { &[d, c, b, a] };
    let setup: Setup = setup(all).weight("a", if odd { 3 } else { 1 }).weight("b", if odd { 0 } else { 2 });
    let (cert, key) = (issued.cert.display(), issued.key.display());
    let mut listeners =
        format!("[[listener]]\naddress = \"127.0.0.2:0\"\ntls = [{{ cert = '{cert}', key = '{key}' }}]\n");
    if odd {
        listeners += "[[listener]]\naddress = \"127.0.0.3:0\"\n";
    }
    setup.routes(&format!("{listeners}[[route]]\npool = \"app\"")).toml()
}

fn room(number: usize) -> String {
    format!("x-room: room-{number}")
}

/// What clients share.
struct Load {
    over: AtomicBool,
    done: AtomicUsize,
    homes: Vec<String>,
}

impl Load {
    fn run<'a>(
        &'a self,
        scope: &'a Scope<'a, '_>,
        mut once: impl FnMut(usize) + Send + 'a,
    ) -> ScopedJoinHandle<'a, ()> {
        scope.spawn(move || {
            for turn in 0.. {
                once(turn);
                self.done.fetch_add(1, Ordering::Relaxed);
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    }

    /// Sessions that there are, on one connection, which nothing closes.
    fn bound<'a>(&'a self, scope: &'a Scope<'a, '_>, address: SocketAddr) -> ScopedJoinHandle<'a, ()> {
        let mut client = Client::connect(address);
        self.run(scope, move |turn| {
            let number = turn % ROOMS;
            assert_eq!(
                client.get("/", &[&room(number)]).text(),
                self.homes[number],
                "room {number} has moved"
            );
        })
    }

    /// Sessions that begin meanwhile, each with its second request on another connection.
    fn unknown<'a>(&'a self, scope: &'a Scope<'a, '_>, address: SocketAddr) -> ScopedJoinHandle<'a, ()> {
        let mut client = Client::connect(address);
        self.run(scope, move |turn| {
            let key = format!("x-room: new-{turn}");
            let home = client.get("/", &[&key]).text();
            assert_eq!(Client::connect(address).get("/", &[&key]).text(), home);
        })
    }

    fn secure<'a>(&'a self, scope: &'a Scope<'a, '_>, address: SocketAddr) -> ScopedJoinHandle<'a, ()> {
        self.run(scope, move |turn| {
            let mut client = Hello::plain().connect(address);
            assert_eq!(client.get("/", &[&room(turn % ROOMS)]).text(), self.homes[turn % ROOMS]);
        })
    }

    fn tunnels<'a>(&'a self, scope: &'a Scope<'a, '_>, mut open: Vec<Tunnel>) -> ScopedJoinHandle<'a, ()> {
        self.run(scope, move |turn| {
            let text = format!("{turn}");
            for tunnel in &mut open {
                assert_eq!(tunnel.say(&text).hear(), text);
            }
        })
    }
}

/// A tunnel of a room, and who is at its other end.
fn open(address: SocketAddr, number: usize) -> (Tunnel, String) {
    let mut client = Client::connect(address);
    let mut fields = crate::support::websocket::ASK.to_vec();
    let room = room(number);
    fields.push(&room);
    client.send(crate::support::get("/", &fields));
    let response = client.head();
    assert_eq!(response.status, 101, "{response:?}");
    let mut tunnel = Tunnel { client, response };
    let greeting = tunnel.hear();
    let home = greeting.split(' ').next().unwrap().to_owned();
    (tunnel, home)
}

#[test]
fn nothing_fails_closes_or_moves() {
    let events = Events::default();
    let backends = ["a", "b", "c", "d"].map(|name| echo(name, &events));
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let filed = Filed::start(&configuration(false, &backends, &issued));
    let (control, address) = (filed.proxy.control(), filed.proxy.address);
    let secure = control.status().listeners[1].address;
    let (tunnels, homes): (Vec<_>, Vec<_>) = (0..ROOMS).map(|number| open(address, number)).unzip();
    assert!(["a", "b", "c", "d"].iter().all(|name| homes.iter().any(|home| home == name)), "{homes:?}");
    control.set_state("app", "d", Wanted::Drain, None).unwrap();
    let load = Load { over: AtomicBool::new(false), done: AtomicUsize::new(0), homes };

    std::thread::scope(|scope| {
        let clients = [
            load.bound(scope, address),
            load.bound(scope, address),
            load.unknown(scope, address),
            load.secure(scope, secure),
            load.tunnels(scope, tunnels),
        ];
        for turn in 1..=RELOADS {
            authority.issue_to(&["homing.test"], &issued);
            let changes = filed.write(&configuration(turn % 2 == 1, &backends, &issued)).reload().changes;
            assert!(changes.backends.len() >= 3 && changes.sessions.at_once == 0, "{changes:?}");
            // Each configuration carries some of the load.
            let before = load.done.load(Ordering::Relaxed);
            while load.done.load(Ordering::Relaxed) < before + 5
                && !clients.iter().any(ScopedJoinHandle::is_finished)
            {
                std::thread::yield_now();
            }
        }
        assert_eq!(events.count(|event| event.contains("closed")), 0, "every tunnel is open");
        load.over.store(true, Ordering::Relaxed);
    });
    let drained = filed.proxy.status("d");
    assert_eq!((drained.state, drained.drain.is_some()), ("drain", true), "what the operator wanted stays");
    assert!(filed.proxy.status("a").requests_total >= 2, "counters go on");
    let shown = Hello::plain().shake(secure, "homing.test").unwrap();
    assert_eq!(shown.conn.peer_certificates(), Some(&issued.chain()[..]), "the last certificate is shown");
}
