//! The request as it leaves for a backend: one message with one framing, whatever form it came in.

use std::rc::Rc;

use http::request::Parts;
use http::{Extensions, HeaderValue, Version, header};
use http_body::Body as _;

use super::error::is_grpc;
use super::request::{Asked, Reply};
use super::upgrade::{self, ClientEnd, Offer};
use crate::clock::Clock;
use crate::config::{Limits, Protocol};
use crate::headers;
use crate::pool::Pool;
use crate::transport::exchange::Membership;
use crate::transport::{Gate, Outgoing, Pace};

/// A request ready to be sent, and what stays behind.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) head: Parts,
    pub(super) body: Outgoing,
    /// The client's end of a tunnel, where one was asked for.
    pub(super) upgrade: Option<ClientEnd>,
    pub(super) reply: Reply,
}

/// Makes the outgoing request. Its body moves the deadlines of `exchange`.
pub(super) fn prepare(
    asked: Asked,
    exchange: &Rc<Membership>,
    pool: &Pool,
    limits: &Limits,
    clock: Clock,
) -> Outbound {
    let Asked { mut parts, body, client, trusted, mut seen, record, offer, interim, .. } = asked;
    let reply = Reply { grpc: is_grpc(&parts), accept: seen.accept.take(), record };
    let is_http2 = pool.dialing.protocol() == Protocol::Http2;
    let asked_upgrade = seen.upgrade && body.is_end_stream() && upgrade::is_asked(&parts);
    let is_wanted = |offer: &Offer| !is_http2 && (asked_upgrade || matches!(offer, Offer::Stream(_)));
    let upgrade = offer.filter(is_wanted).map(|offer| ClientEnd { offer, client: client.clone() });
    let may_have_trailers = !body.is_end_stream() && body.size_hint().exact().is_none();
    let trailer = may_have_trailers.then(|| headers::trailer(&parts.headers, &seen)).flatten();
    headers::strip(&mut parts.headers, &seen);
    let (hostless, expects, wants_trailers) = (seen.hosts == 0, seen.expect, seen.trailers);
    headers::forwarded(&mut parts.headers, seen, &client.peer(trusted));
    if upgrade.is_some() {
        upgrade::ask(&mut parts.headers);
    } else if wants_trailers {
        headers::want_trailers(&mut parts.headers);
    }
    if let Some(trailer) = trailer {
        parts.headers.insert(header::TRAILER, trailer);
    }
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    // Where the target has no host the field is sent empty (RFC 9112 §3.2).
    if hostless {
        parts.headers.insert(header::HOST, HeaderValue::from_static(""));
    }
    if body.is_end_stream() {
        Gate::listen(None, interim, &mut parts.extensions);
        return Outbound { head: parts, body: Outgoing::empty(), upgrade, reply };
    }
    // A known length came in a Content-Length that was checked; it is still there.
    if body.size_hint().exact().is_none() {
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let gate = expects.then(Gate::closed);
    Gate::listen(gate.as_ref(), interim, &mut parts.extensions);
    let pace = Pace {
        exchange: exchange.clone(),
        client: limits.body_timeout,
        backend: pool.timeouts.response,
        clock,
    };
    let body = Outgoing::stream(body, limits.body_bytes, pace, gate);
    Outbound { head: parts, body, upgrade, reply }
}
