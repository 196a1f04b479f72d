//! The session table: which backend owns a key. Bounded, sharded, without an allocation per session.
//!
//! It knows owners as numbers; which backend a number stands for, and whether it lives, is the pool's to know.
//!
//! - Every operation locks one shard for one look-up. Nothing here waits.
//! - An entry takes 36 bytes and a control byte. A shard grows by doubling up to its share of the capacity.
//! - A key has one owner at a time. [`SessionTable::rebind`] gives it another only when nothing of it is live.

mod entry;
mod kept;
mod lives;
mod owners;
mod sample;
mod settings;
mod shard;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Now;
use crate::tally::Apart;
use entry::Entry;
use owners::{Limit, Owners};
use shard::{Released, Shard};

pub use kept::{Kept, Restored};
pub use owners::Loss;
pub use sample::{PLACES, Seen};
pub use settings::Settings;

/// Identifies a key inside one table: a hash with a seed of the table's own, so that clients cannot aim at another's.
///
/// Two keys with one fingerprint (10 million sessions: 3 in a million chances) share an owner; none is ever split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

/// A key's owner, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Number of the owning backend's life.
    pub owner: u32,
    /// Grows each time the key gets a new owner.
    pub epoch: u64,
    /// The hash that places the key, should it need a new owner.
    pub placement: u64,
    /// Connections and requests of the key that are live now.
    pub live: u32,
}

/// What became of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The key is owned as wished, and one more of it is live: answer with [`SessionTable::release`].
    Held(Binding),
    /// The key is not, or no longer, what the caller took it for: look again.
    Changed,
    /// The key is on its way to a new owner; wait, then ask again.
    Moving(Arc<Notify>),
    /// The table is full of live sessions.
    Full,
    /// The wished owner has as many sessions as it may have.
    OwnerFull,
}

/// What became of a lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// The key was unknown and is bound now.
    Learned,
    /// The key was bound to this owner already.
    Known,
    /// The key is bound to another owner, and stays there.
    Violation,
    /// The table is full of live sessions.
    Full,
}

/// The sessions of one pool. Shared by all workers.
#[derive(Debug)]
pub struct SessionTable {
    /// Of fingerprints. Written at most once, by [`Self::restore`], before the first key comes.
    seed: AtomicU64,
    shards: Box<[Shelf]>,
    /// Written with each session that begins or ends; the fields above are read for each request.
    owners: Apart<Owners>,
    evictions: AtomicU64,
    violations: AtomicU64,
}

/// A shard on cache lines of its own.
type Shelf = Apart<Mutex<Shard>>;

/// Shards of a large table; a smaller one has fewer, so that chance does not fill one long before the others.
const SHARDS: usize = 64;
const SMALLEST_SHARE: usize = 4096;

impl SessionTable {
    /// An empty table. `seed` should be random: it keeps fingerprints from being predicted.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let count = (settings.capacity / SMALLEST_SHARE).clamp(1, SHARDS);
        let count = if count.is_power_of_two() { count } else { count.next_power_of_two() / 2 };
        let share = settings.capacity.div_ceil(count);
        let shelf = |i: usize| Apart(Mutex::new(Shard::new(share, settings.lifetime(), seed ^ i as u64)));
        Self {
            seed: AtomicU64::new(seed),
            shards: (0..count).map(shelf).collect(),
            owners: Apart::default(),
            evictions: AtomicU64::new(0),
            violations: AtomicU64::new(0),
        }
    }

    /// Changes what bounds the table; what is in it stays, and a smaller capacity is reached by and by.
    pub fn configure(&self, settings: Settings) {
        let each = settings.capacity.div_ceil(self.shards.len());
        for shelf in &self.shards {
            let mut shard = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            shard.configure(each, settings.lifetime());
        }
    }

    /// What stands for `key` in this table.
    pub fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        Fingerprint(xxh3_64_with_seed(key, self.seed.load(Ordering::Relaxed)))
    }

    /// The binding of a key, if it has one. Changes nothing.
    pub fn peek(&self, key: Fingerprint, now: Now) -> Option<Binding> {
        self.shard(key).find(key.0, now).map(Entry::binding)
    }

    /// Holds a key for `owner`, binding it if it is unknown: one more of it is live until it is released.
    pub fn claim(&self, key: Fingerprint, placement: u64, owner: u32, now: Now) -> Claim {
        self.hold(Entry::new(key.0, placement, owner, now), now, Limit::Counts)
    }

    /// The same for a session that `owner` has already, of which this table did not know.
    pub fn adopt(&self, key: Fingerprint, placement: u64, owner: u32, now: Now) -> Claim {
        self.hold(Entry::new(key.0, placement, owner, now), now, Limit::Ignored)
    }

    fn hold(&self, new: Entry, now: Now, limit: Limit) -> Claim {
        let key = Fingerprint(new.fingerprint);
        let mut shard = self.shard(key);
        let Some(entry) = shard.find_mut(key.0, now) else {
            return self.insert(&mut shard, new, 1, limit).map_or_else(Claim::from, Claim::Held);
        };
        if entry.owner != new.owner {
            return Claim::Changed;
        }
        if entry.is_moving() && entry.live() > 0 {
            return Claim::Moving(shard.arrival(key.0));
        }
        entry.set_moving(false);
        if !entry.hold(now) {
            return Claim::Full;
        }
        Claim::Held(entry.binding())
    }

    /// One less of a key is live. `epoch` is that of the claim: what was held under a former owner counts no more.
    pub fn release(&self, key: Fingerprint, epoch: u64, now: Now) {
        let mut shard = self.shard(key);
        let Released { arrived, ended } = shard.release(key.0, epoch, now);
        drop(shard);
        if let Some(owner) = ended {
            self.owners.uncount(owner);
        }
        if let Some(arrived) = arrived {
            arrived.notify_waiters();
        }
    }

    /// Binds a key that a response of `owner` issued. A binding to another owner wins, unless `gone` says that owner
    /// cannot serve and nothing of the key is live.
    pub fn learn(
        &self,
        key: Fingerprint,
        placement: u64,
        owner: u32,
        now: Now,
        gone: impl Fn(&Binding) -> bool,
    ) -> Lesson {
        let mut shard = self.shard(key);
        let Some(entry) = shard.find_mut(key.0, now) else {
            let entry = Entry::new(key.0, placement, owner, now);
            let learned = self.insert(&mut shard, entry, 0, Limit::Ignored);
            return if learned.is_ok() { Lesson::Learned } else { Lesson::Full };
        };
        if entry.owner == owner {
            entry.touch(now);
            entry.set_ending(false);
            return Lesson::Known;
        }
        if entry.live() == 0 && gone(&entry.binding()) {
            let entry = Entry::new(key.0, placement, owner, now);
            let learned = self.insert(&mut shard, entry, 0, Limit::Ignored);
            return if learned.is_ok() { Lesson::Learned } else { Lesson::Full };
        }
        self.violations.fetch_add(1, Ordering::Relaxed);
        Lesson::Violation
    }

    /// Gives a key whose binding had `epoch` to `owner`, and holds it. While something of the key is live under the
    /// former owner the key only begins to move: [`Claim::Moving`] wakes when the last of it is released. `force`
    /// does not wait for what is live; only the epoch then tells old from new.
    pub fn rebind(&self, key: Fingerprint, epoch: u64, owner: u32, now: Now, force: bool) -> Claim {
        let mut shard = self.shard(key);
        if let Some(not_free) = not_free(&mut shard, (key, epoch), now, force) {
            return not_free;
        }
        if !self.owners.count(owner, Limit::Counts) {
            return Claim::OwnerFull;
        }
        self.give_counted(shard, key, owner, now)
    }

    /// The same for a session that `owner` has already, though this table knew it elsewhere: its limit does not count.
    pub fn bring(&self, key: Fingerprint, epoch: u64, owner: u32, now: Now, force: bool) -> Claim {
        let mut shard = self.shard(key);
        if let Some(not_free) = not_free(&mut shard, (key, epoch), now, force) {
            return not_free;
        }
        self.owners.count(owner, Limit::Ignored);
        self.give_counted(shard, key, owner, now)
    }

    fn give_counted(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        key: Fingerprint,
        owner: u32,
        now: Now,
    ) -> Claim {
        let binding = self.give(&mut shard, key, owner, now);
        let arrived = shard.arrived(key.0);
        drop(shard);
        if let Some(arrived) = arrived {
            arrived.notify_waiters();
        }
        binding.map_or(Claim::Changed, Claim::Held)
    }

    /// Takes back that a key moves; those who wait for that look again.
    pub fn stay(&self, key: Fingerprint) {
        let mut shard = self.shard(key);
        let arrived = shard.stay(key.0);
        drop(shard);
        if let Some(arrived) = arrived {
            arrived.notify_waiters();
        }
    }

    /// Ends a session as soon as nothing of it is live, which may be at once: until then its key stays with its owner.
    /// Returns whether there was one.
    pub fn end(&self, key: Fingerprint, now: Now) -> bool {
        let mut shard = self.shard(key);
        let Some(entry) = shard.find_mut(key.0, now) else { return false };
        if entry.live() > 0 {
            entry.set_ending(true);
            return true;
        }
        let removed = shard.remove(key.0);
        drop(shard);
        if let Some(entry) = removed {
            self.owners.uncount(entry.owner);
        }
        true
    }

    /// Ends a session. What is live of it stays counted nowhere; its key is unknown from now on.
    pub fn remove(&self, key: Fingerprint) {
        let mut shard = self.shard(key);
        let removed = shard.remove(key.0);
        let arrived = shard.arrived(key.0);
        drop(shard);
        if let Some(entry) = removed {
            self.owners.uncount(entry.owner);
        }
        if let Some(arrived) = arrived {
            arrived.notify_waiters();
        }
    }

    /// Looks at up to `budget` places of each shard and ends the sessions that idled too long. Meant to be called
    /// each second; a pass over the whole table takes `places / budget` calls.
    pub fn sweep(&self, now: Now, budget: usize) {
        for shelf in &self.shards {
            let mut shard = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked at for every entry, so locked once for all of them.
            let owners = self.owners.look();
            shard.sweep(now, budget, |owner| owners.is_gone(owner), |owner| owners.uncount(owner));
        }
    }

    /// Sessions in the table, those whose end has not been noticed included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.0.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Sessions the table may have.
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|s| s.0.lock().unwrap_or_else(PoisonError::into_inner).share()).sum()
    }

    /// Whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated for entries.
    pub fn allocated_bytes(&self) -> usize {
        self.shards.iter().map(|s| s.0.lock().unwrap_or_else(PoisonError::into_inner).allocated_bytes()).sum()
    }

    /// Sessions ended for want of room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Responses that taught a key which lives elsewhere.
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// Upper bits choose the shard; the table inside takes the others.
    fn shard(&self, key: Fingerprint) -> MutexGuard<'_, Shard> {
        let place = (key.0 >> 40) as usize & (self.shards.len() - 1);
        self.shards[place].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session, in the place of a former one of the same key, or making room if need be.
    ///
    /// # Errors
    /// All that was looked at for room is live, or the owner has all the sessions it may have.
    fn insert(&self, shard: &mut Shard, entry: Entry, live: u32, limit: Limit) -> Result<Binding, NoRoom> {
        if let Some(former) = shard.remove(entry.fingerprint) {
            self.owners.uncount(former.owner);
        }
        if !self.owners.count(entry.owner, limit) {
            return Err(NoRoom::Owner);
        }
        if shard.is_full() {
            if self.evict(shard).is_none() {
                self.owners.uncount(entry.owner);
                return Err(NoRoom::Table);
            }
            // Still full: a smaller capacity came into force. One in and two out is how it is reached.
            if shard.is_full() {
                self.evict(shard);
            }
        }
        Ok(shard.insert(entry, live))
    }

    fn evict(&self, shard: &mut Shard) -> Option<()> {
        self.owners.uncount(shard.evict()?.owner);
        self.evictions.fetch_add(1, Ordering::Relaxed);
        Some(())
    }

    /// Gives a key to an owner for whom it has been counted already.
    fn give(&self, shard: &mut Shard, key: Fingerprint, owner: u32, now: Now) -> Option<Binding> {
        let (former, binding) = shard.give(key.0, owner, now)?;
        self.owners.uncount(former);
        Some(binding)
    }
}

/// What the mover of a key is told whose binding had `epoch`, if the key cannot move now. While something of it is live
/// it is marked as moving, unless that is ignored by `force`.
fn not_free(shard: &mut Shard, (key, epoch): (Fingerprint, u64), now: Now, force: bool) -> Option<Claim> {
    let Some(entry) = shard.find_mut(key.0, now).filter(|entry| entry.epoch == epoch) else {
        return Some(Claim::Changed);
    };
    if entry.live() > 0 && !force {
        entry.set_moving(true);
        return Some(Claim::Moving(shard.arrival(key.0)));
    }
    None
}

/// Why a session cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoRoom {
    Table,
    Owner,
}

impl From<NoRoom> for Claim {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::Table => Self::Full,
            NoRoom::Owner => Self::OwnerFull,
        }
    }
}
