//! The second step of a decision: binding the key to the chosen backend, or learning that another was quicker.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Decision, Keeper, Key, Pool, Tie, View};
use crate::affinity::table::{self, Binding, Claim, Fingerprint};
use crate::affinity::{Taught, taught};
use crate::clock::Now;
use crate::config::OnBackendDown;

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
    /// The backend has all the sessions it may have by now: decide again without it.
    BackendFull,
}

/// A hold on a bound key. Whoever has it returns it by [`Pool::release`] when the request or tunnel has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a key that is never released is never free to move"]
pub struct Lease {
    /// The key.
    pub key: Fingerprint,
    /// The epoch it was taken under.
    pub epoch: u64,
    /// The hash that places the key, and says when its session ends if its backend leaves.
    pub placement: u64,
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
        let (Some(table), Some(key)) = (self.table(), key) else { return Commit::Go(None) };
        let owner = view.owner(decision.backend);
        let claim = match decision.tie {
            Tie::None => return Commit::Go(None),
            Tie::New | Tie::Bound => table.claim(key.fingerprint, key.placement, owner, now),
            Tie::Carried => table.adopt(key.fingerprint, key.placement, owner, now),
            Tie::Lost { epoch } => table.rebind(key.fingerprint, epoch, owner, now, force),
            Tie::Outdone { epoch } => table.bring(key.fingerprint, epoch, owner, now, force),
        };
        match claim {
            Claim::Held(binding) => {
                let Binding { epoch, placement, .. } = binding;
                Commit::Go(Some(Lease { key: key.fingerprint, epoch, placement }))
            }
            Claim::Changed => Commit::Again,
            Claim::Moving(arrival) => Commit::Moving(arrival),
            Claim::Full => Commit::Full,
            Claim::OwnerFull => Commit::BackendFull,
        }
    }

    /// A key that was to move stays where it is: nobody has been told to let go of it.
    pub fn stay(&self, key: &Key) {
        if let Some(table) = self.table() {
            table.stay(key.fingerprint);
        }
    }

    /// Returns a lease.
    pub fn release(&self, lease: Lease, now: Now) {
        if let Some(table) = self.table() {
            table.release(lease.key, lease.epoch, now);
        }
    }

    /// Binds the keys that the head of a response of `backend` issues, and ends the session whose cookie it takes back.
    /// Keys learned together are placed together, and with the key of the request that asked for them: they carry the
    /// placement hash of its binding, so that ids stay together over any number of rotations.
    pub fn learn(
        &self,
        view: &View,
        backend: u32,
        request_key: Option<&Key>,
        response: &crate::headers::Fields,
        now: Now,
    ) -> Lessons {
        let Some(sessions) = self.sessions() else { return Lessons::default() };
        let mut class = Class::new(self, view, backend, request_key, now);
        taught(&sessions.learn, response, now, |said| match said {
            Taught::Issued(bytes) => class.learn(&bytes),
            Taught::TakenBack(source) => class.end(source),
        });
        class.lessons
    }

    /// Binds a key that the body of a response of `backend` issues.
    pub fn learn_key(&self, view: &View, backend: u32, lesson: Lesson<'_>, now: Now) -> Lessons {
        let mut class = Class::new(self, view, backend, lesson.request_key, now);
        class.learn(lesson.bytes);
        class.lessons
    }

    /// Ends a session as soon as nothing of it is live; until then its key stays where it is.
    pub fn end(&self, key: &Key, now: Now) -> bool {
        self.table().is_some_and(|table| table.end(key.fingerprint, now))
    }
}

/// One response, and what it teaches.
struct Class<'a> {
    pool: &'a Pool,
    view: &'a View,
    backend: u32,
    request_key: Option<&'a Key>,
    now: Now,
    /// By which the first key of the response was placed, and with it all others.
    placement: Option<u64>,
    lessons: Lessons,
}

impl<'a> Class<'a> {
    fn new(pool: &'a Pool, view: &'a View, backend: u32, request_key: Option<&'a Key>, now: Now) -> Self {
        let lessons = Lessons::default();
        Self { pool, view, backend, request_key, now, placement: None, lessons }
    }

    /// The session that the client is told to forget is the one it came with, if that was found in this source.
    fn end(&mut self, source: usize) {
        let came_with =
            self.request_key.filter(|key| key.learned.is_some_and(|at| usize::from(at) == source));
        if let Some(key) = came_with {
            self.pool.end(key, self.now);
        }
    }

    fn learn(&mut self, bytes: &[u8]) {
        let Some(sessions) = self.pool.sessions() else { return };
        let key = self.pool.hash_key(bytes);
        let placed_by = |key: &Key| {
            let known = sessions.table.peek(key.fingerprint, self.now);
            known.map_or(key.placement, |known| known.placement)
        };
        let placement = self.placement.unwrap_or_else(|| placed_by(self.request_key.unwrap_or(&key)));
        self.placement = Some(placement);
        let is_gone = |binding: &Binding| match self.view.keeper(binding, self.now) {
            Keeper::Here(_) | Keeper::Newer => false,
            Keeper::Down { .. } => sessions.on_backend_down == OnBackendDown::Rebind,
            Keeper::Gone => true,
        };
        let owner = self.view.owner(self.backend);
        match sessions.table.learn(key.fingerprint, placement, owner, self.now, is_gone) {
            table::Lesson::Learned => self.lessons.learned += 1,
            table::Lesson::Violation => self.lessons.violations += 1,
            table::Lesson::Known | table::Lesson::Full => {}
        }
    }
}

/// A key that a body issues.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The key of the request that was answered.
    pub request_key: Option<&'a Key>,
    /// The key that is issued.
    pub bytes: &'a [u8],
}

impl std::ops::AddAssign for Lessons {
    fn add_assign(&mut self, other: Self) {
        self.learned += other.learned;
        self.violations += other.violations;
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
