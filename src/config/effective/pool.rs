//! `[[pool]]` and its tables.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::{file, of_identity, sources, time};
use crate::config::{
    Backend, Balance, ClientTls, Cookie, Drain, Field, Health, Mode, OnBackendDown, Origin, Outlier, Pool,
    Probe, Protocol, ProxyProtocol, Retry, SameSite, Sealed, Secret, Secure, Sticky, Table, Timeouts, Verify,
};

pub(super) fn shown(pool: &Pool) -> Value {
    let Pool {
        name,
        balance,
        hash_balance_factor,
        panic_threshold,
        protocol,
        proxy_protocol,
        tls,
        sticky,
        backends,
        health,
        outlier,
        timeouts,
        retry,
        drain,
        slow_start,
    } = pool;
    json!({
        "name": name,
        "balance": Balance::to_string(balance),
        "hash_balance_factor": hash_balance_factor,
        "panic_threshold": panic_threshold,
        "protocol": match protocol { Protocol::Http1 => "http1", Protocol::Http2 => "http2" },
        "proxy_protocol": match proxy_protocol {
            ProxyProtocol::None => "none",
            ProxyProtocol::V1 => "v1",
            ProxyProtocol::V2 => "v2",
        },
        "tls": tls.as_ref().map(of_tls),
        "backend": backends.iter().map(of_backend).collect::<Value>(),
        "sticky": sticky.as_ref().map(of_sticky),
        "health": health.as_ref().map(of_health),
        "outlier": of_outlier(outlier),
        "timeouts": of_timeouts(timeouts),
        "retry": of_retry(*retry),
        "drain": of_drain(*drain),
        "slow_start": { "duration": time(*slow_start) },
    })
}

fn of_tls(tls: &ClientTls) -> Value {
    let ClientTls { roots, server_name, identity, verify } = tls;
    let identity = identity.as_ref().map(of_identity).unwrap_or_default();
    json!({
        "ca": roots.file.as_deref().map(file),
        "server_name": server_name.as_ref().map(|name| name.to_str()),
        "cert": identity["cert"],
        "key": identity["key"],
        "verify": *verify == Verify::Peer,
    })
}

fn of_backend(backend: &Backend) -> Value {
    let Backend { name, address, weight, state, max_connections, max_sessions } = backend;
    json!({
        "name": name,
        "address": address.to_string(),
        "weight": weight,
        "state": state.as_str(),
        "max_connections": max_connections,
        "max_sessions": max_sessions,
    })
}

/// What belongs to another mode is left out.
fn of_sticky(sticky: &Sticky) -> Value {
    let Sticky { key, mode, on_backend_down } = sticky;
    let (down, wait) = match on_backend_down {
        OnBackendDown::Rebind => ("rebind", None),
        OnBackendDown::Wait(wait) => ("wait", Some(time(*wait))),
        OnBackendDown::Reject => ("reject", None),
    };
    match mode {
        Mode::Hash => json!({ "mode": "hash", "key": sources(key) }),
        Mode::Table(Table { learn, idle_timeout, max_lifetime, capacity }) => json!({
            "mode": "table",
            "key": sources(key),
            "learn": sources(learn),
            "idle_timeout": time(*idle_timeout),
            "max_lifetime": time(*max_lifetime),
            "capacity": capacity,
            "on_backend_down": down,
            "wait_timeout": wait,
        }),
        Mode::Cookie(Sealed { cookie, idle_timeout, max_lifetime, capacity }) => json!({
            "mode": "cookie",
            "key": if key.is_empty() { Value::Null } else { sources(key) },
            "idle_timeout": time(*idle_timeout),
            "max_lifetime": time(*max_lifetime),
            "capacity": capacity,
            "on_backend_down": down,
            "wait_timeout": wait,
            "cookie": of_cookie(cookie),
        }),
    }
}

fn of_cookie(cookie: &Cookie) -> Value {
    let Cookie { name, secrets, same_site, secure, http_only, path, domain, max_age, partitioned } = cookie;
    let origins = || secrets.iter().filter_map(Secret::origin);
    let files: Vec<_> = origins().filter_map(Origin::file).map(file).collect();
    let variables: Vec<_> = origins().filter_map(Origin::variable).collect();
    json!({
        "name": name,
        "secret_file": (!files.is_empty()).then_some(files),
        "secret_env": (!variables.is_empty()).then_some(variables),
        "same_site": match same_site {
            SameSite::Strict => "strict",
            SameSite::Lax => "lax",
            SameSite::None => "none",
        },
        "secure": match secure {
            Secure::Auto => Value::from("auto"),
            Secure::Always => Value::from(true),
            Secure::Never => Value::from(false),
        },
        "http_only": http_only,
        "path": path,
        "domain": domain,
        "max_age": max_age.map(time),
        "partitioned": partitioned,
    })
}

fn of_health(health: &Health) -> Value {
    let Health { probe, interval, timeout, rise, fall, instance, drain } = health;
    let (path, host, status, grpc_service) = match probe {
        Probe::Tcp => (None, None, None, None),
        Probe::Http { path, host, status } => (Some(path), host.as_ref(), Some(statuses(status)), None),
        Probe::Grpc { host, service } => (None, host.as_ref(), None, Some(service)),
    };
    let header = |field: &Option<Field>| match field {
        Some(Field::Header(name)) => Some(name.to_string()),
        Some(Field::Json(_)) | None => None,
    };
    let pointer = |field: &Option<Field>| match field {
        Some(Field::Json(pointer)) => Some(pointer.to_string()),
        Some(Field::Header(_)) | None => None,
    };
    json!({
        "path": path,
        "host": host,
        "interval": time(*interval),
        "timeout": time(*timeout),
        "rise": rise,
        "fall": fall,
        "status": status,
        "instance_header": header(instance),
        "instance_json": pointer(instance),
        "drain_header": header(drain),
        "drain_json": pointer(drain),
        "grpc": grpc_service.is_some(),
        "grpc_service": grpc_service,
    })
}

fn statuses(ranges: &[RangeInclusive<u16>]) -> String {
    let shown = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    ranges.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn of_outlier(outlier: &Outlier) -> Value {
    let Outlier { consecutive_failures, eject, max_ejected_percent } = outlier;
    json!({
        "consecutive_failures": consecutive_failures,
        "eject": time(*eject),
        "max_ejected_percent": max_ejected_percent,
    })
}

fn of_timeouts(timeouts: &Timeouts) -> Value {
    let Timeouts { connect, response, idle, tunnel_idle, keep_alive, queue } = timeouts;
    let named = [
        ("connect", connect),
        ("response", response),
        ("idle", idle),
        ("tunnel_idle", tunnel_idle),
        ("keep_alive", keep_alive),
        ("queue", queue),
    ];
    named
        .map(|(name, duration): (_, &Duration)| (name.to_owned(), Value::from(time(*duration))))
        .into_iter()
        .collect()
}

fn of_retry(Retry { attempts, budget_percent }: Retry) -> Value {
    json!({ "attempts": attempts, "budget_percent": budget_percent })
}

fn of_drain(Drain { timeout, spread }: Drain) -> Value {
    json!({ "timeout": time(timeout), "spread": time(spread) })
}
