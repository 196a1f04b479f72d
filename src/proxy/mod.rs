//! One request: decide, forward, respond, record.
//!
//! ```text
//! Asked::check     is it one well-formed request, and for whom?        400 413 414 501
//! plan             which route, which pool, which key?                 404
//! Forward          decide → connect → commit → send, again if need be  408 502 503 504
//! respond          learn keys, strip fields, stream the body
//! Running          ends with the body: counters, lease, access line
//! ```

mod body;
mod client;
mod core;
mod error;
mod forward;
mod frames;
mod headers;
mod moving;
mod outbound;
mod request;
mod respond;
mod running;
mod tunnel;
mod upgrade;
mod worker;

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::affinity;
use crate::pool::Key;

pub(crate) use body::Body;
pub(crate) use client::Client;
pub(crate) use core::{Core, Order};
pub(crate) use request::host_name;
pub(crate) use worker::Worker;

use error::Error;
use forward::Forward;
use request::Asked;
use worker::Current;

/// Answers one request. Never fails: what goes wrong becomes a response.
pub(crate) async fn handle(worker: Rc<Worker>, client: Rc<Client>, request: Request<Incoming>) -> Response<Body> {
    let current = worker.current();
    let mut asked = Asked::new(request, &worker, &current, &client);
    let response = match asked.check(&current.snapshot.limits).and_then(|()| plan(&current, &mut asked)) {
        Ok(plan) => Forward::new(worker, current, plan).run(asked).await,
        Err(error) => asked.into_reply().fail(&error, &worker),
    };
    response.map(|body| body.to(client))
}

/// What is known of a request before a backend is chosen.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Position of the pool.
    pool: usize,
    key: Option<Key>,
}

/// Finds route and key. Synchronous.
fn plan(current: &Current, asked: &mut Asked) -> Result<Plan, Error> {
    let snapshot = &current.snapshot;
    let route = snapshot.router.find(&asked.host, asked.parts.uri.path()).ok_or(Error::NoRoute)?;
    let pool = &snapshot.pools[route.pool];
    let sources = route.key.as_deref().unwrap_or(pool.key_sources());
    let found = affinity::session_key(sources, &asked.facts());
    let key = found.as_ref().map(|found| pool.key(found));
    if asked.record.is_some() {
        let found = found.map(|found| (found.source, found.bytes.into_owned()));
        asked.record_plan(&pool.name, found, current.log_seed);
    }
    Ok(Plan { pool: route.pool, key })
}
