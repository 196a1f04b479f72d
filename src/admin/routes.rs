//! The calls there are: from a path to what [`Control`] says or does.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

use super::answer::{Answer, Refusal, ok, respond, text};
use super::ask::Looked;
use super::explain::{Described, EXAMPLE, Question};
use super::guard::Guard;
use super::{Patience, ask, dashboard, events};
use crate::config::Token;
use crate::explain::Asked;
use crate::server::{CONTENT_TYPE as METRICS, Control, Reloaded, Wish};

/// Callers that may wait for backends to be empty at one time: fewer than there are connections, so that others still
/// get through.
const WAITERS: usize = 32;

/// What all calls are, for programs.
const DESCRIPTION: &str = include_str!("../../docs/openapi.json");

/// What all calls share.
#[derive(Debug, Clone)]
struct Desk {
    control: Control,
    waiters: Arc<Semaphore>,
    subscribers: Arc<Semaphore>,
    patience: Patience,
}

type Named<T> = Result<Path<T>, PathRejection>;

/// Answers all calls.
pub(super) fn router(control: Control, token: Option<Token>, patience: Patience) -> Router {
    let places = |count| Arc::new(Semaphore::new(count));
    let (waiters, subscribers) = (places(WAITERS), places(events::SUBSCRIBERS));
    let desk = Desk { control, waiters, subscribers, patience };
    Router::new()
        .route(dashboard::PAGE, get(dashboard::page))
        .route(dashboard::FILES_BELOW, get(dashboard::file))
        .route("/healthz", get(async || ok(&json!({ "ok": true }))))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/status", get(status))
        .route("/api/pools", get(pools))
        .route("/api/pools/{pool}", get(pool))
        .route("/api/pools/{pool}/sessions", get(sessions).delete(end_session))
        .route("/api/pools/{pool}/backends/{backend}", get(backend))
        .route("/api/pools/{pool}/backends/{backend}/state", put(set_state))
        .route("/api/pools/{pool}/backends/{backend}/drained", get(drained))
        .route("/api/explain", post(explain))
        .route("/api/config", get(config))
        .route("/api/reload", post(reload))
        .route("/api/events", get(follow_events))
        .route("/api/openapi.json", get(async || text("application/json", DESCRIPTION)))
        .fallback(async || Refusal::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this has other methods: see Allow")
        })
        .layer(middleware::from_fn_with_state(Guard::new(token), admit))
        .with_state(desk)
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admit(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn ready(State(desk): State<Desk>) -> Answer {
    let unready = desk.control.unready();
    if unready.is_empty() {
        return Ok(ok(&json!({ "ready": true })));
    }
    let why = format!("no backend takes new work in {}", unready.join(", "));
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    Err(refusal.with("ready", false.into()).with("pools", unready.into()))
}

async fn metrics(State(desk): State<Desk>) -> Response {
    text(METRICS, desk.control.metrics())
}

async fn status(State(desk): State<Desk>) -> Answer {
    Ok(ok(&desk.control.status()))
}

async fn config(State(desk): State<Desk>) -> Answer {
    Ok(ok(&desk.control.config()))
}

async fn pools(State(desk): State<Desk>) -> Answer {
    Ok(ok(&desk.control.status().pools))
}

async fn pool(State(desk): State<Desk>, name: Named<String>) -> Answer {
    Ok(ok(&desk.control.pool_status(&named(name)?)?))
}

async fn backend(State(desk): State<Desk>, names: Named<(String, String)>) -> Answer {
    let (pool, backend) = named(names)?;
    Ok(ok(&desk.control.backend_status(&pool, &backend)?))
}

async fn set_state(State(desk): State<Desk>, names: Named<(String, String)>, body: Body) -> Answer {
    let (pool, backend) = named(names)?;
    let order = ask::order(body, desk.patience.body).await?;
    Ok(ok(&desk.control.set_state(&pool, &backend, order.wanted, order.timeout)?))
}

async fn drained(
    State(desk): State<Desk>,
    names: Named<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let ((pool, backend), wait) = (named(names)?, ask::wait(query.as_deref())?);
    let Ok(_place) = desk.waiters.try_acquire() else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many wait already"));
    };
    let drained = desk.control.drained(&pool, &backend, wait).await?;
    let status = if drained.done { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(respond(status, &drained))
}

async fn sessions(State(desk): State<Desk>, pool: Named<String>, RawQuery(query): RawQuery) -> Answer {
    let pool = named(pool)?;
    match ask::sessions(query.as_deref())? {
        Looked::One(key) => desk.control.session(&pool, &key)?.map(|one| ok(&one)).ok_or_else(no_session),
        Looked::Many { limit, backend } => {
            let wish = Wish { backend: backend.as_deref(), limit };
            Ok(ok(&desk.control.sessions(&pool, wish)?))
        }
    }
}

async fn end_session(State(desk): State<Desk>, pool: Named<String>, RawQuery(query): RawQuery) -> Answer {
    let (pool, key) = (named(pool)?, ask::key(query.as_deref())?);
    let ended = desk.control.end_session(&pool, &key).await?;
    if ended { Ok(ok(&json!({ "ended": true }))) } else { Err(no_session()) }
}

fn no_session() -> Refusal {
    Refusal::not_found("there is no session of this key")
}

async fn explain(State(desk): State<Desk>, body: Body) -> Answer {
    let described: Described = ask::json(body, desk.patience.body, EXAMPLE).await?;
    let Question { method, uri, headers, client_ip } = described.question()?;
    let asked = Asked { method: &method, uri: &uri, headers: &headers, client_ip };
    Ok(ok(&desk.control.explain(&asked)))
}

async fn reload(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Answer {
    let plans = ask::plan(query.as_deref())?;
    // Files are read, which may take its time.
    let done = tokio::task::spawn_blocking(move || {
        if plans {
            return desk.control.plan().map(|changes| json!({ "plan": true, "changes": changes }));
        }
        let Reloaded { generation, changes } = desk.control.reload("api")?;
        Ok(json!({ "reloaded": true, "generation": generation, "changes": changes }))
    });
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "it broke off");
    Ok(ok(&done.await.map_err(failed)??))
}

async fn follow_events(State(desk): State<Desk>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let after = ask::after(query.as_deref(), &headers)?;
    let Ok(place) = desk.subscribers.try_acquire_owned() else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many follow the events already"));
    };
    Ok(events::follow(desk.control.journal(), after, place))
}

/// The names in a path, which came percent-encoded.
fn named<T>(names: Named<T>) -> Result<T, Refusal> {
    names.map(|Path(names)| names).map_err(|_| Refusal::bad("the path's names are not UTF-8"))
}
