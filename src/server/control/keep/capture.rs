//! What of a running proxy is worth keeping. Taken on the control thread, where health checks are made too, so that a
//! backend's owner number and the instance that it stands for belong together.

use std::io::{self, Write};
use std::sync::Arc;

use crate::affinity::SessionTable;
use crate::affinity::table::Kept;
use crate::backend::{Backend, Health, Leave};
use crate::clock::Now;
use crate::config::Address;
use crate::pool::{Affinity, Pool};
use crate::snapshot::Snapshot;
use crate::state::{BackendState, LeaveState, PoolState, TableState, Writer};

/// A pool, but for its sessions.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pool: PoolState,
    backends: Vec<BackendState>,
    /// By the place of the backend, under which number the table knows it.
    owners: Vec<u32>,
    table: Option<Arc<SessionTable>>,
}

/// Two that are equal are written alike, but for sessions.
impl PartialEq for Outline {
    fn eq(&self, other: &Self) -> bool {
        (&self.pool, &self.backends, &self.owners) == (&other.pool, &other.backends, &other.owners)
    }
}

/// The pools of a snapshot. What is in the file no more is left out: it would find nobody after a restart.
pub(super) fn outline(snapshot: &Snapshot) -> Vec<Outline> {
    snapshot.pools.iter().filter(|pool| !pool.is_removed()).map(|pool| Outline::of(pool)).collect()
}

impl Outline {
    fn of(pool: &Pool) -> Self {
        let backends: Vec<_> = pool.backends.iter().filter(|backend| !backend.state.is_removed()).collect();
        let table = match &pool.affinity {
            Affinity::Table(sessions) => Some(sessions.table.clone()),
            // In cookie mode clients carry what would be kept.
            Affinity::None | Affinity::Hash { .. } | Affinity::Cookie(..) => None,
        };
        let common =
            |table: &Arc<SessionTable>| TableState { seed: table.seed(), last_epoch: table.last_epoch() };
        Self {
            pool: PoolState { name: pool.name.to_string(), table: table.as_ref().map(common) },
            owners: backends.iter().map(|backend| backend.state.owner()).collect(),
            backends: backends.iter().map(|backend| backend_state(backend)).collect(),
            table,
        }
    }

    /// Whether any session can have changed since they were last written.
    pub(super) fn has_changed(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.has_changed())
    }

    /// Writes the pool and its sessions, a shard at a time.
    pub(super) fn write(&self, writer: &mut Writer<impl Write>, now: Now) -> io::Result<()> {
        writer.pool(&self.pool, &self.backends)?;
        let Some(table) = &self.table else { return Ok(()) };
        let last = self.owners.iter().max().map_or(0, |last| *last as usize + 1);
        let mut places = vec![None; last];
        for (owner, place) in self.owners.iter().zip(0..) {
            places[*owner as usize] = Some(place);
        }
        // Bindings to former lives lead nowhere already.
        let at_place = |kept: &Kept| {
            let owner = places.get(kept.owner as usize).copied().flatten()?;
            Some(Kept { owner, ..*kept })
        };
        table.each_shard(now, |sessions| writer.sessions(sessions.iter().filter_map(at_place)))
    }
}

fn backend_state(backend: &Backend) -> BackendState {
    let wishes = backend.state.wish(|wishes| *wishes);
    let named = matches!(backend.address, Address::Name { .. });
    BackendState {
        name: backend.name.to_string(),
        address: backend.address.to_string(),
        resolved: backend.state.address().filter(|_| named),
        instance: backend.state.instance().map(|instance| instance.to_string()),
        down: backend.state.health() == Health::Down,
        wanted: wishes.wanted.as_str().to_owned(),
        in_file: wishes.in_file.as_str().to_owned(),
        leave: wishes.by_operator().map(leave_state),
    }
}

fn leave_state(leave: Leave) -> LeaveState {
    LeaveState {
        since: leave.since.micros(),
        deadline: leave.deadline.micros(),
        spread: crate::clock::micros(leave.spread),
    }
}
