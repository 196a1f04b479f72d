//! What is known of a backend while the process runs. Keyed by identity, so it outlasts reloads.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::findings::Findings;
use super::health::{Failing, Health};
use super::leave::{Leave, Wishes};
use crate::clock::Now;
use crate::config::Wanted;
use crate::stable_hash;
use crate::tally::{Classes, Counter, Histogram, Times, is_apart};

/// The live state of one backend.
#[derive(Debug)]
pub struct State {
    /// Unique in the process; names the backend where names would be too long.
    pub id: u64,
    /// What the health monitor has counted.
    pub findings: Findings,
    health: AtomicU8,
    failing: AtomicU8,
    /// Since when it is down or is not, as [`Now`].
    since: AtomicU64,
    /// Since when it has its health, as [`Now`].
    health_since: AtomicU64,
    /// What was last observed of its health, in words.
    reason: Mutex<Option<Arc<str>>>,
    owner: AtomicU32,
    address: Mutex<Option<SocketAddr>>,
    instance: Mutex<Option<Arc<str>>>,
    /// When it was last named, as [`Now`].
    heard: AtomicU64,
    wishes: Mutex<Wishes>,
    /// Failures of traffic in a row, over all workers. Written when one fails, and by the first that does not after that:
    /// as long as all goes well it is only read.
    streak: AtomicU32,
    outlier: AtomicBool,
    /// Until when it is ejected, as [`Now`], while it is.
    ejected_until: AtomicU64,
    workers: Box<[Counters]>,
}

/// What one worker counts for one backend, on cache lines of its own. Written by that worker alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Requests sent.
    pub requests: Counter,
    /// Requests sent to it after another try had failed, be it here or elsewhere; they are among [`Self::requests`].
    pub retries: Counter,
    /// Failed connects, resets and time-outs before the response head.
    pub failures: Counter,
    /// Requests whose response has not ended.
    pub in_flight: Counter,
    /// Open tunnels.
    pub tunnels: Counter,
    /// Requests without a session key, in a pool that looks for one.
    pub keyless: Counter,
    /// Tunnels that the proxy closed with a closing handshake.
    pub closed: Counter,
    /// Tunnels that the proxy dropped, since there was no frame boundary, or no answer to its Close.
    pub dropped: Counter,
    /// Its responses.
    pub responses: Classes,
    /// From a request's head to that of its response.
    pub head: Histogram,
}

const _: () = assert!(is_apart::<Counters>(), "workers write side by side");

impl State {
    /// The state of a backend nothing is known of, with counters for so many workers.
    pub fn new(health: Health, address: Option<SocketAddr>, workers: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            findings: Findings::default(),
            health: AtomicU8::new(health as u8),
            failing: AtomicU8::new(Failing::Plainly as u8),
            since: AtomicU64::new(0),
            health_since: AtomicU64::new(0),
            reason: Mutex::default(),
            owner: AtomicU32::new(0),
            address: Mutex::new(address),
            instance: Mutex::default(),
            heard: AtomicU64::new(u64::MAX),
            wishes: Mutex::default(),
            streak: AtomicU32::new(0),
            outlier: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            workers: (0..workers).map(|_| Counters::default()).collect(),
        }
    }

    /// Health as last observed.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Unknown,
            1 => Health::Up,
            2 => Health::Suspect,
            _ => Health::Down,
        }
    }

    /// Since when the backend is down, or is not; 0 from the start on.
    pub fn since(&self) -> Now {
        Now(self.since.load(Ordering::Acquire))
    }

    /// How the last failed check failed.
    pub fn failing(&self) -> Failing {
        match self.failing.load(Ordering::Acquire) {
            0 => Failing::Plainly,
            _ => Failing::Doubtfully,
        }
    }

    /// Sets the health. Only the health monitor does; workers see it with the pool's next generation.
    pub fn set_health(&self, health: Health, now: Now) {
        let before = self.health();
        // Who is suspected for a moment has not come up, nor gone down; and a fleet that is seen for the first time has not
        // started just now.
        if health == Health::Down || before == Health::Down {
            self.set_since(now);
        }
        if health != before {
            self.set_health_since(now);
        }
        self.health.store(health as u8, Ordering::Release);
    }

    /// Since when it has its health; 0 where nobody has said.
    pub fn health_since(&self) -> Now {
        Now(self.health_since.load(Ordering::Relaxed))
    }

    /// Notes since when it has its health.
    pub fn set_health_since(&self, now: Now) {
        self.health_since.store(now.micros(), Ordering::Relaxed);
    }

    /// What was last observed of its health, in words; none before the first check or failed connect.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was observed. Only the health monitor does.
    pub fn set_reason(&self, reason: &str) {
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(reason) {
            *known = Some(reason.into());
        }
    }

    /// Notes when the backend came to be what it is.
    pub fn set_since(&self, now: Now) {
        self.since.store(now.micros(), Ordering::Release);
    }

    /// Notes how a check failed.
    pub fn set_failing(&self, failing: Failing) {
        self.failing.store(failing as u8, Ordering::Release);
    }

    /// The instance that the backend names in its health answers.
    pub fn instance(&self) -> Option<Arc<str>> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the backend last named its instance; [`Now::NEVER`] if it never did.
    pub fn instance_heard(&self) -> Now {
        Now(self.heard.load(Ordering::Relaxed))
    }

    /// Notes that the backend has named its instance.
    pub fn hear_instance(&self, now: Now) {
        self.heard.store(now.micros(), Ordering::Relaxed);
    }

    /// What stands for [`Self::instance`] in bindings that leave the process; 0 where it is not known.
    pub fn incarnation(&self) -> u64 {
        self.instance().map_or(0, |instance| stable_hash::hash(instance.as_bytes()).max(1))
    }

    /// Notes the instance; returns the former one.
    pub fn set_instance(&self, instance: &str) -> Option<Arc<str>> {
        let mut known = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        known.replace(instance.into())
    }

    /// Whether traffic has ejected it, for a time.
    pub fn is_outlier(&self) -> bool {
        self.outlier.load(Ordering::Acquire)
    }

    /// Ejects the backend or lets it return; either way its failures are counted anew. Only the health monitor does;
    /// workers see it with the pool's next generation.
    pub fn set_outlier(&self, outlier: bool) {
        self.streak.store(0, Ordering::Relaxed);
        self.outlier.store(outlier, Ordering::Release);
    }

    /// Until when it is ejected; means nothing while it is not.
    pub fn ejected_until(&self) -> Now {
        Now(self.ejected_until.load(Ordering::Relaxed))
    }

    /// Notes until when it is ejected. Only the health monitor does.
    pub fn set_ejected_until(&self, until: Now) {
        self.ejected_until.store(until.micros(), Ordering::Relaxed);
    }

    /// Traffic has failed at this backend; how often in a row, over all workers.
    pub fn went_wrong(&self) -> u32 {
        self.streak.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Traffic has gone well at this backend.
    pub fn went_well(&self) {
        if self.streak.load(Ordering::Relaxed) != 0 {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    /// Whether and how the backend leaves.
    pub fn leave(&self) -> Option<Leave> {
        self.wishes().leave()
    }

    /// What the operator wants of it.
    pub fn wanted(&self) -> Wanted {
        self.wishes().wanted
    }

    /// What is wanted of it, by whomever: `ready`, `drain` or `maint`.
    pub fn word(&self) -> &'static str {
        let wishes = self.wishes();
        match wishes.wanted {
            Wanted::Ready if wishes.leave().is_some() => Wanted::Drain.as_str(),
            wanted => wanted.as_str(),
        }
    }

    /// Changes what is wanted of it.
    pub fn wish<R>(&self, change: impl FnOnce(&mut Wishes) -> R) -> R {
        change(&mut self.wishes())
    }

    /// The backend itself wants to leave, or no more. An unchanged wish keeps its deadline; returns whether it changed.
    pub fn set_leaving_by_itself(&self, leave: Option<Leave>) -> bool {
        let mut wishes = self.wishes();
        let changes = wishes.by_itself.is_some() != leave.is_some();
        if changes {
            wishes.by_itself = leave;
        }
        changes
    }

    /// Whether it is in the configuration no more.
    pub fn is_removed(&self) -> bool {
        self.wishes().by_removal.is_some()
    }

    /// It is in the configuration no more, or again. An unchanged state keeps its deadline.
    pub fn set_removed(&self, leave: Option<Leave>) {
        let mut wishes = self.wishes();
        if wishes.by_removal.is_some() != leave.is_some() {
            wishes.by_removal = leave;
        }
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner number under which the session table knows this backend's current life.
    pub fn owner(&self) -> u32 {
        self.owner.load(Ordering::Acquire)
    }

    /// Begins a new life: bindings to the former owner number no longer lead here.
    pub fn set_owner(&self, owner: u32) {
        self.owner.store(owner, Ordering::Release);
    }

    /// The address to dial; `None` while a name has not been resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the address to dial. At another one another process lives, and it has not named its life.
    pub fn set_address(&self, address: SocketAddr) {
        let before = self.address.lock().unwrap_or_else(PoisonError::into_inner).replace(address);
        if before.is_some_and(|before| before != address) {
            *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// The backend is somewhere else, and nobody knows yet where.
    pub fn forget_address(&self) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The counters of `worker`.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn counters(&self, worker: usize) -> &Counters {
        &self.workers[worker]
    }

    /// Sums one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.workers.iter().map(|w| counter(w).get()).fold(0, u64::wrapping_add)
    }

    /// Responses by the class of their status, over all workers.
    pub fn responses(&self) -> [u64; 5] {
        Classes::sum(self.workers.iter().map(|counters| &counters.responses))
    }

    /// From the heads of requests to those of their responses, over all workers.
    pub fn head_times(&self) -> Times {
        Times::of(self.workers.iter().map(|counters| &counters.head))
    }
}
