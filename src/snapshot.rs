//! One immutable generation of the configuration, turned into runtime objects.
//! This is the only place where configuration becomes those; live state is carried over by identity.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use ipnet::IpNet;

use crate::affinity::SessionTable;
use crate::affinity::table::Settings;
use crate::backend::{Backend, Health, State};
use crate::config::{self, Address, Config, Limits, Mode};
use crate::pool::{Affinity, Pool};
use crate::route::Router;

/// What all threads work from until the next one comes.
#[derive(Debug)]
pub struct Snapshot {
    /// Which pool serves what.
    pub router: Router,
    /// By position, as routes refer to them.
    pub pools: Vec<Arc<Pool>>,
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on clients.
    pub limits: Limits,
    /// Active checks of each pool, by its position.
    pub checks: Vec<Checks>,
    /// From the signal to stop until the process ends.
    pub shutdown_timeout: std::time::Duration,
    /// Whether each request is logged.
    pub access_log: bool,
}

/// What the health monitor needs to know of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// Active checks, if any.
    pub active: Option<config::Health>,
    /// Passive health.
    pub passive: config::Outlier,
    /// For connects made to find out whether a backend lives.
    pub connect: std::time::Duration,
}

impl Snapshot {
    /// Builds the runtime objects of `config` for so many workers. Pools and backends that `previous` knows by name
    /// keep their health, counters, sessions and connections.
    pub fn build(config: &Config, previous: Option<&Self>, workers: usize) -> Self {
        let known = |name: &str| previous?.pools.iter().find(|pool| &*pool.name == name);
        let pool = |pool: &config::Pool| Arc::new(build_pool(pool, known(&pool.name).map(|p| &**p), workers));
        Self {
            router: Router::new(&config.routes),
            pools: config.pools.iter().map(pool).collect(),
            trusted_proxies: config.trusted_proxies.clone(),
            limits: config.limits.clone(),
            checks: config.pools.iter().map(Checks::of).collect(),
            shutdown_timeout: config.server.shutdown_timeout,
            access_log: config.log.access,
        }
    }
}

impl Checks {
    fn of(pool: &config::Pool) -> Self {
        Self { active: pool.health.clone(), passive: pool.outlier.clone(), connect: pool.timeouts.connect }
    }
}

fn build_pool(settings: &config::Pool, previous: Option<&Pool>, workers: usize) -> Pool {
    let affinity = build_affinity(settings, previous);
    let table = match &affinity {
        Affinity::Table { table, .. } => Some(table),
        Affinity::None | Affinity::Hash { .. } => None,
    };
    // Numbers of a table that was not kept mean nothing in the new one.
    let same_table =
        previous.and_then(Pool::table).zip(table).is_some_and(|(old, new)| Arc::ptr_eq(old, new));
    let backend = |backend: &config::Backend| {
        let known = previous.and_then(|pool| pool.backends.iter().find(|known| *known.name == backend.name));
        let state = match known {
            Some(known) => known.state.clone(),
            None => Arc::new(new_state(backend, settings.health.is_some(), workers)),
        };
        let moved = known.is_some_and(|known| known.address != backend.address);
        if let (true, Address::Ip(address)) = (moved, &backend.address) {
            state.set_address(*address);
        }
        if let (Some(table), true) = (table, known.is_none() || moved || !same_table) {
            state.set_owner(table.new_owner());
        }
        Arc::new(Backend::new(backend, state))
    };
    Pool {
        name: settings.name.as_str().into(),
        backends: settings.backends.iter().map(backend).collect(),
        balance: settings.balance,
        shared: previous.map_or_else(Arc::default, |pool| pool.shared.clone()),
        timeouts: settings.timeouts.clone(),
        affinity,
    }
}

/// With active checks nothing is known before the first; without, a backend is up until connects fail.
fn new_state(backend: &config::Backend, checked: bool, workers: usize) -> State {
    let health = if checked { Health::Unknown } else { Health::Up };
    let address = match backend.address {
        Address::Ip(address) => Some(address),
        Address::Name { .. } => None,
    };
    State::new(health, address, workers)
}

fn build_affinity(settings: &config::Pool, previous: Option<&Pool>) -> Affinity {
    let Some(sticky) = &settings.sticky else { return Affinity::None };
    let keys = sticky.key.clone();
    match &sticky.mode {
        Mode::Hash => Affinity::Hash { keys },
        // Wired by the pool.
        Mode::Cookie(_) => Affinity::None,
        Mode::Table(wanted) => {
            let table_settings =
                Settings { capacity: wanted.capacity.get(), idle_timeout: wanted.idle_timeout };
            let table = match previous.and_then(Pool::table) {
                Some(table) => {
                    table.configure(table_settings);
                    table.clone()
                }
                None => Arc::new(new_table(table_settings)),
            };
            Affinity::Table { keys, learn: wanted.learn.clone(), table }
        }
    }
}

fn new_table(settings: Settings) -> SessionTable {
    SessionTable::new(settings, RandomState::new().hash_one(settings.capacity))
}
