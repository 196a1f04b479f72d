//! `[[pool]]` and its backends.

use crate::config::file::{Section, Unique};
use crate::config::report::Complaint;
use crate::config::value::{self, choice, number, parsed};
use crate::config::{Backend, Balance, KeySource, Mode, Pool, Route, Sticky, address, contract};

use super::{health, sticky};

/// The largest weight, and the most backends a pool can have.
const MOST: u64 = 65_535;

/// Every pool of the file; `routes` tell which further keys lead to it.
pub(super) fn all(top: &Section<'_>, sections: &[Section<'_>], routes: &[Route]) -> Vec<Pool> {
    if top.lacks("pool") {
        let help = "add [[pool]] with a name, and [[pool.backend]] with an address";
        top.complain("pool", Complaint::missing("there is no pool").help(help));
    }
    let mut taken = Unique::new();
    let pool = |(index, section): (usize, &Section<'_>)| {
        let keys = routes.iter().filter(|route| route.pool == index).filter_map(|route| route.key.as_ref());
        let pool = pool(section, &keys.flatten().cloned().collect::<Vec<_>>())?;
        taken.claim(pool.name.clone(), section, "name", "name as the pool");
        Some(pool)
    };
    sections.iter().enumerate().filter_map(pool).collect()
}

fn pool(section: &Section<'_>, route_keys: &[KeySource]) -> Option<Pool> {
    section.table("slow_start", &contract::SLOW_START);
    let name = section.text("name");
    let sticky = sticky::read(&section.table("sticky", &contract::STICKY), name.as_deref(), route_keys);
    let balance = balance(section, sticky.as_ref(), route_keys);
    let backends = backends(section);
    let health = health::active(&section.table("health", &contract::HEALTH));
    let outlier = health::outlier(&section.table("outlier", &contract::OUTLIER));
    let timeouts = health::timeouts(&section.table("timeouts", &contract::TIMEOUTS));
    let name = section.need("name", value::name)?;
    Some(Pool { name, balance, sticky, backends, health, outlier, timeouts })
}

fn balance(section: &Section<'_>, sticky: Option<&Sticky>, route_keys: &[KeySource]) -> Balance {
    const NOW: &[(&str, Balance)] = &[
        ("round_robin", Balance::RoundRobin),
        ("least_request", Balance::LeastRequest),
        ("random", Balance::Random),
        ("rendezvous", Balance::Rendezvous),
    ];
    let chosen = section.read("balance", choice(NOW, &["ring_hash", "maglev", "least_sessions", "first"]));
    let is_sticky = section.has("sticky");
    // Only cookie mode needs no key of the pool's; those of its routes can be hashed, too.
    let is_keyless =
        sticky.is_some_and(|sticky| sticky.key.is_empty() && matches!(sticky.mode, Mode::Cookie(_)));
    let wrong = |what: String, help| section.complain("balance", Complaint::invalid(what).help(help));
    let cannot_hash = !is_sticky || (is_keyless && route_keys.is_empty());
    if chosen == Some(Balance::Rendezvous) && cannot_hash {
        let help = "add [pool.sticky] with a key, or use \"round_robin\"";
        wrong("\"rendezvous\" hashes a session key, and this pool has none".to_owned(), help);
    }
    let default = if is_sticky && !is_keyless { Balance::Rendezvous } else { Balance::RoundRobin };
    let balance = chosen.unwrap_or(default);
    if balance != Balance::Rendezvous && sticky.is_some_and(|sticky| matches!(sticky.mode, Mode::Hash)) {
        let help = "use `balance = \"rendezvous\"`, or `mode = \"table\"`";
        wrong(format!("\"{balance}\" does not hash, as `mode = \"hash\"` needs"), help);
    }
    balance
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
    section.read("state", choice(&[("ready", ())], &["drain", "maint"]));
    let address = section.need("address", parsed(address::backend));
    let name = section.read("name", value::name).or_else(|| section.text("address"))?;
    let place = if section.has("name") { "name" } else { "address" };
    taken.claim(name.clone(), section, place, "name as the backend");
    Some(Backend { name, address: address?, weight })
}
