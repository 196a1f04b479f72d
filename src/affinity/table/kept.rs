//! Sessions on their way out of a table and into the next process's: copied shard by shard, taken in at the start.
//! Where they are kept meanwhile is not known here.

use std::cmp::Reverse;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::entry::Entry;
use super::owners::Limit;
use super::{SessionTable, Shelf};
use crate::clock::Now;

/// One session without what is live of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What stands for its key, under the seed of its table.
    pub fingerprint: u64,
    /// The hash that places the key, should it need a new owner.
    pub placement: u64,
    /// Of its binding.
    pub epoch: u64,
    /// Number of its owner.
    pub owner: u32,
    /// When it was last seen, in Unix seconds.
    pub last_seen: u32,
    /// Whether it was seen more than once: others are evicted before.
    pub seen_again: bool,
}

/// What became of the sessions that a table was to take in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// In the table again.
    pub sessions: u64,
    /// Their time was over.
    pub expired: u64,
    /// There was no room; these were seen least lately.
    pub crowded_out: u64,
}

const YEAR: Duration = Duration::from_hours(365 * 24);

impl SessionTable {
    /// The seed of its fingerprints, without which they mean nothing.
    pub fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    /// The last epoch given.
    pub fn last_epoch(&self) -> u64 {
        self.shards.iter().map(|shelf| lock(shelf).last_epoch()).max().unwrap_or(0)
    }

    /// Hands out the sessions of one shard after the other, those left out whose time is over or that are about to end.
    /// A shard is locked for as long as it takes to copy it. Stops at the first error of `take`.
    ///
    /// # Errors
    /// What `take` says.
    pub fn each_shard<E>(&self, now: Now, mut take: impl FnMut(&[Kept]) -> Result<(), E>) -> Result<(), E> {
        let (mut copy, mut kept) = (Vec::new(), Vec::new());
        for shelf in &self.shards {
            let lifetime = {
                let mut shard = lock(shelf);
                shard.copy_to(&mut copy);
                shard.lifetime()
            };
            kept.clear();
            let lasting = copy.iter().filter(|entry| !entry.is_expired(now, lifetime));
            kept.extend(lasting.filter_map(|entry| entry.kept(now)));
            take(&kept)?;
        }
        Ok(())
    }

    /// Whether anything can have changed since the sessions were last handed out.
    pub fn has_changed(&self) -> bool {
        self.shards.iter().any(|shelf| lock(shelf).has_changed())
    }

    /// Takes in the sessions of another life of this table, whose fingerprints have this `seed`; epochs up to
    /// `last_epoch` were given there. Where there are more than fit, those seen last are taken. To be called before the
    /// first key comes: fingerprints of before would mean nothing any more.
    ///
    /// A clock may have gone back since; what is more than a year ahead of it is not believed.
    pub fn restore(&self, seed: u64, last_epoch: u64, mut sessions: Vec<Kept>, now: Now) -> Restored {
        self.seed.store(seed, Ordering::Relaxed);
        let latest = now.after(YEAR).micros();
        for kept in &mut sessions {
            kept.epoch = kept.epoch.min(latest);
        }
        let last_epoch = sessions.iter().map(|kept| kept.epoch).fold(last_epoch.min(latest), u64::max);
        for shelf in &self.shards {
            lock(shelf).begin_after(last_epoch);
        }
        sessions.sort_unstable_by_key(|kept| Reverse(kept.last_seen));
        let mut restored = Restored::default();
        for kept in &sessions {
            *self.take_in(kept, now).counted_in(&mut restored) += 1;
        }
        restored
    }

    fn take_in(&self, kept: &Kept, now: Now) -> Taken {
        // A clock that went back in between must not make a session last longer than it may.
        let kept = Kept { last_seen: kept.last_seen.min(now.secs()), ..*kept };
        let entry = Entry::restored(&kept);
        let mut shard = self.shard(super::Fingerprint(kept.fingerprint));
        if entry.is_expired(now, shard.lifetime()) {
            return Taken::Expired;
        }
        if !shard.restore(entry) {
            return Taken::CrowdedOut;
        }
        self.owners.count(kept.owner, Limit::Ignored);
        Taken::In
    }
}

enum Taken {
    In,
    Expired,
    CrowdedOut,
}

impl Taken {
    fn counted_in(self, restored: &mut Restored) -> &mut u64 {
        match self {
            Self::In => &mut restored.sessions,
            Self::Expired => &mut restored.expired,
            Self::CrowdedOut => &mut restored.crowded_out,
        }
    }
}

fn lock(shelf: &Shelf) -> std::sync::MutexGuard<'_, super::Shard> {
    shelf.0.lock().unwrap_or_else(PoisonError::into_inner)
}
