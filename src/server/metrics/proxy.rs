//! Metrics of the proxy as a whole: its workers, its listeners, its limits.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::backends::REQUESTS;
use super::page::{About, Page};
use crate::listener::{Handshake, Listener};
use crate::proxy::{Core, Limit};
use crate::server::{Saves, StateStatus};
use crate::snapshot::Snapshot;
use crate::tally::{CLASSES, Classes};
use crate::telemetry::{self, Reloads};
use crate::transport::tls::Acceptor;

static BUILD: About = About::gauge("homing_build_info", &["version"], "1 for the version that runs.");
static GENERATION: About =
    About::gauge("homing_config_generation", &[], "Grows with each configuration that is put in force.");
static RELOADS: About = About::counter(
    "homing_reloads_total",
    &["outcome"],
    "How often the file was read again, by what came of it.",
);
static LAST_GOOD: About = About::gauge(
    "homing_config_last_reload_success",
    &[],
    "Whether the file was right when it was last read.",
);
static LAST_AT: About = About::gauge(
    "homing_config_last_reload_timestamp_seconds",
    &[],
    "When the file was last read, in Unix time.",
);
static SAVES: About = About::counter(
    "homing_state_saves_total",
    &["outcome"],
    "How often the state over a restart was to be saved, by what came of it.",
);
static SAVED_AT: About = About::gauge(
    "homing_state_last_save_timestamp_seconds",
    &[],
    "When what is on disk was last as the proxy was, in Unix time; 0 if it never was.",
);
static LOG_DROPPED: About = About::counter(
    "homing_log_lines_dropped_total",
    &[],
    "Lines of the log that were not written: nobody read them in time, or there was no room.",
);
static CONNECTIONS: About = About::gauge("homing_connections", &["listener"], "Client connections.");
static MAX_CONNECTIONS: About =
    About::gauge("homing_connections_max", &[], "Client connections that the process may have.");
static HANDSHAKES: About = About::counter(
    "homing_tls_handshakes_total",
    &["listener", "outcome"],
    "TLS handshakes by how they ended.",
);
static EXPIRY: About = About::gauge(
    "homing_certificate_expiry_timestamp_seconds",
    &["listener", "name"],
    "When a certificate that the listener shows expires, in Unix time, by the names it is for.",
);
static LIMITS: About = About::counter(
    "homing_limit_reached_total",
    &["limit"],
    "How often a limit kept a connection or a request from something.",
);
static BUSY: About = About::counter(
    "homing_worker_busy_seconds_total",
    &["worker"],
    "How long a worker's thread has worked rather than waited.",
);
static REQUESTS_OF_WORKER: About =
    About::counter("homing_worker_requests_total", &["worker"], "Requests that a worker has read.");
static CONNECTIONS_OF_WORKER: About =
    About::gauge("homing_worker_connections", &["worker"], "Client connections of a worker.");
static HANDED_OVER: About = About::counter(
    "homing_worker_connections_handed_over_total",
    &["worker"],
    "Client connections that a worker accepted and another, which had fewer, serves.",
);

/// Adds all of it.
pub(super) fn tell(page: &mut Page, core: &Core, snapshot: &Snapshot) {
    page.count(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    page.count(&GENERATION, &[], core.generation());
    page.count(&MAX_CONNECTIONS, &[], core.max_connections as u64);
    page.count(&LOG_DROPPED, &[], telemetry::lines_dropped());
    tell_reloads(page, core);
    tell_listeners(page, &snapshot.listeners);
    tell_workers(page, core);
    let tallies = core.tallies();
    for limit in Limit::ALL {
        page.count(&LIMITS, &[limit.as_str()], tallies.iter().map(|tally| tally.limits(limit)).sum());
    }
    for (class, count) in CLASSES.into_iter().zip(Classes::sum(tallies.iter().map(|tally| &tally.unrouted))) {
        page.count(&REQUESTS, &["", "", class], count);
    }
}

/// Adds how saving the state goes.
pub(super) fn tell_state(page: &mut Page, state: &StateStatus) {
    let Saves { written, unchanged, failed } = state.saves;
    for (outcome, count) in [("written", written), ("unchanged", unchanged), ("failed", failed)] {
        page.count(&SAVES, &[outcome], count);
    }
    page.number(&SAVED_AT, &[], state.saved_at.unwrap_or(0.0));
}

/// The configuration that the process began with counts as read well.
fn tell_reloads(page: &mut Page, core: &Core) {
    let Reloads { applied, refused, unchanged, last } = core.journal.reloads();
    for (outcome, count) in [("applied", applied), ("refused", refused), ("unchanged", unchanged)] {
        page.count(&RELOADS, &[outcome], count);
    }
    let (at, is_good) = last.unwrap_or((core.clock.started(), true));
    page.count(&LAST_GOOD, &[], is_good.into());
    page.number(&LAST_AT, &[], at.micros() as f64 / 1e6);
}

fn tell_workers(page: &mut Page, core: &Core) {
    for (index, tally) in core.tallies().iter().enumerate() {
        let names = &[&*index.to_string()];
        page.number(&BUSY, names, tally.busy().as_secs_f64());
        page.count(&REQUESTS_OF_WORKER, names, tally.requests.get());
        page.count(&CONNECTIONS_OF_WORKER, names, tally.connections.get());
        page.count(&HANDED_OVER, names, tally.handed_over.get());
    }
}

/// Those of one address together, should there be several.
fn tell_listeners(page: &mut Page, listeners: &[impl AsRef<Listener>]) {
    let mut by_address: BTreeMap<_, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners.iter().map(AsRef::as_ref) {
        by_address.entry(listener.bound()).or_default().push(listener);
    }
    for (address, listeners) in by_address {
        let name = &*address.to_string();
        let connections =
            listeners.iter().map(|listener| listener.connections.load(Ordering::Relaxed) as u64);
        page.count(&CONNECTIONS, &[name], connections.sum());
        if listeners.iter().all(|listener| listener.tls.is_none()) {
            continue;
        }
        for how in Handshake::ALL {
            let count = listeners.iter().map(|listener| listener.handshakes.get(how)).sum();
            page.count(&HANDSHAKES, &[name, how.as_str()], count);
        }
        tell_certificates(page, name, &listeners);
    }
}

/// Of several certificates for one name the one that expires first.
fn tell_certificates(page: &mut Page, listener: &str, listeners: &[&Listener]) {
    let identities =
        listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(Acceptor::identities);
    let mut expiries: BTreeMap<&str, i64> = BTreeMap::new();
    for identity in identities {
        let Some(expiry) = identity.not_after else { continue };
        // One that is for no name still expires.
        let unnamed = identity.names.is_empty().then_some("");
        for name in identity.names.iter().map(String::as_str).chain(unnamed) {
            let known = expiries.entry(name).or_insert(expiry);
            *known = expiry.min(*known);
        }
    }
    for (name, expiry) in expiries {
        page.number(&EXPIRY, &[listener, name], expiry as f64);
    }
}
