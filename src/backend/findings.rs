//! What the health monitor has found out about a backend, counted. Written by it alone, on one thread.

use super::health::{Health, Observation};
use crate::tally::{Counter, Histogram};

/// Counts of checks, of changes of health, and of ejections.
#[derive(Debug, Default)]
pub struct Findings {
    checks: [Counter; Observation::ALL.len()],
    changes: [Counter; Health::ALL.len()],
    /// How often traffic has ejected it.
    pub ejections: Counter,
    /// How long its checks took.
    pub times: Histogram,
}

impl Findings {
    /// Counts a check that took so many microseconds.
    pub fn checked(&self, observation: Observation, micros: u64) {
        self.checks[observation as usize].up();
        self.times.record(micros);
    }

    /// Counts a change of health.
    pub fn changed(&self, to: Health) {
        self.changes[to as usize].up();
    }

    /// Checks that ended so.
    pub fn checks(&self, observation: Observation) -> u64 {
        self.checks[observation as usize].get()
    }

    /// Changes to this health.
    pub fn changes(&self, to: Health) -> u64 {
        self.changes[to as usize].get()
    }
}
