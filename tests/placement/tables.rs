//! `ring_hash` and `maglev`: what their tables keep in place, what a rebuilt table may move, and their golden values.

use std::collections::BTreeMap;

use homing::backend::Health;
use homing::balance::{HashTable, Maglev, Member, POINTS_PER_WEIGHT, SLOTS};
use homing::clock::Now;
use homing::config::Balance;
use homing::stable_hash::{self, mix};
use proptest::prelude::*;

use crate::{
    Fleet, MANY, assert_shares, cases, count, equidistant, fleet, moved, places_in, snapshot_with,
    uneven_fleets, with_weights, without,
};

const TABLES: [Balance; 2] = [Balance::RingHash, Balance::Maglev];
const HASHES: [Balance; 3] = [Balance::Rendezvous, Balance::RingHash, Balance::Maglev];

pub(crate) fn members(fleet: &Fleet) -> Vec<Member<'_>> {
    fleet.iter().zip(0..).map(|((name, weight), backend)| Member { backend, weight: *weight, name }).collect()
}

fn table(policy: Balance, fleet: &Fleet) -> HashTable {
    HashTable::new(policy, &members(fleet)).unwrap()
}

/// Who has each key, when `down` are not usable.
fn owners(table: &HashTable, fleet: &Fleet, keys: &[u64], down: &[&str]) -> BTreeMap<u64, String> {
    let name = |backend: u32| &fleet[backend as usize].0;
    let usable = |backend: u32| !down.contains(&name(backend).as_str());
    keys.iter().map(|&key| (key, name(table.pick(key, usable).unwrap()).clone())).collect()
}

fn all_up(policy: Balance, fleet: &Fleet, keys: &[u64]) -> BTreeMap<u64, String> {
    owners(&table(policy, fleet), fleet, keys, &[])
}

/// Weights small enough for many rings to be built.
fn small_fleet() -> impl Strategy<Value = Fleet> {
    (prop::collection::vec(1..=6_u32, 2..8), any::<u32>()).prop_map(|(weights, salt)| {
        weights.into_iter().zip(0..).map(|(weight, n)| (format!("{salt:x}-{n}"), weight)).collect()
    })
}

/// A fleet, one of its backends, and keys.
fn case() -> impl Strategy<Value = (Fleet, String, Vec<u64>)> {
    let keys = prop::collection::vec(any::<u64>(), 300);
    (small_fleet(), any::<prop::sample::Index>(), keys).prop_map(|(fleet, chosen, keys)| {
        let name = chosen.get(&fleet).0.clone();
        (fleet, name, keys)
    })
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn the_order_of_the_file_matters_to_no_hash_policy(
        (fleet, shuffled) in small_fleet().prop_flat_map(|fleet| (Just(fleet.clone()), Just(fleet).prop_shuffle())),
        keys in prop::collection::vec(any::<u64>(), 300),
    ) {
        for policy in HASHES {
            let places = |fleet| places_in(&snapshot_with(policy, fleet), &keys);
            prop_assert_eq!(places(&fleet), places(&shuffled), "{}", policy);
        }
    }

    #[test]
    fn a_backend_that_is_down_moves_its_own_keys_only_and_gets_all_back((fleet, lost, keys) in case()) {
        for policy in HASHES {
            let snapshot = snapshot_with(policy, &fleet);
            let before = places_in(&snapshot, &keys);
            let state = &snapshot.pools[0].backends.iter().find(|it| *it.name == *lost).unwrap().state;
            state.set_health(Health::Down, Now(0));
            let after = places_in(&snapshot, &keys);
            prop_assert!(moved(&before, &after).all(|(from, _)| from == lost), "{}", policy);
            prop_assert!(after.values().all(|place| *place != lost), "{}", policy);
            state.set_health(Health::Up, Now(0));
            prop_assert_eq!(places_in(&snapshot, &keys), before, "{}", policy);
        }
    }

    /// Whoever else is down: more that fail never move a key of one that did not.
    #[test]
    fn the_first_usable_of_one_order_has_the_key((fleet, _, keys) in case(), down in any::<u8>()) {
        for policy in TABLES {
            let table = table(policy, &fleet);
            let usable = |backend: u32| down >> backend & 1 == 0;
            for &key in &keys {
                let order = table.order(key);
                prop_assert_eq!(order.len(), fleet.len());
                let first = order.into_iter().find(|&backend| usable(backend));
                prop_assert_eq!(table.pick(key, usable), first, "{}", policy);
            }
        }
    }

    #[test]
    fn a_ring_without_a_backend_is_the_ring_that_skips_it((fleet, lost, keys) in case()) {
        let skipping = owners(&table(Balance::RingHash, &fleet), &fleet, &keys, &[&lost]);
        prop_assert_eq!(all_up(Balance::RingHash, &without(&fleet, &lost), &keys), skipping);
    }

    #[test]
    fn a_backend_added_to_a_ring_moves_keys_to_itself_only((fleet, added, keys) in case()) {
        let before = all_up(Balance::RingHash, &without(&fleet, &added), &keys);
        let after = all_up(Balance::RingHash, &fleet, &keys);
        prop_assert!(moved(&before, &after).all(|(_, to)| to == added));
    }

    #[test]
    fn a_raised_weight_moves_keys_of_a_ring_in_one_direction((fleet, chosen, keys) in case(), by in 1..4_u32) {
        let raised = with_weights(&fleet, |name, weight| weight + if name == chosen { by } else { 0 });
        let before = all_up(Balance::RingHash, &fleet, &keys);
        let after = all_up(Balance::RingHash, &raised, &keys);
        prop_assert!(moved(&before, &after).all(|(_, to)| to == chosen));
    }

    #[test]
    fn weight_0_has_no_place_in_a_table((fleet, drained, keys) in case()) {
        let zeroed = with_weights(&fleet, |name, weight| if name == drained { 0 } else { weight });
        for policy in TABLES {
            let gone = all_up(policy, &without(&fleet, &drained), &keys);
            prop_assert_eq!(all_up(policy, &zeroed, &keys), gone, "{}", policy);
        }
    }
}

/// In few slots do two backends want the same one in the same turn, so all slots are compared.
#[test]
fn the_order_of_the_file_matters_to_no_slot() {
    let keys = equidistant(SLOTS.into());
    for fleet in [fleet([1; 100]), fleet((0..100).map(|n| 1 + n % 4))] {
        let reversed: Fleet = fleet.iter().rev().cloned().collect();
        assert_eq!(all_up(Balance::Maglev, &fleet, &keys), all_up(Balance::Maglev, &reversed, &keys));
    }
}

#[test]
fn nobody_has_a_key_when_nobody_is_usable() {
    for policy in TABLES {
        let three = fleet([1, 2, 3]);
        for key in [0, 1, mix(1), u64::MAX] {
            assert_eq!(table(policy, &three).pick(key, |_| false), None, "{policy}");
            assert_eq!(table(policy, &fleet([0])).pick(key, |_| true), None, "{policy} of nobody");
            assert!(table(policy, &fleet([0])).order(key).is_empty(), "{policy} of nobody");
            assert_eq!(table(policy, &fleet([1])).pick(key, |_| true), Some(0), "{policy} of one");
        }
    }
}

/// Beyond the throws of Maglev there is rendezvous hashing, which finds the one that is left.
#[test]
fn the_last_of_many_is_found() {
    let many = fleet([1; 200]);
    for policy in TABLES {
        let table = table(policy, &many);
        for key in (0..50).map(mix) {
            assert_eq!(table.pick(key, |backend| backend == 123), Some(123), "{policy}");
        }
    }
}

#[test]
fn only_hash_tables_have_a_table() {
    let three = fleet([1, 2, 3]);
    for &(_, policy) in Balance::WORDS {
        let table = HashTable::new(policy, &members(&three));
        assert_eq!(table.is_some(), TABLES.contains(&policy), "{policy}");
        assert!(table.is_none_or(|table| table.bytes() > 6 * POINTS_PER_WEIGHT as usize * 12), "{policy}");
    }
}

// === Shares ===

/// Points of a ring lie at random, so a share is its weight's give or take `1 / sqrt(points)`: 4 of those are allowed.
#[test]
fn rings_share_out_by_weight() {
    for fleet in [fleet([1, 1]), fleet([1, 2, 4]), fleet(1..=20), fleet([7; 12])] {
        let counts = count(all_up(Balance::RingHash, &fleet, &equidistant(MANY)).into_values());
        let weights: u32 = fleet.iter().map(|(_, weight)| weight).sum();
        for (name, weight) in &fleet {
            let expected = MANY as f64 * f64::from(*weight) / f64::from(weights);
            let deviation = (counts[name] as f64 / expected - 1.0).abs();
            assert!(deviation < 4.0 / f64::from(POINTS_PER_WEIGHT * weight).sqrt(), "{name}: {deviation}");
        }
    }
}

/// Turns give each backend its share of slots, rounded: one slot up or down comes from who has the last turns.
#[test]
fn maglev_gives_out_slots_by_weight() {
    for fleet in uneven_fleets() {
        let counts = count(all_up(Balance::Maglev, &fleet, &equidistant(SLOTS.into())).into_values());
        let weights: u32 = fleet.iter().map(|(_, weight)| weight).sum();
        for (name, weight) in &fleet {
            let expected = f64::from(SLOTS) * f64::from(*weight) / f64::from(weights);
            let got = counts[name] as f64;
            assert!((got - expected).abs() <= 1.0, "{name} of {fleet:?}: {got}, not {expected}");
        }
    }
}

#[test]
fn orphans_of_a_maglev_table_spread_over_all_others_by_weight() {
    let keys: Vec<u64> = (0..MANY).map(mix).collect();
    for fleet in uneven_fleets().into_iter().filter(|fleet| fleet.len() > 2) {
        let lost = &fleet.iter().max_by_key(|(_, weight)| weight).unwrap().0;
        let table = table(Balance::Maglev, &fleet);
        let before = owners(&table, &fleet, &keys, &[]);
        let orphans: Vec<u64> = keys.iter().copied().filter(|key| before[key] == *lost).collect();
        let after = owners(&table, &fleet, &orphans, &[lost]);
        assert_shares(&without(&fleet, lost), &count(after.into_values()));
    }
}

// === What a rebuilt Maglev table moves ===

/// The share of slots that have another owner, and the share that a perfect hash would move.
fn rebuilt(before: &Fleet, after: &Fleet, ideal: f64) -> (f64, f64) {
    let slots = equidistant(SLOTS.into());
    let places = |fleet| all_up(Balance::Maglev, fleet, &slots);
    (moved(&places(before), &places(after)).count() as f64 / f64::from(SLOTS), ideal)
}

#[test]
fn a_maglev_table_that_lost_or_gained_one_moves_little_more_than_it_must() {
    let (ten, nine) = (fleet([1; 10]), without(&fleet([1; 10]), "b07"));
    for (share, ideal) in [rebuilt(&ten, &nine, 0.1), rebuilt(&nine, &ten, 0.1)] {
        assert!(share >= ideal * 0.99 && share < ideal * 1.1, "{share} for {ideal}");
    }
}

/// With so many backends a table moves 6 times what it must. Were turns counted in rounds of the largest weight, as in
/// Envoy, it would be 14 times, since all have their turns in another order when there is a new largest.
#[test]
fn a_weight_that_becomes_the_largest_moves_no_more_than_others() {
    let before = fleet((0..1_000).map(|n| 1 + n % 3));
    let after = with_weights(&before, |name, weight| if name == "b07" { 5 } else { weight });
    let weights: u32 = before.iter().map(|(_, weight)| weight).sum();
    let old = f64::from(before[6].1);
    let ideal = 5.0 / (f64::from(weights) - old + 5.0) - old / f64::from(weights);
    let (share, ideal) = rebuilt(&before, &after, ideal);
    assert!(share >= ideal * 0.99 && share < ideal * 8.0, "{share} for {ideal}");
}

#[test]
fn more_slots_are_the_next_prime() {
    for (least, slots) in [(2, 2), (8, 11), (65_537, 65_537), (65_538, 65_539)] {
        let three = fleet([1, 1, 1]);
        let bytes = |maglev: Maglev| maglev.bytes();
        let members = members(&three);
        let base = bytes(Maglev::with_slots(&members, 2)) - 2 * 4;
        assert_eq!(bytes(Maglev::with_slots(&members, least)) - base, slots * 4);
    }
}

// === Golden placements ===

/// Computed by another program from the words of the contract. Never to be changed: another result is a new version of
/// the contract.
#[test]
fn golden_orders_never_change() {
    let fleet: Fleet = [("go-2", 8), ("chess-3", 4), ("go-1", 1), ("chess-1", 1), ("chess-2", 2)]
        .map(|(name, weight)| (name.to_owned(), weight))
        .into();
    let order = |policy, key: &str, places: usize| -> String {
        let order = table(policy, &fleet).order(stable_hash::hash(key.as_bytes()));
        order.iter().take(places).map(|&i| fleet[i as usize].0.as_str()).collect::<Vec<_>>().join(" ")
    };
    for (key, ring, maglev) in [
        ("room-1", "chess-1 chess-3 go-2 go-1 chess-2", "go-2 chess-2 go-1 chess-3 chess-1"),
        ("room-2", "go-2 chess-3 go-1 chess-2 chess-1", "go-2 chess-3 chess-1 go-1 chess-2"),
        ("room-3", "go-2 chess-3 chess-2 chess-1 go-1", "go-1 go-2 chess-3 chess-2 chess-1"),
        ("room-4", "go-2 chess-3 chess-1 chess-2 go-1", "chess-2 go-2 chess-1 chess-3 go-1"),
        ("room-5", "go-2 chess-3 chess-1 chess-2 go-1", "chess-3 go-2 go-1 chess-2 chess-1"),
        ("room-6", "chess-2 go-2 chess-3 chess-1 go-1", "go-2 chess-3 go-1 chess-2 chess-1"),
        ("room-7", "go-2 go-1 chess-1 chess-3 chess-2", "go-2 chess-1 chess-2 chess-3 go-1"),
        ("room-8", "go-2 chess-2 chess-3 chess-1 go-1", "go-2 chess-3 go-1 chess-1 chess-2"),
    ] {
        assert_eq!(order(Balance::RingHash, key, 5), ring, "{key}");
        assert_eq!(order(Balance::Maglev, key, 5), maglev, "{key}");
    }
}

/// The same program over `room-0` to `room-19999`: the ranks of their backends by name, folded into one number.
#[test]
fn golden_placements_never_change() {
    let fleet: Fleet = [("chess-1", 1), ("chess-2", 2), ("chess-3", 4), ("go-1", 1), ("go-2", 8)]
        .map(|(name, weight)| (name.to_owned(), weight))
        .into();
    let fold = |policy| {
        let table = table(policy, &fleet);
        let keys = (0..20_000).map(|n| stable_hash::hash(format!("room-{n}").as_bytes()));
        keys.fold(0, |sum, key| mix(sum ^ u64::from(table.pick(key, |_| true).unwrap())))
    };
    assert_eq!(fold(Balance::RingHash), 0x66d0_eb91_df96_74ea);
    assert_eq!(fold(Balance::Maglev), 0x222a_0e93_1663_92bf);
}
