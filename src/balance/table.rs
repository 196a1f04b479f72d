//! Placement tables: built once for a configuration, shared by all workers, and independent of health.

use std::collections::BTreeSet;

use super::{Maglev, Ring};
use crate::config::Balance;

/// A backend as placement tables know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Position of the backend in its pool.
    pub backend: u32,
    /// Share of new work; without one the backend has no place in the table.
    pub weight: u32,
    /// Its name, unique in the pool.
    pub name: &'a str,
}

/// A placement table that depends on membership and weights only, never on health.
#[derive(Debug)]
pub enum HashTable {
    /// Of `ring_hash`.
    Ring(Ring),
    /// Of `maglev`.
    Maglev(Maglev),
}

impl HashTable {
    /// The table of `policy`; `None` for policies without one. Expensive: milliseconds for a hundred thousand points.
    pub fn new(policy: Balance, members: &[Member<'_>]) -> Option<Self> {
        match policy {
            Balance::RingHash => Some(Self::Ring(Ring::new(members))),
            Balance::Maglev => Some(Self::Maglev(Maglev::new(members))),
            Balance::RoundRobin
            | Balance::LeastRequest
            | Balance::Random
            | Balance::LeastSessions
            | Balance::First
            | Balance::Rendezvous => None,
        }
    }

    /// The backend of `key` among those that are usable, as its position in the pool.
    ///
    /// For each key there is one order of all backends, and the first usable is picked: so one that becomes unusable
    /// moves its own keys only.
    pub fn pick(&self, key: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::Ring(ring) => ring.pick(key, usable),
            Self::Maglev(maglev) => maglev.pick(key, usable),
        }
    }

    /// That order, best first, as positions in the pool.
    pub fn order(&self, key: u64) -> Vec<u32> {
        match self {
            Self::Ring(ring) => ring.order(key),
            Self::Maglev(maglev) => maglev.order(key),
        }
    }

    /// Memory taken, in octets.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.bytes(),
            Self::Maglev(maglev) => maglev.bytes(),
        }
    }
}

/// The first appearance of each of `count` different numbers.
pub(super) fn distinct(numbers: impl Iterator<Item = u32>, count: usize) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    numbers.filter(|&number| seen.insert(number)).take(count).collect()
}
