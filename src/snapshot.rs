//! One immutable generation of the configuration, turned into runtime objects.
//! This is the only place where configuration becomes those; live state is carried over by identity.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::affinity::table::{Loss, Settings};
use crate::affinity::{Sealer, SessionTable};
use crate::backend::{Backend, Cause, Health, Leave, State};
use crate::balance::{HashTable, Member};
use crate::clock::Now;
use crate::config::{self, Address, Config, KeySource, Limits, Mode, Pointer, Wanted};
use crate::listener::Listener;
use crate::pool::{self, Affinity, Pool, Sessions, Shared};
use crate::route::Router;
use crate::transport::Dialing;

/// What all threads work from until the next one comes.
#[derive(Debug)]
pub struct Snapshot {
    /// Which pool serves what.
    pub router: Router,
    /// By position, as routes refer to them; behind them those that the file has no more and that are not empty yet.
    pub pools: Vec<Arc<Pool>>,
    /// Of all pools in cookie mode: no backend is to see any of their cookies.
    pub sealers: Vec<Arc<Sealer>>,
    /// In the order of the file.
    pub listeners: Vec<Arc<Listener>>,
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on clients.
    pub limits: Limits,
    /// Active checks of each pool, by its position.
    pub checks: Vec<Checks>,
    /// From the signal to stop until the process ends.
    pub shutdown_timeout: Duration,
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
    pub connect: Duration,
    /// How long a backend that asks for it may take to leave.
    pub drain: config::Drain,
}

impl Snapshot {
    /// Builds the runtime objects of `config` for so many workers. Pools and backends that `previous` knows by name
    /// keep their health, counters, sessions and connections; backends that are no more leave with what they have.
    pub fn build(config: &Config, previous: Option<&Self>, workers: usize, now: Now) -> Self {
        let known = |name: &str| previous?.pools.iter().find(|pool| &*pool.name == name);
        let pool =
            |pool: &config::Pool| Arc::new(build_pool(pool, known(&pool.name).map(|p| &**p), workers, now));
        let mut pools: Vec<_> = config.pools.iter().map(pool).collect();
        let mut checks: Vec<_> = config.pools.iter().map(Checks::of).collect();
        for (pool, own) in previous.map(|previous| leaving_pools(previous, config, now)).unwrap_or_default() {
            pools.push(pool);
            checks.push(own);
        }
        Self {
            router: Router::new(&config.routes),
            sealers: pools.iter().filter_map(|pool| pool.sealer().cloned()).collect(),
            pools,
            listeners: listeners(config, previous),
            trusted_proxies: config.trusted_proxies.clone(),
            limits: config.limits.clone(),
            checks,
            shutdown_timeout: config.server.shutdown_timeout,
            access_log: config.log.access,
        }
    }
}

impl Snapshot {
    /// The addresses of the listeners that `config` has and `previous` has not, in their order: who puts it in force has
    /// to bind them.
    pub fn new_listeners(config: &Config, previous: Option<&Self>) -> Vec<SocketAddr> {
        let all = config.listeners.iter().zip(known_listeners(config, previous));
        all.filter(|(_, known)| known.is_none()).map(|(listener, _)| listener.address).collect()
    }

    /// Takes every backend as up, and as having been so for long: for those who ask what a file would do, and have no
    /// backends to look at.
    pub fn take_as_up(&self) {
        for backend in self.pools.iter().flat_map(|pool| &pool.backends) {
            backend.state.set_health(Health::Up, Now(0));
            backend.state.set_since(Now(0));
        }
    }
}

impl Checks {
    fn of(pool: &config::Pool) -> Self {
        Self {
            active: pool.health.clone(),
            passive: pool.outlier.clone(),
            connect: pool.timeouts.connect,
            drain: pool.drain,
        }
    }
}

/// What the file says of each listener, which `previous` may know.
fn listeners(config: &Config, previous: Option<&Snapshot>) -> Vec<Arc<Listener>> {
    let known = |(settings, known): (&config::Listener, Option<_>)| Arc::new(Listener::new(settings, known));
    config.listeners.iter().zip(known_listeners(config, previous)).map(known).collect()
}

/// For each listener of `config`, the same one in `previous`.
fn known_listeners<'a>(config: &Config, previous: Option<&'a Snapshot>) -> Vec<Option<&'a Listener>> {
    let known = previous.map_or(&[][..], |previous| &previous.listeners);
    let names: Vec<_> = config::Listener::in_order(known.iter().map(|listener| listener.address)).collect();
    let find = |wanted| names.iter().position(|name| *name == wanted).map(|at| &*known[at]);
    config::Listener::in_order(config.listeners.iter().map(|listener| listener.address)).map(find).collect()
}

/// Pools that are in the file no more: no route leads to them, and they leave with what they have.
fn leaving_pools(previous: &Snapshot, config: &Config, now: Now) -> Vec<(Arc<Pool>, Checks)> {
    let all = previous.pools.iter().zip(&previous.checks);
    let gone = all.filter(|(pool, _)| config.pools.iter().all(|kept| *kept.name != *pool.name));
    gone.filter(|(pool, _)| {
        for backend in &pool.backends {
            backend.state.set_removed(Some(Leave::new(Cause::Removed, now, pool.drain)));
        }
        !pool.has_forgettable(now)
    })
    .map(|(pool, checks)| (pool.clone(), checks.clone()))
    .collect()
}

fn build_pool(settings: &config::Pool, previous: Option<&Pool>, workers: usize, now: Now) -> Pool {
    let affinity = build_affinity(settings, previous);
    let table = affinity.table().cloned();
    let builder = Builder { settings, previous, affinity: &affinity, table, workers, now };
    let mut backends: Vec<_> = settings.backends.iter().map(|backend| builder.backend(backend)).collect();
    backends.extend(builder.leaving());
    Pool {
        name: settings.name.as_str().into(),
        backends,
        balance: settings.balance,
        hash_balance_factor: settings.hash_balance_factor,
        limits_sessions: settings.backends.iter().any(|backend| backend.max_sessions > 0),
        panic_threshold: settings.panic_threshold,
        slow_start: settings.slow_start,
        drain: settings.drain,
        hash_table: hash_table(settings),
        shared: previous.map_or_else(|| Arc::new(Shared::new(workers)), |pool| pool.shared.clone()),
        timeouts: settings.timeouts.clone(),
        retry: settings.retry,
        outlier: settings.outlier.clone(),
        dialing: Dialing::of(settings, previous.map(|pool| &pool.dialing)),
        affinity,
    }
}

/// Makes the backends of one pool.
struct Builder<'a> {
    settings: &'a config::Pool,
    previous: Option<&'a Pool>,
    affinity: &'a Affinity,
    table: Option<Arc<SessionTable>>,
    workers: usize,
    now: Now,
}

impl Builder<'_> {
    fn backend(&self, settings: &config::Backend) -> Arc<Backend> {
        let known = self.known(&settings.name);
        let state = match known {
            Some(known) => known.state.clone(),
            None => Arc::new(self.new_state(settings)),
        };
        let moved = known.is_some_and(|known| known.address != settings.address);
        match (moved, &settings.address) {
            (true, Address::Ip(address)) => state.set_address(*address),
            (true, Address::Name { .. }) => state.forget_address(),
            (false, _) => {}
        }
        if let Some(table) = &self.table {
            if known.is_none() || !self.same_table() {
                state.set_owner(table.new_owner());
            } else if moved {
                state.set_owner(table.succeed_owner(state.owner(), Loss::Restarted));
            }
            table.name_owner(state.owner(), &settings.name.as_str().into());
            let most = settings.max_sessions;
            table.limit_owner(state.owner(), if most == 0 { u64::MAX } else { most });
        }
        if let Some(table) = self.table.as_ref().filter(|_| self.same_table()) {
            pool::begin_anew_if_over(&state, table, self.now);
        }
        self.wish(&state, settings.state);
        Arc::new(Backend::new(settings, state, known))
    }

    /// What the file says of a backend counts when it is new there; meanwhile its operator may have said otherwise.
    fn wish(&self, state: &State, in_file: Wanted) {
        state.set_removed(None);
        state.wish(|wishes| {
            if std::mem::replace(&mut wishes.in_file, in_file) != in_file {
                wishes.order(in_file, self.settings.drain, self.now);
            }
        });
    }

    /// Backends that are in the file no more: they leave with what they have.
    fn leaving(&self) -> impl Iterator<Item = Arc<Backend>> {
        let all = self.previous.map_or(&[][..], |pool| &pool.backends);
        let is_kept = |known: &str| self.settings.backends.iter().any(|backend| backend.name == known);
        let gone = all.iter().filter(move |known| !is_kept(&known.name));
        gone.filter(|known| {
            known.state.set_removed(Some(Leave::new(Cause::Removed, self.now, self.settings.drain)));
            let table = self.table.as_deref().filter(|_| self.same_table());
            // Of another table nothing is bound any more; what is live may end.
            let affinity = if table.is_some() { self.affinity } else { &Affinity::None };
            let is_left = !affinity.is_forgettable(known, self.now);
            if let (false, Some(table)) = (is_left, table) {
                table.end_owner(known.state.owner(), Loss::Removed);
            }
            is_left
        })
        .cloned()
    }

    fn known(&self, name: &str) -> Option<&Backend> {
        let mut all = self.previous?.backends.iter();
        all.find(|known| *known.name == *name).map(|known| &**known)
    }

    /// Numbers of a table that was not kept mean nothing in the new one.
    fn same_table(&self) -> bool {
        let tables = self.previous.and_then(Pool::table).zip(self.table.as_ref());
        tables.is_some_and(|(old, new)| Arc::ptr_eq(old, new))
    }

    /// With active checks nothing is known before the first; without, a backend is up until connects fail.
    fn new_state(&self, backend: &config::Backend) -> State {
        let health = if self.settings.health.is_some() { Health::Unknown } else { Health::Up };
        let address = match backend.address {
            Address::Ip(address) => Some(address),
            Address::Name { .. } => None,
        };
        let state = State::new(health, address, self.workers);
        state.set_health_since(self.now);
        if self.previous.is_some() {
            state.set_since(self.now);
        }
        state
    }
}

fn hash_table(settings: &config::Pool) -> Option<Arc<HashTable>> {
    let backends = settings.backends.iter().zip(0..);
    let members: Vec<_> =
        backends.map(|(it, backend)| Member { backend, weight: it.weight, name: &it.name }).collect();
    HashTable::new(settings.balance, &members).map(Arc::new)
}

fn build_affinity(settings: &config::Pool, previous: Option<&Pool>) -> Affinity {
    let Some(sticky) = &settings.sticky else { return Affinity::None };
    let keys = sticky.key.clone();
    match &sticky.mode {
        Mode::Hash => Affinity::Hash { keys },
        Mode::Table(wanted) => {
            let bounds = Settings {
                capacity: wanted.capacity.get(),
                idle_timeout: wanted.idle_timeout,
                max_lifetime: wanted.max_lifetime,
            };
            Affinity::Table(Sessions {
                keys,
                bodies: wanted.learn.iter().filter_map(in_body).collect(),
                learn: wanted.learn.clone(),
                table: build_table(bounds, previous),
                on_backend_down: sticky.on_backend_down,
            })
        }
        Mode::Cookie(wanted) => {
            // The session's age is in the cookie; the table knows only since when it has had its owner.
            let bounds = Settings {
                capacity: wanted.capacity.get(),
                idle_timeout: wanted.idle_timeout,
                max_lifetime: Duration::ZERO,
            };
            let former = previous.and_then(Pool::sealer).map(|sealer| &**sealer);
            let sessions = Sessions {
                keys,
                bodies: Arc::default(),
                learn: Vec::new(),
                table: build_table(bounds, previous),
                on_backend_down: sticky.on_backend_down,
            };
            Affinity::Cookie(sessions, Arc::new(Sealer::new(wanted, former)))
        }
    }
}

fn in_body(source: &KeySource) -> Option<Pointer> {
    match source {
        KeySource::Body(pointer) => Some(pointer.clone()),
        _ => None,
    }
}

fn build_table(bounds: Settings, previous: Option<&Pool>) -> Arc<SessionTable> {
    match previous.and_then(Pool::table) {
        Some(table) => {
            table.configure(bounds);
            table.clone()
        }
        None => Arc::new(new_table(bounds)),
    }
}

fn new_table(settings: Settings) -> SessionTable {
    SessionTable::new(settings, RandomState::new().hash_one(settings.capacity))
}
