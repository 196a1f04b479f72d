//! The control thread, and the handle by which others look at a running proxy and change it.

mod file;
mod keep;
mod lookout;
mod operate;
mod plan;
mod reload;
mod sessions;
mod watch_file;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use super::certificates::Files;
use super::counted::Load;
use super::doors::Doors;
use super::metrics;
use super::status::{BackendStatus, ListenerStatus, PoolStatus, Status, seconds};
use super::stop::Stop;
use crate::backend::Backend;
use crate::config::Config;
use crate::explain::{Asked, Explanation, explain};
use crate::health::Monitor;
use crate::pool::{Pool, View};
use crate::proxy::Core;
use crate::snapshot::Snapshot;
use crate::telemetry::{DropWatch, Event, Journal};

pub use file::{LastReload, ReloadError, Reloaded};
pub(super) use keep::{Report, Saver};
pub use keep::{Saves, StateStatus};
use lookout::Lookout;
pub use operate::{Drained, Session};
pub use plan::{BackendChange, Change, Moves, NewKeys, Plan};
pub use reload::ApplyError;
pub use sessions::{Sessions, Wish};
use watch_file::Stamp;

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
    /// Whether the proxy stops.
    pub(super) stopping: watch::Receiver<Stop>,
    /// Closed when the last worker has ended.
    pub(super) ended: mpsc::Receiver<()>,
    /// What keeps the state over a restart, if anything does.
    pub(super) saver: Option<Saver>,
}

/// Checks backends and ends idle sessions until the last worker has ended.
pub(super) async fn run(mut task: Task, monitor: Monitor) {
    let health = task.core.health.clone();
    tokio::task::spawn_local(monitor.run());
    tokio::task::spawn_local(watch_file::run(task.control.clone()));
    health.follow(task.core.snapshot()).await;
    let saving = task.saver.take().map(|saver| saver.start(task.core.clone()));
    let (mut files, mut lookout) = (Files::default(), Lookout::default());
    let mut drops = DropWatch::default();
    let mut seconds = interval(Duration::from_secs(1));
    let mut is_told = false;
    let tell = |core: &Core| core.journal.note(core.clock.now(), Event::Stopping);
    loop {
        tokio::select! {
            _ = task.ended.recv() => break,
            _ = task.stopping.wait_for(|stop| *stop > Stop::No), if !is_told => {
                is_told = true;
                tell(&task.core);
            }
            Some(snapshot) = task.to_apply.recv() => {
                lookout.look(&task.core);
                health.follow(snapshot).await;
            }
            _ = seconds.tick() => {
                sweep(&task.core);
                drops.tell();
                lookout.look(&task.core);
                task.core.rebinds.tell(task.core.clock.now(), &task.core.journal);
                task.control.tidy();
                files = task.control.renew_certificates(files).await;
            }
        }
    }
    if !is_told {
        // The workers had nothing to finish, and have ended at once.
        tell(&task.core);
    }
    if let Some(saving) = saving {
        saving.end().await;
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
    doors: Arc<Doors>,
    workers: usize,
    /// Held while another configuration is put in force.
    current: Arc<Mutex<InForce>>,
    /// Held while the file is read again, so that the last one to ask is the last one to be heard.
    reloading: Arc<Mutex<()>>,
    /// What the process began with.
    started: Arc<Config>,
    /// The file it came from, if it came from one.
    source: Option<Arc<Path>>,
    /// How saving the state goes, if it is saved.
    saves: Option<Arc<Report>>,
}

/// The configuration in force, and how it came to be.
#[derive(Debug)]
struct InForce {
    config: Config,
    /// Grows with each: who has looked at one for some time knows whether it is still the same.
    edition: u64,
    /// What came of reading the file again the last time.
    last: Option<LastReload>,
    /// The file as it was when it was last read.
    read: Option<Stamp>,
}

/// The configuration in force.
#[derive(Debug, Clone, Serialize)]
pub struct Effective {
    /// The file it came from, if from one.
    pub file: Option<String>,
    /// Grows with each configuration that is put in force, and whenever something that has left is forgotten.
    pub generation: u64,
    /// All of it.
    pub config: Value,
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

impl InForce {
    fn replace(&mut self, config: Config) {
        self.config = config;
        self.edition += 1;
    }
}

impl Control {
    /// The ways lead to the control thread and to the workers; `file` is where `config` came from, if from one.
    pub(super) fn new(
        core: Arc<Core>,
        (applied, doors): (mpsc::Sender<Arc<Snapshot>>, Doors),
        config: &Config,
        file: Option<&Path>,
    ) -> Self {
        let read = file.and_then(Stamp::of);
        let current = InForce { config: config.clone(), edition: 0, last: None, read };
        let (current, reloading) = (Arc::new(Mutex::new(current)), Arc::default());
        let (workers, started) = (config.server.workers.get(), Arc::new(config.clone()));
        let (doors, source) = (Arc::new(doors), file.map(Arc::from));
        Self { core, applied, doors, workers, current, reloading, started, source, saves: None }
    }

    /// The same, telling how saving its state goes.
    pub(super) fn telling(self, saves: Option<Arc<Report>>) -> Self {
        Self { saves, ..self }
    }

    /// How saving the state over a restart goes; none where nothing is kept.
    pub fn state(&self) -> Option<StateStatus> {
        self.saves.as_ref().map(|saves| saves.status())
    }

    /// The state of all listeners, pools and backends.
    pub fn status(&self) -> Status {
        let (now, snapshot) = (self.core.clock.now(), self.core.snapshot());
        let started = self.core.clock.started();
        let queue = snapshot.limits.queue;
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: seconds(started),
            uptime_seconds: now.since(started).as_secs_f64(),
            generation: self.core.generation(),
            reload: self.current().last.clone(),
            load: Load::of(&self.core, &snapshot),
            state: self.state(),
            listeners: snapshot.listeners.iter().map(|listener| ListenerStatus::of(listener)).collect(),
            pools: snapshot.pools.iter().map(|pool| PoolStatus::of(pool, queue, now)).collect(),
        }
    }

    /// The configuration in force with all defaults, in the shape of its file, and without secrets.
    pub fn config(&self) -> Effective {
        let file = self.source.as_deref().map(|path| path.to_string_lossy().into_owned());
        let generation = self.core.generation();
        Effective { file, generation, config: self.current().config.effective() }
    }

    /// The state of one pool.
    ///
    /// # Errors
    /// There is no such pool.
    pub fn pool_status(&self, pool: &str) -> Result<PoolStatus, Unknown> {
        let queue = self.core.snapshot().limits.queue;
        self.pool(pool).map(|pool| PoolStatus::of(&pool, queue, self.core.clock.now()))
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

    /// What the proxy counts, as a page for Prometheus.
    pub fn metrics(&self) -> String {
        metrics::page(&self.core, self.state().as_ref(), self.core.clock.now())
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
