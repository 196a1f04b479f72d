//! One request: decide, forward, respond, record.
//!
//! ```text
//! Asked::check     is it one well-formed request, and for whom?        400 413 414 501
//! plan             which route, which pool, which key?                 400 404
//! Forward          decide → connect → commit → send, again if need be  408 502 503 504
//! respond          learn keys, strip fields, stream the body
//! Running          ends with the body: counters, lease, access line
//! ```

mod blame;
mod body;
mod client;
mod core;
mod error;
mod forward;
mod frames;
mod lesson;
mod moving;
mod outbound;
mod places;
mod request;
mod respond;
mod retry;
mod room;
mod running;
mod tally;
mod ticket;
mod tunnel;
mod upgrade;
mod worker;

use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::Method;

use crate::affinity::{self, Ticket};
use crate::headers::{Request, Response};
use crate::pool::{Key, Source};
use crate::transport::http1::client::HeadError;
use crate::transport::{Interim, Received};

pub(crate) use body::Body;
pub(crate) use client::{Active, Carrier, Client, Line, Secured};
pub(crate) use core::{Core, Order};
pub(crate) use places::{Passage, Place};
pub(crate) use tally::{Limit, Tally};
pub(crate) use upgrade::{Offer, as_upgrade};
pub(crate) use worker::Worker;

use error::{Error, Form};
use forward::Forward;
use request::Asked;
use worker::Current;

/// A request as a connection hands it over.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) request: Box<Request>,
    pub(crate) body: Received,
    /// What becomes a tunnel if the request asks for one and the backend agrees.
    pub(crate) offer: Option<Offer>,
    /// Where interim responses go, if the connection can carry them.
    pub(crate) interim: Option<Interim>,
}

/// Answers one request. Never fails: what goes wrong becomes a response.
///
/// All that needs no waiting is done at once; only what waits for a backend is a future, and that is boxed: a connection
/// has room for it as long as it lives, and most of that time there is no request.
pub(crate) fn handle(worker: &Rc<Worker>, client: &Rc<Client>, arrived: Arrived) -> Answer {
    let (current, tally) = (worker.current(), worker.tally());
    tally.requests.up();
    let mut asked = Asked::new(arrived, worker, &current, client);
    match asked.check(&current.snapshot.limits).and_then(|()| plan(worker, &current, &mut asked)) {
        Ok(plan) => {
            let forward = Forward::new(worker.clone(), current, plan, asked);
            Answer::Awaited(Box::pin(forward.run()))
        }
        Err(error) => {
            tally.unrouted.count(error.status().as_u16());
            worker.reached(&error);
            Answer::Ready(Some(asked.fail(&error)))
        }
    }
}

/// Answers what is no request, in a form that suits what is known of it. Over HTTP/1 the connection has to end.
pub(crate) fn refuse(worker: &Worker, error: &HeadError, known: Option<&Request>) -> Response<Body> {
    let error = Error::from(error);
    worker.tally().unrouted.count(error.status().as_u16());
    worker.reached(&error);
    error.response(known.map_or(Form::Text, Form::wanted_by))
}

/// The answer to a request, as soon as there is one.
pub(crate) enum Answer {
    Ready(Option<Response<Body>>),
    Awaited(Pin<Box<dyn Future<Output = Response<Body>>>>),
}

impl Future for Answer {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        match self.get_mut() {
            Self::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            Self::Awaited(response) => response.as_mut().poll(cx),
        }
    }
}

/// What is known of a request before a backend is chosen.
#[derive(Debug)]
struct Plan {
    /// Position of the pool.
    pool: usize,
    key: Option<Key>,
    /// Where that was found.
    source: Source,
    /// What the client's cookie says, in cookie mode.
    ticket: Option<Box<Ticket>>,
    /// A good answer ends the session: the request asks to delete what a response had issued.
    deletes: bool,
    /// The client is spoken to through TLS.
    over_tls: bool,
}

/// Finds route and key. Synchronous.
fn plan(worker: &Worker, current: &Current, asked: &mut Asked) -> Result<Plan, Error> {
    let snapshot = &current.snapshot;
    let host = request::host(&asked.head)?;
    if let Some(record) = &mut asked.record {
        record.host = host.to_string();
    }
    let route = snapshot.router.find(&host, asked.head.uri.path())?.ok_or(Error::NoRoute)?;
    let pool = &snapshot.pools[route.pool];
    let sources = route.key.as_deref().unwrap_or(pool.key_sources());
    let found = affinity::session_key(sources, &asked.facts(&host));
    let sealer = pool.sealer().filter(|_| !route.is_not_sticky());
    let (key, ticket) = match sealer {
        Some(sealer) => {
            let headers = &asked.head.fields;
            let (key, ticket) =
                ticket::session(worker, (pool, sealer, current.recent(route.pool)), headers, found.as_ref());
            (Some(key), ticket.map(Box::new))
        }
        None => (found.as_ref().map(|found| pool.key(found)), None),
    };
    let source = match &ticket {
        Some(_) => Source::Own,
        None => found.as_ref().map_or(Source::None, |found| found.source.into()),
    };
    if asked.record.is_some() {
        let log_hash = &worker.core.log_hash;
        // Of a key that is kept in a table the log has what stands for it there: who lists the table finds it in the log.
        let kept = key.filter(|_| sealer.is_none() && pool.table().is_some());
        let hash = |bytes: &[u8]| {
            kept.map_or_else(|| log_hash.hash_one(bytes), |key| log_hash.hash_one(key.fingerprint.0))
        };
        let found = found.map(|found| (found.source, hash(&found.bytes)));
        drop(host);
        asked.record_plan(current.name(route.pool), found);
        let carried = ticket.as_deref().zip(sealer);
        if let (Some((ticket, sealer)), Some(record)) = (carried, &mut asked.record) {
            record.key_source = Some(format!("cookie:{}", sealer.name()));
            record.key = Some(log_hash.hash_one(ticket.session));
        }
    }
    let deletable = key.is_some_and(|key| key.deletable);
    let deletes = deletable && asked.head.method == Method::DELETE;
    Ok(Plan { pool: route.pool, key, source, ticket, deletes, over_tls: asked.client.is_over_tls() })
}
