//! What is known of a backend while the process runs. Keyed by identity, so it outlasts reloads.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Health;

/// The live state of one backend.
#[derive(Debug)]
pub struct State {
    /// Unique in the process; names the backend where names would be too long.
    pub id: u64,
    health: AtomicU8,
    owner: AtomicU32,
    address: Mutex<Option<SocketAddr>>,
    workers: Box<[Counters]>,
}

/// What one worker counts for one backend, on cache lines of its own. Written by that worker alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Requests sent.
    pub requests: Counter,
    /// Failed connects, resets and time-outs before the response head.
    pub failures: Counter,
    /// Requests whose response has not ended.
    pub in_flight: Counter,
    /// Open tunnels.
    pub tunnels: Counter,
}

/// A number with one writer and many readers: no read-modify-write, so it costs what a plain number costs.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Call from the owning worker only.
    pub fn up(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    /// Takes one off. Call from the owning worker only.
    pub fn down(&self) {
        self.0.store(self.get().wrapping_sub(1), Ordering::Relaxed);
    }

    /// The value now; readers on other threads may see it late.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl State {
    /// The state of a backend nothing is known of, with counters for so many workers.
    pub fn new(health: Health, address: Option<SocketAddr>, workers: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            health: AtomicU8::new(health as u8),
            owner: AtomicU32::new(0),
            address: Mutex::new(address),
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

    /// Sets the health. Only the health monitor does; workers see it with the pool's next generation.
    pub fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Release);
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

    /// Sets the address to dial.
    pub fn set_address(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
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
}
