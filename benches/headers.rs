//! What rewriting the header fields of a request costs, as a browser sends them: `cargo bench --bench headers`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use homing::headers::{self, Fields, Peer, Seen};
use http::{HeaderName, HeaderValue};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let hops =
        [("connection", "keep-alive, x-once"), ("x-once", "1"), ("te", "trailers"), ("keep-alive", "5")];
    let relayed = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-request-id", "7")];
    let ip_value = HeaderValue::from_static("192.0.2.1");
    let untrusted =
        Peer { ip: [192, 0, 2, 1].into(), ip_value: &ip_value, trusted: false, tls: false, subject: None };
    let mut group = criterion.benchmark_group("headers");
    for (name, extra, peer) in [
        ("browser", &[][..], untrusted),
        ("browser_with_hop_by_hop", &hops[..], untrusted),
        ("behind_a_proxy", &relayed[..], Peer { trusted: true, ..untrusted }),
    ] {
        let request = browser(extra);
        group.bench_function(name, |bencher| {
            let rewrite = |mut fields: Fields| {
                let seen = Seen::look(&fields);
                headers::strip(&mut fields, &seen);
                headers::strip_disguised(&mut fields, &seen);
                headers::forwarded(&mut fields, &seen, black_box(&peer));
                fields
            };
            bencher.iter_batched(|| request.clone(), rewrite, BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();
}

/// The fields of a page request, and some more.
fn browser(extra: &[(&'static str, &'static str)]) -> Fields {
    let usual = [
        ("host", "app.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cookie", "theme=dark; sid=5851f42d4c957f2d14057b7ef767814f; lang=en"),
        ("referer", "https://app.example.com/"),
    ];
    let fields = usual.iter().chain(extra);
    fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
