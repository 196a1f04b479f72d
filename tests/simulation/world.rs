//! A proxy without sockets, threads or clock: what happens to its fleet, and to time.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use homing::affinity::SessionTable;
use homing::affinity::table::{Fingerprint, Loss, Settings};
use homing::backend::health::{Machine, Observation};
use homing::backend::{Backend, Cause, Health, Leave};
use homing::clock::Now;
use homing::config::{Address, Config, Drain, Mode, Wanted};
use homing::pool::{self, Affinity, Pool, View};
use homing::snapshot::Snapshot;
use homing::transport::exchange::{Exchanges, Phase};
use homing::watch::Call;

use crate::check::Placements;
use crate::event::Event;
use crate::fleet::{Kind, Setup};
use crate::model::{Model, Picture, Session, Truth};
use crate::traffic::{Client, Exchange, Request};

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) kind: Kind,
    pub(crate) config: Config,
    pub(crate) snapshot: Arc<Snapshot>,
    generation: u64,
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Vec<Client>,
    pub(crate) requests: BTreeMap<u32, Request>,
    pub(crate) exchanges: BTreeMap<u32, Exchange>,
    pub(crate) model: Model,
    /// By [`homing::backend::State::id`].
    processes: BTreeMap<u64, Process>,
    names_instances: bool,
    /// [`homing::backend::State::id`] of every backend there was; they differ from run to run.
    ids: Vec<u64>,
    pub(crate) next_number: u32,
    pub(crate) placements: Placements,
    pub(crate) most_sessions: usize,
    pub(crate) steps: u64,
    /// How often the library answered what.
    pub(crate) tally: BTreeMap<&'static str, u64>,
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) exchanges: Rc<Exchanges>,
    current: Rc<Current>,
    /// Orders that it has not carried out: key, epoch, call.
    pub(crate) orders: VecDeque<(u64, u64, Call)>,
    /// Events for which it sees nothing new.
    lag: u32,
}

/// A worker's copy of one snapshot; requests keep theirs.
pub(crate) struct Current {
    snapshot: Arc<Snapshot>,
    generation: u64,
    seen: RefCell<Rc<Seen>>,
}

/// A view, and what was true when it was made.
pub(crate) struct Seen {
    pub(crate) view: View,
    pub(crate) picture: Picture,
}

/// The process behind a backend, and who checks it.
struct Process {
    machine: Machine,
    /// Which start it was.
    starts: u32,
    wants_to_leave: bool,
}

const FORGET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

impl Current {
    pub(crate) fn pool(&self) -> &Pool {
        &self.snapshot.pools[0]
    }
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Now(1_800_000_000_000_000);
        let mut snapshot = Snapshot::build(&setup.config, None, setup.workers, now);
        let mut model = Model::default();
        seed_table(&mut snapshot, bounds(&setup.config), setup.seed);
        if let Some(bounds) = bounds(&setup.config) {
            model.configure(bounds);
        }
        let snapshot = Arc::new(snapshot);
        let mut world = Self {
            now,
            kind: setup.kind,
            ids: Vec::new(),
            workers: Vec::new(),
            clients: (0..setup.clients).map(Client::new).collect(),
            requests: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            model,
            processes: BTreeMap::new(),
            names_instances: setup.names_instances,
            generation: 0,
            next_number: 0,
            placements: Placements::default(),
            most_sessions: 0,
            steps: 0,
            tally: BTreeMap::new(),
            config: setup.config,
            snapshot,
        };
        for backend in &world.snapshot.clone().pools[0].backends {
            world.appears(backend, Now(0));
        }
        world.workers = (0..setup.workers).map(|_| world.new_worker()).collect();
        world
    }

    fn new_worker(&self) -> Worker {
        let current = self.new_current();
        Worker { exchanges: Exchanges::new(), current, orders: VecDeque::new(), lag: 0 }
    }

    fn new_current(&self) -> Rc<Current> {
        let (snapshot, generation) = (self.snapshot.clone(), self.generation);
        let seen = RefCell::new(Rc::new(self.look(&snapshot.pools[0])));
        Rc::new(Current { snapshot, generation, seen })
    }

    fn look(&self, pool: &Pool) -> Seen {
        let view = View::new(pool, self.steps);
        let picture = Picture::of(pool, &view, &self.model);
        Self::check_view(pool, &view, &picture);
        Seen { view, picture }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.snapshot.pools[0]
    }

    /// A backend by its number, if it is not forgotten.
    fn backend(&self, number: usize) -> Option<Arc<Backend>> {
        self.pool().backends.iter().find(|backend| backend.state.id == self.ids[number]).cloned()
    }

    pub(crate) fn number_of(&self, id: u64) -> usize {
        self.ids.iter().position(|known| *known == id).unwrap()
    }

    /// The snapshot that a new request gets.
    pub(crate) fn current(&mut self, worker: usize) -> Rc<Current> {
        if self.workers[worker].lag == 0 && self.workers[worker].current.generation != self.generation {
            self.workers[worker].current = self.new_current();
        }
        self.workers[worker].current.clone()
    }

    /// The pool as a worker sees it now, through the snapshot of one of its requests.
    pub(crate) fn see(&self, worker: usize, current: &Current) -> Rc<Seen> {
        let old = current.seen.borrow().view.generation != current.pool().shared.generation();
        if old && self.workers[worker].lag == 0 {
            current.seen.replace(Rc::new(self.look(current.pool())));
        }
        current.seen.borrow().clone()
    }

    pub(crate) fn note(&mut self, answer: &'static str) {
        *self.tally.entry(answer).or_default() += 1;
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        self.steps += 1;
        self.workers.iter_mut().for_each(|worker| worker.lag = worker.lag.saturating_sub(1));
        match *event {
            Event::Check { backend, saw } => self.check_backend(backend, saw),
            Event::Restart { backend } => {
                if let Some(process) = self.processes.get_mut(&self.ids[backend]) {
                    process.starts += 1;
                }
            }
            Event::Operator { backend, wanted, secs } => self.operator(backend, wanted, secs),
            Event::Wish { backend, leave } => {
                if let Some(process) = self.processes.get_mut(&self.ids[backend]) {
                    process.wants_to_leave = leave;
                }
            }
            Event::Reload(ref change) => {
                change.apply(&mut self.config);
                self.reload();
            }
            Event::Pass(duration) => self.now = self.now.after(duration),
            Event::Sweep { worker } => self.close_what_leaves(worker),
            Event::Tidy => self.tidy(),
            Event::Lag { worker, events } => self.workers[worker].lag = events,
            _ => self.traffic(event),
        }
    }

    // === The fleet ===

    fn appears(&mut self, backend: &Backend, since: Now) {
        let (id, wanted) = (backend.state.id, self.wanted_in_file(&backend.name));
        let checked = self.config.pools[0].health.is_some();
        let health = if checked { Health::Unknown } else { Health::Up };
        let mut truth = Truth::new(health, since);
        truth.in_file = wanted;
        if wanted != Wanted::Ready {
            truth.order(wanted, self.config.pools[0].drain, self.now);
        }
        self.model.fleet.insert(id, truth);
        self.ids.push(id);
        if self.kind != Kind::Hash {
            self.model.begin_life(id, backend.state.owner());
            self.limit(backend);
        }
        let machine = self.machine(health);
        self.processes.insert(id, Process { machine, starts: 0, wants_to_leave: false });
    }

    fn wanted_in_file(&self, name: &str) -> Wanted {
        let backends = &self.config.pools[0].backends;
        backends.iter().find(|backend| backend.name == name).map_or(Wanted::Ready, |backend| backend.state)
    }

    fn limit(&mut self, backend: &Backend) {
        let most = if backend.max_sessions == 0 { u64::MAX } else { backend.max_sessions };
        self.model.limits.insert(backend.state.owner(), most);
    }

    fn machine(&self, health: Health) -> Machine {
        let pool = &self.config.pools[0];
        match &pool.health {
            Some(active) => Machine::new(health, active.rise, active.fall),
            None => Machine::new(health, 1, pool.outlier.consecutive_failures),
        }
    }

    fn truth(&mut self, id: u64) -> &mut Truth {
        self.model.fleet.get_mut(&id).unwrap()
    }

    /// As the checker does it.
    fn check_backend(&mut self, number: usize, saw: Observation) {
        let Some(backend) = self.backend(number) else { return };
        let answered = matches!(saw, Observation::Good | Observation::Bad);
        if answered && self.config.pools[0].health.is_some() {
            self.lives(&backend);
            self.wishes(&backend);
        }
        self.observe(&backend, saw);
    }

    pub(crate) fn observe(&mut self, backend: &Backend, saw: Observation) {
        let (now, shared, state) = (self.now, self.pool().shared.clone(), &backend.state);
        let failing = saw.failing().unwrap_or_else(|| state.failing());
        let in_doubt = failing != state.failing();
        state.set_failing(failing);
        self.truth(state.id).failing = failing;
        let process = self.processes.get_mut(&state.id).unwrap();
        if let Some(change) = process.machine.observe(saw) {
            state.set_health(change.to, now);
            self.truth(state.id).turns(change.to, now);
            shared.changed();
        } else if in_doubt && process.machine.health() == Health::Down {
            shared.changed();
        }
    }

    /// Its answer names the life it lives.
    fn lives(&mut self, backend: &Backend) {
        let state = &backend.state;
        let address = state.address().unwrap();
        let instance = format!("{address}-{}", self.processes[&state.id].starts);
        if !self.names_instances || state.instance().is_some_and(|known| *known == *instance) {
            return;
        }
        let before = state.set_instance(&instance);
        let truth = self.truth(state.id);
        let was_named = std::mem::replace(&mut truth.named, true);
        assert_eq!(before.is_some(), was_named, "{} is taken for a restarted one", backend.name);
        if let (Some(_), Some(table)) = (before, self.pool().table().cloned()) {
            state.set_owner(table.succeed_owner(state.owner(), Loss::Restarted));
            self.model.succeed(state.id, state.owner());
            self.note("restarted");
        }
        self.pool().shared.changed();
    }

    fn wishes(&mut self, backend: &Backend) {
        let (now, drain) = (self.now, self.config.pools[0].drain);
        let ends = self.ends(backend);
        if let Some(table) = self.pool().table() {
            assert_eq!(pool::begin_anew_if_over(&backend.state, table, now), ends);
        }
        self.ended(backend, ends);
        let wants = self.processes[&backend.state.id].wants_to_leave;
        let leave = wants.then(|| Leave::new(Cause::Backend, now, drain));
        let truth = self.truth(backend.state.id);
        let changes = truth.by_itself.is_some() != wants;
        if changes {
            truth.by_itself = leave;
        }
        assert_eq!(backend.state.set_leaving_by_itself(leave), changes);
        if changes {
            self.pool().shared.changed();
        }
    }

    /// Whether the life of a backend ends, since its time to leave is over and it has sessions.
    fn ends(&self, backend: &Backend) -> bool {
        let truth = &self.model.fleet[&backend.state.id];
        truth.is_over(self.now) && self.pool().table().is_some_and(|table| table.sessions(truth.owner) > 0)
    }

    fn ended(&mut self, backend: &Backend, ends: bool) {
        if ends {
            self.model.succeed(backend.state.id, backend.state.owner());
            self.note("time over");
        }
    }

    fn end_if_over(&mut self, backend: &Backend) {
        let ends = self.ends(backend);
        self.pool().end_if_over(backend, self.now);
        self.ended(backend, ends);
    }

    fn operator(&mut self, number: usize, wanted: Wanted, secs: u64) {
        let Some(backend) = self.backend(number) else { return };
        let (now, timeout) = (self.now, Duration::from_secs(secs));
        self.end_if_over(&backend);
        let drain = Drain { timeout, spread: self.pool().drain.spread.min(timeout) };
        backend.state.wish(|wishes| wishes.order(wanted, drain, now));
        self.truth(backend.state.id).order(wanted, drain, now);
        self.pool().shared.changed();
    }

    // === Configurations ===

    pub(crate) fn reload(&mut self) {
        let before = self.snapshot.clone();
        let next = Snapshot::build(&self.config, Some(&before), self.workers.len(), self.now);
        self.snapshot = Arc::new(next);
        self.bound();
        for (settings, place) in self.config.clone().pools[0].backends.iter().zip(0..) {
            let backend = self.pool().backends[place].clone();
            assert_eq!(*backend.name, *settings.name, "backends are in the order of the file");
            let known = before.pools[0].backends.iter().find(|known| known.name == backend.name);
            match known {
                None => self.appears(&backend, self.now),
                Some(known) => self.stays(known, &backend),
            }
        }
        self.leave(&before.pools[0]);
        self.generation += 1;
        self.pool().shared.changed();
    }

    /// Sessions that a longer time-out revives are those that nothing has taken the place of.
    fn bound(&mut self) {
        let (Some(bounds), Some(table)) = (bounds(&self.config), self.pool().table().cloned()) else {
            return;
        };
        let now = self.now;
        let expired = |(key, it): (&u64, &Session)| self.model.has_expired(it, now).then_some(*key);
        let expired: Vec<u64> = self.model.sessions.iter().filter_map(expired).collect();
        self.model.configure(bounds);
        for key in expired {
            let revived = self.model.session(key, now).is_some();
            if revived && table.peek(Fingerprint(key), now).is_none() {
                self.model.sessions.remove(&key);
            }
        }
    }

    fn stays(&mut self, known: &Backend, backend: &Backend) {
        let (id, now, drain) = (known.state.id, self.now, self.config.pools[0].drain);
        assert_eq!(id, backend.state.id, "the same name keeps its state");
        let in_file = self.wanted_in_file(&backend.name);
        let ends = self.ends(known);
        let truth = self.truth(id);
        truth.by_removal = None;
        if std::mem::replace(&mut truth.in_file, in_file) != in_file {
            truth.order(in_file, drain, now);
        }
        let moved = known.address != backend.address;
        if moved {
            truth.named = false;
            self.processes.get_mut(&id).unwrap().machine = self.machine(backend.state.health());
            assert_eq!(backend.state.address(), ip(&backend.address));
        }
        if self.kind == Kind::Hash {
            return;
        }
        if moved || ends {
            self.model.succeed(id, backend.state.owner());
        }
        self.limit(backend);
    }

    /// What the file has no more leaves with what it has.
    fn leave(&mut self, before: &Pool) {
        let (now, drain) = (self.now, self.config.pools[0].drain);
        for backend in &before.backends {
            if self.config.pools[0].backends.iter().any(|kept| *kept.name == *backend.name) {
                continue;
            }
            let id = backend.state.id;
            let truth = self.truth(id);
            truth.by_removal.get_or_insert(Leave::new(Cause::Removed, now, drain));
            let (is_over, owner) = (truth.is_over(now), truth.owner);
            let leave = truth.leave().unwrap();
            let is_late = leave.deadline.after(FORGET) <= now;
            let sessions = self.pool().table().map_or(0, |table| table.sessions(owner));
            // Clients with cookies that this proxy has not seen may come yet.
            let unseen = self.kind == Kind::Cookie && now < leave.since.after(self.idle_timeout());
            let is_left = !is_late && ((!is_over && (sessions > 0 || unseen)) || self.in_flight(id) > 0);
            let is_there = self.pool().backends.iter().any(|known| known.state.id == id);
            assert_eq!(is_there, is_left, "{} is left", backend.name);
            if !is_left && self.kind != Kind::Hash {
                self.model.over.insert(owner);
            }
        }
    }

    fn idle_timeout(&self) -> Duration {
        bounds(&self.config).map_or(Duration::ZERO, |bounds| bounds.idle_timeout)
    }

    pub(crate) fn in_flight(&self, id: u64) -> usize {
        self.exchanges.values().filter(|exchange| exchange.id == id && exchange.membership.is_some()).count()
    }

    // === Time ===

    /// As the control thread does it each second.
    fn tidy(&mut self) {
        let now = self.now;
        let snapshot = self.snapshot.clone();
        let pool = &snapshot.pools[0];
        let mut forgettable = false;
        if let Some(table) = pool.table() {
            table.sweep(now, 4096);
            self.model.sweep(now);
        }
        for backend in &pool.backends {
            let id = backend.state.id;
            let truth = self.model.fleet[&id];
            assert_eq!(backend.state.leave(), truth.leave());
            let Some(leave) = truth.leave() else { continue };
            self.end_if_over(backend);
            let left = pool.affinity.is_empty(backend, now);
            forgettable |= truth.by_removal.is_some() && (left || leave.deadline.after(FORGET) <= now);
        }
        if forgettable {
            self.reload();
        }
    }

    /// As a worker does it with each sweep.
    fn close_what_leaves(&mut self, worker: usize) {
        let (current, now) = (self.current(worker), self.now);
        let seen = self.see(worker, &current);
        self.workers[worker].exchanges.each(|slot| {
            let Some(home) = slot.data.home() else { return };
            let leaver = seen.view.leaving().iter().find(|leaver| leaver.id == home.backend);
            let Some(leave) = leaver.map(|leaver| leaver.leave) else { return };
            let due = match slot.data.phase() {
                Phase::Tunnel => leave.is_over_for(home.moment, now),
                _ => leave.is_over(now),
            };
            if due {
                slot.call(if leave.deadline.after(PATIENCE) <= now { Call::Drop } else { Call::Moved });
            }
        });
        let backends = current.pool().backends.iter().zip(&seen.picture.backends);
        let leaving: BTreeMap<u64, Leave> =
            backends.filter_map(|(it, now)| Some((it.state.id, now.truth.leave()?))).collect();
        for exchange in self.exchanges.values_mut().filter(|exchange| exchange.is_open_at(worker)) {
            let Some(leave) = leaving.get(&exchange.id) else { continue };
            let end = if exchange.tunnel { leave.moment(exchange.moment) } else { leave.deadline };
            if end <= now {
                let patient = now < leave.deadline.after(PATIENCE);
                exchange.called = Some(if patient { Call::Moved } else { Call::Drop });
            }
        }
    }
}

/// Gives the pool a table whose seed is known: what is evicted depends on it.
fn seed_table(snapshot: &mut Snapshot, bounds: Option<Settings>, seed: u64) {
    let Some(bounds) = bounds else { return };
    let pool = Arc::get_mut(&mut snapshot.pools[0]).unwrap();
    let (Affinity::Table(sessions) | Affinity::Cookie(sessions, _)) = &mut pool.affinity else { return };
    let table = Arc::new(SessionTable::new(bounds, seed));
    for backend in &pool.backends {
        backend.state.set_owner(table.new_owner());
        let most = if backend.max_sessions == 0 { u64::MAX } else { backend.max_sessions };
        table.limit_owner(backend.state.owner(), most);
    }
    sessions.table = table;
}

fn bounds(config: &Config) -> Option<Settings> {
    match &config.pools[0].sticky.as_ref()?.mode {
        Mode::Table(table) => Some(Settings {
            capacity: table.capacity.get(),
            idle_timeout: table.idle_timeout,
            max_lifetime: table.max_lifetime,
        }),
        Mode::Cookie(sealed) => Some(Settings {
            capacity: sealed.capacity.get(),
            idle_timeout: sealed.idle_timeout,
            max_lifetime: Duration::ZERO,
        }),
        Mode::Hash => None,
    }
}

fn ip(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Ip(address) => Some(*address),
        Address::Name { .. } => None,
    }
}
