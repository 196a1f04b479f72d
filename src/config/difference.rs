//! How one configuration differs from another, in the names of the file. What that does to what runs is not known here.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Backend, Config, Limits, Listener, Pool, Route};

/// What has come, gone and changed among things that have names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// In the new one only.
    pub added: Vec<String>,
    /// In the old one only.
    pub removed: Vec<String>,
    /// In both, with other settings.
    pub changed: Vec<String>,
}

impl Names {
    /// Listeners, by their addresses; those that take any free port are told apart by their order.
    pub fn of_listeners(before: &Config, after: &Config) -> Self {
        Self::of(&named_listeners(before), &named_listeners(after))
    }

    /// Pools, by what they say themselves: their backends are not looked at.
    pub fn of_pools(before: &Config, after: &Config) -> Self {
        Self::of(&named_pools(before), &named_pools(after))
    }

    fn of<T: PartialEq>(before: &[(String, T)], after: &[(String, T)]) -> Self {
        let find = |all: &'_ [(String, T)], name: &str| all.iter().position(|(known, _)| known == name);
        let mut this = Self::default();
        for (name, now) in after {
            match find(before, name).and_then(|at| before.get(at)) {
                None => this.added.push(name.clone()),
                Some((_, then)) if then != now => this.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(name, _)| find(after, name).is_none());
        this.removed = gone.map(|(name, _)| name.clone()).collect();
        this
    }
}

fn named_listeners(config: &Config) -> Vec<(String, &Listener)> {
    let addresses = Listener::in_order(config.listeners.iter().map(|listener| listener.address));
    let named = |((address, nth), listener): ((SocketAddr, usize), _)| match nth {
        0 => (address.to_string(), listener),
        nth => (format!("{address} ({})", nth + 1), listener),
    };
    addresses.zip(&config.listeners).map(named).collect()
}

fn named_pools(config: &Config) -> Vec<(String, Pool)> {
    let alone = |pool: &Pool| (pool.name.clone(), Pool { backends: Vec::new(), ..pool.clone() });
    config.pools.iter().map(alone).collect()
}

impl Listener {
    /// Each address with its place among those that are the same, from 0: what a listener is known by. Only port 0 can
    /// be there more than once.
    pub fn in_order(
        addresses: impl Iterator<Item = SocketAddr>,
    ) -> impl Iterator<Item = (SocketAddr, usize)> {
        let mut seen = Vec::new();
        addresses.map(move |address| {
            let nth = seen.iter().filter(|known| **known == address).count();
            seen.push(address);
            (address, nth)
        })
    }
}

/// Keys beside those of listeners and pools that differ and count at once.
pub fn at_once(before: &Config, after: &Config) -> Vec<&'static str> {
    let limits = |config: &Config| Limits { connections: 0, ..config.limits.clone() };
    differing(&[
        ("trusted_proxies", before.trusted_proxies != after.trusted_proxies),
        ("server.shutdown_timeout", before.server.shutdown_timeout != after.server.shutdown_timeout),
        ("server.reload_on_change", before.server.reload_on_change != after.server.reload_on_change),
        ("server.reload_on_signal", before.server.reload_on_signal != after.server.reload_on_signal),
        ("admin.reload", takes_reloads(before) != takes_reloads(after)),
        ("log.access", before.log.access != after.log.access),
        ("route", named_routes(before) != named_routes(after)),
        ("limits", limits(before) != limits(after)),
    ])
}

/// Keys that differ from what the process began with, and count only from its next start on.
pub fn at_next_start(started: &Config, now: &Config) -> Vec<&'static str> {
    let address = |config: &Config| config.admin.as_ref().map(|admin| admin.address);
    let token = |config: &Config| config.admin.as_ref().and_then(|admin| admin.token.clone());
    differing(&[
        ("server.workers", started.server.workers != now.server.workers),
        ("server.state_dir", started.server.state_dir != now.server.state_dir),
        ("server.state_interval", started.server.state_interval != now.server.state_interval),
        ("admin.address", address(started) != address(now)),
        ("admin.token_file", token(started) != token(now)),
        ("log.level", started.log.level != now.log.level),
        ("log.format", started.log.format != now.log.format),
        ("limits.connections", started.limits.connections != now.limits.connections),
    ])
}

/// The keys of a backend that differ, but for its name.
pub fn backend_fields(before: &Backend, after: &Backend) -> Vec<&'static str> {
    differing(&[
        ("address", before.address != after.address),
        ("weight", before.weight != after.weight),
        ("state", before.state != after.state),
        ("max_connections", before.max_connections != after.max_connections),
        ("max_sessions", before.max_sessions != after.max_sessions),
    ])
}

fn takes_reloads(config: &Config) -> bool {
    config.admin.as_ref().is_none_or(|admin| admin.reload)
}

fn differing(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}

/// Routes with the names of their pools, whose positions say nothing.
fn named_routes(config: &Config) -> Vec<(Route, Option<&str>)> {
    let named = |route: &Route| {
        let pool = config.pools.get(route.pool).map(|pool| pool.name.as_str());
        (Route { pool: 0, ..route.clone() }, pool)
    };
    config.routes.iter().map(named).collect()
}

/// Whether new keys are placed by the same policy on the same backends.
pub fn places_alike(before: &Pool, after: &Pool) -> bool {
    let taking = |pool: &Pool| {
        let shares = pool.backends.iter().map(|it| (it.name.clone(), it.weight, it.state));
        let mut shares: Vec<_> = shares.collect();
        shares.sort_by(|one, other| one.0.cmp(&other.0));
        shares
    };
    before.balance == after.balance && taking(before) == taking(after)
}
