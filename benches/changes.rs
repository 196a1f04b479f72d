//! What happens to a session beside being found: it is learned, moves, waits, ends. `cargo bench --bench changes`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use homing::backend::Health;
use homing::clock::Now;
use homing::config::Config;
use homing::headers::Fields;
use homing::pool::{Choice, Commit, Key, Pool, Refusal, View};
use homing::snapshot::Snapshot;
use http::{HeaderValue, header};

const NOW: Now = Now(1_800_000_000_000_000);
const SESSIONS: u64 = 1_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("changes");
    let (known, new) = (proxy("rebind"), proxy("rebind"));
    let issued = response(7);
    let (known_view, new_view) = (View::new(pool(&known), 0), View::new(pool(&new), 0));
    group.bench_function("learn/known", |bencher| bencher.iter(|| learn((&known, &known_view), &issued)));
    let next = Cell::new(SESSIONS);
    group.bench_function("learn/new", |bencher| {
        bencher.iter_batched_ref(
            || response(next.replace(next.get() + 1)),
            |response| learn((&new, &new_view), response),
            criterion::BatchSize::SmallInput,
        );
    });
    let flapping = proxy("rebind");
    let views = [only(pool(&flapping), 0), only(pool(&flapping), 1)];
    let turn = Cell::new(0_u64);
    group.bench_function("rebind", |bencher| {
        // Each of a million keys in turn loses its backend, back and forth between the two.
        bencher.iter(|| {
            let n = turn.replace(turn.get() + 1);
            visit(pool(&flapping), &views[(n / SESSIONS) as usize % 2], &key(pool(&flapping), n % SESSIONS));
        });
    });
    let waiting = proxy("wait");
    let down = only(pool(&waiting), 2);
    group.bench_function("wait", |bencher| {
        bencher.iter(|| {
            let n = turn.replace(turn.get() + 1) % SESSIONS;
            let refused = decide(pool(&waiting), &down, &key(pool(&waiting), n));
            assert!(matches!(refused, Err(Refusal::Wait { .. })));
        });
    });
    group.finish();
    criterion.final_summary();
}

fn proxy(on_backend_down: &str) -> Snapshot {
    let source = format!(
        "listener = [{{ address = \"127.0.0.1:0\" }}]\nroute = [{{ pool = \"app\" }}]\n[[pool]]\nname = \"app\"\n\
         backend = [{{ name = \"a\", address = \"127.0.0.1:1\" }}, {{ name = \"b\", address = \"127.0.0.1:2\" }}]\n\
         [pool.sticky]\nkey = [\"cookie:sid\"]\ncapacity = 4_000_000\non_backend_down = \"{on_backend_down}\""
    );
    let snapshot = Snapshot::build(&Config::parse(&source, "bench.toml").unwrap(), None, 1, NOW);
    let view = View::new(pool(&snapshot), 0);
    (0..SESSIONS).for_each(|n| visit(pool(&snapshot), &view, &key(pool(&snapshot), n)));
    snapshot
}

fn pool(snapshot: &Snapshot) -> &Pool {
    &snapshot.pools[0]
}

/// A view in which one backend is up and the other down; neither, if there is no such one.
fn only(pool: &Pool, up: usize) -> View {
    for (i, backend) in pool.backends.iter().enumerate() {
        backend.state.set_health(if i == up { Health::Up } else { Health::Down }, NOW);
    }
    View::new(pool, 0)
}

fn key(pool: &Pool, n: u64) -> Key {
    pool.hash_key(&n.to_be_bytes())
}

fn decide(pool: &Pool, view: &View, key: &Key) -> Result<homing::pool::Decision, Refusal> {
    pool.decide(view, Some(key), &Choice { skip: &[], load: &|_| 0, now: black_box(NOW) })
}

fn visit(pool: &Pool, view: &View, key: &Key) {
    let decision = decide(pool, view, key).unwrap();
    if let Commit::Go(Some(lease)) = pool.commit(view, Some(key), &decision, NOW, false) {
        pool.release(lease, NOW);
    }
}

fn response(n: u64) -> Fields {
    let line = format!("sid={n:032x}; Path=/; HttpOnly; SameSite=Lax");
    Fields::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html")),
        (header::SET_COOKIE, line.parse().unwrap()),
    ])
}

fn learn((snapshot, view): (&Snapshot, &View), response: &Fields) {
    black_box(pool(snapshot).learn(view, 0, None, response, NOW));
}
