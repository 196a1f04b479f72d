//! The decision as a whole, from a parsed request to a held key and back: `cargo bench --bench decision`.
//!
//! Route, session key, decide, commit, release: all that Homing does for stickiness, without sockets.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use homing::affinity::{Facts, session_key};
use homing::balance::Draw;
use homing::clock::Now;
use homing::config::Config;
use homing::headers::Fields;
use homing::pool::{Choice, Commit, View};
use homing::snapshot::Snapshot;
use http::{HeaderValue, Uri, header};

const NOW: Now = Now(1_800_000_000_000_000);
const ROOMS: u64 = 1 << 20;
/// Requests made beforehand, so that making them is not measured.
const REQUESTS: usize = 1 << 14;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("decision");
    for (mode, sticky) in [
        ("none", ""),
        ("hash", "sticky = { key = [\"path:/game/{room}\", \"cookie:sid\"], mode = \"hash\" }"),
        (
            "table",
            "sticky = { key = [\"path:/game/{room}\", \"cookie:sid\"], mode = \"table\", capacity = 2_000_000 }",
        ),
    ] {
        for n in [4, 100, 1000] {
            let proxy = Proxy::new(sticky, n);
            if mode == "table" {
                (0..ROOMS).for_each(|room| proxy.decide(&format!("/game/{room}").parse().unwrap()));
            }
            let mut requests = requests().into_iter().cycle();
            group.bench_function(BenchmarkId::new(mode, n), |bencher| {
                bencher.iter_batched_ref(
                    || requests.next().unwrap(),
                    |uri| proxy.decide(uri),
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

struct Proxy {
    snapshot: Snapshot,
    views: Vec<View>,
    headers: Fields,
}

impl Proxy {
    fn new(sticky: &str, backends: usize) -> Self {
        let mut source = String::from("listener = [{ address = \"127.0.0.1:0\" }]\n");
        for path in ["/", "/api", "/chat", "/game", "/assets"] {
            writeln!(source, "[[route]]\npath = \"{path}\"\npool = \"app\"").unwrap();
        }
        writeln!(source, "[[pool]]\nname = \"app\"\n{sticky}").unwrap();
        for i in 0..backends {
            writeln!(source, "[[pool.backend]]\nname = \"b{i}\"\naddress = \"127.0.0.1:1\"").unwrap();
        }
        let snapshot = Snapshot::build(&Config::parse(&source, "bench.toml").unwrap(), None, 1, Now(0));
        let views = snapshot.pools.iter().map(|pool| View::new(pool, 1)).collect();
        let mut headers = Fields::new();
        headers.insert(header::HOST, HeaderValue::from_static("game.example"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        );
        headers.insert(header::COOKIE, HeaderValue::from_static("theme=dark; sid=0123456789abcdef"));
        Self { snapshot, views, headers }
    }

    fn decide(&self, uri: &Uri) {
        let host = "game.example";
        let route = self.snapshot.router.find(host, uri.path()).unwrap().unwrap();
        let (pool, view) = (&self.snapshot.pools[route.pool], &self.views[route.pool]);
        let facts = Facts { host, uri, headers: &self.headers, client_ip: [192, 0, 2, 1].into(), sni: None };
        let sources = route.key.as_deref().unwrap_or(pool.key_sources());
        let key = session_key(sources, &facts).map(|key| pool.key(&key));
        let load = |backend: u32| pool.backends[backend as usize].state.counters(0).in_flight.get();
        let choice = Choice { skip: &[], load: &load, now: black_box(NOW) };
        let decision = pool.decide(view, key.as_ref(), &choice).unwrap();
        if let Commit::Go(Some(lease)) = pool.commit(view, key.as_ref(), &decision, NOW, false) {
            pool.release(lease, NOW);
        }
    }
}

fn requests() -> Vec<Uri> {
    let rooms = Draw::new(1);
    (0..REQUESTS).map(|_| format!("/game/{}", rooms.below(ROOMS)).parse().unwrap()).collect()
}
