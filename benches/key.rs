//! What finding a session key costs, by where it is, and what finding out what a path means: `cargo bench --bench key`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use homing::affinity::{Facts, session_key};
use homing::config::KeySource;
use homing::headers::Fields;
use homing::path::normalised;
use homing::stable_hash;
use http::{HeaderValue, Uri, header};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let several = ["theme=dark; lang=en", "consent=yes; seen=12", "sid=0123456789abcdef; last=1"];
    let crowd = cookies(4096);
    let crowd_then_ours = format!("{crowd}; sid=0123456789abcdef");
    let requests = [
        ("cookie/one", "cookie:sid", "/", vec!["sid=0123456789abcdef"]),
        ("cookie/third_field", "cookie:sid", "/", several.to_vec()),
        ("cookie/behind_4_KiB", "cookie:sid", "/", vec![crowd_then_ours.as_str()]),
        ("cookie/none_in_4_KiB", "cookie:sid", "/", vec![crowd.as_str()]),
        ("path/room", "path:/game/{room}", "/game/7f3a9c/watch", vec![]),
        ("path/encoded", "path:/game/{room}", "/game/7f%203a9c", vec![]),
        ("path/respelt", "path:/game/{room}", "//game/./7f3a9c/x/../watch", vec![]),
        ("query/third", "query:room", "/play?side=white&v=2&room=7f3a9c", vec![]),
        ("query/encoded", "query:room", "/play?side=white&v=2&room=7f+3a%20", vec![]),
        ("header", "header:x-room", "/", vec![]),
        ("client_ip", "client_ip", "/", vec![]),
        ("third_of_three", "path:/game/{room} query:room cookie:sid", "/profile?tab=1", several.to_vec()),
    ];
    let mut group = criterion.benchmark_group("key");
    for (name, sources, uri, cookies) in requests {
        let sources: Vec<KeySource> =
            sources.split(' ').map(|source| KeySource::parse(source).unwrap()).collect();
        let (uri, headers) = (uri.parse::<Uri>().unwrap(), fields(&cookies));
        let facts = Facts {
            host: "game.example",
            uri: &uri,
            headers: &headers,
            client_ip: [192, 0, 2, 1].into(),
            sni: None,
        };
        group.bench_function(name, |bencher| {
            let key = || session_key(black_box(&sources), black_box(&facts));
            assert_eq!(key().is_some(), name != "cookie/none_in_4_KiB");
            bencher.iter(key);
        });
    }
    group.bench_function("hash/16_bytes", |bencher| {
        bencher.iter(|| stable_hash::hash(black_box(b"0123456789abcdef")));
    });
    group.finish();
    normalise(&mut criterion);
    criterion.final_summary();
}

/// What routes are compared with.
fn normalise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    for (name, path) in [
        ("plain", "/game/7f3a9c/watch"),
        ("plain/long", "/assets/fonts/inter/v13/inter-v13-latin-600-and-some-more-that-makes-it-long.woff2"),
        ("dotted", "/.well-known/acme-challenge/7f3a9c"),
        ("escaped", "/game/7f%203a9c/watch"),
        ("respelt", "//game/./7f3a9c/x/../watch"),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| normalised(black_box(path)).unwrap()));
    }
    group.finish();
}

/// What a browser sends, with these cookies.
fn fields(cookies: &[&str]) -> Fields {
    let mut headers = Fields::new();
    headers.insert(header::HOST, HeaderValue::from_static("game.example"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("en-GB,en;q=0.5"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
    headers.append(http::HeaderName::from_static("x-room"), HeaderValue::from_static("7f3a9c"));
    for cookie in cookies {
        headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    headers
}

/// So many octets of cookies that are not ours.
fn cookies(octets: usize) -> String {
    let mut all = String::new();
    for n in 0.. {
        let cookie = format!("_ga_{n}=GS1.2.{}.1700000000", stable_hash::mix(n));
        if all.len() + cookie.len() + 2 > octets {
            break;
        }
        all.push_str(if all.is_empty() { "" } else { "; " });
        all.push_str(&cookie);
    }
    all
}
