//! Values and defaults of what says how a pool uses its backends: limits, states, drains, and presets.

use std::time::Duration;

use homing::config::{Backend, Config, Drain, Field, KeySource, OnBackendDown, Pointer, Preset, Wanted};

use super::{fixture, parse, pool_with, sealed, seconds, sources, table};

fn full() -> Config {
    Config::load(&fixture("full.toml")).unwrap()
}

fn bounds(backend: &Backend) -> (Wanted, u32, u64) {
    (backend.state, backend.max_connections, backend.max_sessions)
}

#[test]
fn nobody_listens_for_operators_by_default() {
    assert!(parse(super::SHORTEST).admin.is_none());
    assert_eq!(full().admin.unwrap().address, "127.0.0.1:9900".parse().unwrap());
}

#[test]
fn by_default_nothing_is_limited() {
    let pool = pool_with("sticky = { key = [\"client_ip\"] }\nhealth = { path = \"/\" }");
    assert_eq!((pool.hash_balance_factor, pool.panic_threshold, pool.slow_start), (0, 0, Duration::ZERO));
    assert_eq!(bounds(&pool.backends[0]), (Wanted::Ready, 0, 0));
    assert_eq!(pool.sticky.unwrap().on_backend_down, OnBackendDown::Rebind);
    assert_eq!(pool.drain, Drain { timeout: seconds(1800), spread: seconds(30) });
    assert_eq!(pool.timeouts.queue, seconds(5));
    let health = pool.health.unwrap();
    assert_eq!((health.instance, health.drain), (None, None));
}

#[test]
fn every_bound_is_read() {
    let pool = full().pools.remove(0);
    assert_eq!((pool.hash_balance_factor, pool.panic_threshold, pool.slow_start), (150, 60, seconds(45)));
    let all: Vec<_> = pool.backends.iter().map(bounds).collect();
    let ready = (Wanted::Ready, 0, 0);
    assert_eq!(all, [(Wanted::Ready, 200, 5_000_000_000), (Wanted::Drain, 0, 0), ready]);
    assert_eq!(pool.drain, Drain { timeout: seconds(7200), spread: seconds(60) });
    assert_eq!(pool.timeouts.queue, seconds(7));
    assert_eq!(full().pools[2].backends[1].state, Wanted::Maint);
}

#[test]
fn what_backends_say_of_themselves_is_read() {
    let health = full().pools.remove(0).health.unwrap();
    assert_eq!(health.instance, Some(Field::Header("x-instance-id".parse().unwrap())));
    assert_eq!(health.drain, Some(Field::Json(Pointer::parse("/state/draining").unwrap())));
}

#[test]
fn a_down_backend_can_be_waited_for() {
    let policy = |settings: &str| {
        let pool = pool_with(&format!("sticky = {{ key = [\"client_ip\"]{settings} }}"));
        pool.sticky.unwrap().on_backend_down
    };
    assert_eq!(policy(", on_backend_down = \"wait\""), OnBackendDown::Wait(seconds(10)));
    assert_eq!(policy(", on_backend_down = \"reject\""), OnBackendDown::Reject);
    assert_eq!(policy(", wait_timeout = \"1h\""), OnBackendDown::Rebind);
    let policies = full().pools.into_iter().filter_map(|pool| Some(pool.sticky?.on_backend_down));
    let (wait, rebind) = (OnBackendDown::Wait(seconds(20)), OnBackendDown::Rebind);
    assert_eq!(policies.collect::<Vec<_>>(), [wait, rebind, rebind, OnBackendDown::Reject]);
}

#[test]
fn a_short_drain_has_a_short_spread() {
    let drain = |settings: &str| pool_with(&format!("drain = {{ {settings} }}")).drain;
    assert_eq!(drain("timeout = \"10s\""), Drain { timeout: seconds(10), spread: seconds(10) });
    let at_once = Drain { timeout: seconds(10), spread: Duration::ZERO };
    assert_eq!(drain("timeout = \"10s\", spread = \"0s\""), at_once);
}

// === Presets ===

/// What a pool's stickiness comes to: keys, what is learned, and for how long.
fn meaning(sticky: &str) -> (Vec<KeySource>, Vec<KeySource>, Duration) {
    let pool = pool_with(&format!("[pool.sticky]\n{sticky}"));
    let table = table(&pool);
    (pool.sticky.unwrap().key, table.learn, table.idle_timeout)
}

#[test]
fn presets_stand_for_what_they_show() {
    for (name, preset) in Preset::NAMES {
        let shown = preset.toml().trim_start_matches("[pool.sticky]\n");
        assert_eq!(meaning(&format!("preset = \"{name}\"")), meaning(shown), "{name}");
    }
    let socketio = (sources(&["query:sid"]), sources(&["body:/sid"]), seconds(120));
    assert_eq!(meaning("preset = \"socketio\""), socketio);
    let express = (sources(&["cookie:connect.sid"]), sources(&["cookie:connect.sid"]), seconds(86_400));
    assert_eq!(meaning("preset = \"express\""), express);
    let mcp = (sources(&["header:mcp-session-id"]), sources(&["header:mcp-session-id"]), seconds(3600));
    assert_eq!(meaning("preset = \"mcp\""), mcp);
}

#[test]
fn what_the_file_says_itself_wins_over_its_preset() {
    let (key, learn, idle) =
        meaning("preset = \"express\"\nkey = [\"cookie:sid\"]\nlearn = [\"cookie:sid\"]");
    let sid = sources(&["cookie:sid"]);
    assert_eq!((key, learn, idle), (sid.clone(), sid, seconds(86_400)));
    let (key, learn, idle) = meaning("preset = \"socketio\"\nidle_timeout = \"5m\"\nlearn = []");
    assert_eq!((key, learn, idle), (sources(&["query:sid"]), vec![], seconds(300)));
}

#[test]
fn a_preset_takes_another_mode_when_what_it_learns_is_given_up() {
    let pool = pool_with("[pool.sticky]\npreset = \"express\"\nmode = \"cookie\"\nlearn = []");
    assert_eq!(sealed(&pool).idle_timeout, seconds(86_400));
}
