//! What is kept over a restart: sessions and what operators want of backends, in one file of a directory of the proxy's
//! own. How the file reads is [`write`](Writer)'s and [`read`]'s; that it is whole or not there, [`Directory`]'s.
//! What of a running proxy goes in, and what of it counts again after a start, is the server's to know.

mod directory;
mod format;
mod read;
mod write;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::affinity::table::Kept;

pub use directory::{Directory, Found, OpenError, SaveError};
pub use read::{Broken, read};
pub use write::{Writer, Written};

/// All that a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// When it was written, in Unix µs. No epoch in it is later, unless clocks went back before.
    pub saved_at: u64,
    /// By name.
    pub pools: Vec<SavedPool>,
}

/// One pool and its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPool {
    /// What is known of the pool.
    pub pool: PoolState,
    /// Its backends, by the numbers that sessions have for owners.
    pub backends: Vec<BackendState>,
    /// Its sessions.
    pub sessions: Vec<Kept>,
}

/// What is kept of a pool beside its backends and sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolState {
    /// Its name.
    pub name: String,
    /// Of its session table, if it has one.
    pub table: Option<TableState>,
}

/// What sessions of a table have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableState {
    /// Of the fingerprints.
    pub seed: u64,
    /// The last one given.
    pub last_epoch: u64,
}

/// A backend in one of its lives, and what its operator wants of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendState {
    /// Its name.
    pub name: String,
    /// Its address as written in the file.
    pub address: String,
    /// What that came to, where it is a name.
    pub resolved: Option<SocketAddr>,
    /// The instance that it named.
    pub instance: Option<String>,
    /// Whether it was down.
    pub down: bool,
    /// What the operator wants: `ready`, `drain` or `maint`.
    pub wanted: String,
    /// What the configuration said of that, in the same words.
    pub in_file: String,
    /// Until when it leaves, if the operator wants that.
    pub leave: Option<LeaveState>,
}

/// How a backend leaves, in Unix µs and µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveState {
    /// Since when.
    pub since: u64,
    /// When its last session ends.
    pub deadline: u64,
    /// How long before that its first one does.
    pub spread: u64,
}
