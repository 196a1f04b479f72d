//! How backends are spoken to where it is not plain HTTP/1.1: TLS, HTTP/2, PROXY headers, and health checks over them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "backends/checks.rs"]
mod checks;
#[path = "backends/frames.rs"]
mod frames;
#[path = "backends/http2.rs"]
mod http2;
#[path = "backends/introduced.rs"]
mod introduced;
#[path = "backends/shared.rs"]
mod shared;
#[path = "backends/tls.rs"]
mod tls;
