//! What there is in a pool's session table, for those who look on: where sessions are, and some of them.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use serde::Serialize;

use super::{Control, Unknown};
use crate::affinity::SessionTable;
use crate::affinity::table::{Fingerprint, Seen};
use crate::backend::Backend;
use crate::clock::Now;
use crate::pool::{Keeper, Pool, View};

/// Which sessions to list.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Those of this backend; none: of all.
    pub backend: Option<&'a str>,
    /// So many at most.
    pub limit: usize,
}

/// The sessions of one pool.
#[derive(Debug, Clone, Serialize)]
pub struct Sessions {
    /// The pool's name.
    pub pool: String,
    /// How many there are, those included whose end has not been noticed yet.
    pub sessions: u64,
    /// How many there may be.
    pub capacity: u64,
    /// How they are spread over the backends.
    pub backends: Vec<Portion>,
    /// Some of them, in no order.
    pub list: Vec<Listed>,
}

/// The sessions of one backend.
#[derive(Debug, Clone, Serialize)]
pub struct Portion {
    /// Its name.
    pub backend: String,
    /// How many it has.
    pub sessions: u64,
    /// How much of all that is, 0 to 1.
    pub share: f64,
}

/// One session of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The hash of its key, the same as in the log of this process.
    pub session: String,
    /// The backend it is bound to; none if that is gone, and its next request moves it.
    pub backend: Option<String>,
    /// Grows with each owner.
    pub epoch: u64,
    /// Requests and tunnels that are live now.
    pub live: u32,
    /// Since something of it began or ended; 0 while something is live.
    pub idle_seconds: u64,
}

impl Control {
    /// The sessions of a pool: how many each backend has, and some of them. Cheap, whatever there is: of a very large
    /// table only a part is looked at for the list.
    ///
    /// # Errors
    /// There is no such pool or backend, or the pool keeps no sessions.
    pub fn sessions(&self, pool: &str, wish: Wish<'_>) -> Result<Sessions, Unknown> {
        let pool = match wish.backend {
            Some(backend) => self.backend(pool, backend)?.0,
            None => self.pool(pool)?,
        };
        let table = pool.table().ok_or_else(|| Unknown::Table(pool.name.to_string()))?;
        let now = self.core.clock.now();
        Ok(Sessions {
            pool: pool.name.to_string(),
            sessions: table.len() as u64,
            capacity: table.capacity() as u64,
            backends: shares(&pool, table),
            list: self.list(&pool, table, wish, now),
        })
    }

    /// What stands for a session's key in the log of this process.
    pub(super) fn hash_of(&self, key: Fingerprint) -> String {
        format!("{:016x}", self.core.log_hash.hash_one(key.0))
    }

    fn list(&self, pool: &Pool, table: &SessionTable, wish: Wish<'_>, now: Now) -> Vec<Listed> {
        let view = View::new(pool, 0);
        let own = wish.backend.and_then(|name| pool.backends.iter().find(|backend| *backend.name == *name));
        let owner = own.map(|backend| backend.state.owner());
        let seen = table.sample(now, wish.limit, |one| owner.is_none_or(|owner| owner == one));
        seen.iter().map(|seen| self.listed(pool, &view, seen, now)).collect()
    }

    fn listed(&self, pool: &Pool, view: &View, seen: &Seen, now: Now) -> Listed {
        let backend = match view.keeper(&seen.binding, now) {
            Keeper::Here(backend) | Keeper::Down { backend, .. } => pool.backends.get(backend as usize),
            Keeper::Gone | Keeper::Newer => None,
        };
        Listed {
            session: self.hash_of(seen.key),
            backend: backend.map(|backend| backend.name.to_string()),
            epoch: seen.binding.epoch,
            live: seen.binding.live,
            idle_seconds: seen.idle.as_secs(),
        }
    }
}

fn shares(pool: &Pool, table: &SessionTable) -> Vec<Portion> {
    let count = |owner| table.sessions(owner);
    let counts: Vec<u64> = pool.backends.iter().map(|backend| count(backend.state.owner())).collect();
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let share = |(backend, sessions): (&Arc<Backend>, u64)| Portion {
        backend: backend.name.to_string(),
        sessions,
        share: sessions as f64 / all,
    };
    pool.backends.iter().zip(counts).map(share).collect()
}
