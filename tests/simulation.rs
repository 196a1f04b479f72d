//! A simulation of everything that decides where a request goes: pools, session tables, health, workers and backends that
//! leave, told a random history of events and checked after each against a model that is too simple to be wrong.
//!
//! The same seed gives the same history. `SIMULATION_SEED` and `SIMULATION_EVENTS` choose the one that `replay` runs:
//! `SIMULATION_SEED=7 cargo test --test simulation replay -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/draw.rs"]
mod draw;
#[path = "simulation/event.rs"]
mod event;
#[path = "simulation/expect.rs"]
mod expect;
#[path = "simulation/fleet.rs"]
mod fleet;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/traffic.rs"]
mod traffic;
#[path = "simulation/world.rs"]
mod world;

use std::collections::{BTreeMap, VecDeque};

use draw::Draw;
use event::Event;
use fleet::Setup;
use world::World;

/// Events of one run. A new run brings another fleet, and other settings.
const EVENTS: u64 = 5_000;
/// Runs of each of the tests that together see a million events.
const RUNS: u64 = 50;
/// Events that a failure tells.
const TOLD: usize = 30;

/// What the library may answer, and what may come of it.
const ANSWERS: [&str; 24] = [
    "bound",
    "carried",
    "placed",
    "rebound",
    "balanced",
    "unavailable",
    "full",
    "rejected",
    "waiting",
    "outdated",
    "panic",
    "go",
    "again",
    "moving",
    "forced",
    "arrived",
    "table full",
    "backend full",
    "learned",
    "violation",
    "evicted",
    "restarted",
    "time over",
    "deleted",
];

/// Tells, should its run fail, how that came, and how to see it again.
struct Story {
    seed: u64,
    events: u64,
    last: VecDeque<(u64, Event)>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Self { seed, events, last } = self;
        eprintln!("seed {seed} fails at event {events}; the last events:");
        for (number, event) in last {
            eprintln!("{number:>8} {event:?}");
        }
        eprintln!(
            "again: SIMULATION_SEED={seed} SIMULATION_EVENTS={events} cargo test --test simulation replay -- --nocapture"
        );
    }
}

fn run(seed: u64, events: u64) -> World {
    let mut story = Story { seed, events: 0, last: VecDeque::new() };
    let mut draw = Draw::new(seed);
    let mut world = World::new(Setup::draw(&mut draw));
    for number in 1..=events {
        let event = Event::draw(&world, &mut draw);
        if story.last.len() == TOLD {
            story.last.pop_front();
        }
        story.events = number;
        story.last.push_back((number, event.clone()));
        world.apply(&event);
        world.check();
    }
    world.finish();
    world
}

fn runs(first: u64) {
    let mut tally = BTreeMap::new();
    for seed in first..first + RUNS {
        for (answer, times) in run(seed, EVENTS).tally {
            *tally.entry(answer).or_insert(0) += times;
        }
    }
    // Histories that never met one of these would prove little.
    let rare: Vec<_> =
        ANSWERS.iter().filter(|answer| tally.get(*answer).is_none_or(|times| *times < 20)).collect();
    assert!(rare.is_empty(), "{rare:?} are rare: {tally:?}");
}

#[test]
fn a_million_events_first_quarter() {
    runs(1_000);
}

#[test]
fn a_million_events_second_quarter() {
    runs(2_000);
}

#[test]
fn a_million_events_third_quarter() {
    runs(3_000);
}

#[test]
fn a_million_events_last_quarter() {
    runs(4_000);
}

#[test]
fn replay() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = number("SIMULATION_SEED").unwrap_or(0);
    let world = run(seed, number("SIMULATION_EVENTS").unwrap_or(EVENTS));
    println!("seed {seed}: {} events, {:?}", world.steps, world.tally);
}
