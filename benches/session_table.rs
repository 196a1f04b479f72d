//! What the session table costs with a million sessions, keys in random order: `cargo bench --bench session_table`; with
//! another number: `SESSIONS=10000000 cargo bench --bench session_table`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use homing::affinity::table::{Claim, Fingerprint, SessionTable, Settings};
use homing::balance::Draw;
use homing::clock::Now;
use homing::stable_hash;

const NOW: Now = Now(1_800_000_000_000_000);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let sessions = std::env::var("SESSIONS").map_or(1_000_000, |number| number.parse().unwrap());
    let roomy = filled(sessions, 2 * sessions as usize);
    let bytes = roomy.allocated_bytes() as f64 / roomy.len() as f64;
    println!("{} sessions of {bytes:.1} bytes", roomy.len());
    let known = Draw::new(2);
    let mut group = criterion.benchmark_group("session_table");
    group.bench_function("peek", |bencher| {
        bencher.iter(|| roomy.peek(fingerprint(known.below(sessions)), black_box(NOW)));
    });
    group.bench_function("peek/unknown", |bencher| {
        bencher.iter(|| roomy.peek(fingerprint(sessions + known.below(sessions)), black_box(NOW)));
    });
    group.bench_function("touch", |bencher| {
        bencher.iter(|| touch(&roomy, fingerprint(known.below(sessions))));
    });
    let mut new = sessions;
    group.bench_function("begin_and_end", |bencher| {
        bencher.iter(|| {
            new += 1;
            touch(&roomy, fingerprint(new));
            roomy.remove(fingerprint(new));
        });
    });
    let full = filled(sessions, sessions as usize);
    group.bench_function("begin_by_evicting", |bencher| {
        bencher.iter(|| {
            new += 1;
            touch(&full, fingerprint(new));
        });
    });
    group.bench_function("sweep/4096_places_of_each_shard", |bencher| {
        bencher.iter(|| roomy.sweep(black_box(NOW), 4096));
    });
    group.finish();
    criterion.final_summary();
}

/// One request of a key: a claim and its release.
fn touch(table: &SessionTable, key: Fingerprint) {
    if let Claim::Held(binding) = table.claim(key, key.0, 0, black_box(NOW)) {
        table.release(key, binding.epoch, NOW);
    }
}

fn filled(sessions: u64, capacity: usize) -> SessionTable {
    let table = SessionTable::new(
        Settings { capacity, idle_timeout: Duration::from_mins(30), max_lifetime: Duration::ZERO },
        1,
    );
    table.new_owner();
    (0..sessions).for_each(|key| touch(&table, fingerprint(key)));
    table
}

fn fingerprint(key: u64) -> Fingerprint {
    Fingerprint(stable_hash::mix(key))
}
