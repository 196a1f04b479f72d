//! What all workers share, and the orders they are given.

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::places::PerAddress;
use super::tally::Tally;
use crate::clock::Clock;
use crate::health::Reporter;
use crate::snapshot::Snapshot;
use crate::tally::Apart;
use crate::telemetry::{Journal, Rebinds};
use crate::watch::Call;

/// Shared by all threads of one proxy.
#[derive(Debug)]
pub(crate) struct Core {
    /// The time.
    pub(crate) clock: Clock,
    /// The way to the health monitor.
    pub(crate) health: Reporter,
    /// Client connections open now. Written with each; what is beside it is read for each request.
    pub(crate) connections: Apart<AtomicUsize>,
    /// Those it may have.
    pub(crate) max_connections: usize,
    /// The same by address, where that is limited.
    pub(super) per_address: Apart<PerAddress>,
    /// Hashes session keys for the log, with a key of this process.
    pub(crate) log_hash: RandomState,
    /// What has happened of late.
    pub(crate) journal: Arc<Journal>,
    /// Sessions that have got another backend, until they are told of there.
    pub(crate) rebinds: Rebinds,
    live: ArcSwap<Snapshot>,
    generation: AtomicU64,
    orders: Box<[mpsc::Sender<Order>]>,
    tallies: Box<[Tally]>,
}

/// Something a worker is told by another thread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// End what is live of a session key that was held under `epoch` or before.
    GiveUp {
        /// Fingerprint of the key.
        key: u64,
        /// The last epoch that ends.
        epoch: u64,
        /// How.
        call: Call,
    },
}

impl Core {
    /// Begins with `snapshot`; workers hear their orders at the other ends of `orders`.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        clock: Clock,
        (health, journal): (Reporter, Arc<Journal>),
        orders: Box<[mpsc::Sender<Order>]>,
    ) -> Self {
        Self {
            clock,
            health,
            connections: Apart::default(),
            max_connections: usize::MAX,
            per_address: Apart::default(),
            log_hash: RandomState::new(),
            journal,
            rebinds: Rebinds::default(),
            live: ArcSwap::new(snapshot),
            generation: AtomicU64::new(1),
            tallies: orders.iter().map(|_| Tally::default()).collect(),
            orders,
        }
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.live.load_full()
    }

    /// The same for a process that may have so many client connections.
    pub(crate) fn bounded(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// What the workers count, by their index.
    pub(crate) fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Grows with each snapshot.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts a snapshot in force: requests that begin from now on follow it.
    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>) {
        self.live.store(snapshot);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells every worker.
    pub(crate) async fn order(&self, order: Order) {
        for worker in &self.orders {
            // Fails only for a worker that has ended, and with it all it held.
            let _ = worker.send(order).await;
        }
    }
}
