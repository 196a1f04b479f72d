//! What each policy picks, and how those that look at no key spread requests.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use homing::balance::{Ask, Balancer, Draw, HashTable};
use homing::config::Balance;
use homing::stable_hash::mix;
use proptest::prelude::*;

use crate::tables::members;
use crate::{Fleet, MANY, ask, assert_shares, candidates, cases, count, fleet, uneven_fleets};

fn picks(policy: Balance, fleet: &Fleet, seed: u64, n: usize) -> Vec<usize> {
    let candidates = candidates(fleet);
    let balancer = balancer(policy, fleet, seed);
    (0..n).map(|_| balancer.pick(&candidates, &ask(0, &[])).unwrap()).collect()
}

/// A balancer of all of `fleet`, with its table if the policy has one.
fn balancer(policy: Balance, fleet: &Fleet, seed: u64) -> Balancer {
    Balancer::new(policy, &candidates(fleet), seed, hash_table(policy, fleet))
}

fn hash_table(policy: Balance, fleet: &Fleet) -> Option<Arc<HashTable>> {
    HashTable::new(policy, &members(fleet)).map(Arc::new)
}

/// A question about backends that have so many requests and sessions.
fn ask_busy<'a>(key: u64, skip: &'a [u32], count: &'a dyn Fn(u32) -> u64) -> Ask<'a> {
    Ask { key, skip, load: count, sessions: count }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn no_policy_picks_what_is_to_be_skipped(
        weights in prop::collection::vec(1..=5_u32, 1..8),
        skip in prop::collection::btree_set(0..8_u32, 0..8),
        seed in any::<u64>(),
    ) {
        let fleet = fleet(weights);
        let candidates = candidates(&fleet);
        let left: BTreeSet<u32> = (0..candidates.len() as u32).filter(|i| !skip.contains(i)).collect();
        let skip: Vec<u32> = skip.into_iter().collect();
        for &(_, policy) in Balance::WORDS {
            let balancer = balancer(policy, &fleet, seed);
            for key in (0..20).map(mix) {
                let picked = balancer.pick(&candidates, &ask_busy(key, &skip, &u64::from));
                let picked = picked.map(|i| candidates[i].backend);
                prop_assert_eq!(picked.is_some(), !left.is_empty(), "{}", policy);
                prop_assert!(picked.is_none_or(|backend| left.contains(&backend)), "{} took {:?}", policy, picked);
            }
        }
    }

    /// What a policy prefers is what it picks as those before are skipped, and asking for it changes nothing.
    #[test]
    fn the_order_of_preference_is_what_picks_follow(
        weights in prop::collection::vec(1..=5_u32, 1..8),
        counts in prop::collection::vec(0..3_u64, 8),
        (seed, key) in (any::<u64>(), any::<u64>()),
        turns in 0..5_usize,
    ) {
        let fleet = fleet(weights);
        let candidates = candidates(&fleet);
        let count = |backend: u32| counts[backend as usize];
        for &(_, policy) in Balance::WORDS {
            let table = hash_table(policy, &fleet);
            let begun = || {
                let balancer = Balancer::new(policy, &candidates, seed, table.clone());
                (0..turns).for_each(|_| { balancer.pick(&candidates, &ask_busy(key, &[], &count)); });
                balancer
            };
            let asked = begun();
            let order = asked.preference(&candidates, &ask_busy(key, &[], &count));
            prop_assert_eq!(asked.preference(&candidates, &ask_busy(key, &[], &count)), order.clone());
            prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), fleet.len());
            prop_assert_eq!(asked.pick(&candidates, &ask_busy(key, &[], &count)), order.first().copied(), "{}", policy);
            let draws = matches!(policy, Balance::LeastRequest | Balance::LeastSessions | Balance::Random);
            for (n, next) in order.iter().enumerate().filter(|_| !draws) {
                let before: Vec<u32> = order[..n].iter().map(|&i| candidates[i].backend).collect();
                prop_assert_eq!(begun().pick(&candidates, &ask_busy(key, &before, &count)), Some(*next), "{}", policy);
                prop_assert_eq!(&begun().preference(&candidates, &ask_busy(key, &before, &count)), &order[n..], "{}", policy);
            }
        }
    }

    #[test]
    fn a_cycle_of_round_robin_has_each_backend_weight_times(
        weights in prop::collection::vec(1..=9_u32, 1..9),
        seed in any::<u64>(),
    ) {
        let fleet = fleet(weights.clone());
        let cycle: u32 = weights.iter().sum();
        let picks = picks(Balance::RoundRobin, &fleet, seed, 3 * cycle as usize);
        for cycle in picks.chunks(cycle as usize) {
            for (weight, i) in weights.iter().zip(0..) {
                prop_assert_eq!(cycle.iter().filter(|&&picked| picked == i).count(), *weight as usize);
            }
        }
    }

    /// At no moment of a cycle has a backend had a whole turn more than its share: work comes evenly spaced.
    #[test]
    fn round_robin_is_never_a_turn_ahead(weights in prop::collection::vec(1..=9_u32, 1..9)) {
        let cycle: u32 = weights.iter().sum();
        let mut had = vec![0; weights.len()];
        for (picked, n) in picks(Balance::RoundRobin, &fleet(weights.clone()), 0, cycle as usize).into_iter().zip(1..) {
            had[picked] += 1;
            prop_assert!(had[picked] * cycle < n * weights[picked] + cycle, "{:?} after {} picks", had, n);
        }
    }

    #[test]
    fn the_least_busy_per_weight_is_taken(
        backends in prop::collection::vec((1..=9_u32, 0..20_u64), 1..9),
        seed in any::<u64>(),
    ) {
        let fleet = fleet(backends.iter().map(|(weight, _)| *weight));
        let candidates = candidates(&fleet);
        let busy = |i: usize| backends[i].1 as f64 / f64::from(backends[i].0);
        let count = |backend: u32| backends[backend as usize].1;
        for (policy, ask) in [
            (Balance::LeastRequest, Ask { load: &count, ..ask(0, &[]) }),
            (Balance::LeastSessions, Ask { sessions: &count, ..ask(0, &[]) }),
        ] {
            let balancer = balancer(policy, &fleet, seed);
            let picked = balancer.pick(&candidates, &ask).unwrap();
            prop_assert!((0..backends.len()).all(|other| busy(picked) <= busy(other) + 1e-9), "took {}", picked);
            let scores = balancer.scores(&candidates, &ask).unwrap();
            prop_assert!((0..backends.len()).all(|i| (scores[i] - busy(i)).abs() < 1e-9), "{:?}", scores);
        }
    }
}

#[test]
fn smooth_round_robin_spaces_the_heavy_one_out() {
    let turns = picks(Balance::RoundRobin, &fleet([5, 1, 1]), 0, 7);
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0], "the sequence nginx is known for");
}

#[test]
fn workers_begin_their_turns_at_different_places() {
    for weights in [vec![1, 1, 1, 1], vec![1, 2, 3, 4]] {
        let firsts: BTreeSet<usize> =
            (0..16).map(|seed| picks(Balance::RoundRobin, &fleet(weights.clone()), seed, 1)[0]).collect();
        assert!(firsts.len() > 1, "{weights:?}: {firsts:?}");
    }
}

#[test]
fn idle_backends_share_by_least_request_and_least_sessions() {
    for (fleet, policy) in
        uneven_fleets().into_iter().zip([Balance::LeastRequest, Balance::LeastSessions].into_iter().cycle())
    {
        let picks = picks(policy, &fleet, 1, MANY as usize);
        assert_shares(&fleet, &count(picks.into_iter().map(|i| fleet[i].0.clone())));
    }
}

/// Each session stays: so the fleet fills evenly, whatever else is going on.
#[test]
fn least_sessions_fills_by_weight() {
    let fleet = fleet([1, 2, 5]);
    let candidates = candidates(&fleet);
    let balancer = balancer(Balance::LeastSessions, &fleet, 1);
    let bound = RefCell::new([0_u64; 3]);
    let sessions = |backend: u32| bound.borrow()[backend as usize];
    for _ in 0..800 {
        let ask = Ask { load: &|backend| 9 - u64::from(backend), sessions: &sessions, ..ask(0, &[]) };
        let picked = balancer.pick(&candidates, &ask).unwrap();
        bound.borrow_mut()[picked] += 1;
    }
    assert_eq!(*bound.borrow(), [100, 200, 500]);
}

#[test]
fn first_fills_in_the_order_of_the_file() {
    let fleet = fleet([1, 9, 3]);
    let candidates = candidates(&fleet);
    let pick = |skip: &[u32]| Balancer::First.pick(&candidates, &ask(7, skip));
    assert_eq!([pick(&[]), pick(&[0]), pick(&[1]), pick(&[1, 0])], [Some(0), Some(1), Some(0), Some(2)]);
    assert_eq!(pick(&[0, 1, 2]), None);
}

/// Scores are shown beside the order of preference, so they must not contradict it.
#[test]
fn rendezvous_prefers_by_score() {
    let fleet = fleet([1, 2, 4, 100]);
    let candidates = candidates(&fleet);
    for key in (0..500).map(mix) {
        let scores = Balancer::Rendezvous.scores(&candidates, &ask(key, &[])).unwrap();
        let order = Balancer::Rendezvous.preference(&candidates, &ask(key, &[]));
        assert!(order.is_sorted_by(|&a, &b| scores[a] <= scores[b]), "{scores:?} {order:?}");
        assert!(scores.iter().zip(&fleet).all(|(score, (_, weight))| *score <= 64.0 / f64::from(*weight)));
    }
}

#[test]
fn random_shares_by_weight_while_all_are_idle() {
    for fleet in uneven_fleets() {
        let names = picks(Balance::Random, &fleet, 1, MANY as usize).into_iter().map(|i| fleet[i].0.clone());
        assert_shares(&fleet, &count(names));
    }
}

/// Of two choices the busiest of all is taken only when it is drawn twice.
#[test]
fn random_prefers_the_less_busy_of_two() {
    let fleet = fleet([1; 4]);
    let candidates = candidates(&fleet);
    let balancer = balancer(Balance::Random, &fleet, 1);
    let load = |backend: u32| u64::from(backend) * 10;
    let ask = Ask { load: &load, ..ask(0, &[]) };
    let mut taken = [0_u64; 4];
    (0..MANY).for_each(|_| taken[balancer.pick(&candidates, &ask).unwrap()] += 1);
    let share = |i: usize| taken[i] as f64 / MANY as f64;
    for (i, expected) in [7.0, 5.0, 3.0, 1.0].into_iter().map(|n| n / 16.0).enumerate() {
        assert!((share(i) - expected).abs() < 0.01, "backend {i}: {} of {expected}", share(i));
    }
}

/// Requests that last: two choices keep the busiest near the mean, where one choice does not.
#[test]
fn two_choices_keep_the_load_even() {
    let fleet = fleet([1, 1, 2, 4]);
    let candidates = candidates(&fleet);
    let balancer = balancer(Balance::Random, &fleet, 1);
    let in_flight = RefCell::new(vec![0_u64; 4]);
    let load = |backend: u32| in_flight.borrow()[backend as usize];
    for _ in 0..8_000 {
        let picked = balancer.pick(&candidates, &Ask { load: &load, ..ask(0, &[]) }).unwrap();
        in_flight.borrow_mut()[picked] += 1;
    }
    for (candidate, load) in candidates.iter().zip(in_flight.borrow().iter()) {
        let mean = 1_000 * u64::from(candidate.weight);
        assert!(load.abs_diff(mean) <= 20, "{load} of {mean}");
    }
}

#[test]
fn draws_below_a_bound_are_uniform_and_repeatable() {
    let (draw, again) = (Draw::new(7), Draw::new(7));
    let numbers: Vec<u64> = (0..MANY).map(|_| draw.below(10)).collect();
    assert!(numbers.iter().all(|&n| n == again.below(10)));
    assert_shares(&fleet([1; 10]), &count(numbers.iter().map(|n| format!("b{:02}", n + 1))));
}
