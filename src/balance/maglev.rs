//! Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): a key falls into one of 65,537 slots, and each slot has an owner.
//!
//! Contract, version 1. Slot of a hash: `hash * slots / 2^64`. A backend prefers the slots `(offset + i * skip) mod
//! slots`, with `offset = hash(name) mod slots` and `skip = mix(hash(name)) mod (slots - 1) + 1`. Backends, in order of
//! their names, take turns until no slot is free; in each a backend takes the next slot of its preference that is free.
//! Those with weight `w` have their turns at the times `1/2w`, `3/2w`, `5/2w` and so on, in order of names where times
//! are equal. With equal weights these are the rounds of the paper. A backend has its share of slots, rounded; less than
//! half a slot, which is one key of 131,074, is none.
//!
//! Turns are as frequent as in Envoy, which counts rounds of the largest weight. Here no backend's times depend on the
//! weight of another, so that a new largest weight does not put the turns of all in another order: where one of 1,000
//! is raised above all, 6 times the slots change that must, not 14 times.
//!
//! A key whose owner cannot be used is thrown again, to the slot of `mix(key ^ attempt)` for the attempts 1 to 16; after
//! that the order of rendezvous hashing decides. This order does not depend on who is usable: keys of backends that are
//! never move when the health of others changes, and those of a lost backend spread over all. The table is built from
//! names and weights alone. A rebuilt one moves a few keys beside those it must: of 100 backends that lose one, about
//! half as many again; of 1,000, six times as many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{Candidate, Member, rendezvous};
use crate::stable_hash::{combine, mix};

/// Slots of a table. A prime, so that every `skip` reaches every slot.
pub const SLOTS: u32 = 65_537;

/// How often a key is thrown again. With half of all backends down, one key of 100,000 needs more.
const ATTEMPTS: u64 = 16;

/// A table of slots. Immutable.
#[derive(Debug)]
pub struct Maglev {
    /// Owners, as positions in the pool; empty without members.
    slots: Box<[u32]>,
    /// In order of names.
    members: Box<[Candidate]>,
}

impl Maglev {
    /// A table of [`SLOTS`] slots for `members`. O(slots log members).
    pub fn new(members: &[Member<'_>]) -> Self {
        Self::with_slots(members, SLOTS)
    }

    /// A table whose slots are the next prime from `least` up.
    pub fn with_slots(members: &[Member<'_>], least: u32) -> Self {
        let mut members: Vec<_> = members.iter().filter(|member| member.weight > 0).collect();
        members.sort_unstable_by_key(|member| member.name);
        let members: Box<[Candidate]> = members.into_iter().map(Candidate::from).collect();
        Self { slots: fill(&members, next_prime(least)), members }
    }

    /// The usable backend that `key` falls to, as its position in the pool.
    ///
    /// O(1) where one of the throws hits a usable backend, else O(members).
    pub fn pick(&self, key: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        self.throws(key).find(|&backend| usable(backend)).or_else(|| {
            let left = rendezvous::pick(&self.members, key, |member| usable(member.backend))?;
            Some(self.members[left].backend)
        })
    }

    /// All backends in the order in which `key` would fall to them. O(members log members).
    pub fn order(&self, key: u64) -> Vec<u32> {
        let rest = rendezvous::ranking(&self.members, key).into_iter().map(|i| self.members[i].backend);
        super::table::distinct(self.throws(key).chain(rest), self.members.len())
    }

    /// Memory taken, in octets.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.members)
    }

    /// The owners of the slots that `key` is thrown to.
    fn throws(&self, key: u64) -> impl Iterator<Item = u32> {
        let again = (1..=ATTEMPTS).map(move |attempt| combine(key, attempt));
        std::iter::once(key).chain(again).filter_map(|hash| self.slots.get(self.slot(hash)).copied())
    }

    fn slot(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }
}

/// The turn of a member at the time `number / 2 weight`, and the slot it looks at first.
struct Turn {
    member: usize,
    number: u64,
    weight: u64,
    at: u64,
    skip: u64,
}

impl Turn {
    fn first(member: usize, candidate: &Candidate, slots: u64) -> Self {
        let Candidate { node, weight, .. } = *candidate;
        Self { member, number: 1, weight: weight.into(), at: node % slots, skip: mix(node) % (slots - 1) + 1 }
    }

    fn step(&mut self, slots: u64) {
        self.at = (self.at + self.skip) % slots;
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.number * other.weight, other.number * self.weight);
        ours.cmp(&theirs).then(self.member.cmp(&other.member))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

fn fill(members: &[Candidate], slots: u32) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    let mut turns: BinaryHeap<_> =
        members.iter().enumerate().map(|(i, member)| Reverse(Turn::first(i, member, slots.into()))).collect();
    if turns.is_empty() {
        return Box::default();
    }
    let mut owners = vec![FREE; slots as usize];
    for _ in 0..slots {
        let Some(mut first) = turns.peek_mut() else { break };
        let Reverse(turn) = &mut *first;
        while owners[turn.at as usize] != FREE {
            turn.step(slots.into());
        }
        owners[turn.at as usize] = members[turn.member].backend;
        turn.number += 2; // The heap puts it in its new place when `first` is dropped.
    }
    owners.into()
}

fn next_prime(least: u32) -> u32 {
    let is_prime = |n: &u32| (2..=n.isqrt()).all(|divisor| !n.is_multiple_of(divisor));
    (least.max(2)..u32::MAX).find(is_prime).unwrap_or(SLOTS)
}
