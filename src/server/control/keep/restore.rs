//! What of a kept state counts again: what belongs to pools and backends that are still configured, and whose time is
//! not over. A binding needs the backend it was made with: its name, its address, and the instance it named.

use std::sync::Arc;
use std::time::Duration;

use crate::affinity::table::{Kept, Restored};
use crate::backend::{Backend, Cause, Health, Leave, State};
use crate::clock::Now;
use crate::config::{Address, Wanted};
use crate::pool::{Affinity, Pool};
use crate::snapshot::Snapshot;
use crate::state::{BackendState, LeaveState, Saved, SavedPool};

/// What became of the kept sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Those whose backend is still there.
    pub(super) table: Restored,
    /// Those of pools and backends that are there no more, or are others by now, or have been drained.
    pub(super) homeless: u64,
}

/// Lets a kept state count in a snapshot that nobody works from yet.
pub(super) fn restore(saved: Saved, snapshot: &Snapshot, now: Now) -> Counted {
    let (mut counted, saved_at) = (Counted::default(), saved.saved_at);
    for kept in saved.pools {
        match snapshot.pools.iter().find(|pool| *pool.name == *kept.pool.name) {
            Some(pool) => counted.add(restore_pool(kept, pool, (saved_at, now))),
            None => counted.homeless += kept.sessions.len() as u64,
        }
    }
    counted
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.table.sessions += other.table.sessions;
        self.table.expired += other.table.expired;
        self.table.crowded_out += other.table.crowded_out;
        self.homeless += other.homeless;
    }
}

fn restore_pool(kept: SavedPool, pool: &Pool, (saved_at, now): (u64, Now)) -> Counted {
    let homes: Vec<_> = kept.backends.iter().map(|kept| restore_backend(kept, pool)).collect();
    let all = kept.sessions.len() as u64;
    let (Affinity::Table(sessions), Some(table)) = (&pool.affinity, kept.pool.table) else {
        return Counted { homeless: all, ..Counted::default() };
    };
    let at_home = |kept: Kept| {
        let state = homes.get(kept.owner as usize)?.as_ref()?;
        let over = state.leave().is_some_and(|leave| leave.is_over_for(kept.placement, now));
        (!over).then(|| Kept { owner: state.owner(), ..kept })
    };
    let housed: Vec<_> = kept.sessions.into_iter().filter_map(at_home).collect();
    let homeless = all - housed.len() as u64;
    let last_epoch = table.last_epoch.max(saved_at);
    Counted { table: sessions.table.restore(table.seed, last_epoch, housed, now), homeless }
}

/// What the operator wanted of a backend counts for whoever has its name. The state to which its bindings lead is given
/// back if it is the same one as before.
fn restore_backend(kept: &BackendState, pool: &Pool) -> Option<Arc<State>> {
    let backend = pool.backends.iter().find(|backend| *backend.name == *kept.name)?;
    if let (Some(wanted), Some(in_file)) = (word(&kept.wanted), word(&kept.in_file)) {
        backend.state.wish(|wishes| wishes.take_up(wanted, in_file, kept.leave.map(leave)));
    }
    let is_same = backend.address.to_string() == kept.address;
    (is_same && pool.tells_epochs()).then(|| {
        recognise(backend, kept);
        backend.state.clone()
    })
}

/// The backend goes on as the one that it was. If it is another by now, the first check or look-up of its name says so,
/// and ends what was bound to it, as it would have without a restart.
fn recognise(backend: &Backend, kept: &BackendState) {
    let state = &backend.state;
    if let (Address::Name { .. }, Some(address)) = (&backend.address, kept.resolved) {
        state.set_address(address);
    }
    if let Some(instance) = &kept.instance {
        state.set_instance(instance);
    }
    // Of a backend nothing is known of, the first check decides. This one is known: it takes as many failures as ever
    // until its sessions move.
    if state.health() == Health::Unknown && !kept.down {
        state.set_health(Health::Suspect, Now(0));
    }
}

fn word(word: &str) -> Option<Wanted> {
    Wanted::WORDS.iter().find(|(known, _)| *known == word).map(|(_, wanted)| *wanted)
}

fn leave(kept: LeaveState) -> Leave {
    Leave {
        cause: Cause::Operator,
        since: Now(kept.since),
        deadline: Now(kept.deadline),
        spread: Duration::from_micros(kept.spread),
    }
}
