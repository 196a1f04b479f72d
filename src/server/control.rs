//! The control thread, and the handle by which others look at a running proxy and change it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval, sleep_until};

use super::certificates::{Files, Found};
use super::status::{BackendStatus, PoolStatus, Status};
use crate::backend::Backend;
use crate::config::{self, Config, Errors, Problem, Wanted};
use crate::explain::{Asked, Explanation, explain};
use crate::health::Monitor;
use crate::pool::{Keeper, Pool, View};
use crate::proxy::{Core, Order};
use crate::snapshot::Snapshot;
use crate::watch::Call;

/// Snapshots that may wait for the control thread to follow them.
pub(super) const COMMANDS: usize = 16;
/// Places of each shard of a session table looked at each second.
const SWEEP_BUDGET: usize = 4096;

/// How often one who waits for a backend to be empty looks.
const LOOK: Duration = Duration::from_millis(100);

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

/// The answer to whether a backend is empty.
#[derive(Debug, Clone, Serialize)]
pub struct Drained {
    /// Nothing is left of it.
    pub done: bool,
    /// Its state.
    #[serde(flatten)]
    pub status: BackendStatus,
}

/// Says what of a new configuration counts only after the next start.
fn warn_of_what_waits(before: &Config, now: &Config) {
    let told = |config: &Config| {
        let Config { server, log, listeners, limits, .. } = config;
        [
            ("listener", listeners.iter().map(|listener| listener.address.to_string()).collect()),
            ("log.level", log.level.clone()),
            ("log.format", format!("{:?}", log.format)),
            ("limits.connections", limits.connections.to_string()),
            ("server.workers", server.workers.to_string()),
        ]
    };
    let others = told(before).into_iter().zip(told(now));
    let changed = others.filter(|(before, now)| before != now).map(|((what, _), _)| what);
    // A token does not tell what it is, so this is compared and not shown.
    for what in changed.chain((before.admin != now.admin).then_some("admin")) {
        tracing::warn!(what, "changed in the file; takes effect at the next start");
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

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others are being put in force at this moment.
    #[error("too many changes at one time")]
    Busy,
}

/// Why a file was not read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The proxy was not started from a file.
    #[error("the configuration did not come from a file")]
    NoFile,
    /// The file is wrong; nothing has changed.
    #[error("{0}")]
    Invalid(#[from] Errors),
    /// It was not put in force.
    #[error(transparent)]
    Apply(#[from] ApplyError),
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

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The backend it is bound to; none if that is gone, and the next request moves the session.
    pub backend: Option<String>,
    /// Grows with each owner.
    pub epoch: u64,
    /// Requests and tunnels that are live now.
    pub live: u32,
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

    /// Puts the pools, routes and limits of `config` in force; pools and backends of the same name keep their state.
    /// Listeners, workers and logging stay as they were at the start.
    ///
    /// # Errors
    /// Too many configurations at one time; then nothing has changed.
    pub fn apply(&self, config: &Config) -> Result<(), ApplyError> {
        let mut current = self.current();
        self.put_in_force(config)?;
        warn_of_what_waits(&current, config);
        super::warn_of_unverified(config);
        *current = config.clone();
        Ok(())
    }

    /// Reads the file again that the configuration came from, and puts it in force. What is wrong with it is logged.
    ///
    /// # Errors
    /// The file is wrong, and then nothing has changed; or there is none.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let path = self.source.as_deref().ok_or(ReloadError::NoFile)?;
        let config = Config::load(path).inspect_err(|errors| {
            for problem in errors.problems() {
                let Problem { line, key, message, help, .. } = problem;
                let (file, help) = (errors.origin(), help.as_deref());
                tracing::error!(file, line, key, help, "not reloaded: {message}");
            }
        })?;
        self.apply(&config)?;
        tracing::info!(file = %path.display(), "reloaded");
        Ok(())
    }

    fn put_in_force(&self, config: &Config) -> Result<(), ApplyError> {
        let permit = self.applied.try_reserve().map_err(|_| ApplyError::Busy)?;
        let (before, now) = (self.core.snapshot(), self.core.clock.now());
        let snapshot = Arc::new(Snapshot::build(config, Some(&before), self.workers, now));
        self.core.replace(snapshot.clone());
        snapshot.pools.iter().for_each(|pool| pool.shared.changed());
        permit.send(snapshot);
        Ok(())
    }

    /// Lets go of what has left: ends the bindings of backends whose time is over, and forgets removed ones of which
    /// nothing is left. Meant to be called each second.
    pub(super) fn tidy(&self) {
        let (snapshot, now) = (self.core.snapshot(), self.core.clock.now());
        for pool in &snapshot.pools {
            pool.backends.iter().for_each(|backend| pool.end_if_over(backend, now));
        }
        if snapshot.pools.iter().any(|pool| pool.has_forgettable(now)) {
            let current = self.current();
            // Too busy now: the next second will do.
            let _ = self.put_in_force(&current);
        }
    }

    /// Certificates are renewed while a proxy runs: what their files say now counts, unless one of them is wrong.
    async fn renew_certificates(&self, mut files: Files) -> Files {
        let config = self.current().clone();
        let looked = spawn_blocking(move || {
            let found = files.look(&config);
            (files, found)
        });
        // It does not panic; were it to, the files would be looked at anew.
        let Ok((files, found)) = looked.await else { return Files::default() };
        match found {
            Found::Nothing => {}
            Found::New(new) => match self.put_in_force(&new) {
                Ok(()) => {
                    *self.current() = *new;
                    tracing::info!("certificates renewed");
                }
                // Too busy now: the next second will do.
                Err(ApplyError::Busy) => return Files::default(),
            },
            Found::Wrong(why) => tracing::error!(why, "certificates not renewed: the former ones stay"),
        }
        files
    }

    fn current(&self) -> MutexGuard<'_, Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Says what is wanted of a backend. A drain takes `timeout`, or as long as the pool's configuration says; one that
    /// is under way goes on, unless a `timeout` is given. The word of the file counts again when it changes there.
    ///
    /// # Errors
    /// There is no such pool or backend.
    pub fn set_state(
        &self,
        pool: &str,
        backend: &str,
        wanted: Wanted,
        timeout: Option<Duration>,
    ) -> Result<BackendStatus, Unknown> {
        let (pool, backend) = self.backend(pool, backend)?;
        let now = self.core.clock.now();
        pool.end_if_over(&backend, now);
        let goes_on = wanted == Wanted::Drain && timeout.is_none() && backend.state.wanted() == wanted;
        let said = timeout.map(tracing::field::debug);
        if !goes_on {
            let timeout = timeout.unwrap_or(pool.drain.timeout);
            let drain = config::Drain { timeout, spread: pool.drain.spread.min(timeout) };
            backend.state.wish(|wishes| wishes.order(wanted, drain, now));
        }
        pool.shared.changed();
        tracing::info!(pool = %pool.name, backend = %backend.name, state = wanted.as_str(), timeout = said, "backend state");
        Ok(BackendStatus::of(&pool, &backend, now))
    }

    /// Waits until nothing is left of a backend, at most so long; returns its state then.
    ///
    /// # Errors
    /// There is no such pool or backend.
    pub async fn drained(&self, pool: &str, backend: &str, wait: Duration) -> Result<Drained, Unknown> {
        let end = Instant::now() + wait;
        loop {
            let (in_pool, found) = self.backend(pool, backend)?;
            let now = self.core.clock.now();
            let done = in_pool.affinity.is_empty(&found, now);
            if done || Instant::now() >= end {
                return Ok(Drained { done, status: BackendStatus::of(&in_pool, &found, now) });
            }
            sleep_until((Instant::now() + LOOK).min(end)).await;
        }
    }

    /// The session of a key.
    ///
    /// # Errors
    /// There is no such pool, or it keeps no sessions.
    pub fn session(&self, pool: &str, key: &[u8]) -> Result<Option<Session>, Unknown> {
        let pool = self.pool(pool)?;
        let (key, now) = (pool.hash_key(key), self.core.clock.now());
        let table = pool.table().ok_or_else(|| Unknown::Table(pool.name.to_string()))?;
        Ok(table.peek(key.fingerprint, now).map(|binding| {
            let keeper = View::new(&pool, 0).keeper(&binding, now);
            let (Keeper::Here(backend) | Keeper::Down { backend, .. }) = keeper else {
                return Session { backend: None, epoch: binding.epoch, live: binding.live };
            };
            let backend = pool.backends.get(backend as usize).map(|backend| backend.name.to_string());
            Session { backend, epoch: binding.epoch, live: binding.live }
        }))
    }

    /// Ends the session of a key: what is live of it is told to end, and then its key is unknown. Returns whether there
    /// was one.
    ///
    /// # Errors
    /// There is no such pool, or it keeps no sessions.
    pub async fn end_session(&self, pool: &str, key: &[u8]) -> Result<bool, Unknown> {
        let pool = self.pool(pool)?;
        let (key, now) = (pool.hash_key(key), self.core.clock.now());
        let table = pool.table().ok_or_else(|| Unknown::Table(pool.name.to_string()))?;
        let Some(binding) = table.peek(key.fingerprint, now) else { return Ok(false) };
        table.end(key.fingerprint, now);
        let (key, epoch) = (key.fingerprint.0, binding.epoch);
        self.core.order(Order::GiveUp { key, epoch, call: Call::Moved }).await;
        Ok(true)
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
