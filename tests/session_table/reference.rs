//! What the session table should say, told by a map that is scanned.

use std::collections::BTreeMap;

use homing::affinity::table::Binding;
use homing::clock::Now;

use crate::IDLE_SECS;

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) owner: u32,
    pub(crate) epoch: u64,
    pub(crate) placement: u64,
    pub(crate) last_seen: u32,
    pub(crate) live: u32,
    pub(crate) seen_again: bool,
    pub(crate) moving: bool,
}

/// What an operation says, without what depends on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Held(Age),
    Changed,
    Moving,
    Full,
    Learned,
    Known,
    Violation,
}

/// Whether a binding has a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    New,
    Old,
}

#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) capacity: usize,
    /// Those whose end has not been noticed included.
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) evictions: u64,
    pub(crate) violations: u64,
}

impl Reference {
    pub(crate) fn session(&mut self, key: u64, now: Now) -> Option<&mut Session> {
        self.sessions.get_mut(&key).filter(|session| !session.has_ended(now))
    }

    pub(crate) fn claim(&mut self, key: u64, placement: u64, owner: u32, now: Now) -> Answer {
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

    pub(crate) fn release(&mut self, key: u64, epoch: u64, now: Now) {
        if let Some(session) = self.sessions.get_mut(&key).filter(|session| session.epoch == epoch) {
            session.live -= 1;
            session.last_seen = now.secs();
        }
    }

    pub(crate) fn learn(&mut self, key: u64, placement: u64, owner: u32, now: Now, gone: u32) -> Answer {
        let Some(session) = self.session(key, now) else {
            let session = Session::new(placement, owner, now, 0);
            return if self.insert(key, session) { Answer::Learned } else { Answer::Full };
        };
        if session.owner == owner {
            session.touch(now);
            return Answer::Known;
        }
        if session.live == 0 && session.owner == gone {
            *session = Session::new(placement, owner, now, 0);
            return Answer::Learned;
        }
        self.violations += 1;
        Answer::Violation
    }

    pub(crate) fn rebind(&mut self, key: u64, epoch: u64, owner: u32, now: Now, force: bool) -> Answer {
        let Some(session) = self.session(key, now).filter(|session| session.epoch == epoch) else {
            return Answer::Changed;
        };
        if session.live > 0 && !force {
            session.moving = true;
            return Answer::Moving;
        }
        session.give(owner, now);
        Answer::Held(Age::New)
    }

    pub(crate) fn insert(&mut self, key: u64, session: Session) -> bool {
        if !self.sessions.contains_key(&key) && self.sessions.len() >= self.capacity {
            let idle = self.sessions.iter().filter(|(_, session)| session.live == 0);
            let Some((&victim, _)) = idle.min_by_key(|(_, session)| (session.seen_again, session.last_seen))
            else {
                return false;
            };
            self.sessions.remove(&victim);
            self.evictions += 1;
        }
        self.sessions.insert(key, session);
        true
    }

    pub(crate) fn sweep(&mut self, now: Now) {
        self.sessions.retain(|_, session| !session.has_ended(now));
    }
}

impl Session {
    pub(crate) fn new(placement: u64, owner: u32, now: Now, live: u32) -> Self {
        Self { owner, epoch: 0, placement, last_seen: now.secs(), live, seen_again: false, moving: false }
    }

    pub(crate) fn touch(&mut self, now: Now) {
        self.last_seen = now.secs();
        self.seen_again = true;
    }

    pub(crate) fn give(&mut self, owner: u32, now: Now) {
        *self = Self { owner, live: 1, moving: false, ..self.clone() };
        self.touch(now);
    }

    pub(crate) fn has_ended(&self, now: Now) -> bool {
        self.live == 0 && now.secs() - self.last_seen > IDLE_SECS
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.moving && self.live > 0
    }

    pub(crate) fn binding(&self) -> Binding {
        Binding { owner: self.owner, epoch: self.epoch, placement: self.placement, live: self.live }
    }
}
