//! Active checks and what failed connects say: one task for each backend, and the only writer of health. Beside them,
//! who is ejected since traffic fails there.

mod checker;
mod outliers;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::Health;
use crate::backend::health::Observation;
use crate::clock::Clock;
use crate::snapshot::Snapshot;
use crate::telemetry::Journal;
use checker::{Checker, Nudge, Subject};
use outliers::Outliers;

/// How workers talk to the health monitor.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::Sender<Report>);

#[derive(Debug)]
enum Report {
    Follow(Arc<Snapshot>),
    Nudge { backend: u64, nudge: Nudge },
    FailedOften { backend: u64 },
}

/// Reports under way at one time. Beyond, what need not be answered is dropped: it will be seen again.
const REPORTS: usize = 1024;

/// Runs a task for each backend of the snapshot it follows.
#[derive(Debug)]
pub struct Monitor {
    reports: mpsc::Receiver<Report>,
    checkers: HashMap<u64, Running>,
    outliers: Outliers,
    settled: watch::Sender<bool>,
    clock: Clock,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct Running {
    subject: Subject,
    nudges: mpsc::Sender<Nudge>,
    task: JoinHandle<()>,
}

/// A monitor, the way to talk to it, and a flag that is raised when all backends it began with were checked once.
pub fn monitor(clock: Clock, journal: Arc<Journal>) -> (Monitor, Reporter, watch::Receiver<bool>) {
    let (sender, reports) = mpsc::channel(REPORTS);
    let (settled, is_settled) = watch::channel(false);
    let (checkers, outliers) = (HashMap::new(), Outliers::new(clock, journal.clone()));
    (Monitor { reports, checkers, outliers, settled, clock, journal }, Reporter(sender), is_settled)
}

impl Reporter {
    /// A connect to a backend failed, in this way.
    pub fn connect_failed(&self, backend: u64, how: Observation) {
        self.nudge(backend, Nudge::ConnectFailed(how));
    }

    /// A connect to a suspect backend went well.
    pub fn connected(&self, backend: u64) {
        self.nudge(backend, Nudge::Connected);
    }

    /// Traffic has failed at a backend as often in a row as its pool lets pass.
    pub fn failed_often(&self, backend: u64) {
        // If this is dropped, the next failure says it again.
        let _ = self.0.try_send(Report::FailedOften { backend });
    }

    fn nudge(&self, backend: u64, nudge: Nudge) {
        // A full channel is full of news like this.
        let _ = self.0.try_send(Report::Nudge { backend, nudge });
    }

    /// Has a backend checked at once, again and again until that says whether it is up or down. `None`: that took
    /// longer than `within`.
    pub async fn verdict(&self, backend: u64, within: Duration) -> Option<Health> {
        let (reply, verdict) = oneshot::channel();
        let asked = async {
            self.0.send(Report::Nudge { backend, nudge: Nudge::Verdict(reply) }).await.ok()?;
            verdict.await.ok()
        };
        timeout(within, asked).await.ok().flatten()
    }

    /// Has the backends of `snapshot` checked from now on, and no others.
    pub async fn follow(&self, snapshot: Arc<Snapshot>) {
        // Fails only when the monitor has ended, and then nothing is checked any more.
        let _ = self.0.send(Report::Follow(snapshot)).await;
    }
}

impl Monitor {
    /// Works until all reporters are gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(report) => self.hear(report),
                    None => return,
                },
                () = until(self.outliers.next_return()) => self.outliers.let_return(),
            }
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Follow(snapshot) => self.follow(&snapshot),
            Report::FailedOften { backend } => self.outliers.eject(backend),
            Report::Nudge { backend, nudge } => {
                if let Some(running) = self.checkers.get(&backend) {
                    // A checker that has much to hear is about to check.
                    let _ = running.nudges.try_send(nudge);
                }
            }
        }
    }

    /// Keeps the checkers whose backend and settings have not changed.
    fn follow(&mut self, snapshot: &Snapshot) {
        self.outliers.follow(&snapshot.pools);
        let (first_checks, all_checked) = mpsc::channel::<()>(1);
        let mut wanted = HashMap::new();
        for (pool, checks) in snapshot.pools.iter().zip(&snapshot.checks) {
            for backend in &pool.backends {
                let subject = Subject::new(pool, backend, checks, (self.clock, &self.journal));
                let running = match self.checkers.remove(&backend.state.id) {
                    Some(running) if running.subject == subject => running,
                    other => {
                        stop(other);
                        start(subject, first_checks.clone())
                    }
                };
                wanted.insert(backend.state.id, running);
            }
        }
        self.checkers.drain().for_each(|(_, running)| stop(Some(running)));
        self.checkers = wanted;
        self.settle(all_checked);
    }

    /// Raises the flag when the last clone of the sender that belongs to `all_checked` is gone.
    fn settle(&self, mut all_checked: mpsc::Receiver<()>) {
        let settled = self.settled.clone();
        tokio::spawn(async move {
            let _ = all_checked.recv().await;
            settled.send_replace(true);
        });
    }
}

fn start(subject: Subject, first_check: mpsc::Sender<()>) -> Running {
    let (nudges, heard) = mpsc::channel(REPORTS);
    let task = tokio::task::spawn_local(Checker::new(subject.clone()).run(heard, first_check));
    Running { subject, nudges, task }
}

fn stop(running: Option<Running>) {
    if let Some(running) = running {
        running.task.abort();
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
