//! A hash ring (Karger et al. 1997; as in ketama): a key belongs to the backend of the first point at or after it.
//!
//! Contract, version 1: point `n` of a backend (from 0) lies at `mix(mix(n) ^ hash(name))`, and a backend of weight `w`
//! has the points 0 to `160 w - 1`. A key lies at its placement hash. After the last point the ring begins anew; of two
//! points in one place the smaller name comes first.
//!
//! So a point depends on one name and one number. Rings of a total size, shared out among the backends, fall into a
//! trap here: a backend that leaves changes how many points all others have, and moves keys among those that stayed
//! (of ten backends, the one that leaves takes 7 % of the others' keys along).
//!
//! Shares are as even as points are many: with 160 points the share of a backend has a standard deviation of 8 %. The
//! keys of a backend that is skipped go to its neighbours on the ring, not to all alike.

use super::Member;
use crate::config::Balance;
use crate::stable_hash::{combine, hash, mix};

/// Points of a backend for each unit of its weight.
pub const POINTS_PER_WEIGHT: u32 = 160;

/// Most points of a pool: 64 MiB of ring. The configuration is refused beyond.
const MOST_POINTS: u64 = 1 << 22;

const _: () = assert!(Balance::MOST_RING_WEIGHT * POINTS_PER_WEIGHT as u64 <= MOST_POINTS);

/// A ring of points. Immutable.
#[derive(Debug)]
pub struct Ring {
    /// Where the points lie, in order.
    hashes: Box<[u64]>,
    /// Whose they are.
    owners: Box<[u32]>,
    /// For each of `2^n` equal parts of the ring, the first point at or after its beginning.
    index: Box<[u32]>,
    /// A hash shifted by so much is a position in `index`.
    shift: u32,
    /// Every backend once.
    backends: Box<[u32]>,
}

impl Ring {
    /// A ring of `members`, [`POINTS_PER_WEIGHT`] points for each unit of weight. O(points log points).
    ///
    /// Weights that sum to more than [`Balance::MOST_RING_WEIGHT`] are the caller's to refuse.
    pub fn new(members: &[Member<'_>]) -> Self {
        Self::with_points(members, POINTS_PER_WEIGHT)
    }

    /// A ring with so many points for each unit of weight.
    pub fn with_points(members: &[Member<'_>], per_weight: u32) -> Self {
        let mut members: Vec<_> = members.iter().filter(|member| member.weight > 0).collect();
        members.sort_unstable_by_key(|member| member.name);
        let mut points: Vec<(u64, usize)> = Vec::new();
        for (rank, member) in members.iter().enumerate() {
            let node = hash(member.name.as_bytes());
            let numbers = 0..u64::from(member.weight) * u64::from(per_weight);
            points.extend(numbers.map(|n| (combine(mix(n), node), rank)));
        }
        points.sort_unstable();
        let parts = points.len().next_power_of_two().max(2);
        let shift = 64 - parts.trailing_zeros();
        Self {
            index: index(&points, parts, shift),
            shift,
            hashes: points.iter().map(|&(hash, _)| hash).collect(),
            owners: points.iter().map(|&(_, rank)| members[rank].backend).collect(),
            backends: members.iter().map(|member| member.backend).collect(),
        }
    }

    /// The first usable backend at or after `key`, as its position in the pool.
    ///
    /// O(1) where the first is usable; else the walk passes about `weight of all / weight of the usable` points.
    pub fn pick(&self, key: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        let mut walk = self.walk(key);
        let first = walk.next()?;
        if usable(first) {
            return Some(first);
        }
        // There are far fewer backends than points: do not walk all the way round for nothing.
        self.backends.iter().any(|&backend| usable(backend)).then(|| walk.find(|&backend| usable(backend)))?
    }

    /// All backends in the order in which the walk from `key` meets them. O(points) at most.
    pub fn order(&self, key: u64) -> Vec<u32> {
        super::table::distinct(self.walk(key), self.backends.len())
    }

    /// Memory taken, in octets.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.hashes)
            + size_of_val(&*self.owners)
            + size_of_val(&*self.index)
            + size_of_val(&*self.backends)
    }

    /// The owners of all points, from `key` on.
    fn walk(&self, key: u64) -> impl Iterator<Item = u32> {
        let start = self.index[(key >> self.shift) as usize] as usize;
        let first = start + self.hashes[start..].iter().take_while(|&&hash| hash < key).count();
        let (before, after) = self.owners.split_at(first);
        after.iter().chain(before).copied()
    }
}

fn index(points: &[(u64, usize)], parts: usize, shift: u32) -> Box<[u32]> {
    let mut next = 0;
    let first_of = |part: usize| {
        next += points[next..].iter().take_while(|&&(hash, _)| ((hash >> shift) as usize) < part).count();
        next as u32
    };
    (0..parts).map(first_of).collect()
}
