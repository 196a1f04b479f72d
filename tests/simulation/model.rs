//! What is true: the fleet as the world made it, and who owns which key, as plain maps say.
//! It learns of the table's answers only what cannot be foretold: epochs, and which session was evicted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use homing::affinity::table::Settings;
use homing::backend::health::Failing;
use homing::backend::{Backend, Cause, Health, Leave};
use homing::clock::Now;
use homing::config::{Drain, Wanted};
use homing::pool::{Home, Pool, View};

/// Everything that is true.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By [`homing::backend::State::id`], those that are forgotten included: old requests still know them.
    pub(crate) fleet: BTreeMap<u64, Truth>,
    /// By fingerprint; those that have expired may be gone.
    pub(crate) sessions: BTreeMap<u64, Session>,
    /// The last epoch of every key that ever had one.
    pub(crate) epochs: BTreeMap<u64, u64>,
    /// Lives that are over.
    pub(crate) over: BTreeSet<u32>,
    /// Sessions that an owner may have.
    pub(crate) limits: BTreeMap<u32, u64>,
    pub(crate) evictions: u64,
    pub(crate) violations: u64,
    newest_owner: Option<u32>,
    pub(crate) idle_secs: u32,
    most_secs: u32,
}

/// One backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truth {
    pub(crate) owner: u32,
    pub(crate) health: Health,
    pub(crate) failing: Failing,
    pub(crate) since: Now,
    pub(crate) in_file: Wanted,
    pub(crate) by_operator: Option<Leave>,
    pub(crate) by_itself: Option<Leave>,
    pub(crate) by_removal: Option<Leave>,
    /// Whether its present life has been named.
    pub(crate) named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) owner: u32,
    pub(crate) epoch: u64,
    pub(crate) placement: u64,
    pub(crate) last_seen: u32,
    pub(crate) live: u32,
    pub(crate) ending: bool,
    pub(crate) moving: bool,
}

/// The fleet as it was when a view was made.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) backends: Vec<Pictured>,
    pub(crate) panics: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pictured {
    pub(crate) truth: Truth,
    pub(crate) weight: u32,
    pub(crate) most: u64,
    pub(crate) home: Option<Home>,
}

/// What a session's owner is to those who see a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    Here(u32),
    Down(Now),
    Gone,
    /// It began after the picture was made.
    Newer,
}

impl Truth {
    pub(crate) fn new(health: Health, since: Now) -> Self {
        Self {
            owner: 0,
            health,
            failing: Failing::Plainly,
            since,
            in_file: Wanted::Ready,
            by_operator: None,
            by_itself: None,
            by_removal: None,
            named: false,
        }
    }

    /// How it leaves: by the wish that ends first.
    pub(crate) fn leave(&self) -> Option<Leave> {
        let wishes = [self.by_operator, self.by_itself, self.by_removal];
        wishes.into_iter().flatten().min_by_key(|leave| leave.deadline)
    }

    pub(crate) fn is_over(&self, now: Now) -> bool {
        self.leave().is_some_and(|leave| now >= leave.deadline)
    }

    pub(crate) fn order(&mut self, wanted: Wanted, drain: Drain, now: Now) {
        let at_once = Drain { timeout: Duration::ZERO, spread: Duration::ZERO };
        self.by_operator = match wanted {
            Wanted::Ready => None,
            Wanted::Drain => Some(Leave::new(Cause::Operator, now, drain)),
            Wanted::Maint => Some(Leave::new(Cause::Operator, now, at_once)),
        };
    }

    pub(crate) fn turns(&mut self, health: Health, now: Now) {
        if health == Health::Down || self.health == Health::Down {
            self.since = now;
        }
        self.health = health;
    }
}

impl Model {
    pub(crate) fn configure(&mut self, settings: Settings) {
        let secs = |duration: Duration| (duration.as_millis().div_ceil(1000)) as u32;
        self.idle_secs = secs(settings.idle_timeout);
        self.most_secs = if settings.max_lifetime.is_zero() { u32::MAX } else { secs(settings.max_lifetime) };
    }

    /// The session of a key, if it has not ended.
    pub(crate) fn session(&self, key: u64, now: Now) -> Option<Session> {
        self.sessions.get(&key).copied().filter(|session| !self.has_expired(session, now))
    }

    pub(crate) fn has_expired(&self, session: &Session, now: Now) -> bool {
        let idle = now.secs().saturating_sub(session.last_seen);
        let age = now.secs().saturating_sub(Now(session.epoch).secs());
        session.live == 0 && (idle > self.idle_secs || age > self.most_secs)
    }

    /// A key gets an owner, under an epoch greater than all it had before.
    pub(crate) fn begin(&mut self, key: u64, session: Session) {
        let before = self.epochs.insert(key, session.epoch);
        assert!(
            before.is_none_or(|before| before < session.epoch),
            "epoch {} after {before:?}",
            session.epoch
        );
        self.sessions.insert(key, session);
    }

    /// One less of a key is live; what was held under a former owner counts no more.
    pub(crate) fn release(&mut self, key: u64, epoch: u64, now: Now) {
        let Some(session) = self.sessions.get_mut(&key).filter(|session| session.epoch == epoch) else {
            return;
        };
        assert!(session.live > 0, "released more often than held");
        session.live -= 1;
        session.last_seen = now.secs();
        if session.live == 0 && session.ending {
            self.sessions.remove(&key);
        }
    }

    /// A session ends as soon as nothing of it is live.
    pub(crate) fn end(&mut self, key: u64, now: Now) -> bool {
        let Some(session) = self.session(key, now) else { return false };
        if session.live == 0 {
            self.sessions.remove(&key);
        } else if let Some(session) = self.sessions.get_mut(&key) {
            session.ending = true;
        }
        true
    }

    /// What the sweep of the table takes: what has expired, and what idles with a life that is over.
    pub(crate) fn sweep(&mut self, now: Now) {
        let mut sessions = std::mem::take(&mut self.sessions);
        sessions
            .retain(|_, it| !self.has_expired(it, now) && (it.live > 0 || !self.over.contains(&it.owner)));
        self.sessions = sessions;
    }

    /// A backend begins a life under a number that no other had.
    pub(crate) fn begin_life(&mut self, id: u64, owner: u32) {
        assert!(self.newest_owner.is_none_or(|newest| owner > newest), "owner {owner} is no new life");
        self.newest_owner = Some(owner);
        if let Some(truth) = self.fleet.get_mut(&id) {
            truth.owner = owner;
        }
    }

    /// The same for one that had a life before, whose sessions are lost.
    pub(crate) fn succeed(&mut self, id: u64, owner: u32) {
        let former = self.fleet[&id].owner;
        self.over.insert(former);
        self.begin_life(id, owner);
        let limit = self.limits.get(&former).copied().unwrap_or(u64::MAX);
        self.limits.insert(owner, limit);
    }

    pub(crate) fn owners(&self) -> std::ops::Range<u32> {
        0..self.newest_owner.map_or(0, |newest| newest + 1)
    }
}

impl Picture {
    pub(crate) fn of(pool: &Pool, view: &View, model: &Model) -> Self {
        let pictured = |(backend, place): (&std::sync::Arc<Backend>, u32)| Pictured {
            truth: model.fleet[&backend.state.id],
            weight: backend.weight,
            most: backend.max_sessions,
            home: view.home(place),
        };
        let backends: Vec<Pictured> = pool.backends.iter().zip(0..).map(pictured).collect();
        let staying: Vec<&Truth> =
            backends.iter().map(|it| &it.truth).filter(|truth| truth.leave().is_none()).collect();
        let in_doubt =
            staying.iter().filter(|it| it.health == Health::Down && it.failing == Failing::Doubtfully);
        let threshold = pool.panic_threshold as usize;
        let panics = threshold > 0 && in_doubt.count() * 100 > staying.len() * threshold;
        Self { backends, panics }
    }

    /// Who may take a key without a binding.
    pub(crate) fn candidates(&self, hashes: bool) -> Vec<u32> {
        let of = |wanted: &[Health]| -> Vec<u32> {
            let takes = |it: &Pictured| {
                it.weight > 0 && it.truth.leave().is_none() && wanted.contains(&it.truth.health)
            };
            self.backends.iter().zip(0..).filter(|(it, _)| takes(it)).map(|(_, place)| place).collect()
        };
        if hashes {
            return of(&[Health::Up, Health::Suspect]);
        }
        let up = of(&[Health::Up]);
        if up.is_empty() && !self.panics { of(&[Health::Suspect]) } else { up }
    }

    pub(crate) fn keeper(&self, session: &Session, model: &Model, now: Now) -> Keeper {
        match self.backends.iter().position(|it| it.truth.owner == session.owner) {
            Some(place) => self.keeps(place as u32, session.placement, now),
            None if model.over.contains(&session.owner) => Keeper::Gone,
            None => Keeper::Newer,
        }
    }

    pub(crate) fn keeps(&self, place: u32, placement: u64, now: Now) -> Keeper {
        let truth = &self.backends[place as usize].truth;
        if truth.leave().is_some_and(|leave| now >= leave.moment(placement)) {
            return Keeper::Gone;
        }
        let believed = !self.panics || truth.failing == Failing::Plainly;
        if truth.health == Health::Down && believed { Keeper::Down(truth.since) } else { Keeper::Here(place) }
    }
}
