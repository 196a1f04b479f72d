//! What is counted, as the API tells it beside the state: the same numbers as those of the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::backend::State;
use crate::pool::{Pool, Reason, Source};
use crate::proxy::Core;
use crate::snapshot::Snapshot;
use crate::tally::{BOUNDS, BUCKETS, CLASSES};
use crate::telemetry;

/// What the proxy as a whole has to do.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    /// Client connections now.
    pub connections: u64,
    /// Client connections it may have.
    pub max_connections: u64,
    /// Its workers, by their index.
    pub workers: Vec<WorkerLoad>,
    /// Upper bounds of the buckets of `latency_counts`, in milliseconds.
    pub latency_bounds_ms: [f64; BOUNDS.len()],
    /// Lines of the log that were not written.
    pub log_lines_dropped_total: u64,
}

/// What one worker has to do.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerLoad {
    /// Its index.
    pub index: usize,
    /// Its client connections now.
    pub connections: u64,
    /// Client connections that it accepted and handed over to another, which had fewer.
    pub handed_over_total: u64,
    /// Its requests whose response has not ended, tunnels included.
    pub in_flight: u64,
    /// Requests it has read.
    pub requests_total: u64,
    /// How long its thread has worked rather than waited.
    pub busy_seconds_total: f64,
}

impl Load {
    /// Reads it.
    pub(super) fn of(core: &Core, snapshot: &Snapshot) -> Self {
        let workers = 0..core.tallies().len();
        Self {
            connections: core.connections.load(Ordering::Relaxed) as u64,
            max_connections: core.max_connections as u64,
            workers: workers.map(|index| WorkerLoad::of(core, snapshot, index)).collect(),
            latency_bounds_ms: BOUNDS.map(|micros| micros as f64 / 1e3),
            log_lines_dropped_total: telemetry::lines_dropped(),
        }
    }
}

impl WorkerLoad {
    fn of(core: &Core, snapshot: &Snapshot, index: usize) -> Self {
        let tally = &core.tallies()[index];
        let backends = snapshot.pools.iter().flat_map(|pool| &pool.backends);
        Self {
            index,
            connections: tally.connections.get(),
            handed_over_total: tally.handed_over.get(),
            in_flight: backends.map(|backend| backend.state.counters(index).in_flight.get()).sum(),
            requests_total: tally.requests.get(),
            busy_seconds_total: tally.busy().as_secs_f64(),
        }
    }
}

impl crate::proxy::Tally {
    /// How long the worker's thread has worked rather than waited.
    pub(super) fn busy(&self) -> Duration {
        self.runtime.get().map_or(Duration::ZERO, |runtime| runtime.worker_total_busy_duration(0))
    }
}

/// What a pool has done.
#[derive(Debug, Clone, Serialize)]
pub struct PoolCounts {
    /// Requests that were placed by their key: in modes that remember, so many sessions began.
    pub placed_total: u64,
    /// Sessions that lost their backend and got another.
    pub rebound_total: u64,
    /// Session keys that responses have taught.
    pub learned_total: u64,
    /// Requests sent after another try had failed.
    pub retries_total: u64,
}

impl PoolCounts {
    /// Reads it.
    pub(super) fn of(pool: &Pool) -> Self {
        let tallies = pool.shared.tallies();
        let decided = |reason| {
            let of = |source| tallies.iter().map(move |tally| tally.decisions(source, reason)).sum::<u64>();
            Source::ALL.into_iter().map(of).sum()
        };
        Self {
            placed_total: decided(Reason::Placed),
            rebound_total: decided(Reason::Rebound),
            learned_total: tallies.iter().map(|tally| tally.learned.get()).sum(),
            retries_total: pool
                .backends
                .iter()
                .map(|backend| backend.state.sum(|counters| &counters.retries))
                .sum(),
        }
    }
}

/// How a backend has answered.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// Its responses by the class of their status, `1xx` to `5xx`.
    pub responses: BTreeMap<&'static str, u64>,
    /// How many response heads came within each of `latency_bounds_ms` and not within the one before; the last came
    /// later than all of them.
    pub latency_counts: [u64; BUCKETS],
    /// All the time until response heads together.
    pub latency_seconds_total: f64,
}

impl Answers {
    /// Reads it.
    pub(super) fn of(state: &State) -> Self {
        let times = state.head_times();
        Self {
            responses: CLASSES.into_iter().zip(state.responses()).collect(),
            latency_counts: times.counts,
            latency_seconds_total: times.seconds(),
        }
    }
}
