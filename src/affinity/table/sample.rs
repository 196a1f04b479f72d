//! Some of a table's sessions, for those who look on. Shard by shard, and of each only so many places, so that nobody who
//! wants one of their keys waits for long.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Binding, Fingerprint, SessionTable};
use crate::clock::Now;

/// Places looked at in each shard. A shard that has more places than this is not looked at in full.
pub const PLACES: usize = 4096;

/// One session as it lies in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What stands for its key.
    pub key: Fingerprint,
    /// Where it is bound.
    pub binding: Binding,
    /// Since something of it began or ended; zero while something is live.
    pub idle: Duration,
}

impl SessionTable {
    /// Up to `most` sessions of the owners that are `wanted`, in no order: as they lie. All of them, where the table has no
    /// more than [`PLACES`] places a shard.
    pub fn sample(&self, now: Now, most: usize, wanted: impl Fn(u32) -> bool) -> Vec<Seen> {
        let mut sample = Vec::new();
        for shelf in &self.shards {
            if sample.len() >= most {
                break;
            }
            let shard = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            shard.look(now, PLACES, |entry| {
                if wanted(entry.owner) {
                    sample.push(Seen::of(entry, now));
                }
                if sample.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        sample
    }
}

impl Seen {
    fn of(entry: &super::entry::Entry, now: Now) -> Self {
        let binding = entry.binding();
        let idle = if binding.live > 0 { 0 } else { now.secs().saturating_sub(entry.last_seen) };
        Self { key: Fingerprint(entry.fingerprint), binding, idle: Duration::from_secs(idle.into()) }
    }
}
