//! The house the games are played in: the fleet, the proxy in front of it, the gates and the ledger.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use homing::admin::Admin;
use homing::backend::Health;
use homing::config::Config;
use homing::demo::{Fleet, RoomKind};
use homing::server::{BackendStatus, Control, Server, Stop};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::ledger::{Ledger, Removal};
use super::operator::Operator;
use super::{Evening, Gate, Stickiness};

/// How often conditions are looked at that nobody announces.
const LOOK: Duration = Duration::from_millis(5);

/// Health checks that find a dead backend fast, and do not take a slow machine for one.
const HEAD: &str = r#"
[server]
workers = 3
shutdown_timeout = "1s"
[log]
access = false
[admin]
address = "127.0.0.1:0"
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

/// A room that nobody has been in for so long is given up. Without it a drained backend would be empty no sooner than
/// its deadline.
const ROLLING: &str = "idle_timeout = \"1s\"\n";

/// Fleet, proxy, gates, ledger.
pub(crate) struct House {
    fleet: Arc<Fleet>,
    server: Option<Server>,
    _admin: Admin,
    control: Control,
    proxy: SocketAddr,
    operator: Operator,
    file: PathBuf,
    evening: Evening,
    stickiness: Stickiness,
    door: watch::Sender<Door>,
    ledger: watch::Sender<Ledger>,
}

/// Whether the games on a backend are to come to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    Begins,
    IsOver,
}

/// What holds games back.
#[derive(Debug, Clone, Default)]
struct Door {
    gate: Gate,
    /// Games on these backends are not held back: they are to come to their end.
    closing: Vec<String>,
}

impl Door {
    fn is_open(&self, gate: Gate, backend: Option<&str>) -> bool {
        self.gate >= gate
            || backend.is_some_and(|backend| self.closing.iter().any(|closing| closing == backend))
    }
}

impl House {
    /// Starts a fleet of that name and a proxy in front of it.
    pub(crate) fn open(backends: &[&str], evening: Evening, stickiness: Stickiness) -> Self {
        let fleet = Arc::new(Fleet::start(backends, 0).unwrap());
        let name = format!("games-{}.toml", std::process::id());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, text(&fleet, evening, stickiness)).unwrap();
        let config = Config::load(&file).unwrap();
        let server = Server::start_from(&file, &config).unwrap();
        let admin = Admin::start(config.admin.as_ref().unwrap(), server.control()).unwrap();
        Self {
            control: server.control(),
            proxy: server.addresses()[0],
            operator: Operator::new(admin.address()),
            server: Some(server),
            _admin: admin,
            fleet,
            file,
            evening,
            stickiness,
            door: watch::Sender::default(),
            ledger: watch::Sender::new(Ledger::new(evening.rooms())),
        }
    }

    /// Who calls the proxy's admin listener.
    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The gate at which the game of a room begins.
    pub(crate) fn begins(&self, room: usize) -> Gate {
        self.evening.begins(room)
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
        self.door.send_modify(|door| door.gate = gate);
    }

    /// Lets everybody on this backend pass all gates, or no more.
    pub(crate) fn close_out(&self, backend: &str, closing: Closing) {
        self.door.send_modify(|door| {
            door.closing.retain(|known| known != backend);
            door.closing.extend((closing == Closing::Begins).then(|| backend.to_owned()));
        });
    }

    /// Whether a game that lives on `backend` may pass.
    pub(crate) fn is_open(&self, gate: Gate, backend: Option<&str>) -> bool {
        self.door.borrow().is_open(gate, backend)
    }

    /// Waits at a gate.
    pub(crate) async fn opened(&self, gate: Gate, backend: Option<&str>) {
        let mut door = self.door.subscribe();
        door.wait_for(|door| door.is_open(gate, backend))
            .await
            .expect("the gates stand as long as the house");
    }

    // === Fleet ===

    /// Starts one more backend, tells the proxy, and waits until it is trusted.
    pub(crate) async fn add(&self, backend: &str) {
        self.fleet.add(backend).unwrap();
        let text = text(&self.fleet, self.evening, self.stickiness);
        self.control.apply(&Config::parse(&text, "games").unwrap()).unwrap();
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

    /// Puts another process in the place of a backend: with the same name at another address, which the file then says.
    pub(crate) async fn move_away(&self, backend: &str) {
        self.note(|ledger| drop(ledger.kill_begins(backend)));
        let (fleet, name) = (self.fleet.clone(), backend.to_owned());
        spawn_blocking(move || fleet.forget(&name)).await.unwrap();
        self.note(|ledger| ledger.kill_ends(backend));
        self.fleet.add(backend).unwrap();
        std::fs::write(&self.file, text(&self.fleet, self.evening, self.stickiness)).unwrap();
        self.operator.reload().await;
    }

    /// The same with the same address, at which the process is started again.
    pub(crate) async fn start_anew(&self, backend: &str) {
        self.kill(backend).await;
        self.fleet.restart(backend).unwrap();
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
        // Where many connects failed it is ejected too, and takes no new games for a while.
        let takes_games = |known: &BackendStatus| known.health == Health::Up && !known.outlier;
        let is_up = || {
            let backends = &self.control.status().pools[0].backends;
            backends.iter().any(|known| known.name == backend && takes_games(known))
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
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The proxy's configuration for the fleet as it is now.
fn text(fleet: &Fleet, evening: Evening, stickiness: Stickiness) -> String {
    let (balance, sticky) = match stickiness {
        Stickiness::On => ("rendezvous", STICKY),
        Stickiness::Off => ("round_robin", ""),
    };
    let idle = if matches!(evening, Evening::Rolling(_)) { ROLLING } else { "" };
    let mut text = format!("{HEAD}balance = \"{balance}\"\n");
    for backend in fleet.backends() {
        writeln!(text, "[[pool.backend]]\nname = \"{}\"\naddress = \"{}\"", backend.name, backend.address)
            .unwrap();
    }
    text + sticky + idle + HEALTH
}
