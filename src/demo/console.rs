//! The demo's console: the page, and the API behind its switches. It runs behind the proxy like any backend, and
//! reaches the proxy it describes through [`Control`].
//!
//! `GET /` the page · `GET /demo/state` · `GET /demo/feed` the same as a WebSocket, pushed as it changes ·
//! `GET /demo/explain?path=/game/berlin` · `POST /demo/backends` adds one ·
//! `POST /demo/backends/{name}/kill`, `…/restart`, `…/drain`, `…/ready`, `…/remove` ·
//! `POST /demo/stickiness` `{"on": false}`. What changes something needs `Content-Type: application/json`.
//! Backends are drained as an operator would do it, through the proxy's admin listener.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, HOST, LOCATION, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};

use super::events::{Chronicle, Drain, Event, Look};
use super::fleet::{BackendInfo, Fleet, FleetError, Stay};
use super::http::{Answer, body, content, json, problem, serve};
use super::settings::{Settings, Stickiness};
use super::socket::{self, Line, Socket, line};
use super::{Options, operator, page};
use crate::config::{Config, Wanted};
use crate::explain::Asked;
use crate::server::{Control, ServerThread};

/// How often the console looks at the fleet.
const LOOK: Duration = Duration::from_millis(250);

/// Who may join, in this order; with the first three they are as many as the page has colours.
const NEWCOMERS: [&str; 3] = ["dora", "emil", "fred"];

/// The pools that the fleet's backends are in.
const POOLS: [&str; 2] = ["app", "api"];

/// What the console is made of.
pub(super) struct Console {
    pub(super) fleet: Arc<Fleet>,
    pub(super) control: Control,
    /// The proxy's address, to which people are sent who open the console directly.
    pub(super) proxy: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) own: SocketAddr,
    pub(super) options: Options,
    /// Held while a configuration is made and put in force, so that two changes at a time end with what is shown.
    pub(super) stickiness: Mutex<Stickiness>,
}

struct Desk {
    console: Console,
    state: watch::Sender<Line>,
    changed: Notify,
}

/// What the page shows.
#[derive(Serialize)]
struct State<'a> {
    sticky: bool,
    admin: SocketAddr,
    /// Whether one more backend may join.
    room: bool,
    backends: &'a [BackendInfo],
    /// The proxy's own status, as its admin API gives it.
    proxy: &'a Value,
    events: &'a VecDeque<Event>,
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

impl Console {
    /// Serves on `listener` from a thread of its own.
    pub(super) fn start(self, listener: TcpListener) -> io::Result<ServerThread> {
        let desk = Arc::new(Desk { console: self, state: watch::Sender::default(), changed: Notify::new() });
        ServerThread::start("demo-console", listener, move |listener| async move {
            let watching = Arc::clone(&desk);
            tokio::join!(
                watching.watch(),
                serve(listener, move |request| {
                    let desk = Arc::clone(&desk);
                    async move { desk.handle(request).await }
                })
            );
        })
    }

    fn stickiness(&self) -> MutexGuard<'_, Stickiness> {
        self.stickiness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, to: Stickiness) -> Result<(), String> {
        let mut now = self.stickiness();
        self.put_in_force(to)?;
        *now = to;
        Ok(())
    }

    /// Starts one more backend and lets the proxy know of it.
    fn add(&self) -> Result<(), String> {
        let now = self.stickiness();
        let name = self.newcomer().ok_or("six backends are enough")?;
        self.fleet.add(name).map_err(|error| error.to_string())?;
        self.put_in_force(*now).inspect_err(|_| self.fleet.forget(name))
    }

    /// Takes an added backend out of the configuration: the proxy drains it, and then it goes.
    fn remove(&self, name: &str) -> Result<(), FleetError> {
        let now = self.stickiness();
        self.fleet.retire(name)?;
        if let Err(error) = self.put_in_force(*now) {
            // It is tried again with the next change.
            tracing::warn!(%error, name, "a backend of the demo stays for now");
        }
        Ok(())
    }

    fn newcomer(&self) -> Option<&'static str> {
        NEWCOMERS.into_iter().find(|name| self.fleet.address(name).is_none())
    }

    fn put_in_force(&self, stickiness: Stickiness) -> Result<(), String> {
        let backends = self.fleet.staying();
        let admin = self.options.admin;
        let settings =
            Settings { listen: self.options.listen, admin, backends: &backends, console: self.own };
        let config =
            Config::parse(&settings.toml(stickiness), "demo").map_err(|errors| errors.to_string())?;
        self.control.apply(&config).map_err(|error| error.to_string())
    }
}

impl Desk {
    /// Looks at the fleet for ever and publishes what changed.
    async fn watch(&self) {
        let mut chronicle = Chronicle::default();
        loop {
            let Console { fleet, control, admin, .. } = &self.console;
            let sticky = *self.console.stickiness() == Stickiness::On;
            let proxy = serde_json::to_value(control.status()).unwrap_or_default();
            forget_who_left(fleet, &proxy);
            let backends = fleet.backends();
            let (health, drains) = (health(&proxy), drains(&proxy));
            chronicle.look(Look { sticky, backends: backends.clone(), health, drains }, unix_millis());
            let (room, events) = (self.console.newcomer().is_some(), chronicle.events());
            let state = State { sticky, admin: *admin, room, backends: &backends, proxy: &proxy, events };
            publish(&self.state, line(&state));
            let _ = tokio::time::timeout(LOOK, self.changed.notified()).await;
        }
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        if let Some(name) = path.strip_prefix("/demo/page/") {
            return page::file(name, request.headers()).unwrap_or_else(nothing_here);
        }
        match (request.method(), path.as_str()) {
            (&Method::GET | &Method::HEAD, "/") => self.front(&request),
            (&Method::GET, "/demo/state") => {
                content(StatusCode::OK, "application/json", self.state.borrow().to_string())
            }
            (&Method::GET, "/demo/explain") => self.explain(&request),
            (&Method::GET, "/demo/feed") if trusted(request.headers()) => {
                socket::upgrade(request, move |socket| async move { self.feed(socket).await })
            }
            (&Method::POST, _) | (&Method::GET, "/demo/feed") if !trusted(request.headers()) => foreign(),
            (&Method::POST, _) if !is_json(request.headers()) => {
                problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
            }
            (&Method::POST, "/demo/stickiness") => self.switch(request).await,
            (&Method::POST, "/demo/backends") => self.add(),
            (&Method::POST, _) => self.order(&path).await,
            _ => nothing_here(),
        }
    }

    /// The page; from the console's own address, on which there are no rooms, the way to the proxy.
    fn front(&self, request: &Request<Incoming>) -> Answer {
        let direct =
            host(request.headers()).is_some_and(|host| host.port_u16() == Some(self.console.own.port()));
        if !direct {
            return page::file("index.html", request.headers()).unwrap_or_else(nothing_here);
        }
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut answer = problem(StatusCode::TEMPORARY_REDIRECT, "the demo is behind the proxy");
        let target = HeaderValue::from_str(&format!("http://{}/{query}", self.console.proxy));
        answer.headers_mut().extend(target.ok().map(|target| (LOCATION, target)));
        answer
    }

    /// What the proxy would do with the client's request for `?path=`, and why.
    fn explain(&self, request: &Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let path = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "path");
        let uri = path.and_then(|(_, path)| path.starts_with('/').then(|| path.parse::<Uri>().ok())?);
        let Some(uri) = uri else {
            return problem(StatusCode::BAD_REQUEST, "say which path: /demo/explain?path=/game/berlin");
        };
        let client_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let asked = Asked { method: &Method::GET, uri: &uri, headers: request.headers(), client_ip };
        json(StatusCode::OK, &self.console.control.explain(&asked))
    }

    async fn feed(&self, socket: Socket) {
        let (outbox, inbox) = mpsc::channel(2);
        let push = async {
            let mut states = self.state.subscribe();
            states.mark_changed();
            while states.changed().await.is_ok() {
                let state = states.borrow_and_update().clone();
                if outbox.send(state).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = push => {}
            () = socket::converse(socket, inbox, |_| {}) => {}
        }
    }

    async fn switch(&self, request: Request<Incoming>) -> Answer {
        let body = match body(request).await {
            Ok(body) => body,
            Err(error) => return error.into(),
        };
        let Ok(Switch { on }) = serde_json::from_slice(&body) else {
            return problem(StatusCode::BAD_REQUEST, "say {\"on\": true} or {\"on\": false}");
        };
        let switched = self.console.switch(if on { Stickiness::On } else { Stickiness::Off });
        self.changed.notify_one();
        match switched {
            Ok(()) => json(StatusCode::OK, &json!({ "sticky": on })),
            Err(message) => problem(StatusCode::INTERNAL_SERVER_ERROR, &message),
        }
    }

    fn add(&self) -> Answer {
        let added = self.console.add();
        self.changed.notify_one();
        match added {
            Ok(()) => json(StatusCode::OK, &json!({})),
            Err(message) => problem(StatusCode::CONFLICT, &message),
        }
    }

    /// `/demo/backends/{name}/{order}`.
    async fn order(&self, path: &str) -> Answer {
        let asked = path.strip_prefix("/demo/backends/").and_then(|rest| rest.split_once('/'));
        let done = match asked {
            Some((name, "kill")) => self.console.fleet.kill(name).map(drop),
            Some((name, "restart")) => self.console.fleet.restart(name),
            Some((name, "remove")) => self.console.remove(name),
            Some((name, "drain")) => return self.want(name, Wanted::Drain).await,
            Some((name, "ready")) => return self.want(name, Wanted::Ready).await,
            _ => return nothing_here(),
        };
        self.changed.notify_one();
        match done {
            Ok(()) => json(StatusCode::OK, &json!({})),
            Err(error @ FleetError::Unknown(_)) => problem(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error) => problem(StatusCode::CONFLICT, &error.to_string()),
        }
    }

    /// Tells the proxy what a backend shall be, in each of its pools.
    async fn want(&self, name: &str, wanted: Wanted) -> Answer {
        if self.console.fleet.address(name).is_none() {
            return problem(StatusCode::NOT_FOUND, &FleetError::Unknown(name.to_owned()).to_string());
        }
        for pool in POOLS {
            if let Err(message) = operator::set_state(self.console.admin, (pool, name), wanted).await {
                return problem(StatusCode::BAD_GATEWAY, &message);
            }
        }
        self.changed.notify_one();
        json(StatusCode::OK, &json!({}))
    }
}

fn publish(state: &watch::Sender<Line>, now: Line) {
    state.send_if_modified(|last| {
        let changed = *last != now;
        *last = now;
        changed
    });
}

/// Each backend's health in the pool of the stateful paths.
fn health(proxy: &Value) -> HashMap<String, String> {
    let pairs =
        stateful(proxy).filter_map(|(name, backend)| Some((name, backend["health"].as_str()?.to_owned())));
    pairs.collect()
}

/// Those that are being drained there.
fn drains(proxy: &Value) -> HashMap<String, Drain> {
    let drain = |(name, backend): (String, &Value)| {
        let drain = backend["drain"].as_object()?;
        let seconds = drain["seconds_left"].as_f64()?.ceil();
        Some((name, Drain { done: drain["done"].as_bool()?, seconds }))
    };
    stateful(proxy).filter_map(drain).collect()
}

/// The backends in the pool of the stateful paths.
fn stateful(proxy: &Value) -> impl Iterator<Item = (String, &Value)> {
    let pools = proxy["pools"].as_array().into_iter().flatten();
    let backends = pools.filter(|pool| pool["name"] == "app").filter_map(|pool| pool["backends"].as_array());
    backends.flatten().filter_map(|backend| Some((backend["name"].as_str()?.to_owned(), backend)))
}

/// Ends removed backends of which the proxy knows nothing any more.
fn forget_who_left(fleet: &Fleet, proxy: &Value) {
    let pools = || proxy["pools"].as_array().into_iter().flatten();
    let known = |name: &str| {
        let mut backends = pools().filter_map(|pool| pool["backends"].as_array()).flatten();
        backends.any(|backend| backend["name"] == name)
    };
    for backend in fleet.backends() {
        if backend.stay == Stay::Leaving && !known(&backend.name) {
            fleet.forget(&backend.name);
        }
    }
}

/// Whether a browser sends this from the demo's own page. A page of another origin is told by `Origin`; one that
/// points its own name at this machine, by a `Host` that is neither an address nor `localhost`.
fn trusted(headers: &HeaderMap) -> bool {
    let Some(host) = host(headers) else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let local = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    let same = match headers.get(ORIGIN).map(HeaderValue::to_str) {
        None => true,
        Some(Ok(origin)) => origin.strip_prefix("http://").is_some_and(|origin| origin == host.as_str()),
        Some(Err(_)) => false,
    };
    local && same
}

fn host(headers: &HeaderMap) -> Option<http::uri::Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn foreign() -> Answer {
    problem(StatusCode::FORBIDDEN, "only the demo's own page may do this")
}

fn nothing_here() -> Answer {
    problem(StatusCode::NOT_FOUND, "there is nothing here")
}

fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        trusted(&headers)
    }

    #[test]
    fn only_the_own_page_is_trusted() {
        assert!(trusts("127.0.0.1:8080", None));
        assert!(trusts("127.0.0.1:8080", Some("http://127.0.0.1:8080")));
        assert!(trusts("localhost:8080", Some("http://localhost:8080")));
        assert!(trusts("[::1]:8080", Some("http://[::1]:8080")));
        assert!(!trusts("127.0.0.1:8080", Some("http://evil.example")));
        assert!(!trusts("127.0.0.1:8080", Some("http://127.0.0.1:9999")));
        assert!(!trusts("127.0.0.1:8080", Some("null")));
        assert!(!trusts("evil.example:8080", Some("http://evil.example:8080")));
    }
}
