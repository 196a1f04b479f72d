//! From a backend's response head to the response a client gets.

use http::{HeaderValue, StatusCode, Version, header};
use http_body::Body as _;

use super::Plan;
use super::body::{Body, Stream};
use super::error::Error;
use super::request::Reply;
use super::running::Running;
use super::upgrade::{self, ClientEnd};
use super::{lesson, ticket};
use crate::headers::{self, Response};
use crate::transport::Arriving;

/// Learns the keys the response teaches, removes what belongs to one hop, and streams the body. The exchange ends with
/// the body.
pub(super) fn respond(
    mut response: Response<Arriving>,
    mut running: Box<Running>,
    plan: &Plan,
    asked_upgrade: Option<ClientEnd>,
) -> Response<Body> {
    let seen = response.seen;
    let is_http2 = response.version == Version::HTTP_2;
    if is_http2 && !response.fields.names().all(headers::is_token)
        || seen.transfer_encoding && !headers::is_only_chunked(&response.fields)
    {
        return refuse(&mut running);
    }
    let now = running.worker.clock.now();
    running.answered(response.status, now);
    lesson::learn_head(&mut running, plan.key.as_ref(), &response.fields, now);
    if let (Some(key), true) = (&plan.key, plan.deletes && response.status.is_success()) {
        running.pool().end(key, now);
    }
    ticket::issue(&mut running, plan, &mut response.fields, now);
    if response.status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = asked_upgrade
    {
        return upgrade::open(response, running, client);
    }
    let reader = lesson::reader(&running, plan, &response);
    let Response { status, fields, body: incoming, .. } = &mut response;
    if seen.transfer_encoding {
        fields.remove(&header::CONTENT_LENGTH);
    } else {
        headers::write_length_plainly(fields);
    }
    // Trailer fields go through where the next hop can tell them from the body's end.
    let may_have_trailers = incoming.size_hint().exact().is_none();
    let trailer = may_have_trailers.then(|| headers::trailer(fields, &seen)).flatten();
    headers::strip(fields, &seen);
    if let Some(trailer) = trailer {
        fields.insert(header::TRAILER, trailer);
    }
    if running.membership.is_held_back() {
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if incoming.is_end_stream() {
        running.ends_with_head();
        running.finish();
        let absent = *status == StatusCode::NOT_MODIFIED;
        return response.map(|_| if absent { Body::absent() } else { Body::empty() });
    }
    response.map(|incoming| Body::stream(Stream { incoming, running: Some(running), reader }))
}

/// A body in another coding than `chunked` would reach the client without a word of that coding, and may end elsewhere
/// than it is taken to; a field's name that is no token means something else to each reader.
fn refuse(running: &mut Running) -> Response<Body> {
    running.counters().failures.up();
    running.tally().own.count(Error::Nonsense.status().as_u16());
    let reply = Reply { grpc: false, record: running.take_record() };
    reply.fail(&Error::Nonsense, None)
}
