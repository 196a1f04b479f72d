//! What looking for a key in a response's body costs: `cargo bench --bench learn`.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use homing::affinity::body::{LIMIT, Scanner};
use homing::config::Pointer;

const HANDSHAKE: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let pointers: Arc<[Pointer]> = Arc::from([Pointer::parse("/sid").unwrap()]);
    let mut group = criterion.benchmark_group("learn");
    for (name, body, chunk) in [
        ("handshake", HANDSHAKE.to_owned(), LIMIT),
        ("records_without_the_key", records(), 8 << 10),
        ("one_string", format!("{{\"text\":\"{}\"}}", "x".repeat(LIMIT)), 8 << 10),
        ("one_string_by_the_octet", format!("{{\"text\":\"{}\"}}", "x".repeat(LIMIT)), 1),
    ] {
        group.throughput(Throughput::Bytes(body.len().min(LIMIT) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| scan(&pointers, black_box(body.as_bytes()), chunk));
        });
    }
    group.finish();
    criterion.final_summary();
}

/// As a proxy would: chunk by chunk, until nothing more can come.
fn scan(pointers: &Arc<[Pointer]>, body: &[u8], size: usize) -> usize {
    let mut scanner = Scanner::new(Arc::clone(pointers));
    let mut found = 0;
    for chunk in body.chunks(size) {
        scanner.feed(chunk, |value| found += value.len());
        if scanner.is_done() {
            break;
        }
    }
    found
}

/// More than is looked at, of what an API might answer.
fn records() -> String {
    let record = r#"{"id":12345,"name":"some name here","ok":true,"score":1.25},"#;
    format!("{{\"records\":[{}{{}}]}}", record.repeat(LIMIT / record.len() + 1))
}
