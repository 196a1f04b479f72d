//! A backend: what the configuration says of it, and the live state that outlasts configurations.
//! No tasks, no I/O, no clock; [`crate::health`] is the only writer of health.

pub mod health;
mod state;

use std::sync::Arc;

use crate::config;
use crate::stable_hash;

pub use health::Health;
pub use state::{Counter, Counters, State};

/// One server process of a pool, as one configuration describes it.
#[derive(Debug)]
pub struct Backend {
    /// Its identity within the pool.
    pub name: Arc<str>,
    /// Where it listens, as written.
    pub address: config::Address,
    /// Share of new work; 0: keeps its own, takes no new.
    pub weight: u32,
    /// Placement hash of the name.
    pub node: u64,
    /// What is known of it now; shared by all configurations that name it.
    pub state: Arc<State>,
}

impl Backend {
    /// A backend as configured, with the live state of its identity.
    pub fn new(settings: &config::Backend, state: Arc<State>) -> Self {
        Self {
            name: settings.name.as_str().into(),
            address: settings.address.clone(),
            weight: settings.weight,
            node: stable_hash::hash(settings.name.as_bytes()),
            state,
        }
    }
}
