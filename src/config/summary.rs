//! What a configuration comes to, for people: the tables that `homing check` prints.
//! It decides nothing, and fits 80 columns.

use std::fmt::{self, Display, Formatter};
use std::iter;
use std::num::NonZeroUsize;
use std::time::Duration;

use humantime::format_duration;

use super::{Backend, Config, Cookie, Health, KeySource, Mode, Pool, Probe, Route, Secure, Sticky};
use crate::columns::{WIDTH, cut, write_labelled, write_table};

/// Shows a [`Config`] as listeners, routes and pools.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a>(pub &'a Config);

/// Backends shown of one pool.
const MOST_BACKENDS: usize = 20;

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Config { listeners, routes, pools, .. } = self.0;
        writeln!(f, "Listeners")?;
        for listener in listeners {
            writeln!(f, "  {}", listener.address)?;
        }
        writeln!(f, "\nRoutes")?;
        let rows: Vec<_> = routes.iter().map(|route| route_row(route, pools)).collect();
        write_table(f, ["host", "path", "pool", "own key"], [24, 16, 16, WIDTH], &rows)?;
        writeln!(f, "\nPools")?;
        pools.iter().try_for_each(|pool| write_pool(f, pool))
    }
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
    write_labelled(f, "balance", &[pool.balance.to_string()])?;
    pool.sticky.as_ref().map_or(Ok(()), |sticky| write_sticky(f, sticky))?;
    write_labelled(f, "health", &health(pool.health.as_ref()))?;
    write_backends(f, &pool.backends)
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
            write_labelled(f, "learns", &names(&table.learn))
        }
        Mode::Cookie(sealed) => {
            let lives = lives(sealed.idle_timeout, sealed.max_lifetime, sealed.capacity);
            write_labelled(f, "mode", &with("cookie", lives))?;
            write_labelled(f, "cookie", &cookie(&sealed.cookie))
        }
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
    let row =
        |backend: &Backend| [backend.name.clone(), backend.address.to_string(), backend.weight.to_string()];
    let rows: Vec<_> = backends.iter().take(MOST_BACKENDS).map(row).collect();
    write_table(f, ["backend", "address", "weight"], [33, 33, WIDTH], &rows)?;
    match backends.len().saturating_sub(MOST_BACKENDS) {
        0 => Ok(()),
        more => writeln!(f, "    … and {more} more"),
    }
}

fn names(sources: &[KeySource]) -> Vec<String> {
    sources.iter().map(ToString::to_string).collect()
}

fn health(health: Option<&Health>) -> Vec<String> {
    let Some(health) = health else { return vec!["by failed connects only".to_owned()] };
    let probe = match &health.probe {
        Probe::Tcp => "TCP connect".to_owned(),
        Probe::Http { path, .. } => format!("GET {path}"),
    };
    vec![
        format!("{probe} every {}", format_duration(health.interval)),
        format!("within {}", format_duration(health.timeout)),
        format!("up after {}", health.rise),
        format!("down after {}", health.fall),
    ]
}
