//! `GET /api/events`: what happens, as it happens (HTML Living Standard §9.2, server-sent events). A subscriber that is
//! too slow misses events and is told how many; whoever notes them never waits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::connection::Live;
use crate::telemetry::{Entry, Event, Journal};

/// Subscribers at one time: with those who wait for backends still fewer than there are connections.
pub(super) const SUBSCRIBERS: usize = 16;
/// Events that one is told who does not say after which.
const NEWEST: usize = 50;
/// Between two signs of life.
const QUIET: Duration = Duration::from_secs(15);

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One subscriber's way through the journal.
struct Follower {
    /// What happened before, and is still to be told.
    earlier: VecDeque<Arc<Entry>>,
    /// Events before those, which are not kept any more.
    missed: u64,
    coming: Receiver<Arc<Entry>>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// The events after the one with the number `after`, or the newest, and all that come. It ends when the proxy stops.
pub(super) fn follow(journal: &Journal, after: Option<u64>, place: OwnedSemaphorePermit) -> Response {
    let (earlier, missed, coming) = since(journal, after);
    let follower = Follower { earlier, missed, coming, is_over: false, _place: place };
    let chunks = unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, Infallible>(chunk), follower))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.extensions_mut().insert(Live);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A proxy on the way is not to keep events back.
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// What is to be told first, and how many events between that and `after` are lost. A number that was never given is one
/// of a former process, and says nothing.
fn since(journal: &Journal, after: Option<u64>) -> (VecDeque<Arc<Entry>>, u64, Receiver<Arc<Entry>>) {
    let (kept, coming) = journal.follow();
    let newest = kept.last().map_or(0, |entry| entry.id);
    let Some(after) = after.filter(|after| *after <= newest) else {
        let skipped = kept.len().saturating_sub(NEWEST);
        return (kept.into_iter().skip(skipped).collect(), 0, coming);
    };
    let oldest = kept.first().map_or(1, |entry| entry.id);
    let missed = oldest.saturating_sub(after + 1);
    (kept.into_iter().filter(|entry| entry.id > after).collect(), missed, coming)
}

impl Follower {
    /// The next piece of the stream; none at its end.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if self.missed > 0 {
            return Some(lagged(std::mem::take(&mut self.missed)));
        }
        if let Some(entry) = self.earlier.pop_front() {
            return Some(self.tell(&entry));
        }
        match timeout(QUIET, self.coming.recv()).await {
            Ok(Ok(entry)) => Some(self.tell(&entry)),
            Ok(Err(RecvError::Lagged(missed))) => Some(lagged(missed)),
            Ok(Err(RecvError::Closed)) => None,
            Err(_) => Some(":\n\n".to_owned()),
        }
    }

    fn tell(&mut self, entry: &Entry) -> String {
        self.is_over = matches!(entry.event, Event::Stopping);
        let (id, kind) = (entry.id, entry.event.kind());
        // JSON of one line; only a map with keys that are no strings could not be written, and there is none.
        let data = serde_json::to_string(entry).unwrap_or_default();
        format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
    }
}

fn lagged(missed: u64) -> String {
    format!("event: lagged\ndata: {{\"missed\":{missed}}}\n\n")
}
