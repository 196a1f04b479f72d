//! The control thread, and the handle by which others look at a running proxy and change it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Uri, header};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::affinity::{Facts, SessionKey, session_key};
use crate::backend::{Backend, Health, State};
use crate::config::Config;
use crate::health::Monitor;
use crate::pool::{Affinity, Choice, Decision, Pool, Reason, View};
use crate::proxy::{Core, host_name};
use crate::snapshot::Snapshot;

/// Snapshots that may wait for the control thread to follow them.
pub(super) const COMMANDS: usize = 16;
/// Places of each shard of a session table looked at each second.
const SWEEP_BUDGET: usize = 4096;

/// What the control thread is given.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) core: Arc<Core>,
    pub(super) to_apply: mpsc::Receiver<Arc<Snapshot>>,
    /// Closed when the last worker has ended.
    pub(super) ended: mpsc::Receiver<()>,
}

/// Checks backends and ends idle sessions until the last worker has ended.
pub(super) async fn run(mut task: Task, monitor: Monitor) {
    let health = task.core.health.clone();
    tokio::task::spawn_local(monitor.run());
    health.follow(task.core.snapshot()).await;
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = task.ended.recv() => return,
            Some(snapshot) = task.to_apply.recv() => health.follow(snapshot).await,
            _ = seconds.tick() => sweep(&task.core),
        }
    }
}

fn sweep(core: &Core) {
    let now = core.clock.now();
    for table in core.snapshot().pools.iter().filter_map(|pool| pool.table().cloned()) {
        table.sweep(now, SWEEP_BUDGET);
    }
}

/// A handle to a running proxy. Cheap to clone; usable from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    core: Arc<Core>,
    applied: mpsc::Sender<Arc<Snapshot>>,
    workers: usize,
    applying: Arc<Mutex<()>>,
}

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others are being put in force at this moment.
    #[error("too many changes at one time")]
    Busy,
}

/// The state of all pools.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// In the order of the configuration.
    pub pools: Vec<PoolStatus>,
}

/// The state of one pool.
#[derive(Debug, Clone, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How it keeps keys: `none`, `hash` or `table`.
    pub mode: &'static str,
    /// Its backends, in the order of the configuration.
    pub backends: Vec<BackendStatus>,
}

/// The state of one backend.
#[derive(Debug, Clone, Serialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// Its observed health.
    pub health: Health,
    /// Sessions bound to it; 0 without a session table.
    pub sessions: u64,
    /// Open tunnels.
    pub connections: u64,
    /// Requests whose response has not ended, tunnels included.
    pub in_flight: u64,
    /// Requests sent to it.
    pub requests_total: u64,
    /// Failed connects and exchanges.
    pub failures_total: u64,
}

/// Where a request would go now, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The path of the route that fits.
    pub route: Option<String>,
    /// Its pool.
    pub pool: Option<String>,
    /// The backend; none where backends take turns, or none is available.
    pub backend: Option<String>,
    /// `bound`, `placed`, `rebound`, `balanced`, `unavailable` or `no_route`.
    pub reason: &'static str,
    /// Where the session key was found.
    pub key_source: Option<String>,
    /// The same in a sentence.
    pub detail: String,
}

impl Control {
    pub(super) fn new(core: Arc<Core>, applied: mpsc::Sender<Arc<Snapshot>>, workers: usize) -> Self {
        Self { core, applied, workers, applying: Arc::default() }
    }

    /// Puts the pools, routes and limits of `config` in force; pools and backends of the same name keep their state.
    /// Listeners, workers and logging stay as they were at the start.
    ///
    /// # Errors
    /// Too many configurations at one time; then nothing has changed.
    pub fn apply(&self, config: &Config) -> Result<(), ApplyError> {
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let permit = self.applied.try_reserve().map_err(|_| ApplyError::Busy)?;
        let snapshot = Arc::new(Snapshot::build(config, Some(&self.core.snapshot()), self.workers));
        self.core.replace(snapshot.clone());
        permit.send(snapshot);
        Ok(())
    }

    /// The state of all pools and backends.
    pub fn status(&self) -> Status {
        Status { pools: self.core.snapshot().pools.iter().map(|pool| pool_status(pool)).collect() }
    }

    /// Where a request would go now, and why. Asks the same question as traffic, and changes nothing.
    pub fn explain(&self, uri: &Uri, headers: &HeaderMap, client_ip: IpAddr) -> Explanation {
        let snapshot = self.core.snapshot();
        let host =
            headers.get(header::HOST).and_then(|field| host_name(field.as_bytes())).unwrap_or_default();
        let host = &*host;
        let Some(route) = snapshot.router.find(host, uri.path()) else {
            return Explanation::without_route();
        };
        let pool = &snapshot.pools[route.pool];
        let sources = route.key.as_deref().unwrap_or(pool.key_sources());
        let key = session_key(sources, &Facts { host, uri, headers, client_ip });
        let view = View::new(pool, 0);
        let load = |backend: u32| pool.backends[backend as usize].state.sum(|counters| &counters.in_flight);
        let choice = Choice { tried: &[], load: &load, now: self.core.clock.now() };
        let decision = pool.decide(&view, key.as_ref().map(|key| pool.key(key)).as_ref(), &choice);
        Explanation::new(route.path.clone(), pool, key.as_ref(), decision)
    }
}

impl Explanation {
    fn without_route() -> Self {
        Self {
            route: None,
            pool: None,
            backend: None,
            reason: "no_route",
            key_source: None,
            detail: "No route fits this host and path.".into(),
        }
    }

    fn new(route: String, pool: &Pool, key: Option<&SessionKey<'_, '_>>, decision: Option<Decision>) -> Self {
        let source = key.map(|key| key.source.to_string());
        let chosen = decision.map(|decision| &pool.backends[decision.backend as usize]);
        let turns = decision.is_some_and(|decision| decision.reason == Reason::Balanced);
        Self {
            route: Some(route),
            pool: Some(pool.name.to_string()),
            backend: chosen.filter(|_| !turns).map(|backend| backend.name.to_string()),
            reason: decision.map_or("unavailable", |decision| decision.reason.as_str()),
            detail: detail(pool, source.as_deref(), decision.zip(chosen)),
            key_source: source,
        }
    }
}

fn detail(pool: &Pool, source: Option<&str>, chosen: Option<(Decision, &Arc<Backend>)>) -> String {
    let Some((decision, backend)) = chosen else {
        return format!("No backend of pool {} is available.", pool.name);
    };
    let (name, source) = (&backend.name, source.unwrap_or("none"));
    match (decision.reason, &pool.affinity) {
        (Reason::Bound, _) => format!("The key ({source}) is bound to {name}."),
        (Reason::Placed, Affinity::Hash { .. }) => format!("The key ({source}) hashes to {name}."),
        (Reason::Placed, _) => {
            format!("The key ({source}) is new; it would be placed on {name} and bound there.")
        }
        (Reason::Rebound, _) => {
            format!("The backend of the key ({source}) is gone; it would be bound to {name}.")
        }
        (Reason::Balanced, Affinity::None) => {
            format!("Pool {} is not sticky; its backends take turns.", pool.name)
        }
        (Reason::Balanced, _) => "The request has no session key; the backends take turns.".into(),
    }
}

fn pool_status(pool: &Pool) -> PoolStatus {
    PoolStatus {
        name: pool.name.to_string(),
        mode: match pool.affinity {
            Affinity::None => "none",
            Affinity::Hash { .. } => "hash",
            Affinity::Table { .. } => "table",
        },
        backends: pool.backends.iter().map(|backend| backend_status(pool, backend)).collect(),
    }
}

fn backend_status(pool: &Pool, backend: &Backend) -> BackendStatus {
    let state: &State = &backend.state;
    BackendStatus {
        name: backend.name.to_string(),
        address: backend.address.to_string(),
        weight: backend.weight,
        health: state.health(),
        sessions: pool.table().map_or(0, |table| table.sessions(state.owner())),
        connections: state.sum(|counters| &counters.tunnels),
        in_flight: state.sum(|counters| &counters.in_flight),
        requests_total: state.sum(|counters| &counters.requests),
        failures_total: state.sum(|counters| &counters.failures),
    }
}
