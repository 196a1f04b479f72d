//! What one pick costs under each policy, by the number of backends: `cargo bench --bench pick`.
//!
//! Backends that are down are no candidates: a view leaves them out when health changes, so a pick does not see them.
//! Only the tables of `ring_hash` and `maglev` have them still, and step over them.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use homing::backend::Health;
use homing::balance::{Ask, Balancer, Draw};
use homing::clock::Now;
use homing::config::{Balance, Config};
use homing::pool::{Pool, View};
use homing::snapshot::Snapshot;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .configure_from_args();
    for &(_, policy) in Balance::WORDS {
        let mut group = criterion.benchmark_group(format!("pick/{policy}"));
        for n in [4, 100, 1000] {
            let fleets = [
                ("equal", pool(policy, n, |_| 1, 0)),
                ("weights_1_2_4", pool(policy, n, |i| 1 << (i % 3), 0)),
                ("a_tenth_down", pool(policy, n, |_| 1, n.div_ceil(10))),
            ];
            for (fleet, pool) in fleets {
                let candidates = View::new(&pool, 0).candidates().to_vec();
                let balancer = Balancer::new(policy, &candidates, 1, pool.hash_table.clone());
                let busy = |backend: u32| u64::from(backend % 7);
                let keys = Draw::new(1);
                group.bench_function(BenchmarkId::new(fleet, n), |bencher| {
                    bencher.iter(|| {
                        let ask = Ask { key: keys.next(), skip: &[], load: &busy, sessions: &busy };
                        balancer.pick(black_box(&candidates), &ask)
                    });
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

/// A pool of `n` backends of which `down` are down.
fn pool(policy: Balance, n: usize, weight: impl Fn(usize) -> u32, down: usize) -> Arc<Pool> {
    let mut source =
        String::from("listener = [{ address = \"127.0.0.1:0\" }]\nroute = [{ pool = \"app\" }]\n[[pool]]\n");
    let sticky = "sticky = { key = [\"query:room\"] }";
    writeln!(source, "name = \"app\"\nbalance = \"{policy}\"\n{sticky}").unwrap();
    for i in 0..n {
        let weight = weight(i);
        writeln!(source, "[[pool.backend]]\nname = \"b{i}\"\naddress = \"127.0.0.1:1\"\nweight = {weight}")
            .unwrap();
    }
    let snapshot = Snapshot::build(&Config::parse(&source, "bench.toml").unwrap(), None, 1, Now(0));
    let pool = &snapshot.pools[0];
    // Spread over the pool, as failures are.
    (0..down).for_each(|i| pool.backends[i * n / down].state.set_health(Health::Down, Now(0)));
    pool.clone()
}
