//! The first step of a decision: which backend, and why. Reads only.

use serde::Serialize;

use super::{Affinity, Key, Pool, View};
use crate::balance::Ask;
use crate::clock::Now;

/// Where a request should go, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Position of the backend in the pool.
    pub backend: u32,
    /// Why this one.
    pub reason: Reason,
    /// What the choice has to do with the session table.
    pub tie: Tie,
}

/// Why a request goes where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its key is bound to this backend.
    Bound,
    /// Its key has no binding and was placed.
    Placed,
    /// Its key lost its backend and was placed anew.
    Rebound,
    /// It has no key, or the pool is not sticky.
    Balanced,
}

impl Reason {
    /// The word used in logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Placed => "placed",
            Self::Rebound => "rebound",
            Self::Balanced => "balanced",
        }
    }
}

/// What a decision has to do with the session table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Nothing: no key, or no table.
    None,
    /// The key is new to the table.
    New,
    /// The key is bound to the chosen backend.
    Bound,
    /// The key is bound to a backend that is gone; the binding has this epoch.
    Lost {
        /// Epoch of the binding to give up.
        epoch: u64,
    },
}

/// What a decision may use beside the key.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Backends that refused this request already; they get it no more unless its key is bound there.
    pub tried: &'a [u32],
    /// Requests in flight, by position in the pool.
    pub load: &'a dyn Fn(u32) -> u64,
    /// The time.
    pub now: Now,
}

impl Pool {
    /// Decides where a request goes. `None`: no backend can take it.
    ///
    /// Deterministic for keys under hash policies; the other policies move on with each call. O(backends) at most;
    /// a bound key costs one look-up.
    pub fn decide(&self, view: &View, key: Option<&Key>, choice: &Choice<'_>) -> Option<Decision> {
        match (&self.affinity, key) {
            (Affinity::Table { table, .. }, Some(key)) => {
                let Some(binding) = table.peek(key.fingerprint, choice.now) else {
                    return self.place(view, key.placement, choice, (Reason::Placed, Tie::New));
                };
                let Some(backend) = view.keeper(binding.owner) else {
                    let tie = Tie::Lost { epoch: binding.epoch };
                    return self.place(view, binding.placement, choice, (Reason::Rebound, tie));
                };
                Some(Decision { backend, reason: Reason::Bound, tie: Tie::Bound })
            }
            (Affinity::Hash { .. }, Some(key)) => {
                self.place(view, key.placement, choice, (Reason::Placed, Tie::None))
            }
            (Affinity::None, _) | (_, None) => take_turns(view, choice),
        }
    }

    fn place(
        &self,
        view: &View,
        placement: u64,
        choice: &Choice<'_>,
        (reason, tie): (Reason, Tie),
    ) -> Option<Decision> {
        let chooser = &view.placer;
        let sessions = |backend| self.table().map_or(0, |table| table.sessions(view.owner(backend)));
        let ask = Ask { key: placement, skip: choice.tried, load: choice.load, sessions: &sessions };
        let picked = chooser.balancer.pick(&chooser.candidates, &ask)?;
        Some(Decision { backend: chooser.candidates[picked].backend, reason, tie })
    }
}

fn take_turns(view: &View, choice: &Choice<'_>) -> Option<Decision> {
    let chooser = &view.keyless;
    let ask = Ask { key: 0, skip: choice.tried, load: choice.load, sessions: &|_| 0 };
    let picked = chooser.balancer.pick(&chooser.candidates, &ask)?;
    let backend = chooser.candidates[picked].backend;
    Some(Decision { backend, reason: Reason::Balanced, tie: Tie::None })
}
