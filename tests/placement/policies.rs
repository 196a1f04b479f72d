//! How policies that look at no key spread requests.

use std::cell::RefCell;
use std::collections::BTreeSet;

use homing::balance::{Ask, Balancer, Draw};
use homing::config::Balance;
use proptest::prelude::*;

use crate::{Fleet, MANY, assert_shares, candidates, cases, count, fleet, uneven_fleets};

fn picks(policy: Balance, fleet: &Fleet, seed: u64, n: usize) -> Vec<usize> {
    let candidates = candidates(fleet);
    let balancer = Balancer::new(policy, &candidates, seed);
    let ask = Ask { key: 0, tried: &[], load: &|_| 0 };
    (0..n).map(|_| balancer.pick(&candidates, &ask).unwrap()).collect()
}

const POLICIES: [Balance; 4] =
    [Balance::RoundRobin, Balance::LeastRequest, Balance::Random, Balance::Rendezvous];

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn no_policy_picks_what_was_tried(
        weights in prop::collection::vec(1..=5_u32, 1..8),
        tried in prop::collection::btree_set(0..8_u32, 0..8),
        seed in any::<u64>(),
    ) {
        let candidates = candidates(&fleet(weights));
        let left: BTreeSet<u32> = (0..candidates.len() as u32).filter(|i| !tried.contains(i)).collect();
        let tried: Vec<u32> = tried.into_iter().collect();
        for policy in POLICIES {
            let balancer = Balancer::new(policy, &candidates, seed);
            for key in 0..20 {
                let picked = balancer.pick(&candidates, &Ask { key, tried: &tried, load: &u64::from });
                let picked = picked.map(|i| candidates[i].backend);
                prop_assert_eq!(picked.is_some(), !left.is_empty(), "{}", policy);
                prop_assert!(picked.is_none_or(|backend| left.contains(&backend)), "{} took {:?}", policy, picked);
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
    fn least_request_takes_the_least_busy_per_weight(
        backends in prop::collection::vec((1..=9_u32, 0..20_u64), 1..9),
        seed in any::<u64>(),
    ) {
        let candidates = candidates(&fleet(backends.iter().map(|(weight, _)| *weight)));
        let busy = |i: usize| backends[i].1 as f64 / f64::from(backends[i].0);
        let balancer = Balancer::new(Balance::LeastRequest, &candidates, seed);
        let load = |backend: u32| backends[backend as usize].1;
        let picked = balancer.pick(&candidates, &Ask { key: 0, tried: &[], load: &load }).unwrap();
        prop_assert!((0..backends.len()).all(|other| busy(picked) <= busy(other) + 1e-9), "took {}", picked);
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
fn idle_backends_share_by_least_request() {
    for fleet in uneven_fleets() {
        let picks = picks(Balance::LeastRequest, &fleet, 1, MANY as usize);
        assert_shares(&fleet, &count(picks.into_iter().map(|i| fleet[i].0.clone())));
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
    let candidates = candidates(&fleet([1; 4]));
    let balancer = Balancer::new(Balance::Random, &candidates, 1);
    let load = |backend: u32| u64::from(backend) * 10;
    let ask = Ask { key: 0, tried: &[], load: &load };
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
    let balancer = Balancer::new(Balance::Random, &candidates, 1);
    let in_flight = RefCell::new(vec![0_u64; 4]);
    let load = |backend: u32| in_flight.borrow()[backend as usize];
    for _ in 0..8_000 {
        let picked = balancer.pick(&candidates, &Ask { key: 0, tried: &[], load: &load }).unwrap();
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
