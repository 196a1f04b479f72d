//! Metrics of one backend.

use super::page::{About, Page};
use crate::backend::health::Observation;
use crate::backend::{Backend, Health};
use crate::clock::Now;
use crate::config::Wanted;
use crate::pool::Pool;
use crate::server::status::BackendStatus;
use crate::tally::CLASSES;

const OF_BACKEND: &[&str] = &["pool", "backend"];

pub(super) static REQUESTS: About = About::counter(
    "homing_requests_total",
    &["pool", "backend", "class"],
    "Responses to clients by the class of their status. No backend: the proxy's own; no pool: no route fitted.",
);
static HEAD: About = About::times(
    "homing_response_head_seconds",
    OF_BACKEND,
    "From the head of a request to the head of the backend's response.",
);
static SENT: About = About::counter(
    "homing_sent_total",
    OF_BACKEND,
    "Requests sent to a backend, those that got no response included.",
);
static RETRIES: About = About::counter(
    "homing_retries_total",
    OF_BACKEND,
    "Requests sent after another try had failed, here or elsewhere.",
);
static FAILURES: About = About::counter(
    "homing_failures_total",
    OF_BACKEND,
    "Failed connects, resets, time-outs, broken answers.",
);
static EJECTIONS: About =
    About::counter("homing_ejections_total", OF_BACKEND, "How often traffic has ejected the backend.");
static TRANSITIONS: About = About::counter(
    "homing_health_transitions_total",
    &["pool", "backend", "to"],
    "Changes of a backend's health.",
);
static CHECKS: About = About::counter(
    "homing_health_checks_total",
    &["pool", "backend", "outcome"],
    "Health checks by how they ended.",
);
static SESSIONS: About = About::gauge("homing_sessions", OF_BACKEND, "Sessions bound to the backend.");
static TUNNELS: About = About::gauge("homing_tunnels", OF_BACKEND, "Open tunnels.");
static IN_FLIGHT: About = About::gauge(
    "homing_requests_in_flight",
    OF_BACKEND,
    "Requests whose response has not ended, tunnels included.",
);
static HEALTH: About = About::gauge(
    "homing_backend_health",
    &["pool", "backend", "health"],
    "1 for the health that the backend has.",
);
static STATE: About = About::gauge(
    "homing_backend_state",
    &["pool", "backend", "state"],
    "1 for the state that is wanted of the backend.",
);
static WEIGHT: About = About::gauge("homing_backend_weight", OF_BACKEND, "Share of new work.");
static EJECTED: About =
    About::gauge("homing_backend_ejected", OF_BACKEND, "Whether traffic has ejected the backend for a time.");
static SECONDS_LEFT: About = About::gauge(
    "homing_drain_seconds_left",
    OF_BACKEND,
    "Until the last session of a backend that leaves ends; absent while it does not leave.",
);
static SESSIONS_LEFT: About = About::gauge(
    "homing_drain_sessions_left",
    OF_BACKEND,
    "Sessions of a backend that leaves; absent while it does not leave.",
);

/// Adds all of it.
pub(super) fn tell(page: &mut Page, (pool, backend): (&Pool, &Backend), now: Now) {
    let (names, state) = (&[&*pool.name, &*backend.name], &backend.state);
    for (class, count) in CLASSES.into_iter().zip(state.responses()) {
        page.count(&REQUESTS, &[names[0], names[1], class], count);
    }
    page.times(&HEAD, names, &state.head_times());
    for to in Health::ALL.into_iter().filter(|health| *health != Health::Unknown) {
        page.count(&TRANSITIONS, &[names[0], names[1], to.as_str()], state.findings.changes(to));
    }
    for outcome in Observation::ALL {
        page.count(&CHECKS, &[names[0], names[1], outcome.as_str()], state.findings.checks(outcome));
    }
    page.count(&EJECTIONS, names, state.findings.ejections.get());
    tell_status(page, names, &BackendStatus::of(pool, backend, now));
}

/// Adds what the API tells too.
fn tell_status(page: &mut Page, names: &[&str], status: &BackendStatus) {
    for (about, value) in [
        (&SENT, status.requests_total),
        (&RETRIES, status.retries_total),
        (&FAILURES, status.failures_total),
        (&SESSIONS, status.sessions),
        (&TUNNELS, status.connections),
        (&IN_FLIGHT, status.in_flight),
        (&WEIGHT, status.weight.into()),
        (&EJECTED, status.outlier.into()),
    ] {
        page.count(about, names, value);
    }
    page.one_of(&HEALTH, names, (&Health::ALL.map(Health::as_str), status.health.as_str()));
    let words = [Wanted::Ready, Wanted::Drain, Wanted::Maint].map(Wanted::as_str);
    page.one_of(&STATE, names, (&words, status.state));
    if let Some(drain) = &status.drain {
        page.number(&SECONDS_LEFT, names, drain.seconds_left);
        page.count(&SESSIONS_LEFT, names, drain.sessions);
    }
}
