//! The decision: where a request goes and why, by the same two steps that traffic takes, without sockets or clock.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "decision/learning.rs"]
mod learning;
#[path = "decision/proxy.rs"]
mod proxy;
#[path = "decision/slow_start.rs"]
mod slow_start;

use std::collections::BTreeMap;
use std::time::Duration;

use homing::backend::Health;
use homing::config::{Address, Wanted};
use homing::pool::{Choice, Commit, Lesson, Lessons, Reason, Refusal, Tie, View};
use homing::snapshot::Snapshot;

use proxy::{Fleet, HASH, Proxy, TABLE, THREE, config, others};

fn bound(backend: &str) -> (String, Reason) {
    (backend.into(), Reason::Bound)
}

// === Table mode: nothing alive moves ===

#[test]
fn a_key_is_placed_once_and_bound_ever_after() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, reason) = proxy.visit("room-1");
    assert_eq!(reason, Reason::Placed);
    (0..10).for_each(|_| assert_eq!(proxy.visit("room-1"), bound(&home)));
}

#[test]
fn deciding_binds_nothing() {
    let proxy = Proxy::new(TABLE, THREE);
    let first = proxy.decide("room-1").unwrap();
    assert_eq!((first.reason, first.tie), (Reason::Placed, Tie::New));
    assert_eq!(proxy.decide("room-1"), Some(first));
    assert!(proxy.pool().table().unwrap().is_empty());
}

#[test]
fn bound_keys_stay_when_the_fleet_changes_around_them() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    let fleets: [Fleet<'_>; 4] = [
        &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 50)],
        &[("e", 1), ("c", 9), ("b", 1), ("a", 100)],
        &[("a", 1), ("b", 0), ("c", 1)],
        &[("c", 1), ("b", 1), ("a", 1)],
    ];
    for fleet in fleets {
        proxy.reload(fleet);
        assert_eq!(proxy.visit_all(), homes, "with {fleet:?}");
    }
}

#[test]
fn keys_of_a_removed_backend_move_and_no_others() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    proxy.reload(&[("a", 1), ("c", 1)]);
    assert_eq!(proxy.visit_all(), homes, "it leaves with what it has");
    proxy.now = proxy.now.after(Duration::from_mins(30));
    for (key, home) in &homes {
        let (backend, reason) = proxy.visit(key);
        if home == "b" {
            assert_eq!(reason, Reason::Rebound);
        } else {
            assert_eq!((&backend, reason), (home, Reason::Bound), "{key}");
        }
    }
    assert!(homes.values().any(|home| home == "b"));
}

#[test]
fn a_lost_key_is_placed_where_its_hash_says_next() {
    let proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    proxy.set("b", Health::Down);
    let after = proxy.visit_all();
    let hashed = Proxy::new(HASH, &[("a", 1), ("c", 1)]).visit_all();
    for (key, home) in homes {
        assert_eq!(after[&key], if home == "b" { hashed[&key].clone() } else { home }, "{key}");
    }
}

#[test]
fn a_key_never_returns_to_a_backend_that_flaps() {
    let proxy = Proxy::new(TABLE, THREE);
    let (first, _) = proxy.visit("room-1");
    proxy.set(&first, Health::Down);
    let (second, reason) = proxy.visit("room-1");
    assert_eq!(reason, Reason::Rebound);
    assert_ne!(second, first);
    for health in [Health::Up, Health::Down, Health::Suspect, Health::Up] {
        proxy.set(&first, health);
        assert_eq!(proxy.visit("room-1"), bound(&second));
    }
}

#[test]
fn a_key_nobody_asked_for_meanwhile_finds_its_backend_returned() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    proxy.set(&home, Health::Down);
    proxy.set(&home, Health::Up);
    assert_eq!(proxy.visit("room-1"), bound(&home));
}

#[test]
fn each_owner_has_a_greater_epoch() {
    let proxy = Proxy::new(TABLE, THREE);
    let mut before = 0;
    for _ in 0..5 {
        let visit = proxy.begin("room-1");
        let epoch = visit.lease.unwrap().epoch;
        assert!(epoch > before, "{epoch} after {before}");
        before = epoch;
        proxy.end(&visit);
        proxy.set("a", Health::Up);
        proxy.set("b", Health::Up);
        proxy.set("c", Health::Up);
        proxy.set(&visit.backend, Health::Down);
    }
}

#[test]
fn a_new_address_is_a_new_life() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    let mut elsewhere = config(TABLE, THREE);
    for backend in &mut elsewhere.pools[0].backends {
        if backend.name == home {
            backend.address = Address::Ip("127.0.0.2:1".parse().unwrap());
        }
    }
    proxy.snapshot = Snapshot::build(&elsewhere, Some(&proxy.snapshot), 1, proxy.now);
    assert_eq!(proxy.visit("room-1"), (home.clone(), Reason::Rebound), "the hash leads there still");
    assert_eq!(proxy.visit("room-1"), bound(&home));
}

/// The process at the new address names an instance of its own, and has not been restarted for that.
#[test]
fn a_new_address_has_named_no_instance_yet() {
    let proxy = Proxy::new(TABLE, THREE);
    let state = &proxy.pool().backends[0].state;
    assert_eq!(state.set_instance("one"), None);
    state.set_address(state.address().unwrap());
    assert_eq!(state.set_instance("one").as_deref(), Some("one"), "the same address");
    state.set_address("127.0.0.2:1".parse().unwrap());
    assert_eq!((state.incarnation(), state.set_instance("two")), (0, None));
}

/// A request keeps the configuration that it began with, and may take long.
#[test]
fn an_old_request_leaves_a_key_with_a_backend_that_it_does_not_know() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let old = proxy.snapshot.pools[0].clone();
    proxy.reload(&[("a", 1), ("b", 1), ("c", 1), ("d", 9)]);
    let room = (0..100).map(|n| format!("room-{n}")).find(|room| proxy.visit(room).0 == "d").unwrap();
    let (key, view) = (proxy.key(&room), View::new(&old, 0));
    let choice = Choice { skip: &[], load: &|_| 0, now: proxy.now };
    assert_eq!(old.decide(&view, Some(&key), &choice), Err(Refusal::Outdated));
    let lesson = Lesson { request_key: None, bytes: room.as_bytes() };
    assert_eq!(old.learn_key(&view, 0, lesson, proxy.now), Lessons { learned: 0, violations: 1 });
    assert_eq!(proxy.visit(&room), bound("d"));
}

#[test]
fn what_was_bound_to_a_forgotten_backend_is_swept() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    proxy.pool().backends[1].state.wish(|wishes| wishes.order(Wanted::Maint, proxy.pool().drain, proxy.now));
    proxy.reload(&[("a", 1), ("c", 1)]);
    assert_eq!(proxy.pool().backends.len(), 2, "its time was over");
    let table = proxy.pool().table().unwrap();
    table.sweep(proxy.now, usize::MAX);
    assert_eq!(table.len(), homes.values().filter(|home| *home != "b").count());
}

#[test]
fn a_session_that_idled_out_is_placed_anew() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    let live = proxy.begin("room-2");
    proxy.now = proxy.now.after(Duration::from_hours(24));
    assert_eq!(proxy.visit("room-1"), (home, Reason::Placed));
    assert_eq!(proxy.visit("room-2"), bound(&live.backend));
}

// === Table mode: one owner ===

#[test]
fn the_loser_of_a_race_takes_the_winners_backend() {
    let proxy = Proxy::new(TABLE, THREE);
    let loser = proxy.decide("room-1").unwrap();
    let tried = proxy.name(loser.backend);
    let winner = proxy.decide_among(Some("room-1"), &[&tried]).unwrap();
    assert!(matches!(proxy.commit("room-1", &winner, false), Commit::Go(Some(_))));
    assert!(matches!(proxy.commit("room-1", &loser, false), Commit::Again));
    assert_eq!(proxy.visit("room-1"), bound(&proxy.name(winner.backend)));
}

#[test]
fn the_loser_of_a_race_to_rebind_takes_the_winners_backend() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    proxy.set(&home, Health::Down);
    let loser = proxy.decide("room-1").unwrap();
    assert!(matches!(loser.tie, Tie::Lost { .. }));
    let winner = proxy.decide_among(Some("room-1"), &[&proxy.name(loser.backend)]).unwrap();
    let Commit::Go(Some(lease)) = proxy.commit("room-1", &winner, false) else { panic!("not moved") };
    assert!(matches!(proxy.commit("room-1", &loser, false), Commit::Again));
    proxy.pool().release(lease, proxy.now);
    assert_eq!(proxy.visit("room-1"), bound(&proxy.name(winner.backend)));
}

#[test]
fn a_lost_key_moves_when_the_last_of_it_has_ended() {
    let proxy = Proxy::new(TABLE, THREE);
    let tunnels = [proxy.begin("room-1"), proxy.begin("room-1")];
    let home = &tunnels[0].backend;
    proxy.set(home, Health::Down);
    for tunnel in &tunnels {
        let decision = proxy.decide("room-1").unwrap();
        assert_eq!(decision.reason, Reason::Rebound);
        assert!(matches!(proxy.commit("room-1", &decision, false), Commit::Moving(_)));
        proxy.end(tunnel);
    }
    let moved = proxy.begin("room-1");
    assert_ne!(&moved.backend, home);
    assert!(moved.lease.unwrap().epoch > tunnels[0].lease.unwrap().epoch);
}

#[test]
fn stragglers_of_a_forced_move_count_no_more() {
    let proxy = Proxy::new(TABLE, THREE);
    let frozen = proxy.begin("room-1");
    proxy.set(&frozen.backend, Health::Down);
    let decision = proxy.decide("room-1").unwrap();
    let Commit::Go(Some(_)) = proxy.commit("room-1", &decision, true) else { panic!("not forced") };
    proxy.end(&frozen);
    let binding = proxy.pool().table().unwrap().peek(proxy.key("room-1").fingerprint, proxy.now).unwrap();
    assert_eq!(binding.live, 1, "the one that forced it");
}

// === Health and weight ===

#[test]
fn a_suspect_keeps_its_own_and_takes_no_new_while_another_can() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    proxy.set(&home, Health::Suspect);
    assert_eq!(proxy.visit("room-1"), bound(&home));
    let new = (0..200).map(|i| proxy.visit(&format!("new-{i}")).0);
    assert!(new.into_iter().all(|backend| backend != home));
    let keyless = (0..20).map(|_| proxy.decide_among(None, &[]).unwrap().backend);
    assert!(keyless.into_iter().all(|backend| proxy.name(backend) != home));
}

#[test]
fn suspects_take_new_keys_when_no_other_can() {
    let proxy = Proxy::new(TABLE, THREE);
    proxy.set("a", Health::Suspect);
    proxy.set("b", Health::Down);
    proxy.set("c", Health::Down);
    assert_eq!(proxy.visit("room-1"), ("a".into(), Reason::Placed));
}

#[test]
fn hashing_ignores_suspicion() {
    let proxy = Proxy::new(HASH, THREE);
    let homes = proxy.visit_all();
    proxy.set("b", Health::Suspect);
    assert_eq!(proxy.visit_all(), homes);
    assert!(homes.values().any(|home| home == "b"));
}

#[test]
fn an_unknown_backend_takes_nothing_before_its_first_check() {
    for mode in [TABLE, HASH] {
        let checked = format!("{mode}\n[pool.health]\ninterval = \"1s\"");
        let proxy = Proxy::new(&checked, THREE);
        assert_eq!(proxy.decide("room-1"), None);
        proxy.set("b", Health::Up);
        assert_eq!(proxy.visit("room-1"), ("b".into(), Reason::Placed));
    }
}

#[test]
fn weight_0_keeps_its_own_and_takes_no_new() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    proxy.reload(&[("a", 1), ("b", 0), ("c", 1)]);
    assert_eq!(proxy.visit_all(), homes);
    assert!((0..200).all(|i| proxy.visit(&format!("new-{i}")).0 != "b"));
    assert!((0..20).all(|_| proxy.name(proxy.decide_among(None, &[]).unwrap().backend) != "b"));
    proxy.set("a", Health::Down);
    proxy.set("c", Health::Down);
    assert_eq!(proxy.decide("newer"), None, "not even when no other can");
    assert_eq!(proxy.decide_among(None, &[]), None);
    let theirs = homes.iter().find(|(_, home)| *home == "b").unwrap();
    assert_eq!(proxy.visit(theirs.0), bound("b"));
}

#[test]
fn when_all_are_down_nobody_takes_it() {
    for mode in [TABLE, HASH, ""] {
        let proxy = Proxy::new(mode, THREE);
        let _ = proxy.visit("room-1");
        for (name, _) in THREE {
            proxy.set(name, Health::Down);
        }
        assert_eq!(proxy.decide("room-1"), None);
        assert_eq!(proxy.decide("room-2"), None);
        assert_eq!(proxy.decide_among(None, &[]), None);
    }
}

#[test]
fn a_backend_that_refused_is_not_asked_again_unless_the_key_is_bound_there() {
    let proxy = Proxy::new(TABLE, THREE);
    let first = proxy.name(proxy.decide("room-1").unwrap().backend);
    let second = proxy.name(proxy.decide_among(Some("room-1"), &[&first]).unwrap().backend);
    assert_ne!(first, second);
    assert_eq!(proxy.decide_among(Some("room-1"), &["a", "b", "c"]), None);
    assert_eq!(proxy.decide_among(None, &["a", "b", "c"]), None);
    let (home, _) = proxy.visit("room-1");
    let decision = proxy.decide_among(Some("room-1"), &["a", "b", "c"]).unwrap();
    assert_eq!((proxy.name(decision.backend), decision.reason), bound(&home));
}

// === Placement by sessions ===

#[test]
fn sessions_fill_backends_by_weight_whatever_is_live_of_them() {
    let mut proxy =
        Proxy::new(&format!("balance = \"least_sessions\"\n{TABLE}"), &[("a", 1), ("b", 1), ("c", 2)]);
    let count = |homes: &BTreeMap<String, String>| {
        ["a", "b", "c"].map(|name| homes.values().filter(|home| *home == name).count())
    };
    let homes = proxy.visit_all();
    assert_eq!(count(&homes), [25, 25, 50]);
    proxy.reload(&[("a", 1), ("b", 1), ("c", 2), ("d", 1)]);
    assert!((0..25).all(|i| proxy.visit(&format!("new-{i}")).0 == "d"), "until it has as many");
    assert_eq!(proxy.visit_all(), homes);
}

#[test]
fn first_fills_the_first_that_is_up() {
    let proxy = Proxy::new(&format!("balance = \"first\"\n{TABLE}"), &[("c", 1), ("a", 5), ("b", 1)]);
    assert!(proxy.visit_all().values().all(|home| home == "c"));
    proxy.set("c", Health::Suspect);
    assert_eq!(proxy.visit("new-1"), ("a".into(), Reason::Placed));
    assert_eq!(proxy.visit("room-1"), bound("c"));
    proxy.set("c", Health::Up);
    assert_eq!(proxy.visit("new-2"), ("c".into(), Reason::Placed));
    assert_eq!(proxy.decide_among(Some("new-3"), &["c"]).map(|it| proxy.name(it.backend)), Some("a".into()));
}

// === Requests without a key ===

#[test]
fn requests_without_a_key_take_turns() {
    let hashed =
        ["rendezvous", "ring_hash", "maglev"].map(|policy| format!("balance = \"{policy}\"\n{HASH}"));
    let all = ["least_request", "random", "least_sessions", "first", "rendezvous", "ring_hash", "maglev"];
    let tables = all.map(|policy| format!("balance = \"{policy}\"\n{TABLE}"));
    for mode in ["", TABLE, HASH].into_iter().chain(hashed.iter().chain(&tables).map(String::as_str)) {
        let proxy = Proxy::new(mode, THREE);
        let view = proxy.view();
        let choice = Choice { skip: &[], load: &|_| 0, now: proxy.now };
        let turns: Vec<_> = (0..6).map(|_| proxy.pool().decide(&view, None, &choice).unwrap()).collect();
        assert_eq!(turns.iter().map(|turn| turn.backend).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        assert!(turns.iter().all(|turn| (turn.reason, turn.tie) == (Reason::Balanced, Tie::None)));
    }
}

#[test]
fn a_hashed_key_is_placed_with_every_request_and_bound_to_nothing() {
    let proxy = Proxy::new(HASH, THREE);
    let visit = proxy.begin("room-1");
    assert_eq!((visit.reason, visit.lease), (Reason::Placed, None));
    assert_eq!(proxy.begin("room-1"), visit);
}

// === The table ===

#[test]
fn sessions_are_counted_where_they_live() {
    let proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    let sessions = |name: &str| {
        let owner = proxy.pool().backends[proxy.position(name) as usize].state.owner();
        proxy.pool().table().unwrap().sessions(owner)
    };
    for (name, _) in THREE {
        assert_eq!(sessions(name), homes.values().filter(|home| home == name).count() as u64);
    }
    proxy.set("a", Health::Down);
    proxy.visit_all();
    assert_eq!((sessions("a"), sessions("b") + sessions("c")), (0, 100));
}

#[test]
fn a_table_full_of_live_sessions_is_said_to_be_full() {
    let proxy = Proxy::new(&format!("{TABLE}\ncapacity = 2"), THREE);
    let first = proxy.begin("room-1");
    let _second = proxy.begin("room-2");
    let decision = proxy.decide("room-3").unwrap();
    assert!(matches!(proxy.commit("room-3", &decision, false), Commit::Full));
    proxy.end(&first);
    assert!(matches!(proxy.commit("room-3", &decision, false), Commit::Go(Some(_))));
}

// === Views ===

#[test]
fn a_view_is_of_one_moment_and_says_when_it_is_old() {
    let proxy = Proxy::new(HASH, THREE);
    let view = proxy.view();
    proxy.set("a", Health::Down);
    assert_eq!((view.generation, view.health(0)), (proxy.pool().shared.generation(), Health::Up));
    proxy.pool().shared.changed();
    assert!(view.generation < proxy.pool().shared.generation());
    assert_eq!(proxy.view().health(0), Health::Down);
}

#[test]
fn health_and_sessions_outlive_reloads_and_other_bounds() {
    let mut proxy = Proxy::new(TABLE, THREE);
    let homes = proxy.visit_all();
    proxy.settings = format!("{TABLE}\ncapacity = 1000\nidle_timeout = \"1h\"");
    proxy.reload(&[("c", 5), ("a", 1), ("b", 1)]);
    assert_eq!(proxy.visit_all(), homes);
    proxy.set("b", Health::Down);
    proxy.reload(&[("b", 5), ("a", 1), ("d", 1)]);
    assert_eq!(proxy.view().health(0), Health::Down);
    assert_eq!(proxy.pool().table().unwrap().len(), 100);
}
