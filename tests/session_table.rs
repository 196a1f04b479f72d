//! The session table against a reference that is too simple to be wrong, under random histories and under threads.
//!
//! The reference predicts every answer, the victim of every eviction, all live counts and who is woken. A history that
//! fails is shrunk and printed as a list of operations; `PROPTEST_CASES` runs more of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use homing::affinity::table::{Binding, Claim, Fingerprint, Lesson, SessionTable, Settings};
use homing::balance::Draw;
use homing::clock::Now;
use homing::stable_hash;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::futures::OwnedNotified;

const IDLE_SECS: u32 = 40;
const OWNERS: u32 = 3;
const START: Now = Now(1_800_000_000_000_000);

fn table(capacity: usize) -> SessionTable {
    let idle_timeout = Duration::from_secs(IDLE_SECS.into());
    let table = SessionTable::new(Settings { capacity, idle_timeout }, 0x5eed);
    (0..OWNERS).for_each(|number| assert_eq!(table.new_owner(), number));
    table
}

fn fingerprint(key: u64) -> Fingerprint {
    Fingerprint(stable_hash::mix(key))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

// === The reference ===

#[derive(Debug, Clone)]
struct Session {
    owner: u32,
    epoch: u64,
    placement: u64,
    last_seen: u32,
    live: u32,
    seen_again: bool,
    moving: bool,
}

/// What an operation says, without what depends on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Held(Age),
    Changed,
    Moving,
    Full,
    Learned(Age),
    Known,
    Violation,
}

/// Whether a binding has a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    New,
    Old,
}

#[derive(Debug)]
struct Reference {
    capacity: usize,
    /// Those whose end has not been noticed included.
    sessions: BTreeMap<u64, Session>,
    evictions: u64,
    violations: u64,
}

impl Reference {
    fn session(&mut self, key: u64, now: Now) -> Option<&mut Session> {
        self.sessions.get_mut(&key).filter(|session| !session.has_ended(now))
    }

    fn claim(&mut self, key: u64, placement: u64, owner: u32, now: Now) -> Answer {
        let Some(session) = self.session(key, now) else {
            let session = Session::new(placement, owner, now, 1);
            return if self.insert(key, session) { Answer::Held(Age::New) } else { Answer::Full };
        };
        if session.owner != owner {
            return Answer::Changed;
        }
        if session.is_leaving() {
            return Answer::Moving;
        }
        session.moving = false;
        session.live += 1;
        session.touch(now);
        Answer::Held(Age::Old)
    }

    fn release(&mut self, key: u64, epoch: u64, now: Now) {
        if let Some(session) = self.sessions.get_mut(&key).filter(|session| session.epoch == epoch) {
            session.live -= 1;
            session.last_seen = now.secs();
        }
    }

    fn learn(&mut self, key: u64, placement: u64, owner: u32, now: Now, gone: u32) -> Answer {
        let Some(session) = self.session(key, now) else {
            let session = Session::new(placement, owner, now, 0);
            return if self.insert(key, session) { Answer::Learned(Age::New) } else { Answer::Full };
        };
        if session.owner == owner {
            session.touch(now);
            return Answer::Known;
        }
        if session.live == 0 && session.owner == gone {
            session.give(owner, now, 0);
            return Answer::Learned(Age::New);
        }
        self.violations += 1;
        Answer::Violation
    }

    fn rebind(&mut self, key: u64, epoch: u64, owner: u32, now: Now, force: bool) -> Answer {
        let Some(session) = self.session(key, now).filter(|session| session.epoch == epoch) else {
            return Answer::Changed;
        };
        if session.live > 0 && !force {
            session.moving = true;
            return Answer::Moving;
        }
        session.give(owner, now, 1);
        Answer::Held(Age::New)
    }

    fn insert(&mut self, key: u64, session: Session) -> bool {
        if !self.sessions.contains_key(&key) && self.sessions.len() >= self.capacity {
            let idle = self.sessions.iter().filter(|(_, session)| session.live == 0);
            let Some((&victim, _)) = idle.min_by_key(|(_, session)| (session.seen_again, session.last_seen)) else {
                return false;
            };
            self.sessions.remove(&victim);
            self.evictions += 1;
        }
        self.sessions.insert(key, session);
        true
    }

    fn sweep(&mut self, now: Now) {
        self.sessions.retain(|_, session| !session.has_ended(now));
    }
}

impl Session {
    fn new(placement: u64, owner: u32, now: Now, live: u32) -> Self {
        Self { owner, epoch: 0, placement, last_seen: now.secs(), live, seen_again: false, moving: false }
    }

    fn touch(&mut self, now: Now) {
        self.last_seen = now.secs();
        self.seen_again = true;
    }

    fn give(&mut self, owner: u32, now: Now, live: u32) {
        *self = Self { owner, live, moving: false, ..self.clone() };
        self.touch(now);
    }

    fn has_ended(&self, now: Now) -> bool {
        self.live == 0 && now.secs() - self.last_seen >= IDLE_SECS
    }

    fn is_leaving(&self) -> bool {
        self.moving && self.live > 0
    }

    fn binding(&self) -> Binding {
        Binding { owner: self.owner, epoch: self.epoch, placement: self.placement, live: self.live }
    }
}

// === Histories ===

#[derive(Debug, Clone)]
enum Op {
    /// A claim for an owner that may not be the key's.
    Claim { key: u64, owner: u32 },
    /// A claim for the owner the key has.
    Visit { key: u64 },
    /// Returns one of the leases taken, those of former owners included.
    Release { lease: Index },
    Learn { key: u64, owner: u32, gone: u32 },
    Rebind { key: u64, owner: u32, force: bool },
    /// A rebind by someone who saw an earlier binding.
    RebindLate { key: u64, owner: u32 },
    Remove { key: u64 },
    Sweep,
    Wait { secs: u64 },
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
        let lesson = self.table.learn(fingerprint(key), placement, owner, self.now, |owner| owner == gone);
        let expected = self.reference.learn(key, placement, owner, self.now, gone);
        self.answers.insert(expected);
        match (lesson, expected) {
            (Lesson::Learned, Answer::Learned(_)) => {
                let binding = self.table.peek(fingerprint(key), self.now).unwrap();
                self.begin_epoch(key, binding.epoch);
            }
            (Lesson::Known, Answer::Known) | (Lesson::Violation, Answer::Violation) => {}
            (Lesson::Full, Answer::Full) => {}
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
            assert_eq!(self.table.peek(fingerprint(key), self.now), session.map(Session::binding), "key {key}");
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
    ops.iter().for_each(|op| world.step(op));
    let held = [Age::New, Age::Old].map(Answer::Held);
    let others = [Answer::Changed, Answer::Moving, Answer::Full, Answer::Known, Answer::Violation];
    let all = held.into_iter().chain(others).chain([Answer::Learned(Age::New)]);
    assert_eq!(world.answers, all.collect());
    assert!(world.reference.evictions > 10);
}

// === Rules told one by one ===

#[track_caller]
fn held(claim: Claim) -> Binding {
    match claim {
        Claim::Held(binding) => binding,
        other => panic!("not held: {other:?}"),
    }
}

fn learn_all(table: &SessionTable, keys: impl IntoIterator<Item = u64>, now: Now) {
    for key in keys {
        assert_eq!(table.learn(fingerprint(key), key, 0, now, |_| false), Lesson::Learned);
    }
}

#[test]
fn epochs_grow_even_when_the_clock_goes_back() {
    let table = table(10);
    let first = held(table.claim(fingerprint(1), 1, 0, START)).epoch;
    table.remove(fingerprint(1));
    let yesterday = Now(START.micros() - 86_400_000_000);
    let second = held(table.claim(fingerprint(1), 1, 0, yesterday)).epoch;
    let third = held(table.rebind(fingerprint(1), second, 1, yesterday, true)).epoch;
    assert!(first < second && second < third, "{first} {second} {third}");
}

#[test]
fn a_key_of_ten_tunnels_moves_when_the_last_is_closed() {
    let table = table(10);
    let key = fingerprint(1);
    let epochs: Vec<u64> = (0..10).map(|_| held(table.claim(key, 1, 0, START)).epoch).collect();
    for &epoch in &epochs {
        assert!(matches!(table.rebind(key, epoch, 1, START, false), Claim::Moving(_)));
        assert!(matches!(table.claim(key, 1, 0, START), Claim::Moving(_)), "nobody joins what is leaving");
        assert!(matches!(table.claim(key, 1, 1, START), Claim::Changed), "it is not there yet");
        table.release(key, epoch, START);
    }
    let there = held(table.rebind(key, epochs[0], 1, START, false));
    assert_eq!((there.owner, there.live), (1, 1));
}

#[test]
fn a_move_ends_when_the_former_owner_takes_the_emptied_key() {
    let table = table(10);
    let key = fingerprint(1);
    let epoch = held(table.claim(key, 1, 0, START)).epoch;
    assert!(matches!(table.rebind(key, epoch, 1, START, false), Claim::Moving(_)));
    table.release(key, epoch, START);
    assert_eq!(held(table.claim(key, 1, 0, START)).epoch, epoch);
    assert_eq!(held(table.claim(key, 1, 0, START)).live, 2, "it is not on the move any more");
}

#[test]
fn a_table_full_of_live_sessions_takes_no_other() {
    let table = table(100);
    let epochs: Vec<u64> = (0..100).map(|key| held(table.claim(fingerprint(key), key, 0, START)).epoch).collect();
    assert!(matches!(table.claim(fingerprint(100), 100, 0, START), Claim::Full));
    assert_eq!(table.learn(fingerprint(100), 100, 0, START, |_| false), Lesson::Full);
    assert!(matches!(table.claim(fingerprint(7), 7, 0, START), Claim::Held(_)), "those it has, it keeps");
    table.release(fingerprint(8), epochs[8], START);
    assert!(matches!(table.claim(fingerprint(100), 100, 0, START), Claim::Held(_)));
    assert_eq!(table.peek(fingerprint(8), START), None, "the only idle one made room");
}

/// Of a table that evicts any, 10,000 strangers would leave one in eleven.
#[test]
fn sessions_seen_again_outlive_a_flood_of_strangers() {
    let table = table(4096);
    let regulars = 0..2048;
    learn_all(&table, regulars.clone(), START);
    learn_all(&table, 10_000..12_000, START);
    for key in regulars.clone() {
        let epoch = held(table.claim(fingerprint(key), key, 0, START)).epoch;
        table.release(fingerprint(key), epoch, START);
    }
    learn_all(&table, 20_000..30_000, START.after(seconds(5)));
    let left = regulars.filter(|&key| table.peek(fingerprint(key), START).is_some()).count();
    assert!(left > 2048 * 3 / 4, "{left} of 2048 regulars left");
}

#[test]
fn a_sweep_in_steps_ends_all_that_idle_and_nothing_that_lives() {
    let table = table(100_000);
    learn_all(&table, 0..5_000, START);
    let live: Vec<u64> = (0..5_000).step_by(100).collect();
    live.iter().for_each(|&key| drop(held(table.claim(fingerprint(key), key, 0, START))));
    let late = START.after(seconds(IDLE_SECS.into()));
    table.sweep(late, 64);
    assert!(table.len() > 2_500, "one call looks at 64 places of each shard");
    (0..100).for_each(|_| table.sweep(late, 64));
    assert_eq!((table.len(), table.sessions(0)), (live.len(), live.len() as u64));
    assert!(live.iter().all(|&key| table.peek(fingerprint(key), late).is_some()));
}

#[test]
fn keys_are_hashed_with_the_seed_of_their_table() {
    let settings = Settings { capacity: 1, idle_timeout: seconds(1) };
    let of = |seed| SessionTable::new(settings, seed).fingerprint(b"room-1");
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2), "a client must not know which keys meet");
}

// === Capacity ===

/// Shares are per shard, so one may be full a little before the others.
#[test]
fn capacity_is_kept_within_five_percent() {
    for capacity in [1, 2, 7, 10, 1000, 4096, 8192, 10_000, 100_000, 262_144] {
        let table = table(capacity);
        let mut keys = 0_u64..;
        while table.evictions() == 0 {
            learn_all(&table, keys.by_ref().take(1), START);
        }
        assert!(table.len() * 100 >= capacity * 95, "{} of {capacity} at the first eviction", table.len());
        learn_all(&table, keys.take(capacity / 2), START);
        assert!(table.len() * 100 <= capacity * 105, "{} in a table of {capacity}", table.len());
        assert!(table.len() * 100 >= capacity * 98, "{} of {capacity} after overflow", table.len());
    }
}

#[test]
fn a_million_sessions_take_at_most_80_bytes_each() {
    let table = table(1_000_000);
    let mut keys = 0_u64..;
    while table.evictions() == 0 {
        learn_all(&table, keys.by_ref().take(1000), START);
    }
    assert!(table.len() >= 950_000, "{} at the first eviction", table.len());
    learn_all(&table, keys.take(80_000), START);
    let (sessions, bytes) = (table.len(), table.allocated_bytes());
    assert!((990_000..=1_050_000).contains(&sessions), "{sessions} sessions");
    assert!(bytes <= 80 * sessions, "{bytes} bytes for {sessions} sessions");
}

#[test]
fn what_is_forgotten_gives_its_memory_back() {
    let table = table(100_000);
    learn_all(&table, 0..50_000, START);
    let full = table.allocated_bytes();
    let late = START.after(seconds(IDLE_SECS.into()));
    table.sweep(late, usize::MAX);
    assert!(table.is_empty() && table.allocated_bytes() < full / 100, "{} of {full}", table.allocated_bytes());
}

// === Threads ===

const THREADS: u64 = 4;
const ROUNDS: u64 = 15_000;
const ROOMS: u64 = 40;

/// Where a room's members are, as they themselves see it.
#[derive(Debug, Default)]
struct Room {
    owner: u32,
    epoch: u64,
    members: u32,
}

impl Room {
    fn enter(&mut self, binding: Binding) {
        if self.members > 0 {
            assert_eq!((binding.owner, binding.epoch), (self.owner, self.epoch), "one owner at a time");
        }
        assert!(binding.epoch >= self.epoch, "epochs grow");
        assert!(binding.epoch > self.epoch || binding.owner == self.owner, "a new owner has a new epoch");
        *self = Self { owner: binding.owner, epoch: binding.epoch, members: self.members + 1 };
    }
}

struct House {
    table: SessionTable,
    rooms: Vec<Mutex<Room>>,
    gone: Vec<AtomicBool>,
    ticks: AtomicU64,
}

impl House {
    fn now(&self) -> Now {
        START.after(Duration::from_millis(self.ticks.fetch_add(1, Ordering::Relaxed)))
    }

    fn is_gone(&self, owner: u32) -> bool {
        self.gone[owner as usize].load(Ordering::Relaxed)
    }

    /// One attempt to enter a room as a request would: where it is bound, or else anywhere.
    fn enter(&self, room: u64, draw: &Draw) -> Option<Binding> {
        let key = fingerprint(room);
        let any = draw.below(OWNERS.into()) as u32;
        let claim = match self.table.peek(key, self.now()) {
            None => self.table.claim(key, room, any, self.now()),
            Some(binding) if self.is_gone(binding.owner) => {
                self.table.rebind(key, binding.epoch, any, self.now(), false)
            }
            Some(binding) => self.table.claim(key, room, binding.owner, self.now()),
        };
        match claim {
            Claim::Held(binding) => Some(binding),
            Claim::Changed | Claim::Moving(_) | Claim::Full => None,
        }
    }

    /// The members leave before the table hears of it, as the proxy closes its sockets before it counts down.
    fn leave(&self, room: u64, binding: Binding) {
        self.rooms[room as usize].lock().unwrap().members -= 1;
        self.table.release(fingerprint(room), binding.epoch, self.now());
    }

    fn live(&self, seed: u64) {
        let draw = Draw::new(seed);
        let mut inside: Vec<(u64, Binding)> = Vec::new();
        for round in 0..ROUNDS {
            let room = draw.below(ROOMS);
            if let Some(binding) = self.enter(room, &draw) {
                self.rooms[room as usize].lock().unwrap().enter(binding);
                inside.push((room, binding));
            }
            if inside.len() > 4 {
                let (room, binding) = inside.swap_remove(draw.below(5) as usize);
                self.leave(room, binding);
            }
            match round % 64 {
                0 => self.gone[draw.below(OWNERS.into()) as usize].store(draw.next() & 1 == 0, Ordering::Relaxed),
                1 => self.table.sweep(self.now(), 16),
                2 => std::thread::yield_now(),
                _ => {}
            }
        }
        inside.into_iter().for_each(|(room, binding)| self.leave(room, binding));
    }
}

/// Room for most keys but not for all, an idle time-out that fires, owners that come and go.
#[test]
fn a_room_has_one_owner_at_a_time_whatever_threads_do() {
    let house = House {
        table: SessionTable::new(Settings { capacity: 30, idle_timeout: seconds(1) }, 1),
        rooms: (0..ROOMS).map(|_| Mutex::default()).collect(),
        gone: (0..OWNERS).map(|_| AtomicBool::new(false)).collect(),
        ticks: AtomicU64::new(0),
    };
    (0..OWNERS).for_each(|number| assert_eq!(house.table.new_owner(), number));
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|seed| drop(scope.spawn({ let house = &house; move || house.live(seed) })));
    });
    let sessions: u64 = (0..OWNERS).map(|owner| house.table.sessions(owner)).sum();
    assert_eq!(sessions, house.table.len() as u64);
    let live = |room| house.table.peek(fingerprint(room), START).map_or(0, |binding| binding.live);
    assert_eq!((0..ROOMS).map(live).sum::<u32>(), 0, "all have left");
    assert!(house.table.evictions() > 0, "there was not room for all");
}
