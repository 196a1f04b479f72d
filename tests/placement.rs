//! Placement: what a changed fleet may move, and what it must not; and how the other policies spread requests.
//!
//! Fleets are written as TOML and asked by the decision that traffic takes, so that the whole way from file to backend
//! is under test. `tests/golden/placement.txt` holds 10,000 placements that no later version may change:
//! `HOMING_WRITE_GOLDEN=1 cargo test --test placement golden` writes it anew, which is a new version of the contract.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "placement/policies.rs"]
mod policies;
#[path = "placement/published.rs"]
mod published;
#[path = "placement/tables.rs"]
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use homing::backend::Health;
use homing::balance::{Ask, Balancer, Candidate, ranking};
use homing::clock::Now;
use homing::config::{Balance, Config};
use homing::pool::{Choice, Pool, View};
use homing::snapshot::Snapshot;
use homing::stable_hash;
use proptest::prelude::*;

// === Fleets ===

/// Backends by name with their weights, in the order of the file.
type Fleet = Vec<(String, u32)>;

/// Where each key is placed.
type Places = BTreeMap<u64, String>;

fn fleet(weights: impl IntoIterator<Item = u32>) -> Fleet {
    weights.into_iter().zip(1..).map(|(weight, n)| (format!("b{n:02}"), weight)).collect()
}

fn without(fleet: &Fleet, name: &str) -> Fleet {
    fleet.iter().filter(|(known, _)| known != name).cloned().collect()
}

fn with_weights(fleet: &Fleet, weight: impl Fn(&str, u32) -> u32) -> Fleet {
    fleet.iter().map(|(name, old)| (name.clone(), weight(name, *old))).collect()
}

fn snapshot(fleet: &Fleet) -> Snapshot {
    snapshot_with(Balance::Rendezvous, fleet)
}

fn snapshot_with(policy: Balance, fleet: &Fleet) -> Snapshot {
    let mut source =
        String::from("listener = [{ address = \"127.0.0.1:0\" }]\nroute = [{ pool = \"app\" }]\n");
    let sticky = "sticky = { key = [\"query:room\"], mode = \"hash\" }";
    writeln!(source, "[[pool]]\nname = \"app\"\nbalance = \"{policy}\"\n{sticky}").unwrap();
    for (name, weight) in fleet {
        writeln!(source, "[[pool.backend]]\nname = \"{name}\"\naddress = \"127.0.0.1:1\"\nweight = {weight}")
            .unwrap();
    }
    Snapshot::build(&Config::parse(&source, "test.toml").unwrap(), None, 1, Now(0))
}

fn key_bytes(key: u64) -> String {
    format!("room-{key}")
}

fn place(pool: &Pool, view: &View, key: &[u8]) -> String {
    let choice = Choice { skip: &[], load: &|_| 0, now: Now(0) };
    let decision = pool.decide(view, Some(&pool.hash_key(key)), &choice).unwrap();
    pool.backends[decision.backend as usize].name.to_string()
}

fn places_in(snapshot: &Snapshot, keys: &[u64]) -> Places {
    let pool = &snapshot.pools[0];
    let view = View::new(pool, 0);
    keys.iter().map(|&key| (key, place(pool, &view, key_bytes(key).as_bytes()))).collect()
}

fn places(fleet: &Fleet, keys: &[u64]) -> Places {
    places_in(&snapshot(fleet), keys)
}

/// The keys that `after` has elsewhere, with where they were and are.
fn moved<'a>(before: &'a Places, after: &'a Places) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs = before.values().zip(after.values());
    pairs.filter(|(before, after)| before != after).map(|(before, after)| (before.as_str(), after.as_str()))
}

fn candidates(fleet: &Fleet) -> Vec<Candidate> {
    let candidate = |((name, weight), backend): (&(String, u32), u32)| Candidate {
        backend,
        weight: *weight,
        node: stable_hash::hash(name.as_bytes()),
    };
    fleet.iter().zip(0..).map(candidate).collect()
}

/// `n` places spread evenly over all hashes; as many as a Maglev table has slots hit each slot once.
fn equidistant(n: u64) -> Vec<u64> {
    (0..u128::from(n)).map(|i| (((i << 64) + (1 << 63)) / u128::from(n)) as u64).collect()
}

/// A question about idle backends.
fn ask(key: u64, skip: &[u32]) -> Ask<'_> {
    Ask { key, skip, load: &|_| 0, sessions: &|_| 0 }
}

fn any_fleet() -> impl Strategy<Value = Fleet> {
    let one_weight = (2..12_usize, 1..100_u32).prop_map(|(n, weight)| vec![weight; n]);
    let small = prop::collection::vec(1..=8_u32, 2..12);
    let all = prop::collection::vec(1..=65_535_u32, 2..12);
    let weights = prop_oneof![one_weight, small, all];
    (weights, any::<u32>()).prop_map(|(weights, salt)| {
        weights.into_iter().zip(0..).map(|(weight, n)| (format!("{salt:x}-{n}"), weight)).collect()
    })
}

/// A fleet, one of its backends, and keys.
fn case() -> impl Strategy<Value = (Fleet, String, Vec<u64>)> {
    let keys = prop::collection::vec(any::<u64>(), 200);
    (any_fleet(), any::<prop::sample::Index>(), keys).prop_map(|(fleet, chosen, keys)| {
        let name = chosen.get(&fleet).0.clone();
        (fleet, name, keys)
    })
}

fn cases(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// === What a change may move ===

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_order_of_the_file_never_matters(
        (fleet, shuffled) in any_fleet().prop_flat_map(|fleet| (Just(fleet.clone()), Just(fleet).prop_shuffle())),
        keys in prop::collection::vec(any::<u64>(), 200),
    ) {
        prop_assert_eq!(places(&fleet, &keys), places(&shuffled, &keys));
    }

    #[test]
    fn a_removed_backend_moves_its_own_keys_only((fleet, lost, keys) in case()) {
        let (before, after) = (places(&fleet, &keys), places(&without(&fleet, &lost), &keys));
        for (from, to) in moved(&before, &after) {
            prop_assert_eq!(from, &lost, "to {}", to);
        }
        prop_assert!(after.values().all(|place| *place != lost));
    }

    #[test]
    fn an_added_backend_takes_keys_and_moves_no_other((fleet, added, keys) in case()) {
        let (before, after) = (places(&without(&fleet, &added), &keys), places(&fleet, &keys));
        for (from, to) in moved(&before, &after) {
            prop_assert_eq!(to, &added, "from {}", from);
        }
    }

    #[test]
    fn a_raised_weight_draws_keys_in_and_a_lowered_one_lets_them_go(
        (fleet, chosen, keys) in case(),
        raised in 1..=65_535_u32,
    ) {
        let raise = |name: &str, weight: u32| if name == chosen { weight.max(raised) } else { weight };
        let (low, high) = (places(&fleet, &keys), places(&with_weights(&fleet, raise), &keys));
        for (from, to) in moved(&low, &high) {
            prop_assert_eq!(to, &chosen, "raised, from {}", from);
        }
        for (from, to) in moved(&high, &low) {
            prop_assert_eq!(from, &chosen, "lowered, to {}", to);
        }
    }

    #[test]
    fn scaling_all_weights_moves_nothing(
        weights in prop::collection::vec(1..=9_000_u32, 2..12),
        keys in prop::collection::vec(any::<u64>(), 200),
        factor in 2..=7_u32,
    ) {
        let fleet = fleet(weights);
        let scaled = with_weights(&fleet, |_, weight| weight * factor);
        prop_assert_eq!(places(&fleet, &keys), places(&scaled, &keys));
    }

    #[test]
    fn a_backend_that_is_down_counts_as_removed_and_gets_all_back((fleet, lost, keys) in case()) {
        let snapshot = snapshot(&fleet);
        let before = places_in(&snapshot, &keys);
        let state = &snapshot.pools[0].backends.iter().find(|backend| *backend.name == *lost).unwrap().state;
        state.set_health(Health::Down, Now(0));
        prop_assert_eq!(places_in(&snapshot, &keys), places(&without(&fleet, &lost), &keys));
        state.set_health(Health::Up, Now(0));
        prop_assert_eq!(places_in(&snapshot, &keys), before);
    }

    #[test]
    fn weight_0_counts_as_removed((fleet, drained, keys) in case()) {
        let zeroed = with_weights(&fleet, |name, weight| if name == drained { 0 } else { weight });
        prop_assert_eq!(places(&zeroed, &keys), places(&without(&fleet, &drained), &keys));
    }

    /// The next in the ranking takes over when those before it are lost or skipped.
    #[test]
    fn failover_follows_the_ranking(fleet in any_fleet(), key in any::<u64>()) {
        let candidates = candidates(&fleet);
        let order = ranking(&candidates, key);
        let mut left = candidates.clone();
        let mut skip = Vec::new();
        for &next in &order {
            let next = candidates[next];
            let picked = Balancer::Rendezvous.pick(&left, &ask(key, &[])).unwrap();
            prop_assert_eq!(left[picked], next);
            let picked = Balancer::Rendezvous.pick(&candidates, &ask(key, &skip)).unwrap();
            prop_assert_eq!(candidates[picked], next);
            left.retain(|candidate| *candidate != next);
            skip.push(next.backend);
        }
        prop_assert_eq!(order.len(), fleet.len());
    }

    /// The rule of the contract as it is written down, without the short cut for equal weights.
    #[test]
    fn the_least_logarithm_per_weight_wins(fleet in any_fleet(), key in any::<u64>()) {
        let candidates = candidates(&fleet);
        let bid = |candidate: &Candidate| stable_hash::combine(key, candidate.node);
        let before = |a: &Candidate, b: &Candidate| {
            let cross = |a: &Candidate, b: &Candidate| u128::from(stable_hash::neg_log2(bid(a))) * u128::from(b.weight);
            cross(a, b).cmp(&cross(b, a)).then(bid(b).cmp(&bid(a))).then(a.node.cmp(&b.node))
        };
        let winner = candidates.iter().copied().min_by(before).unwrap();
        let picked = Balancer::Rendezvous.pick(&candidates, &ask(key, &[])).unwrap();
        prop_assert_eq!(candidates[picked], winner);
    }
}

/// What happens to a large fleet while its keys recur.
#[derive(Debug, Clone)]
enum Step {
    Ask(u16),
    /// As a request asks which this backend has refused.
    AskWithout(u16, usize),
    Turn(usize, Health),
}

fn any_step(backends: usize) -> impl Strategy<Value = Step> {
    let key = || 0..700_u16;
    let health = prop_oneof![Just(Health::Up), Just(Health::Suspect), Just(Health::Down)];
    prop_oneof![
        60 => key().prop_map(Step::Ask),
        10 => (key(), 0..backends).prop_map(|(key, backend)| Step::AskWithout(key, backend)),
        1 => (0..backends, health).prop_map(|(backend, health)| Step::Turn(backend, health)),
    ]
}

proptest! {
    #![proptest_config(cases(24))]

    /// Workers remember where they placed keys, and forget it when the fleet changes: no answer may differ for that.
    #[test]
    fn a_key_that_recurs_is_placed_as_if_it_were_new(
        weights in prop::collection::vec(prop_oneof![Just(1_u32), 1..=64_u32], 24..48),
        steps in prop::collection::vec(any_step(24), 3_000),
    ) {
        let snapshot = snapshot(&fleet(weights));
        let pool = &snapshot.pools[0];
        let mut view = View::new(pool, 0);
        for step in steps {
            let (key, skip) = match step {
                Step::Ask(key) => (key, vec![]),
                Step::AskWithout(key, backend) => (key, vec![backend as u32]),
                Step::Turn(backend, health) => {
                    pool.backends[backend].state.set_health(health, Now(0));
                    view = View::new(pool, 0);
                    continue;
                }
            };
            let key = pool.hash_key(key_bytes(key.into()).as_bytes());
            let choice = Choice { skip: &skip, load: &|_| 0, now: Now(0) };
            let decided = pool.decide(&view, Some(&key), &choice).unwrap().backend;
            let anew = Balancer::Rendezvous.pick(view.candidates(), &ask(key.placement, &skip)).unwrap();
            prop_assert_eq!(decided, view.candidates()[anew].backend);
        }
    }
}

/// Weights of 1 take the short cut for equal ones, and beside another weight the logarithm: both rank alike.
#[test]
fn equal_weights_rank_alike_beside_another() {
    let equal = fleet([1; 9]);
    let mut mixed = equal.clone();
    mixed.push(("other".into(), 7));
    let rank = |fleet: &Fleet, key| -> Vec<String> {
        let order = ranking(&candidates(fleet), key).into_iter().map(|i| fleet[i].0.clone());
        order.filter(|name| name != "other").collect()
    };
    for key in (0..2_000).map(stable_hash::mix) {
        assert_eq!(rank(&equal, key), rank(&mixed, key));
    }
}

#[test]
fn two_proxies_agree_without_talking() {
    let keys: Vec<u64> = (0..5_000).collect();
    let one = fleet((1..=20).map(|n| n * n));
    let mut other = one.clone();
    other.reverse();
    assert_eq!(places(&one, &keys), places(&other, &keys));
}

// === Shares ===

const MANY: u64 = 40_000;

fn uneven_fleets() -> [Fleet; 5] {
    [
        fleet([1, 1]),
        fleet([1, 2, 4]),
        fleet(1..=20),
        fleet([1, 10, 100, 1_000]),
        fleet([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]),
    ]
}

/// Asserts that each backend has its weight's share of `counts`, give or take 4 standard deviations.
fn assert_shares(fleet: &Fleet, counts: &BTreeMap<String, u64>) {
    let total: u64 = counts.values().sum();
    let weights: u64 = fleet.iter().map(|(_, weight)| u64::from(*weight)).sum();
    for (name, weight) in fleet {
        let share = f64::from(*weight) / weights as f64;
        let expected = share * total as f64;
        let sigma = (expected * (1.0 - share)).sqrt();
        let got = counts.get(name).copied().unwrap_or(0) as f64;
        assert!(
            (got - expected).abs() <= 4.0 * sigma,
            "{name} in {fleet:?}: {got}, not {expected:.0} ± {sigma:.1}"
        );
    }
}

fn count(places: impl IntoIterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    places.into_iter().for_each(|place| *counts.entry(place).or_default() += 1);
    counts
}

#[test]
fn keys_are_shared_out_by_weight() {
    let keys: Vec<u64> = (0..MANY).collect();
    for fleet in uneven_fleets() {
        assert_shares(&fleet, &count(places(&fleet, &keys).into_values()));
    }
}

#[test]
fn the_keys_of_a_lost_backend_spread_over_all_others_by_weight() {
    let keys: Vec<u64> = (0..MANY).collect();
    for fleet in uneven_fleets() {
        let lost = &fleet.iter().max_by_key(|(_, weight)| weight).unwrap().0;
        let orphans: Vec<u64> = places(&fleet, &keys)
            .into_iter()
            .filter(|(_, place)| place == lost)
            .map(|(key, _)| key)
            .collect();
        let left = without(&fleet, lost);
        assert!(orphans.len() > 1_000);
        assert_shares(&left, &count(places(&left, &orphans).into_values()));
    }
}

// === Golden placements ===

const GOLDEN: &str = "tests/golden/placement.txt";

/// 37 backends with weights from 1 to 64.
fn golden_fleet() -> Fleet {
    fleet((0..37_u32).map(|n| match n % 5 {
        0 => 1,
        1 => n + 1,
        2 => 10,
        3 => 64,
        _ => 3,
    }))
}

/// Computed by another program from the words of the contract. Low bits decide no placement of the golden file.
#[test]
fn golden_numbers_never_change() {
    assert_eq!(stable_hash::mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf, "splitmix64, seed 0, first");
    assert_eq!(stable_hash::mix(0x3c6e_f372_fe94_f82a), 0x6e78_9e6a_a1b9_65f4, "splitmix64, seed 0, second");
    let [room, node] = [b"room-1".as_slice(), b"chess-1"].map(stable_hash::hash);
    assert_eq!(stable_hash::combine(room, node), 0xc62e_9ae3_8762_dffe);
    for (draw, log) in [
        (1, 0x40_0000_0000),
        (0x1234_5678_9abc_def0, 0x3_d053_f723),
        (0x7fff_ffff_ffff_ffff, 0x1_0000_0001),
        (0x8000_0000_0000_0000, 0x1_0000_0000),
        (0xc000_0000_0000_0001, 0x6a3f_e5c7),
        (0xfedc_ba98_7654_3210, 0x1a5_2707),
        (u64::MAX, 1),
    ] {
        assert_eq!(stable_hash::neg_log2(draw), log, "{draw:#x}");
    }
}

#[test]
fn golden_placements_never_change() {
    let keys: Vec<u64> = (0..10_000).collect();
    let mut found = String::from("# Hash contract version 1: key and backend. See tests/placement.rs.\n");
    for (key, place) in places(&golden_fleet(), &keys) {
        writeln!(found, "{} {place}", key_bytes(key)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("HOMING_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let differing = golden.lines().zip(found.lines()).filter(|(golden, found)| golden != found);
    assert_eq!(differing.collect::<Vec<_>>(), []);
    assert_eq!(golden.len(), found.len());
}
