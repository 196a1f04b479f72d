//! What is counted is in `/api/status` too, with the same numbers.

use serde_json::Value;

use crate::page::Page;
use crate::setup;
use crate::support::{Backend, Proxy};

fn status(proxy: &Proxy) -> Value {
    let response =
        proxy.connect_admin().send("GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").response();
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn the_state_of_the_proxy_has_its_load() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.get("/", &["X-Room: 1"]);
    client.get("/", &["X-Room: 1"]);
    client.get("/", &[]);
    let (status, page) = (status(&proxy), Page::of(&proxy));
    assert_eq!(status["connections"], 1);
    assert_eq!(status["max_connections"], page.count("homing_connections_max", ""));
    assert_eq!(status["log_lines_dropped_total"], page.count("homing_log_lines_dropped_total", ""));
    let worker = &status["workers"][0];
    assert_eq!(
        (&worker["index"], &worker["connections"], &worker["in_flight"]),
        (&0.into(), &1.into(), &0.into())
    );
    assert_eq!(worker["requests_total"], 3);
    assert!(worker["busy_seconds_total"].as_f64().unwrap() > 0.0);
    let bounds: Vec<f64> = serde_json::from_value(status["latency_bounds_ms"].clone()).unwrap();
    let expected = [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4];
    assert_eq!(bounds, expected);
    let pool = &status["pools"][0];
    let counts = ["placed_total", "rebound_total", "learned_total", "retries_total"]
        .map(|it| pool[it].as_u64().unwrap());
    assert_eq!(counts, [1, 0, 0, 0]);
    let backend = &pool["backends"][0];
    assert_eq!(backend["responses"], serde_json::json!({"1xx": 0, "2xx": 3, "3xx": 0, "4xx": 0, "5xx": 0}));
    let counts: Vec<u64> = serde_json::from_value(backend["latency_counts"].clone()).unwrap();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (bounds.len() + 1, 3));
    assert!(backend["latency_seconds_total"].as_f64().unwrap() > 0.0);
}
