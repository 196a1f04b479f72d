//! The house the games are played in: the fleet, the proxy in front of it, the gates and the ledger.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use homing::backend::Health;
use homing::config::Config;
use homing::demo::{Fleet, RoomKind};
use homing::server::{Control, Server, Stop};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::ledger::{Ledger, Removal};
use super::{Gate, Stickiness};

/// How often conditions are looked at that nobody announces.
const LOOK: Duration = Duration::from_millis(5);

/// Health checks that find a dead backend fast, and do not take a slow machine for one.
const HEAD: &str = r#"
[server]
workers = 3
shutdown_timeout = "1s"
[log]
access = false
[[listener]]
address = "127.0.0.1:0"
[[route]]
path = "/game"
pool = "games"
[[pool]]
name = "games"
"#;

const HEALTH: &str = r#"
[pool.health]
path = "/healthz"
interval = "50ms"
timeout = "10s"
[pool.timeouts]
connect = "10s"
"#;

const STICKY: &str = r#"
[pool.sticky]
key = ["path:/game/{room}"]
mode = "table"
"#;

/// Fleet, proxy, gates, ledger.
pub(crate) struct House {
    fleet: Arc<Fleet>,
    server: Option<Server>,
    control: Control,
    proxy: SocketAddr,
    stickiness: Stickiness,
    gate: watch::Sender<Gate>,
    ledger: watch::Sender<Ledger>,
}

impl House {
    /// Starts a fleet of that name and a proxy in front of it.
    pub(crate) fn open(backends: &[&str], stickiness: Stickiness) -> Self {
        let fleet = Arc::new(Fleet::start(backends, 0).unwrap());
        let server = Server::start(&config(&fleet, stickiness)).unwrap();
        Self {
            control: server.control(),
            proxy: server.addresses()[0],
            server: Some(server),
            fleet,
            stickiness,
            gate: watch::Sender::new(Gate::Start),
            ledger: watch::Sender::new(Ledger::new()),
        }
    }

    /// Where the proxy listens.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    // === Ledger ===

    /// Looks into the ledger.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.borrow())
    }

    /// Writes into the ledger.
    pub(crate) fn note<T>(&self, write: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut answer = None;
        self.ledger.send_modify(|ledger| answer = Some(write(ledger)));
        answer.expect("it was written")
    }

    /// Waits until the ledger says so.
    pub(crate) async fn until(&self, so: impl FnMut(&Ledger) -> bool) {
        self.ledger.subscribe().wait_for(so).await.expect("the ledger is kept as long as the house");
    }

    // === Gates ===

    /// Lets everybody pass this gate and those before it.
    pub(crate) fn open_gate(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    pub(crate) fn is_open(&self, gate: Gate) -> bool {
        *self.gate.borrow() >= gate
    }

    /// Waits at a gate.
    pub(crate) async fn opened(&self, gate: Gate) {
        self.gate
            .subscribe()
            .wait_for(|open| *open >= gate)
            .await
            .expect("the gates stand as long as the house");
    }

    // === Fleet ===

    /// Starts one more backend, tells the proxy, and waits until it is trusted.
    pub(crate) async fn add(&self, backend: &str) {
        self.fleet.add(backend).unwrap();
        self.control.apply(&config(&self.fleet, self.stickiness)).unwrap();
        self.is_up(backend).await;
    }

    /// Kills a backend, while the games go on. Returns the rooms that must find another.
    pub(crate) async fn kill(&self, backend: &str) -> Vec<Removal> {
        let orphans = self.note(|ledger| ledger.kill_begins(backend));
        let (fleet, name) = (self.fleet.clone(), backend.to_owned());
        assert!(spawn_blocking(move || fleet.kill(&name)).await.unwrap().unwrap());
        self.note(|ledger| ledger.kill_ends(backend));
        orphans
    }

    /// Starts a killed backend again, with empty memory, and waits until the proxy trusts it.
    pub(crate) async fn restart(&self, backend: &str) {
        self.fleet.restart(backend).unwrap();
        self.is_up(backend).await;
    }

    /// Looks again and again at who has people in which room. Ends only when dropped.
    pub(crate) async fn keep_watch(&self) {
        loop {
            let rooms = self.fleet.rooms().into_iter();
            let occupied = rooms.filter(|(_, room)| room.kind == RoomKind::Game && room.members > 0);
            let numbered = occupied.map(|(backend, room)| (room.room.parse().unwrap(), backend));
            self.note(|ledger| ledger.looked(numbered));
            sleep(LOOK).await;
        }
    }

    async fn is_up(&self, backend: &str) {
        let is_up = || {
            let status = self.control.status();
            status.pools[0].backends.iter().any(|known| known.name == backend && known.health == Health::Up)
        };
        while !is_up() {
            sleep(LOOK).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Stop::Now);
            server.wait();
        }
    }
}

/// The proxy's configuration for the fleet as it is now.
fn config(fleet: &Fleet, stickiness: Stickiness) -> Config {
    let (balance, sticky) = match stickiness {
        Stickiness::On => ("rendezvous", STICKY),
        Stickiness::Off => ("round_robin", ""),
    };
    let mut text = format!("{HEAD}balance = \"{balance}\"\n");
    for backend in fleet.backends() {
        writeln!(text, "[[pool.backend]]\nname = \"{}\"\naddress = \"{}\"", backend.name, backend.address)
            .unwrap();
    }
    Config::parse(&(text + sticky + HEALTH), "games").unwrap()
}
