//! From whom a key was lost that gets another backend, and why: for those who tell of it. Looks at what the decision
//! looked at, and changes nothing.

use std::sync::Arc;

use super::{Home, Keeper, Key, Pool, View};
use crate::affinity::table::{Binding, Loss};
use crate::backend::{Cause, Leave};
use crate::clock::Now;

/// A backend that a key has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its name; none if that is not known any more.
    pub from: Option<Arc<str>>,
    /// Why.
    pub why: Loss,
}

/// Why sessions lose a backend that leaves.
pub(super) const fn of_leave(leave: &Leave) -> Loss {
    match leave.cause {
        Cause::Operator | Cause::Backend => Loss::Drained,
        Cause::Removed => Loss::Removed,
    }
}

impl Pool {
    /// From whom a key is lost that is about to get another backend. None if it has lost nobody.
    pub fn lost(&self, view: &View, key: &Key, now: Now) -> Option<Lost> {
        let table = self.table()?;
        match (table.peek(key.fingerprint, now), &key.home) {
            (Some(binding), _) => {
                let (from, over) = (table.owner_name(binding.owner), table.loss(binding.owner));
                Some(Lost { from, why: over.unwrap_or_else(|| self.loss_of(view, &binding, now)) })
            }
            (None, Some(home)) => Some(self.lost_home(view, (home, key.placement), now)),
            (None, None) => None,
        }
    }

    /// Why a backend does not keep its session, although it lives the life that this is bound to.
    fn loss_of(&self, view: &View, binding: &Binding, now: Now) -> Loss {
        let is_over = |leave: &Leave| leave.is_over_for(binding.placement, now);
        let own = self.backends.iter().find(|backend| backend.state.owner() == binding.owner);
        let leave = own.and_then(|backend| backend.state.leave()).filter(is_over);
        match (view.keeper(binding, now), leave) {
            (Keeper::Gone, Some(leave)) => of_leave(&leave),
            _ => Loss::Down,
        }
    }

    /// A session that only its cookie knows.
    fn lost_home(&self, view: &View, (home, placement): (&Home, u64), now: Now) -> Lost {
        let position = self.backends.iter().position(|backend| backend.node == home.backend);
        let known = position.and_then(|at| self.backends.get(at).zip(view.home(at as u32)).zip(Some(at)));
        let Some(((backend, lives), at)) = known else { return Lost { from: None, why: Loss::Removed } };
        let leave = view.leave(at as u32).filter(|leave| leave.is_over_for(placement, now));
        let why = match leave {
            _ if !lives.is(home) => Loss::Restarted,
            Some(leave) => of_leave(&leave),
            None => Loss::Down,
        };
        Lost { from: Some(backend.name.clone()), why }
    }
}
