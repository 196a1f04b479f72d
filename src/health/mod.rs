//! Active checks and what failed connects say: one task for each backend, and the only writer of health.

mod checker;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::backend::Health;
use crate::backend::health::Observation;
use crate::clock::Clock;
use crate::snapshot::Snapshot;
use checker::{Checker, Nudge, Subject};

/// How workers talk to the health monitor.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::Sender<Report>);

#[derive(Debug)]
enum Report {
    Follow(Arc<Snapshot>),
    Nudge { backend: u64, nudge: Nudge },
}

/// Reports under way at one time. Beyond, what need not be answered is dropped: it will be seen again.
const REPORTS: usize = 1024;

/// Runs a task for each backend of the snapshot it follows.
#[derive(Debug)]
pub struct Monitor {
    reports: mpsc::Receiver<Report>,
    checkers: HashMap<u64, Running>,
    settled: watch::Sender<bool>,
    clock: Clock,
}

#[derive(Debug)]
struct Running {
    subject: Subject,
    nudges: mpsc::Sender<Nudge>,
    task: JoinHandle<()>,
}

/// A monitor, the way to talk to it, and a flag that is raised when all backends it began with were checked once.
pub fn monitor(clock: Clock) -> (Monitor, Reporter, watch::Receiver<bool>) {
    let (sender, reports) = mpsc::channel(REPORTS);
    let (settled, is_settled) = watch::channel(false);
    (Monitor { reports, checkers: HashMap::new(), settled, clock }, Reporter(sender), is_settled)
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
        while let Some(report) = self.reports.recv().await {
            match report {
                Report::Follow(snapshot) => self.follow(&snapshot),
                Report::Nudge { backend, nudge } => {
                    if let Some(running) = self.checkers.get(&backend) {
                        // A checker that has much to hear is about to check.
                        let _ = running.nudges.try_send(nudge);
                    }
                }
            }
        }
    }

    /// Keeps the checkers whose backend and settings have not changed.
    fn follow(&mut self, snapshot: &Snapshot) {
        let (first_checks, all_checked) = mpsc::channel::<()>(1);
        let mut wanted = HashMap::new();
        for (pool, checks) in snapshot.pools.iter().zip(&snapshot.checks) {
            for backend in &pool.backends {
                let subject = Subject::new(pool, backend, checks, self.clock);
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
    let task = tokio::spawn(Checker::new(subject.clone()).run(heard, first_check));
    Running { subject, nudges, task }
}

fn stop(running: Option<Running>) {
    if let Some(running) = running {
        running.task.abort();
    }
}
