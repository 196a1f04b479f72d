//! Balance policies: which of the candidates takes new work. What makes a backend a candidate is the pool's business.

mod first;
mod least;
mod maglev;
mod random;
mod rendezvous;
mod ring_hash;
mod round_robin;
mod table;

use std::cell::Cell;
use std::sync::Arc;

use crate::config::Balance;
use crate::stable_hash;

pub use maglev::{Maglev, SLOTS};
pub use ring_hash::{POINTS_PER_WEIGHT, Ring};
pub use round_robin::RoundRobin;
pub use table::{HashTable, Member};

/// A backend that may take new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Position of the backend in its pool.
    pub backend: u32,
    /// Share of new work, at least 1.
    pub weight: u32,
    /// Hash of the backend's name.
    pub node: u64,
}

/// What a pick may look at beside the candidates.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Placement hash of the session key; only policies that hash look at it.
    pub key: u64,
    /// Backends not to pick, as positions in the pool: they refused, or are full.
    pub skip: &'a [u32],
    /// Requests in flight to a backend, by its position in the pool.
    pub load: &'a dyn Fn(u32) -> u64,
    /// Sessions bound to a backend, over all workers, by its position in the pool.
    pub sessions: &'a dyn Fn(u32) -> u64,
}

/// A balance policy with its state. Not shared between threads: each worker has its own.
#[derive(Debug)]
pub enum Balancer {
    /// Smooth weighted round robin.
    RoundRobin(RoundRobin),
    /// Fewest requests in flight per weight.
    LeastRequest(Draw),
    /// The less busy of two drawn by weight.
    Random(Draw),
    /// Fewest sessions per weight.
    LeastSessions(Draw),
    /// The first in the order of the file.
    First,
    /// Weighted rendezvous hashing.
    Rendezvous,
    /// Hashing by a table of all backends of the pool, candidates or not.
    Table(Arc<HashTable>),
}

/// So many places of an order of preference are drawn as picks would draw them.
const DRAWN: usize = 64;

impl Balancer {
    /// A balancer for `candidates`. Differing `seed`s keep workers from choosing in step.
    ///
    /// `table` is the pool's [`HashTable`]; policies without one ignore it, and those that should have one and do not
    /// place by rendezvous hashing.
    pub fn new(policy: Balance, candidates: &[Candidate], seed: u64, table: Option<Arc<HashTable>>) -> Self {
        match policy {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(candidates, seed)),
            Balance::LeastRequest => Self::LeastRequest(Draw::new(seed)),
            Balance::Random => Self::Random(Draw::new(seed)),
            Balance::LeastSessions => Self::LeastSessions(Draw::new(seed)),
            Balance::First => Self::First,
            Balance::Rendezvous => Self::Rendezvous,
            Balance::RingHash | Balance::Maglev => table.map_or(Self::Rendezvous, Self::Table),
        }
    }

    /// Picks one of `candidates` that is not to be skipped, as its position among them, without allocation.
    ///
    /// `candidates` are those this balancer was made for, in the order of their positions in the pool. O(candidates),
    /// less where the policy says so.
    pub fn pick(&self, candidates: &[Candidate], ask: &Ask<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(state) => state.pick(candidates, ask.skip),
            Self::LeastRequest(draw) => least::pick(candidates, ask, draw, ask.load),
            Self::Random(draw) => random::pick(candidates, ask, draw),
            Self::LeastSessions(draw) => least::pick(candidates, ask, draw, ask.sessions),
            Self::First => first::pick(candidates, ask),
            Self::Rendezvous => rendezvous::pick(candidates, ask.key, |candidate| !ask.skips(candidate)),
            Self::Table(table) => {
                let usable = |backend| find(candidates, backend).is_some() && !ask.skip.contains(&backend);
                find(candidates, table.pick(ask.key, usable)?)
            }
        }
    }

    /// The order in which `candidates` would be picked now if each before were to be skipped too, as positions among
    /// them. Changes nothing: what comes first is what [`Self::pick`] would pick next.
    ///
    /// Policies that draw are followed for 64 places; then the order of the file goes on. O(n log n), for `ring_hash`
    /// O(points).
    pub fn preference(&self, candidates: &[Candidate], ask: &Ask<'_>) -> Vec<usize> {
        let order = match self {
            Self::RoundRobin(state) => state.order(candidates, ask.skip),
            Self::LeastRequest(draw) => drawn(candidates, &Self::LeastRequest(draw.clone()), ask),
            Self::Random(draw) => drawn(candidates, &Self::Random(draw.clone()), ask),
            Self::LeastSessions(draw) => drawn(candidates, &Self::LeastSessions(draw.clone()), ask),
            Self::First => (0..candidates.len()).collect(),
            Self::Rendezvous => rendezvous::ranking(candidates, ask.key),
            Self::Table(table) => {
                table.order(ask.key).into_iter().filter_map(|backend| find(candidates, backend)).collect()
            }
        };
        order.into_iter().filter(|&i| !ask.skips(&candidates[i])).collect()
    }

    /// What the policy compares, for each of `candidates`: the least wins. `None` where nothing is compared.
    ///
    /// `rendezvous`: `-log2(draw) / weight`. `least_request` and `random`: requests in flight per weight.
    /// `least_sessions`: sessions per weight.
    pub fn scores(&self, candidates: &[Candidate], ask: &Ask<'_>) -> Option<Vec<f64>> {
        let per_weight =
            |count: &dyn Fn(u32) -> u64, c: &Candidate| count(c.backend) as f64 / f64::from(c.weight);
        let score: &dyn Fn(&Candidate) -> f64 = match self {
            Self::Rendezvous => &|candidate| rendezvous::cost(candidate, ask.key),
            Self::LeastRequest(_) | Self::Random(_) => &|candidate| per_weight(ask.load, candidate),
            Self::LeastSessions(_) => &|candidate| per_weight(ask.sessions, candidate),
            Self::RoundRobin(_) | Self::First | Self::Table(_) => return None,
        };
        Some(candidates.iter().map(score).collect())
    }
}

/// Where a backend is among the candidates. O(1) where none before it is missing, else O(log n).
fn find(candidates: &[Candidate], backend: u32) -> Option<usize> {
    let guess = backend as usize;
    if candidates.get(guess).is_some_and(|candidate| candidate.backend == backend) {
        return Some(guess);
    }
    candidates.binary_search_by_key(&backend, |candidate| candidate.backend).ok()
}

/// The order of preference of a policy that draws, from a copy of its state.
fn drawn(candidates: &[Candidate], copy: &Balancer, ask: &Ask<'_>) -> Vec<usize> {
    let mut left = candidates.to_vec();
    let next = || Some(left.remove(copy.pick(&left, ask)?));
    let mut order: Vec<Candidate> = std::iter::from_fn(next).take(DRAWN).collect();
    order.append(&mut left);
    order.iter().filter_map(|candidate| find(candidates, candidate.backend)).collect()
}

/// Order of preference for `key` over all candidates, best first, as positions among them. O(n log n).
pub fn ranking(candidates: &[Candidate], key: u64) -> Vec<usize> {
    rendezvous::ranking(candidates, key)
}

/// A stream of pseudo-random numbers (splitmix64), good enough to spread load and repeatable from its seed.
#[derive(Debug, Clone)]
pub struct Draw(Cell<u64>);

impl Draw {
    /// A stream that depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next number, uniform over all of `u64`.
    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        stable_hash::mix(self.0.get())
    }

    /// A number below `bound`, which must not be 0 (Lemire's multiplication; bias below `bound / 2^64`).
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

impl Ask<'_> {
    fn skips(&self, candidate: &Candidate) -> bool {
        !self.skip.is_empty() && self.skip.contains(&candidate.backend)
    }
}

impl From<&Member<'_>> for Candidate {
    fn from(member: &Member<'_>) -> Self {
        let node = stable_hash::hash(member.name.as_bytes());
        Self { backend: member.backend, weight: member.weight, node }
    }
}
