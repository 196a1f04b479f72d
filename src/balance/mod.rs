//! Balance policies: which of the candidates takes new work. What makes a backend a candidate is the pool's business.

mod least_request;
mod random;
mod rendezvous;
mod round_robin;

use std::cell::Cell;
use std::cmp::Ordering;

use crate::config::Balance;
use crate::stable_hash;

pub use round_robin::RoundRobin;

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
    /// Placement hash of the session key; [`Balancer::Rendezvous`] places requests without one by 0.
    pub key: u64,
    /// Backends not to pick, as positions in the pool.
    pub tried: &'a [u32],
    /// Requests in flight to a backend, by its position in the pool.
    pub load: &'a dyn Fn(u32) -> u64,
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
    /// Weighted rendezvous hashing.
    Rendezvous,
}

impl Balancer {
    /// A balancer for `candidates`. Differing `seed`s keep workers from choosing in step.
    pub fn new(policy: Balance, candidates: &[Candidate], seed: u64) -> Self {
        match policy {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(candidates, seed)),
            Balance::LeastRequest => Self::LeastRequest(Draw::new(seed)),
            Balance::Random => Self::Random(Draw::new(seed)),
            Balance::Rendezvous => Self::Rendezvous,
        }
    }

    /// Picks one of `candidates` that was not tried, as its position among them. O(candidates), without allocation.
    ///
    /// `candidates` are those this balancer was made for.
    pub fn pick(&self, candidates: &[Candidate], ask: &Ask<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(state) => state.pick(candidates, ask.tried),
            Self::LeastRequest(draw) => least_request::pick(candidates, ask, draw),
            Self::Random(draw) => random::pick(candidates, ask, draw),
            Self::Rendezvous => rendezvous::pick(candidates, ask.key, ask.tried),
        }
    }
}

/// Order of preference for `key` over all candidates, best first, as positions among them. O(n log n).
pub fn ranking(candidates: &[Candidate], key: u64) -> Vec<usize> {
    rendezvous::ranking(candidates, key)
}

/// A stream of pseudo-random numbers (splitmix64), good enough to spread load and repeatable from its seed.
#[derive(Debug)]
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
    fn tried(&self, candidate: &Candidate) -> bool {
        self.tried.contains(&candidate.backend)
    }

    /// Orders by requests in flight per weight, the less busy first.
    fn by_load(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let scaled =
            |this: &Candidate, other: &Candidate| (self.load)(this.backend) * u64::from(other.weight);
        scaled(a, b).cmp(&scaled(b, a))
    }
}
