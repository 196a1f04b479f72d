//! Which requests are tried again when a try failed, where, how often, and with what.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "retries/bodies.rs"]
mod bodies;
#[path = "retries/bounds.rs"]
mod bounds;
#[path = "retries/places.rs"]
mod places;
#[path = "retries/requests.rs"]
mod requests;

use support::backend::ok;
use support::{Backend, Setup};

/// Reads the first requests, so many, one on each connection, and closes without a word; answers all others with its
/// name.
fn breaking(name: &str, times: usize) -> Backend {
    let answer = ok(name);
    Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if conn.number < times && request.target() != "/healthz" {
                return;
            }
            conn.send(&answer);
        }
    })
}

/// Answers the first request on each connection with its name, and closes on the second, which it has read.
fn impatient(name: &str) -> Backend {
    let answer = ok(name);
    Backend::start(name, move |conn| {
        if conn.request().is_some() {
            conn.send(&answer);
            conn.request();
        }
    })
}

/// In front of these; nobody is ejected, however often it fails.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).table("outlier", "consecutive_failures = 0")
}

/// A request with a body of known length.
fn with_body(method: &str, body: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
