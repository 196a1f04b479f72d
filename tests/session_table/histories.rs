//! Random histories, told to the table and to its reference.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::task::{Context, Waker};

use homing::affinity::table::{Claim, Lesson, SessionTable};
use homing::clock::Now;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::futures::OwnedNotified;

use crate::reference::{Age, Answer, Reference, Session};
use crate::{OWNERS, START, fingerprint, seconds, table};

#[derive(Debug, Clone)]
enum Op {
    /// A claim for an owner that may not be the key's.
    Claim {
        key: u64,
        owner: u32,
    },
    /// A claim for the owner the key has.
    Visit {
        key: u64,
    },
    /// Returns one of the leases taken, those of former owners included.
    Release {
        lease: Index,
    },
    Learn {
        key: u64,
        owner: u32,
        gone: u32,
    },
    Rebind {
        key: u64,
        owner: u32,
        force: bool,
    },
    /// A rebind by someone who saw an earlier binding.
    RebindLate {
        key: u64,
        owner: u32,
    },
    Remove {
        key: u64,
    },
    Sweep,
    Wait {
        secs: u64,
    },
}

fn op(keys: u64) -> impl Strategy<Value = Op> {
    let (key, owner) = (0..keys, 0..OWNERS);
    let both = (key.clone(), owner.clone());
    prop_oneof![
        6 => both.clone().prop_map(|(key, owner)| Op::Claim { key, owner }),
        8 => key.clone().prop_map(|key| Op::Visit { key }),
        12 => any::<Index>().prop_map(|lease| Op::Release { lease }),
        4 => (both.clone(), owner).prop_map(|((key, owner), gone)| Op::Learn { key, owner, gone }),
        6 => (both.clone(), prop::bool::weighted(0.2))
            .prop_map(|((key, owner), force)| Op::Rebind { key, owner, force }),
        1 => both.prop_map(|(key, owner)| Op::RebindLate { key, owner }),
        1 => key.prop_map(|key| Op::Remove { key }),
        1 => Just(Op::Sweep),
        2 => (0..60_u64).prop_map(|secs| Op::Wait { secs }),
    ]
}

/// The table and its reference, told the same things.
struct World {
    table: SessionTable,
    reference: Reference,
    now: Now,
    leases: Vec<(u64, u64)>,
    waiters: Vec<Waiter>,
    /// The latest epoch of each key, over all its sessions.
    epochs: HashMap<u64, u64>,
    answers: BTreeSet<Answer>,
}

/// Waits until a key has left the owner it had under an epoch.
struct Waiter {
    key: u64,
    epoch: u64,
    arrival: Pin<Box<OwnedNotified>>,
}

impl World {
    fn new(capacity: usize) -> Self {
        Self {
            table: table(capacity),
            reference: Reference { capacity, sessions: BTreeMap::new(), evictions: 0, violations: 0 },
            now: START,
            leases: Vec::new(),
            waiters: Vec::new(),
            epochs: HashMap::new(),
            answers: BTreeSet::new(),
        }
    }

    /// Does one thing on both sides. No two happen in one second, so that there is one longest idle session.
    fn step(&mut self, op: &Op) {
        self.now = self.now.after(seconds(1));
        match *op {
            Op::Claim { key, owner } => self.claim(key, owner),
            Op::Visit { key } => self.claim(key, self.reference.sessions.get(&key).map_or(0, |s| s.owner)),
            Op::Release { lease } => self.release(lease),
            Op::Learn { key, owner, gone } => self.learn(key, owner, gone),
            Op::Rebind { key, owner, force } => self.rebind(key, self.epoch(key), owner, force),
            Op::RebindLate { key, owner } => self.rebind(key, self.epoch(key).wrapping_sub(1), owner, true),
            Op::Remove { key } => {
                self.table.remove(fingerprint(key));
                self.reference.sessions.remove(&key);
            }
            Op::Sweep => {
                self.table.sweep(self.now, usize::MAX);
                self.reference.sweep(self.now);
            }
            Op::Wait { secs } => self.now = self.now.after(seconds(secs)),
        }
        self.check_waiters();
        self.check_totals();
    }

    fn epoch(&self, key: u64) -> u64 {
        self.reference.sessions.get(&key).map_or(7, |session| session.epoch)
    }

    fn claim(&mut self, key: u64, owner: u32) {
        // Each key is placed by its own number, and each session of it by another.
        let placement = key << 32 | u64::from(self.now.secs());
        let claim = self.table.claim(fingerprint(key), placement, owner, self.now);
        let expected = self.reference.claim(key, placement, owner, self.now);
        self.compare(key, claim, expected);
    }

    fn rebind(&mut self, key: u64, epoch: u64, owner: u32, force: bool) {
        let claim = self.table.rebind(fingerprint(key), epoch, owner, self.now, force);
        let expected = self.reference.rebind(key, epoch, owner, self.now, force);
        self.compare(key, claim, expected);
    }

    fn compare(&mut self, key: u64, claim: Claim, expected: Answer) {
        self.answers.insert(expected);
        match (claim, expected) {
            (Claim::Held(binding), Answer::Held(age)) => {
                self.leases.push((key, binding.epoch));
                if age == Age::New {
                    self.begin_epoch(key, binding.epoch);
                }
                assert_eq!(binding, self.reference.sessions[&key].binding());
            }
            (Claim::Moving(arrival), Answer::Moving) => {
                let arrival = Box::pin(arrival.notified_owned());
                self.waiters.push(Waiter { key, epoch: self.epoch(key), arrival });
            }
            (Claim::Changed, Answer::Changed) | (Claim::Full, Answer::Full) => {}
            (claim, expected) => panic!("{claim:?} instead of {expected:?} for key {key}"),
        }
    }

    fn begin_epoch(&mut self, key: u64, epoch: u64) {
        assert!(epoch >= self.now.micros(), "an epoch is the time of binding, or later");
        let before = self.epochs.insert(key, epoch);
        assert!(before.is_none_or(|before| before < epoch), "{epoch} after {before:?}");
        self.reference.sessions.get_mut(&key).unwrap().epoch = epoch;
    }

    fn release(&mut self, lease: Index) {
        if self.leases.is_empty() {
            return;
        }
        let (key, epoch) = self.leases.swap_remove(lease.index(self.leases.len()));
        self.table.release(fingerprint(key), epoch, self.now);
        self.reference.release(key, epoch, self.now);
    }

    fn learn(&mut self, key: u64, owner: u32, gone: u32) {
        let placement = key << 32 | u64::from(self.now.secs());
        let lesson =
            self.table.learn(fingerprint(key), placement, owner, self.now, |held| held.owner == gone);
        let expected = self.reference.learn(key, placement, owner, self.now, gone);
        self.answers.insert(expected);
        match (lesson, expected) {
            (Lesson::Learned, Answer::Learned) => {
                let binding = self.table.peek(fingerprint(key), self.now).unwrap();
                self.begin_epoch(key, binding.epoch);
            }
            (Lesson::Known, Answer::Known)
            | (Lesson::Violation, Answer::Violation)
            | (Lesson::Full, Answer::Full) => {}
            (lesson, expected) => panic!("{lesson:?} instead of {expected:?} for key {key}"),
        }
    }

    fn check_waiters(&mut self) {
        let sessions = &self.reference.sessions;
        self.waiters.retain_mut(|waiter| {
            let woken = waiter.arrival.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            let session = sessions.get(&waiter.key).filter(|session| session.epoch == waiter.epoch);
            assert_eq!(woken, !session.is_some_and(Session::is_leaving), "waiter for key {}", waiter.key);
            !woken
        });
    }

    fn check_totals(&self) {
        let Reference { sessions, evictions, violations, .. } = &self.reference;
        assert_eq!(self.table.len(), sessions.len());
        assert_eq!(self.table.evictions(), *evictions);
        assert_eq!(self.table.violations(), *violations);
        for owner in 0..OWNERS {
            let expected = sessions.values().filter(|session| session.owner == owner).count();
            assert_eq!(self.table.sessions(owner), expected as u64, "sessions of owner {owner}");
        }
    }

    fn check_keys(&self, keys: u64) {
        for key in 0..keys {
            let session = self.reference.sessions.get(&key).filter(|session| !session.has_ended(self.now));
            assert_eq!(
                self.table.peek(fingerprint(key), self.now),
                session.map(Session::binding),
                "key {key}"
            );
        }
    }
}

fn histories(cases: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(histories(192))]

    /// So small that evictions look at all of it: the victim is known.
    #[test]
    fn a_small_table_does_what_the_reference_does(
        capacity in 1..=6_usize,
        ops in prop::collection::vec(op(10), 1..250),
    ) {
        let mut world = World::new(capacity);
        for op in &ops {
            world.step(op);
            world.check_keys(10);
        }
    }
}

proptest! {
    #![proptest_config(histories(12))]

    /// Several shards that grow, shrink and forget, and never lack room.
    #[test]
    fn a_large_table_does_what_the_reference_does(ops in prop::collection::vec(op(400), 1500)) {
        let mut world = World::new(40_000);
        for (op, i) in ops.iter().zip(0..) {
            world.step(op);
            if i % 100 == 0 {
                world.check_keys(400);
            }
        }
        world.check_keys(400);
    }
}

/// Histories that never met a full table or a key on the move would prove little.
#[test]
fn histories_reach_every_answer() {
    let mut world = World::new(4);
    let mut runner = TestRunner::deterministic();
    let ops = prop::collection::vec(op(10), 3000).new_tree(&mut runner).unwrap().current();
    for op in &ops {
        world.step(op);
    }
    let held = [Age::New, Age::Old].map(Answer::Held);
    let others = [Answer::Changed, Answer::Moving, Answer::Full, Answer::Known, Answer::Violation];
    let all = held.into_iter().chain(others).chain([Answer::Learned]);
    assert_eq!(world.answers, all.collect());
    assert!(world.reference.evictions > 10);
}
