//! The control thread, and the handle by which others look at a running proxy and change it.

mod operate;
mod reload;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::interval;

use super::certificates::Files;
use super::status::{BackendStatus, PoolStatus, Status};
use crate::backend::Backend;
use crate::config::Config;
use crate::explain::{Asked, Explanation, explain};
use crate::health::Monitor;
use crate::pool::{Pool, View};
use crate::proxy::Core;
use crate::snapshot::Snapshot;
use crate::telemetry::Journal;

pub use operate::{Drained, Session};
pub use reload::{ApplyError, ReloadError};

/// Snapshots that may wait for the control thread to follow them.
pub(super) const COMMANDS: usize = 16;
/// Places of each shard of a session table looked at each second.
const SWEEP_BUDGET: usize = 4096;

/// What the control thread is given.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) core: Arc<Core>,
    pub(super) control: Control,
    pub(super) to_apply: mpsc::Receiver<Arc<Snapshot>>,
    /// Closed when the last worker has ended.
    pub(super) ended: mpsc::Receiver<()>,
}

/// Checks backends and ends idle sessions until the last worker has ended.
pub(super) async fn run(mut task: Task, monitor: Monitor) {
    let health = task.core.health.clone();
    tokio::task::spawn_local(monitor.run());
    health.follow(task.core.snapshot()).await;
    let mut files = Files::default();
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = task.ended.recv() => return,
            Some(snapshot) = task.to_apply.recv() => health.follow(snapshot).await,
            _ = seconds.tick() => {
                sweep(&task.core);
                task.control.tidy();
                files = task.control.renew_certificates(files).await;
            }
        }
    }
}

fn sweep(core: &Core) {
    let now = core.clock.now();
    for table in core.snapshot().pools.iter().filter_map(|pool| pool.table().cloned()) {
        table.sweep(now, SWEEP_BUDGET);
    }
}

/// A handle to a running proxy. Cheap to clone; usable from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    core: Arc<Core>,
    applied: mpsc::Sender<Arc<Snapshot>>,
    workers: usize,
    /// The configuration in force, held while another is put there.
    current: Arc<Mutex<Config>>,
    /// The file it came from, if it came from one.
    source: Option<Arc<Path>>,
}

/// There is no such pool or backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No pool has this name.
    #[error("there is no pool {0:?}")]
    Pool(String),
    /// The pool has no such backend.
    #[error("pool {0:?} has no backend {1:?}")]
    Backend(String, String),
    /// The pool keeps no sessions that could be looked up.
    #[error("pool {0:?} has no session table")]
    Table(String),
}

impl Control {
    pub(super) fn new(core: Arc<Core>, applied: mpsc::Sender<Arc<Snapshot>>, config: &Config) -> Self {
        let current = Arc::new(Mutex::new(config.clone()));
        Self { core, applied, workers: config.server.workers.get(), current, source: None }
    }

    /// The same, able to read its configuration again.
    pub(super) fn read_from(&mut self, path: &Path) {
        self.source = Some(path.into());
    }

    /// The state of all pools and backends.
    pub fn status(&self) -> Status {
        let now = self.core.clock.now();
        Status { pools: self.core.snapshot().pools.iter().map(|pool| PoolStatus::of(pool, now)).collect() }
    }

    /// The state of one pool.
    ///
    /// # Errors
    /// There is no such pool.
    pub fn pool_status(&self, pool: &str) -> Result<PoolStatus, Unknown> {
        self.pool(pool).map(|pool| PoolStatus::of(&pool, self.core.clock.now()))
    }

    /// The state of one backend.
    ///
    /// # Errors
    /// There is no such pool or backend.
    pub fn backend_status(&self, pool: &str, backend: &str) -> Result<BackendStatus, Unknown> {
        let (pool, backend) = self.backend(pool, backend)?;
        Ok(BackendStatus::of(&pool, &backend, self.core.clock.now()))
    }

    /// Pools without a backend that could take new work.
    pub fn unready(&self) -> Vec<String> {
        let snapshot = self.core.snapshot();
        let pools = snapshot.pools.iter().filter(|pool| !pool.is_removed());
        let without = pools.filter(|pool| View::new(pool, 0).candidates().is_empty());
        without.map(|pool| pool.name.to_string()).collect()
    }

    /// What has happened of late.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.core.journal
    }

    fn pool(&self, name: &str) -> Result<Arc<Pool>, Unknown> {
        let snapshot = self.core.snapshot();
        let found = snapshot.pools.iter().find(|pool| *pool.name == *name);
        found.cloned().ok_or_else(|| Unknown::Pool(name.to_owned()))
    }

    fn backend(&self, pool: &str, name: &str) -> Result<(Arc<Pool>, Arc<Backend>), Unknown> {
        let pool = self.pool(pool)?;
        let found = pool.backends.iter().find(|backend| *backend.name == *name).cloned();
        let found = found.ok_or_else(|| Unknown::Backend(pool.name.to_string(), name.to_owned()))?;
        Ok((pool, found))
    }

    /// Where a request would go now, and why. Asks the same question as traffic, and changes nothing.
    pub fn explain(&self, asked: &Asked<'_>) -> Explanation {
        explain(&self.core.snapshot(), asked, self.core.clock.now())
    }
}
