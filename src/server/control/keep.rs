//! State over a restart: what of a running proxy is saved, how often, and what of that counts again after a start.
//! How it lies on disk is [`crate::state`]'s.

mod capture;
mod restore;

use std::io::BufWriter;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::clock::Now;
use crate::config;
use crate::proxy::Core;
use crate::snapshot::Snapshot;
use crate::state::{Directory, Found, OpenError, SaveError, Writer, Written};
use capture::{Outline, outline};

/// How long a start waits for another process to let go of the directory: the one that this one comes after.
const PATIENCE: Duration = Duration::from_secs(5);

/// How saving goes, for those who look from outside.
#[derive(Debug, Clone, Serialize)]
pub struct StateStatus {
    /// Where the file is.
    pub directory: String,
    /// When the file was last as the proxy was, in Unix seconds; none if it never was.
    pub saved_at: Option<f64>,
    /// Why the last save failed, if it did: the file is older than it should be.
    pub error: Option<String>,
    /// Octets of the file, as last written.
    pub bytes: u64,
    /// Sessions in it.
    pub sessions: u64,
    /// How saves went.
    #[serde(skip)]
    pub saves: Saves,
}

/// How many saves went how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saves {
    /// The file was written.
    pub written: u64,
    /// Nothing had changed.
    pub unchanged: u64,
    /// The file could not be written.
    pub failed: u64,
}

/// What saver and onlookers share.
#[derive(Debug)]
pub(in crate::server) struct Report(Mutex<StateStatus>);

impl Report {
    pub(in crate::server) fn status(&self) -> StateStatus {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, StateStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Saves the state of one proxy, alone.
#[derive(Debug)]
pub(in crate::server) struct Saver {
    directory: Arc<Directory>,
    interval: Duration,
    report: Arc<Report>,
    /// What the file says beside sessions; none if nothing was written yet, or not all of it.
    written: Option<Vec<Outline>>,
}

/// A saver at work.
#[derive(Debug)]
pub(super) struct Saving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Saver {
    /// Takes the directory that the configuration names, if it names one, and lets what is kept there count in
    /// `snapshot`, which nobody else may know yet.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(in crate::server) fn begin(
        config: &config::Server,
        snapshot: &Snapshot,
        now: Now,
    ) -> Result<Option<Self>, OpenError> {
        let Some(path) = config.state_dir.as_deref() else { return Ok(None) };
        let directory = Directory::open(path, PATIENCE)?;
        load(&directory, snapshot, now)?;
        let (interval, report) = (config.state_interval, Arc::new(Report::new(path)));
        Ok(Some(Self { directory: Arc::new(directory), interval, report, written: None }))
    }

    pub(in crate::server) fn report(&self) -> Arc<Report> {
        self.report.clone()
    }

    /// Saves each interval on the control thread's behalf, until that ends it.
    pub(super) fn start(self, core: Arc<Core>) -> Saving {
        let (end, ended) = oneshot::channel();
        Saving { end, task: spawn_local(self.run(core, ended)) }
    }

    async fn run(mut self, core: Arc<Core>, mut ended: oneshot::Receiver<()>) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                _ = ticks.tick() => self.save(&core).await,
            }
        }
        self.save(&core).await;
    }

    async fn save(&mut self, core: &Core) {
        let (snapshot, now) = (core.snapshot(), core.clock.now());
        let outlines = outline(&snapshot);
        if self.written.as_ref() == Some(&outlines) && !outlines.iter().any(Outline::has_changed) {
            self.report.unchanged(now);
            return;
        }
        // If this fails, all there is has to be written the next time, changed or not.
        self.written = None;
        let (directory, to_write) = (self.directory.clone(), outlines.clone());
        match spawn_blocking(move || write(&directory, &to_write, now)).await {
            Ok(Ok(written)) => {
                self.written = Some(outlines);
                self.report.written(written, now);
            }
            Ok(Err(error)) => self.report.failed(&error.to_string()),
            Err(error) => self.report.failed(&error.to_string()),
        }
    }
}

impl Saving {
    /// Saves a last time and lets go of the directory.
    pub(super) async fn end(self) {
        // It waits for this unless it has panicked, which was reported then.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

fn write(directory: &Directory, outlines: &[Outline], now: Now) -> Result<Written, SaveError> {
    directory.save(|file: BufWriter<std::fs::File>| {
        let mut writer = Writer::begin(file, now.micros())?;
        for outline in outlines {
            outline.write(&mut writer, now)?;
        }
        writer.end()
    })
}

fn load(directory: &Directory, snapshot: &Snapshot, now: Now) -> Result<(), OpenError> {
    match directory.load()? {
        Found::Nothing => {
            tracing::info!(directory = %directory.path().display(), "no state was kept here yet");
        }
        Found::Saved(saved) => {
            let restore::Counted { table, homeless } = restore::restore(saved, snapshot, now);
            let (sessions, expired, crowded_out) = (table.sessions, table.expired, table.crowded_out);
            tracing::info!(sessions, expired, crowded_out, homeless, "state loaded");
        }
        Found::Refused { why, aside } => {
            tracing::warn!(%why, aside = %aside.display(), "the kept state is refused: nothing of it counts");
        }
    }
    Ok(())
}

impl Report {
    fn new(directory: &Path) -> Self {
        Self(Mutex::new(StateStatus {
            directory: directory.display().to_string(),
            saved_at: None,
            error: None,
            bytes: 0,
            sessions: 0,
            saves: Saves::default(),
        }))
    }

    fn unchanged(&self, now: Now) {
        let mut status = self.lock();
        status.saves.unchanged += 1;
        status.saved_at = Some(unix_seconds(now));
    }

    fn written(&self, written: Written, now: Now) {
        let mut status = self.lock();
        status.saves.written += 1;
        (status.bytes, status.sessions) = (written.octets, written.sessions);
        status.saved_at = Some(unix_seconds(now));
        if status.error.take().is_some() {
            tracing::info!("state is saved again");
        }
    }

    /// Says so once for each reason.
    fn failed(&self, error: &str) {
        let mut status = self.lock();
        status.saves.failed += 1;
        if status.error.as_deref() != Some(error) {
            tracing::warn!(error, "state not saved: the former file stays");
            status.error = Some(error.to_owned());
        }
    }
}

/// As the API gives moments.
fn unix_seconds(now: Now) -> f64 {
    now.micros() as f64 / 1e6
}
