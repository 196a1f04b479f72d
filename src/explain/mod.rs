//! Where a request would go, and why: the questions that traffic asks, asked without a request.
//!
//! It decides nothing itself, and changes nothing: route, key, view and decision come from where traffic takes them, and
//! policies that take turns are asked by a view of their own.

mod detail;
mod question;
mod text;

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Method, Uri, header};
use serde::{Deserialize, Serialize};

use crate::affinity::{Facts, session_key};
use crate::clock::Now;
use crate::headers::{Fields, forwarded_for, host_name, is_trusted};
use crate::pool::{Decision, Reason, Refusal};
use crate::snapshot::Snapshot;

use question::Question;

/// A request that somebody asks about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its target, as a path or as a whole URL, which then says the host unless there is a `Host` field.
    pub uri: &'a Uri,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Who sends it. From a trusted proxy, `X-Forwarded-For` says for whom.
    pub client_ip: IpAddr,
}

/// Where a request would go now, and why. Its JSON is part of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The path of the route that fits.
    pub route: Option<String>,
    /// The host it is for, lower case and without a port; empty where it names none.
    pub host: String,
    /// The route's pool.
    pub pool: Option<String>,
    /// How the pool keeps keys: `none`, `hash`, `cookie` or `table`.
    pub mode: Option<String>,
    /// The pool's policy.
    pub balance: Option<String>,
    /// The session key; octets that are no UTF-8 are replaced. Of the proxy's own cookie, the session's number.
    pub key: Option<String>,
    /// Where it was found.
    pub key_source: Option<String>,
    /// All backends of the pool as they stand to new work with this key, or without one: best first, those that take
    /// none last.
    pub candidates: Vec<Candidate>,
    /// The session of the key, if it has one.
    pub binding: Option<Bound>,
    /// The backend it would go to. None where none is available, and where the policy takes turns or draws, so that
    /// nobody can say which it will be.
    pub backend: Option<String>,
    /// Why.
    pub reason: Verdict,
    /// The same in a sentence or two.
    pub detail: String,
    /// What would become of the key if it had no binding. None without a key.
    pub without_binding: Option<Unbound>,
}

/// A backend as it stands to new work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// What is wanted of it: `ready`, `drain` or `maint`.
    pub state: String,
    /// Its observed health: `unknown`, `up`, `suspect` or `down`.
    pub health: String,
    /// Sessions bound to it; 0 without a session table.
    pub sessions: u64,
    /// Requests whose response has not ended, tunnels included.
    pub in_flight: u64,
    /// Sessions it may have; 0: any number.
    pub max_sessions: u64,
    /// Whether it may take the work.
    pub eligible: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// Its place among those that may, from 1.
    pub rank: Option<u32>,
    /// What the policy compares, the least being the best: for `rendezvous` `-log2(draw) / weight`, for `least_request`
    /// and `random` requests per weight, for `least_sessions` sessions per weight.
    pub score: Option<f64>,
}

/// The session of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The backend it is bound to; none if that is gone.
    pub backend: Option<String>,
    /// Grows with each owner; 0 where only the client's cookie knows of the session.
    pub epoch: u64,
    /// Requests and tunnels that are live now.
    pub live: u32,
    /// Since it got this owner.
    pub age_seconds: f64,
}

/// What would become of a key without a binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unbound {
    /// The backend; none as in [`Explanation::backend`].
    pub backend: Option<String>,
    /// `placed`, `unavailable` or `full`.
    pub reason: Verdict,
}

/// Why a request goes where it goes, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its key is bound.
    Bound,
    /// Its key has no binding and would be placed.
    Placed,
    /// Its key has lost its backend and would be placed anew.
    Rebound,
    /// It has no key, or the pool is not sticky.
    Balanced,
    /// No backend can take it.
    Unavailable,
    /// Every backend that could take its session has all it may have.
    Full,
    /// Its backend is down, and it gets no other.
    Rejected,
    /// Its backend is down, and it waits for it to come back.
    Waiting,
    /// No route fits, or it is nothing that is routed.
    NoRoute,
}

impl Verdict {
    /// The word used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Placed => "placed",
            Self::Rebound => "rebound",
            Self::Balanced => "balanced",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Rejected => "rejected",
            Self::Waiting => "waiting",
            Self::NoRoute => "no_route",
        }
    }

    /// Whether a backend would take the request now.
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Bound | Self::Placed | Self::Rebound | Self::Balanced)
    }
}

impl From<Result<Decision, Refusal>> for Verdict {
    fn from(decision: Result<Decision, Refusal>) -> Self {
        match decision {
            Ok(Decision { reason: Reason::Bound, .. }) => Self::Bound,
            Ok(Decision { reason: Reason::Placed, .. }) => Self::Placed,
            Ok(Decision { reason: Reason::Rebound, .. }) => Self::Rebound,
            Ok(Decision { reason: Reason::Balanced, .. }) => Self::Balanced,
            Err(Refusal::NoBackend | Refusal::Outdated) => Self::Unavailable,
            Err(Refusal::Full) => Self::Full,
            Err(Refusal::Down) => Self::Rejected,
            Err(Refusal::Wait { .. }) => Self::Waiting,
        }
    }
}

/// Says where a request would go. O(backends), and a little more for the order of preference.
pub fn explain(snapshot: &Snapshot, asked: &Asked<'_>, now: Now) -> Explanation {
    let Some(host) = host(asked) else { return Explanation::without_route("", detail::BAD_HOST) };
    if asked.method == Method::CONNECT {
        return Explanation::without_route(&host, detail::CONNECT);
    }
    let route = match snapshot.router.find(&host, asked.uri.path()) {
        Ok(Some(route)) => route,
        Ok(None) => return Explanation::without_route(&host, detail::NO_ROUTE),
        Err(unclear) => return Explanation::without_route(&host, &detail::bad_path(unclear)),
    };
    let Some(pool) = snapshot.pools.get(route.pool) else {
        return Explanation::without_route(&host, detail::NO_ROUTE);
    };
    let (networks, fields) = (&snapshot.trusted_proxies, Fields::from(asked.headers.clone()));
    let ip = asked.client_ip.to_canonical();
    let client_ip = if is_trusted(ip, networks) { forwarded_for(ip, &fields, networks) } else { ip };
    let sources = route.key.as_deref().unwrap_or(pool.key_sources());
    let sni = server_name(asked.uri);
    let facts = Facts { host: &host, uri: asked.uri, headers: &fields, client_ip, sni: sni.as_deref() };
    let found = session_key(sources, &facts);
    let cookie = Some(&fields).filter(|_| !route.is_not_sticky());
    let question = Question::new(pool, found.as_ref(), cookie, now);
    let mut explanation = question.answer(&host);
    explanation.route = Some(route.path.clone());
    if asked.method == Method::DELETE && question.was_issued() {
        explanation.detail += detail::DELETES;
    }
    explanation
}

/// What a client that asks for this URL names in its TLS handshake.
fn server_name(uri: &Uri) -> Option<String> {
    let is_over_tls = matches!(uri.scheme_str(), Some("https" | "wss"));
    uri.host().filter(|_| is_over_tls).map(str::to_ascii_lowercase)
}

/// `Host` where there is one, as with curl, else what the URL says. `None` if it is no host.
fn host<'a>(asked: &Asked<'a>) -> Option<Cow<'a, str>> {
    let field = asked.headers.get(header::HOST).map(header::HeaderValue::as_bytes);
    let authority = || asked.uri.authority().map(|authority| authority.as_str().as_bytes());
    let said = field.or_else(authority);
    said.map_or(Some(Cow::Borrowed("")), host_name)
}

impl Explanation {
    fn without_route(host: &str, detail: &str) -> Self {
        Self {
            route: None,
            host: host.to_owned(),
            pool: None,
            mode: None,
            balance: None,
            key: None,
            key_source: None,
            candidates: Vec::new(),
            binding: None,
            backend: None,
            reason: Verdict::NoRoute,
            detail: detail.to_owned(),
            without_binding: None,
        }
    }
}
