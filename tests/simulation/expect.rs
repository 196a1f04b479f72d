//! What each answer of the library must be, by what is true.

use homing::affinity::table::Fingerprint;
use homing::clock::Now;
use homing::config::OnBackendDown;
use homing::pool::{Affinity, Commit, Decision, Key, Lease, Lessons, Pool, Reason, Refusal, Tie};

use crate::fleet::Kind;
use crate::model::{Keeper, Session};
use crate::traffic::Request;
use crate::world::{Current, Seen, World};

/// What a decision must be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// The key stays.
    Stays(u32, Tie),
    /// The key has no owner, or lost it.
    Placed(Reason, Tie),
    Refused(Refusal),
    /// The key lives on a backend that this request has not heard of.
    Outdated,
}

impl World {
    pub(crate) fn check_decision(&self, request: &Request, seen: &Seen, decided: Result<Decision, Refusal>) {
        let pool = request.current.pool();
        let expected = self.expected(request, seen, pool);
        match (expected, decided) {
            (Expected::Stays(backend, tie), Ok(decision)) => {
                assert_eq!(decision, Decision { backend, reason: Reason::Bound, tie }, "a bound key stays");
            }
            (Expected::Placed(reason, tie), Ok(decision)) => {
                assert_eq!((decision.reason, decision.tie), (reason, tie));
                Self::check_target(request, seen, decision.backend);
            }
            (Expected::Placed(..), Err(refusal @ (Refusal::NoBackend | Refusal::Full))) => {
                self.check_nobody(request, seen, refusal);
            }
            (Expected::Refused(expected), Err(refusal)) => assert_eq!(refusal, expected),
            (Expected::Outdated, Err(Refusal::Outdated)) => {}
            (expected, decided) => panic!("{decided:?} instead of {expected:?}"),
        }
    }

    fn expected(&self, request: &Request, seen: &Seen, pool: &Pool) -> Expected {
        let Some(key) = request.key else { return Expected::Placed(Reason::Balanced, Tie::None) };
        let Some(sessions) = pool.sessions() else { return Expected::Placed(Reason::Placed, Tie::None) };
        let policy = sessions.on_backend_down;
        if let Some(session) = self.model.session(key.fingerprint.0, self.now) {
            let keeper = seen.picture.keeper(&session, &self.model, self.now);
            return moves(keeper, Tie::Bound, Tie::Lost { epoch: session.epoch }, (policy, self.now));
        }
        let Some(home) = key.home else { return Expected::Placed(Reason::Placed, Tie::New) };
        let lives = |now: &homing::pool::Home| {
            let same = now.incarnation == 0 || home.incarnation == 0 || now.incarnation == home.incarnation;
            now.backend == home.backend && now.address == home.address && same
        };
        let place = seen.picture.backends.iter().position(|it| it.home.as_ref().is_some_and(lives));
        let keeper =
            place.map_or(Keeper::Gone, |place| seen.picture.keeps(place as u32, key.placement, self.now));
        moves(keeper, Tie::Carried, Tie::New, (policy, self.now))
    }

    fn hashes(request: &Request) -> bool {
        request.key.is_some() && matches!(request.current.pool().affinity, Affinity::Hash { .. })
    }

    fn is_full(seen: &Seen, pool: &Pool, backend: u32) -> bool {
        let most = seen.picture.backends[backend as usize].most;
        let owner = seen.picture.backends[backend as usize].truth.owner;
        most > 0 && pool.table().is_some_and(|table| table.sessions(owner) >= most)
    }

    /// New work goes to those who take it: not to one that leaves, is down or unknown, refused it, or is full.
    fn check_target(request: &Request, seen: &Seen, backend: u32) {
        let candidates = seen.picture.candidates(Self::hashes(request));
        assert!(candidates.contains(&backend), "{backend} takes nothing new: {candidates:?}");
        assert!(!request.skip.contains(&backend), "{backend} refused it");
        let limits = request.key.is_some() && request.current.pool().limits_sessions;
        let full = limits && Self::is_full(seen, request.current.pool(), backend);
        assert!(!full, "{backend} has all the sessions it may have");
    }

    fn check_nobody(&self, request: &Request, seen: &Seen, refusal: Refusal) {
        let pool = request.current.pool();
        if pool.hash_table.is_some() && !std::ptr::eq(pool, self.pool()) {
            // A backend that was gone when the table was made, and is back, is in no place of it.
            return;
        }
        let mut left = seen.picture.candidates(Self::hashes(request));
        left.retain(|backend| !request.skip.contains(backend));
        if refusal == Refusal::Full {
            left.retain(|backend| !Self::is_full(seen, request.current.pool(), *backend));
        }
        assert!(left.is_empty(), "{refusal:?}, but there is {left:?}");
    }

    // === Commits ===

    pub(crate) fn check_commit(
        &mut self,
        request: u32,
        decision: &Decision,
        owner: u32,
        before: Option<Session>,
        committed: &Commit,
    ) {
        let Request { key, force, .. } = self.requests[&request];
        if decision.tie == Tie::None {
            assert!(matches!(committed, Commit::Go(None)));
            return;
        }
        let key = key.unwrap();
        let known = before.filter(|session| match decision.tie {
            Tie::Lost { epoch } => session.epoch == epoch,
            _ => session.owner == owner,
        });
        match committed {
            Commit::Go(lease) => {
                let lease = lease.unwrap();
                self.check_lease(&key, decision.tie, (owner, force), before, lease);
            }
            Commit::Again => {
                let lost = matches!(decision.tie, Tie::Lost { .. });
                assert!(known.is_none() && (lost || before.is_some()), "again, for {before:?}");
            }
            Commit::Moving(_) => self.check_moving(&key, decision.tie, force, known),
            Commit::BackendFull => {
                let sessions = self.pool().table().unwrap().sessions(owner);
                assert!(sessions >= self.model.limits[&owner], "{sessions} sessions are not too many");
            }
            Commit::Full => {
                let live = self.model.sessions.values().filter(|session| session.live > 0).count();
                let table = self.pool().table().unwrap();
                assert!(
                    live == table.len() && live >= table.capacity(),
                    "{live} live sessions fill the table"
                );
            }
        }
        self.check_key(key.fingerprint.0);
    }

    fn check_lease(
        &mut self,
        key: &Key,
        tie: Tie,
        (owner, force): (u32, bool),
        before: Option<Session>,
        lease: Lease,
    ) {
        let (now, fingerprint) = (self.now, key.fingerprint.0);
        let session = match (tie, before) {
            (Tie::Lost { epoch }, Some(before)) => {
                assert_eq!(before.epoch, epoch, "what is moved is what was lost");
                assert!(before.live == 0 || force, "it is still live");
                self.moved_on(fingerprint, force);
                Session { owner, epoch: lease.epoch, live: 1, ending: false, moving: false, ..before }
            }
            (Tie::Lost { .. }, None) => panic!("moved, but it had no owner"),
            (_, Some(before)) => {
                assert_eq!((before.owner, before.epoch), (owner, lease.epoch), "its owner has it");
                assert!(!before.moving || before.live == 0, "it is on its way");
                Session { live: before.live + 1, moving: false, ..before }
            }
            (_, None) => {
                self.moved_on(fingerprint, false);
                let (epoch, placement) = (lease.epoch, key.placement);
                Session { owner, epoch, placement, last_seen: 0, live: 1, ending: false, moving: false }
            }
        };
        assert_eq!(lease.placement, session.placement);
        let session = Session { last_seen: now.secs(), ..session };
        if before.is_some_and(|before| before.epoch == session.epoch) {
            self.model.sessions.insert(fingerprint, session);
        } else {
            self.model.begin(fingerprint, session);
            let sessions = self.pool().table().unwrap().sessions(owner);
            let fits = tie == Tie::Carried || sessions <= self.model.limits[&owner];
            assert!(fits, "owner {owner} has {sessions} sessions, of {} at most", self.model.limits[&owner]);
        }
        self.check_together(fingerprint, &session);
    }

    /// A key gets another owner: what is open of the former one was left behind by force, or there is nothing.
    fn moved_on(&mut self, key: u64, force: bool) {
        for exchange in self.exchanges.values_mut() {
            let is_of_key = exchange.lease.is_some_and(|lease| lease.key.0 == key);
            if is_of_key && exchange.membership.is_some() && !exchange.straggles {
                assert!(force, "the key moves while an exchange with owner {} is open", exchange.owner);
                exchange.straggles = true;
            }
        }
    }

    /// All that is open of a key is with one backend in one life; what was left behind has an older epoch.
    fn check_together(&self, key: u64, session: &Session) {
        let of_key = |lease: Lease| (lease.key.0 == key).then_some(lease.epoch);
        for exchange in self.exchanges.values().filter(|exchange| exchange.membership.is_some()) {
            let Some(epoch) = exchange.lease.and_then(of_key) else { continue };
            let together = (exchange.owner, epoch) == (session.owner, session.epoch);
            assert!(together || exchange.straggles && epoch < session.epoch, "two owners of one key");
        }
    }

    fn check_moving(&mut self, key: &Key, tie: Tie, force: bool, known: Option<Session>) {
        let Some(session) = known else { panic!("moving, but not from where it was thought to be") };
        assert!(session.live > 0, "nothing holds it");
        if let Tie::Lost { .. } = tie {
            assert!(!force);
            self.model.sessions.insert(key.fingerprint.0, Session { moving: true, ..session });
        } else {
            assert!(session.moving, "nobody moves it");
        }
    }

    // === Lessons ===

    /// What a response of `backend` teaches, one key after the other.
    pub(crate) fn check_lessons(
        &mut self,
        current: &Current,
        seen: &Seen,
        backend: u32,
        (asked, issued): (Option<Key>, &[Key]),
        lessons: Lessons,
    ) {
        if self.kind != Kind::Table {
            return;
        }
        let policy = current.pool().sessions().map(|sessions| sessions.on_backend_down);
        let owner = seen.picture.backends[backend as usize].truth.owner;
        let Some(first) = asked.as_ref().or(issued.first()) else { return };
        let placement =
            self.model.session(first.fingerprint.0, self.now).map_or(first.placement, |it| it.placement);
        if self.pool().table().is_some_and(|table| table.evictions() > self.model.evictions) {
            return issued
                .iter()
                .for_each(|key| self.check_crowded_lesson(key.fingerprint.0, owner, placement));
        }
        let (mut learned, mut violations) = (0, 0);
        for key in issued {
            match self.model.session(key.fingerprint.0, self.now) {
                Some(session) if session.owner == owner => {
                    let last_seen = self.now.secs();
                    let session = Session { ending: false, last_seen, ..session };
                    self.model.sessions.insert(key.fingerprint.0, session);
                    continue;
                }
                Some(session) if session.live > 0 || !self.is_lost(seen, &session, policy) => {
                    violations += 1;
                    continue;
                }
                _ => {}
            }
            learned += u32::from(self.learns(key.fingerprint.0, owner, placement));
        }
        assert_eq!(lessons.violations, violations, "keys that live elsewhere");
        self.model.violations += u64::from(violations);
        // One may have been evicted for the next.
        assert!(
            lessons.learned >= learned && lessons.learned as usize <= issued.len(),
            "{lessons:?}, {learned}"
        );
        if lessons.learned > 0 {
            self.note("learned");
        }
        if lessons.violations > 0 {
            self.note("violation");
        }
        for key in issued {
            self.check_key(key.fingerprint.0);
        }
    }

    /// The same where one key was evicted for another of the same response: nobody can tell which came first.
    fn check_crowded_lesson(&mut self, key: u64, owner: u32, placement: u64) {
        let table = self.pool().table().cloned().unwrap();
        self.model.violations = table.violations();
        let known = self.model.session(key, self.now);
        let binding = table.peek(Fingerprint(key), self.now);
        if let (Some(known), Some(binding)) = (known, binding)
            && known.epoch == binding.epoch
        {
            let is_his = known.owner == owner;
            let last_seen = if is_his { self.now.secs() } else { known.last_seen };
            let known = Session { last_seen, ending: known.ending && !is_his, ..known };
            self.model.sessions.insert(key, known);
            return;
        }
        assert!(known.is_none_or(|known| known.live == 0), "a live key is gone");
        match binding {
            Some(_) => assert!(self.learns(key, owner, placement)),
            None => drop(self.model.sessions.remove(&key)),
        }
    }

    fn is_lost(&self, seen: &Seen, session: &Session, policy: Option<OnBackendDown>) -> bool {
        match seen.picture.keeper(session, &self.model, self.now) {
            Keeper::Gone => true,
            Keeper::Down(_) => policy == Some(OnBackendDown::Rebind),
            Keeper::Here(_) | Keeper::Newer => false,
        }
    }

    /// A key that nobody has is bound, if there is room.
    fn learns(&mut self, key: u64, owner: u32, placement: u64) -> bool {
        self.moved_on(key, false);
        let table = self.pool().table().unwrap();
        let binding = table.peek(Fingerprint(key), self.now);
        let Some(binding) = binding else {
            assert!(table.len() >= table.capacity(), "not learned, but there is room");
            self.model.sessions.remove(&key);
            return false;
        };
        assert_eq!((binding.owner, binding.placement, binding.live), (owner, placement, 0), "learned");
        let (epoch, last_seen) = (binding.epoch, self.now.secs());
        self.model.begin(
            key,
            Session { owner, epoch, placement, last_seen, live: 0, ending: false, moving: false },
        );
        true
    }
}

fn moves(keeper: Keeper, bound: Tie, lost: Tie, (policy, now): (OnBackendDown, Now)) -> Expected {
    let rebound = Expected::Placed(Reason::Rebound, lost);
    match (keeper, policy) {
        (Keeper::Here(backend), _) => Expected::Stays(backend, bound),
        (Keeper::Newer, _) => Expected::Outdated,
        (Keeper::Gone, _) | (Keeper::Down(_), OnBackendDown::Rebind) => rebound,
        (Keeper::Down(_), OnBackendDown::Reject) => Expected::Refused(Refusal::Down),
        (Keeper::Down(since), OnBackendDown::Wait(time)) => {
            let until = since.after(time);
            if now < until { Expected::Refused(Refusal::Wait { until }) } else { rebound }
        }
    }
}
