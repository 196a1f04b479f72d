//! One shard of the session table: entries, their expiry and eviction, and who waits for a key on the move.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashTable;
use tokio::sync::Notify;

use super::Binding;
use super::entry::{Entry, Lifetime};
use crate::clock::Now;
use crate::stable_hash::mix;

#[derive(Debug)]
pub(super) struct Shard {
    entries: HashTable<Entry>,
    share: usize,
    lifetime: Lifetime,
    last_epoch: u64,
    sweep_at: usize,
    draw: u64,
    /// Keys on the move that someone waits for. Short: one for each key being moved at this moment.
    arrivals: Vec<(u64, Arc<Notify>)>,
    /// Whether a copy made now could differ from the last one.
    changed: bool,
}

/// What follows from the release of a key.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// Those who wait for the key to be free to move.
    pub(super) arrived: Option<Arc<Notify>>,
    /// The owner of the session that has ended.
    pub(super) ended: Option<u32>,
}

/// Entries looked at for one eviction: the victim is the best of the first few found, and the search for any at all
/// ends after so many places.
const SAMPLE: usize = 8;
const SEARCH: usize = 1024;

/// Fingerprints are hashes already; mixed again since their upper bits chose the shard.
fn hash(entry: &Entry) -> u64 {
    mix(entry.fingerprint)
}

impl Shard {
    pub(super) fn new(share: usize, lifetime: Lifetime, seed: u64) -> Self {
        Self {
            entries: HashTable::new(),
            share,
            lifetime,
            last_epoch: 0,
            sweep_at: 0,
            draw: seed,
            arrivals: Vec::new(),
            changed: true,
        }
    }

    pub(super) fn configure(&mut self, share: usize, lifetime: Lifetime) {
        (self.share, self.lifetime) = (share, lifetime);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn share(&self) -> usize {
        self.share
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.share
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.entries.allocation_size()
    }

    /// The entry of a key whose session has not ended.
    pub(super) fn find(&self, key: u64, now: Now) -> Option<&Entry> {
        let entry = self.entries.find(mix(key), |e| e.fingerprint == key)?;
        (!entry.is_expired(now, self.lifetime)).then_some(entry)
    }

    pub(super) fn find_mut(&mut self, key: u64, now: Now) -> Option<&mut Entry> {
        let lifetime = self.lifetime;
        self.changed = true;
        let entry = self.entries.find_mut(mix(key), |e| e.fingerprint == key)?;
        (!entry.is_expired(now, lifetime)).then_some(entry)
    }

    /// Adds a session of a key that has none, under a new epoch, with so much of it live.
    pub(super) fn insert(&mut self, entry: Entry, live: u32) -> Binding {
        self.changed = true;
        let entry = entry.starting(self.next_epoch(entry.epoch), live);
        self.entries.insert_unique(hash(&entry), entry, hash);
        entry.binding()
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Entry> {
        self.changed = true;
        let found = self.entries.find_entry(mix(key), |e| e.fingerprint == key).ok()?;
        Some(found.remove().0)
    }

    /// Gives a key to another owner under a new epoch, and holds it once; returns the former owner too.
    pub(super) fn give(&mut self, key: u64, owner: u32, now: Now) -> Option<(u32, Binding)> {
        self.changed = true;
        let epoch = self.next_epoch(now.micros());
        let entry = self.entries.find_mut(mix(key), |e| e.fingerprint == key)?;
        let former = entry.owner;
        entry.give(owner, epoch, now);
        Some((former, entry.binding()))
    }

    /// One less is live. If that was the last, tells who waits for it, and whose session ended with it.
    pub(super) fn release(&mut self, key: u64, epoch: u64, now: Now) -> Released {
        let mut released = Released::default();
        self.changed = true;
        let Some(entry) = self.entries.find_mut(mix(key), |e| e.fingerprint == key) else { return released };
        if entry.epoch != epoch {
            return released;
        }
        entry.release(now);
        if entry.live() > 0 {
            return released;
        }
        let (moving, ending) = (entry.is_moving(), entry.is_ending());
        if ending {
            released.ended = self.remove(key).map(|entry| entry.owner);
        }
        if moving {
            released.arrived = self.arrived(key);
        }
        released
    }

    /// The key moves no more; returns whom to wake.
    pub(super) fn stay(&mut self, key: u64) -> Option<Arc<Notify>> {
        self.entries.find_mut(mix(key), |e| e.fingerprint == key)?.set_moving(false);
        self.arrived(key)
    }

    /// What to wait on until nothing of the former owner of `key` is live.
    pub(super) fn arrival(&mut self, key: u64) -> Arc<Notify> {
        if let Some((_, waiting)) = self.arrivals.iter().find(|(k, _)| *k == key) {
            return waiting.clone();
        }
        let waiting = Arc::new(Notify::new());
        self.arrivals.push((key, waiting.clone()));
        waiting
    }

    pub(super) fn arrived(&mut self, key: u64) -> Option<Arc<Notify>> {
        let position = self.arrivals.iter().position(|(k, _)| *k == key)?;
        Some(self.arrivals.swap_remove(position).1)
    }

    /// Takes out the session that is missed least: one seen only once before others, then the longest idle, never one
    /// of which something is live.
    pub(super) fn evict(&mut self) -> Option<Entry> {
        self.draw = self.draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let places = self.entries.num_buckets();
        let start = mix(self.draw) as usize % places.max(1);
        let around = (start..start + places.min(SEARCH)).map(|i| i % places);
        let idle =
            around.filter_map(|i| self.entries.get_bucket(i).filter(|e| e.live() == 0).map(|e| (i, e)));
        self.changed = true;
        let victim = idle.take(SAMPLE).min_by_key(|(_, e)| (e.seen_again(), e.last_seen))?.0;
        self.entries.get_bucket_entry(victim).ok().map(|found| found.remove().0)
    }

    /// Ends what idled too long, or belongs to an owner that is `gone`, among the next `budget` places; calls `ended` with
    /// each owner.
    pub(super) fn sweep(
        &mut self,
        now: Now,
        budget: usize,
        gone: impl Fn(u32) -> bool,
        mut ended: impl FnMut(u32),
    ) {
        let places = self.entries.num_buckets();
        for _ in 0..budget.min(places) {
            self.sweep_at = (self.sweep_at + 1) % places;
            let lifetime = self.lifetime;
            let is_over = |e: &Entry| e.is_expired(now, lifetime) || e.live() == 0 && gone(e.owner);
            let over = self.entries.get_bucket(self.sweep_at).is_some_and(is_over);
            if over && let Ok(found) = self.entries.get_bucket_entry(self.sweep_at) {
                self.changed = true;
                ended(found.remove().0.owner);
            }
        }
        if self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(self.entries.len() * 2, hash);
        }
    }

    /// Copies all entries.
    pub(super) fn copy_to(&mut self, copy: &mut Vec<Entry>) {
        copy.clear();
        copy.extend(self.entries.iter().copied());
        // What is live is seen all the time.
        self.changed = copy.iter().any(|entry| entry.live() > 0);
    }

    /// Takes in a session of before the start, if there is room and its key has none.
    pub(super) fn restore(&mut self, entry: Entry) -> bool {
        let key = entry.fingerprint;
        let fits = !self.is_full() && self.entries.find(mix(key), |e| e.fingerprint == key).is_none();
        if fits {
            self.entries.insert_unique(hash(&entry), entry, hash);
        }
        fits
    }

    /// Whether a copy made now could differ from the last one.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// How long its sessions may last.
    pub(super) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The last epoch it gave, or was told of.
    pub(super) fn last_epoch(&self) -> u64 {
        self.last_epoch
    }

    /// Epochs up to this one were given before.
    pub(super) fn begin_after(&mut self, epoch: u64) {
        self.last_epoch = self.last_epoch.max(epoch);
    }

    /// Calls `found` with sessions that have not ended, as they lie, until that has enough: of the first `budget` places.
    pub(super) fn look(&self, now: Now, budget: usize, mut found: impl FnMut(&Entry) -> ControlFlow<()>) {
        let places = (0..self.entries.num_buckets().min(budget)).filter_map(|i| self.entries.get_bucket(i));
        let _ = places.filter(|entry| !entry.is_expired(now, self.lifetime)).try_for_each(&mut found);
    }

    /// Later than every epoch this shard gave before, so that it grows over expiry, eviction and clock steps.
    fn next_epoch(&mut self, now_micros: u64) -> u64 {
        self.last_epoch = now_micros.max(self.last_epoch + 1);
        self.last_epoch
    }
}
