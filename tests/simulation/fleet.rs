//! Configurations: the one a run begins with, and what reloads change in it.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use homing::config::{self, Address, Balance, Config, Drain, Mode, OnBackendDown, Wanted};

use crate::draw::Draw;

/// What a run begins with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) kind: Kind,
    pub(crate) workers: usize,
    /// Clients, each with its key or cookie.
    pub(crate) clients: usize,
    /// Whether health answers name the life of the process.
    pub(crate) names_instances: bool,
    /// Seed of the session table.
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Cookie,
    Hash,
}

/// What a reload changes. Backends are named by their place in the file.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Nothing,
    Add(usize),
    Remove(usize),
    /// Another order of the same backends.
    Rotate(usize),
    Weight(usize, u32),
    Address(usize, u16),
    MaxSessions(usize, u64),
    Wanted(usize, Wanted),
    Idle(Duration),
    Capacity(NonZeroUsize),
    Down(OnBackendDown),
    Drain(Drain),
    Panic(u32),
    Balance(Balance),
}

/// The table of the last takes long to build.
const HASHED: [Balance; 5] =
    [Balance::Rendezvous, Balance::Rendezvous, Balance::RingHash, Balance::RingHash, Balance::Maglev];
const ALL: [Balance; 12] = [
    Balance::Rendezvous,
    Balance::Rendezvous,
    Balance::Rendezvous,
    Balance::Rendezvous,
    Balance::RingHash,
    Balance::RingHash,
    Balance::Maglev,
    Balance::RoundRobin,
    Balance::LeastRequest,
    Balance::Random,
    Balance::LeastSessions,
    Balance::First,
];

/// Backends that a pool may come to have; names are used again after they were removed.
const NAMES: usize = 10;
/// Sessions of a table with several shards.
const LARGE: usize = 20_000;

impl Setup {
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        use Kind::{Cookie, Hash, Table};
        let kind = draw.pick(&[Table, Table, Table, Table, Cookie, Cookie, Hash]);
        let mut source = String::from(
            "listener = [{ address = \"127.0.0.1:0\" }]\nroute = [{ pool = \"app\" }]\n[[pool]]\nname = \"app\"\n",
        );
        let policies = if kind == Hash { &HASHED[..] } else { &ALL };
        let _ = writeln!(source, "balance = \"{}\"", draw.pick(policies));
        if kind != Hash {
            bounds(&mut source, draw);
        }
        sticky(&mut source, kind, draw);
        let drain = 5 + draw.below(60);
        let _ =
            writeln!(source, "[pool.drain]\ntimeout = \"{drain}s\"\nspread = \"{}s\"", draw.below(drain + 1));
        let names_instances = draw.chance(50);
        if names_instances || draw.chance(40) {
            let (rise, fall) = (1 + draw.below(3), 1 + draw.below(3));
            let _ = writeln!(source, "[pool.health]\ninterval = \"1s\"\nrise = {rise}\nfall = {fall}");
        } else {
            let _ = writeln!(source, "[pool.outlier]\nconsecutive_failures = {}", 1 + draw.below(3));
        }
        let limited = kind != Hash && draw.chance(35);
        for i in 0..2 + draw.below(7) {
            let weight = draw.pick(&[1, 1, 1, 2, 3]);
            let (name, port) = (name(i), 9000 + i);
            let _ = write!(
                source,
                "[[pool.backend]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nweight = {weight}\n"
            );
            if limited {
                let _ = writeln!(source, "max_sessions = {}", draw.below(9));
            }
        }
        Self {
            config: Config::parse(&source, "simulation.toml").unwrap_or_else(|e| panic!("{e}\n{source}")),
            kind,
            workers: 2 + draw.below(3),
            clients: draw.pick(&[8, 30, 120]),
            names_instances,
            seed: draw.next(),
        }
    }
}

fn bounds(source: &mut String, draw: &mut Draw) {
    if draw.chance(25) {
        source.push_str("hash_balance_factor = 125\n");
    }
    if draw.chance(40) {
        let _ = writeln!(source, "panic_threshold = {}", draw.pick(&[30, 50]));
    }
    if draw.chance(25) {
        source.push_str("[pool.slow_start]\nduration = \"20s\"\n");
    }
}

fn sticky(source: &mut String, kind: Kind, draw: &mut Draw) {
    let (mode, key) = match kind {
        Kind::Table => ("table", "[\"cookie:sid\", \"header:x-room\"]"),
        Kind::Cookie => ("cookie", "[\"cookie:sid\"]"),
        Kind::Hash => ("hash", "[\"cookie:sid\"]"),
    };
    let _ = writeln!(source, "[pool.sticky]\nmode = \"{mode}\"\nkey = {key}");
    if kind == Kind::Hash {
        return;
    }
    let small = 4 + draw.below(20);
    let capacity = draw.pick(&[small, 1000, LARGE]);
    let idle = draw.pick(&["3s", "30s", "10m"]);
    let lifetime = draw.pick(&["0s", "0s", "0s", "40s"]);
    let down = draw.pick(&["rebind", "rebind", "wait", "reject"]);
    let _ =
        writeln!(source, "capacity = {capacity}\nidle_timeout = \"{idle}\"\nmax_lifetime = \"{lifetime}\"");
    let _ = writeln!(source, "on_backend_down = \"{down}\"");
    if down == "wait" {
        let _ = writeln!(source, "wait_timeout = \"{}\"", draw.pick(&["2s", "20s"]));
    }
}

fn name(number: usize) -> String {
    format!("b{number}")
}

impl Change {
    pub(crate) fn draw(config: &Config, kind: Kind, draw: &mut Draw) -> Self {
        let pool = &config.pools[0];
        let place = draw.below(pool.backends.len());
        match draw.below(if kind == Kind::Hash { 8 } else { 14 }) {
            0 => Self::Nothing,
            1 | 2 => (0..NAMES)
                .map(|_| draw.below(NAMES))
                .find(|number| pool.backends.iter().all(|backend| backend.name != name(*number)))
                .map_or(Self::Nothing, Self::Add),
            3 if pool.backends.len() > 1 => Self::Remove(place),
            3 | 4 => Self::Rotate(1 + draw.below(8)),
            5 => Self::Weight(place, draw.pick(&[0, 1, 2, 3])),
            6 => Self::Address(place, 9000 + draw.below(30) as u16),
            7 => {
                Self::Wanted(place, draw.pick(&[Wanted::Ready, Wanted::Ready, Wanted::Drain, Wanted::Maint]))
            }
            8 => Self::MaxSessions(place, draw.below(9) as u64),
            9 => Self::Idle(Duration::from_secs(draw.pick(&[3, 30, 600]))),
            10 => Self::Capacity(NonZeroUsize::new(draw.pick(&[3, 20, 200])).unwrap()),
            11 => Self::Down(draw.pick(&[
                OnBackendDown::Rebind,
                OnBackendDown::Wait(Duration::from_secs(5)),
                OnBackendDown::Reject,
            ])),
            12 => {
                let timeout = Duration::from_secs(draw.below(60) as u64);
                Self::Drain(Drain { timeout, spread: timeout.mul_f64(draw.pick(&[0.0, 0.3, 1.0])) })
            }
            _ if draw.chance(50) => Self::Panic(draw.pick(&[0, 30, 50])),
            _ => Self::Balance(draw.pick(&ALL)),
        }
    }

    pub(crate) fn apply(&self, config: &mut Config) {
        let pool = &mut config.pools[0];
        match *self {
            Self::Nothing => {}
            Self::Add(number) => pool.backends.push(config::Backend {
                name: name(number),
                address: Address::Ip(([127, 0, 0, 1], 9000 + number as u16).into()),
                weight: 1,
                state: Wanted::Ready,
                max_connections: 0,
                max_sessions: 0,
            }),
            Self::Remove(place) => drop(pool.backends.remove(place)),
            Self::Rotate(by) => {
                let by = by % pool.backends.len();
                pool.backends.rotate_left(by);
            }
            Self::Weight(place, weight) => pool.backends[place].weight = weight,
            Self::Address(place, port) => {
                pool.backends[place].address = Address::Ip(([127, 0, 0, 1], port).into());
            }
            Self::MaxSessions(place, most) => pool.backends[place].max_sessions = most,
            Self::Wanted(place, wanted) => pool.backends[place].state = wanted,
            Self::Drain(drain) => pool.drain = drain,
            Self::Panic(threshold) => pool.panic_threshold = threshold,
            Self::Balance(balance) => pool.balance = balance,
            Self::Idle(_) | Self::Capacity(_) | Self::Down(_) => self.apply_to(pool),
        }
    }

    fn apply_to(&self, pool: &mut config::Pool) {
        let Some(sticky) = &mut pool.sticky else { return };
        let (idle, capacity) = match &mut sticky.mode {
            Mode::Table(table) => (&mut table.idle_timeout, &mut table.capacity),
            Mode::Cookie(sealed) => (&mut sealed.idle_timeout, &mut sealed.capacity),
            Mode::Hash => return,
        };
        match *self {
            Self::Idle(timeout) => *idle = timeout,
            // A large table has several shards, and each would have next to nothing.
            Self::Capacity(most) if capacity.get() < LARGE => *capacity = most,
            Self::Down(policy) => sticky.on_backend_down = policy,
            _ => {}
        }
    }
}
