//! What a change of a fleet would move, before it is made: keys are placed, bound and decided again by the functions of
//! traffic, on a fleet without sockets in which every backend is up.
//!
//! It knows neither a running proxy nor its sessions. Time is passed in, and the drain's deadline is a moment that is
//! looked at, not waited for.

mod change;
mod keys;
mod report;
mod text;

use std::sync::Arc;

use crate::backend::Health;
use crate::clock::Now;
use crate::config::{self, Config, OnBackendDown};
use crate::pool::{Choice, Commit, Decision, Key, Pool, Reason, Refusal, View};
use crate::snapshot::Snapshot;

pub use change::Change;
pub use keys::{Keys, MOST_KEYS};
pub use report::{BackendFigures, KeyFigures, Placement, Report, Sessions, Spread, TableFigures};

/// What is to be foreseen.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The fleet as it is.
    pub config: &'a Config,
    /// Position of the pool, from [`find_pool`].
    pub pool: usize,
    /// What is done to it, together and in this order.
    pub changes: &'a [Change],
    /// When.
    pub now: Now,
}

/// Why nothing can be foreseen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is named that is not there, or cannot be done to it.
    #[error("{0}")]
    Change(String),
    /// The keys cannot be read.
    #[error("the keys cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// There are none.
    #[error("there are no keys")]
    NoKeys,
    /// There are more than fit.
    #[error("there are more than {MOST_KEYS} different keys: take a part of them")]
    TooManyKeys,
    /// A line is longer than a key can be.
    #[error("line {0} is longer than {longest} octets", longest = keys::LONGEST_LINE)]
    LongLine(u64),
}

/// The position of the pool of that name, or of the only one that is sticky.
///
/// # Errors
/// There is none, or more than one, or it keeps no keys.
pub fn find_pool(config: &Config, name: Option<&str>) -> Result<usize, Error> {
    let sticky: Vec<_> = config.pools.iter().enumerate().filter(|(_, pool)| pool.sticky.is_some()).collect();
    let found = match name {
        Some(name) => config.pools.iter().position(|pool| pool.name == name),
        None if sticky.len() == 1 => sticky.first().map(|(at, _)| *at),
        None if sticky.is_empty() => return wrong("no pool is sticky, so there are no keys to move"),
        None => None,
    };
    let names = || config.pools.iter().map(|pool| pool.name.as_str());
    match (found, name) {
        (Some(at), _) if sticky.iter().any(|(known, _)| *known == at) => Ok(at),
        (Some(_), _) => wrong("the pool is not sticky, so it has no keys to move"),
        (None, Some(name)) => wrong(&change::unknown("pool", name, names())),
        (None, None) => {
            let names: Vec<_> = sticky.iter().map(|(_, pool)| pool.name.as_str()).collect();
            wrong(&format!("say which pool with --pool: {}", names.join(", ")))
        }
    }
}

fn wrong<T>(what: &str) -> Result<T, Error> {
    Err(Error::Change(what.to_owned()))
}

/// Foresees what `plan` does to `keys`. O(keys · backends); 8 octets a key, 4 for its backend, and a session table.
///
/// # Errors
/// A change cannot be made.
pub fn simulate(plan: &Plan<'_>, keys: &Keys) -> Result<Report, Error> {
    let (changed, down) = change::apply(plan)?;
    let before = Fleet::new(plan.config, None, plan, &[]);
    let homes = before.bind_all(keys);
    let table = before.pool().table().map(|table| TableFigures::of(table));
    let bound = Bound::of(&before);
    // Before the next generation is made: it shares the state of its backends with this one.
    let (known, shares, balance) = (before.names(), before.shares(), before.pool().balance);

    let then = Fleet::new(&changed, Some(&before.snapshot), plan, &down);
    let lives = then.pool().table().is_some().then(|| then.live_on(keys, bound.total));
    let then_names = then.names();
    // Only one session table at a time.
    drop((before, then));

    let after = Fleet::new(&changed, None, plan, &down);
    let new_homes = after.bind_all(keys);
    let tally = report::Tally { known, homes, shares, bound, then_names, lives, table, balance };
    Ok(tally.report(plan, keys, &after, &new_homes))
}

/// Keys that a share is found out with: enough for a hundredth, and in large pools for three of them.
const SAMPLE: std::ops::RangeInclusive<u64> = 1_000..=10_000;
/// Backends that all those keys together are held against.
const COMPARISONS: u64 = 4_000_000;

/// The share of new keys, from 0 to 1, that `after` places elsewhere than `before`, both being states of one pool of
/// `around`; the backends in `down` are down in both. None where the key does not say where it is placed.
pub fn moved_share(
    around: &Config,
    (before, after): (&config::Pool, &config::Pool),
    down: &[String],
    now: Now,
) -> Option<f64> {
    let by_key = |pool: &config::Pool| {
        pool.balance.hashes() && pool.sticky.as_ref().is_some_and(|sticky| !sticky.key.is_empty())
    };
    if !by_key(before) || !by_key(after) {
        return None;
    }
    let backends = before.backends.len().max(after.backends.len()).max(1) as u64;
    let sample = (COMPARISONS / backends).clamp(*SAMPLE.start(), *SAMPLE.end());
    let keys = Keys::counted(sample).ok()?;
    let place = |pool: &config::Pool| {
        let config = alone(around, pool);
        let fleet = Fleet::new(&config, None, &Plan { config: &config, pool: 0, changes: &[], now }, down);
        (fleet.names(), fleet.bind_all(&keys))
    };
    let ((known, homes), (names, new_homes)) = (place(before), place(after));
    let moved = report::moved((&known, &homes), (&names, &new_homes));
    Some(moved as f64 / sample as f64)
}

/// A configuration of nothing but `pool`, which remembers nothing: where new keys go is the same in all modes.
fn alone(around: &Config, pool: &config::Pool) -> Config {
    let sticky = pool.sticky.clone().map(|sticky| config::Sticky { mode: config::Mode::Hash, ..sticky });
    let pool = config::Pool { sticky, tls: None, ..pool.clone() };
    let (server, log, limits) = (around.server.clone(), around.log.clone(), around.limits.clone());
    let (listeners, routes, trusted_proxies) = (Vec::new(), Vec::new(), Vec::new());
    Config { trusted_proxies, server, admin: None, log, listeners, routes, pools: vec![pool], limits }
}

/// A key that no backend took.
const NOWHERE: u32 = u32::MAX;

/// The sessions of each backend at one moment.
struct Bound {
    total: u64,
    each: Vec<u64>,
}

/// What becomes of sessions after a change.
struct Lives {
    now: Bound,
    later: Bound,
    figures: Sessions,
}

/// A generation of the fleet.
struct Fleet {
    snapshot: Snapshot,
    pool: usize,
    now: Now,
}

impl Fleet {
    fn new(config: &Config, previous: Option<&Snapshot>, plan: &Plan<'_>, down: &[String]) -> Self {
        let this =
            Self { snapshot: Snapshot::build(config, previous, 1, plan.now), pool: plan.pool, now: plan.now };
        this.snapshot.take_as_up();
        let is_down = |name: &str| down.iter().any(|down| down == name);
        for backend in this.pool().backends.iter().filter(|backend| is_down(&backend.name)) {
            backend.state.set_health(Health::Down, plan.now);
        }
        this
    }

    fn pool(&self) -> &Pool {
        &self.snapshot.pools[self.pool]
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.pool().backends.iter().map(|backend| backend.name.clone()).collect()
    }

    /// The weights of those that take new keys, by name.
    fn shares(&self) -> Vec<(Arc<str>, u32)> {
        let view = View::new(self.pool(), 0);
        let name = |backend: u32| self.pool().backends.get(backend as usize).map(|it| it.name.clone());
        view.candidates().iter().filter_map(|it| Some((name(it.backend)?, it.weight))).collect()
    }

    /// Places every key as it comes, and binds it where keys are bound; all stay live. Positions in the pool, in the
    /// order of the keys.
    fn bind_all(&self, keys: &Keys) -> Vec<u32> {
        let view = View::new(self.pool(), 0);
        let place = |&key: &u64| self.bind(&view, &self.key(key), self.now).unwrap_or(NOWHERE);
        keys.hashes().iter().map(place).collect()
    }

    /// A fingerprint only has to be another one for another key.
    fn key(&self, placement: u64) -> Key {
        Key { placement, ..self.pool().hash_key(&placement.to_le_bytes()) }
    }

    fn bind(&self, view: &View, key: &Key, now: Now) -> Option<u32> {
        let decision = self.decide(view, key, now).ok()?;
        self.commit(view, key, &decision, now).then_some(decision.backend)
    }

    fn decide(&self, view: &View, key: &Key, now: Now) -> Result<Decision, Refusal> {
        self.pool().decide(view, Some(key), &Choice { skip: &[], load: &|_| 0, now })
    }

    /// Nothing waits for what is live here: it moves.
    fn commit(&self, view: &View, key: &Key, decision: &Decision, now: Now) -> bool {
        matches!(self.pool().commit(view, Some(key), decision, now, true), Commit::Go(_))
    }

    /// Decides every key again, now and at the deadline, and moves those that move.
    fn live_on(&self, keys: &Keys, total: u64) -> Lives {
        let view = View::new(self.pool(), 0);
        let mut figures = Sessions { total, ..Sessions::default() };
        let count = self.decide_all(&view, keys, self.now);
        (figures.moved_now, figures.waiting, figures.rejected) = (count.moved, count.waiting, count.rejected);
        let now = Bound::of(self);
        let deadline = self.deadline(&view);
        let later = self.decide_all(&view, keys, deadline);
        figures.moved_by_deadline = count.moved + later.moved;
        figures.unavailable = later.unavailable;
        figures.deadline_seconds = deadline.since(self.now).as_secs_f64();
        Lives { now, later: Bound::of(self), figures: figures.with_shares() }
    }

    fn decide_all(&self, view: &View, keys: &Keys, now: Now) -> Count {
        let mut count = Count::default();
        for key in keys.hashes().iter().map(|&key| self.key(key)) {
            match self.decide(view, &key, now) {
                Ok(decision) if decision.reason == Reason::Rebound => {
                    let moved = self.commit(view, &key, &decision, now);
                    *if moved { &mut count.moved } else { &mut count.unavailable } += 1;
                }
                Err(Refusal::Wait { .. }) => count.waiting += 1,
                Err(Refusal::Down) => count.rejected += 1,
                Err(Refusal::NoBackend | Refusal::Full | Refusal::Outdated) => count.unavailable += 1,
                Ok(_) => {}
            }
        }
        count
    }

    /// When the last session of a backend on its way out ends, and the last one stops to wait for one that is down.
    fn deadline(&self, view: &View) -> Now {
        let leaves = view.leaving().iter().map(|leaver| leaver.leave.deadline);
        let waits = self.pool().sessions().and_then(|sessions| match sessions.on_backend_down {
            OnBackendDown::Wait(time) => Some(self.now.after(time)),
            OnBackendDown::Rebind | OnBackendDown::Reject => None,
        });
        let any_down = self.pool().backends.iter().any(|it| it.state.health() == Health::Down);
        leaves.chain(waits.filter(|_| any_down)).fold(self.now, Now::max)
    }
}

/// What a round of decisions came to.
#[derive(Default)]
struct Count {
    moved: u64,
    waiting: u64,
    rejected: u64,
    unavailable: u64,
}

impl Bound {
    fn of(fleet: &Fleet) -> Self {
        let sessions = |owner| fleet.pool().table().map_or(0, |table| table.sessions(owner));
        let each: Vec<u64> =
            fleet.pool().backends.iter().map(|backend| sessions(backend.state.owner())).collect();
        Self { total: each.iter().sum(), each }
    }
}
