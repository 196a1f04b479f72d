//! What another configuration would change: said before it is put in force, and by the same word afterwards.
//! Reads only. Putting it in force is [`super::reload`]'s.

use serde::Serialize;

use crate::backend::{Backend, Health};
use crate::clock::Now;
use crate::config::{self, Config, Drain, Mode, Names, Wanted};
use crate::pool::Pool;
use crate::simulate;
use crate::snapshot::Snapshot;

/// What a configuration changes. Its JSON is part of the admin API's contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// By their addresses.
    pub listeners: Names,
    /// By their names; backends do not count here.
    pub pools: Names,
    /// Backends that come, go or change, in the order of the new file, those that go last.
    pub backends: Vec<BackendChange>,
    /// What becomes of sessions.
    pub sessions: Moves,
    /// Pools in which new keys are placed elsewhere, where keys say where they are placed.
    pub new_keys: Vec<NewKeys>,
    /// Other keys of the file that differ and count at once.
    pub settings: Vec<&'static str>,
    /// Keys that differ from what the process began with, and count from its next start on.
    pub next_start: Vec<&'static str>,
    /// It says what is in force already.
    pub unchanged: bool,
}

/// One backend that comes, goes or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendChange {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub backend: String,
    /// What happens to it.
    pub change: Change,
    /// The keys that differ, where it changes.
    pub fields: Vec<&'static str>,
    /// Sessions bound to it now.
    pub sessions: u64,
}

/// What happens to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added,
    /// It will not be there.
    Removed,
    /// It has other settings.
    Changed,
}

/// How many sessions lose their backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Sessions there are.
    pub total: u64,
    /// Those whose next request goes elsewhere: their backend's address changes, it is put out of service, or their pool
    /// goes or keeps keys in another way.
    #[serde(rename = "move")]
    pub at_once: u64,
    /// Those and the ones that follow until the last drain that this begins is over.
    #[serde(rename = "move_by_deadline")]
    pub by_deadline: u64,
}

/// The share of new keys that one pool places elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewKeys {
    /// The pool.
    pub pool: String,
    /// From 0 to 1, to a hundredth.
    pub moved: f64,
}

/// What runs when a plan is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running<'a> {
    /// What the process began with.
    pub(super) started: &'a Config,
    /// What is in force.
    pub(super) config: &'a Config,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Now,
}

/// One pool that is there now, and what becomes of it.
struct Subject<'a> {
    live: &'a Pool,
    before: &'a config::Pool,
    after: Option<&'a config::Pool>,
}

/// What becomes of the sessions of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stay,
    MoveAtOnce,
    MoveByDeadline,
}

impl Plan {
    /// What `after` would change. O(sample of keys · backends) for each pool that places keys otherwise.
    pub(super) fn of(after: &Config, running: &Running<'_>) -> Self {
        let Running { started, config: before, snapshot, now } = *running;
        let subjects: Vec<_> =
            before.pools.iter().filter_map(|pool| Subject::of(pool, after, snapshot)).collect();
        Self {
            listeners: Names::of_listeners(before, after),
            pools: Names::of_pools(before, after),
            backends: backends(before, after, snapshot),
            sessions: subjects.iter().fold(Moves::default(), Subject::count),
            new_keys: subjects.iter().filter_map(|subject| subject.new_keys(before, now)).collect(),
            settings: config::at_once(before, after),
            next_start: config::at_next_start(started, after),
            unchanged: before == after,
        }
    }
}

impl<'a> Subject<'a> {
    fn of(before: &'a config::Pool, after: &'a Config, snapshot: &'a Snapshot) -> Option<Self> {
        let live = snapshot.pools.iter().find(|pool| *pool.name == *before.name)?;
        Some(Self { live, before, after: pool_of(after, &before.name) })
    }

    /// Adds what becomes of this pool's sessions.
    fn count(sum: Moves, subject: &Self) -> Moves {
        let Some(table) = subject.live.table() else { return sum };
        let of_fate = |wanted: &[Fate]| -> u64 {
            let with = subject.live.backends.iter().filter(|it| wanted.contains(&subject.fate(it)));
            with.map(|backend| table.sessions(backend.state.owner())).sum()
        };
        Moves {
            total: sum.total + table.len() as u64,
            at_once: sum.at_once + of_fate(&[Fate::MoveAtOnce]),
            by_deadline: sum.by_deadline + of_fate(&[Fate::MoveAtOnce, Fate::MoveByDeadline]),
        }
    }

    fn fate(&self, backend: &Backend) -> Fate {
        let Some(after) = self.after.filter(|after| keep_alike(self.before, after)) else {
            return Fate::MoveAtOnce;
        };
        let Some(wanted) = after.backends.iter().find(|it| *it.name == *backend.name) else {
            // One that had gone before goes on as it would have.
            return if backend.state.is_removed() { Fate::Stay } else { within(after.drain) };
        };
        let in_file = backend.state.wish(|wishes| wishes.in_file);
        match wanted.state {
            _ if wanted.address != backend.address => Fate::MoveAtOnce,
            state if state == in_file => Fate::Stay,
            Wanted::Ready => Fate::Stay,
            Wanted::Maint => Fate::MoveAtOnce,
            Wanted::Drain => within(after.drain),
        }
    }

    fn new_keys(&self, around: &Config, now: Now) -> Option<NewKeys> {
        let (before, after) = (self.as_wanted(self.before), self.as_wanted(self.after?));
        if config::places_alike(&before, &after) {
            return None;
        }
        let down = self.live.backends.iter().filter(|backend| backend.state.health() == Health::Down);
        let down: Vec<_> = down.map(|backend| backend.name.to_string()).collect();
        let moved = simulate::moved_share(around, (&before, &after), &down, now)?;
        (moved > 0.0).then(|| NewKeys { pool: self.before.name.clone(), moved })
    }

    /// The pool as it takes new keys: what the API or a backend itself has said since counts, unless the file says
    /// another word now.
    fn as_wanted(&self, pool: &config::Pool) -> config::Pool {
        let mut pool = pool.clone();
        for backend in &mut pool.backends {
            let said = self.before.backends.iter().find(|it| it.name == backend.name);
            let known = self.live.backends.iter().find(|it| *it.name == *backend.name);
            let (Some(said), Some(known)) = (said, known) else { continue };
            if said.state == backend.state {
                backend.state = if known.state.leave().is_some() { Wanted::Drain } else { Wanted::Ready };
            }
        }
        pool
    }
}

/// Whether sessions mean the same in both.
fn keep_alike(before: &config::Pool, after: &config::Pool) -> bool {
    let modes = before.sticky.as_ref().zip(after.sticky.as_ref());
    modes.is_some_and(|(before, after)| {
        matches!(
            (&before.mode, &after.mode),
            (Mode::Table(_), Mode::Table(_)) | (Mode::Cookie(_), Mode::Cookie(_))
        )
    })
}

fn within(drain: Drain) -> Fate {
    if drain.timeout.is_zero() { Fate::MoveAtOnce } else { Fate::MoveByDeadline }
}

fn pool_of<'a>(config: &'a Config, name: &str) -> Option<&'a config::Pool> {
    config.pools.iter().find(|pool| pool.name == name)
}

fn backends(before: &Config, after: &Config, snapshot: &Snapshot) -> Vec<BackendChange> {
    let find = |config: &'_ Config, pool: &str, name: &str| -> Option<config::Backend> {
        pool_of(config, pool)?.backends.iter().find(|backend| backend.name == name).cloned()
    };
    let mut all = Vec::new();
    for (pool, now) in in_pools(after) {
        let (change, fields) = match find(before, pool, &now.name) {
            None => (Change::Added, Vec::new()),
            Some(then) if then != *now => (Change::Changed, config::backend_fields(&then, now)),
            Some(_) => continue,
        };
        all.push(BackendChange::new((pool, &now.name), change, fields, snapshot));
    }
    for (pool, then) in in_pools(before).filter(|(pool, it)| find(after, pool, &it.name).is_none()) {
        all.push(BackendChange::new((pool, &then.name), Change::Removed, Vec::new(), snapshot));
    }
    all
}

fn in_pools(config: &Config) -> impl Iterator<Item = (&str, &config::Backend)> {
    config.pools.iter().flat_map(|pool| pool.backends.iter().map(|backend| (pool.name.as_str(), backend)))
}

impl BackendChange {
    fn new(
        (pool, backend): (&str, &str),
        change: Change,
        fields: Vec<&'static str>,
        snapshot: &Snapshot,
    ) -> Self {
        let live = snapshot.pools.iter().find(|it| *it.name == *pool);
        let known = live.and_then(|live| live.backends.iter().find(|it| *it.name == *backend));
        let table = live.and_then(|live| live.table());
        let sessions = table.zip(known).map_or(0, |(table, known)| table.sessions(known.state.owner()));
        Self { pool: pool.to_owned(), backend: backend.to_owned(), change, fields, sessions }
    }
}
