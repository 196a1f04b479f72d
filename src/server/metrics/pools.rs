//! Metrics of one pool.

use std::sync::atomic::Ordering;

use super::backends::REQUESTS;
use super::page::{About, Page};
use crate::affinity::table::Loss;
use crate::pool::{Closing, Pool, Reason, Source, Tally, View};
use crate::tally::{CLASSES, Classes, Times};

const OF_POOL: &[&str] = &["pool"];

static EXCHANGES: About = About::times(
    "homing_request_seconds",
    OF_POOL,
    "From the head of a request to the end of the backend's response, tunnels left out.",
);
static CHECK_TIMES: About =
    About::times("homing_health_check_seconds", OF_POOL, "How long health checks took.");
static DECISIONS: About = About::counter(
    "homing_affinity_decisions_total",
    &["pool", "source", "outcome"],
    "Requests sent, by where their session key was found and why they went where they went.",
);
static LEARNED: About =
    About::counter("homing_learned_total", OF_POOL, "Session keys that responses have taught.");
static REBINDS: About = About::counter(
    "homing_rebinds_total",
    &["pool", "cause"],
    "Sessions that got another backend, by how they lost theirs.",
);
static VIOLATIONS: About = About::counter(
    "homing_affinity_violations_total",
    OF_POOL,
    "Responses that taught a session key which lives on another backend. The binding won.",
);
static EVICTIONS: About =
    About::counter("homing_session_evictions_total", OF_POOL, "Sessions ended for want of room.");
static CLOSINGS: About =
    About::counter("homing_tunnel_closes_total", &["pool", "reason"], "Tunnels by how they ended.");
static REFUSED: About = About::counter(
    "homing_refused_cookies_total",
    OF_POOL,
    "Cookies of the proxy's own that did not count: forged, expired, or from the future.",
);
static ENCODED: About = About::counter(
    "homing_encoded_bodies_total",
    OF_POOL,
    "Bodies that might have taught a session key, had they not been compressed.",
);
static KEYLESS: About = About::counter(
    "homing_keyless_requests_total",
    OF_POOL,
    "Requests without a session key, where the pool looks for one.",
);
static WAITING: About = About::gauge(
    "homing_requests_waiting",
    OF_POOL,
    "Requests that wait: for room, for a backend to come back, for a session to move.",
);
static CAPACITY: About = About::gauge(
    "homing_session_table_capacity",
    OF_POOL,
    "Sessions that the table may have; 0 without one.",
);
static ENTRIES: About = About::gauge(
    "homing_session_table_entries",
    OF_POOL,
    "Sessions in the table, those included whose end has not been noticed yet.",
);
static AVAILABLE: About =
    About::gauge("homing_pool_available_backends", OF_POOL, "Backends that take new work.");
static PANICKING: About = About::gauge(
    "homing_pool_panicking",
    OF_POOL,
    "Whether so many backends seem to fail that nothing bound moves for that.",
);

/// Adds all of it.
pub(super) fn tell(page: &mut Page, pool: &Pool) {
    let names = &[&*pool.name];
    let tallies = pool.shared.tallies();
    for (class, count) in CLASSES.into_iter().zip(Classes::sum(tallies.iter().map(|tally| &tally.own))) {
        page.count(&REQUESTS, &[names[0], "", class], count);
    }
    page.times(&EXCHANGES, names, &Times::of(tallies.iter().map(|tally| &tally.exchanges)));
    let checks = pool.backends.iter().map(|backend| &backend.state.findings.times);
    page.times(&CHECK_TIMES, names, &Times::of(checks));
    page.count(&LEARNED, names, sum(pool, |tally| tally.learned.get()));
    for loss in Loss::ALL {
        page.count(&REBINDS, &[names[0], loss.as_str()], sum(pool, |tally| tally.rebinds(loss)));
    }
    for closing in Closing::ALL {
        page.count(&CLOSINGS, &[names[0], closing.as_str()], sum(pool, |tally| tally.closings(closing)));
    }
    tell_decisions(page, pool);
    tell_state(page, pool);
}

/// The sum over all workers.
fn sum(pool: &Pool, one: impl Fn(&Tally) -> u64) -> u64 {
    pool.shared.tallies().iter().map(one).fold(0, u64::wrapping_add)
}

/// Adds what the pool's own sources make possible, and what else there was: routes may have other sources.
fn tell_decisions(page: &mut Page, pool: &Pool) {
    let mut expected: Vec<Source> = pool.key_sources().iter().map(Source::from).collect();
    expected.extend(pool.sealer().map(|_| Source::Own));
    for (source, reason) in Source::ALL.into_iter().flat_map(|source| Reason::ALL.map(|it| (source, it))) {
        let count = sum(pool, |tally| tally.decisions(source, reason));
        let is_expected =
            if reason == Reason::Balanced { source == Source::None } else { expected.contains(&source) };
        if is_expected || count > 0 {
            page.count(&DECISIONS, &[&pool.name, source.as_str(), reason.as_str()], count);
        }
    }
}

/// Adds what the pool keeps whatever the worker.
fn tell_state(page: &mut Page, pool: &Pool) {
    let (table, view) = (pool.table(), View::new(pool, 0));
    let keyless = pool.backends.iter().map(|backend| backend.state.sum(|counters| &counters.keyless));
    for (about, value) in [
        (&VIOLATIONS, table.map_or(0, |table| table.violations())),
        (&EVICTIONS, table.map_or(0, |table| table.evictions())),
        (&CAPACITY, table.map_or(0, |table| table.capacity() as u64)),
        (&ENTRIES, table.map_or(0, |table| table.len() as u64)),
        (&REFUSED, pool.shared.refused()),
        (&ENCODED, pool.shared.encoded_bodies.load(Ordering::Relaxed)),
        (&KEYLESS, keyless.sum()),
        (&WAITING, pool.shared.waiting.load(Ordering::Relaxed)),
        (&AVAILABLE, view.candidates().len() as u64),
        (&PANICKING, view.panics().into()),
    ] {
        page.count(about, &[&pool.name], value);
    }
}
