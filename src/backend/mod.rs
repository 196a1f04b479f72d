//! A backend: what the configuration says of it, and the live state that outlasts configurations.
//! No tasks, no I/O, no clock; [`crate::health`] is the only writer of health.

mod findings;
pub mod health;
mod leave;
mod state;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config;
use crate::stable_hash;

pub use findings::Findings;
pub use health::Health;
pub use leave::{Cause, Leave, Wishes};
pub use state::{Counters, State};

/// One server process of a pool, as one configuration describes it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its identity within the pool.
    pub name: Arc<str>,
    /// Where it listens, as written.
    pub address: config::Address,
    /// Share of new work; 0: keeps its own, takes no new.
    pub weight: u32,
    /// Placement hash of the name.
    pub node: u64,
    /// Requests and tunnels at one time; 0: unlimited.
    pub max_connections: u32,
    /// Sessions; 0: unlimited.
    pub max_sessions: u64,
    /// Places for requests and tunnels, where they are limited. Those taken under another limit do not count.
    pub slots: Option<Arc<Semaphore>>,
    /// What is known of it now; shared by all configurations that name it.
    pub state: Arc<State>,
}

impl Backend {
    /// A backend as configured, with the live state of its identity and what `former` configuration knew of it.
    pub fn new(settings: &config::Backend, state: Arc<State>, former: Option<&Self>) -> Self {
        let limit = settings.max_connections;
        let kept = former.filter(|former| former.max_connections == limit).map(|former| former.slots.clone());
        let fresh = || (limit > 0).then(|| Arc::new(Semaphore::new(limit as usize)));
        Self {
            max_connections: limit,
            max_sessions: settings.max_sessions,
            slots: kept.unwrap_or_else(fresh),
            name: settings.name.as_str().into(),
            address: settings.address.clone(),
            weight: settings.weight,
            node: stable_hash::hash(settings.name.as_bytes()),
            state,
        }
    }
}
