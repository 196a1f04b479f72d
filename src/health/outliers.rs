//! Backends that traffic ejects: who is out, and until when. The only writer of that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::{Backend, Health};
use crate::clock::Clock;
use crate::pool::Pool;
use crate::telemetry::{Event, Journal};

/// The pools there are, and the backends ejected from them.
#[derive(Debug)]
pub(super) struct Outliers {
    pools: Vec<Arc<Pool>>,
    ejected: Vec<Ejected>,
    clock: Clock,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct Ejected {
    pool: Arc<Pool>,
    backend: Arc<Backend>,
    until: Instant,
}

impl Outliers {
    /// Nobody is out, of no pool.
    pub(super) fn new(clock: Clock, journal: Arc<Journal>) -> Self {
        Self { pools: Vec::new(), ejected: Vec::new(), clock, journal }
    }

    /// Knows these pools from now on. Who is ejected stays so, unless it is gone, or its pool ejects nobody any more.
    pub(super) fn follow(&mut self, pools: &[Arc<Pool>]) {
        self.pools = pools.to_vec();
        for mut ejected in std::mem::take(&mut self.ejected) {
            match self.find(ejected.backend.state.id) {
                Some((pool, backend)) if pool.outlier.consecutive_failures > 0 => {
                    (ejected.pool, ejected.backend) = (pool, backend);
                    self.ejected.push(ejected);
                }
                _ => self.end(&ejected),
            }
        }
    }

    /// A backend has failed as often as it may: it is ejected, unless too many are.
    pub(super) fn eject(&mut self, id: u64) {
        let Some((pool, backend)) = self.find(id) else { return };
        let state = &backend.state;
        // One that is down takes nothing anyway.
        if state.is_outlier() || state.health() == Health::Down || self.count(&pool) >= most(&pool) {
            return;
        }
        let eject = pool.outlier.eject;
        let now = self.clock.now();
        state.set_ejected_until(now.after(eject));
        state.set_outlier(true);
        state.findings.ejections.up();
        pool.shared.changed();
        let (name, seconds) = (backend.name.clone(), eject.as_secs_f64());
        self.journal.note(now, Event::Ejected { pool: pool.name.clone(), backend: name, seconds });
        tracing::warn!(pool = %pool.name, backend = %backend.name, ?eject, "ejected: it failed too often in a row");
        self.ejected.push(Ejected { until: after(eject), pool, backend });
    }

    /// When the next one returns.
    pub(super) fn next_return(&self) -> Option<Instant> {
        self.ejected.iter().map(|ejected| ejected.until).min()
    }

    /// Lets those return whose time is over.
    pub(super) fn let_return(&mut self) {
        let now = Instant::now();
        let over: Vec<_> = self.ejected.extract_if(.., |ejected| ejected.until <= now).collect();
        for ejected in &over {
            self.end(ejected);
        }
    }

    fn end(&self, ejected: &Ejected) {
        let Ejected { pool, backend, .. } = ejected;
        backend.state.set_outlier(false);
        pool.shared.changed();
        tracing::info!(pool = %pool.name, backend = %backend.name, "no longer ejected");
        let event = Event::Returned { pool: pool.name.clone(), backend: backend.name.clone() };
        self.journal.note(self.clock.now(), event);
    }

    fn find(&self, id: u64) -> Option<(Arc<Pool>, Arc<Backend>)> {
        self.pools.iter().find_map(|pool| {
            let backend = pool.backends.iter().find(|backend| backend.state.id == id)?;
            Some((pool.clone(), backend.clone()))
        })
    }

    fn count(&self, pool: &Pool) -> usize {
        self.ejected.iter().filter(|ejected| ejected.pool.name == pool.name).count()
    }
}

/// Backends of a pool that may be ejected at one time. Of two or more one may be, however small its share.
fn most(pool: &Pool) -> usize {
    let there = pool.backends.iter().filter(|backend| !backend.state.is_removed()).count();
    most_of(there, pool.outlier.max_ejected_percent)
}

fn most_of(backends: usize, percent: u32) -> usize {
    let least = usize::from(backends > 1 && percent > 0);
    (backends * percent as usize / 100).max(least)
}

/// That long from now, as far as time can be told.
fn after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_hours(24 * 365 * 30);
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FAR)
}

#[cfg(test)]
mod tests {
    use super::most_of;

    #[test]
    fn a_share_is_rounded_down_but_one_of_several_may_be_ejected() {
        assert_eq!([1, 2, 3, 4, 10].map(|backends| most_of(backends, 50)), [0, 1, 1, 2, 5]);
        assert_eq!([1, 2, 3, 10, 100].map(|backends| most_of(backends, 10)), [0, 1, 1, 1, 10]);
        assert_eq!([1, 2, 3].map(|backends| most_of(backends, 100)), [1, 2, 3]);
        assert_eq!([1, 2, 100].map(|backends| most_of(backends, 0)), [0, 0, 0]);
    }
}
