//! A pool: backends, a balance policy and what ties sessions to backends, brought together into decisions.
//!
//! Synchronous, without clock and I/O. A decision is made in two steps: [`Pool::decide`] only reads, so that
//! explaining a decision asks the same question as traffic does; [`Pool::commit`] binds.

mod commit;
mod decide;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::affinity::table::Fingerprint;
use crate::affinity::{SessionKey, SessionTable};
use crate::backend::Backend;
use crate::balance::HashTable;
use crate::config::{Balance, KeySource, Timeouts};
use crate::stable_hash;

pub use commit::{Commit, Lease, Lessons};
pub use decide::{Choice, Decision, Reason, Tie};
pub use view::View;

/// A named set of backends with one balance policy and one stickiness.
#[derive(Debug)]
pub struct Pool {
    /// Unique among pools.
    pub name: Arc<str>,
    /// In the order of the file.
    pub backends: Vec<Arc<Backend>>,
    /// How new work is placed.
    pub balance: Balance,
    /// The placement table of the backends, where the policy has one.
    pub hash_table: Option<Arc<HashTable>>,
    /// What is remembered of keys.
    pub affinity: Affinity,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What all configurations of this pool share.
    pub shared: Arc<Shared>,
}

/// How a pool keeps keys in place.
#[derive(Debug)]
pub enum Affinity {
    /// Not at all: every request is balanced.
    None,
    /// By hashing: nothing is remembered.
    Hash {
        /// Where keys are found.
        keys: Vec<KeySource>,
    },
    /// By the session table.
    Table {
        /// Where keys are found.
        keys: Vec<KeySource>,
        /// Where responses teach keys.
        learn: Vec<KeySource>,
        /// Who owns which key.
        table: Arc<SessionTable>,
    },
}

/// What outlasts the configurations of a pool.
#[derive(Debug)]
pub struct Shared {
    generation: AtomicU64,
    /// Requests that wait for something, in the whole process; bounded by `limits.queue`.
    pub waiting: AtomicU64,
}

impl Shared {
    /// The shared part of a pool nothing is known of.
    pub fn new() -> Self {
        Self { generation: AtomicU64::new(1), waiting: AtomicU64::new(0) }
    }

    /// Grows whenever the health or address of a backend changed; views of an older one are to be rebuilt.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes every worker rebuild its view before its next decision.
    pub fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

/// A session key as decisions use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its placement hash, the same in every process.
    pub placement: u64,
    /// What stands for it in the pool's session table; meaningless without one.
    pub fingerprint: Fingerprint,
}

impl Pool {
    /// Where this pool's keys are found, unless a route says otherwise.
    pub fn key_sources(&self) -> &[KeySource] {
        match &self.affinity {
            Affinity::None => &[],
            Affinity::Hash { keys } | Affinity::Table { keys, .. } => keys,
        }
    }

    /// The session table, in table mode.
    pub fn table(&self) -> Option<&Arc<SessionTable>> {
        match &self.affinity {
            Affinity::Table { table, .. } => Some(table),
            Affinity::None | Affinity::Hash { .. } => None,
        }
    }

    /// Hashes a session key for this pool.
    pub fn key(&self, key: &SessionKey<'_, '_>) -> Key {
        self.hash_key(&key.bytes)
    }

    /// Hashes the bytes of a session key for this pool.
    pub fn hash_key(&self, bytes: &[u8]) -> Key {
        let fingerprint = self.table().map_or(Fingerprint(0), |table| table.fingerprint(bytes));
        Key { placement: stable_hash::hash(bytes), fingerprint }
    }
}
