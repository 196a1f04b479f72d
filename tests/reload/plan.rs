//! What a file would change is said before, and is what happens.

use std::fmt::Write as _;

use homing::server::{Change, ReloadError};
use serde_json::json;

use crate::support::{Backend, Setup, eventually};
use crate::{Filed, setup};

const KEYS: usize = 60;

/// Another address for a backend of a name.
fn at(setup: &Setup, of: &Backend, other: &Backend) -> Setup {
    let mut setup = setup.clone();
    setup.replace_address(&of.name, other.address);
    setup
}

#[test]
fn sessions_move_as_foretold() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Backend::named);
    let elsewhere = Backend::named("b, elsewhere");
    let drain = |setup: Setup| setup.table("drain", "timeout = \"1500ms\"\nspread = \"0s\"");
    let filed = Filed::start(&drain(setup(&[&a, &b, &c])).toml());
    let homes: Vec<_> = (0..KEYS).map(|key| filed.home(key)).collect();
    let of = |name: &str| homes.iter().filter(|home| *home == name).count() as u64;
    filed.write(&drain(at(&setup(&[&a, &b, &d]), &b, &elsewhere).weight("a", 5)).toml());

    let plan = filed.plan();
    assert_eq!(plan.sessions.total, KEYS as u64);
    assert_eq!(plan.sessions.at_once, of("b"));
    assert_eq!(plan.sessions.by_deadline, of("b") + of("c"));
    let changes: Vec<_> = plan
        .backends
        .iter()
        .map(|it| (it.backend.as_str(), it.change, it.fields.clone(), it.sessions))
        .collect();
    let expected = [
        ("a", Change::Changed, vec!["weight"], of("a")),
        ("b", Change::Changed, vec!["address"], of("b")),
        ("d", Change::Added, vec![], 0),
        ("c", Change::Removed, vec![], of("c")),
    ];
    assert_eq!(changes, expected);
    assert!(!plan.unchanged && plan.next_start.is_empty() && plan.settings.is_empty(), "{plan:?}");
    assert_eq!(filed.proxy.status("b").address, b.address.to_string(), "nothing has changed yet");

    assert_eq!(filed.reload().changes, plan);
    let gone = || filed.proxy.control().status().pools[0].backends.iter().all(|it| it.name != "c");
    eventually("the drain is over", gone);
    let moved = homes.iter().enumerate().filter(|(key, before)| filed.home(key) != **before).count() as u64;
    assert_eq!(moved, plan.sessions.by_deadline);
}

#[test]
fn those_that_move_at_once_do() {
    let [a, b, c] = ["a", "b", "c"].map(Backend::named);
    let elsewhere = Backend::named("b, elsewhere");
    let filed = Filed::start(&setup(&[&a, &b, &c]).toml());
    let homes: Vec<_> = (0..KEYS).map(|key| filed.home(key)).collect();
    let next = at(&setup(&[&a, &b]), &b, &elsewhere);
    let changes = filed.write(&next.toml()).reload().changes;
    let moved = homes.iter().enumerate().filter(|(key, before)| filed.home(key) != **before).count() as u64;
    assert_eq!((moved, moved > 0), (changes.sessions.at_once, true));
    assert!(changes.sessions.by_deadline > moved, "c drains: {:?}", changes.sessions);
}

#[test]
fn new_keys_move_as_foretold() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Backend::named);
    let filed = Filed::start(&setup(&[&a, &b, &c]).toml());
    let place = || -> Vec<_> {
        let home = |key| {
            let mut headers = http::HeaderMap::new();
            headers.insert("x-room", http::HeaderValue::from(key));
            filed.proxy.explain("/", &headers).backend
        };
        (0..2000_u32).map(home).collect()
    };
    let before = place();
    let plan = filed.write(&setup(&[&a, &b, &c, &d]).weight("a", 2).toml()).reload().changes;
    let moved = before.iter().zip(place()).filter(|(before, after)| **before != *after).count();
    let (told, share) = (plan.new_keys[0].moved, moved as f64 / 2000.0);
    assert!((told - share).abs() < 0.04 && told > 0.2, "{told} was told, {share} moved");
    assert!(filed.write(&setup(&[&d, &c, &b, &a]).weight("a", 2).toml()).plan().new_keys.is_empty());
}

#[test]
fn what_an_operator_has_said_since_counts_for_new_keys() {
    let [a, b, c] = ["a", "b", "c"].map(Backend::named);
    let filed = Filed::start(&setup(&[&a, &b]).toml());
    filed.proxy.control().set_state("app", "a", homing::config::Wanted::Drain, None).unwrap();
    let plan = filed.write(&setup(&[&a, &b, &c]).toml()).plan();
    assert!((plan.new_keys[0].moved - 0.5).abs() < 0.04, "of b alone half goes to c: {:?}", plan.new_keys);
}

#[test]
fn every_kind_of_change_is_named() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let before = setup(&[&a]).toml();
    let filed = Filed::start(&before);
    let mut after = setup(&[&a])
        .server("workers = 3\nshutdown_timeout = \"7s\"")
        .log("level = \"debug\"\naccess = false")
        .limits("connections = 77\nqueue = 5")
        .pool("balance = \"ring_hash\"\n")
        .toml();
    let _ = writeln!(after, "[[pool]]\nname = \"more\"\nbackend = [{{ address = \"{}\" }}]", b.address);
    after += "[[listener]]\naddress = \"127.0.0.2:0\"\n[[route]]\npath = \"/more\"\npool = \"more\"\n";
    let plan = serde_json::to_value(filed.write(&after).plan()).unwrap();
    assert_eq!(plan["listeners"], json!({ "added": ["127.0.0.2:0"], "removed": [], "changed": [] }));
    assert_eq!(plan["pools"], json!({ "added": ["more"], "removed": [], "changed": ["app"] }));
    assert_eq!(plan["settings"], json!(["server.shutdown_timeout", "log.access", "route", "limits"]));
    assert_eq!(plan["next_start"], json!(["server.workers", "log.level", "limits.connections"]));
    assert_eq!(plan["sessions"], json!({ "total": 0, "move": 0, "move_by_deadline": 0 }));
    filed.reload();
    // What waits for the next start still does.
    let again = filed.plan();
    assert!(again.unchanged && again.next_start.len() == 3, "{again:?}");
    let back = serde_json::to_value(filed.write(&before).plan()).unwrap();
    assert_eq!(back["pools"], json!({ "added": [], "removed": ["more"], "changed": ["app"] }));
    assert_eq!(back["next_start"], json!([]));
}

#[test]
fn what_came_of_it_is_kept_and_noted() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let filed = Filed::start(&setup(&[&a]).toml());
    let last = || serde_json::to_value(filed.proxy.control().status()).unwrap()["reload"].clone();
    assert!(last().is_null());
    assert!(filed.reload().changes.unchanged);
    assert_eq!((&last()["outcome"], &last()["by"]), (&json!("unchanged"), &json!("api")));
    let bad = setup(&[&b]).toml().replace("weight", "wieght");
    assert!(matches!(filed.write(&bad).try_reload(), Err(ReloadError::Invalid(_))));
    assert_eq!(last()["outcome"], "refused");
    assert_eq!(last()["problems"][0]["message"], "unknown key");
    assert_eq!(filed.home(1), "a");
    let generation = filed.write(&setup(&[&b]).toml()).reload().generation;
    assert_eq!(last()["outcome"], "applied");
    assert!(last()["at"].as_f64().is_some_and(|at| at > 1.7e9));
    assert_eq!(filed.proxy.control().status().generation, generation);
    let outcomes: Vec<_> = filed.noted().iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["unchanged", "refused", "applied"]);
    assert_eq!(filed.noted()[1]["problems"][0]["message"], "unknown key");
}
