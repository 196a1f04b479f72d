//! One session as it lies in memory.

use super::{Binding, Kept};
use crate::clock::Now;

/// 36 bytes, without padding: at a million sessions every byte is a megabyte or two.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct Entry {
    pub(super) fingerprint: u64,
    pub(super) placement: u64,
    pub(super) epoch: u64,
    pub(super) owner: u32,
    /// Unix seconds.
    pub(super) last_seen: u32,
    /// Count of what is live, and three flags in the top bits.
    live: u32,
}

/// How long a session of which nothing is live may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// Since it was last seen.
    pub(super) idle_secs: u32,
    /// Since it got its owner.
    pub(super) most_secs: u32,
}

const MOVING: u32 = 1 << 31;
const SEEN_AGAIN: u32 = 1 << 30;
const ENDING: u32 = 1 << 29;
const COUNT: u32 = ENDING - 1;

impl Entry {
    /// A session first seen at `now`, which is also the least epoch it may get.
    pub(super) fn new(fingerprint: u64, placement: u64, owner: u32, now: Now) -> Self {
        Self { fingerprint, placement, epoch: now.micros(), owner, last_seen: now.secs(), live: 0 }
    }

    /// A session that was kept while nothing ran: nothing of it is live.
    pub(super) fn restored(kept: &Kept) -> Self {
        let Kept { fingerprint, placement, epoch, owner, last_seen, seen_again } = *kept;
        Self {
            fingerprint,
            placement,
            epoch,
            owner,
            last_seen,
            live: if seen_again { SEEN_AGAIN } else { 0 },
        }
    }

    /// What is worth keeping of it; of one that is live it is seen now. None if it ends with what is live of it.
    pub(super) fn kept(&self, now: Now) -> Option<Kept> {
        let Self { fingerprint, placement, epoch, owner, last_seen, .. } = *self;
        let last_seen = if self.live() > 0 { now.secs() } else { last_seen };
        let kept = Kept { fingerprint, placement, epoch, owner, last_seen, seen_again: self.seen_again() };
        (!self.is_ending()).then_some(kept)
    }

    pub(super) fn starting(self, epoch: u64, live: u32) -> Self {
        Self { epoch, live, ..self }
    }

    pub(super) fn binding(&self) -> Binding {
        Binding { owner: self.owner, epoch: self.epoch, placement: self.placement, live: self.live() }
    }

    pub(super) fn live(&self) -> u32 {
        self.live & COUNT
    }

    pub(super) fn is_moving(&self) -> bool {
        self.live & MOVING != 0
    }

    pub(super) fn set_moving(&mut self, moving: bool) {
        self.live = if moving { self.live | MOVING } else { self.live & !MOVING };
    }

    /// Whether the session ends as soon as nothing of it is live.
    pub(super) fn is_ending(&self) -> bool {
        self.live & ENDING != 0
    }

    pub(super) fn set_ending(&mut self, ending: bool) {
        self.live = if ending { self.live | ENDING } else { self.live & !ENDING };
    }

    pub(super) fn seen_again(&self) -> bool {
        self.live & SEEN_AGAIN != 0
    }

    pub(super) fn touch(&mut self, now: Now) {
        self.last_seen = now.secs();
        self.live |= SEEN_AGAIN;
    }

    /// One more is live; false where the count is at its end (half a billion).
    pub(super) fn hold(&mut self, now: Now) -> bool {
        if self.live() == COUNT {
            return false;
        }
        self.touch(now);
        self.live += 1;
        true
    }

    pub(super) fn release(&mut self, now: Now) {
        debug_assert!(self.live() > 0, "released more often than held");
        self.live -= u32::from(self.live() > 0);
        self.last_seen = now.secs();
    }

    /// Begins anew under `owner`, held by whoever gave it: what was live before counts no more.
    pub(super) fn give(&mut self, owner: u32, epoch: u64, now: Now) {
        *self = Self { owner, epoch, last_seen: now.secs(), live: SEEN_AGAIN | 1, ..*self };
    }

    /// Whether it has idled, or lived, for too long. The epoch tells when it got its owner.
    pub(super) fn is_expired(&self, now: Now, bounds: Lifetime) -> bool {
        let idle = now.secs().saturating_sub(self.last_seen);
        let age = now.secs().saturating_sub(Now(self.epoch).secs());
        self.live() == 0 && (idle > bounds.idle_secs || age > bounds.most_secs)
    }
}
