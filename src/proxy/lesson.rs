//! What a response teaches about session keys, in its head and in its body, while it passes.

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::Plan;
use super::running::Running;
use crate::affinity::body::{Relevance, Scanner, relevance};
use crate::clock::Now;
use crate::headers::{Fields, Response};
use crate::pool::{Key, Lesson, Lessons};

/// Reads a body that may issue a key. Its octets are looked at before they are passed on, so that a key is bound before
/// the client knows it.
pub(super) struct Reader {
    scanner: Scanner,
    /// The key of the request.
    key: Option<Key>,
}

/// Learns what the head of a response says.
pub(super) fn learn_head(running: &mut Running, key: Option<&Key>, response: &Fields, now: Now) {
    if running.pool().table().is_none() {
        return;
    }
    let view = running.view();
    let lessons = running.pool().learn(&view, running.backend_position(), key, response, now);
    note(running, lessons);
}

/// A reader for the body of a response, if that could issue a key.
pub(super) fn reader<B>(running: &Running, plan: &Plan, response: &Response<B>) -> Option<Box<Reader>> {
    let pool = running.pool();
    let bodies = &pool.sessions()?.bodies;
    // A part of a body is no JSON of its own, and an error issues nothing.
    let whole = response.status.is_success() && response.status != StatusCode::PARTIAL_CONTENT;
    if bodies.is_empty() || !whole {
        return None;
    }
    match relevance(&response.fields) {
        Relevance::Read => Some(Box::new(Reader { scanner: Scanner::new(bodies.clone()), key: plan.key })),
        Relevance::Encoded => {
            pool.shared.encoded_bodies.fetch_add(1, Ordering::Relaxed);
            None
        }
        Relevance::Other => None,
    }
}

impl Reader {
    /// Looks at the next octets; false when there is nothing more to learn.
    pub(super) fn read(&mut self, running: &mut Running, octets: &[u8]) -> bool {
        let Self { scanner, key } = self;
        let mut lessons = Lessons::default();
        scanner.feed(octets, |bytes| {
            let (view, now) = (running.view(), running.worker.clock.now());
            let lesson = Lesson { request_key: key.as_ref(), bytes };
            lessons += running.pool().learn_key(&view, running.backend_position(), lesson, now);
            // What else the body issues belongs to the same session.
            key.get_or_insert_with(|| running.pool().hash_key(bytes));
        });
        note(running, lessons);
        !self.scanner.is_done()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

fn note(running: &mut Running, lessons: Lessons) {
    if lessons.violations > 0 {
        let (pool, backend) = (&running.pool().name, &running.backend().name);
        tracing::warn!(%pool, %backend, "a response issues a session key that lives on another backend");
    }
    if lessons.learned > 0 {
        running.tally().learned.add(lessons.learned.into());
    }
    if let (Some(record), true) = (&mut running.record, lessons.learned > 0) {
        record.affinity = Some("learned");
    }
}
