//! The task that checks one backend: on its own schedule, and at once when a worker asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::affinity::SessionTable;
use crate::affinity::table::Loss;
use crate::backend::health::{Machine, Observation};
use crate::backend::{Backend, Cause, Health, Leave, State};
use crate::clock::{self, Clock};
use crate::config::{self, Address, Probe};
use crate::pool::{self, Pool, Shared};
use crate::snapshot::Checks;
use crate::telemetry::{Event, Journal};
use crate::transport::probe::{self, ProbeError, Question};
use crate::transport::{Dialing, Introduction, Way};

use super::report::Report;
use super::until;

/// News from a worker.
#[derive(Debug)]
pub(super) enum Nudge {
    /// A connect failed, in this way.
    ConnectFailed(Observation),
    /// A connect went well.
    Connected,
    /// Someone waits to hear whether the backend is up or down.
    Verdict(oneshot::Sender<Health>),
}

/// What a checker checks, and how. Two that are equal are interchangeable.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pool: Arc<str>,
    name: Arc<str>,
    address: Address,
    dialing: Arc<Dialing>,
    checks: Checks,
    state: Arc<State>,
    shared: Arc<Shared>,
    table: Option<Arc<SessionTable>>,
    clock: Clock,
    journal: Arc<Journal>,
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        let tables = (self.table.as_ref().map(Arc::as_ptr), other.table.as_ref().map(Arc::as_ptr));
        let alike = self.address == other.address && self.dialing.id == other.dialing.id;
        alike && self.checks == other.checks && tables.0 == tables.1
    }
}

impl Subject {
    pub(super) fn new(
        pool: &Pool,
        backend: &Backend,
        checks: &Checks,
        (clock, journal): (Clock, &Arc<Journal>),
    ) -> Self {
        Self {
            pool: pool.name.clone(),
            name: backend.name.clone(),
            address: backend.address.clone(),
            dialing: pool.dialing.clone(),
            checks: checks.clone(),
            state: backend.state.clone(),
            shared: pool.shared.clone(),
            table: pool.table().cloned(),
            clock,
            journal: journal.clone(),
        }
    }

    /// How the backend is reached at `address` by a check.
    fn way(&self, address: SocketAddr) -> Way {
        let (dialing, host) = (self.dialing.clone(), self.address.clone());
        Way { dialing, address, host, introduction: Introduction::Proxy }
    }
}

/// Pause between checks that someone waits for.
const HURRY: Duration = Duration::from_millis(50);
/// Pause between checks of a suspect backend that has no active ones.
const DOUBT: Duration = Duration::from_secs(1);
/// How often a name is looked up.
const RESOLVE: Duration = Duration::from_secs(30);
/// For the resolver to answer.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Checks one backend.
#[derive(Debug)]
pub(super) struct Checker {
    subject: Subject,
    machine: Machine,
    next_check: Option<Instant>,
    next_resolve: Option<Instant>,
    awaited: Vec<oneshot::Sender<Health>>,
}

impl Checker {
    pub(super) fn new(subject: Subject) -> Self {
        let health = subject.state.health();
        let (rise, fall) = match &subject.checks.active {
            Some(active) => (active.rise, active.fall),
            None => (1, subject.checks.passive.consecutive_failures),
        };
        let now = Instant::now();
        let named = matches!(subject.address, Address::Name { .. });
        Self {
            machine: Machine::new(health, rise, fall),
            next_check: (subject.checks.active.is_some() || health == Health::Down).then_some(now),
            next_resolve: named.then_some(now),
            awaited: Vec::new(),
            subject,
        }
    }

    /// Checks until aborted. `first_check` is dropped when the first check is over, or none is due.
    pub(super) async fn run(mut self, mut nudges: mpsc::Receiver<Nudge>, first_check: mpsc::Sender<()>) {
        self.resolve_if_due().await;
        if self.subject.checks.active.as_ref().is_none_or(|active| active.drain.is_none()) {
            // It is asked no more, so what it said last counts no more.
            self.leaves(false);
        }
        if self.next_check.is_some() {
            self.check().await;
        }
        drop(first_check);
        loop {
            let due = [self.next_check, self.next_resolve].into_iter().flatten().min();
            tokio::select! {
                nudge = nudges.recv() => match nudge {
                    Some(nudge) => self.hear(nudge),
                    None => return,
                },
                () = until(due) => {
                    self.resolve_if_due().await;
                    if self.next_check.is_some_and(|at| at <= Instant::now()) {
                        self.check().await;
                    }
                }
            }
        }
    }

    /// A failed connect counts as a failed check where there are no active ones. Where there are, it makes an up backend
    /// suspect and has it checked at once.
    fn hear(&mut self, nudge: Nudge) {
        let passive = self.subject.checks.active.is_none();
        match nudge {
            Nudge::ConnectFailed(how) if passive || self.machine.health() == Health::Up => {
                self.observe(how, "a connect failed");
                self.hurry_if(!passive);
            }
            Nudge::Connected if passive && self.machine.health() == Health::Suspect => {
                self.observe(Observation::Good, "a connect went well");
            }
            Nudge::ConnectFailed(_) | Nudge::Connected => {}
            Nudge::Verdict(reply) if self.machine.health() == Health::Down => {
                // Whoever asked has gone if this fails.
                let _ = reply.send(Health::Down);
            }
            Nudge::Verdict(reply) => {
                self.awaited.push(reply);
                self.hurry_if(true);
            }
        }
    }

    fn hurry_if(&mut self, hurry: bool) {
        if hurry {
            self.next_check = Some(Instant::now());
        }
    }

    async fn check(&mut self) {
        let begun = Instant::now();
        let (observation, why) = self.probe().await;
        self.subject.state.findings.checked(observation, clock::micros(begun.elapsed()));
        self.observe(observation, &why);
        if observation == Observation::Good || self.machine.health() == Health::Down {
            let health = if observation == Observation::Good { Health::Up } else { Health::Down };
            for reply in self.awaited.drain(..) {
                // Whoever asked has gone if this fails.
                let _ = reply.send(health);
            }
        }
        self.awaited.retain(|reply| !reply.is_closed());
        self.next_check = self.after_check(begun);
    }

    fn after_check(&self, begun: Instant) -> Option<Instant> {
        if !self.awaited.is_empty() {
            return Some(Instant::now() + HURRY);
        }
        match &self.subject.checks.active {
            Some(active) => Some(begun + active.interval),
            None => self.after_failure(),
        }
    }

    /// Without active checks only a backend in doubt is checked: a suspect one soon, since nobody else will find out
    /// whether it lives, a down one now and then.
    fn after_failure(&self) -> Option<Instant> {
        match self.machine.health() {
            Health::Suspect => Some(Instant::now() + DOUBT),
            Health::Down => Some(Instant::now() + self.subject.checks.passive.eject),
            Health::Unknown | Health::Up => None,
        }
    }

    async fn probe(&self) -> (Observation, String) {
        let Some(address) = self.subject.state.address() else {
            return (Observation::Refused, "its name does not resolve".into());
        };
        let answer = match &self.subject.checks.active {
            None => probe::tcp(&self.subject.way(address), self.subject.checks.connect).await.map(|()| None),
            Some(active) => self.ask(address, active).await,
        };
        match answer {
            Ok(None) => (Observation::Good, "a check went well".into()),
            Ok(Some(bad)) => (Observation::Bad, format!("a check answered {bad}")),
            Err(error) if error.is_silence() => (Observation::Silent, error.to_string()),
            Err(error) => (Observation::Refused, error.to_string()),
        }
    }

    /// Makes an active check; returns what is bad about the answer, if anything is.
    async fn ask(&self, address: SocketAddr, active: &config::Health) -> Result<Option<String>, ProbeError> {
        let way = &self.subject.way(address);
        let own = self.subject.address.to_string();
        let limit = active.timeout;
        let (answer, complaint) = match &active.probe {
            Probe::Tcp => return probe::tcp(way, limit).await.map(|()| None),
            Probe::Http { path, host, status } => {
                let host = host.as_deref().unwrap_or(&own);
                let body = if active.reads_body() { probe::MAX_BODY } else { 0 };
                let answer = probe::http(Question { way, host, path, limit, body }).await?;
                let is_good = status.iter().any(|range| range.contains(&answer.status.as_u16()));
                let complaint = (!is_good).then(|| answer.status.to_string());
                (answer, complaint)
            }
            Probe::Grpc { host, service } => {
                let host = host.as_deref().unwrap_or(&own);
                probe::grpc(way, (host, service), limit).await?
            }
        };
        let report = Report::read(&answer, active.instance.as_ref(), active.drain.as_ref());
        if let Some(instance) = &report.instance {
            self.lives_as(instance);
        }
        self.leaves(report.draining);
        Ok(complaint.filter(|_| !report.draining))
    }

    fn observe(&mut self, observation: Observation, why: &str) {
        let Subject { pool, name, state, shared, clock, .. } = &self.subject;
        let failing = observation.failing().unwrap_or_else(|| state.failing());
        let changes_doubt = failing != state.failing();
        state.set_reason(why);
        state.set_failing(failing);
        let Some(change) = self.machine.observe(observation) else {
            // How it fails matters while it is down: it may be believed now, or no more.
            if changes_doubt && self.machine.health() == Health::Down {
                shared.changed();
            }
            return;
        };
        state.set_health(change.to, clock.now());
        state.findings.changed(change.to);
        shared.changed();
        let (from, to) = (change.from.as_str(), change.to.as_str());
        if change.to == Health::Down {
            tracing::warn!(%pool, backend = %name, from, to, why, "backend health");
        } else {
            tracing::info!(%pool, backend = %name, from, to, why, "backend health");
        }
        self.note(Event::Health { pool: pool.clone(), backend: name.clone(), from, to, why: why.into() });
        if self.subject.checks.active.is_none() {
            self.next_check = self.after_failure();
        }
    }

    fn note(&self, event: Event) {
        self.subject.journal.note(self.subject.clock.now(), event);
    }

    /// Another instance is another life: what was bound to the former one is lost, since its memory is.
    fn lives_as(&self, instance: &str) {
        let Subject { pool, name, state, shared, table, clock, .. } = &self.subject;
        state.hear_instance(clock.now());
        let before = state.instance();
        if before.as_deref() == Some(instance) {
            return;
        }
        // Before the instance is told: whoever sees that sees none of the former's sessions with it.
        if let (Some(_), Some(table)) = (&before, table) {
            state.set_owner(table.succeed_owner(state.owner(), Loss::Restarted));
        }
        state.set_instance(instance);
        if let Some(before) = before {
            tracing::warn!(%pool, backend = %name, %before, now = instance, "backend restarted");
            self.note(Event::Restart { pool: pool.clone(), backend: name.clone() });
        }
        shared.changed();
    }

    /// A backend may ask to be drained, and think better of it.
    fn leaves(&self, wants_to: bool) {
        let Subject { pool, name, state, shared, table, checks, clock, .. } = &self.subject;
        if table.as_ref().is_some_and(|table| pool::begin_anew_if_over(state, table, clock.now())) {
            shared.changed();
        }
        let leave = wants_to.then(|| Leave::new(Cause::Backend, clock.now(), checks.drain));
        if state.set_leaving_by_itself(leave) {
            tracing::info!(%pool, backend = %name, draining = wants_to, "the backend's own wish");
            let timeout_seconds = wants_to.then_some(checks.drain.timeout.as_secs_f64());
            let (pool, backend, state) = (pool.clone(), name.clone(), state.word());
            self.note(Event::State { pool, backend, state, by: "backend", timeout_seconds });
            shared.changed();
        }
    }

    async fn resolve_if_due(&mut self) {
        let Address::Name { host, port } = &self.subject.address else { return };
        if self.next_resolve.is_none_or(|at| at > Instant::now()) {
            return;
        }
        match timeout(LOOK_UP, lookup_host((host.as_str(), *port))).await {
            Ok(Ok(found)) => found.min().into_iter().for_each(|lowest| self.moved_to(lowest)),
            Err(_) => tracing::warn!(backend = %self.subject.name, host, "no answer from the resolver"),
            Ok(Err(error)) => {
                tracing::warn!(backend = %self.subject.name, host, %error, "name does not resolve");
            }
        }
        self.next_resolve = Some(Instant::now() + RESOLVE);
    }

    /// A new address is a new life: what was bound to the old one is lost.
    fn moved_to(&self, address: SocketAddr) {
        let Subject { pool, name, state, shared, table, .. } = &self.subject;
        let before = state.address();
        if before == Some(address) {
            return;
        }
        tracing::info!(backend = %name, ?before, %address, "backend address");
        state.set_address(address);
        if before.is_some() {
            self.note(Event::Address { pool: pool.clone(), backend: name.clone(), address });
        }
        if let (Some(table), Some(_)) = (table, before) {
            state.set_owner(table.succeed_owner(state.owner(), Loss::Restarted));
        }
        shared.changed();
    }
}
