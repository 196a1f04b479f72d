//! From a backend's response head to the response a client gets.

use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::Body as _;

use super::Plan;
use super::body::{Body, Stream};
use super::running::Running;
use super::upgrade::{self, ClientEnd};
use super::{lesson, ticket};
use crate::headers;
use crate::transport::Arriving;

/// Learns the keys the response teaches, removes what belongs to one hop, and streams the body. The exchange ends with
/// the body.
pub(super) fn respond(
    mut response: Response<Arriving>,
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
    lesson::learn_head(&mut running, plan.key.as_ref(), response.headers(), now);
    if let (Some(key), true) = (&plan.key, plan.deletes && response.status().is_success()) {
        running.pool().end(key, now);
    }
    ticket::issue(&mut running, response.headers_mut(), now);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = asked_upgrade
    {
        return upgrade::open(response, running, client);
    }
    let (mut parts, incoming) = response.into_parts();
    let reader = lesson::reader(&running, plan, &parts);
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
    Response::from_parts(parts, Body::stream(Stream { incoming, running: Some(running), reader }))
}
