//! Backends that traffic ejects: when, what they still get, and how they come back.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "outlier/ejected.rs"]
mod ejected;
#[path = "outlier/failures.rs"]
mod failures;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use support::{Backend, Proxy, Setup, eventually};

/// A backend with a status that can be turned.
struct Turned {
    backend: Backend,
    status: Arc<AtomicU16>,
}

impl Turned {
    fn new(name: &str) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let (own, body) = (status.clone(), name.to_owned());
        let backend = Backend::start(name, move |conn| {
            while conn.request().is_some() {
                let (status, length) = (own.load(Ordering::SeqCst), body.len());
                conn.send(format!("HTTP/1.1 {status} So\r\ncontent-length: {length}\r\n\r\n{body}"));
            }
        });
        Self { backend, status }
    }

    fn turn(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.backend.requests().len()
    }
}

/// Two backends, and which of them has the session of room 7.
fn pair() -> [Turned; 2] {
    [Turned::new("a"), Turned::new("b")]
}

/// Ejected after so many failures, for as long as the test takes.
fn setup(backends: &[&Backend], failures: u32) -> Setup {
    Setup::of(backends).table("outlier", &format!("consecutive_failures = {failures}\neject = \"1h\""))
}

#[track_caller]
fn until_ejected(proxy: &Proxy, backend: &str) {
    eventually(&format!("{backend} is ejected"), || proxy.status(backend).outlier);
}
