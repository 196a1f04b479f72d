//! The state of listeners, pools and backends as those see it who look from outside: plain values, ready to be written as JSON.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::backend::{Backend, Cause, Health, State};
use crate::clock::Now;
use crate::listener::Listener;
use crate::pool::{Pool, View};
use crate::transport::tls::Acceptor;

use super::counted::{Answers, Load, PoolCounts};
use super::{LastReload, StateStatus};

/// The state of the proxy.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: &'static str,
    /// When the process began: Unix time in seconds.
    pub started_at: f64,
    /// Since then.
    pub uptime_seconds: f64,
    /// Grows with each configuration that is put in force, and whenever something that has left is forgotten.
    pub generation: u64,
    /// What came of reading the file again the last time; none if it was not.
    pub reload: Option<LastReload>,
    /// What it has to do.
    #[serde(flatten)]
    pub load: Load,
    /// In the order of the configuration.
    pub listeners: Vec<ListenerStatus>,
    /// How saving the state over a restart goes; none where nothing is kept.
    pub state: Option<StateStatus>,
    /// In the order of the configuration.
    pub pools: Vec<PoolStatus>,
}

/// The state of one listener.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerStatus {
    /// Where it listens, with the port that was taken for 0.
    pub address: SocketAddr,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether HTTP/2 is spoken to those who want it.
    pub http2: bool,
    /// Client connections now.
    pub connections: u64,
    /// Client connections it may have; 0: as many as the process.
    pub max_connections: u64,
    /// What it shows to clients, the first to those who name no host.
    pub certificates: Vec<CertificateStatus>,
}

/// One certificate of a listener.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateStatus {
    /// The DNS names it is for.
    pub names: Vec<String>,
    /// When it expires: Unix time in seconds; none if it does not say.
    pub not_after: Option<i64>,
}

impl ListenerStatus {
    /// Reads the state of a listener.
    pub(super) fn of(listener: &Listener) -> Self {
        let identities = listener.tls.as_ref().map_or(&[][..], Acceptor::identities);
        let certificates = identities.iter().map(|identity| CertificateStatus {
            names: identity.names.clone(),
            not_after: identity.not_after,
        });
        Self {
            address: listener.bound(),
            tls: listener.tls.is_some(),
            http2: listener.http2,
            connections: listener.connections.load(Ordering::Relaxed) as u64,
            max_connections: if listener.max_connections == usize::MAX {
                0
            } else {
                listener.max_connections as u64
            },
            certificates: certificates.collect(),
        }
    }
}

/// The state of one pool.
#[derive(Debug, Clone, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How it keeps keys: `none`, `hash`, `cookie` or `table`.
    pub mode: &'static str,
    /// How it places new work.
    pub balance: String,
    /// Sessions in its table, those included whose end has not been noticed yet; 0 without one.
    pub sessions: u64,
    /// Sessions it may have; 0 without a table.
    pub capacity: u64,
    /// Sessions ended for want of room.
    pub evictions_total: u64,
    /// Responses that taught a key which lives elsewhere.
    pub affinity_violations_total: u64,
    /// Bodies that might have taught a key, had they not been compressed.
    pub encoded_bodies_total: u64,
    /// Cookies of the proxy's own that did not count: forged, expired, or from the future.
    pub refused_cookies_total: u64,
    /// Requests without a session key, where the pool looks for one.
    pub keyless_total: u64,
    /// Requests that wait now: for room, for a backend to come back, for a key to move.
    pub waiting: u64,
    /// Requests that may wait.
    pub queue_limit: u64,
    /// So many backends seem to fail that nothing bound moves for that.
    pub panicking: bool,
    /// What it has done.
    #[serde(flatten)]
    pub counts: PoolCounts,
    /// Its backends, in the order of the configuration; behind them those that are leaving it.
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
    /// What is wanted of it: `ready`, `drain` or `maint`.
    pub state: &'static str,
    /// Its observed health.
    pub health: Health,
    /// What the last check or failed connect said; none before the first.
    pub health_reason: Option<String>,
    /// Since when it has this health: Unix time in seconds.
    pub health_since: f64,
    /// Whether traffic has ejected it for a time: it takes nothing new.
    pub outlier: bool,
    /// Until it returns, while it is ejected.
    pub ejected_seconds_left: Option<f64>,
    /// The part of its share of new work that it takes, while it has just come up.
    pub slow_start: Option<f64>,
    /// The instance it names in its health answers.
    pub instance: Option<String>,
    /// Sessions bound to it; 0 without a session table.
    pub sessions: u64,
    /// Sessions it may have; 0: any number.
    pub max_sessions: u64,
    /// Open tunnels.
    pub connections: u64,
    /// Requests and tunnels it may have at one time; 0: any number.
    pub max_connections: u32,
    /// Requests whose response has not ended, tunnels included.
    pub in_flight: u64,
    /// Requests sent to it.
    pub requests_total: u64,
    /// Requests sent to it after another try had failed, be it here or elsewhere; they are among those sent to it.
    pub retries_total: u64,
    /// Failed connects and exchanges.
    pub failures_total: u64,
    /// Tunnels that the proxy closed with a closing handshake.
    pub tunnels_closed_total: u64,
    /// Tunnels that the proxy dropped without one.
    pub tunnels_dropped_total: u64,
    /// How it has answered.
    #[serde(flatten)]
    pub answers: Answers,
    /// How far it is on its way out.
    pub drain: Option<DrainStatus>,
}

/// How far a backend is on its way out.
#[derive(Debug, Clone, Serialize)]
pub struct DrainStatus {
    /// Who wants it.
    pub cause: Cause,
    /// Sessions left.
    pub sessions: u64,
    /// Tunnels left.
    pub connections: u64,
    /// Requests left, tunnels included.
    pub in_flight: u64,
    /// Until the last session ends.
    pub seconds_left: f64,
    /// Nothing is left.
    pub done: bool,
}

impl PoolStatus {
    /// Reads the state of a pool, in which so many requests may wait.
    pub fn of(pool: &Pool, queue_limit: usize, now: Now) -> Self {
        let table = pool.table();
        let backends: Vec<_> =
            pool.backends.iter().map(|backend| BackendStatus::of(pool, backend, now)).collect();
        let keyless = pool.backends.iter().map(|backend| backend.state.sum(|counters| &counters.keyless));
        Self {
            name: pool.name.to_string(),
            mode: pool.mode(),
            balance: pool.balance.to_string(),
            sessions: table.map_or(0, |table| table.len() as u64),
            capacity: table.map_or(0, |table| table.capacity() as u64),
            evictions_total: table.map_or(0, |table| table.evictions()),
            affinity_violations_total: table.map_or(0, |table| table.violations()),
            encoded_bodies_total: pool.shared.encoded_bodies.load(Ordering::Relaxed),
            refused_cookies_total: pool.shared.refused(),
            keyless_total: keyless.sum(),
            waiting: pool.shared.waiting.load(Ordering::Relaxed),
            queue_limit: queue_limit as u64,
            panicking: View::new(pool, 0).panics(),
            counts: PoolCounts::of(pool),
            backends,
        }
    }
}

impl BackendStatus {
    /// Reads the state of a backend of `pool`.
    pub fn of(pool: &Pool, backend: &Backend, now: Now) -> Self {
        let state: &State = &backend.state;
        // Read before the sessions, which are those of this instance or a later one.
        let instance = state.instance().map(|instance| instance.to_string());
        let leave = state.leave();
        // When its time is over they have ended, though the table has not noticed yet.
        let over = leave.is_some_and(|leave| leave.is_over(now));
        let sessions = pool.table().filter(|_| !over).map_or(0, |table| table.sessions(state.owner()));
        let connections = state.sum(|counters| &counters.tunnels);
        let in_flight = state.sum(|counters| &counters.in_flight);
        let drain = leave.map(|leave| DrainStatus {
            cause: leave.cause,
            sessions,
            connections,
            in_flight,
            seconds_left: leave.left(now).as_secs_f64(),
            done: pool.affinity.is_empty(backend, now),
        });
        Self {
            name: backend.name.to_string(),
            address: backend.address.to_string(),
            weight: backend.weight,
            state: state.word(),
            health: state.health(),
            health_reason: state.reason().map(|reason| reason.to_string()),
            health_since: seconds(state.health_since()),
            outlier: state.is_outlier(),
            ejected_seconds_left: state.is_outlier().then(|| state.ejected_until().since(now).as_secs_f64()),
            slow_start: pool.slow_start_of(backend, now),
            instance,
            sessions,
            max_sessions: backend.max_sessions,
            connections,
            max_connections: backend.max_connections,
            in_flight,
            requests_total: state.sum(|counters| &counters.requests),
            retries_total: state.sum(|counters| &counters.retries),
            failures_total: state.sum(|counters| &counters.failures),
            tunnels_closed_total: state.sum(|counters| &counters.closed),
            tunnels_dropped_total: state.sum(|counters| &counters.dropped),
            answers: Answers::of(state),
            drain,
        }
    }
}

/// A moment as Unix time in seconds.
pub(super) fn seconds(at: Now) -> f64 {
    at.micros() as f64 / 1e6
}
