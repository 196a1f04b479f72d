//! The first step of a decision: which backend, and why. Reads only.

use serde::Serialize;

use super::bounds::Bounds;
use super::view::Chooser;
use super::{Affinity, Keeper, Key, Pool, Sessions, View};
use crate::affinity::table::Binding;
use crate::balance::Ask;
use crate::clock::Now;
use crate::config::OnBackendDown;

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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bound, Self::Placed, Self::Rebound, Self::Balanced];

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
    /// The key is new to this process' table; the client's cookie says that it belongs to the chosen backend.
    Carried,
    /// The key is bound to the chosen backend.
    Bound,
    /// The key is bound to a backend that is gone; the binding has this epoch.
    Lost {
        /// Epoch of the binding to give up.
        epoch: u64,
    },
    /// The key is bound to another backend, and the client's cookie is later than that: another proxy has moved the
    /// session to the chosen one since.
    Outdone {
        /// Epoch of the binding to give up.
        epoch: u64,
    },
}

impl Tie {
    /// Whether the request belongs to the chosen backend and to no other.
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Bound | Self::Carried | Self::Outdone { .. })
    }

    /// The epoch of the binding that is given up, if one is.
    pub const fn given_up(self) -> Option<u64> {
        match self {
            Self::Lost { epoch } | Self::Outdone { epoch } => Some(epoch),
            Self::None | Self::New | Self::Carried | Self::Bound => None,
        }
    }
}

/// Why a request can go nowhere now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No backend can take it.
    NoBackend,
    /// Every backend that could take its session has all the sessions it may have.
    Full,
    /// Its backend is down, and its pool says that it gets no other.
    Down,
    /// Its backend is down, and may come back.
    Wait {
        /// When it gets another one.
        until: Now,
    },
    /// Its key lives on a backend that was not known when the view was made: look at the fleet anew.
    Outdated,
}

impl Refusal {
    /// The word used in logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoBackend => "unavailable",
            Self::Full => "full",
            Self::Down => "rejected",
            Self::Wait { .. } => "waiting",
            Self::Outdated => "outdated",
        }
    }
}

/// What a decision may use beside the key.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Backends not to choose, as positions in the pool: those that refused this request, or have no room for it. They
    /// get it all the same if its key is bound there.
    pub skip: &'a [u32],
    /// Requests in flight, by position in the pool.
    pub load: &'a dyn Fn(u32) -> u64,
    /// The time.
    pub now: Now,
}

/// A key as it is placed: by its hash, or in turns.
#[derive(Debug, Clone, Copy)]
struct Placed {
    hash: u64,
    by_turns: bool,
}

impl Pool {
    /// Decides where a request goes.
    ///
    /// Deterministic for keys under hash policies; the other policies move on with each call. O(backends) at most;
    /// a bound key costs one look-up.
    ///
    /// # Errors
    /// Why it can go nowhere now.
    pub fn decide(&self, view: &View, key: Option<&Key>, choice: &Choice<'_>) -> Result<Decision, Refusal> {
        match (&self.affinity, key) {
            (Affinity::Table(sessions) | Affinity::Cookie(sessions, _), Some(key)) => {
                self.decide_session(sessions, view, key, choice)
            }
            (Affinity::Hash { .. }, Some(key)) => {
                self.place(view, key.into(), choice, Reason::Placed, Tie::None)
            }
            (Affinity::None, _) | (_, None) => self.take_turns(view, choice),
        }
    }

    /// Where a key would go if nothing were known of it.
    ///
    /// # Errors
    /// Why it could go nowhere.
    pub fn place_anew(&self, view: &View, key: &Key, choice: &Choice<'_>) -> Result<Decision, Refusal> {
        self.place(view, key.into(), choice, Reason::Placed, Tie::New)
    }

    fn decide_session(
        &self,
        sessions: &Sessions,
        view: &View,
        key: &Key,
        choice: &Choice<'_>,
    ) -> Result<Decision, Refusal> {
        let Some(binding) = sessions.table.peek(key.fingerprint, choice.now) else {
            return self.decide_unknown(sessions, view, key, choice);
        };
        if let Some(backend) = self.moved_elsewhere(view, key, (&binding, choice.now)) {
            let tie = Tie::Outdone { epoch: binding.epoch };
            return Ok(Decision { backend, reason: Reason::Bound, tie });
        }
        let keeper = view.keeper(&binding, choice.now);
        if let Keeper::Here(backend) = keeper {
            return Ok(Decision { backend, reason: Reason::Bound, tie: Tie::Bound });
        }
        may_move(sessions.on_backend_down, keeper, choice.now)?;
        let placed = Placed { hash: binding.placement, by_turns: key.by_turns };
        self.place(view, placed, choice, Reason::Rebound, Tie::Lost { epoch: binding.epoch })
    }

    /// The backend to which another proxy has moved the session: its cookie is later than what this table knows. An
    /// earlier one, which a second tab may still show, does not count.
    fn moved_elsewhere(&self, view: &View, key: &Key, (binding, now): (&Binding, Now)) -> Option<u32> {
        if key.told <= binding.epoch {
            return None;
        }
        let backend = self.at_home(view, key).filter(|backend| view.owner(*backend) != binding.owner)?;
        (view.keeps(backend, key.placement, now) == Keeper::Here(backend)).then_some(backend)
    }

    /// A key that the table does not know: new, or known to the cookie that came with it.
    fn decide_unknown(
        &self,
        sessions: &Sessions,
        view: &View,
        key: &Key,
        choice: &Choice<'_>,
    ) -> Result<Decision, Refusal> {
        if key.home.is_none() {
            return self.place(view, key.into(), choice, Reason::Placed, Tie::New);
        }
        let keeper = self
            .at_home(view, key)
            .map_or(Keeper::Gone, |backend| view.keeps(backend, key.placement, choice.now));
        if let Keeper::Here(backend) = keeper {
            return Ok(Decision { backend, reason: Reason::Bound, tie: Tie::Carried });
        }
        may_move(sessions.on_backend_down, keeper, choice.now)?;
        self.place(view, key.into(), choice, Reason::Rebound, Tie::New)
    }

    /// The backend that the cookie of a key means, if it still lives the same life, or a later one: that of a cookie which
    /// another proxy sealed after this one last heard of the backend's instance.
    pub fn at_home(&self, view: &View, key: &Key) -> Option<u32> {
        let home = key.home.as_ref()?;
        let position = view.position(home.backend)?;
        let (now, known) = (view.home(position)?, self.backends.get(position as usize)?);
        let later = now.address == home.address && key.told > known.state.instance_heard().micros();
        (now.is(home) || later).then_some(position)
    }

    fn take_turns(&self, view: &View, choice: &Choice<'_>) -> Result<Decision, Refusal> {
        let chooser = &view.keyless;
        let bounds = Bounds::of_requests(self, view);
        let picked = bounds.pick(chooser, &choice.ask(0, &|_| 0), choice.now)?;
        Ok(Decision { backend: picked, reason: Reason::Balanced, tie: Tie::None })
    }

    fn place(
        &self,
        view: &View,
        key: Placed,
        choice: &Choice<'_>,
        reason: Reason,
        tie: Tie,
    ) -> Result<Decision, Refusal> {
        let chooser = self.chooser(view, key.by_turns);
        let sessions = |backend| self.table().map_or(0, |table| table.sessions(view.owner(backend)));
        let ask = choice.ask(key.hash, &sessions);
        let backend = Bounds::of_sessions(self, view).pick(chooser, &ask, choice.now)?;
        Ok(Decision { backend, reason, tie })
    }

    /// Who chooses a backend for a key.
    pub(super) fn chooser<'v>(&self, view: &'v View, by_turns: bool) -> &'v Chooser {
        if by_turns && self.balance.hashes() { &view.keyless } else { &view.placer }
    }
}

/// Whether a key that its backend does not keep now may get another.
fn may_move(policy: OnBackendDown, keeper: Keeper, now: Now) -> Result<(), Refusal> {
    let since = match keeper {
        Keeper::Down { since, .. } => since,
        Keeper::Newer => return Err(Refusal::Outdated),
        Keeper::Here(_) | Keeper::Gone => return Ok(()),
    };
    match policy {
        OnBackendDown::Rebind => Ok(()),
        OnBackendDown::Reject => Err(Refusal::Down),
        OnBackendDown::Wait(time) => {
            let until = since.after(time);
            if now < until { Err(Refusal::Wait { until }) } else { Ok(()) }
        }
    }
}

impl From<&Key> for Placed {
    fn from(key: &Key) -> Self {
        Self { hash: key.placement, by_turns: key.by_turns }
    }
}

impl<'a> Choice<'a> {
    pub(super) fn ask<'b>(&self, key: u64, sessions: &'b dyn Fn(u32) -> u64) -> Ask<'b>
    where
        'a: 'b,
    {
        Ask { key, skip: self.skip, load: self.load, sessions }
    }
}
