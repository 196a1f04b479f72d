//! `[[pool]]` and its backends.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::file::{Section, Unique};
use crate::config::report::Complaint;
use crate::config::value::{self, Outcome, choice, duration, number, parsed};
use crate::config::{
    Backend, Balance, KeySource, Mode, Pool, Protocol, ProxyProtocol, Retry, Route, Sticky, Wanted, address,
    contract,
};

use super::{health, sticky, tls};

/// The largest weight, and the most backends a pool can have.
const MOST: u64 = 65_535;
/// A backend with a hundred times its share is not bounded.
const MOST_FACTOR: u64 = 10_000;
/// What a semaphore can count on every platform.
const MOST_CONNECTIONS: u64 = 1 << 28;

/// A request that fails so often will fail again.
const MOST_ATTEMPTS: u64 = 16;

const PROXY_PROTOCOLS: &[(&str, ProxyProtocol)] =
    &[("none", ProxyProtocol::None), ("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];

/// Every pool of the file; `routes` tell which further keys lead to it.
pub(super) fn all(top: &Section<'_>, sections: &[Section<'_>], routes: &[Route]) -> Vec<Pool> {
    if top.lacks("pool") {
        let help = "add [[pool]] with a name, and [[pool.backend]] with an address";
        top.complain("pool", Complaint::missing("there is no pool").help(help));
    }
    let mut taken = Unique::new();
    let mut cookies = Unique::new();
    let pool = |(index, section): (usize, &Section<'_>)| {
        let keys = routes.iter().filter(|route| route.pool == index).filter_map(|route| route.key.as_ref());
        let pool = pool(section, &keys.flatten().cloned().collect::<Vec<_>>())?;
        taken.claim(pool.name.clone(), section, "name", "name as the pool");
        if let Some(Mode::Cookie(sealed)) = pool.sticky.as_ref().map(|sticky| &sticky.mode) {
            // Each would take the other's sessions for its own.
            cookies.claim(sealed.cookie.name.clone(), section, "sticky", "name of a cookie as the pool");
        }
        Some(pool)
    };
    sections.iter().enumerate().filter_map(pool).collect()
}

fn pool(section: &Section<'_>, route_keys: &[KeySource]) -> Option<Pool> {
    let slow_start =
        section.table("slow_start", &contract::SLOW_START).or("duration", Duration::ZERO, duration);
    let name = section.text("name");
    let sticky = sticky::read(section.table("sticky", &contract::STICKY), name.as_deref(), route_keys);
    let balance = balance(section, sticky.as_ref(), route_keys);
    let backends = backends(section);
    if balance == Balance::RingHash {
        ring(section, &backends);
    }
    let health = health::active(&section.table("health", &contract::HEALTH));
    let outlier = health::outlier(&section.table("outlier", &contract::OUTLIER));
    let timeouts = health::timeouts(&section.table("timeouts", &contract::TIMEOUTS));
    let retry = retry(&section.table("retry", &contract::RETRY));
    let tls = tls::client(&section.table("tls", &contract::POOL_TLS));
    let protocols = choice(&[("http1", Protocol::Http1), ("http2", Protocol::Http2)]);
    let protocol = section.or("protocol", Protocol::Http1, protocols);
    let proxy_protocol = section.or("proxy_protocol", ProxyProtocol::None, choice(PROXY_PROTOCOLS));
    let drain = health::drain(&section.table("drain", &contract::DRAIN));
    let hash_balance_factor = section.or("hash_balance_factor", 0, parsed_factor);
    let panic_threshold = section.or("panic_threshold", 0, number(0..=100));
    let name = section.need("name", value::name)?;
    let pool = Pool {
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
    };
    check_together(section, &pool);
    Some(pool)
}

fn retry(section: &Section<'_>) -> Retry {
    Retry {
        attempts: section.or("attempts", 2, number(1..=MOST_ATTEMPTS)),
        budget_percent: section.or("budget_percent", 20, number(0..=100)),
    }
}

/// 0, or more than 100 percent.
fn parsed_factor(value: &DeValue<'_>) -> Outcome<u32> {
    match number(0..=MOST_FACTOR)(value)? {
        within @ 1..=100 => {
            let complaint = Complaint::invalid(format!("must be 0 or more than 100, not {within}"));
            Err(complaint.help("125 lets a backend have a quarter more than its share"))
        }
        factor => Ok(factor),
    }
}

/// What counts sessions needs someone to count them.
fn check_together(section: &Section<'_>, pool: &Pool) {
    let mode = match pool.sticky.as_ref().map(|sticky| &sticky.mode) {
        Some(Mode::Table(_) | Mode::Cookie(_)) => return,
        Some(Mode::Hash) => "`mode = \"hash\"`",
        None => "a pool without [pool.sticky]",
    };
    let hashes = pool.sticky.is_some();
    let needs = |key, what: &str| {
        let complaint = Complaint::invalid(format!("{mode} keeps no sessions, which {what} needs"));
        section.complain(key, complaint.help("use `mode = \"table\"` or `mode = \"cookie\"`"));
    };
    if pool.hash_balance_factor > 0 {
        needs("hash_balance_factor", "a bounded load");
    }
    if pool.backends.iter().any(|backend| backend.max_sessions > 0) {
        needs("backend", "`max_sessions`");
    }
    if hashes && !pool.slow_start.is_zero() {
        let complaint =
            Complaint::invalid("`mode = \"hash\"` would move keys all the time a backend starts slowly");
        section.complain("slow_start", complaint.help("use `mode = \"table\"`"));
    }
}

fn balance(section: &Section<'_>, sticky: Option<&Sticky>, route_keys: &[KeySource]) -> Balance {
    let chosen = section.read("balance", choice(Balance::WORDS));
    let is_sticky = section.has("sticky");
    // Only cookie mode needs no key of the pool's; those of its routes can be hashed, too.
    let is_keyless =
        sticky.is_some_and(|sticky| sticky.key.is_empty() && matches!(sticky.mode, Mode::Cookie(_)));
    let wrong = |what: String, help| section.complain("balance", Complaint::invalid(what).help(help));
    let cannot_hash = is_keyless && route_keys.is_empty();
    if let Some(policy) = chosen
        && let Some((needs, instead)) = needs_sessions(policy)
        && (!is_sticky || policy.hashes() && cannot_hash)
    {
        let help = format!("add [pool.sticky] with a key, or use \"{instead}\"");
        wrong(format!("\"{policy}\" {needs}, and this pool has none"), help);
    }
    let default = if is_sticky && !is_keyless { Balance::Rendezvous } else { Balance::RoundRobin };
    let balance = chosen.unwrap_or(default);
    if !balance.hashes() && sticky.is_some_and(|sticky| matches!(sticky.mode, Mode::Hash)) {
        let help = "use `balance = \"rendezvous\"`, or `mode = \"table\"`".to_owned();
        wrong(format!("\"{balance}\" does not hash, as `mode = \"hash\"` needs"), help);
    }
    balance
}

/// What a policy does with sessions, and which one does without.
fn needs_sessions(policy: Balance) -> Option<(&'static str, &'static str)> {
    match policy {
        Balance::RoundRobin | Balance::LeastRequest | Balance::Random => None,
        Balance::Rendezvous | Balance::RingHash | Balance::Maglev => {
            Some(("hashes a session key", "round_robin"))
        }
        Balance::LeastSessions => Some(("counts sessions", "least_request")),
        Balance::First => Some(("fills backends with sessions", "round_robin")),
    }
}

/// A ring grows with the weights, and must not eat up the memory.
fn ring(section: &Section<'_>, backends: &[Backend]) {
    let sum: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    if sum > Balance::MOST_RING_WEIGHT {
        let most = Balance::MOST_RING_WEIGHT;
        let what = format!("\"ring_hash\" takes weights that sum to {most} at most, not to {sum}");
        let help = "use smaller weights in the same proportions, or `balance = \"rendezvous\"`";
        section.complain("balance", Complaint::invalid(what).help(help));
    }
}

fn backends(pool: &Section<'_>) -> Vec<Backend> {
    let sections = pool.tables("backend", &contract::BACKEND);
    let mut taken = Unique::new();
    let backends: Vec<_> = sections.iter().filter_map(|section| backend(section, &mut taken)).collect();
    if pool.lacks("backend") {
        let help = "add [[pool.backend]] with an address, like \"10.0.0.1:9000\"";
        pool.complain("backend", Complaint::missing("there is no backend").help(help));
    } else if sections.len() as u64 > MOST {
        let complaint = Complaint::invalid(format!("a pool cannot have more than {MOST} backends"));
        pool.complain("backend", complaint);
    } else if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        let complaint = Complaint::invalid("every backend has weight 0, so nothing could ever be placed");
        pool.complain("backend", complaint.help("give at least one a weight"));
    }
    backends
}

fn backend(section: &Section<'_>, taken: &mut Unique<String>) -> Option<Backend> {
    let weight = section.or("weight", 1, number(0..=MOST));
    let state = section.or("state", Wanted::Ready, choice(Wanted::WORDS));
    let max_connections = section.or("max_connections", 0, number(0..=MOST_CONNECTIONS));
    let max_sessions = section.or("max_sessions", 0, number(0..=u64::MAX));
    let address = section.need("address", parsed(address::backend));
    let name = section.read("name", value::name).or_else(|| section.text("address"))?;
    let place = if section.has("name") { "name" } else { "address" };
    taken.claim(name.clone(), section, place, "name as the backend");
    Some(Backend { name, address: address?, weight, state, max_connections, max_sessions })
}
