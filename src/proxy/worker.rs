//! One worker's own state: its copy of the snapshot, views of pools, idle connections, exchanges.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use tokio::sync::Notify;

use super::error::Error;
use super::places::Brief;
use super::retry::Budget;
use super::tally::Tally;
use super::{Client, Core, Order};
use crate::affinity::Recent;
use crate::backend::Counters;
use crate::balance::Draw;
use crate::clock::{Clock, Now};
use crate::pool::{Choice, Decision, Key, Leaver, Pool, Refusal, View};
use crate::snapshot::Snapshot;
use crate::transport::exchange::{Exchanges, Phase};
use crate::transport::{Introduction, Links, Way};
use crate::watch::Call;

/// A worker's state. Lives on one thread; nothing in it is shared with another but [`Core`].
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) core: Arc<Core>,
    pub(crate) clock: Clock,
    pub(crate) exchanges: Rc<Exchanges>,
    /// Told when a client connection has ended.
    pub(crate) freed: Notify,
    /// Client connections that came and went of late.
    pub(crate) brief: Brief,
    /// Random numbers for ids and masks.
    pub(crate) draw: Draw,
    ended: Cell<bool>,
    /// The time at the last sweep.
    swept: Cell<Now>,
    current: RefCell<Rc<Current>>,
    links: RefCell<AHashMap<Destination, Rc<Links>>>,
    /// Those that belong to one client each, which has them.
    private_links: RefCell<Vec<Weak<Links>>>,
}

/// A worker's copy of one snapshot.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) snapshot: Arc<Snapshot>,
    generation: u64,
    views: Vec<RefCell<Rc<View>>>,
    /// Of pools and their backends: the access log shares them without a count that all workers write.
    names: Vec<(Rc<str>, Vec<Rc<str>>)>,
    /// By pool and backend, the idle connections last used: what a look-up in [`Worker::links`] would find.
    at_hand: Vec<Vec<AtHand>>,
    /// By pool.
    budgets: Vec<Budget>,
    /// By pool, the cookies that were opened with its secrets.
    recent: Vec<Recent>,
    seed: Cell<u64>,
}

/// Where connections lead, and in which way: only those that agree in all of it are interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    backend: u64,
    address: SocketAddr,
    dialing: u64,
}

type AtHand = RefCell<Option<(SocketAddr, Rc<Links>)>>;

/// After the deadline of a backend that leaves, for what was told to end.
const PATIENCE: Duration = Duration::from_secs(2);

impl Worker {
    pub(crate) fn new(index: usize, core: Arc<Core>) -> Rc<Self> {
        let draw = Draw::new(RandomState::new().hash_one(index));
        Rc::new(Self {
            index,
            clock: core.clock,
            exchanges: Exchanges::new(),
            freed: Notify::new(),
            brief: Brief::default(),
            current: RefCell::new(Rc::new(Current::new(&core, draw.next()))),
            ended: Cell::new(false),
            swept: Cell::new(core.clock.now()),
            links: RefCell::default(),
            private_links: RefCell::default(),
            draw,
            core,
        })
    }

    /// What this worker counts.
    pub(crate) fn tally(&self) -> &Tally {
        &self.core.tallies()[self.index]
    }

    /// Counts the limit that an error tells of, if it does.
    pub(super) fn reached(&self, error: &Error) {
        if let Some(limit) = error.limit() {
            self.tally().reached(limit);
        }
    }

    /// The snapshot in force. Costs one read of a number that rarely changes.
    pub(crate) fn current(&self) -> Rc<Current> {
        if self.current.borrow().generation != self.core.generation() {
            let current = Current::new(&self.core, self.draw.next());
            self.forget_unused_links(&current);
            self.current.replace(Rc::new(current));
        }
        self.current.borrow().clone()
    }

    /// Connections to a backend at an address that `client` may use. They outlast the snapshot, as long as it is dialed
    /// in the same way.
    pub(super) fn links(
        &self,
        current: &Current,
        (pool, backend): (usize, u32),
        address: SocketAddr,
        client: &Client,
    ) -> Rc<Links> {
        let dialing = &current.pool(pool).dialing;
        if dialing.is_private() {
            return self.private_links(current, (pool, backend), address, client);
        }
        let mut at_hand = current.at_hand[pool][backend as usize].borrow_mut();
        if let Some((known, links)) = &*at_hand
            && *known == address
        {
            return links.clone();
        }
        let (destination, way) = current.way((pool, backend), address, Introduction::Proxy);
        let mut all = self.links.borrow_mut();
        let links = all.entry(destination).or_insert_with(|| Links::new(way.clone()));
        if links.way().host != way.host {
            // The same address under another name, whose certificate it would have to have.
            *links = Links::new(way);
        }
        *at_hand = Some((address, links.clone()));
        links.clone()
    }

    /// Connections that begin with the addresses of a client are for nobody else, and end with its own.
    fn private_links(
        &self,
        current: &Current,
        backend: (usize, u32),
        address: SocketAddr,
        client: &Client,
    ) -> Rc<Links> {
        let (destination, way) = current.way(backend, address, client.introduction());
        let mut own = client.links.borrow_mut();
        let known = own.iter().find(|(known, links)| *known == destination && links.way().host == way.host);
        if let Some((_, links)) = known {
            return links.clone();
        }
        // What led to the same backend in another way is not needed any more.
        own.retain(|(known, _)| known.backend != destination.backend);
        let links = Links::new(way);
        own.push((destination, links.clone()));
        self.private_links.borrow_mut().push(Rc::downgrade(&links));
        links
    }

    fn forget_unused_links(&self, current: &Current) {
        let known = |pool: &Arc<Pool>| {
            let dialing = pool.dialing.id;
            pool.backends.iter().map(move |backend| (backend.state.id, dialing)).collect::<Vec<_>>()
        };
        let known: Vec<(u64, u64)> = current.snapshot.pools.iter().flat_map(known).collect();
        self.links.borrow_mut().retain(|to, _| known.contains(&(to.backend, to.dialing)));
    }

    /// Whether its runtime still carries out new tasks.
    pub(super) fn is_running(&self) -> bool {
        !self.ended.get()
    }

    /// Notes that the runtime ends: what is dropped from now on is dropped at once.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }

    /// The time, up to [`crate::watch::SWEEP`] ago: good for deadlines, which are kept by that sweep, and for seconds.
    pub(super) fn recent(&self) -> Now {
        self.swept.get()
    }

    /// Calls what is overdue and closes what idled too long. Meant to be called each [`crate::watch::SWEEP`].
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        self.swept.set(now);
        self.brief.turn();
        self.exchanges.sweep(now);
        self.close_what_leaves(now);
        self.links.borrow_mut().retain(|_, links| {
            links.expire(now);
            // Those of a former address are at nobody's hand any more.
            Rc::strong_count(links) > 1 || !links.is_empty()
        });
        self.private_links
            .borrow_mut()
            .retain(|links| links.upgrade().inspect(|links| links.expire(now)).is_some());
    }

    /// Ends what is with backends that leave: tunnels at the moment of their session, all else at the deadline.
    fn close_what_leaves(&self, now: Now) {
        let current = self.current();
        let leaving: Vec<Leaver> = (0..current.snapshot.pools.len())
            .flat_map(|pool| current.view(pool).leaving().to_vec())
            .collect();
        if leaving.is_empty() {
            return;
        }
        self.exchanges.each(|slot| {
            let Some(home) = slot.data.home() else { return };
            let Some(Leaver { leave, .. }) = leaving.iter().find(|leaver| leaver.id == home.backend) else {
                return;
            };
            let due = match slot.data.phase() {
                Phase::Tunnel => leave.is_over_for(home.moment, now),
                _ => leave.is_over(now),
            };
            if due {
                let patience_is_over = leave.deadline.after(PATIENCE) <= now;
                slot.call(if patience_is_over { Call::Drop } else { Call::Moved });
            }
        });
    }

    /// Carries out an order from another thread.
    pub(crate) fn obey(&self, order: Order) {
        match order {
            Order::GiveUp { key, epoch, call } => self.exchanges.call_key(key, epoch, call),
        }
    }
}

impl Current {
    fn new(core: &Core, seed: u64) -> Self {
        // The number is read first: a snapshot that comes between is taken now and looked at again later.
        let generation = core.generation();
        let snapshot = core.snapshot();
        let views = snapshot.pools.iter().map(|pool| RefCell::new(Rc::new(View::new(pool, seed)))).collect();
        let at_hand = |pool: &Arc<Pool>| pool.backends.iter().map(|_| RefCell::default()).collect();
        let at_hand = snapshot.pools.iter().map(at_hand).collect();
        let names = |pool: &Arc<Pool>| {
            (Rc::from(&*pool.name), pool.backends.iter().map(|backend| Rc::from(&*backend.name)).collect())
        };
        let names = snapshot.pools.iter().map(names).collect();
        let budgets = snapshot.pools.iter().map(|pool| Budget::new(pool.retry.budget_percent)).collect();
        let recent = snapshot.pools.iter().map(|_| Recent::default()).collect();
        Self { snapshot, generation, views, names, at_hand, budgets, recent, seed: Cell::new(seed) }
    }

    pub(super) fn pool(&self, pool: usize) -> &Pool {
        &self.snapshot.pools[pool]
    }

    /// The retries that this worker may make for a pool.
    pub(super) fn budget(&self, pool: usize) -> &Budget {
        &self.budgets[pool]
    }

    /// The cookies of a pool that were opened of late.
    pub(super) fn recent(&self, pool: usize) -> &Recent {
        &self.recent[pool]
    }

    /// How a backend is reached at an address.
    fn way(
        &self,
        (pool, backend): (usize, u32),
        address: SocketAddr,
        introduction: Introduction,
    ) -> (Destination, Way) {
        let pool = self.pool(pool);
        let backend = &pool.backends[backend as usize];
        let (dialing, host) = (pool.dialing.clone(), backend.address.clone());
        let destination = Destination { backend: backend.state.id, address, dialing: dialing.id };
        (destination, Way { dialing, address, host, introduction })
    }

    /// The name of a pool.
    pub(super) fn name(&self, pool: usize) -> Rc<str> {
        self.names[pool].0.clone()
    }

    /// The name of a backend.
    pub(super) fn backend_name(&self, pool: usize, backend: u32) -> Rc<str> {
        self.names[pool].1[backend as usize].clone()
    }

    /// The view of a pool, rebuilt if the health of a backend changed.
    pub(super) fn view(&self, pool: usize) -> Rc<View> {
        let cell = &self.views[pool];
        if cell.borrow().generation != self.pool(pool).shared.generation() {
            self.seed.set(self.seed.get().wrapping_add(1));
            cell.replace(Rc::new(View::new(self.pool(pool), self.seed.get())));
        }
        cell.borrow().clone()
    }

    /// Decides where a request goes, as this worker sees the fleet.
    pub(super) fn decide(&self, ask: &AskPool<'_>, view: &View) -> Result<Decision, Refusal> {
        let pool = self.pool(ask.pool);
        let load = |backend: u32| {
            let counters: &Counters = pool.backends[backend as usize].state.counters(ask.worker);
            counters.in_flight.get()
        };
        pool.decide(view, ask.key, &Choice { skip: ask.skip, load: &load, now: ask.now })
    }
}

/// A question to a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskPool<'a> {
    pub(super) pool: usize,
    pub(super) worker: usize,
    pub(super) key: Option<&'a Key>,
    pub(super) skip: &'a [u32],
    pub(super) now: Now,
}
