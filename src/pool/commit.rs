//! The second step of a decision: binding the key to the chosen backend, or learning that another was quicker.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Affinity, Decision, Key, Pool, Tie, View};
use crate::affinity::table::{Claim, Fingerprint, Lesson};
use crate::affinity::taught;
use crate::clock::Now;

/// What became of a decision.
#[derive(Debug)]
pub enum Commit {
    /// Go ahead. With a lease, the key is held until it is returned.
    Go(Option<Lease>),
    /// The key is owned by another backend by now: decide again.
    Again,
    /// The key is leaving its former backend: wait until told, then decide again.
    Moving(Arc<Notify>),
    /// The session table is full of live sessions.
    Full,
}

/// A hold on a bound key. Whoever has it returns it by [`Pool::release`] when the request or tunnel has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a key that is never released is never free to move"]
pub struct Lease {
    /// The key.
    pub key: Fingerprint,
    /// The epoch it was taken under.
    pub epoch: u64,
}

impl Pool {
    /// Binds the key of a decision. `force` gives a lost key a new owner although something of it is still live.
    pub fn commit(
        &self,
        view: &View,
        key: Option<&Key>,
        decision: &Decision,
        now: Now,
        force: bool,
    ) -> Commit {
        let (Affinity::Table { table, .. }, Some(key)) = (&self.affinity, key) else {
            return Commit::Go(None);
        };
        let owner = view.owner(decision.backend);
        let claim = match decision.tie {
            Tie::None => return Commit::Go(None),
            Tie::New | Tie::Bound => table.claim(key.fingerprint, key.placement, owner, now),
            Tie::Lost { epoch } => table.rebind(key.fingerprint, epoch, owner, now, force),
        };
        match claim {
            Claim::Held(binding) => Commit::Go(Some(Lease { key: key.fingerprint, epoch: binding.epoch })),
            Claim::Changed => Commit::Again,
            Claim::Moving(arrival) => Commit::Moving(arrival),
            Claim::Full => Commit::Full,
        }
    }

    /// Returns a lease.
    pub fn release(&self, lease: Lease, now: Now) {
        if let Some(table) = self.table() {
            table.release(lease.key, lease.epoch, now);
        }
    }

    /// Binds the keys that a response of `backend` issues; returns how many it could not bind because they live
    /// elsewhere. Keys learned together are placed together, and with the key of the request that asked for them: they
    /// carry the placement hash of its binding, so that ids stay together over any number of rotations.
    pub fn learn(
        &self,
        view: &View,
        backend: u32,
        request_key: Option<&Key>,
        response: &http::HeaderMap,
        now: Now,
    ) -> Lessons {
        let Affinity::Table { learn, table, .. } = &self.affinity else { return Lessons::default() };
        let gone = |owner| view.keeper(owner).is_none();
        let placed_by =
            |key: Key| table.peek(key.fingerprint, now).map_or(key.placement, |known| known.placement);
        let mut placement = None;
        let mut lessons = Lessons::default();
        taught(learn, response, now, |bytes| {
            let key = self.hash_key(&bytes);
            let placement = *placement.get_or_insert_with(|| placed_by(request_key.copied().unwrap_or(key)));
            match table.learn(key.fingerprint, placement, view.owner(backend), now, gone) {
                Lesson::Learned => lessons.learned += 1,
                Lesson::Violation => lessons.violations += 1,
                Lesson::Known | Lesson::Full => {}
            }
        });
        lessons
    }
}

/// What a response taught.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Lessons {
    /// Keys bound.
    pub learned: u32,
    /// Keys that live on another backend, and stay there.
    pub violations: u32,
}
