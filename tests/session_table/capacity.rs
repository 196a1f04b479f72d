//! How many sessions fit, and what they weigh.

use homing::affinity::table::Settings;

use crate::{IDLE_SECS, START, learn_all, seconds, table};

/// Shares are per shard, so one may be full a little before the others.
#[test]
fn capacity_is_kept_within_five_percent() {
    for capacity in [1, 2, 7, 10, 1000, 4096, 8192, 10_000, 100_000, 262_144] {
        let table = table(capacity);
        let mut keys = 0_u64..;
        while table.evictions() == 0 {
            learn_all(&table, keys.by_ref().take(1), START);
        }
        assert!(table.len() * 100 >= capacity * 95, "{} of {capacity} at the first eviction", table.len());
        learn_all(&table, keys.take(capacity / 2), START);
        assert!(table.len() * 100 <= capacity * 105, "{} in a table of {capacity}", table.len());
        assert!(table.len() * 100 >= capacity * 98, "{} of {capacity} after overflow", table.len());
    }
}

#[test]
fn a_million_sessions_take_at_most_80_bytes_each() {
    let table = table(1_000_000);
    let mut keys = 0_u64..;
    while table.evictions() == 0 {
        learn_all(&table, keys.by_ref().take(1000), START);
    }
    assert!(table.len() >= 950_000, "{} at the first eviction", table.len());
    learn_all(&table, keys.take(80_000), START);
    let (sessions, bytes) = (table.len(), table.allocated_bytes());
    assert!((990_000..=1_050_000).contains(&sessions), "{sessions} sessions");
    assert!(bytes <= 80 * sessions, "{bytes} bytes for {sessions} sessions");
}

#[test]
fn what_is_forgotten_gives_its_memory_back() {
    let table = table(100_000);
    learn_all(&table, 0..50_000, START);
    let full = table.allocated_bytes();
    let late = START.after(seconds(u64::from(IDLE_SECS) + 1));
    table.sweep(late, usize::MAX);
    assert!(
        table.is_empty() && table.allocated_bytes() < full / 100,
        "{} of {full}",
        table.allocated_bytes()
    );
}

#[test]
fn a_smaller_capacity_moves_nothing_and_is_reached_as_sessions_begin() {
    let table = table(2_000);
    learn_all(&table, 0..1_000, START);
    table.configure(Settings {
        capacity: 500,
        idle_timeout: seconds(IDLE_SECS.into()),
        max_lifetime: seconds(0),
    });
    assert_eq!(table.len(), 1_000);
    learn_all(&table, 1_000..1_100, START);
    assert!(table.len() < 1_000, "{} after 100 new ones", table.len());
    learn_all(&table, 1_100..2_000, START);
    assert_eq!((table.len(), table.sessions(0)), (500, 500));
}
