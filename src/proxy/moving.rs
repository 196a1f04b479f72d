//! Waiting for a session key to leave its former backend, on all workers, before it gets a new one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::error::Error;
use super::{Order, Worker};
use crate::affinity::table::Binding;
use crate::config::Limits;
use crate::pool::{Decision, Key, Pool};
use crate::watch::Call;

/// For the other exchanges of the key to end politely.
const POLITE: Duration = Duration::from_secs(1);
/// For those that did not to be dropped.
const DROPPED: Duration = Duration::from_millis(250);

/// A place among the requests of a pool that wait for something.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    pub(super) fn enter(pool: &'a Pool, limits: &Limits) -> Result<Self, Error> {
        let before = pool.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(pool);
        if before < limits.queue as u64 { Ok(waiting) } else { Err(Error::QueueFull) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.shared.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has all workers close what the key has open at its former backend, and waits until that is done: at most
/// [`POLITE`] and [`DROPPED`]. Returns whether the key must be moved by force, since a worker did not comply.
///
/// # Errors
/// Another request moves the key, and does not come to an end.
pub(super) async fn wait(
    worker: &Worker,
    pool: &Pool,
    key: Option<&Key>,
    decision: &Decision,
    arrival: &Notify,
) -> Result<bool, Error> {
    let (Some(table), Some(key)) = (pool.table(), key) else { return Ok(false) };
    // Made before the look: what arrives from now on is not missed.
    let arrived = arrival.notified();
    tokio::pin!(arrived);
    let binding = table.peek(key.fingerprint, worker.clock.now());
    let has_moved = |binding: &Binding| decision.tie.given_up().is_some_and(|epoch| epoch != binding.epoch);
    if binding.is_none_or(|binding| binding.live == 0 || has_moved(&binding)) {
        return Ok(false);
    }
    let Some(epoch) = decision.tie.given_up() else {
        // Another request moves it.
        return timeout(POLITE + DROPPED, arrived).await.map(|()| false).map_err(|_| Error::Moving);
    };
    let give_up = |call| Order::GiveUp { key: key.fingerprint.0, epoch, call };
    worker.core.order(give_up(Call::Moved)).await;
    if timeout(POLITE, &mut arrived).await.is_ok() {
        return Ok(false);
    }
    worker.core.order(give_up(Call::Drop)).await;
    Ok(timeout(DROPPED, arrived).await.is_err())
}
