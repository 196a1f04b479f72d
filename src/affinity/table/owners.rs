//! What a session table knows of owners: how many sessions each has and may have, and whether its life is over.
//! Which backend an owner is, is the pool's to know.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

/// Why sessions lose their backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// It is down.
    Down,
    /// It is in the configuration no more.
    Removed,
    /// It lives another life, or somewhere else: what it remembered is lost.
    Restarted,
    /// Its time to leave is over.
    Drained,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Down, Self::Removed, Self::Restarted, Self::Drained];

    /// The word used in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Removed => "removed",
            Self::Restarted => "restarted",
            Self::Drained => "drained",
        }
    }
}

/// All owners by their numbers.
#[derive(Debug, Default)]
pub(super) struct Owners(RwLock<Vec<Owner>>);

#[derive(Debug)]
struct Owner {
    sessions: AtomicU64,
    /// Sessions it may have.
    limit: AtomicU64,
    /// Why its life is over, as a position in [`Loss::ALL`]: its sessions go as soon as nothing of them is live.
    gone: AtomicU8,
    /// Its name, for those who tell of it.
    name: OnceLock<Arc<str>>,
}

/// A life that is not over.
const LIVES: u8 = u8::MAX;

/// Whether an owner's limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Counts,
    /// The session is there already, on the owner's own word.
    Ignored,
}

/// The owners, locked once for many looks.
pub(super) struct Look<'a>(RwLockReadGuard<'a, Vec<Owner>>);

impl Owners {
    /// Takes a number for an owner that may have `limit` sessions.
    pub(super) fn begin(&self, limit: u64) -> u32 {
        let mut owners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        owners.push(Owner {
            sessions: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            gone: AtomicU8::new(LIVES),
            name: OnceLock::new(),
        });
        (owners.len() - 1) as u32
    }

    pub(super) fn limit(&self, owner: u32, most: u64) {
        self.look().at(owner, |owner| owner.limit.store(most, Ordering::Relaxed));
    }

    /// Ends the life of an owner; returns how many sessions it might have.
    pub(super) fn end(&self, owner: u32, why: Loss) -> Option<u64> {
        self.look().at(owner, |owner| {
            owner.gone.store(why as u8, Ordering::Relaxed);
            owner.limit.load(Ordering::Relaxed)
        })
    }

    /// Gives an owner its name, if it has none yet.
    pub(super) fn set_name(&self, owner: u32, name: &Arc<str>) {
        self.look().at(owner, |owner| _ = owner.name.get_or_init(|| name.clone()));
    }

    pub(super) fn name(&self, owner: u32) -> Option<Arc<str>> {
        self.look().at(owner, |owner| owner.name.get().cloned())?
    }

    /// Why the life of `owner` is over; none while it is not.
    pub(super) fn loss(&self, owner: u32) -> Option<Loss> {
        let gone = self.look().at(owner, |owner| owner.gone.load(Ordering::Relaxed))?;
        Loss::ALL.get(usize::from(gone)).copied()
    }

    pub(super) fn sessions(&self, owner: u32) -> u64 {
        self.look().at(owner, |owner| owner.sessions.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Counts one more session; false where the owner may have no more.
    pub(super) fn count(&self, owner: u32, limit: Limit) -> bool {
        let counted = self.look().at(owner, |owner| {
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
        self.look().uncount(owner);
    }

    pub(super) fn look(&self) -> Look<'_> {
        Look(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Look<'_> {
    pub(super) fn is_gone(&self, owner: u32) -> bool {
        self.at(owner, |owner| owner.gone.load(Ordering::Relaxed) != LIVES).unwrap_or(false)
    }

    pub(super) fn uncount(&self, owner: u32) {
        self.at(owner, |owner| owner.sessions.fetch_sub(1, Ordering::Relaxed));
    }

    fn at<R>(&self, owner: u32, look: impl FnOnce(&Owner) -> R) -> Option<R> {
        self.0.get(owner as usize).map(look)
    }
}
