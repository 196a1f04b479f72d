//! The figures of a simulation. Their JSON is part of the command's contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Bound, Fleet, Keys, Lives, NOWHERE, Plan};
use crate::affinity::SessionTable;
use crate::config::Balance;

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The pool.
    pub pool: String,
    /// How it keeps keys: `hash`, `cookie` or `table`.
    pub mode: String,
    /// Its policy before.
    pub balance_before: String,
    /// Its policy after.
    pub balance_after: String,
    /// The changes, in words and in order.
    pub changes: Vec<String>,
    /// The keys it was tried with.
    pub keys: KeyFigures,
    /// What becomes of sessions; none where the pool does not remember them.
    pub sessions: Option<Sessions>,
    /// What becomes of keys without a session.
    pub placement: Placement,
    /// How evenly new keys are spread before.
    pub spread_before: Spread,
    /// The same after.
    pub spread_after: Spread,
    /// Each backend before or after, in the order of the file, those added last.
    pub backends: Vec<BackendFigures>,
    /// The session table with all sessions in it; none where there is none.
    pub table: Option<TableFigures>,
}

/// Where keys came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyFigures {
    /// Different keys.
    pub distinct: u64,
    /// Lines read for them; none if they were counted up.
    pub lines: Option<u64>,
    /// Lines without a key.
    pub without_key: u64,
}

/// What becomes of sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sessions {
    /// Sessions before the change: fewer than keys where the table, or the backends, have no room for more.
    pub total: u64,
    /// Those that get another backend at their next request.
    pub moved_now: u64,
    /// `moved_now` in `total`.
    pub moved_now_share: f64,
    /// Those that have another backend when the last one has left the backends that drain or were removed.
    pub moved_by_deadline: u64,
    /// `moved_by_deadline` in `total`.
    pub moved_by_deadline_share: f64,
    /// From the change to that moment.
    pub deadline_seconds: f64,
    /// Those that wait now for their backend to come back, as `on_backend_down = "wait"` says.
    pub waiting: u64,
    /// Those that are refused, as `on_backend_down = "reject"` says.
    pub rejected: u64,
    /// Those that find no backend, neither now nor at the deadline.
    pub unavailable: u64,
}

/// What becomes of keys without a session: all of them in `hash` mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placement {
    /// Keys that are placed elsewhere than before; none where the key does not say where it is placed.
    pub moved: Option<u64>,
    /// `moved` in all keys.
    pub moved_share: Option<f64>,
    /// The share that has to move so that backends have their weights' shares before and after: half the sum of the
    /// differences of shares.
    pub minimum_share: f64,
    /// `moved_share` by `minimum_share`: 1 is perfect. None where nothing has to move.
    pub moved_to_minimum: Option<f64>,
    /// Keys without a backend before.
    pub unplaced_before: u64,
    /// Keys without a backend after.
    pub unplaced_after: u64,
}

/// How evenly keys are spread over the backends that take them, by keys per weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Backends that take new keys.
    pub backends: u64,
    /// The fullest by the mean; none without backends.
    pub peak_to_mean: Option<f64>,
    /// Coefficient of variation: standard deviation by mean; none without backends.
    pub variation: Option<f64>,
}

/// One backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BackendFigures {
    /// Its name.
    pub name: String,
    /// Its weight for new keys before; 0 where it takes none.
    pub weight_before: u32,
    /// The same after.
    pub weight_after: u32,
    /// New keys that it gets before.
    pub keys_before: u64,
    /// The same after.
    pub keys_after: u64,
    /// Its sessions before.
    pub sessions_before: u64,
    /// Its sessions once those have moved that move now.
    pub sessions_now: u64,
    /// Its sessions by the deadline.
    pub sessions_by_deadline: u64,
}

/// A session table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableFigures {
    /// Sessions in it.
    pub sessions: u64,
    /// Sessions it may have.
    pub capacity: u64,
    /// Octets allocated.
    pub bytes: u64,
    /// Octets for each session; none without sessions.
    pub bytes_per_session: Option<f64>,
}

impl Sessions {
    pub(super) fn with_shares(self) -> Self {
        let share = |part| share(part, self.total);
        Self {
            moved_now_share: share(self.moved_now),
            moved_by_deadline_share: share(self.moved_by_deadline),
            ..self
        }
    }
}

impl TableFigures {
    pub(super) fn of(table: &SessionTable) -> Self {
        let (sessions, bytes) = (table.len() as u64, table.allocated_bytes() as u64);
        let bytes_per_session = (sessions > 0).then(|| bytes as f64 / sessions as f64);
        Self { sessions, capacity: table.capacity() as u64, bytes, bytes_per_session }
    }
}

/// What is known when the last generation has been asked.
pub(super) struct Tally {
    /// Names before, by position.
    pub(super) known: Vec<Arc<str>>,
    /// Where each key was, by position.
    pub(super) homes: Vec<u32>,
    pub(super) shares: Shares,
    pub(super) bound: Bound,
    /// Names in the generation that took over the sessions.
    pub(super) then_names: Vec<Arc<str>>,
    pub(super) lives: Option<Lives>,
    pub(super) table: Option<TableFigures>,
    pub(super) balance: Balance,
}

/// Weights of those that take new keys.
type Shares = Vec<(Arc<str>, u32)>;

impl Tally {
    pub(super) fn report(self, plan: &Plan<'_>, keys: &Keys, after: &Fleet, new_homes: &[u32]) -> Report {
        let (pool, names, shares) = (after.pool(), after.names(), after.shares());
        let mut figures = Figures::default();
        figures.count(&self.known, &self.homes, |figures| &mut figures.keys_before);
        figures.count(&names, new_homes, |figures| &mut figures.keys_after);
        figures.add(&self.known, &self.bound.each, |figures| &mut figures.sessions_before);
        if let Some(Lives { now, later, .. }) = &self.lives {
            figures.add(&self.then_names, &now.each, |figures| &mut figures.sessions_now);
            figures.add(&self.then_names, &later.each, |figures| &mut figures.sessions_by_deadline);
        }
        for (name, weight) in &self.shares {
            figures.of(name).weight_before = *weight;
        }
        for (name, weight) in &shares {
            figures.of(name).weight_after = *weight;
        }
        let placement = self.placement(pool.balance, (&names, new_homes), &shares);
        Report {
            pool: pool.name.to_string(),
            mode: pool.mode().to_owned(),
            balance_before: self.balance.to_string(),
            balance_after: pool.balance.to_string(),
            changes: plan.changes.iter().map(ToString::to_string).collect(),
            keys: KeyFigures {
                distinct: keys.hashes().len() as u64,
                lines: keys.lines,
                without_key: keys.without_key,
            },
            sessions: self.lives.map(|lives| lives.figures),
            placement,
            spread_before: figures.spread(|figures| (figures.keys_before, figures.weight_before)),
            spread_after: figures.spread(|figures| (figures.keys_after, figures.weight_after)),
            backends: figures.rows,
            table: self.table,
        }
    }

    fn placement(
        &self,
        policy: Balance,
        (names, homes): (&[Arc<str>], &[u32]),
        shares: &Shares,
    ) -> Placement {
        let hashes = self.balance.hashes() && policy.hashes();
        let moved = hashes.then(|| moved((&self.known, &self.homes), (names, homes)));
        let total = homes.len() as u64;
        let moved_share = moved.map(|moved| share(moved, total));
        let minimum_share = minimum(&self.shares, shares);
        let ratio = |moved: f64| (minimum_share > 0.0).then(|| moved / minimum_share);
        let unplaced = |homes: &[u32]| homes.iter().filter(|&&home| home == NOWHERE).count() as u64;
        Placement {
            moved,
            moved_share,
            minimum_share,
            moved_to_minimum: moved_share.and_then(ratio),
            unplaced_before: unplaced(&self.homes),
            unplaced_after: unplaced(homes),
        }
    }
}

/// How many keys have another home than before; both are names of backends, and for each key a position among them.
pub(super) fn moved((known, before): (&[Arc<str>], &[u32]), (names, after): (&[Arc<str>], &[u32])) -> u64 {
    // By position, which is quicker than by name: where the backends before are now.
    let place = |known: &Arc<str>| names.iter().position(|name| name == known);
    let now: Vec<u32> = known.iter().map(|known| place(known).map_or(NOWHERE - 1, |at| at as u32)).collect();
    let is_elsewhere = |(before, after): &(&u32, &u32)| match now.get(**before as usize) {
        Some(now) => now != *after,
        None => names.get(**after as usize).is_some(),
    };
    before.iter().zip(after).filter(is_elsewhere).count() as u64
}

/// The backends in the order in which they were first heard of.
#[derive(Default)]
struct Figures {
    rows: Vec<BackendFigures>,
    places: BTreeMap<Arc<str>, usize>,
}

impl Figures {
    fn of(&mut self, name: &Arc<str>) -> &mut BackendFigures {
        let at = *self.places.entry(name.clone()).or_insert_with(|| {
            self.rows.push(BackendFigures { name: name.to_string(), ..BackendFigures::default() });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn add(&mut self, names: &[Arc<str>], counts: &[u64], field: impl Fn(&mut BackendFigures) -> &mut u64) {
        for (name, count) in names.iter().zip(counts) {
            *field(self.of(name)) += count;
        }
    }

    fn count(&mut self, names: &[Arc<str>], homes: &[u32], field: impl Fn(&mut BackendFigures) -> &mut u64) {
        let mut counts = vec![0; names.len()];
        for &home in homes {
            if let Some(count) = counts.get_mut(home as usize) {
                *count += 1;
            }
        }
        self.add(names, &counts, field);
    }

    fn spread(&self, of: impl Fn(&BackendFigures) -> (u64, u32)) -> Spread {
        let taking: Vec<(f64, f64)> = self
            .rows
            .iter()
            .map(of)
            .filter(|(_, weight)| *weight > 0)
            .map(|(keys, weight)| (keys as f64, f64::from(weight)))
            .collect();
        let loads: Vec<f64> = taking.iter().map(|(keys, weight)| keys / weight).collect();
        let sum = |part: fn(&(f64, f64)) -> f64| taking.iter().map(part).sum::<f64>();
        // The mean of a unit of weight, not of a backend: a heavy one counts for as many as it weighs.
        let mean = sum(|(keys, _)| *keys) / sum(|(_, weight)| *weight);
        let known = mean > 0.0;
        let squares = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>();
        Spread {
            backends: loads.len() as u64,
            peak_to_mean: known.then(|| loads.iter().copied().fold(0.0, f64::max) / mean),
            variation: known.then(|| (squares / loads.len() as f64).sqrt() / mean),
        }
    }
}

/// Half the L1 distance between two distributions by weight.
fn minimum(before: &Shares, after: &Shares) -> f64 {
    let of = |shares: &Shares, sign: f64| -> Vec<(Arc<str>, f64)> {
        let total: f64 = shares.iter().map(|(_, weight)| f64::from(*weight)).sum();
        shares.iter().map(|(name, weight)| (name.clone(), sign * f64::from(*weight) / total)).collect()
    };
    let mut differences: BTreeMap<Arc<str>, f64> = BTreeMap::new();
    for (name, share) in of(before, -1.0).into_iter().chain(of(after, 1.0)) {
        *differences.entry(name).or_default() += share;
    }
    // What is not exactly 0 only by rounding is 0.
    let distance = differences.values().map(|difference| difference.abs()).filter(|it| *it > 1e-12);
    distance.fold(0.0, |sum, difference| sum + difference) / 2.0
}

fn share(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}
