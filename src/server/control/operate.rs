//! What operators do with backends and sessions.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::{Control, Unknown};
use crate::config::{self, Wanted};
use crate::pool::{Keeper, View};
use crate::proxy::Order;
use crate::server::status::BackendStatus;
use crate::telemetry::Event;
use crate::watch::Call;

/// How often one who waits for a backend to be empty looks.
const LOOK: Duration = Duration::from_millis(100);

/// The answer to whether a backend is empty.
#[derive(Debug, Clone, Serialize)]
pub struct Drained {
    /// Nothing is left of it.
    pub done: bool,
    /// Its state.
    #[serde(flatten)]
    pub status: BackendStatus,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The hash of its key, the same as in the log of this process.
    pub session: String,
    /// The backend it is bound to; none if that is gone, and the next request moves the session.
    pub backend: Option<String>,
    /// Grows with each owner.
    pub epoch: u64,
    /// Requests and tunnels that are live now.
    pub live: u32,
}

impl Control {
    /// Says what is wanted of a backend. A drain takes `timeout`, or as long as the pool's configuration says; one that
    /// is under way goes on, unless a `timeout` is given. The word of the file counts again when it changes there.
    ///
    /// # Errors
    /// There is no such pool or backend.
    pub fn set_state(
        &self,
        pool: &str,
        backend: &str,
        wanted: Wanted,
        timeout: Option<Duration>,
    ) -> Result<BackendStatus, Unknown> {
        let (pool, backend) = self.backend(pool, backend)?;
        let now = self.core.clock.now();
        pool.end_if_over(&backend, now);
        let goes_on = wanted == Wanted::Drain && timeout.is_none() && backend.state.wanted() == wanted;
        let said = timeout.map(tracing::field::debug);
        let changes = !goes_on && (wanted == Wanted::Drain || backend.state.wanted() != wanted);
        if !goes_on {
            let timeout = timeout.unwrap_or(pool.drain.timeout);
            let drain = config::Drain { timeout, spread: pool.drain.spread.min(timeout) };
            backend.state.wish(|wishes| wishes.order(wanted, drain, now));
        }
        pool.shared.changed();
        tracing::info!(pool = %pool.name, backend = %backend.name, state = wanted.as_str(), timeout = said, "backend state");
        if changes {
            let leave = backend.state.leave().filter(|_| wanted == Wanted::Drain);
            let timeout_seconds = leave.map(|leave| leave.left(now).as_secs_f64());
            let (pool, backend, state) = (pool.name.clone(), backend.name.clone(), wanted.as_str());
            let event = Event::State { pool, backend, state, by: "operator", timeout_seconds };
            self.core.journal.note(now, event);
        }
        Ok(BackendStatus::of(&pool, &backend, now))
    }

    /// Waits until nothing is left of a backend, at most so long; returns its state then.
    ///
    /// # Errors
    /// There is no such pool or backend.
    pub async fn drained(&self, pool: &str, backend: &str, wait: Duration) -> Result<Drained, Unknown> {
        let end = Instant::now() + wait;
        loop {
            let (in_pool, found) = self.backend(pool, backend)?;
            let now = self.core.clock.now();
            let done = in_pool.affinity.is_empty(&found, now);
            if done || Instant::now() >= end {
                return Ok(Drained { done, status: BackendStatus::of(&in_pool, &found, now) });
            }
            sleep_until((Instant::now() + LOOK).min(end)).await;
        }
    }

    /// The session of a key.
    ///
    /// # Errors
    /// There is no such pool, or it keeps no sessions.
    pub fn session(&self, pool: &str, key: &[u8]) -> Result<Option<Session>, Unknown> {
        let pool = self.pool(pool)?;
        let (key, now) = (pool.hash_key(key), self.core.clock.now());
        let table = pool.table().ok_or_else(|| Unknown::Table(pool.name.to_string()))?;
        Ok(table.peek(key.fingerprint, now).map(|binding| {
            let backend = match View::new(&pool, 0).keeper(&binding, now) {
                Keeper::Here(backend) | Keeper::Down { backend, .. } => pool.backends.get(backend as usize),
                Keeper::Gone | Keeper::Newer => None,
            };
            let backend = backend.map(|backend| backend.name.to_string());
            let session = self.hash_of(key.fingerprint);
            Session { session, backend, epoch: binding.epoch, live: binding.live }
        }))
    }

    /// Ends the session of a key: what is live of it is told to end, and then its key is unknown. Returns whether there
    /// was one.
    ///
    /// # Errors
    /// There is no such pool, or it keeps no sessions.
    pub async fn end_session(&self, pool: &str, key: &[u8]) -> Result<bool, Unknown> {
        let pool = self.pool(pool)?;
        let (key, now) = (pool.hash_key(key), self.core.clock.now());
        let table = pool.table().ok_or_else(|| Unknown::Table(pool.name.to_string()))?;
        let Some(binding) = table.peek(key.fingerprint, now) else { return Ok(false) };
        table.end(key.fingerprint, now);
        let (key, epoch) = (key.fingerprint.0, binding.epoch);
        self.core.order(Order::GiveUp { key, epoch, call: Call::Moved }).await;
        Ok(true)
    }
}
