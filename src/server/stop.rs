//! How a proxy stops: when it begins, when each tunnel is closed, when it must be over.

use std::time::Duration;

use tokio::sync::watch;

use crate::stable_hash;

/// Whether and how the proxy stops; later ones are faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It runs.
    No,
    /// Stop accepting, let requests and tunnels finish within `server.shutdown_timeout`.
    Graceful,
    /// End at once.
    Now,
}

/// Tells a proxy to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Stop>);

impl Stopper {
    /// Begins to stop. Stopping can be made faster, not undone.
    pub fn stop(&self, stop: Stop) {
        self.0.send_if_modified(|current| {
            let faster = stop > *current;
            *current = stop.max(*current);
            faster
        });
    }
}

pub(super) fn channel() -> (Stopper, watch::Receiver<Stop>) {
    let (sender, receiver) = watch::channel(Stop::No);
    (Stopper(sender), receiver)
}

/// When what is still open must go, counted from the begin of a graceful stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    begin: Duration,
    window: Duration,
    /// When the process ends.
    pub(super) end: Duration,
}

/// Kept free before the end for closing handshakes.
const CLOSING: Duration = Duration::from_millis(1500);
/// Tunnels are closed spread over at most so much time.
const SPREAD: Duration = Duration::from_secs(5);

impl Schedule {
    pub(super) fn new(timeout: Duration) -> Self {
        let closing = CLOSING.min(timeout / 2);
        let window = SPREAD.min(timeout.saturating_sub(closing) / 2);
        Self { begin: timeout.saturating_sub(closing + window), window, end: timeout }
    }

    /// Whether the time has come for tunnels of this key: all of a key go together, keys one after the other.
    pub(super) fn is_due(&self, key: u64, elapsed: Duration) -> bool {
        elapsed >= self.begin + self.window.mul_f64(stable_hash::share(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_closed_between_the_begin_of_the_window_and_the_end() {
        for timeout in
            [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(20), Duration::from_mins(10)]
        {
            let schedule = Schedule::new(timeout);
            for key in 0..1000 {
                assert!(schedule.is_due(key, timeout), "{timeout:?}");
                assert!(
                    timeout.is_zero()
                        || !schedule.is_due(key, schedule.begin.saturating_sub(Duration::from_nanos(1)))
                );
            }
        }
    }
}
