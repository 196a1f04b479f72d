//! From a backend's response head to the response a client gets.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};

use super::Plan;
use super::body::{Body, Stream};
use super::running::Running;
use super::upgrade::{self, ClientEnd};
use crate::clock::Now;
use crate::headers;
use crate::pool::Key;

/// Learns the keys the response teaches, removes what belongs to one hop, and streams the body. The exchange ends with
/// the body.
pub(super) fn respond(
    response: Response<Incoming>,
    mut running: Running,
    plan: &Plan,
    asked_upgrade: Option<ClientEnd>,
) -> Response<Body> {
    let now = running.worker.clock.now();
    running.seen = now;
    if let Some(record) = &mut running.record {
        record.head = Some(now);
        record.status = Some(response.status());
    }
    let learned = learn(&running, plan.key.as_ref(), response.headers(), now);
    if let (Some(key), true) = (&plan.key, plan.deletes && response.status().is_success()) {
        running.pool().end(key, now);
    }
    if let (Some(record), true) = (&mut running.record, learned) {
        record.affinity = Some("learned");
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = asked_upgrade
    {
        return upgrade::open(response, running, client);
    }
    let (mut parts, incoming) = response.into_parts();
    let seen = headers::look_at_response(&parts.headers);
    if seen.transfer_encoding {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    headers::strip(&mut parts.headers, &seen);
    parts.version = Version::HTTP_11;
    if running.membership.is_held_back() {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if incoming.is_end_stream() {
        running.finish();
        let absent = parts.status == StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, if absent { Body::absent() } else { Body::empty() });
    }
    Response::from_parts(parts, Body::stream(Stream { incoming, running: Some(running) }))
}

/// Whether the response taught a key that is bound now.
fn learn(running: &Running, key: Option<&Key>, response: &HeaderMap, now: Now) -> bool {
    let pool = running.pool();
    if pool.table().is_none() {
        return false;
    }
    let view = running.current.view(running.pool_position());
    let lessons = pool.learn(&view, running.backend_position(), key, response, now);
    if lessons.violations > 0 {
        let backend = &running.backend().name;
        tracing::warn!(pool = %pool.name, %backend, "a response issues a session key that lives on another backend");
    }
    lessons.learned > 0
}
