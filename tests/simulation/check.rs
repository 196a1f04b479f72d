//! What must be true after every event, and at the end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use homing::affinity::table::{Binding, Fingerprint};
use homing::balance::HashTable;
use homing::config::Balance;
use homing::pool::{Affinity, Choice, Pool, View};

use crate::model::{Picture, Session};
use crate::world::World;

/// Where a sample of keys would be placed, and among whom.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    generation: u64,
    balance: Option<Balance>,
    /// Names and weights of those who take new keys.
    candidates: BTreeMap<String, u32>,
    /// The same of those that the file names.
    members: BTreeMap<String, u32>,
    homes: Vec<Option<String>>,
    /// To whom a table gives keys when all can take them.
    drawn: Rc<Vec<Option<String>>>,
    table: Option<Arc<HashTable>>,
}

/// Keys that are followed.
const SAMPLE: usize = 24;
/// Keys by which tables are compared: two that are made of the same backends in another order hardly differ.
const DRAWN: u64 = 1000;
/// Events between two checks of what takes long.
const OFTEN: u64 = 16;

impl Session {
    fn binding(&self) -> Binding {
        Binding { owner: self.owner, epoch: self.epoch, placement: self.placement, live: self.live }
    }
}

impl World {
    /// Panics if anything is not as it must be.
    pub(crate) fn check(&mut self) {
        self.check_table();
        self.check_placements();
        if self.steps.is_multiple_of(OFTEN) {
            self.check_counts();
        }
        for worker in 0..self.workers.len() {
            let requests = self.requests.values().filter(|request| request.worker == worker).count();
            let open = self.exchanges.values().filter(|it| it.is_open_at(worker)).count();
            assert_eq!(self.workers[worker].exchanges.len(), requests + open, "exchanges of worker {worker}");
        }
    }

    /// A view shows what is true.
    pub(crate) fn check_view(pool: &Pool, view: &View, picture: &Picture) {
        for (it, place) in picture.backends.iter().zip(0..) {
            let truth = &it.truth;
            assert_eq!((view.health(place), view.since(place)), (truth.health, truth.since));
            assert_eq!((view.owner(place), view.leave(place)), (truth.owner, truth.leave()));
        }
        assert_eq!(view.panics(), picture.panics);
        let candidates: Vec<u32> = view.candidates().iter().map(|candidate| candidate.backend).collect();
        assert_eq!(candidates, picture.candidates(matches!(pool.affinity, Affinity::Hash { .. })));
    }

    // === The table ===

    /// The table says of a key what the model says.
    pub(crate) fn check_key(&mut self, key: u64) {
        self.notice_evictions();
        let Some(table) = self.pool().table() else { return };
        let expected = self.model.session(key, self.now).map(|session| session.binding());
        assert_eq!(table.peek(Fingerprint(key), self.now), expected, "the binding of {key:x}");
    }

    /// Which sessions were evicted is the table's choice, but none of them was live.
    fn notice_evictions(&mut self) {
        let (now, pool) = (self.now, self.snapshot.pools[0].clone());
        let Some(table) = pool.table() else { return };
        let evicted = table.evictions() - self.model.evictions;
        if evicted == 0 {
            return;
        }
        self.model.evictions += evicted;
        self.note("evicted");
        let is_missing = |(key, session): (&u64, &Session)| {
            let missing =
                !self.model.has_expired(session, now) && table.peek(Fingerprint(*key), now).is_none();
            missing.then_some((*key, session.live))
        };
        let missing: Vec<(u64, u32)> = self.model.sessions.iter().filter_map(is_missing).collect();
        assert!(missing.len() as u64 <= evicted, "{missing:?} are gone, and only {evicted} were evicted");
        for (key, live) in missing {
            assert_eq!(live, 0, "evicted while it was live");
            self.model.sessions.remove(&key);
        }
    }

    fn check_table(&mut self) {
        self.notice_evictions();
        let pool = self.snapshot.pools[0].clone();
        let Some(table) = pool.table() else { return };
        assert_eq!(table.violations(), self.model.violations);
        let (sessions, capacity) = (table.len(), table.capacity());
        assert!(sessions <= capacity.max(self.most_sessions), "{sessions} sessions in a table of {capacity}");
        self.most_sessions = sessions;
        // A different part of the keys each time.
        let from = homing::stable_hash::mix(self.steps);
        let some: Vec<u64> = self.model.sessions.range(from..).take(2).map(|(key, _)| *key).collect();
        for key in some {
            self.check_key(key);
        }
    }

    fn check_counts(&mut self) {
        for backend in &self.pool().backends {
            let in_flight = backend.state.sum(|counters| &counters.in_flight);
            assert_eq!(in_flight, self.in_flight(backend.state.id) as u64, "in flight to {}", backend.name);
        }
        let Some(table) = self.pool().table() else { return };
        let mut owned: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for session in self.model.sessions.values() {
            let (certain, expired) = owned.entry(session.owner).or_default();
            *(if self.model.has_expired(session, self.now) { expired } else { certain }) += 1;
        }
        let mut sum = 0;
        for owner in self.model.owners() {
            let counted = table.sessions(owner);
            let (certain, expired) = owned.get(&owner).copied().unwrap_or_default();
            let fits = (certain..=certain + expired).contains(&counted);
            assert!(fits, "owner {owner} has {counted} sessions, not {certain} and at most {expired} more");
            sum += counted;
        }
        assert_eq!(sum, table.len() as u64, "each session is counted once");
        self.check_live();
    }

    /// What is live of a key is what holds it.
    fn check_live(&self) {
        let mut held: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        for lease in self.exchanges.values().filter_map(|exchange| exchange.lease) {
            *held.entry((lease.key.0, lease.epoch)).or_default() += 1;
        }
        for (key, session) in &self.model.sessions {
            let held = held.get(&(*key, session.epoch)).copied().unwrap_or(0);
            assert_eq!(session.live, held, "what is live of {key:x}");
        }
    }

    // === Placement ===

    /// A change moves the keys of who lost a share to others, and keys of others to who gained one; no others.
    fn check_placements(&mut self) {
        let pool = self.snapshot.pools[0].clone();
        let hashes = pool.balance.hashes() && pool.hash_balance_factor == 0 && pool.slow_start.is_zero();
        if !hashes || pool.limits_sessions {
            self.placements = Placements::default();
            return;
        }
        if self.placements.generation == pool.shared.generation() {
            return;
        }
        let mut now = Placements::of(&pool, &self.config, self.now);
        now.draw(&pool, &self.placements);
        self.placements.check(&now);
        self.placements = now;
    }

    // === The end ===

    /// When all has ended and time has passed, nothing is left.
    pub(crate) fn finish(&mut self) {
        self.requests.clear();
        let exchanges: Vec<u32> = self.exchanges.keys().copied().collect();
        for exchange in exchanges {
            self.end(exchange, true);
        }
        self.check_counts();
        self.check();
        self.now = self.now.after(Duration::from_hours(24));
        self.model.sweep(self.now);
        assert!(self.workers.iter().all(|worker| worker.exchanges.is_empty()));
        let Some(table) = self.pool().table() else { return };
        table.sweep(self.now, usize::MAX);
        assert!(table.is_empty() && self.model.sessions.is_empty());
        assert!(self.model.owners().all(|owner| table.sessions(owner) == 0));
        assert!(!format!("{table:?}").contains("arrivals: [("), "nobody waits for anything");
    }
}

impl Placements {
    fn of(pool: &Pool, config: &homing::config::Config, now: homing::clock::Now) -> Self {
        let view = View::new(pool, 0);
        let name = |backend: u32| pool.backends[backend as usize].name.to_string();
        let choice = Choice { skip: &[], load: &|_| 0, now };
        let home = |number: usize| {
            let key = pool.hash_key(format!("sample-{number}").as_bytes());
            pool.place_anew(&view, &key, &choice).ok().map(|decision| name(decision.backend))
        };
        let members = config.pools[0].backends.iter().map(|it| (it.name.clone(), it.weight));
        Self {
            generation: pool.shared.generation(),
            balance: Some(pool.balance),
            candidates: view.candidates().iter().map(|it| (name(it.backend), it.weight)).collect(),
            members: members.collect(),
            homes: (0..SAMPLE).map(home).collect(),
            drawn: Rc::default(),
            table: pool.hash_table.clone(),
        }
    }

    /// Draws from the table, if it is another than before.
    fn draw(&mut self, pool: &Pool, before: &Self) {
        let Some(table) = &self.table else { return };
        if before.table.as_ref().is_some_and(|before| Arc::ptr_eq(before, table)) {
            self.drawn = before.drawn.clone();
            return;
        }
        let drawn = (0..DRAWN).map(|key| table.pick(homing::stable_hash::mix(key), |_| true));
        let name = |backend: u32| pool.backends[backend as usize].name.to_string();
        self.drawn = Rc::new(drawn.map(|backend| backend.map(name)).collect());
    }

    fn check(&self, now: &Self) {
        // A rebuilt table of maglev's moves a few keys beside those it must.
        let rebuilt = now.balance == Some(Balance::Maglev) && self.members != now.members;
        if self.balance != now.balance || rebuilt {
            return;
        }
        assert!(self.members != now.members || self.drawn == now.drawn, "the order of the file counts");
        let share = |of: &Self, name: &Option<String>| {
            name.as_ref().and_then(|name| of.candidates.get(name)).copied().unwrap_or(0)
        };
        for (before, after) in self.homes.iter().zip(&now.homes).filter(|(before, after)| before != after) {
            let loses = share(self, before) > share(now, before);
            let gains = share(self, after) < share(now, after);
            assert!(loses || gains, "a key moves from {before:?} to {after:?}: {self:?} and then {now:?}");
        }
    }
}
