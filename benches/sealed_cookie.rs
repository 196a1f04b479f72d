//! What the proxy's own cookie costs a request: `cargo bench --bench sealed_cookie`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use homing::affinity::{Opened, Reason, Sealer, Ticket};
use homing::clock::Now;
use homing::config::{Config, Mode};
use homing::headers::Fields;
use http::{HeaderValue, header};

const NOW: Now = Now(1_800_000_000_000_000);
const TICKET: Ticket = Ticket {
    backend: 0x9e37_79b9_7f4a_7c15,
    address: 0xbf58_476d_1ce4_e5b9,
    incarnation: 0x94d0_49bb_1331_11eb,
    session: 0x2545_f491_4f6c_dd1d,
    epoch: NOW.micros(),
    issued: NOW.secs(),
    sealed: NOW.secs(),
};
const FILE: &str = r#"
listener = [{ address = "127.0.0.1:0" }]
route = [{ pool = "app" }]
pool = [{ name = "app", backend = [{ address = "127.0.0.1:9" }], sticky.mode = "cookie" }]
"#;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let sealer = sealer();
    let line = sealer.seal(&TICKET, NOW, true);
    let ours = line.to_str().unwrap().split(';').next().unwrap();
    let forged = ours.replacen(|c: char| c.is_ascii_digit(), "x", 1);
    let crowd = (0..10).map(|n| format!("_ga_{n}=GS1.2.{n}.1700000000; ")).collect::<Vec<_>>().concat();
    let requests = [
        ("open/valid", ours.to_owned(), Opened::Valid(TICKET)),
        ("open/valid_behind_10_others", format!("{crowd}{ours}"), Opened::Valid(TICKET)),
        ("open/forged", forged.clone(), Opened::Refused(Reason::Forged)),
        ("open/forged_100_times", [&*forged; 100].join("; "), Opened::Refused(Reason::Forged)),
        ("open/absent_among_10_others", crowd, Opened::Absent),
    ];
    let mut group = criterion.benchmark_group("sealed_cookie");
    for (name, cookies, expected) in requests {
        let headers = fields(&cookies);
        group.bench_function(name, |bencher| {
            let open = || sealer.open(black_box(&headers), NOW);
            assert_eq!(open(), expected);
            bencher.iter(open);
        });
    }
    group.bench_function("seal", |bencher| bencher.iter(|| sealer.seal(black_box(&TICKET), NOW, true)));
    group.finish();
    criterion.final_summary();
}

fn sealer() -> Sealer {
    let pool = Config::parse(FILE, "bench").unwrap().pools.remove(0);
    match pool.sticky.unwrap().mode {
        Mode::Cookie(settings) => Sealer::new(&settings, None),
        _ => unreachable!("the file says cookie"),
    }
}

fn fields(cookies: &str) -> Fields {
    let mut headers = Fields::new();
    headers.insert(header::HOST, HeaderValue::from_static("game.example"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
    headers.insert(header::COOKIE, HeaderValue::from_str(cookies).unwrap());
    headers
}
