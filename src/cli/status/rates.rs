//! Requests per second, from two looks at counters.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::cli::answers::Status;

/// By the names of pool and backend.
type ByBackend<T> = HashMap<(String, String), T>;

/// What was seen at the last two looks; as large as the answers are.
#[derive(Debug, Default)]
pub(super) struct Rates {
    seen: Option<(Instant, ByBackend<u64>)>,
    rates: ByBackend<f64>,
}

impl Rates {
    /// Takes another look in.
    pub(super) fn note(&mut self, status: &Status, now: Instant) {
        let backends = status.pools.iter().flat_map(|pool| {
            let key = |name: &str| (pool.name.clone(), name.to_owned());
            pool.backends.iter().map(move |backend| (key(&backend.name), backend.requests_total))
        });
        let totals: ByBackend<u64> = backends.collect();
        self.rates.clear();
        if let Some((then, before)) = &self.seen {
            let seconds = now.duration_since(*then).as_secs_f64().max(1e-3);
            // Fewer than before: it was started anew.
            let rate = |(key, total): (&(String, String), &u64)| {
                let more = total.checked_sub(*before.get(key)?)?;
                Some((key.clone(), more as f64 / seconds))
            };
            self.rates = totals.iter().filter_map(rate).collect();
        }
        self.seen = Some((now, totals));
    }

    /// Of one backend; `None` before the second look.
    pub(super) fn of(&self, pool: &str, backend: &str) -> Option<f64> {
        self.rates.get(&(pool.to_owned(), backend.to_owned())).copied()
    }
}
