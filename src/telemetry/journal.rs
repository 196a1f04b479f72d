//! What has happened of late to a running proxy: the events that those who watch it are told as they happen, and the
//! newest of which are kept for those who come later.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::clock::Now;
use crate::config::Problem;

/// Events kept, and events that one who listens may be behind before it misses some.
pub const KEPT: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The observed health of a backend has changed.
    Health {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
        /// Health before.
        from: &'static str,
        /// Health now.
        to: &'static str,
        /// What was observed.
        why: String,
    },
    /// Another state is wanted of a backend.
    State {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
        /// `ready`, `drain` or `maint`.
        state: &'static str,
        /// Who wants it: `operator`, `backend`, `file` or `removal`.
        by: &'static str,
        /// How long a drain may take.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<f64>,
    },
    /// Nothing is left of a backend that was to leave.
    Drained {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
    },
    /// A backend names another instance in its health answers: what it remembered is lost.
    Restart {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
    },
    /// The name of a backend leads to another address.
    Address {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
        /// The address now.
        address: SocketAddr,
    },
    /// Traffic failed too often at a backend: it takes nothing new for a time.
    Ejected {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
        /// For how long.
        seconds: f64,
    },
    /// The time of an ejected backend is over.
    Returned {
        /// Its pool.
        pool: Arc<str>,
        /// Its name.
        backend: Arc<str>,
    },
    /// Sessions have lost their backend and got another, within the last second.
    Rebind {
        /// Their pool.
        pool: Arc<str>,
        /// The backend they were bound to; empty if that is not known any more.
        from: Arc<str>,
        /// The backend they are bound to now.
        to: Arc<str>,
        /// Why: `down`, `removed`, `restarted` or `drained`.
        cause: &'static str,
        /// How many.
        sessions: u64,
    },
    /// The configuration was read again.
    Reload {
        /// `applied`, `refused` or `unchanged`.
        outcome: &'static str,
        /// Who wanted it: `signal`, `api` or `file`.
        by: &'static str,
        /// The generation in force since.
        generation: u64,
        /// Why it was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What is wrong with the file.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem>,
    },
    /// The files of certificates have changed.
    Certificates {
        /// `renewed` or `failed`.
        outcome: &'static str,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The proxy begins to stop.
    Stopping,
}

impl Event {
    /// The word that tells what it is: the same as `kind` in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Health { .. } => "health",
            Self::State { .. } => "state",
            Self::Drained { .. } => "drained",
            Self::Restart { .. } => "restart",
            Self::Address { .. } => "address",
            Self::Ejected { .. } => "ejected",
            Self::Returned { .. } => "returned",
            Self::Rebind { .. } => "rebind",
            Self::Reload { .. } => "reload",
            Self::Certificates { .. } => "certificates",
            Self::Stopping => "stopping",
        }
    }
}

/// One event in its place.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Counted from 1, without gaps.
    pub id: u64,
    /// Unix time in seconds.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// How often the configuration was read again, by what came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reloads {
    /// What was new is in force.
    pub applied: u64,
    /// It was wrong.
    pub refused: u64,
    /// It said nothing new.
    pub unchanged: u64,
    /// When it was last, and whether it was not refused.
    pub last: Option<(Now, bool)>,
}

impl Reloads {
    fn count(&mut self, outcome: &str, at: Now) {
        match outcome {
            "applied" => self.applied += 1,
            "unchanged" => self.unchanged += 1,
            _ => self.refused += 1,
        }
        self.last = Some((at, outcome != "refused"));
    }
}

/// The events of one proxy. Nobody who notes one ever waits for those who read.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<VecDeque<Arc<Entry>>>,
    reloads: Mutex<Reloads>,
    listeners: broadcast::Sender<Arc<Entry>>,
}

impl Journal {
    /// An empty journal.
    pub fn new() -> Self {
        Self {
            kept: Mutex::new(VecDeque::with_capacity(KEPT)),
            reloads: Mutex::default(),
            listeners: broadcast::channel(KEPT).0,
        }
    }

    /// Notes an event. Meant for what happens now and then, not with each request.
    pub fn note(&self, at: Now, event: Event) {
        if let Event::Reload { outcome, .. } = &event {
            self.reloads.lock().unwrap_or_else(PoisonError::into_inner).count(outcome, at);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = kept.back().map_or(1, |last| last.id + 1);
        let entry = Arc::new(Entry { id, at: at.micros() as f64 / 1e6, event });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(entry.clone());
        // Sent while the ring is locked, so that all see one order. Nobody may be listening.
        let _ = self.listeners.send(entry);
    }

    /// How often the configuration was read again, whatever of it is still kept.
    pub fn reloads(&self) -> Reloads {
        *self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest events, oldest first, and all that come after them: none is missed between.
    pub fn follow(&self) -> (Vec<Arc<Entry>>, broadcast::Receiver<Arc<Entry>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.listeners.subscribe())
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_in_their_order() {
        let journal = Journal::new();
        let (none, mut listener) = journal.follow();
        assert!(none.is_empty());
        for at in 0..=KEPT as u64 {
            journal.note(Now(at * 1_000_000), Event::Stopping);
        }
        let (kept, _) = journal.follow();
        let ids: Vec<_> = kept.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, (2..=KEPT as u64 + 1).collect::<Vec<_>>());
        let lagged = broadcast::error::TryRecvError::Lagged(1);
        assert_eq!(listener.try_recv().expect_err("it is one behind what is kept"), lagged);
        assert_eq!(listener.try_recv().expect("the next").id, 2);
    }

    #[test]
    fn an_entry_is_one_flat_object() {
        let event = Event::Drained { pool: "chess".into(), backend: "chess-1".into() };
        let kind = event.kind();
        let entry = Entry { id: 7, at: 1.5, event };
        let written = serde_json::to_value(entry).expect("it is plain data");
        let expected =
            serde_json::json!({"id": 7, "at": 1.5, "kind": kind, "pool": "chess", "backend": "chess-1"});
        assert_eq!(written, expected);
    }
}
