//! What keeps a backend from taking new work although it is available: as many sessions as it may have, more than its
//! share of them, or a start so recent that it takes less.

use std::time::Duration;

use super::view::Chooser;
use super::{Bar, Pool, Refusal, View};
use crate::affinity::SessionTable;
use crate::backend::{Backend, Health};
use crate::balance::{Ask, Candidate};
use crate::clock::Now;
use crate::stable_hash;

/// The bounds of a pool's backends, as they are at the moment of a decision.
pub(super) struct Bounds<'a> {
    pool: &'a Pool,
    view: &'a View,
    /// Where sessions are counted, if the work to be placed is a session.
    table: Option<&'a SessionTable>,
}

/// A backend that has just come up takes at least this share of its share.
const LEAST_RAMP: f64 = 0.05;

impl<'a> Bounds<'a> {
    /// For work that begins a session.
    pub(super) fn of_sessions(pool: &'a Pool, view: &'a View) -> Self {
        let counts = pool.hash_balance_factor > 0 || pool.limits_sessions;
        let table = pool.table().filter(|_| counts).map(|table| &**table);
        Self { pool, view, table }
    }

    /// For single requests.
    pub(super) fn of_requests(pool: &'a Pool, view: &'a View) -> Self {
        Self { pool, view, table: None }
    }

    /// The position in the pool of the backend that takes the work. Bounds that only make things even give way before
    /// nobody takes it; the number of sessions a backend may have does not.
    pub(super) fn pick(&self, chooser: &Chooser, ask: &Ask<'_>, now: Now) -> Result<u32, Refusal> {
        if self.table.is_none() && self.pool.slow_start.is_zero() {
            return chooser.pick(ask).ok_or(Refusal::NoBackend);
        }
        let full = self.full(&chooser.candidates);
        let uneven =
            self.overloaded(&chooser.candidates).chain(self.starting(&chooser.candidates, ask.key, now));
        let skip: Vec<u32> = ask.skip.iter().chain(&full).copied().chain(uneven).collect();
        if let Some(backend) = chooser.pick(&Ask { skip: &skip, ..*ask }) {
            return Ok(backend);
        }
        let skip: Vec<u32> = ask.skip.iter().chain(&full).copied().collect();
        let why = if full.is_empty() { Refusal::NoBackend } else { Refusal::Full };
        chooser.pick(&Ask { skip: &skip, ..*ask }).ok_or(why)
    }

    /// Whom [`Self::pick`] leaves out, and why.
    pub(super) fn bars(&self, candidates: &'a [Candidate], ask: &Ask<'_>, now: Now) -> Vec<(u32, Bar)> {
        let skipped = ask.skip.iter().map(|&backend| (backend, Bar::Busy));
        let mut hard: Vec<_> = skipped.collect();
        hard.extend(self.full(candidates).into_iter().map(|backend| (backend, Bar::Full)));
        let over = self.overloaded(candidates).map(|backend| (backend, Bar::OverShare));
        let starting = self.starting(candidates, ask.key, now).map(|backend| (backend, Bar::Starting));
        let both: Vec<_> = hard.iter().copied().chain(over).chain(starting).collect();
        let is_left = |candidate: &Candidate| both.iter().all(|(backend, _)| *backend != candidate.backend);
        if candidates.iter().any(is_left) { both } else { hard }
    }

    /// Those that have all the sessions they may have.
    fn full(&self, candidates: &[Candidate]) -> Vec<u32> {
        let Some(table) = self.table.filter(|_| self.pool.limits_sessions) else { return Vec::new() };
        let is_full = |backend: &u32| {
            let most = self.pool.backends.get(*backend as usize).map_or(0, |backend| backend.max_sessions);
            most > 0 && table.sessions(self.view.owner(*backend)) >= most
        };
        candidates.iter().map(|candidate| candidate.backend).filter(is_full).collect()
    }

    /// Those that have more than `hash_balance_factor` of their share of the sessions, the new one included
    /// (Mirrokni, Thorup, Zadimoghaddam 2018: consistent hashing with bounded loads).
    fn overloaded(&self, candidates: &'a [Candidate]) -> impl Iterator<Item = u32> {
        let factor = u64::from(self.pool.hash_balance_factor);
        let counted = self.table.filter(|_| factor > 0);
        let sessions = move |candidate: &Candidate| {
            counted.map_or(0, |table| table.sessions(self.view.owner(candidate.backend)))
        };
        let total = candidates.iter().map(sessions).sum::<u64>() + 1;
        let weights: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        let most = move |weight: u32| {
            let share = u128::from(total) * u128::from(factor) * u128::from(weight);
            share.div_ceil(u128::from(weights.max(1)) * 100) as u64
        };
        let over =
            move |candidate: &&Candidate| counted.is_some() && sessions(candidate) >= most(candidate.weight);
        candidates.iter().filter(over).map(|candidate| candidate.backend)
    }

    /// Those that came up so recently that this piece of work is not among their growing share. Hashing the key says
    /// which is, so that the same key is let in by every proxy.
    fn starting(&self, candidates: &'a [Candidate], key: u64, now: Now) -> impl Iterator<Item = u32> {
        let draw = if key == 0 { self.view.draw() ^ stable_hash::mix(now.micros()) } else { key };
        let shut = move |candidate: &&Candidate| {
            let ramp = ramp(self.view.since(candidate.backend), self.pool.slow_start, now);
            ramp.is_some_and(|ramp| stable_hash::share(draw ^ candidate.node.rotate_left(32)) >= ramp)
        };
        candidates.iter().filter(shut).map(|candidate| candidate.backend)
    }
}

impl Pool {
    /// The part of its share of new work that a backend takes since it has just come up; none where it takes all of it, or
    /// nothing.
    pub fn slow_start_of(&self, backend: &Backend, now: Now) -> Option<f64> {
        let takes = matches!(backend.state.health(), Health::Up | Health::Suspect);
        ramp(backend.state.since(), self.slow_start, now).filter(|_| takes)
    }
}

/// The part of its share that a backend takes that came up at `since`; `None` when it takes all of it.
fn ramp(since: Now, duration: Duration, now: Now) -> Option<f64> {
    let up = now.since(since);
    (up < duration).then(|| (up.as_secs_f64() / duration.as_secs_f64()).max(LEAST_RAMP))
}

impl Chooser {
    fn pick(&self, ask: &Ask<'_>) -> Option<u32> {
        let pick = || {
            let picked = self.balancer.pick(&self.candidates, ask)?;
            self.candidates.get(picked).map(|candidate| candidate.backend)
        };
        match &self.memo {
            // Where a key goes with a backend left out is true of one request only.
            Some(memo) if ask.skip.is_empty() => memo.recall(ask.key, pick),
            _ => pick(),
        }
    }
}
