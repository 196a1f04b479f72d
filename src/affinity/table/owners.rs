//! Owners as the table knows them: the numbers of backends' lives, how many sessions each has and may have.
//! Which backend a number stands for is the pool's to know.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::SessionTable;

/// What is known of an owner.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) sessions: AtomicU64,
    /// Sessions it may have.
    limit: AtomicU64,
    /// Its life is over: its sessions go as soon as nothing of them is live.
    pub(super) gone: AtomicBool,
}

/// Whether an owner's limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Counts,
    /// The session is there already, on the owner's own word.
    Ignored,
}

impl SessionTable {
    /// Takes a number for a backend's new life.
    pub fn new_owner(&self) -> u32 {
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        owners.push(Owner {
            sessions: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            gone: AtomicBool::new(false),
        });
        (owners.len() - 1) as u32
    }

    /// Bounds the sessions of an owner: beyond, it gets no new ones. Those it has stay.
    pub fn limit_owner(&self, owner: u32, most: u64) {
        self.with_owner(owner, |owner| owner.limit.store(most, Ordering::Relaxed));
    }

    /// Takes a number for the next life of a backend, which may have as many sessions as in its life as `former`. What
    /// is still bound to that one leads nowhere, and the sweep removes it by and by.
    pub fn succeed_owner(&self, former: u32) -> u32 {
        let next = self.new_owner();
        let limit = self.with_owner(former, |owner| owner.limit.load(Ordering::Relaxed));
        self.end_owner(former);
        self.limit_owner(next, limit.unwrap_or(u64::MAX));
        next
    }

    /// Ends the life of a backend: what is still bound to it leads nowhere, and the sweep removes it by and by.
    pub fn end_owner(&self, owner: u32) {
        self.with_owner(owner, |owner| owner.gone.store(true, Ordering::Relaxed));
    }

    /// Whether the life that a number stands for is over.
    pub fn is_over(&self, owner: u32) -> bool {
        self.with_owner(owner, |owner| owner.gone.load(Ordering::Relaxed)).unwrap_or(true)
    }

    /// Sessions bound to `owner`.
    pub fn sessions(&self, owner: u32) -> u64 {
        self.with_owner(owner, |owner| owner.sessions.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Counts one more session of an owner; false where it may have no more.
    pub(super) fn count(&self, owner: u32, limit: Limit) -> bool {
        let counted = self.with_owner(owner, |owner| {
            let before = owner.sessions.fetch_add(1, Ordering::Relaxed);
            let fits = limit == Limit::Ignored || before < owner.limit.load(Ordering::Relaxed);
            if !fits {
                owner.sessions.fetch_sub(1, Ordering::Relaxed);
            }
            fits
        });
        counted.unwrap_or(true)
    }

    pub(super) fn uncount(&self, owner: u32) {
        self.with_owner(owner, |owner| owner.sessions.fetch_sub(1, Ordering::Relaxed));
    }

    fn with_owner<R>(&self, owner: u32, look: impl FnOnce(&Owner) -> R) -> Option<R> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(owner as usize).map(look)
    }
}
