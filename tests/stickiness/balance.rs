//! Requests without a binding: each policy shares them out as it says.

use std::collections::BTreeMap;

use crate::support::{Backend, Proxy, Setup, eventually, get};

fn named(names: &[&str]) -> Vec<Backend> {
    names.iter().map(|name| Backend::named(name)).collect()
}

fn setup(backends: &[Backend], policy: &str) -> Setup {
    let all: Vec<&Backend> = backends.iter().collect();
    Setup::of(&all).pool(&format!("balance = \"{policy}\""))
}

/// How many of `count` requests each backend got.
fn shares(proxy: &Proxy, count: usize) -> BTreeMap<String, usize> {
    let mut client = proxy.connect();
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(client.get("/", &[]).text()).or_default() += 1;
    }
    shares
}

fn counts(shares: &[(&str, usize)]) -> BTreeMap<String, usize> {
    shares.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn round_robin_takes_turns_by_weight() {
    let backends = named(&["a", "b", "c"]);
    assert_eq!(
        shares(&setup(&backends, "round_robin").start(), 30),
        counts(&[("a", 10), ("b", 10), ("c", 10)])
    );
    let weighted = setup(&backends, "round_robin").weight("a", 3).weight("c", 0).start();
    assert_eq!(shares(&weighted, 40), counts(&[("a", 30), ("b", 10)]));
}

#[test]
fn round_robin_is_smooth() {
    let backends = named(&["a", "b"]);
    let proxy = setup(&backends, "round_robin").weight("a", 2).start();
    let mut client = proxy.connect();
    let turns: String = (0..12).map(|_| client.get("/", &[]).text()).collect();
    assert!(!turns.contains("aaa") && !turns.contains("bb"), "{turns}");
}

#[test]
fn without_stickiness_round_robin_is_the_default() {
    let backends = named(&["a", "b"]);
    let proxy = Setup::of(&[&backends[0], &backends[1]]).start();
    assert_eq!(shares(&proxy, 10), counts(&[("a", 5), ("b", 5)]));
}

#[test]
fn least_request_avoids_the_busy() {
    let busy = Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
        conn.send(crate::support::backend::ok("a"));
    });
    let free = Backend::named("b");
    let proxy = Setup::of(&[&busy, &free]).pool("balance = \"least_request\"").start();
    let mut waiting = Vec::new();
    while busy.connections() == 0 {
        let mut client = proxy.connect();
        client.send(get("/", &[]));
        waiting.push(client);
        eventually("it arrived", || busy.connections() + free.requests().len() == waiting.len());
    }
    assert_eq!(shares(&proxy, 20), counts(&[("b", 20)]));
    busy.next.open();
}

#[test]
fn random_uses_all_that_have_weight() {
    let backends = named(&["a", "b", "c"]);
    let shares = shares(&setup(&backends, "random").weight("c", 0).start(), 200);
    assert!(shares.len() == 2 && shares.values().all(|count| *count > 40), "{shares:?}");
}

#[test]
fn requests_without_a_key_take_turns_in_a_pool_that_hashes() {
    let backends = named(&["a", "b"]);
    for mode in ["hash", "table"] {
        let sticky = format!("mode = \"{mode}\"\nkey = [\"query:room\"]");
        let proxy = setup(&backends, "rendezvous").table("sticky", &sticky).start();
        assert_eq!(shares(&proxy, 10), counts(&[("a", 5), ("b", 5)]), "{mode}");
    }
}

#[test]
fn keys_spread_and_stay_in_hash_mode() {
    let backends = named(&["a", "b", "c"]);
    let proxy = setup(&backends, "rendezvous")
        .server("workers = 2")
        .table("sticky", "mode = \"hash\"\nkey = [\"query:room\"]")
        .start();
    let owners = |proxy: &Proxy| -> Vec<String> {
        (0..60).map(|room| proxy.get(&format!("/?room={room}"), &[]).text()).collect()
    };
    let first = owners(&proxy);
    assert_eq!(owners(&proxy), first);
    for name in ["a", "b", "c"] {
        assert!(first.iter().filter(|owner| *owner == name).count() > 8, "{first:?}");
    }
}

#[test]
fn the_order_of_backends_in_the_file_does_not_matter() {
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), Backend::named("c"));
    let owners = |backends: &[&Backend]| -> Vec<String> {
        let sticky = "mode = \"hash\"\nkey = [\"query:room\"]";
        let proxy = Setup::of(backends).table("sticky", sticky).start();
        (0..40).map(|room| proxy.get(&format!("/?room={room}"), &[]).text()).collect()
    };
    assert_eq!(owners(&[&a, &b, &c]), owners(&[&c, &a, &b]));
}
