//! Notes what becomes of backends between two looks at the fleet: another word in the file, a removal, a drain that is
//! done. What others do at a moment of their own, they note themselves.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::Backend;
use crate::clock::Now;
use crate::config::Wanted;
use crate::pool::Pool;
use crate::proxy::Core;
use crate::telemetry::{Event, Journal};

/// The fleet as it was at the last look. One look is due after each configuration, and one each second.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// By [`crate::backend::State::id`]. None before the first look.
    known: Option<HashMap<u64, Picture>>,
}

/// A backend at the last look.
#[derive(Debug)]
struct Picture {
    pool: Arc<str>,
    backend: Arc<str>,
    in_file: Wanted,
    is_removed: bool,
    /// It was to leave, and nothing was left of it.
    is_drained: bool,
}

/// Where and when to note what is seen.
#[derive(Clone, Copy)]
struct Notes<'a> {
    journal: &'a Journal,
    now: Now,
}

impl Lookout {
    /// Looks, and notes what has changed since the last time. At the first look nothing is news.
    pub(super) fn look(&mut self, core: &Core) {
        let (snapshot, now) = (core.snapshot(), core.clock.now());
        let notes = Notes { journal: &core.journal, now };
        let is_first = self.known.is_none();
        let mut before = self.known.take().unwrap_or_default();
        let mut seen = HashMap::with_capacity(before.len());
        for pool in &snapshot.pools {
            for backend in &pool.backends {
                let known = before.remove(&backend.state.id);
                let mut picture = known.unwrap_or_else(|| Picture::new(pool, backend));
                if is_first {
                    picture.in_file = backend.state.wish(|wishes| wishes.in_file);
                }
                picture.renew(pool, backend, notes);
                seen.insert(backend.state.id, picture);
            }
        }
        for gone in before.into_values() {
            gone.end(notes);
        }
        self.known = Some(seen);
    }
}

impl Picture {
    fn new(pool: &Pool, backend: &Backend) -> Self {
        let in_file = Wanted::default();
        Self {
            pool: pool.name.clone(),
            backend: backend.name.clone(),
            in_file,
            is_removed: false,
            is_drained: false,
        }
    }

    fn renew(&mut self, pool: &Pool, backend: &Backend, notes: Notes<'_>) {
        let state = &backend.state;
        let (in_file, is_removed) = (state.wish(|wishes| wishes.in_file), state.is_removed());
        let timeout = pool.drain.timeout.as_secs_f64();
        if is_removed && !self.is_removed {
            self.note_state(notes, (Wanted::Drain, "removal"), Some(timeout));
        } else if in_file != self.in_file || is_removed != self.is_removed {
            let timeout = (in_file == Wanted::Drain).then_some(timeout);
            self.note_state(notes, (in_file, "file"), timeout);
        }
        (self.in_file, self.is_removed) = (in_file, is_removed);
        let leaves = state.leave().is_some();
        let is_drained = leaves && (self.is_drained || pool.affinity.is_empty(backend, notes.now));
        if is_drained && !self.is_drained {
            self.note_drained(notes);
        }
        self.is_drained = is_drained;
    }

    /// It is forgotten, which happens when nothing is left of it, or its time is over.
    fn end(self, notes: Notes<'_>) {
        if !self.is_removed {
            self.note_state(notes, (Wanted::Drain, "removal"), None);
        }
        if !self.is_drained {
            self.note_drained(notes);
        }
    }

    fn note_state(&self, notes: Notes<'_>, (state, by): (Wanted, &'static str), timeout: Option<f64>) {
        let (pool, backend) = (self.pool.clone(), self.backend.clone());
        let event = Event::State { pool, backend, state: state.as_str(), by, timeout_seconds: timeout };
        notes.journal.note(notes.now, event);
    }

    fn note_drained(&self, notes: Notes<'_>) {
        let (pool, backend) = (self.pool.clone(), self.backend.clone());
        notes.journal.note(notes.now, Event::Drained { pool, backend });
    }
}
