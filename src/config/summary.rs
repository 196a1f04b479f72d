//! What a configuration comes to, for people: the tables that `homing check` prints.
//! It decides nothing, and fits 80 columns.

use std::fmt::{self, Display, Formatter};
use std::iter;
use std::num::NonZeroUsize;
use std::time::Duration;

use humantime::format_duration;

use super::{
    Backend, ClientTls, Config, Cookie, Field, Health, KeySource, Listener, Mode, OnBackendDown, Outlier,
    Pool, Probe, Protocol, ProxyProtocol, Retry, Route, Secure, ServerTls, Sticky, Verify, Wanted,
};
use crate::columns::{WIDTH, cut, write_labelled, write_table};

/// Shows a [`Config`] as listeners, routes and pools.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a>(pub &'a Config);

/// Backends shown of one pool.
const MOST_BACKENDS: usize = 20;

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Config { listeners, admin, routes, pools, .. } = self.0;
        writeln!(f, "Listeners")?;
        for listener in listeners {
            writeln!(f, "  {}", cut(&spoken(listener).join("  "), WIDTH - 2))?;
        }
        if let Some(admin) = admin {
            writeln!(f, "\nAdmin\n  {}", admin.address)?;
        }
        writeln!(f, "\nRoutes")?;
        let rows: Vec<_> = routes.iter().map(|route| route_row(route, pools)).collect();
        write_table(f, ["host", "path", "pool", "own key"], [24, 16, 16, WIDTH], &rows)?;
        writeln!(f, "\nPools")?;
        pools.iter().try_for_each(|pool| write_pool(f, pool))
    }
}

/// Where a listener listens, and what is out of the ordinary there.
fn spoken(listener: &Listener) -> Vec<String> {
    let Listener { address, tls, proxy_protocol, http2, max_connections } = listener;
    let certificates = |tls: &ServerTls| match tls.identities.len() {
        1 => "TLS".to_owned(),
        several => format!("TLS with {several} certificates"),
    };
    let asks = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let items = [
        Some(address.to_string()),
        tls.as_ref().map(certificates),
        asks.then(|| "client certificates".to_owned()),
        proxy_protocol.then(|| "PROXY header".to_owned()),
        (!http2).then(|| "HTTP/1 only".to_owned()),
        (*max_connections > 0).then(|| format!("at most {max_connections} connections")),
    ];
    items.into_iter().flatten().collect()
}

fn route_row(route: &Route, pools: &[Pool]) -> [String; 4] {
    let pool = pools.get(route.pool).map(|pool| pool.name.clone()).unwrap_or_default();
    let key = match route.key.as_deref() {
        None => String::new(),
        Some([]) => "not sticky".to_owned(),
        Some(key) => names(key).join(", "),
    };
    [route.host.to_string(), route.path.clone(), pool, key]
}

fn write_pool(f: &mut Formatter<'_>, pool: &Pool) -> fmt::Result {
    writeln!(f, "  {}", cut(&pool.name, WIDTH - 2))?;
    write_labelled(f, "balance", &balance(pool))?;
    match speech(pool).as_slice() {
        [] => {}
        items => write_labelled(f, "speaks", items)?,
    }
    pool.sticky.as_ref().map_or(Ok(()), |sticky| write_sticky(f, sticky))?;
    write_labelled(f, "health", &health(pool))?;
    write_labelled(f, "retry", &retry(pool.retry))?;
    write_labelled(f, "drain", &drain(pool))?;
    write_backends(f, &pool.backends)
}

/// The policy, and what bends it.
fn balance(pool: &Pool) -> Vec<String> {
    let (factor, slowly) = (pool.hash_balance_factor, pool.slow_start);
    let items = [
        Some(pool.balance.to_string()),
        (factor > 0).then(|| format!("at most {factor} % of a share")),
        (!slowly.is_zero()).then(|| format!("slow start over {}", format_duration(slowly))),
    ];
    items.into_iter().flatten().collect()
}

/// What is spoken to backends, where it is not plain HTTP/1.1.
fn speech(pool: &Pool) -> Vec<String> {
    let protocol = match pool.protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    let header = match pool.proxy_protocol {
        ProxyProtocol::None => None,
        ProxyProtocol::V1 => Some("behind a PROXY header v1"),
        ProxyProtocol::V2 => Some("behind a PROXY header v2"),
    };
    let is_plain = pool.protocol == Protocol::Http1 && header.is_none() && pool.tls.is_none();
    let items = iter::once(protocol.to_owned()).chain(header.map(str::to_owned));
    let items = items.chain(pool.tls.iter().flat_map(encryption));
    items.filter(|_| !is_plain).collect()
}

/// Whom backends are believed to be by TLS, and whom they see.
fn encryption(tls: &ClientTls) -> Vec<String> {
    let verified = match (tls.verify, &tls.roots.file) {
        (Verify::Nothing, _) => "TLS WITHOUT VERIFICATION: anybody could be a backend".to_owned(),
        (Verify::Peer, Some(file)) => format!("TLS by {}", file.display()),
        (Verify::Peer, None) => "TLS by the system's authorities".to_owned(),
    };
    let name = tls.server_name.as_ref().map(|name| format!("for {}", name.to_str()));
    let shown = tls.identity.as_ref().map(|identity| format!("showing {}", identity.cert.display()));
    [Some(verified), name, shown].into_iter().flatten().collect()
}

/// How long a backend takes to leave.
fn drain(pool: &Pool) -> Vec<String> {
    let (timeout, spread) = (pool.drain.timeout, pool.drain.spread);
    let mut items = vec![format!("within {}", format_duration(timeout))];
    if !spread.is_zero() {
        items.push(format!("the closes in the last {}", format_duration(spread)));
    }
    items
}

fn write_sticky(f: &mut Formatter<'_>, sticky: &Sticky) -> fmt::Result {
    if !sticky.key.is_empty() {
        write_labelled(f, "key", &names(&sticky.key))?;
    }
    match &sticky.mode {
        Mode::Hash => write_labelled(f, "mode", &["hash".to_owned()]),
        Mode::Table(table) => {
            let lives = lives(table.idle_timeout, table.max_lifetime, table.capacity);
            write_labelled(f, "mode", &with("table", lives))?;
            write_labelled(f, "learns", &learnt(&table.learn))?;
            write_labelled(f, "if down", &[if_down(sticky.on_backend_down)])
        }
        Mode::Cookie(sealed) => {
            let lives = lives(sealed.idle_timeout, sealed.max_lifetime, sealed.capacity);
            write_labelled(f, "mode", &with("cookie", lives))?;
            write_labelled(f, "cookie", &cookie(&sealed.cookie))?;
            write_labelled(f, "if down", &[if_down(sticky.on_backend_down)])
        }
    }
}

/// What becomes of a key whose backend is down.
fn if_down(policy: OnBackendDown) -> String {
    match policy {
        OnBackendDown::Rebind => "another backend".to_owned(),
        OnBackendDown::Wait(time) => format!("wait up to {}, then another backend", format_duration(time)),
        OnBackendDown::Reject => "503 until it is back".to_owned(),
    }
}

fn with(mode: &str, items: impl Iterator<Item = String>) -> Vec<String> {
    iter::once(mode.to_owned()).chain(items).collect()
}

/// How long a session lasts, and how many there are.
fn lives(idle: Duration, lifetime: Duration, capacity: NonZeroUsize) -> impl Iterator<Item = String> {
    let lifetime = (!lifetime.is_zero()).then(|| format!("at most {} old", format_duration(lifetime)));
    iter::once(format!("idle up to {}", format_duration(idle)))
        .chain(lifetime)
        .chain([format!("at most {capacity} sessions")])
}

/// What a cookie is like; of its secrets, how many there are.
fn cookie(cookie: &Cookie) -> Vec<String> {
    let secrets = match cookie.secrets.len() {
        0 => "a random secret".to_owned(),
        1 => "one secret".to_owned(),
        several => format!("{several} secrets"),
    };
    let secure = match cookie.secure {
        Secure::Auto => Some("Secure with TLS".to_owned()),
        Secure::Always => Some("Secure".to_owned()),
        Secure::Never => None,
    };
    let items = [
        Some(cookie.name.clone()),
        Some(secrets),
        Some(format!("SameSite={}", cookie.same_site)),
        secure,
        cookie.http_only.then(|| "HttpOnly".to_owned()),
        Some(format!("Path={}", cookie.path)),
        cookie.domain.as_ref().map(|domain| format!("Domain={domain}")),
        cookie.max_age.map(|age| format!("kept for {}", format_duration(age))),
        cookie.partitioned.then(|| "Partitioned".to_owned()),
    ];
    items.into_iter().flatten().collect()
}

fn write_backends(f: &mut Formatter<'_>, backends: &[Backend]) -> fmt::Result {
    let free = backends.iter().all(|backend| bounds(backend).is_empty());
    let (heading, widest) = if free { ("", 33) } else { ("bounds", 22) };
    let row = |backend: &Backend| {
        [
            backend.name.clone(),
            backend.address.to_string(),
            backend.weight.to_string(),
            bounds(backend).join(", "),
        ]
    };
    let rows: Vec<_> = backends.iter().take(MOST_BACKENDS).map(row).collect();
    write_table(f, ["backend", "address", "weight", heading], [widest, widest, WIDTH, WIDTH], &rows)?;
    match backends.len().saturating_sub(MOST_BACKENDS) {
        0 => Ok(()),
        more => writeln!(f, "    … and {more} more"),
    }
}

/// What keeps a backend from taking all work that comes.
fn bounds(backend: &Backend) -> Vec<String> {
    let Backend { state, max_connections, max_sessions, .. } = backend;
    let items = [
        (*state != Wanted::Ready).then(|| state.as_str().to_owned()),
        (*max_connections > 0).then(|| format!("{max_connections} connections")),
        (*max_sessions > 0).then(|| format!("{max_sessions} sessions")),
    ];
    items.into_iter().flatten().collect()
}

fn names(sources: &[KeySource]) -> Vec<String> {
    sources.iter().map(ToString::to_string).collect()
}

fn learnt(sources: &[KeySource]) -> Vec<String> {
    if sources.is_empty() { vec!["nothing".to_owned()] } else { names(sources) }
}

fn health(pool: &Pool) -> Vec<String> {
    let checks = pool.health.as_ref().map_or_else(|| vec!["by failed connects only".to_owned()], checks);
    let Outlier { consecutive_failures: failures, eject, .. } = pool.outlier;
    let outlier =
        (failures > 0).then(|| format!("ejected for {} after {failures} failures", format_duration(eject)));
    let panic = pool.panic_threshold;
    let panic = (panic > 0).then(|| format!("nothing moves while more than {panic} % fail"));
    checks.into_iter().chain(outlier).chain(panic).collect()
}

/// How often a request is tried, and for how many of them.
fn retry(retry: Retry) -> Vec<String> {
    match retry {
        Retry { attempts: 1, .. } | Retry { budget_percent: 0, .. } => vec!["never".to_owned()],
        Retry { attempts, budget_percent } => {
            vec![format!("up to {attempts} tries"), format!("for {budget_percent} % of the requests")]
        }
    }
}

fn checks(health: &Health) -> Vec<String> {
    let probe = match &health.probe {
        Probe::Tcp => "TCP connect".to_owned(),
        Probe::Http { path, .. } => format!("GET {path}"),
        Probe::Grpc { service, .. } if service.is_empty() => "gRPC health".to_owned(),
        Probe::Grpc { service, .. } => format!("gRPC health of {service}"),
    };
    let said = |what: &str, field: &Option<Field>| Some(format!("{what} in {}", field.as_ref()?));
    let items = [
        Some(format!("{probe} every {}", format_duration(health.interval))),
        Some(format!("within {}", format_duration(health.timeout))),
        Some(format!("up after {}", health.rise)),
        Some(format!("down after {}", health.fall)),
        said("instance", &health.instance),
        said("draining", &health.drain),
    ];
    items.into_iter().flatten().collect()
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "{name}"),
            Self::Json(pointer) => write!(f, "{pointer}"),
        }
    }
}
