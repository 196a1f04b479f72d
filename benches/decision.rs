//! The decision as a whole, from a parsed request to a held key and back: `cargo bench --bench decision`.
//!
//! Route, session key, decide, commit, release: all that Homing does for stickiness, without sockets. Keys are of many
//! rooms, or of 64 that come back: in `hash` mode a worker remembers where it placed those.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "decision/proxy.rs"]
mod proxy;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use homing::balance::Draw;
use http::Uri;

use proxy::Proxy;

const ROOMS: u64 = 1 << 20;
/// Requests made beforehand, so that making them is not measured.
const REQUESTS: usize = 1 << 16;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("decision");
    let hash = "sticky = { key = [\"path:/game/{room}\", \"cookie:sid\"], mode = \"hash\" }";
    let table =
        "sticky = { key = [\"path:/game/{room}\", \"cookie:sid\"], mode = \"table\", capacity = 2_000_000 }";
    for (name, sticky, rooms) in
        [("none", "", ROOMS), ("hash", hash, ROOMS), ("hash_64_rooms", hash, 64), ("table", table, ROOMS)]
    {
        for n in [4, 100, 1000] {
            let proxy = Proxy::new(sticky, n);
            let fields = proxy.fields(1);
            if sticky == table {
                (0..ROOMS).for_each(|room| proxy.decide(&uri(room), &fields));
            }
            let mut requests = requests(rooms).into_iter().cycle();
            group.bench_function(BenchmarkId::new(name, n), |bencher| {
                bencher.iter_batched_ref(
                    || requests.next().unwrap(),
                    |uri| proxy.decide(uri, &fields),
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

fn requests(rooms: u64) -> Vec<Uri> {
    let draw = Draw::new(1);
    (0..REQUESTS).map(|_| uri(draw.below(rooms))).collect()
}

fn uri(room: u64) -> Uri {
    format!("/game/{room}").parse().unwrap()
}
