//! The request as it leaves for a backend: one message with one framing, whatever form it came in.

use std::rc::Rc;

use http::{HeaderValue, header};
use http_body::Body as _;

use super::error::is_grpc;
use super::request::{Asked, Reply};
use super::upgrade::{self, ClientEnd, Offer};
use crate::clock::Clock;
use crate::config::{Limits, Protocol};
use crate::headers::{self, Request};
use crate::pool::Pool;
use crate::transport::exchange::Membership;
use crate::transport::{Gate, Listener, Outgoing, Pace};

/// A request ready to be sent, and what stays behind.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) head: Box<Request>,
    /// Who hears interim responses.
    pub(super) listener: Option<Listener>,
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
    let Asked { mut head, body, client, trusted, record, offer, interim, .. } = asked;
    let seen = head.seen;
    let reply = Reply { grpc: is_grpc(&head), record };
    let is_http2 = pool.dialing.protocol() == Protocol::Http2;
    let asked_upgrade = seen.upgrade && body.is_end_stream() && upgrade::is_asked(&head);
    let is_wanted = |offer: &Offer| !is_http2 && (asked_upgrade || matches!(offer, Offer::Stream(_)));
    let upgrade = offer.filter(is_wanted).map(|offer| ClientEnd { offer, client: client.clone() });
    let may_have_trailers = !body.is_end_stream() && body.size_hint().exact().is_none();
    let trailer = may_have_trailers.then(|| headers::trailer(&head.fields, &seen)).flatten();
    headers::strip(&mut head.fields, &seen);
    headers::strip_disguised(&mut head.fields, &seen);
    headers::forwarded(&mut head.fields, &seen, &client.peer(trusted));
    if upgrade.is_some() {
        upgrade::ask(&mut head.fields);
    } else if seen.trailers {
        headers::want_trailers(&mut head.fields);
    }
    if let Some(trailer) = trailer {
        head.fields.insert(header::TRAILER, trailer);
    }
    // Where the target has no host the field is sent empty (RFC 9112 §3.2).
    if seen.hosts == 0 {
        head.fields.insert(header::HOST, HeaderValue::from_static(""));
    }
    if body.is_end_stream() {
        let listener = Gate::listen(None, interim);
        return Outbound { head, listener, body: Outgoing::empty(), upgrade, reply };
    }
    // A known length came in a Content-Length that was checked; it is still there.
    if body.size_hint().exact().is_none() {
        head.fields.remove(&header::CONTENT_LENGTH);
        head.fields.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let gate = seen.expect.then(Gate::closed);
    let listener = Gate::listen(gate.as_ref(), interim);
    let pace = Pace {
        exchange: exchange.clone(),
        client: limits.body_timeout,
        backend: pool.timeouts.response,
        clock,
    };
    let body = Outgoing::stream(body, limits.body_bytes, pace, gate);
    Outbound { head, listener, body, upgrade, reply }
}
